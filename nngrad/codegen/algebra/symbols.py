"""What formulas are made of, to SymPy: tensors, parameters, sums along an axis, conditions.

Each knows its own algebra and derivative, so that substitution and differentiation need no context: `AxisSum` is
linear and lets constants out, `Where` differentiates into the branch that it takes.
"""

from __future__ import annotations

import operator
import textwrap
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanFunction

from nngrad.codegen.algebra.remembered import slope

ALL_AXES = "None"


class SpecError(Exception):
    """A mistake in a spec: what is wrong, where, and how to mend it. `excerpt` shows the line, and marks in it the
    expression that is wrong.
    """

    def __init__(self, problem: str, mend: str, *, op: str = "", file: str = "", line: int = 0, excerpt: str = ""):
        super().__init__(problem, mend)
        self.problem, self.mend, self.op, self.file, self.line = problem, mend, op, file, line
        self.excerpt = excerpt

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        subject = f"in {self.op}: " if self.op else ""
        shown = textwrap.indent(self.excerpt, "    ") + "\n" if self.excerpt else ""
        return f"{place}{subject}{self.problem}\n{shown}  how to mend it: {self.mend}"


RECORDER: ContextVar[Any] = ContextVar("recorder")  # of the formula that is being traced


class Value(sympy.Symbol):
    """A tensor in a formula: an input, a stage, a cotangent. `constant_along` names the axes along which it has
    length 1.
    """

    __slots__ = ("constant_along",)

    def __new__(cls, name: str, constant_along: frozenset[str] = frozenset(), **assumptions):
        value = sympy.Symbol.__xnew__(cls, name, real=True, **assumptions)
        value.constant_along = frozenset(constant_along)
        return value

    def _hashable_content(self):
        return (*super()._hashable_content(), tuple(sorted(self.constant_along)))

    def renamed(self, name: str) -> Value:
        sign = {key: self.assumptions0[key] for key in ("positive", "nonnegative") if self.assumptions0.get(key)}
        return Value(name, self.constant_along, **sign)

    def __getnewargs_ex__(self):
        return (self.name, self.constant_along), {}

    def __getitem__(self, indices) -> Indexed:
        indices = indices if isinstance(indices, tuple) else (indices,)
        for place, index in enumerate(indices):
            if index is Ellipsis and place == 0:
                continue
            if not isinstance(index, sympy.Expr) or not any(one.is_integer for one in index.free_symbols):
                raise SpecError(
                    f"the index {_index_text(index)} of {self.name} is not a letter of the index notation",
                    f"brackets hold letters, as in sum({self.name}[..., i, k] * w[k, j], k); for an element of each "
                    "row write take(x, index, axis); pick others before the op is called",
                )
        return Indexed(((self, indices),))

    __iter__ = None  # a tensor in a formula has no length that Python could walk


class Parameter(sympy.Symbol):
    """A number that the caller passes, the same for every element."""

    def __new__(cls, name: str):
        return sympy.Symbol.__xnew__(cls, name, real=True)


def multiplied_out(term):
    """A term multiplied out, but for what functions are given: they are known again by how they are written.

    Those in sums along an axis stay there: what stands for one would be taken for a constant, and leave the sum.
    """
    functions: dict[sympy.Expr, sympy.Dummy] = {}

    def held(part):
        if part.is_Add or part.is_Mul or part.is_Pow or isinstance(part, Where):
            return part.func(*map(held, part.args))
        if isinstance(part, sympy.Function) and not part.has(AxisSum, Pick):
            sign = {name: True for name in ("positive", "nonnegative") if getattr(part, f"is_{name}")}
            return functions.setdefault(part, sympy.Dummy(real=True, **sign))
        return part

    expanded = sympy.expand(held(term), power_base=False, power_exp=False, log=False, multinomial=False)
    return expanded.xreplace({symbol: part for part, symbol in functions.items()})


class AxisSum(sympy.Function):
    """The sum of an expression along an axis, linear by construction: constants leave it, sums are pulled apart."""

    nargs = 2

    @classmethod
    def eval(cls, term, axis):
        term = multiplied_out(term)
        if term.is_Add:
            return sympy.Add(*(cls(part, axis) for part in term.args))
        outside, inside = split_constants(term, axis.name)
        if inside == 1:
            return outside * Count(axis)
        if isinstance(inside, Pick) and inside.args[1] == axis:
            return outside
        if outside != 1:
            return outside * cls(inside, axis)
        return None

    def _eval_is_real(self):
        return True

    def _eval_derivative(self, symbol):
        return AxisSum(self.args[0].diff(symbol), self.args[1])


