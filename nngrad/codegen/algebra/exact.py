"""Functions for mpmath as exact as its own, and fast where those are not: far out, in hundreds of digits."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath

BITS_BEYOND_SQUARES = 2100
BEYOND_SQUARES = mpmath.mpf(2) ** BITS_BEYOND_SQUARES
SETTLED = 1e9  # tanh is 1 from here on, to more digits than are ever asked for


def bits_before_point(x: mpmath.mpf) -> int:
    """The n with 2**(n - 1) <= |x| < 2**n, below 0 where |x| is small; 0 or less for 0, infinity and nan.

    It is read off the number, since to compare numbers takes mpmath longer than to add them.
    """
    _, _, exponent, bits = x._mpf_
    return exponent + bits


def exp(x):
    """exp(x); mpmath would multiply large whole numbers out, a bit at a time, and reduce all others by ln 2.

    Of what is no float nor the square of one, only an exponential makes so large a number.
    """
    bits = bits_before_point(mpmath.convert(x))
    if bits > BITS_BEYOND_SQUARES:
        return mpmath.inf if x > 0 else mpmath.mpf(0)
    whole = bits > 10 and mpmath.isint(x)
    return mpmath.exp(mpmath.fsub(x, 0.5, exact=True)) * mpmath.exp(0.5) if whole else mpmath.exp(x)


def periodic(function: Callable):
    """The function, without a value where its argument has more digits than any float's square."""
    return lambda x: function(x) if mpmath.fabs(x) <= BEYOND_SQUARES else mpmath.nan


def by_exp(function: Callable, in_exp: Callable):
    """The function, where x is large written in exp(x) and exp(-x), for the same reason."""
    return lambda x: in_exp(exp(x), exp(-x)) if mpmath.fabs(x) > 1000 else function(x)


def tanh(x):
    """tanh(x); of numbers beyond all measure mpmath would make an integer with as many bits."""
    return mpmath.tanh(x) if mpmath.fabs(x) < SETTLED else mpmath.sign(x)


def erf(x):
    """erf(x) by 2 x exp(-x^2) / sqrt(pi) times the sum of (2 x^2)^k / (1 3 5 ... (2 k + 1)).

    Its terms are positive. mpmath's own series alternates, which takes ten times as long at hundreds of digits. To
    multiply takes longest, so the terms are summed in columns, by k modulo a width, and each column times a power of
    2 x^2 (Smith 1989).
    """
    bits, square = mpmath.mp.prec, x * x
    if not square > 1:
        return mpmath.erf(x)
    if square > bits:
        return mpmath.sign(x)
    width = math.isqrt(bits) // 2 + 1
    point = bits + 40 + width * mpmath.mag(2 * square)
    with mpmath.workprec(point):
        doubled, step = (int(mpmath.ldexp(power, point)) for power in (2 * x * x, (2 * x * x) ** width))
        columns, term, odd = [0] * width, 1 << point, 1
        while term:
            for column in range(width):
                columns[column] += term
                odd += 2
                term //= odd
            term = term * step >> point
        total = 0
        for column in reversed(columns):
            total = (total * doubled >> point) + column
        value = 2 * x * mpmath.exp(-x * x) / mpmath.sqrt(mpmath.pi) * mpmath.ldexp(total, -point)
    return +value


def erfc(x):
    """erfc(x): by mpmath's asymptotic series where that suffices, else from erf in as many more digits."""
    if x < 1 or x * x > mpmath.mp.prec:
        return mpmath.erfc(x)
    with mpmath.workprec(mpmath.mp.prec + int(1.5 * x * x) + 20):
        value = 1 - erf(x)
    return +value


def sinc_slope(x):
    """(cos(pi x) - sinc(x)) / x, the derivative of sinc: of the difference x**2 is left near 0."""
    if not x:
        return mpmath.mpf(0)
    with mpmath.workprec(mpmath.mp.prec + max(0, -2 * mpmath.mag(x))):
        value = (mpmath.cospi(x) - mpmath.sincpi(x)) / x
    return +value


def tail_excess(x):
    """exp(-x^2) / erfc(x) / sqrt(pi) - x for |x|, far out by 1/2 / (x + 2/2 / (x + 3/2 / (x + ...)))."""
    x = mpmath.fabs(x)
    if x < 6:
        with mpmath.workprec(mpmath.mp.prec + 10):
            value = mpmath.exp(-x * x) / erfc(x) / mpmath.sqrt(mpmath.pi) - x
        return +value
    total = x
    for number in range(10 + int((mpmath.mp.prec / x) ** 2 / 16), 1, -1):  # the error is about exp(-4 x sqrt(number))
        total = x + number / total / 2
    return 1 / total / 2
