"""The table of elementwise words.

It says for each word what it means to SymPy (a `Function` whose `fdiff` is its derivative), to NumPy (a ufunc, or an
expression in other words) and to mpmath (the oracle).
"""

from __future__ import annotations

import builtins
from functools import reduce

import mpmath
import sympy

from nngrad.codegen.algebra import exact
from nngrad.codegen.algebra.symbols import Indicator, IsNan, SignBit, Where
from nngrad.codegen.algebra.vocabulary import WORD_OF, enter, is_tensor


def _slope_of_maximum(mine, other):
    """The winner takes all, two tensors share a tie, and against a constant the tensor gets nothing at a tie."""
    if not is_tensor(other):
        return Where(mine <= other, 0, 1)
    tie = sympy.Eq(*sorted((mine, other), key=str))
    return Where(mine < other, 0, Where(tie, half, 1))


def _power_derivatives(base, exponent):
    """x**0 is constant in x, and 0**y is constant in y, but for negative y."""
    return power_slope(base, exponent), power_times_log(power(base, exponent), base, exponent)


def _abs_of_product(cls, x):
    """|c x| = |c| |x| for a number c, and |-x| = |x|."""
    coefficient, rest = x.as_coeff_Mul()
    if rest == 1:
        return sympy.Abs(x)
    if coefficient != 1:
        return sympy.Abs(coefficient) * cls(rest)
    return cls(-x) if x.could_extract_minus_sign() else None


def _sinc_bend_series(x):
    """The Taylor series of sinc'' in Horner's form, exact to float64 up to 1/4."""
    coefficients = ((-(sympy.pi**2)) ** n * 2 * n * (2 * n - 1) / sympy.factorial(2 * n + 1) for n in range(10, 0, -1))
    return reduce(lambda series, coefficient: coefficient + x**2 * series, coefficients)


half = sympy.Rational(1, 2)
FAR_FROM_FLOATS = 2**13  # times exp of that, any product of floats is infinite; times exp of minus that, 0

abs = enter(
    "abs",
    "np.abs",
    mpmath.fabs,
    1,
    "Absolute value.",
    derivatives=lambda x: [sign(x)],
    is_nonnegative=True,
    eval=classmethod(_abs_of_product),
)
sign = enter(
    "sign",
    "np.sign",
    mpmath.sign,
    3,
    "Sign: -1, 0 or 1.",
    derivatives=lambda x: [0],
    definition=lambda u: Where(sympy.Eq(u, 0), 0, Where(SignBit(u), -1, 1)),
)
# SymPy makes |u| of the root of u**2 by itself, with a class of its own
WORD_OF[sympy.Abs], WORD_OF[sympy.sign] = abs, sign


def in_words(expr):
    """The expression with words in place of SymPy's own |u| and sign."""
    return expr.replace(sympy.Abs, abs).replace(sympy.sign, sign) if expr.has(sympy.Abs, sympy.sign) else expr


def in_powers(expr):
    """The expression with the slopes of powers written out."""
    return expr.replace(power_slope.build, lambda base, exponent: exponent * power(base, exponent - 1))


