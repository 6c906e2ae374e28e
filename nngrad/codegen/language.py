"""The words a spec may use.

A spec function is called with symbols; the words build SymPy expressions from them. One table, `WORDS`, says for each
elementwise word what it means: to SymPy (a `Function` whose `fdiff` is its derivative), to NumPy (a ufunc, or an
expression in other words) and to mpmath (the oracle). Reductions, `where` and index notation follow below the table.

Everything symbolic here is exact: decimal numbers in a spec are rationals, and `pi` is pi.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import sympy
from sympy.core.symbol import Str

ALL_AXES = "None"


class SpecError(Exception):
    """A mistake in a spec: what is wrong, where, and how to mend it."""

    def __init__(self, problem: str, mend: str, *, op: str = "", file: str = "", line: int = 0):
        super().__init__(problem, mend)
        self.problem, self.mend, self.op, self.file, self.line = problem, mend, op, file, line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        subject = f"in {self.op}: " if self.op else ""
        return f"{place}{subject}{self.problem}\n  how to mend it: {self.mend}"


# --- symbols ----------------------------------------------------------------------------------------------------------


class Value(sympy.Symbol):
    """A tensor in a formula: an input, a stage, a cotangent. `constant_along` names the axes along which it has length 1."""

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
        return Indexed(((self, indices if isinstance(indices, tuple) else (indices,)),))

    __iter__ = None  # a tensor in a formula has no length that Python could walk


class Parameter(sympy.Symbol):
    """A number that the caller passes, the same for every element."""

    def __new__(cls, name: str):
        return sympy.Symbol.__xnew__(cls, name, real=True)


class AxisSum(sympy.Function):
    """The sum of an expression along an axis. It is linear by construction: constants leave it, sums are pulled apart."""

    nargs = 2

    @classmethod
    def eval(cls, term, axis):
        term = sympy.expand(term, power_base=False, power_exp=False, log=False, multinomial=False)
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


class Count(sympy.Function):
    """The number of elements along an axis."""

    nargs = 1
    is_positive = True
    is_integer = True
    is_real = True

    def _eval_derivative(self, symbol):
        return sympy.S.Zero


class Indicator(sympy.Function):
    """1 where the condition holds, else 0. Its derivative is zero: the condition is held fixed."""

    nargs = 1
    is_real = True
    is_nonnegative = True

    def _eval_derivative(self, symbol):
        return sympy.S.Zero

    def _eval_power(self, exponent):
        return self if exponent.is_positive else None


class Pick(sympy.Function):
    """1 at a row's index, else 0: `take(x, index, axis)` is the sum of `Pick(index, axis) * x` along the axis."""

    nargs = 2
    is_real = True
    is_nonnegative = True

    def _eval_derivative(self, symbol):
        return sympy.S.Zero

    def _eval_power(self, exponent):
        return self if exponent.is_positive else None


class ProductOfOthers(sympy.Function):
    """For each element the product of all the others along the axis: the derivative of `prod`, also where zeros occur."""

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
        return None

    def _eval_is_real(self):
        return True

    def _eval_derivative(self, symbol):
        condition, a, b = self.args
        return Where(condition, a.diff(symbol), b.diff(symbol))


def is_constant_along(expr, axis: str) -> bool:
    """Whether an expression has one value along the axis (a conservative answer: False where it is not known)."""
    if isinstance(expr, Value):
        return axis in expr.constant_along or ALL_AXES in expr.constant_along
    if isinstance(expr, AxisSum | Pick | ProductOfOthers) and expr.args[1].name in (axis, ALL_AXES):
        return isinstance(expr, AxisSum)
    return all(is_constant_along(arg, axis) for arg in expr.args)


def split_constants(term, axis: str):
    """A product as (factors constant along the axis, factors that vary)."""
    constant = [factor for factor in sympy.Mul.make_args(term) if is_constant_along(factor, axis)]
    varying = [factor for factor in sympy.Mul.make_args(term) if not is_constant_along(factor, axis)]
    return sympy.Mul(*constant), sympy.Mul(*varying)


def constant_axes(expr, axes: frozenset[str]) -> frozenset[str]:
    return frozenset(axis for axis in axes if is_constant_along(expr, axis))


