"""Stage 6: exponentials, which magnify what rounding their exponent loses.

At an exponent of -80 half a unit in its last place is 60 units of the exponential's. So exponents that are rounded are
computed in a wider dtype or, where there is none, in two parts.

Worked example: in exp(-1.702 x) the rate is -1.702, and `runtime.exp_multiple` computes it as if the product were
exact. exp(-x / 4) needs no such care. The exponent of exp(-3 (x - 1)) is computed with twice the digits: short floats
in float64, float64 in two parts, hi + lo, by `pairs`. In kernels for inputs of ordinary size exp(x - x**3) becomes
`exp2_in_float64(x * (1.44 - 1.44 * x**2))`, and float64, for which that is not enough, is left to the others.

Functions that take a graph, that of `lower`, build nodes in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mpmath
import sympy

from nngrad.codegen.algebra import gaussians, words
from nngrad.codegen.algebra.symbols import Decayed, Parameter, Value
from nngrad.codegen.algebra.texts import text
from nngrad.codegen.algebra.vocabulary import WORD_OF, enter, is_tensor
from nngrad.codegen.lowering.joint import is_of_sums
from nngrad.codegen.rules.exponentials import LARGEST_DEGREE, LARGEST_EXPONENT, log1p_times_exp, times_exp
from nngrad.codegen.rules.settled import without_ratios

MOST_COEFFICIENTS = 5  # of polynomials for which so many bits of x are enough that their products are exact
TIMES_EXP = (times_exp.build, log1p_times_exp.build)
LIKE_EXP = (words.expm1.build, words.exp2.build, words.sinh.build, words.cosh.build)
ROOT_TWO_PI = sympy.sqrt(2 * sympy.pi)
BELLS = {  # words made of the exponential of a square: the exponent, and the word written out
    gaussians.normal_density.build: lambda u: (-(u**2) / 2, sympy.exp(-(u**2) / 2) / ROOT_TWO_PI),
    gaussians.times_its_normal_density.build: lambda u, density: (
        -(u**2) / 2,
        Decayed(words.finite(u) * density, u / ROOT_TWO_PI, -(u**2) / 2),
    ),
    gaussians.x_exp_square.build: lambda u, c: (
        c * u**2,
        Decayed(words.finite(u) * sympy.exp(c * u**2), u, c * u**2),
    ),
}
OF_DIGITS = {  # functions that an exponent may be made of
    sympy.exp: "pairs.wide_exp",
    sympy.log: "pairs.wide_log",
    words.expm1.build: "pairs.wide_expm1",
    words.log1p.build: "pairs.wide_log1p",
    words.power.build: "pairs.wide_power",
}
UNROUNDED = (words.abs.build, words.clamped.build, words.finite.build, words.maximum.build, words.minimum.build)

exp2_in_float64 = enter(  # not for specs to write
    "exp2_in_float64",
    "",
    lambda x: mpmath.mpf(2) ** x,
    12,
    "2 to the power x, computed in float64.",
    is_positive=True,
    safe=(0,),
    smooth=lambda x: sympy.Integer(2) ** x,
)
in_float64 = enter(  # not for specs to write
    "in_float64",
    "",
    lambda x: x,
    1,
    "An expression, computed in float64.",
    safe=(0,),
    smooth=lambda x: x,
)


def exponential(graph, exponent) -> int:
    """The node of exp. c u and c u**2 overflow before exp is 0, too."""
    if is_of_sums(exponent, graph.formula, graph.arguments.keys()):
        return graph.node("exp_narrowed", graph.in_wider("runtime.widened", exponent))
    terms = exponent.args if exponent.is_Add else ()
    shift = next((term for term in terms if graph.is_shift(term.as_coeff_Mul()[1])), None)
    above = graph.build(exponent - shift) if shift is not None else None
    if above is not None and not graph.nodes[above].is_scalar:
        above = above if graph.nodes[above].is_row else graph.full(above)
        return graph.node("call", above, graph.build(-shift), detail="runtime.exp_shifted")
    if (wide := doubled(graph, exponent)) is not None:
        return graph.node("of_doubled", wide, detail="exp")
    coefficient, rest = exponent.as_coeff_Mul()
    if rest.is_Pow and rest.exp == 2 and is_tensor(rest):
        return graph.node("call", graph.build(rest.base), graph.number(coefficient), detail="runtime.exp_square")
    if of := as_multiple(exponent, graph.formula.inputs):
        return graph.node("call", *nodes_of(graph, *of), detail="runtime.exp_multiple")
    if isinstance(rest, words.abs.build) and coefficient < -1:
        exponent = coefficient * words.minimum(rest, LARGEST_EXPONENT)
    return graph.node("call", graph.build(exponent), detail="np.exp")


def word_of_doubled(graph, expr) -> int | None:
    """The node of a word whose exponent has twice the digits, or stands beside factors; None for other words, and
    where that is not needed.
    """
    if isinstance(expr, exp2_in_float64.build) and not graph.smooth:
        return power_of_two_in_float64(graph, *expr.args)
    if isinstance(expr, in_float64.build) and not graph.smooth:
        return graph.node("shortened", graph.in_wider("runtime.as_float64", *expr.args))
    if isinstance(expr, TIMES_EXP) and not graph.smooth:
        (product, exponent), word = expr.args, WORD_OF[type(expr)]
        number, rest = exponent.as_coeff_Mul()
        if isinstance(expr, times_exp.build) and abs(number) > 1:
            exponent = number * words.clamped(rest, words.FAR_FROM_FLOATS)
        factors, wide = factors_of(graph, product), doubled(graph, exponent, is_only_way=True)
        if wide is None:
            return graph.node("call", *factors, graph.build(exponent), detail=word.numpy)
        return graph.node("of_doubled", *factors, wide, detail=word.name)
    if isinstance(expr, LIKE_EXP):
        wide = doubled(graph, *expr.args)
        return None if wide is None else graph.node("of_doubled", wide, detail=WORD_OF[type(expr)].name)
    if type(expr) not in BELLS:
        return None
    exponent, written = BELLS[type(expr)](*expr.args)
    return None if doubled(graph, exponent) is None else graph.build(written)


def factors_of(graph, product) -> list[int]:
    """The nodes of the factors of a product, powers as several, for the product may leave the range; arrays first."""
    factors = []
    for factor in sympy.Mul.make_args(product):
        base, power = factor.as_base_exp()
        is_repeated = power.is_Integer and abs(power) <= LARGEST_DEGREE
        factors += [base if power > 0 else 1 / base] * abs(int(power)) if is_repeated else [factor]
    return [graph.build(one) for one in sorted(factors, key=lambda one: (not one.atoms(Value), text(one)))]


def power_of_two_in_float64(graph, exponent) -> int:
    """The node of 2 to a power that is computed in float64; in one that knows the limit of its input, for float64."""
    if graph.limit:
        return power_of_polynomial(graph, exponent)
    wide = graph.in_wider("runtime.as_float64", exponent)
    return graph.node("shortened", graph.node("call", wide, detail="np.exp2"))


def power_of_polynomial(graph, exponent) -> int:
    """The node of 2 to the power of a polynomial in one input of float64, computed with more digits."""
    x, coefficients = as_polynomial(exponent, graph.formula.inputs)
    numbers = [_Doubled(graph).build(one) for one in coefficients]
    return graph.node("call", graph.build(x), graph.number(graph.limit), *numbers, detail="pairs.exp2_of_polynomial")


def as_polynomial(exponent, inputs: tuple[Value, ...]) -> tuple[Value, list[sympy.Expr]] | None:
    """The input that an exponent is a short polynomial of, and its coefficients, highest power first."""
    (x, *others) = exponent.free_symbols or {None}
    if others or x not in inputs or not exponent.is_polynomial(x):
        return None
    coefficients = sympy.Poly(exponent, x).all_coeffs()
    return (x, coefficients) if 1 < len(coefficients) <= MOST_COEFFICIENTS else None


def doubled(graph, exponent, is_only_way=False) -> int | None:
    """The node of an exponent with twice the digits; None where it is not plain arithmetic of what has no rounding
    error, or needs none, or is only a multiple of that or of its square, for which there are other ways, mostly.
    """
    if not graph.doubles:
        return None
    exponent = without_ratios(written_out(graph, exponent)).replace(_is_last_resort, lambda limited: limited.args[0])
    inputs = graph.formula.inputs
    factors = [factor for factor in sympy.Mul.make_args(exponent) if factor.atoms(Value)]
    if not factors:
        return None
    bases = [_without_size(factor.base if factor.is_Pow and factor.exp == 2 else factor) for factor in factors]
    is_multiple = len(bases) < 2 and all(_is_exact(_apart(base)[1], inputs) for base in bases)
    number, params = (exponent / sympy.Mul(*factors)).as_coeff_Mul()
    if params != 1:  # a rate that is rounded itself, but for a parameter's multiple by a power of two
        is_multiple &= isinstance(params, Parameter) and _is_power_of_two(number) and not factors[0].is_Pow
    if is_only_way and is_multiple:
        rate, multiple = _apart(exponent)
        is_multiple = _is_power_of_two(rate) and _is_exact(multiple, inputs)
    return None if is_multiple or not _is_plain(exponent, inputs) else _Doubled(graph).build(exponent)


def _without_size(expr):
    return expr.args[0] if isinstance(expr, words.abs.build) else expr


def written_out(graph, expr):
    """The expression in terms of inputs, as far as it is made of them element by element."""
    while True:
        made = {value: graph.formula.definition(value) for value in expr.atoms(Value) if value not in graph.arguments}
        made = {value: stage.expr for value, stage in made.items() if stage is not None and stage.kind == "map"}
        if not made:
            return expr
        expr = expr.xreplace(made)


def _is_last_resort(expr) -> bool:
    """Whether an expression is limited where its exponential is 0 or infinite in every dtype."""
    return isinstance(expr, words.minimum.build) and expr.args[1] == LARGEST_EXPONENT


def _is_plain(expr, inputs: tuple[Value, ...]) -> bool:
    """Whether an expression is arithmetic of numbers, parameters, and what has no rounding error."""
    if expr.is_number or isinstance(expr, Parameter) or _is_exact(expr, inputs):
        return True
    if isinstance(expr, words.maximum.build | words.minimum.build | words.clamped.build):
        return expr.args[1].is_number and _is_plain(expr.args[0], inputs)
    if type(expr) in OF_DIGITS or (expr.is_Pow and not expr.exp.is_Integer):
        return all(_is_plain(arg, inputs) for arg in expr.args)
    if expr.is_Pow:
        return _is_plain(expr.base, inputs)
    return (expr.is_Add or expr.is_Mul or isinstance(expr, words.abs.build)) and all(
        _is_plain(arg, inputs) for arg in expr.args
    )


@dataclass
class _Doubled:
    """Builds the nodes of plain arithmetic with twice the digits in `graph`, that of `lower`."""

    graph: object

    def build(self, expr) -> int:
        if expr.is_number:
            return self._number(expr)
        if not expr.atoms(Value):
            return self.graph.build(expr)
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            if not expr.exp.is_Integer:
                return self._function(expr)
            power = self._power(self.build(expr.base), abs(int(expr.exp)))
            return power if expr.exp > 0 else self.graph.node("divide", self.graph.number(1), power)
        if isinstance(expr, UNROUNDED) and not _is_exact(expr, self.graph.formula.inputs):
            name = WORD_OF[type(expr)].numpy.replace("runtime.", "pairs.")
            return self.graph.node("call", *map(self.build, expr.args), detail=name)
        if type(expr) in OF_DIGITS:
            return self._function(expr)
        return self.graph.node("call", self.graph.build(expr), detail="pairs.doubled")

    def _function(self, expr) -> int:
        """A function, or a power that is no product, of what has twice the digits."""
        args = expr.args
        name = OF_DIGITS.get(type(expr), "pairs.wide_power")
        if expr.is_Pow and expr.exp == sympy.S.Half:
            args, name = expr.args[:1], "pairs.wide_sqrt"
        return self.graph.node("call", *map(self.build, args), detail=name)

    def _number(self, number) -> int:
        """A number, and what the float next to it lacks."""
        lacking = number - sympy.Rational(float(number))
        first = self.graph.number(number)
        return self.graph.node("digits", first, self.graph.number(lacking)) if lacking else first

    def _sum(self, expr) -> int:
        """Arrays first, so that numbers meet what has twice the digits."""
        content, primitive = expr.primitive()
        if content != 1 and all(abs(term.as_coeff_Mul()[0]) == 1 for term in primitive.args if not term.is_number):
            return self.graph.node("multiply", self.build(primitive), self._number(content))
        terms = sorted(expr.args, key=lambda term: (not term.atoms(Value), _is_negative(term), text(term)))
        first, *others = terms
        total = self.build(first)
        for term in others:
            size = self.build(-term if _is_negative(term) else term)
            total = self.graph.node("subtract" if _is_negative(term) else "add", total, size)
        return total

    def _product(self, expr) -> int:
        """The same; parameters one by one, for the product of two would be rounded."""
        if _is_negative(expr):
            return self.graph.node("negative", self.build(-expr))
        number, rest = expr.as_independent(sympy.Symbol, as_Add=False)
        factors = [one for factor in sympy.Mul.make_args(rest) for one in _single(factor)]
        factors += [number] if number != 1 else []
        first, *others = sorted(factors, key=lambda factor: (not factor.atoms(Value), factor.is_Pow, text(factor)))
        total = self.build(first)
        for factor in others:
            op = "divide" if factor.is_Pow and factor.exp.is_negative else "multiply"
            total = self.graph.node(op, total, self.build(factor if op == "multiply" else 1 / factor))
        return total

    def _power(self, base: int, power: int) -> int:
        if power == 1:
            return base
        half = self._power(base, power // 2)
        square = self.graph.node("multiply", half, half)
        return self.graph.node("multiply", square, base) if power % 2 else square


def _single(factor) -> list[sympy.Expr]:
    """A power of a parameter as the factors that it has, for it would be rounded; others as they are."""
    base, power = factor.as_base_exp()
    is_power = isinstance(base, Parameter) and power.is_Integer
    return [base ** sympy.sign(power)] * abs(int(power)) if is_power else [factor]


def _is_negative(term) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)


def as_multiple(exponent, inputs: tuple[Value, ...]) -> tuple[sympy.Expr, sympy.Expr] | None:
    """The number or parameter and the input, perhaps a limited one, that an exponent is the rounded product of."""
    rate, multiple = _apart(exponent)
    if isinstance(multiple, words.abs.build):
        inner, size = _apart(multiple.args[0])
        rate, multiple = rate * (abs(inner) if inner.is_number else words.abs(inner)), words.abs(size)
    return None if _is_power_of_two(rate) or not _is_exact(multiple, inputs) else (rate, multiple)


def is_rounded(exponent, inputs: tuple[Value, ...]) -> bool:
    """Whether an exponent is neither exact nor a multiple that is computed as if it were."""
    return not _is_exact(_apart(exponent)[1], inputs)


def nodes_of(graph, rate, multiple) -> list[int]:
    """The nodes of an input, the rate that it is multiplied by, and what the float next to this lacks; those that are
    not needed are left out.
    """
    lacking = rate - sympy.Rational(float(rate)) if rate.is_number else 0
    if lacking:
        return [graph.build(multiple), graph.build(rate), graph.number(lacking)]
    return [graph.build(multiple)] if rate == 1 else [graph.build(multiple), graph.build(rate)]


def _apart(product) -> tuple[sympy.Expr, sympy.Expr]:
    """The numbers and parameters that a product has, and the rest."""
    factors = sympy.Mul.make_args(product)
    rate = sympy.Mul(*(one for one in factors if one.is_number or isinstance(one, Parameter)))
    return rate, product / rate


def _is_power_of_two(rate) -> bool:
    return rate.is_Rational and math.frexp(abs(rate))[0] == 0.5


def _is_exact(expr, inputs: tuple[Value, ...]) -> bool:
    return expr in inputs or (
        isinstance(expr, UNROUNDED) and all(arg.is_number or _is_exact(arg, inputs) for arg in expr.args)
    )