class HeldFixed(sympy.Function):
    """A function that differentiation takes for a constant."""

    is_real = True

    def _eval_derivative(self, symbol):
        return sympy.S.Zero


class Count(HeldFixed):
    """The number of elements along an axis."""

    nargs = 1
    is_positive = True
    is_integer = True


class Mask(HeldFixed):
    """A function whose values are 0 and 1, so that it is its own square."""

    is_nonnegative = True

    def _eval_power(self, exponent):
        return self if exponent.is_positive else None


class Indicator(Mask):
    """1 where the condition holds, else 0."""

    nargs = 1

    @classmethod
    def eval(cls, condition):
        known = {sympy.true: sympy.S.One, sympy.false: sympy.S.Zero}
        return known.get(condition)


class Pick(Mask):
    """1 at a row's index, else 0: `take(x, index, axis)` is the sum of `Pick(index, axis) * x` along the axis."""

    nargs = 2


class RowShift(HeldFixed):
    """`RowShift(x, axis)`: what to subtract from a row so that exp of it can be summed; with a third u, beside e**u."""

    nargs = (2, 3)


class RowTop(HeldFixed):
    """`RowTop(x, axis, rate)`: the number that x is counted from in exp(rate * x): the largest of a row will do."""

    nargs = 3


class RowScale(HeldFixed):
    """`RowScale(x, axis, degree, least)`: the power of two to divide a row by, so that its elements to the power
    `degree` can be summed, beside a term that is `least` to that power.
    """

    nargs = 4
    is_positive = True


class MeanError(HeldFixed):
    """`MeanError(x, axis, mean)`: the mean of x along the axis less the mean given, which is off by rounding only.

    `MeanError(x, axis, mean, weights)` is the same of a mean with weights, whatever their sum.
    """

    nargs = (3, 4)


class LogExcess(sympy.Function):
    """`LogExcess(total, axis, x)`: log(total / max(x)), total being the sum of the positive x along the axis."""

    nargs = 3
    is_nonnegative = True

    def _eval_derivative(self, symbol):
        return self.args[0].diff(symbol) / self.args[0]


class LogShare(sympy.Function):
    """`LogShare(total, axis, x, index, exponent)`: log(x / total) of each row's element of x at its index, total being
    the sum of the positive x along the axis, and exponent the logarithm of the element.
    """

    nargs = 5

    def _eval_derivative(self, symbol):
        total, exponent = self.args[0], self.args[4]
        return exponent.diff(symbol) - total.diff(symbol) / total


class InOtherWords(sympy.Function):
    """A function that is `elsewhere` in mathematics, and computed from more than that; `is_row`: a number for each."""

    is_real = True
    elsewhere = property(lambda self: self.args[0])

    def _eval_derivative(self, symbol):
        return self.elsewhere.diff(symbol)


class Weighed(InOtherWords):
    """`Weighed(x, axis, weights)`: x, exponents of what has weights in a sum: those of weight 0 exceed none by much."""

    nargs = 3


class Divergence(InOtherWords):
    """`Divergence(total, axis, p, logarithm)`: total, the sum of p * logarithm along the axis, where p and
    p * exp(-logarithm) both sum to 1: it is small where all logarithms are, and then of the order of their squares.
    """

    nargs = 4
    is_row = True


class LogRatio(InOtherWords):
    """`LogRatio(log_p, log_q, axis, q, x, y, rate)`: log_p - log_q, where p and q both sum to 1 along the axis, and
    p / q is exp(rate (x - y)) but for a number for each row.
    """

    nargs = 7
    elsewhere = property(lambda self: self.args[0] - self.args[1])


class ProductOfOthers(sympy.Function):
    """For each element the product of all the others along the axis: the derivative of `prod`, also beside zeros."""

    nargs = 2
    is_real = True


class Where(sympy.Function):
    """`where(condition, a, b)`. Its derivative takes the branch that the value took."""

    nargs = 3

    @classmethod
    def eval(cls, condition, a, b):
        if condition == sympy.true or a == b:
            return a
        if condition == sympy.false:
            return b
        if isinstance(condition, Relational) and all(side.could_extract_minus_sign() for side in condition.args):
            return cls(condition.reversedsign, a, b)
        return None

    def _eval_is_real(self):
        return True

    def _eval_derivative(self, symbol):
        return Where(self.args[0], *(slope(branch, symbol) for branch in self.args[1:]))


