"""Approximations of functions that NumPy lacks, derived with mpmath.

Smooth functions are fitted, for each dtype by the polynomial of least weighted error (Remez's exchange):

- arctanh(erf(x)) / x - 1 in the variable x**2 / (x**2 + c). Its error reaches erf multiplied by 1 - erf(x)**2, so that
  a short polynomial serves the whole line, and NumPy's tanh is fast.
- factor exp(-a x**2) / tail(x), where tail is erfc or the normal distribution's: it grows like a line, which is
  taken out with slope 2, in the variable (x - c) / (x + c) after Shepherd & Laframboise, "Chebyshev approximation of
  (1 + 2x) exp(x^2) erfc x in 0 <= x < inf", Math. Comp. 36 (1981).
- sinc'(x) / x in the variable x**2, near 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

import mpmath

DIGITS = 50
SAMPLES_PER_COEFFICIENT = 9
EXCHANGES = 20
CONVERGED = 1.02  # the largest error over the levelled one
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Fit:
    """What is fitted for one dtype.

    Attributes:
        limit: the largest |x|; from here on the result does not change any more, or is 0.
        pivot: c, which places the interval's middle.
        degree: of the polynomial.
    """

    limit: float
    pivot: float
    degree: int

    @property
    def numbers(self) -> tuple[float, float]:
        return self.limit, self.pivot


@dataclass(frozen=True, eq=False)
class Tail:
    """A function that falls like exp(-rate x**2), computed as factor exp(-rate x**2) / (start + 2 x + x P(t)).

    `start` has few bits and is such that the slope of the denominator is 2 or nearly so, from 0 to infinity.
    """

    name: str
    function: Callable
    rate: float
    start: float
    fits: dict[str, Fit]

    @property
    def factor(self):
        return self.start * self.function(mpmath.mpf(0))

    @property
    def arguments(self) -> str:
        """What `gaussian_tail` is called with."""
        return f"{self.rate}, {self.start}, {float(mpmath.log(self.factor))}"


ERF = {"float32": Fit(4.25, 8.0, 7), "float64": Fit(6.0, 10.0, 20)}
TAILS = (
    Tail("ERFC_TAIL", mpmath.erfc, 1.0, 1.390625, {"float32": Fit(10.25, 3.0, 9), "float64": Fit(28.0, 3.0, 24)}),
    Tail(
        "NORMAL_TAIL",
        lambda x: mpmath.erfc(x / mpmath.sqrt(2)) / 2,
        0.5,
        2.0,
        {"float32": Fit(14.5, 4.0, 10), "float64": Fit(39.0, 4.0, 24)},
    ),
)


@cache
def erf_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial in x**2 / (x**2 + c), highest power first."""
    fit = ERF[dtype]

    def sample(t):
        x = mpmath.sqrt(fit.pivot * t / (1 - t))
        erf, erfc = mpmath.erf(x), mpmath.erfc(x)
        v = mpmath.log((1 + erf) / erfc) / 2
        return v / x - 1, x * erfc * (1 + erf) / erf

    with mpmath.workdps(DIGITS):
        largest = mpmath.mpf(fit.limit) ** 2
        return _minimax(sample, 0, largest / (largest + fit.pivot), fit.degree)


@cache
def tail_coefficients(tail: Tail, dtype: str) -> tuple[float, ...]:
    """The polynomial in (x - c) / (x + c), highest power first."""
    fit = tail.fits[dtype]

    def sample(t):
        x = fit.pivot * (1 + t) / (1 - t)
        line = tail.factor * mpmath.exp(-tail.rate * x * x) / tail.function(x)
        return (line - tail.start) / x - 2, x / line

    with mpmath.workdps(DIGITS):
        limit = mpmath.mpf(fit.limit)
        return _minimax(sample, -1, (limit - fit.pivot) / (limit + fit.pivot), fit.degree)


SINC_SLOPE_DEGREES = {"float32": 5, "float64": 10}
SINC_SLOPE_LIMIT = 0.5


@cache
def sinc_slope_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial sinc'(x) / x in x**2, highest power first."""

    def sample(square):
        x = mpmath.sqrt(square)
        value = (mpmath.cospi(x) - mpmath.sincpi(x)) / square
        return value, 1 / value

    with mpmath.workdps(DIGITS):
        return _minimax(sample, 0, mpmath.mpf(SINC_SLOPE_LIMIT) ** 2, SINC_SLOPE_DEGREES[dtype])