# --- elementwise words ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """An elementwise function that a spec may name.

    Attributes:
        name: as a spec writes it.
        build: from SymPy arguments to the SymPy expression.
        numpy: the NumPy ufunc, or helper of `nngrad_ops.runtime`, that computes it; '' where `expansion` does.
        oracle: the same function for mpmath.
        cost: time per element in multiplications (the fixed table that choices are made by).
        doc: one line.
        arity: how many arguments it takes.
        expansion: the word in terms of others, written so that it neither overflows nor cancels.
        smooth: for a word that is no op of its own: what it is in differentiable words.
        safe: an argument at which the function is finite and silent, for words that are not so everywhere.
    """

    name: str
    build: Callable
    numpy: str
    oracle: Callable
    cost: float
    doc: str
    arity: int = 1
    expansion: Callable | None = None
    smooth: Callable | None = None
    safe: float | None = None

    def __call__(self, *args):
        return self.build(*(sympy.sympify(arg) for arg in args))


WORDS: dict[str, Word] = {}
WORD_OF: dict[type, Word] = {}


def _word(name, numpy, oracle, cost, doc, *, head=None, derivatives=None, arity=1, expansion=None, smooth=None,
          safe=None, **traits):
    """Enter a word into the table. Without a `head` known to SymPy, a class is made whose `fdiff` is `derivatives`."""
    if head is None:

        def fdiff(self, argindex=1):
            return sympy.sympify(derivatives(*self.args)[argindex - 1])

        head = type(name, (sympy.Function,), {"nargs": arity, "fdiff": fdiff, "is_real": True, **traits})
    word = Word(name, head, numpy, oracle, cost, doc, arity, expansion, smooth, safe)
    WORDS[name] = word
    if isinstance(head, type):
        WORD_OF[head] = word
    return word


def _is_tensor(expr) -> bool:
    return bool(expr.atoms(Value))


def _extremum_derivatives(loses: Callable, loses_or_ties: Callable):
    """The winner takes all, two tensors share a tie, and against a constant the tensor gets nothing at a tie."""

    def derivative(mine, other):
        if not _is_tensor(other):
            return Where(loses_or_ties(mine, other), 0, 1)
        return Where(loses(mine, other), 0, Where(sympy.Eq(mine, other), half, 1))

    return lambda a, b: (derivative(a, b), derivative(b, a))


def _power_derivatives(base, exponent):
    """x**0 is constant in x, and 0**y is constant in y."""
    by_base = Where(sympy.Eq(exponent, 0), 0, exponent * power(base, exponent - 1))
    by_exponent = Where(sympy.Eq(base, 0), 0, power(base, exponent) * log(base))
    return by_base, by_exponent


half, two_over_sqrt_pi = sympy.Rational(1, 2), 2 / sympy.sqrt(sympy.pi)

abs = _word(
    "abs", "np.abs", mpmath.fabs, 1, "Absolute value.", derivatives=lambda x: [sign(x)], is_nonnegative=True,
    eval=classmethod(lambda cls, x: cls(-x) if x.could_extract_minus_sign() else None),
)
sign = _word("sign", "np.sign", mpmath.sign, 3, "Sign: -1, 0 or 1.", derivatives=lambda x: [0])
floor = _word("floor", "np.floor", mpmath.floor, 1, "Largest integer not above x.", derivatives=lambda x: [0])
sqrt = _word("sqrt", "np.sqrt", mpmath.sqrt, 3, "Square root.", head=sympy.sqrt)
rsqrt = _word("rsqrt", "", lambda x: 1 / mpmath.sqrt(x), 4, "Reciprocal square root.", head=lambda x: x**-half)
cbrt = _word(
    "cbrt", "np.cbrt", lambda x: mpmath.sign(x) * mpmath.cbrt(mpmath.fabs(x)), 20, "Cube root.",
    derivatives=lambda x: [1 / (3 * cbrt(x) ** 2)],
)
exp = _word("exp", "np.exp", mpmath.exp, 4, "Exponential function.", head=sympy.exp, safe=0)
exp2 = _word(
    "exp2", "np.exp2", lambda x: mpmath.mpf(2) ** x, 4, "2 to the power x.",
    derivatives=lambda x: [sympy.log(2) * exp2(x)], is_positive=True, safe=0,
)
expm1 = _word("expm1", "np.expm1", mpmath.expm1, 4, "exp(x) - 1, exact near 0.", derivatives=lambda x: [exp(x)], safe=0)
log = _word("log", "np.log", mpmath.log, 4, "Natural logarithm.", head=sympy.log, safe=1)
log2 = _word(
    "log2", "np.log2", lambda x: mpmath.log(x, 2), 4, "Logarithm to base 2.",
    derivatives=lambda x: [1 / (x * sympy.log(2))], safe=1,
)
log10 = _word(
    "log10", "np.log10", mpmath.log10, 8, "Logarithm to base 10.",
    derivatives=lambda x: [1 / (x * sympy.log(10))], safe=1,
)
log1p = _word(
    "log1p", "np.log1p", mpmath.log1p, 4, "log(1 + x), exact near 0.", derivatives=lambda x: [1 / (1 + x)], safe=0
)
sin = _word("sin", "np.sin", mpmath.sin, 5, "Sine, x in radians.", head=sympy.sin, safe=0)
cos = _word("cos", "np.cos", mpmath.cos, 5, "Cosine, x in radians.", head=sympy.cos, safe=0)
tan = _word(
    "tan", "np.tan", mpmath.tan, 10, "Tangent, x in radians.", derivatives=lambda x: [1 / cos(x) ** 2], safe=0
)
arcsin = _word(
    "arcsin", "np.arcsin", mpmath.asin, 10, "Inverse sine, in radians.",
    derivatives=lambda x: [((1 - x) * (1 + x)) ** -half], safe=0,
)
arccos = _word(
    "arccos", "np.arccos", mpmath.acos, 10, "Inverse cosine, in radians.",
    derivatives=lambda x: [-(((1 - x) * (1 + x)) ** -half)], safe=0,
)
arctan = _word(
    "arctan", "np.arctan", mpmath.atan, 10, "Inverse tangent, in radians.", derivatives=lambda x: [1 / (1 + x**2)]
)
arctan2 = _word(
    "arctan2", "np.arctan2", mpmath.atan2, 15, "Angle of the point (x2, x1), in radians.", arity=2,
    derivatives=lambda y, x: [x / (x**2 + y**2), -y / (x**2 + y**2)],
)
sinh = _word("sinh", "np.sinh", mpmath.sinh, 10, "Hyperbolic sine.", derivatives=lambda x: [cosh(x)], safe=0)
cosh = _word("cosh", "np.cosh", mpmath.cosh, 10, "Hyperbolic cosine.", derivatives=lambda x: [sinh(x)], safe=0)
tanh = _word(
    "tanh", "np.tanh", mpmath.tanh, 2, "Hyperbolic tangent.", derivatives=lambda x: [4 * sigmoid_slope(2 * x)]
)
arcsinh = _word(
    "arcsinh", "np.arcsinh", mpmath.asinh, 15, "Inverse hyperbolic sine.", derivatives=lambda x: [1 / hypot(1, x)]
)
arccosh = _word(
    "arccosh", "np.arccosh", mpmath.acosh, 15, "Inverse hyperbolic cosine.",
    derivatives=lambda x: [((x - 1) * (x + 1)) ** -half], safe=2,
)
arctanh = _word(
    "arctanh", "np.arctanh", mpmath.atanh, 15, "Inverse hyperbolic tangent.",
    derivatives=lambda x: [1 / ((1 - x) * (1 + x))], safe=0,
)
hypot = _word(
    "hypot", "np.hypot", mpmath.hypot, 6, "sqrt(x1**2 + x2**2) without overflow.", arity=2, is_nonnegative=True,
    derivatives=lambda a, b: [
        Where(sympy.Eq(hypot(a, b), 0), 0, a / hypot(a, b)), Where(sympy.Eq(hypot(a, b), 0), 0, b / hypot(a, b))
    ],
)
sinc = _word(
    "sinc", "runtime.sinc", mpmath.sincpi, 12, "sin(pi x) / (pi x), and 1 at 0.",
    derivatives=lambda x: [Where(sympy.Eq(x, 0), 0, (cos(sympy.pi * x) - sinc(x)) / x)],
)
erf = _word(
    "erf", "runtime.erf", mpmath.erf, 15, "Error function.", derivatives=lambda x: [two_over_sqrt_pi * exp(-(x**2))]
)
erfc = _word(
    "erfc", "runtime.erfc", mpmath.erfc, 15, "Complementary error function 1 - erf(x), exact in the tail.",
    derivatives=lambda x: [-two_over_sqrt_pi * exp(-(x**2))], is_positive=True,
)
sigmoid = _word(
    "sigmoid", "", lambda x: 1 / (1 + mpmath.exp(-x)), 7, "Logistic function 1 / (1 + exp(-x)).",
    derivatives=lambda x: [sigmoid_slope(x)], is_positive=True,
    expansion=lambda x: maximum(exp(-abs(x)), Indicator(sympy.Ge(x, 0))) / (1 + exp(-abs(x))),
)
# The bell sigmoid(x) sigmoid(-x), which sigmoid and tanh share as their derivative. It is not for specs to write.
sigmoid_slope = _word(
    "sigmoid_slope", "", lambda x: 1 / (2 + mpmath.exp(x) + mpmath.exp(-x)), 6, "sigmoid(x) sigmoid(-x).",
    derivatives=lambda x: [sigmoid_slope(x) * (sigmoid(-x) - sigmoid(x))], is_positive=True,
    expansion=lambda x: exp(-abs(x)) / (1 + exp(-abs(x))) ** 2, smooth=lambda x: sigmoid(x) * sigmoid(-x),
    eval=classmethod(lambda cls, x: cls(-x) if x.could_extract_minus_sign() else None),
)
softplus = _word(
    "softplus", "", lambda x: mpmath.log1p(mpmath.exp(x)), 9, "log(1 + exp(x)).",
    derivatives=lambda x: [sigmoid(x)], is_positive=True,
    expansion=lambda x: maximum(x, 0) + log1p(exp(-abs(x))),
)
logaddexp = _word(
    "logaddexp", "np.logaddexp", lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)), 20,
    "log(exp(x1) + exp(x2)).", arity=2, derivatives=lambda a, b: [sigmoid(a - b), sigmoid(b - a)],
)
minimum = _word(
    "minimum", "np.minimum", builtins.min, 2, "The smaller of two; NaN where either is.", arity=2,
    derivatives=_extremum_derivatives(sympy.Gt, sympy.Ge),
)
maximum = _word(
    "maximum", "np.maximum", builtins.max, 2, "The larger of two; NaN where either is.", arity=2,
    derivatives=_extremum_derivatives(sympy.Lt, sympy.Le),
)
clip = _word(
    "clip", "np.clip", lambda x, low, high: builtins.min(builtins.max(x, low), high), 2, "x limited to [min, max].", arity=3,
    derivatives=lambda x, low, high: [Where(sympy.And(x >= low, x <= high), 1, 0), 0, 0],
)
power = _word(
    "power", "runtime.power", mpmath.power, 30, "x1 to the power x2.", arity=2, derivatives=_power_derivatives, safe=1
)


# --- where, reductions, index notation --------------------------------------------------------------------------------


# The words that are Python functions, not `Word`s: with their documentation.
FUNCTION_WORDS: dict[Callable, str] = {}


class Reduction(sympy.Function):
    """A reduction as a spec writes it; tracing turns each into a stage. `axis` is a `Str` with the axis' Python source."""

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


