"""Words made of exp(-x**2): the error functions, and the normal distribution's function and density.

How they are computed says `approximate`.
"""

from __future__ import annotations

import mpmath
import sympy

from nngrad.codegen import exact
from nngrad.codegen.vocabulary import enter

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
