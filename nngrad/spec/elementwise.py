"""Elementwise mathematics, from the few functions that are words of the language."""

from nngrad.codegen.language import (
    abs,
    activation,
    arctan2,
    cos,
    erf,
    exp,
    floor,
    isinf,
    isnan,
    log,
    maximum,
    op,
    over_hypot,
    over_square,
    pi,
    power_slope,
    signbit,
    sin,
    sinc_slope,
    slope,
    subgradient,
    where,
)

# The derivatives of these are the language's, not derived here.
op(abs, floor, exp, log, sin, cos, arctan2, erf, maximum, where)

# Derivatives, ops too so that second derivatives are as exact as first ones.
slope(over_hypot, over_square, sinc_slope, power_slope)


# --- arithmetic -------------------------------------------------------------------------------------------------------


@op
def add(x1, x2):
    """Sum, elementwise."""
    return x1 + x2


@op
def subtract(x1, x2):
    """Difference, elementwise."""
    return x1 - x2


@op
def multiply(x1, x2):
    """Product, elementwise."""
    return x1 * x2


@op
def divide(x1, x2):
    """Quotient, elementwise."""
    return x1 / x2


@op
def negative(x):
    """Minus x."""
    return -x


@op
def power(x1, x2):
    """x1 to the power x2, elementwise. x**0 is constant in x, and 0**y in y from 0 on."""
    return x1**x2


@op
def square(x):
    """x times x."""
    return x**2


@op
def reciprocal(x):
    """One over x."""
    return 1 / x


@op
def floor_divide(x1, x2):
    """Largest integer not above x1 / x2; its derivative is 0."""
    return floor(x1 / x2)


@op
def remainder(x1, x2):
    """What x1 / x2 leaves, with the sign of x2."""
    return x1 - x2 * floor(x1 / x2)


@op
def fmod(x1, x2):
    """What x1 / x2 leaves, with the sign of x1, as in C."""
    return x1 - x2 * trunc(x1 / x2)


@op
def lerp(x1, x2, weight):
    """Linear interpolation: x1 for weight 0, x2 for weight 1."""
    return where(weight < 1 / 2, x1 + weight * (x2 - x1), x2 - (1 - weight) * (x2 - x1))


# --- signs and rounding -----------------------------------------------------------------------------------------------


@op
def copysign(x1, x2):
    """x1 with the sign of x2, that of -0 too."""
    return where(signbit(x2), -abs(x1), abs(x1))


@op
def sign(x):
    """-1, 0 or 1; its derivative is 0."""
    return where(x == 0, 0, copysign(1, x))


@op
def rint(x):
    """Nearest integer, the even one of two; its derivative is 0."""
    return where(remainder(x, 2) == 1 / 2, floor(x), floor(x + 1 / 2))


@op
def ceil(x):
    """Smallest integer not below x; its derivative is 0."""
    return -floor(-x)


@op
def frac(x):
    """What `trunc` leaves."""
    return x - sign(x) * floor(abs(x))


@op
def trunc(x):
    """x without its fraction; its derivative is 0."""
    return sign(x) * floor(abs(x))


# --- powers, exponentials and logarithms ------------------------------------------------------------------------------


@op
def sqrt(x):
    """Square root."""
    return x ** (1 / 2)


@op
def rsqrt(x):
    """Reciprocal square root."""
    return x ** (-1 / 2)


@op
def cbrt(x):
    """Cube root, that of a negative number too."""
    return sign(x) * abs(x) ** (1 / 3)


@op
def exp2(x):
    """2 to the power x."""
    return 2**x


@op
def expm1(x):
    """exp(x) - 1, exact near 0."""
    return exp(x) - 1


@op
def log2(x):
    """Logarithm to base 2."""
    return log(x) / log(2)


@op
def log10(x):
    """Logarithm to base 10."""
    return log(x) / log(10)


@op
def log1p(x):
    """log(1 + x), exact near 0."""
    return log(1 + x)


@op
def logaddexp(x1, x2):
    """log(exp(x1) + exp(x2))."""
    return log(exp(x1) + exp(x2))


@op
def logaddexp2(x1, x2):
    """log2(2**x1 + 2**x2)."""
    return log2(2**x1 + 2**x2)


