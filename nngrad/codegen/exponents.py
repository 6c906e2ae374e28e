"""Stage 5: exponentials, which magnify what rounding their exponent loses.

At an exponent of -80 half a unit in its last place is 60 units of the exponential's. So exponents that are rounded are
computed in a wider dtype or, where there is none, in two parts.

Worked example: in exp(-1.702 x) the rate is -1.702, and `runtime.exp_multiple` computes it as if the product were
exact. exp(-x / 4) needs no such care. exp(x - x**3), in kernels for inputs of ordinary size, becomes
`exp2_in_float64(x * (1.44 - 1.44 * x**2))`: short floats have their exponent computed in float64.

Functions that take a graph, that of `lower`, build nodes in it.
"""

from __future__ import annotations

import math

import mpmath
import sympy

from nngrad.codegen import words
from nngrad.codegen.exponentials import LARGEST_EXPONENT
from nngrad.codegen.joint import is_of_sums
from nngrad.codegen.symbols import Parameter, Value
from nngrad.codegen.vocabulary import enter

UNROUNDED = (words.abs.build, words.clamped.build, words.finite.build, words.maximum.build, words.minimum.build)

exp2_in_float64 = enter(  # not for specs to write
    "exp2_in_float64",
    "",
    lambda x: mpmath.mpf(2) ** x,
    12,
    "2 to the power x, computed in float64.",
    is_positive=True,
    safe=0,
    smooth=lambda x: sympy.Integer(2) ** x,
)


def exponential(graph, exponent) -> int:
    """The node of exp. c u and c u**2 overflow before exp is 0, too."""
    if is_of_sums(exponent, graph.formula, graph.arguments.keys()):
        return graph.node("exp_narrowed", graph.in_wider("runtime.widened", exponent))
    terms = exponent.args if exponent.is_Add else ()
    shift = next((term for term in terms if graph.is_shift(term.as_coeff_Mul()[1])), None)
    if shift is not None:
        above = graph.build(exponent - shift)
        above = above if graph.nodes[above].is_row else graph.full(above)
        return graph.node("call", above, graph.build(-shift), detail="runtime.exp_shifted")
    coefficient, rest = exponent.as_coeff_Mul()
    if rest.is_Pow and rest.exp == 2:
        return graph.node("call", graph.build(rest.base), graph.number(coefficient), detail="runtime.exp_square")
    if of := as_multiple(exponent, graph.formula.inputs):
        return graph.node("call", *nodes_of(graph, *of), detail="runtime.exp_multiple")
    if isinstance(rest, words.abs.build) and coefficient < -1:
        exponent = coefficient * words.minimum(rest, LARGEST_EXPONENT)
    return graph.node("call", graph.build(exponent), detail="np.exp")


def power_of_two_in_float64(graph, exponent) -> int:
    """The node of 2 to a power that is computed in float64."""
    wide = graph.in_wider("runtime.as_float64", exponent)
    return graph.node("shortened", graph.node("call", wide, detail="np.exp2"))


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