class Test(BooleanFunction):
    """A condition on one expression that NumPy tests by `numpy`."""

    nargs = 1
    numpy = ""

    @classmethod
    def eval(cls, expr):
        return sympy.sympify(cls.of_number(expr)) if expr.is_number else None

    @staticmethod
    def of_number(number) -> bool:
        """Whether it holds of a number, all of which are finite in formulas."""
        return False

    def _sympystr(self, printer):
        return f"{self.numpy.removeprefix('np.')}({printer.doprint(self.args[0])})"


class IsNan(Test):
    numpy = "np.isnan"


class IsInf(Test):
    numpy = "np.isinf"


class SignBit(Test):
    numpy = "np.signbit"

    @staticmethod
    def of_number(number) -> bool:
        return bool(number.evalf() < 0)


class Subgradient(sympy.Function):
    """An expression whose derivative is `value` where `condition` holds."""

    nargs = 3
    is_real = True

    def _eval_derivative(self, symbol):
        expr, condition, value = self.args
        derivative = expr.diff(symbol)
        return derivative if derivative == 0 else Where(condition, value, derivative)


class Deviation(sympy.Function):
    """`Deviation(term, weights, axis)`: `term - AxisSum(term * weights)` where the weights sum to 1;
    `Deviation(term, weights, rest, axis)` where they sum to 1 - rest.
    """

    nargs = (3, 4)
    is_real = True


class Balanced(sympy.Function):
    """`Balanced(dx, parts, power, axis)`: dx, for which the sum of `parts**power * dx` along the axis is 0. Where one
    of the parts outweighs the others, the element there is made of theirs.
    """

    nargs = 4
    is_real = True


class Decayed(sympy.Function):
    """`y`, a form of something that approaches `factor * exp(exponent)` as the exponential vanishes. Below the smallest
    normal number an exponential has few digits, or none, so that there the factor must come first.
    """

    nargs = 3
    is_real = True

    def _eval_derivative(self, symbol):
        return self.args[0].diff(symbol)


class NearZero(sympy.Function):
    """The series of that name at x: a polynomial fitted to a formula near its zero."""

    nargs = 2
    is_real = True


class Reduction(sympy.Function):
    """A reduction as a spec writes it; tracing turns each into a stage. `axis` is a `Str` with the axis' Python
    source.
    """

    nargs = 2
    is_real = True
    kind = ""


class SumOf(Reduction):
    kind = "sum"


class ProductOf(Reduction):
    kind = "prod"


class MaxOf(Reduction):
    kind = "max"


class MinOf(Reduction):
    kind = "min"


def is_constant_along(expr, axis: str) -> bool:
    """Whether an expression has one value along the axis (a conservative answer: False where it is not known)."""
    if isinstance(expr, Value):
        return axis in expr.constant_along or ALL_AXES in expr.constant_along
    along = (AxisSum, RowShift, RowTop, RowScale, MeanError, LogExcess, LogShare, Pick, ProductOfOthers)
    if (isinstance(expr, along) or getattr(expr, "is_row", False)) and expr.args[1].name in (axis, ALL_AXES):
        return not isinstance(expr, Pick | ProductOfOthers)
    return all(is_constant_along(arg, axis) for arg in expr.args)


def split_constants(term, axis: str):
    """A product as (factors constant along the axis, factors that vary)."""
    constant = [factor for factor in sympy.Mul.make_args(term) if is_constant_along(factor, axis)]
    varying = [factor for factor in sympy.Mul.make_args(term) if not is_constant_along(factor, axis)]
    return sympy.Mul(*constant), sympy.Mul(*varying)


def constant_axes(expr, axes: frozenset[str]) -> frozenset[str]:
    return frozenset(axis for axis in axes if is_constant_along(expr, axis))


def _index_text(index) -> str:
    if isinstance(index, slice):
        return ":".join("" if part is None else str(part) for part in (index.start, index.stop))
    return "..." if index is Ellipsis else repr(index) if isinstance(index, str) else str(index)


