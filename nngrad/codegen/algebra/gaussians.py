"""Words made of exp(-x**2): the error functions, and the normal distribution's function and density.

What the tails are beside exp(-x**2), and their logarithms, stay in range where the tails do not.

How they are computed says `approximate`.
"""

from __future__ import annotations

from functools import cache, reduce

import mpmath
import sympy

from nngrad.codegen.algebra import exact, words
from nngrad.codegen.algebra.symbols import Where
from nngrad.codegen.algebra.vocabulary import enter

_ROOT_TWO, _ROOT_PI = sympy.sqrt(2), sympy.sqrt(sympy.pi)
_FAR, _FRACTIONS = 5, 16  # from here on so many terms of the continued fraction suffice

erf = enter(
    "erf",
    "runtime.erf",
    exact.erf,
    15,
    "Error function.",
    derivatives=lambda x: [2 / sympy.sqrt(sympy.pi) * sympy.exp(-(x**2))],
)
erfc = enter(
    "erfc",
    "runtime.erfc",
    exact.erfc,
    15,
    "Complementary error function 1 - erf(x), exact in the tail.",
    derivatives=lambda x: [-2 / sympy.sqrt(sympy.pi) * sympy.exp(-(x**2))],
    is_positive=True,
)
# The words of the normal distribution, which gelu is made of, are not for specs to write: 1 + erf(x / sqrt(2)) and
# exp(-(x**2) / 2) / sqrt(2 * pi) are. Its function is computed from its density, which is the function's derivative.
normal_density = enter(
    "normal_density",
    "runtime.normal_density",
    lambda x: exact.exp(-(x**2) / 2) / mpmath.sqrt(2 * mpmath.pi),
    5,
    "exp(-x**2 / 2) / sqrt(2 pi).",
    derivatives=lambda x: [-times_normal_density(x)],
    is_positive=True,
    smooth=lambda x: sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi),
)
normal_cdf = enter(
    "normal_cdf",
    "",
    lambda x: exact.erfc(-x / mpmath.sqrt(2)) / 2,
    20,
    "erfc(-x / sqrt(2)) / 2.",
    derivatives=lambda x: [normal_density(x)],
    is_positive=True,
    expansion=lambda x: normal_cdf_by_density(x, normal_density(x)),
    smooth=lambda x: erfc(-x / sympy.sqrt(2)) / 2,
)
normal_cdf_by_density = enter(
    "normal_cdf_by_density",
    "runtime.normal_cdf",
    lambda x, d: exact.erfc(-x / mpmath.sqrt(2)) / 2,
    15,
    "erfc(-x / sqrt(2)) / 2, given d = normal_density(x).",
    arity=2,
    is_positive=True,
)
# x normal_cdf(x), given p = normal_cdf(x): the plain product loses digits where p is subnormal, and is NaN at -inf.
# Its derivative is that by x in whole.
times_normal_cdf = enter(
    "times_normal_cdf",
    "runtime.times_normal_cdf",
    lambda x, p: x * p,
    2,
    "x times p = erfc(-x / sqrt(2)) / 2.",
    arity=2,
    derivatives=lambda x, p: [p + times_normal_density(x), 0],
    smooth=lambda x, p: x * p,
)
times_normal_density = enter(
    "times_normal_density",
    "",
    lambda x: x * exact.exp(-(x**2) / 2) / mpmath.sqrt(2 * mpmath.pi),
    7,
    "x times exp(-x**2 / 2) / sqrt(2 pi), and 0 at infinity.",
    derivatives=lambda x: [normal_density(x) - x * times_normal_density(x)],
    expansion=lambda x: times_its_normal_density(x, normal_density(x)),
    smooth=lambda x: x * sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi),
)
times_its_normal_density = enter(
    "times_its_normal_density",
    "runtime.times_normal_density",
    lambda x, d: x * d,
    2,
    "x times d = normal_density(x), and 0 at infinity.",
    arity=2,
)
x_exp_square = enter(
    "x_exp_square",
    "runtime.x_exp_square",
    lambda x, c: x * exact.exp(c * x**2),
    8,
    "x exp(c x**2) for a number c < 0, and 0 at infinity.",
    arity=2,
    derivatives=lambda x, c: [sympy.exp(c * x**2) + 2 * c * x * x_exp_square(x, c), 0],
    smooth=lambda x, c: x * sympy.exp(c * x**2),
)


# --- tails beside the bell, and their logarithms ----------------------------------------------------------------------


def _by_sign(x):
    """|x| with the slope of x at 0: what is a function of it may go through there without a bend."""
    return Where(x < 0, -x, x)


def _tail_excess_in_words(x):
    """The definition near 0, a continued fraction far out."""
    size = _by_sign(x)
    near, far = words.minimum(size, _FAR + 1), words.maximum(size, _FAR - 1)
    top, bottom = (reduce(lambda total, one: total / far**2 + one, part) for part in _continued_fraction())
    return Where(size < _FAR, sympy.exp(-(near**2)) / erfc(near) / _ROOT_PI - near, top / bottom / far / 2)


@cache
def _continued_fraction() -> tuple[list[sympy.Expr], list[sympy.Expr]]:
    """1 / (1 + z / (1 + 3 z / 2 / (1 + 2 z / (1 + ...)))), z being 1 / x**2, as a quotient of polynomials: their
    coefficients, highest power first.
    """
    z = sympy.Dummy()
    total = sympy.S.One
    for number in range(_FRACTIONS, 1, -1):
        total = sympy.cancel(1 + number * z / total / 2)
    return tuple(sympy.Poly(part, z).all_coeffs() for part in sympy.fraction(sympy.cancel(1 / total)))