def _minimax(sample: Callable, low, high, degree: int) -> tuple[float, ...]:
    """The polynomial of least weighted error on [low, high], highest power first. `sample(t)` is (value, weight).

    Remez's algorithm on a grid: the error is levelled on degree + 2 points, which then move to where it is largest.
    """
    size = SAMPLES_PER_COEFFICIENT * (degree + 2)
    grid = [(low + high - (high - low) * mpmath.cos(mpmath.pi * (k + 0.5) / size)) / 2 for k in range(size)]
    samples = [tuple(Decimal(mpmath.nstr(one, DIGITS)) for one in (t, *sample(t))) for t in grid]
    places = [round((size - 1) * (1 - mpmath.cos(mpmath.pi * k / (degree + 1))) / 2) for k in range(degree + 2)]
    with localcontext(prec=DIGITS):
        for _ in range(EXCHANGES):
            coefficients, level = _levelled([samples[place] for place in places])
            errors = [(value - _polynomial(coefficients, t)) * weight for t, value, weight in samples]
            places = _extrema(errors, degree + 2)
            if max(abs(errors[place]) for place in places) < Decimal(CONVERGED) * level:
                return tuple(float(one) for one in coefficients)
    raise ArithmeticError("the fitted polynomial's error is not level: sample it more finely")


def _polynomial(coefficients, x):
    y = coefficients[0]
    for coefficient in coefficients[1:]:
        y = y * x + coefficient
    return y