def axis_label(axis) -> Str:
    """The name of an axis inside formulas: the parameter's name, or the literal as Python writes it."""
    if isinstance(axis, tuple | list):
        return Str("(" + ", ".join(axis_label(one).name for one in axis) + ("," if len(axis) == 1 else "") + ")")
    if isinstance(axis, Parameter | sympy.Integer) or axis is None or isinstance(axis, int):
        return Str(str(axis))
    raise SpecError(f"an axis is an int, a tuple of ints, None or a parameter, not {axis}", "pass axis=-1, for example")


def _reduction(head: type, doc: str):
    def reduce(x, axis=None):
        if isinstance(x, Indexed):
            return x.summed_over(axis)
        return head(sympy.sympify(x), axis_label(axis))

    reduce.__name__, reduce.__doc__ = head.kind, doc
    FUNCTION_WORDS[reduce] = doc
    return reduce



sum = _reduction(SumOf, "Sum along an axis; all axes when none is given. The axis is kept with length 1.")
prod = _reduction(ProductOf, "Product along an axis.")
max = _reduction(MaxOf, "Maximum along an axis; ties share the gradient equally.")
min = _reduction(MinOf, "Minimum along an axis; ties share the gradient equally.")


def count(x, axis=None):
    """The number of elements along an axis."""
    return Count(axis_label(axis))


