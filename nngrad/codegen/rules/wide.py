"""Stage 5: forms that are computed in float64 for inputs of float32 that are of ordinary size.

There nothing leaves the range and, but for differences of what is nearly the same, no digit of float32 is lost, so that
the plainest form will do. What differs is the cost of functions: there NumPy has powers of 2 in less than half the time
of exponentials, and takes as long for a sine as for ninety products, so that half of that for a tangent is well spent.

Worked example: exp(-x**2 / 2) cos(5 x) is 2**(-0.72 x**2) (1 - t**2) / (1 + t**2) for t = tan(5 x / 2), and the sine in
its slope 2 t / (1 + t**2).
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Where
from nngrad.codegen.algebra.turn_words import with_half_tangents
from nngrad.codegen.lowering.exponents import in_float64
from nngrad.codegen.rewriting import identities


def _sigmoid(x):
    """The logistic function by the same exponential for x and for -x."""
    return sympy.exp(x) / (1 + sympy.exp(x)) if x.could_extract_minus_sign() else 1 / (1 + sympy.exp(-x))


LOGISTIC = {
    words.sigmoid.build: _sigmoid,
    words.sigmoid_slope.build: lambda x: _sigmoid(x) * _sigmoid(-x),
    words.softplus.build: lambda x: words.log1p(sympy.exp(x)),
}


def computed(expr):
    """The expression, to be computed in float64."""
    for word, written_out in LOGISTIC.items():
        expr = expr.replace(word, written_out)
    in_powers_of_two = expr.replace(sympy.exp, lambda exponent: words.exp2(exponent / sympy.log(2)))
    return in_float64(with_half_tangents(identities.with_roots(in_powers_of_two)))


def without_choices(form) -> Iterator[sympy.Expr]:
    """The form, and with either branch of its choices, for one of them may do everywhere."""
    yield form
    if form.has(Where):
        for branch in (1, 2):
            yield form.replace(lambda part: isinstance(part, Where), lambda part, branch=branch: part.args[branch])