def _levelled(points) -> tuple[list[Decimal], Decimal]:
    """The polynomial whose weighted errors at the points are equal and of alternating sign, and their size.

    The divided difference over all the points is 0 for a polynomial of that degree, which gives the size; then the
    polynomial is Newton's.
    """
    nodes = [t for t, _, _ in points]
    signs = [(-1) ** row / weight for row, (_, _, weight) in enumerate(points)]
    parts = [1 / math.prod(t - other for other in nodes if other != t) for t in nodes]
    values = [value for _, value, _ in points]
    level = _dot(parts, values) / _dot(parts, signs)
    differences = [value - level * sign for value, sign in zip(values, signs, strict=True)][:-1]
    for order in range(1, len(differences)):
        for row in range(len(differences) - 1, order - 1, -1):
            differences[row] = (differences[row] - differences[row - 1]) / (nodes[row] - nodes[row - order])
    coefficients = [differences[-1]]
    for difference, node in zip(differences[-2::-1], nodes[-3::-1], strict=True):
        shifted = [-node * one for one in coefficients]
        coefficients.append(Decimal(0))
        for row, one in enumerate(shifted):
            coefficients[row + 1] += one
        coefficients[-1] += difference
    return coefficients, abs(level)


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def _extrema(errors, count: int) -> list[int]:
    """Where the error is largest, once in each run of one sign; the ends give way where there are too many runs."""
    places: list[int] = []
    for place, error in enumerate(errors):
        if places and (errors[places[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[places[-1]]):
                places[-1] = place
        else:
            places.append(place)
    while len(places) > count:
        places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
    if len(places) < count:
        raise ArithmeticError("the fitted polynomial's error does not alternate: sample it more finely")
    return places


def source() -> str:
    """The Python source of the functions in CODE, with their tables."""
    tables = [_table("ERF", {dtype: (ERF[dtype].numbers, erf_coefficients(dtype)) for dtype in DTYPES})]
    for tail in TAILS:
        rows = {dtype: (tail.fits[dtype].numbers, tail_coefficients(tail, dtype)) for dtype in DTYPES}
        tables.append(_table(tail.name, rows))
    slope = {dtype: ((SINC_SLOPE_LIMIT,), sinc_slope_coefficients(dtype)) for dtype in DTYPES}
    tables.append(_table("SINC_SLOPE", slope))
    code = CODE
    for tail, mark in zip(TAILS, ("@erfc@", "@normal@"), strict=True):
        code = code.replace(mark, tail.arguments)
    return "\n".join(tables) + code


def _table(name: str, rows: dict[str, tuple]) -> str:
    """A table of the generated module: dtype -> (*numbers, coefficients)."""
    lines = []
    for dtype, (numbers, coefficients) in rows.items():
        first = "".join(f"        {number},\n" for number in numbers)
        listed = "".join(f"            {value!r},\n" for value in coefficients)
        lines.append(f'    "{dtype}": (\n{first}        (\n{listed}        ),\n    ),\n')
    return f"{name} = {{\n{''.join(lines)}}}\n"


CODE = '''

def polynomial(coefficients, x):
    """Horner's rule, highest power first."""
    y = np.multiply(x, coefficients[0], out=...)
    y = np.add(y, coefficients[1], out=y)
    for coefficient in coefficients[2:]:
        y = np.multiply(y, x, out=y)
        y = np.add(y, coefficient, out=y)
    return y


@in_tiles
def erf(x):
    """Error function, at most 2 ulp off: tanh(v) for a v that is x times a smooth function of x**2."""
    if x.dtype == np.float16:
        return erf(x.astype(np.float32)).astype(np.float16)
    limit, pivot, coefficients = ERF[x.dtype.name]
    x = np.clip(x, -limit, limit, out=...)
    square = np.multiply(x, x, out=...)
    t = np.add(square, pivot, out=...)
    t = np.divide(square, t, out=t)
    rest = polynomial(coefficients, t)
    rest = np.multiply(rest, x, out=rest)
    v = np.add(x, rest, out=t)
    x = np.subtract(v, x, out=x)
    rest = np.subtract(rest, x, out=rest)  # v + rest is the sum before its rounding
    y = np.tanh(v, out=v)
    slope = np.multiply(y, y, out=square)
    slope = np.subtract(1, slope, out=slope)
    rest = np.multiply(rest, slope, out=rest)
    return np.add(y, rest, out=y)


def square_parts(x, c, offset=0.0):
    """c x**2 + offset for float64 x and c < 0, as hi + lo, |x| limited where its exponential is 0.

    Its rounding error would be magnified by the exponential. So x is split after 13 bits and c after 26.
    """
    limit = math.sqrt(-760 / c)
    rounder = math.ldexp(1.5, math.frexp(limit)[1] + 39)  # what is added to it loses all but 13 bits
    mantissa, exponent = math.frexp(c)
    short = math.ldexp(round(math.ldexp(mantissa, 26)), exponent - 26)
    x = np.clip(x, -limit, limit, out=...)
    head = np.add(x, rounder, out=...)
    head = np.subtract(head, rounder, out=head)
    tail = np.add(x, head, out=...)
    x = np.subtract(x, head, out=x)
    tail = np.multiply(tail, x, out=tail)
    tail = np.multiply(tail, c, out=tail)
    head = np.multiply(head, head, out=head)
    if c != short or offset:
        x = np.multiply(head, c - short, out=x)
        x = np.add(x, offset, out=x)
        tail = np.add(tail, x, out=tail)
    head = np.multiply(head, short, out=head)
    hi = np.add(head, tail, out=x)
    lo = np.subtract(head, hi, out=head)
    return hi, np.add(lo, tail, out=lo)


@in_tiles
def exp_square(x, c):
    """exp(c x**2) for c < 0, at most 2 ulp off."""
    if x.dtype == np.float16:
        return exp_square(x.astype(np.float32), c).astype(np.float16)
    if x.dtype == np.float32:
        return wide_exp_square(x.astype(np.float64), c).astype(np.float32)
    hi, lo = square_parts(x, c)
    y = np.exp(hi, out=hi)
    lo = np.multiply(lo, y, out=lo)
    return np.add(y, lo, out=y)


@in_tiles
def x_exp_square(x, c):
    """x exp(c x**2) for c < 0, at most 3 ulp off, also where exp(c x**2) is subnormal; 0 at infinity."""
    if x.dtype == np.float16:
        return x_exp_square(x.astype(np.float32), c).astype(np.float16)
    if x.dtype == np.float32:
        largest = float(np.finfo(np.float32).max)
        wide = np.clip(x, -largest, largest, out=...).astype(np.float64)
        y = wide_exp_square(wide, c)
        return np.multiply(y, wide, out=y).astype(np.float32)
    hi, lo = square_parts(x, c)
    limit = math.sqrt(-760 / c)
    power, deep = exp_factors(hi)
    y = np.clip(x, -limit, limit, out=...)
    y = np.multiply(y, power, out=y)
    lo = np.multiply(lo, y, out=lo)
    y = np.add(y, lo, out=y)
    return np.multiply(y, deep, out=y)


def exp_factors(hi):
    """exp(hi) as two factors, neither of them subnormal, the second 1 where it can be; hi is above -1300."""
    if not hi.size or np.minimum.reduce(hi, None) > -650:
        return np.exp(hi, out=hi), 1
    deep = np.clip(np.add(hi, 650, out=...), None, 0, out=...)
    hi = np.subtract(hi, deep, out=hi)
    return np.exp(hi, out=hi), np.exp(deep, out=deep)


def wide_exp_square(x, c, offset=0.0):
    """exp(c x**2 + offset) in float64, exact enough for float32."""
    y = np.multiply(x, x, out=...)
    y = np.multiply(y, c, out=y)
    if offset:
        y = np.add(y, offset, out=y)
    return np.exp(y, out=y)


def gaussian_tail(x, table, rate, start, offset, times_x=False):
    """exp(offset - rate x**2) / (start + 2 |x| + |x| P(t)), or |x| times that, for t = (|x| - c) / (|x| + c).

    The last steps are made in twice the precision: in float64 for float32, else with the rounding errors carried along.
    """
    limit, pivot, coefficients = table[x.dtype.name]
    size = np.abs(x, out=...)
    size = np.clip(size, None, limit, out=size)
    t = np.add(size, pivot, out=...)
    t = np.divide(-2 * pivot, t, out=t)
    t = np.add(t, 1, out=t)
    bend = polynomial(coefficients, t)
    if x.dtype == np.float32:
        size, line = size.astype(np.float64), bend.astype(np.float64)
        line = np.add(line, 2, out=line)
        line = np.multiply(line, size, out=line)
        line = np.add(line, start, out=line)
        y = wide_exp_square(size, -rate, offset)
        if times_x:
            y = np.multiply(y, size, out=y)
        return np.divide(y, line, out=y).astype(np.float32)
    hi, lo = square_parts(size, -rate, offset)
    bend = np.multiply(bend, size, out=bend)
    double = np.add(size, size, out=t)
    line = np.add(double, start, out=...)
    rest = np.subtract(line, start, out=...)
    rest = np.subtract(double, rest, out=rest)  # what rounding took from start + 2 |x|
    whole = np.add(line, bend, out=double)
    line = np.subtract(whole, line, out=line)
    bend = np.subtract(bend, line, out=bend)  # and from that + |x| P(t)
    rest = np.add(rest, bend, out=rest)
    rest = np.divide(rest, whole, out=rest)
    lo = np.subtract(lo, rest, out=lo)
    if times_x:
        power, deep = exp_factors(hi)
        power = np.multiply(size, power, out=size)
    else:
        power, deep = np.exp(hi, out=hi), 1
    y = np.divide(power, whole, out=bend)
    divisor, factor = first_bits(whole), first_bits(y)
    product = np.multiply(factor, divisor, out=rest)
    miss = np.subtract(power, product, out=power)  # becomes what rounding took from the quotient: power - y whole
    factor = np.subtract(y, factor, out=factor)
    factor = np.multiply(factor, divisor, out=factor)
    miss = np.subtract(miss, factor, out=miss)
    divisor = np.subtract(whole, divisor, out=divisor)
    divisor = np.multiply(divisor, y, out=divisor)
    miss = np.subtract(miss, divisor, out=miss)
    miss = np.divide(miss, whole, out=miss)
    lo = np.multiply(lo, y, out=lo)
    lo = np.add(lo, miss, out=lo)
    y = np.add(y, lo, out=y)
    return np.multiply(y, deep, out=y) if times_x else y


def first_bits(x):
    """x rounded to 26 bits, so that products with such numbers are exact (Veltkamp's splitting)."""
    y = np.multiply(x, 134217729.0, out=...)
    rest = np.subtract(y, x, out=...)
    return np.subtract(y, rest, out=y)


@in_tiles
def erfc(x):
    """Complementary error function 1 - erf(x), at most 2 ulp off, in the tail too."""
    if x.dtype == np.float16:
        return erfc(x.astype(np.float32)).astype(np.float16)
    tail = gaussian_tail(x, ERFC_TAIL, @erfc@)
    limit = np.multiply(x < 0, x.dtype.type(2), out=...)
    return np.abs(np.subtract(limit, tail, out=tail), out=tail)  # 2 - tail or tail


@in_tiles
def normal_cdf(x):
    """The normal distribution function, at most 2 ulp off, in the tail too."""
    if x.dtype == np.float16:
        return normal_cdf(x.astype(np.float32)).astype(np.float16)
    tail = gaussian_tail(x, NORMAL_TAIL, @normal@)
    return np.abs(np.subtract(x >= 0, tail, out=tail), out=tail)  # 1 - tail or tail


def times_normal_cdf(x, p):
    """x p for p = normal_cdf(x), from x alone where p is subnormal or 0; 0 at -inf."""
    subnormal = p < np.finfo(p.dtype).tiny
    if not subnormal.any():
        return np.multiply(x, p, out=...)
    y = np.multiply(np.where(subnormal, 0, x), p, out=...)
    few = x[subnormal].astype(np.promote_types(x.dtype, np.float32))
    y[subnormal] = -gaussian_tail(few, NORMAL_TAIL, @normal@, times_x=True)
    return y
'''