@dataclass(frozen=True)
class Indexed:
    """Tensors under index letters, multiplied, and the letters summed over: the formula of a contraction.

    A leading `...` stands for batch axes, which broadcast and are never summed. One tensor may be added to the sums,
    under some of their letters, in the same order: the `bias`. Where it all meets what has no indices, it is the
    tensor of its sums: a step of its own in the formula.
    """

    factors: tuple[tuple[Value, tuple], ...]
    summed: tuple[sympy.Symbol, ...] = ()
    bias: tuple[Value, tuple] | None = None

    @property
    def occurring(self) -> tuple[sympy.Symbol, ...]:
        """The letters, in the order in which they occur first."""
        found = (index for _, indices in self.factors for index in indices if index is not Ellipsis)
        return tuple(
            dict.fromkeys(one for index in found for one in sorted(index.free_symbols, key=str) if one.is_integer)
        )

    @property
    def letters(self) -> tuple[sympy.Symbol, ...]:
        """The indices of the result, in the order of its axes."""
        return tuple(letter for letter in self.occurring if letter not in self.summed)

    @property
    def leads(self) -> bool:
        """Whether there are leading axes."""
        return any(Ellipsis in indices for _, indices in self.factors)

    @property
    def tensor(self) -> Value:
        """The tensor of the sums, in the formula that is being traced.

        Raises:
            SpecError: nothing is summed.
        """
        if not self.summed:
            raise SpecError(
                f"{self.factors[0][0].name} has indices here, and what it meets has none",
                "write the sum of products of indexed tensors first, as in y = sum(a[i, k] * b[k, j], k); numbers, "
                "functions and tensors without indices come after it",
            )
        return RECORDER.get().contracted(self)

    @property
    def tensors(self) -> tuple[tuple[Value, tuple], ...]:
        """All that stands in the formula, each with its indices."""
        return (*self.factors, *filter(None, [self.bias]))

    @property
    def takes_bias(self) -> bool:
        """Whether it is a plain sum of products, to which a tensor can be added."""
        return bool(self.summed) and len(self.factors) > 1 and self.bias is None

    def __add__(self, other):
        is_shorter = isinstance(other, Indexed) and (other.letters != self.letters or other.leads < self.leads)
        if is_shorter and len(other.factors) == 1:
            value, indices = other.factors[0]
            is_new = all(value != factor for factor, _ in self.factors)
            in_order = tuple(letter for letter in self.letters if letter in indices)
            if self.takes_bias and is_new and not other.summed and indices == in_order:
                return replace(self, bias=(value, indices))
        return _on_tensors("add")(self, other)

    def summed_over(self, letters) -> Indexed:
        self._refuse_bias()
        letters = letters if isinstance(letters, tuple) else (letters,)
        for letter in letters:
            if letter not in self.letters:
                mend = f"sum over letters that occur: {', '.join(map(str, self.letters))}"
                raise SpecError(f"{letter} is summed but indexes nothing", mend)
        return replace(self, summed=self.summed + letters)

    def renamed(self, taken: tuple[sympy.Symbol, ...]) -> Indexed:
        """The same with fresh letters for those that it sums over and that are taken."""
        used = {letter.name for letter in (*taken, *self.occurring)}
        fresh = (sympy.Symbol(letter, integer=True) for letter in "zyxwvutsrqponmlkjihgfedcba" if letter not in used)
        names = {letter: next(fresh) for letter in self.summed if letter in taken}

        def index(one):
            return one if one is Ellipsis else one.xreplace(names)

        factors = tuple((value, tuple(map(index, indices))) for value, indices in self.factors)
        return Indexed(factors, tuple(names.get(letter, letter) for letter in self.summed))

    def __mul__(self, other):
        if not isinstance(other, Indexed):
            return self.tensor * other
        self._refuse_bias(other)
        mine = self.renamed(other.occurring)
        other = other.renamed(mine.occurring)
        return Indexed(mine.factors + other.factors, mine.summed + other.summed)

    def __getitem__(self, indices) -> Indexed:
        return self.tensor[indices]

    def __neg__(self):
        return -self.tensor

    def _sympy_(self) -> Value:
        return self.tensor

    def _refuse_bias(self, *others: Indexed) -> None:
        if any(one.bias for one in (self, *others)):
            raise SpecError("a sum with another tensor stands inside a contraction", "add that tensor last")


def _on_tensors(name: str):
    """A binary operator, for `Indexed`: it takes the tensors, whose axes must have the same letters."""

    def operate(self, other):
        if isinstance(other, Indexed):
            if other.letters != self.letters:
                mine, theirs = (", ".join(map(str, one.letters)) for one in (self, other))
                raise SpecError(
                    f"the indices [{mine}] and [{theirs}] are not the same",
                    "sum over those that one side lacks, or change the order: the axes of a result are in the order in "
                    "which its letters occur first",
                )
            other = other.tensor
        return getattr(operator, name)(self.tensor, other)

    return operate


for _name in ("sub", "truediv", "pow", "lt", "le", "gt", "ge"):
    setattr(Indexed, f"__{_name}__", _on_tensors(_name))