floor = enter("floor", "np.floor", mpmath.floor, 1, "Largest integer not above x.", derivatives=lambda x: [0])
ceil = enter("ceil", "np.ceil", mpmath.ceil, 1, "Smallest integer not below x.", definition=lambda u: -floor(-u))
trunc = enter(
    "trunc",
    "np.trunc",
    lambda x: mpmath.sign(x) * mpmath.floor(mpmath.fabs(x)),
    1,
    "x without its fraction.",
    definition=lambda u: sign(u) * floor(abs(u)),
)
rint = enter(
    "rint",
    "np.rint",
    mpmath.nint,
    1,
    "Nearest integer, the even one of two.",
    derivatives=lambda x: [0],
    definition=lambda u: Where(sympy.Eq(u - 2 * floor(u / 2), half), floor(u), floor(u + half)),
)
floor_divide = enter(
    "floor_divide",
    "np.floor_divide",
    lambda a, b: mpmath.floor(a / b),
    30,
    "Largest integer not above x1 / x2.",
    arity=2,
    definition=lambda a, b: floor(a / b),
    safe=(None, 1),
)
remainder = enter(
    "remainder",
    "np.remainder",
    lambda a, b: a - b * mpmath.floor(a / b),
    30,
    "What x1 / x2 leaves, with x2's sign.",
    arity=2,
    definition=lambda a, b: a - b * floor_divide(a, b),
    safe=(None, 1),
)
fmod = enter(
    "fmod",
    "np.fmod",
    mpmath.fmod,
    30,
    "What x1 / x2 leaves, with x1's sign.",
    arity=2,
    definition=lambda a, b: a - b * trunc(a / b),
    safe=(None, 1),
)
copysign = enter(
    "copysign",
    "np.copysign",
    lambda a, b: mpmath.fabs(a) if b >= 0 else -mpmath.fabs(a),
    2,
    "x1 with x2's sign, that of -0 too.",
    arity=2,
    derivatives=lambda a, b: [sign(a) * copysign(1, b), 0],
    definition=lambda a, b: Where(SignBit(b), -abs(a), abs(a)),
)
sqrt = enter("sqrt", "np.sqrt", mpmath.sqrt, 3, "Square root.", head=sympy.sqrt)
rsqrt = enter("rsqrt", "", lambda x: 1 / mpmath.sqrt(x), 4, "Reciprocal square root.", head=lambda x: x**-half)
cbrt = enter(
    "cbrt",
    "np.cbrt",
    lambda x: mpmath.sign(x) * mpmath.cbrt(mpmath.fabs(x)),
    20,
    "Cube root.",
    derivatives=lambda x: [cbrt_slope(cbrt(x), x)],
    safe=(1,),  # its slope is infinite at 0
    definition=lambda u: sign(u) * abs(u) ** sympy.Rational(1, 3),
)
cbrt_slope = enter(
    "cbrt_slope",
    "runtime.cbrt_slope",
    lambda y, x: 1 / y**2 / 3,
    6,
    "The derivative of x1 = cbrt(x2).",
    arity=2,
    derivatives=lambda y, x: [-2 / y**3 / 3, 0],
    smooth=lambda y, x: 1 / y**2 / 3,
    safe=(1, 1),
)
exp = enter("exp", "np.exp", exact.exp, 4, "Exponential function.", head=sympy.exp, safe=(0,))
exp2 = enter(
    "exp2",
    "np.exp2",
    lambda x: mpmath.mpf(2) ** x,
    3,
    "2 to the power x.",
    is_positive=True,
    safe=(0,),
    definition=lambda u: sympy.Integer(2) ** u,
)
expm1 = enter(
    "expm1",
    "np.expm1",
    exact.by_exp(mpmath.expm1, lambda up, down: up - 1),
    4,
    "exp(x) - 1, exact near 0.",
    derivatives=lambda x: [exp(x)],
    safe=(0,),
)
log = enter("log", "np.log", mpmath.log, 4, "Natural logarithm.", head=sympy.log, safe=(1,))
log2 = enter(
    "log2",
    "np.log2",
    lambda x: mpmath.log(x, 2),
    4,
    "Logarithm to base 2.",
    safe=(1,),
    definition=lambda u: log(u) / log(2),
)
log10 = enter(
    "log10",
    "np.log10",
    mpmath.log10,
    8,
    "Logarithm to base 10.",
    safe=(1,),
    definition=lambda u: log(u) / log(10),
)
log1p = enter(
    "log1p", "np.log1p", mpmath.log1p, 4, "log(1 + x), exact near 0.", derivatives=lambda x: [1 / (1 + x)], safe=(0,)
)
sin = enter("sin", "np.sin", exact.periodic(mpmath.sin), 5, "Sine, x in radians.", head=sympy.sin, safe=(0,))
cos = enter("cos", "np.cos", exact.periodic(mpmath.cos), 5, "Cosine, x in radians.", head=sympy.cos, safe=(0,))
tan = enter(
    "tan",
    "runtime.tan",
    exact.periodic(mpmath.tan),
    10,
    "Tangent, x in radians.",
    derivatives=lambda x: [1 / cos(x) ** 2],
    safe=(0,),
    definition=lambda u: sin(u) / cos(u),
)
# Half the unit circle, which the slopes of arcsin and arccos are made of: its own slope does not cancel near 0.
semicircle = enter(
    "semicircle",
    "",
    lambda x: mpmath.sqrt((1 - x) * (1 + x)),
    5,
    "sqrt(1 - x**2).",
    derivatives=lambda x: [-x / semicircle(x)],
    is_positive=True,
    safe=(0,),
    expansion=lambda x: sympy.sqrt((1 - x) * (1 + x)),
    definition=lambda u: sqrt(1 - u**2),
)
arcsin = enter(
    "arcsin",
    "np.arcsin",
    mpmath.asin,
    10,
    "Inverse sine, in radians.",
    derivatives=lambda x: [1 / semicircle(x)],
    safe=(0,),
    definition=lambda u: arctan2(u, sqrt(1 - u**2)),
)
arccos = enter(
    "arccos",
    "np.arccos",
    mpmath.acos,
    10,
    "Inverse cosine, in radians.",
    derivatives=lambda x: [-1 / semicircle(x)],
    safe=(0,),
    definition=lambda u: arctan2(sqrt(1 - u**2), u),
)
arctan = enter(
    "arctan",
    "np.arctan",
    mpmath.atan,
    10,
    "Inverse tangent, in radians.",
    derivatives=lambda x: [1 / hypot(1, x) ** 2],
    definition=lambda u: arctan2(u, 1),
)
arctan2 = enter(
    "arctan2",
    "np.arctan2",
    mpmath.atan2,
    15,
    "Angle of the point (x2, x1), in radians.",
    arity=2,
    derivatives=lambda y, x: [over_square(x, y), -over_square(y, x)],
)
sinh = enter(
    "sinh",
    "np.sinh",
    exact.by_exp(mpmath.sinh, lambda up, down: (up - down) / 2),
    10,
    "Hyperbolic sine.",
    derivatives=lambda x: [cosh(x)],
    safe=(0,),
)
cosh = enter(
    "cosh",
    "np.cosh",
    exact.by_exp(mpmath.cosh, lambda up, down: (up + down) / 2),
    10,
    "Hyperbolic cosine.",
    derivatives=lambda x: [sinh(x)],
    safe=(0,),
)
tanh = enter("tanh", "np.tanh", exact.tanh, 2, "Hyperbolic tangent.", derivatives=lambda x: [4 * sigmoid_slope(2 * x)])
arcsinh = enter(
    "arcsinh",
    "np.arcsinh",
    mpmath.asinh,
    15,
    "Inverse hyperbolic sine.",
    derivatives=lambda x: [1 / hypot(1, x)],
    definition=lambda u: log(u + sqrt(u**2 + 1)),
)
arccosh = enter(
    "arccosh",
    "np.arccosh",
    mpmath.acosh,
    15,
    "Inverse hyperbolic cosine.",
    derivatives=lambda x: [(x - 1) ** -half * (x + 1) ** -half],
    safe=(2,),
    definition=lambda u: log(u + sqrt(u**2 - 1)),
)
arctanh = enter(
    "arctanh",
    "np.arctanh",
    mpmath.atanh,
    15,
    "Inverse hyperbolic tangent.",
    derivatives=lambda x: [1 / ((1 - x) * (1 + x))],
    safe=(0,),
    definition=lambda u: log((1 + u) / (1 - u)) / 2,
)
hypot = enter(
    "hypot",
    "runtime.hypot",
    mpmath.hypot,
    6,
    "sqrt(x1**2 + x2**2) without overflow.",
    arity=2,
    is_nonnegative=True,
    _eval_is_positive=lambda self: any(arg.is_nonzero for arg in self.args) or None,
    derivatives=lambda a, b: [over_hypot(a, b), over_hypot(b, a)],
)
# The derivatives of `hypot` and `arctan2`, and further down of `sinc` and `power`: not for specs to write. Their own
# derivatives are those of what they are in differentiable words.
over_hypot = enter(
    "over_hypot",
    "runtime.over_hypot",
    lambda a, b: a / mpmath.hypot(a, b),
    8,
    "x1 / hypot(x1, x2), and 0 at the origin.",
    arity=2,
    derivatives=lambda a, b: [over_square(b, a) * over_hypot(b, a), -over_square(a, b) * over_hypot(b, a)],
    definition=lambda a, b: Where(sympy.And(sympy.Eq(a, 0), sympy.Eq(b, 0)), 0, a / hypot(a, b)),
)
over_square = enter(
    "over_square",
    "runtime.over_square",
    lambda a, b: a / (a**2 + b**2),
    12,
    "x1 / (x1**2 + x2**2), and 0 at the origin.",
    arity=2,
    derivatives=lambda a, b: [over_square_slope(a, b), -2 * over_square(a, b) * over_square(b, a)],
)
over_square_slope = enter(
    "over_square_slope",
    "runtime.over_square_slope",
    lambda a, b: (b - a) * (b + a) / (a**2 + b**2) ** 2,
    16,
    "The derivative of over_square by x1.",
    arity=2,
    smooth=lambda a, b: (
        (over_hypot(b, a) - over_hypot(a, b)) * (over_hypot(b, a) + over_hypot(a, b)) / hypot(a, b) ** 2
    ),
)
# sin(pi x) and cos(pi x), which specs write so: pi x need not be rounded before whole turns are taken off it.
sinpi = enter(
    "sinpi",
    "runtime.sinpi",
    mpmath.sinpi,
    8,
    "sin(pi x), 0 at whole numbers.",
    derivatives=lambda x: [sympy.pi * cospi(x)],
    smooth=lambda x: sin(sympy.pi * x),
)
cospi = enter(
    "cospi",
    "runtime.cospi",
    mpmath.cospi,
    8,
    "cos(pi x).",
    derivatives=lambda x: [-sympy.pi * sinpi(x)],
    smooth=lambda x: cos(sympy.pi * x),
)
sinc = enter(
    "sinc",
    "runtime.sinc",
    mpmath.sincpi,
    12,
    "sin(pi x) / (pi x), and 1 at 0.",
    derivatives=lambda x: [sinc_slope(x)],
    definition=lambda u: Where(sympy.Eq(u, 0), 1, sin(sympy.pi * u) / (sympy.pi * u)),
)
sinc_slope = enter(
    "sinc_slope",
    "runtime.sinc_slope",
    exact.sinc_slope,
    25,
    "The derivative of sinc.",
    derivatives=lambda x: [
        Where(abs(x) < sympy.Rational(1, 4), _sinc_bend_series(x), -(sympy.pi**2) * sinc(x) - 2 * sinc_slope(x) / x)
    ],
    definition=lambda u: Where(sympy.Eq(u, 0), 0, cos(sympy.pi * u) / u - sin(sympy.pi * u) / (sympy.pi * u**2)),
)
sigmoid = enter(
    "sigmoid",
    "",
    lambda x: 1 / (1 + exact.exp(-x)),
    7,
    "Logistic function 1 / (1 + exp(-x)).",
    derivatives=lambda x: [sigmoid_slope(x)],
    is_positive=True,
    expansion=lambda x: maximum(exp(-abs(x)), Indicator(sympy.Ge(x, 0))) / (1 + exp(-abs(x))),
)
# The bell sigmoid(x) sigmoid(-x), which sigmoid and tanh share as their derivative. It is not for specs to write.
sigmoid_slope = enter(
    "sigmoid_slope",
    "",
    lambda x: 1 / (2 + exact.exp(x) + exact.exp(-x)),
    6,
    "sigmoid(x) sigmoid(-x).",
    derivatives=lambda x: [-sigmoid_slope(x) * tanh(x / 2)],
    is_positive=True,
    expansion=lambda x: exp(-abs(x)) / (1 + exp(-abs(x))) ** 2,
    eval=classmethod(lambda cls, x: cls(-x) if x.could_extract_minus_sign() else None),
)
softplus = enter(
    "softplus",
    "",
    lambda x: mpmath.log1p(exact.exp(x)),
    9,
    "log(1 + exp(x)).",
    derivatives=lambda x: [sigmoid(x)],
    is_positive=True,
    expansion=lambda x: maximum(x, 0) + log1p(exp(-abs(x))),
)
logaddexp = enter(
    "logaddexp",
    "runtime.logaddexp",
    lambda a, b: mpmath.log(exact.exp(a) + exact.exp(b)),
    20,
    "log(exp(x1) + exp(x2)).",
    arity=2,
    derivatives=lambda a, b: [sigmoid_of_difference(a, b), sigmoid_of_difference(b, a)],
)
logaddexp2 = enter(
    "logaddexp2",
    "runtime.logaddexp2",
    lambda a, b: mpmath.log(mpmath.mpf(2) ** a + mpmath.mpf(2) ** b, 2),
    20,
    "log2(2**x1 + 2**x2).",
    arity=2,
    derivatives=lambda a, b: [sigmoid((a - b) * sympy.log(2)), sigmoid((b - a) * sympy.log(2))],
    definition=lambda a, b: log2(exp2(a) + exp2(b)),
)
# sigmoid(a - b), which magnifies the rounding error of a - b in its tail. These are not for specs to write.
sigmoid_of_difference = enter(
    "sigmoid_of_difference",
    "",
    lambda a, b: 1 / (1 + exact.exp(b - a)),
    15,
    "1 / (1 + exp(x2 - x1)).",
    arity=2,
    derivatives=lambda a, b: [sigmoid_slope(a - b), -sigmoid_slope(a - b)],
    is_positive=True,
    expansion=lambda a, b: maximum(_exp_of_distance(a, b), Indicator(sympy.Ge(a, b))) / (1 + _exp_of_distance(a, b)),
    smooth=lambda a, b: sigmoid(a - b),
)
exp_difference = enter(
    "exp_difference",
    "runtime.exp_difference",
    lambda a, b: exact.exp(a - b),
    12,
    "exp(x1 - x2) for x1 <= x2.",
    arity=2,
    derivatives=lambda a, b: [exp_difference(a, b), -exp_difference(a, b)],
    is_positive=True,
    smooth=lambda a, b: exp(a - b),
)