@op
def xlogy(x1, x2):
    """x1 times log(x2), and 0 where x1 is 0 and the logarithm is infinite or none."""
    return x1 * log(where((x1 == 0) & ((x2 <= 0) | isinf(x2)), 1, x2))


# --- angles -----------------------------------------------------------------------------------------------------------


@op
def tan(x):
    """Tangent, x in radians."""
    return sin(x) / cos(x)


@op
def arcsin(x):
    """Inverse sine, in radians."""
    return arctan2(x, sqrt(1 - x**2))


@op
def arccos(x):
    """Inverse cosine, in radians."""
    return arctan2(sqrt(1 - x**2), x)


@op
def arctan(x):
    """Inverse tangent, in radians."""
    return arctan2(x, 1)


@op
def hypot(x1, x2):
    """sqrt(x1**2 + x2**2) without overflow; its gradient at the origin is 0."""
    return subgradient(sqrt(x1**2 + x2**2), (x1 == 0) & (x2 == 0), 0)


@op
def sinc(x):
    """sin(pi x) / (pi x), and 1 at 0."""
    return where(x == 0, 1, sin(pi * x) / (pi * x))


@op
def deg2rad(x):
    """Degrees in radians."""
    return x * (pi / 180)


@op
def rad2deg(x):
    """Radians in degrees."""
    return x * (180 / pi)


# --- hyperbolic and error functions -----------------------------------------------------------------------------------


@op
def heaviside(x1, x2):
    """0 where x1 < 0, 1 where x1 > 0, x2 where x1 is 0."""
    return where(isnan(x1), x1, where(x1 < 0, 0, where(x1 > 0, 1, x2)))


@op
def sinh(x):
    """Hyperbolic sine."""
    return (exp(x) - exp(-x)) / 2


@op
def cosh(x):
    """Hyperbolic cosine."""
    return (exp(x) + exp(-x)) / 2


@activation
def sigmoid(x):
    """Logistic function."""
    return 1 / (1 + exp(-x))


@activation
def tanh(x):
    """Hyperbolic tangent."""
    return (exp(x) - exp(-x)) / (exp(x) + exp(-x))


@op
def arcsinh(x):
    """Inverse hyperbolic sine."""
    return log(x + sqrt(x**2 + 1))


@op
def arccosh(x):
    """Inverse hyperbolic cosine."""
    return log(x + sqrt(x**2 - 1))


@op
def arctanh(x):
    """Inverse hyperbolic tangent."""
    return log((1 + x) / (1 - x)) / 2


@op
def ndtr(x):
    """Distribution function of the standard normal distribution."""
    return (1 + erf(x / 2 ** (1 / 2))) / 2


@op
def erfc(x):
    """1 - erf(x), exact in the tail."""
    return 1 - erf(x)


# --- extremes and cases -----------------------------------------------------------------------------------------------


@op
def minimum(x1, x2):
    """The smaller of two, NaN where either is; ties share the gradient."""
    return -maximum(-x1, -x2)


@op
def fmax(x1, x2):
    """The larger of two, or the one that is a number."""
    return where(isnan(x1), x2, where(isnan(x2), x1, maximum(x1, x2)))


@op
def fmin(x1, x2):
    """The smaller of two, or the one that is a number."""
    return where(isnan(x1), x2, where(isnan(x2), x1, minimum(x1, x2)))


@op
def clip(x, *, min=None, max=None):
    """x limited to [min, max]; the gradient passes at the bounds, and not at NaN."""
    y = x
    if min is not None:
        y = where(y < min, min, y)
    if max is not None:
        y = where(y > max, max, y)
    if min is None and max is None:
        return x
    return subgradient(y, isnan(x), 0)


@op
def masked_fill(x, mask, *, value=...):
    """x with `value` where the mask is true; no gradient reaches filled elements."""
    return where(mask, value, x)


@op
def nan_to_num(x, *, nan=0.0, posinf=..., neginf=...):
    """x with numbers for NaN and the infinities; no gradient reaches replaced elements."""
    return where(isnan(x), nan, where(isinf(x), where(x > 0, posinf, neginf), x))


# --- what second derivatives are made of ------------------------------------------------------------------------------


@slope
def sigmoid_slope(x):
    """sigmoid(x) sigmoid(-x)."""
    return exp(x) / (1 + exp(x)) ** 2


@slope
def semicircle(x):
    """sqrt(1 - x**2)."""
    return sqrt(1 - x**2)