def mean(x, axis=None):
    """Arithmetic mean along an axis."""
    return sum(x, axis) / count(x, axis)


def var(x, axis=None):
    """Population variance along an axis, centred first."""
    return mean((x - mean(x, axis)) ** 2, axis)


def take(x, index, axis):
    """The element of each row at the row's integer index."""
    return SumOf(Pick(index, axis_label(axis)) * x, axis_label(axis))


def where(condition, a, b):
    """a where the condition holds, b elsewhere. The branch not taken leaks neither NaN nor warning."""
    if isinstance(condition, bool):
        return a if condition else b
    if isinstance(condition, Value):
        condition = sympy.Ne(condition, 0)
    return Where(condition, sympy.sympify(a), sympy.sympify(b))


FUNCTION_WORDS[where] = where.__doc__


class Subgradient(sympy.Function):
    """An expression whose derivative is `value` where `condition` holds."""

    nargs = 3
    is_real = True

    def _eval_derivative(self, symbol):
        expr, condition, value = self.args
        derivative = expr.diff(symbol)
        return derivative if derivative == 0 else Where(condition, value, derivative)


def subgradient(expr, condition, value):
    """`expr`, with its derivative stated where it is singular: `value` where `condition` holds."""
    return Subgradient(sympy.sympify(expr), condition, sympy.sympify(value))