def _exp_of_distance(a, b):
    """exp(-|a - b|), the same expression for a, b and b, a."""
    a, b = sorted((a, b), key=str)
    return exp_difference(minimum(a, b), maximum(a, b))


maximum = enter(
    "maximum",
    "np.maximum",
    builtins.max,
    1.25,
    "The larger of two; NaN where either is.",
    arity=2,
    derivatives=lambda a, b: [_slope_of_maximum(a, b), _slope_of_maximum(b, a)],
)
minimum = enter(
    "minimum",
    "np.minimum",
    builtins.min,
    1.25,
    "The smaller of two; NaN where either is.",
    arity=2,
    definition=lambda a, b: -maximum(-a, -b),
)
fmax = enter(
    "fmax",
    "np.fmax",
    builtins.max,
    2,
    "The larger of two, or the one that is a number.",
    arity=2,
    definition=lambda a, b: Where(IsNan(a), b, Where(IsNan(b), a, maximum(a, b))),
)
fmin = enter(
    "fmin",
    "np.fmin",
    builtins.min,
    2,
    "The smaller of two, or the one that is a number.",
    arity=2,
    definition=lambda a, b: Where(IsNan(a), b, Where(IsNan(b), a, minimum(a, b))),
)
clip = enter(
    "clip",
    "np.clip",
    lambda x, low, high: builtins.min(builtins.max(x, low), high),
    1.25,
    "x limited to [min, max].",
    arity=3,
    derivatives=lambda x, low, high: [Where(sympy.And(x >= low, x <= high), 1, 0), 0, 0],
)
# x within [-limit, limit], where a kernel may forget how large x is; no formula has a derivative through it.
clamped = enter(
    "clamped",
    "runtime.clamped",
    lambda x, limit: builtins.min(builtins.max(x, -limit), limit),
    2,
    "x limited to [-limit, limit].",
    arity=2,
    derivatives=lambda x, limit: [1, 0],
    smooth=lambda x, limit: clip(x, -limit, limit),
    eval=classmethod(lambda cls, x, limit: builtins.min(builtins.max(x, -limit), limit) if x.is_Number else None),
)
finite = enter(
    "finite",
    "runtime.finite",
    lambda x: x,
    2,
    "x, and the largest number there is in place of infinity.",
    derivatives=lambda x: [1],
    smooth=lambda x: x,
    eval=classmethod(lambda cls, x: x if x.is_Number else None),
)
# What a slope lets through of a cotangent. Branches that drop it are where the slope is 0: it may be infinite there.
passed = enter(
    "passed",
    "runtime.passed",
    lambda g, slope: g * slope if slope else mpmath.mpf(0),
    1,
    "x1 times x2, and 0 where x2 is 0.",
    arity=2,
    derivatives=lambda g, slope: [slope, g],
    smooth=lambda g, slope: g * slope,
)
power = enter(
    "power",
    "runtime.power",
    mpmath.power,
    30,
    "x1 to the power x2.",
    arity=2,
    derivatives=_power_derivatives,
    safe=(1,),
)
power_slope = enter(
    "power_slope",
    "runtime.power_slope",
    lambda x, y: y * mpmath.power(x, y - 1) if y else mpmath.mpf(0),
    40,
    "x2 times x1 to the power x2 - 1, and 0 for x2 = 0.",
    arity=2,
    derivatives=lambda x, y: [
        Where(sympy.Eq(y, 0), Where(sympy.Eq(x, 0), 0, -y / x / x), y * power_slope(x, y - 1)),
        Where(sympy.Eq(x, 0), 0, power(x, y - 1) + power_slope(x, y) * log(x)),
    ],
    safe=(1,),
)
power_times_log = enter(
    "power_times_log",
    "runtime.power_times_log",
    lambda p, x, y: p * mpmath.log(x) if x or y < 0 else mpmath.mpf(0),
    10,
    "x1 log(x2) for x1 = x2 to the power x3, and 0 for x2 = 0 where x3 is not negative.",
    arity=3,
    derivatives=lambda p, x, y: [Where(sympy.Eq(x, 0), 0, log(x)), p / x, 0],
    smooth=lambda p, x, y: Where(sympy.Eq(x, 0), Where(y < 0, p * log(x), 0), p * log(x)),
    safe=(None, 1),
)

PERIODIC_IN_WHOLE_NUMBERS = (sinpi.build, cospi.build)
PERIODIC = (sin.build, cos.build, tan.build, *PERIODIC_IN_WHOLE_NUMBERS)