tail_excess = enter(
    "tail_excess",
    "runtime.tail_excess",
    exact.tail_excess,
    15,
    "exp(-x**2) / erfc(x) / sqrt(pi) - x, for |x|.",
    derivatives=lambda x: [Where(x < 0, -1, 1) * (2 * (words.abs(x) + tail_excess(x)) * tail_excess(x) - 1)],
    is_positive=True,
    smooth=_tail_excess_in_words,
)


def _scaled_tail(x, size=words.abs):
    """exp(x**2) erfc(x) for |x|."""
    return 1 / _ROOT_PI / (size(x) + tail_excess(x))


def _log_erfc_exactly(x):
    if x < 6:
        return mpmath.log(exact.erfc(x))
    return -x * x - mpmath.log((x + exact.tail_excess(x)) * mpmath.sqrt(mpmath.pi))


def _log_normal_cdf(x):
    """Far out the logarithm of the scaled tail, and - x**2 / 2."""
    scaled = 1 / sympy.sqrt(2 * sympy.pi) / (words.abs(x) + _ROOT_TWO * tail_excess(x / _ROOT_TWO))
    return Where(x >= 0, words.log1p(-normal_cdf(-x)), sympy.log(scaled) - 2 * words.maximum(-x / 2, 0) ** 2)


def _log_normal_cdf_slope(x):
    above = words.maximum(x, -1)  # beyond the edge, at which an extremum has no slope
    return Where(x >= 0, normal_density(above) / normal_cdf(above), _ROOT_TWO * tail_excess(x / _ROOT_TWO) - x)


def _log_erfc(x):
    return Where(x < sympy.Rational(1, 2), words.log1p(-erf(x)), sympy.log(_scaled_tail(x)) - x**2)


def _erfc_hazard(x):
    below = words.minimum(x, 1)
    return Where(x < 0, sympy.exp(-(below**2)) / _ROOT_PI / erfc(below), x + tail_excess(x))


def _erfcx(x, size=words.abs):
    tail = _scaled_tail(x, size)
    return Where(x < 0, 2 * sympy.exp(words.minimum(x, 0) ** 2) - tail, tail)


def _erfcx_slope(x, size=words.abs):
    """2 x erfcx(x) - 2 / sqrt(pi), of which little is left for large x."""
    below, falling = words.minimum(x, 0), -2 * tail_excess(x) * _scaled_tail(x, size)
    return Where(x < 0, 4 * below * sympy.exp(below**2) + falling, falling)


log_normal_cdf = enter(
    "log_normal_cdf",
    "",
    lambda x: _log_erfc_exactly(-x / mpmath.sqrt(2)) - mpmath.log(2),
    25,
    "log(erfc(-x / sqrt(2)) / 2).",
    derivatives=lambda x: [log_normal_cdf_slope(x)],
    expansion=_log_normal_cdf,
    smooth=_log_normal_cdf,
)
log_normal_cdf_slope = enter(
    "log_normal_cdf_slope",
    "",
    lambda x: mpmath.sqrt(2) * exact.tail_excess(x / mpmath.sqrt(2)) - x if x < 0 else mpmath.npdf(x) / mpmath.ncdf(x),
    25,
    "normal_density(x) / normal_cdf(x), the inverse of Mills's ratio.",
    derivatives=lambda x: [
        -log_normal_cdf_slope(x) * Where(x >= 0, x + log_normal_cdf_slope(x), _ROOT_TWO * tail_excess(x / _ROOT_TWO))
    ],
    is_positive=True,
    expansion=_log_normal_cdf_slope,
    smooth=_log_normal_cdf_slope,
)
log_erfc = enter(
    "log_erfc",
    "",
    lambda x: _log_erfc_exactly(x),
    25,
    "log(erfc(x)).",
    derivatives=lambda x: [-2 * erfc_hazard(x)],
    expansion=_log_erfc,
    smooth=_log_erfc,
)
erfc_hazard = enter(
    "erfc_hazard",
    "",
    lambda x: x + exact.tail_excess(x) if x > 0 else exact.exp(-x * x) / exact.erfc(x) / mpmath.sqrt(mpmath.pi),
    25,
    "exp(-x**2) / erfc(x) / sqrt(pi).",
    derivatives=lambda x: [2 * erfc_hazard(x) * Where(x < 0, erfc_hazard(x) - x, tail_excess(x))],
    is_positive=True,
    expansion=_erfc_hazard,
    smooth=_erfc_hazard,
)
erfcx = enter(
    "erfcx",
    "",
    lambda x: 1 / mpmath.sqrt(mpmath.pi) / (x + exact.tail_excess(x)) if x > 0 else exact.exp(x * x) * exact.erfc(x),
    25,
    "exp(x**2) erfc(x).",
    derivatives=lambda x: [erfcx_slope(x)],
    is_positive=True,
    expansion=_erfcx,
    smooth=lambda x: _erfcx(x, _by_sign),
)
erfcx_slope = enter(
    "erfcx_slope",
    "",
    lambda x: (
        -2 / mpmath.sqrt(mpmath.pi) / (1 + x / exact.tail_excess(x))
        if x > 0
        else 2 * x * exact.exp(x * x) * exact.erfc(x) - 2 / mpmath.sqrt(mpmath.pi)
    ),
    25,
    "2 x erfcx(x) - 2 / sqrt(pi), the derivative of erfcx.",
    derivatives=lambda x: [2 * erfcx(x) + 2 * x * erfcx_slope(x)],
    expansion=_erfcx_slope,
    smooth=lambda x: _erfcx_slope(x, _by_sign),
)