def equal(a, b):
    """What `==` means in a formula: a condition between symbols, Python's own answer between plain values."""
    return sympy.Eq(a, b) if isinstance(a, sympy.Basic) or isinstance(b, sympy.Basic) else a == b


def unequal(a, b):
    """What `!=` means in a formula."""
    return sympy.Ne(a, b) if isinstance(a, sympy.Basic) or isinstance(b, sympy.Basic) else a != b


@dataclass(frozen=True)
class Indexed:
    """Tensors under index letters, multiplied, and the letters summed over: the formula of a contraction.

    A leading `...` stands for batch axes, which broadcast and are never summed.
    """

    factors: tuple[tuple[Value, tuple], ...]
    summed: tuple[sympy.Symbol, ...] = ()

    def __mul__(self, other: Indexed) -> Indexed:
        return Indexed(self.factors + other.factors, self.summed + other.summed)

    def summed_over(self, letters) -> Indexed:
        return replace(self, summed=self.summed + (letters if isinstance(letters, tuple) else (letters,)))


@dataclass(frozen=True)
class Contract:
    """A contraction whose index notation is a parameter, known only when the op is called."""

    subscripts: Any
    operands: Any


def contract(subscripts, *operands) -> Contract:
    """The contraction that `subscripts` (NumPy's einsum notation) describes."""
    return Contract(subscripts, operands)


i, j, k, l, m, n = LETTERS = sympy.symbols("i j k l m n", integer=True)
pi, e = sympy.pi, sympy.E


# --- declarations -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declaration:
    """A spec function and where its op belongs. Called inside another formula, it is traced into that formula."""

    function: Callable
    home: str

    @property
    def name(self) -> str:
        return self.function.name if isinstance(self.function, Word) else self.function.__name__

    def __call__(self, *args, **kwargs):
        return RECORDER.get().inline(self, args, kwargs)


DECLARED: ContextVar[list[Declaration]] = ContextVar("declared")
RECORDER: ContextVar[Any] = ContextVar("recorder")


def _decorator(home: str, doc: str):
    def declare(*functions):
        declarations = [Declaration(function, home) for function in functions]
        DECLARED.get([]).extend(declarations)
        return declarations[0] if len(functions) == 1 else tuple(declarations)

    declare.__name__, declare.__doc__ = home, doc
    return declare


op = _decorator("op", "Plain mathematics: a function of `nngrad` and a Tensor method. Words become ops as they stand.")
activation = _decorator("activation", "An activation: a function of `nngrad.nn.functional` and a Tensor method.")
loss = _decorator("loss", "A loss: a function of `nngrad.nn.functional` with `reduction='mean' | 'sum' | 'none'`.")
norm = _decorator("norm", "A normalisation: a function of `nngrad.nn.functional`.")
contraction = _decorator("contraction", "A product of indexed tensors, summed over indices.")
structural = _decorator("structural", "An index map, declared in a table together with its adjoint.")
