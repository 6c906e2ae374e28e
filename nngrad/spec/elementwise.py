"""Elementwise mathematics."""

from nngrad.codegen.language import (
    abs,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cbrt,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    hypot,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    maximum,
    minimum,
    op,
    over_hypot,
    over_square,
    power_slope,
    rsqrt,
    semicircle,
    sigmoid_slope,
    sign,
    sin,
    sinc,
    sinc_slope,
    sinh,
    slope,
    sqrt,
    tan,
    where,
)

# Words of the language that are ops as they stand: their derivatives are the language's, not derived here.
op(abs, sign, floor, sqrt, rsqrt, cbrt, exp, exp2, expm1, log, log2, log10, log1p, logaddexp)
op(sin, cos, tan, arcsin, arccos, arctan, arctan2, sinh, cosh, arcsinh, arccosh, arctanh, hypot, sinc, erf, erfc)
op(maximum, minimum, where)

# Their derivatives, ops too so that second derivatives are as exact as first ones.
slope(sigmoid_slope, semicircle, over_hypot, over_square, sinc_slope, power_slope)


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
    """x1 to the power x2, elementwise. x**0 is constant in x, and 0**y in y."""
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
def xlogy(x1, x2):
    """x1 times log(x2), and 0 where x1 is 0 and the logarithm is infinite or none."""
    return x1 * log(where((x1 == 0) & (x2 <= 0), 1, x2))


@op
def clip(x, *, min=None, max=None):
    """x limited to [min, max]; the gradient passes at the bounds."""
    if min is not None:
        x = where(x < min, min, x)
    if max is not None:
        x = where(x > max, max, x)
    return x


@op
def masked_fill(x, mask, *, value):
    """x with `value` where the mask is true; no gradient reaches filled elements."""
    return where(mask, value, x)
