"""Approximations of functions that NumPy lacks, derived with mpmath.

Smooth functions are fitted, for each dtype by the polynomial or fraction of least weighted error (Remez's exchange):

- arctanh(erf(x)) / x - 1 by a polynomial in x**2 / (x**2 + c). Its error reaches erf multiplied by 1 - erf(x)**2, so
  that a short polynomial serves the whole line, and NumPy's tanh is fast.
- k exp(c x**2) / tail(x) - x, where tail is erfc or the normal distribution's: it falls from k / tail(0) like 1 / x. By
  how much is a fraction of polynomials in x, after Cody, "Rational Chebyshev approximations for the error function",
  Math. Comp. 23 (1969). All their coefficients but the last of the first are positive, so that nothing cancels.
- exp(-x**2) / erfc(x) / sqrt(pi) - x, which falls like 1 / x itself, in the same way. It tells the tail's logarithm,
  and what the tail is beside the bell, where both are 0.
- sinc'(x) / x by a polynomial in x**2, near 0.
- What exp(x) and log(1 + v) leave beyond 1 + x and v, near 0: (exp(x) - 1 - x) / x**2 by a polynomial in x, and
  (arctanh(s) - s) / s**3 in s**2, for log(1 + v) is 2 arctanh(s), s = v / (2 + v).
- 2 (arctanh(s) - s) / s**3 in s**2, (exp(r) - 1 - r) / r**2 and (2**r - 1) / r in r, for what is left of float32
  numbers when their powers of 2 are taken out.
- tan(x / 2) / x by a polynomial in x**2, multiplied by (pi**2 - x**2) (9 pi**2 - x**2), which takes the four poles that
  are nearest from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import mpmath

from nngrad.codegen.algebra import exact
from nngrad.codegen.algebra.exp_words import expm1_over_slope, over_expm1_slope

DIGITS = 80
BITS = 400
ONE = 1 << BITS
SAMPLES_PER_UNKNOWN = 9
EXCHANGES = 20
CONVERGED = 1.02  # the largest error over the levelled one
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Fit:
    """What is fitted for one dtype.

    Attributes:
        limit: the largest |x|; from here on the result does not change any more, or is 0.
        degree: of the polynomials.
    """

    limit: float
    degree: int


@dataclass(frozen=True, eq=False)
class Tail:
    """A function that falls like k exp(c x**2) / x, computed as k exp(c x**2), the bell, over x + start - N(x) / D(x).

    `start` is about k / tail(0), a number of few bits; `pivot` is where half of the points lie below, and beyond
    `fitted` the fraction is close to its limit.
    """

    name: str
    function: Callable
    c: float
    factor: Callable
    start: float
    pivot: float
    fits: dict[str, Fit]
    fitted: float = math.inf

    @property
    def offset(self) -> tuple[float, float]:
        """log2 k as a number of few bits, which added to a product of such numbers rounds nothing, and a rest."""
        with mpmath.workdps(DIGITS):
            offset = mpmath.log(self.factor(), 2)
            most = mpmath.ldexp(mpmath.nint(mpmath.ldexp(offset, OFFSET_BITS)), -OFFSET_BITS)
            return float(most), float(offset - most)

    def bell(self, x):
        return self.factor() * mpmath.exp(self.c * x * x)


OFFSET_BITS = 11
ERF_PIVOTS = {"float32": 8.0, "float64": 10.0}
ERF = {"float32": Fit(4.25, 7), "float64": Fit(6.0, 20)}
TAILS = (
    Tail(
        "ERFC",
        mpmath.erfc,
        -1.0,
        lambda: 1 / mpmath.sqrt(mpmath.pi),
        0.5625,
        1.4,
        {"float32": Fit(10.25, 4), "float64": Fit(28.0, 10)},
    ),
    Tail(
        "NORMAL",
        lambda x: mpmath.erfc(x / mpmath.sqrt(2)) / 2,
        -0.5,
        lambda: 1 / mpmath.sqrt(2 * mpmath.pi),
        0.796875,
        2.0,
        {"float32": Fit(14.5, 4), "float64": Fit(39.0, 10)},
    ),
)


EXCESS = Tail(
    "EXCESS",
    lambda x: 2 * exact.tail_excess(x),
    0.0,
    lambda: 1,
    0.890625,
    1.4,
    {"float32": Fit(2.0**15, 5), "float64": Fit(2.0**29, 11)},
    2.0**8,
)


@cache
def erf_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial in x**2 / (x**2 + c), highest power first."""
    fit, pivot = ERF[dtype], ERF_PIVOTS[dtype]

    def sample(t):
        x = mpmath.sqrt(pivot * t / (1 - t))
        erf, erfc = mpmath.erf(x), mpmath.erfc(x)
        v = mpmath.log((1 + erf) / erfc) / 2
        return t, v / x - 1, x * erfc * (1 + erf) / erf

    with mpmath.workdps(DIGITS):
        largest = mpmath.mpf(fit.limit) ** 2
        return _minimax(sample, 0, largest / (largest + pivot), fit.degree)[0]


@cache
def tail_coefficients(tail: Tail, dtype: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The polynomials N and D, highest power first.

    At x = 0 the function is exact: it is fitted what comes after that, M / D where N(x) = N(0) D(x) + x M(x).
    """
    fit = tail.fits[dtype]

    def line(x):
        return tail.bell(x) / tail.function(x)

    def sample(t):
        x = tail.pivot * t / (1 - t)
        y = line(x)
        return x, 1 - (y - at_0) / x, x / y

    with mpmath.workdps(DIGITS):
        at_0 = line(0)
        limit = mpmath.mpf(min(fit.limit, tail.fitted))
        middle, divisor = _minimax(sample, 0, limit / (limit + tail.pivot), fit.degree - 1, fit.degree)
        first = tail.start - at_0
        dividend = (first * under + above for under, above in zip(divisor, (*middle, 0), strict=True))
        return tuple(map(float, dividend)), divisor


SINC_SLOPE_DEGREES = {"float32": 5, "float64": 10}
SINC_SLOPE_LIMIT = 0.5


@cache
def sinc_slope_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial sinc'(x) / x in x**2, highest power first."""

    def sample(square):
        x = mpmath.sqrt(square)
        value = (mpmath.cospi(x) - mpmath.sincpi(x)) / square
        return square, value, 1 / value

    with mpmath.workdps(DIGITS):
        return _minimax(sample, 0, mpmath.mpf(SINC_SLOPE_LIMIT) ** 2, SINC_SLOPE_DEGREES[dtype])[0]


EXP_REMAINDER_DEGREES = {"float32": 7, "float64": 13}
EXP_REMAINDER_LIMIT = 1.0
OVER_EXPM1_DEGREES = {"float32": 6, "float64": 15}
OVER_EXPM1_LIMIT = 2.0
EXPM1_OVER_DEGREES = {"float32": 9, "float64": 17}
EXPM1_OVER_LIMITS = (-1.4, 2.0)
LOG_REMAINDER_DEGREES = {"float32": 5, "float64": 11}
LOG_REMAINDER_LIMITS = (-0.5625, 1.0)


@cache
def exp_remainder_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial (exp(x) - 1 - x) / x**2, highest power first."""

    def sample(x):
        value = (mpmath.exp(x) - 1 - x) / x**2 if x else mpmath.mpf(1) / 2
        return x, value, 1 / value

    with mpmath.workdps(DIGITS):
        return _minimax(sample, -EXP_REMAINDER_LIMIT, EXP_REMAINDER_LIMIT, EXP_REMAINDER_DEGREES[dtype])[0]


@cache
def over_expm1_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial (slope of x / expm1(x), and 1 / 2 more) / x in x**2, highest power first."""

    def sample(square):
        x = mpmath.sqrt(square)
        value = (over_expm1_slope.oracle(x) + mpmath.mpf(1) / 2) / x
        return square, value, 1 / value

    with mpmath.workdps(DIGITS):
        return _minimax(sample, 0, mpmath.mpf(OVER_EXPM1_LIMIT) ** 2, OVER_EXPM1_DEGREES[dtype])[0]


@cache
def expm1_over_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial slope of expm1(x) / x, highest power first."""

    def sample(x):
        value = expm1_over_slope.oracle(x)
        return x, value, 1 / value

    with mpmath.workdps(DIGITS):
        return _minimax(sample, *EXPM1_OVER_LIMITS, EXPM1_OVER_DEGREES[dtype])[0]


@cache
def log_remainder_coefficients(dtype: str) -> tuple[float, ...]:
    """The polynomial (arctanh(s) - s) / s**3 in s**2, highest power first."""

    def sample(square):
        s = mpmath.sqrt(square)
        value = (mpmath.atanh(s) - s) / s**3
        return square, value, 1 / value

    with mpmath.workdps(DIGITS):
        largest = max(abs(mpmath.mpf(v) / (2 + v)) for v in LOG_REMAINDER_LIMITS)
        return _minimax(sample, 0, largest**2, LOG_REMAINDER_DEGREES[dtype])[0]


LOG1P_REST_DEGREE, EXPM1_REST_DEGREE, EXP2_SLOPE_DEGREE = 3, 4, 5  # in float32


@cache
def log1p_rest_coefficients() -> tuple[float, ...]:
    """The polynomial 2 (arctanh(s) - s) / s**3 in s**2 up to 1 / 9, highest power first."""

    def sample(square):
        s = mpmath.sqrt(square)
        return square, 2 * (mpmath.atanh(s) - s) / s**3, square

    with mpmath.workdps(DIGITS):
        return _minimax(sample, 0, mpmath.mpf(1) / 9, LOG1P_REST_DEGREE)[0]


@cache
def expm1_rest_coefficients() -> tuple[float, ...]:
    """The polynomial (exp(r) - 1 - r) / r**2 for |r| up to log(2) / 2, highest power first."""

    def sample(r):
        return r, (mpmath.expm1(r) - r) / r**2 if r else mpmath.mpf(1) / 2, mpmath.mpf(1)

    with mpmath.workdps(DIGITS):
        limit = mpmath.log(2) / 2
        return _minimax(sample, -limit, limit, EXPM1_REST_DEGREE)[0]


@cache
def exp2_slope_coefficients() -> tuple[float, ...]:
    """The polynomial (2**r - 1) / r for |r| up to 1 / 2, highest power first."""

    def sample(r):
        return r, mpmath.expm1(r * mpmath.log(2)) / r if r else mpmath.log(2), mpmath.mpf(1)

    with mpmath.workdps(DIGITS):
        return _minimax(sample, mpmath.mpf(-0.5), mpmath.mpf(0.5), EXP2_SLOPE_DEGREE)[0]


HALF_TANGENT_DEGREE = 7
TURN_BITS, LN_2_HEAD_BITS = 30, 15  # after the point
POWERS, STEP_BITS = 64, 38


@cache
def half_tangent_coefficients() -> tuple[float, ...]:
    """The polynomial tan(x / 2) / x (pi**2 - x**2) (9 pi**2 - x**2) in x**2 up to pi**2, highest power first."""

    def sample(square):
        x = mpmath.sqrt(square)
        value = mpmath.tan(x / 2) / x * (mpmath.pi**2 - square) * (9 * mpmath.pi**2 - square)
        return square, value, 1 / value

    with mpmath.workdps(DIGITS):
        return _minimax(sample, 0, mpmath.pi**2, HALF_TANGENT_DEGREE)[0]


def _minimax(sample: Callable, low, high, degree: int, below: int = 0) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The polynomials N and D of these degrees, D(0) = 1, for which N / D has the least weighted error, highest power
    first. `sample(t)` is (x, value, weight), for t in [low, high].

    Remez's algorithm on a grid: the error is levelled on as many points as there are unknowns, which then move to where
    it is largest.
    """
    count = degree + below + 2
    size = SAMPLES_PER_UNKNOWN * count
    ts = ((low + high - (high - low) * mpmath.cospi((k + 0.5) / size)) / 2 for k in range(size))
    points = [tuple(int(mpmath.ldexp(one, BITS)) for one in sample(t)) for t in ts]
    places = [round((size - 1) * (1 - mpmath.cospi(mpmath.mpf(k) / (count - 1))) / 2) for k in range(count)]
    divisor = [0] * below + [ONE]
    for _ in range(EXCHANGES):
        dividend, divisor, level = _levelled([points[place] for place in places], degree, divisor)
        errors = [
            _times(value - _over(_polynomial(dividend, x), _polynomial(divisor, x)), weight)
            for x, value, weight in points
        ]
        places = _extrema(errors, count)
        if max(abs(errors[place]) for place in places) < CONVERGED * level:
            dividend, divisor = ([one / ONE for one in coefficients] for coefficients in (dividend, divisor))
            return tuple(dividend), tuple(divisor)
    raise ArithmeticError("the fitted function's error is not level: sample it more finely")


def _levelled(points, degree: int, divisor: list[int]) -> tuple[list[int], list[int], int]:
    """N and D such that the weighted errors of N / D at the points are equal and of alternating sign, and their size.

    N(x) - value D(x) = error D(x) is linear in the coefficients and the error, with the D that was found before on the
    right.
    """
    rows = []
    for place, (x, value, weight) in enumerate(points):
        powers = [ONE]
        while len(powers) < max(degree + 1, len(divisor)):
            powers.append(_times(powers[-1], x))
        under = [-_times(value, power) for power in powers[1 : len(divisor)]]
        error = (-1) ** place * _over(_polynomial(divisor, x), weight)
        rows.append([*powers[degree::-1], *reversed(under), error, value])
    *solved, level = _solved(rows)
    return solved[: degree + 1], [*solved[degree + 1 :], ONE], abs(level)


def _solved(rows: list[list[int]]) -> list[int]:
    """The solution of linear equations, whose right sides stand last, by Gauss's and Jordan's elimination."""
    for place in range(len(rows)):
        pivot = max(range(place, len(rows)), key=lambda row: abs(rows[row][place]))
        rows[place], rows[pivot] = rows[pivot], rows[place]
        first = rows[place] = [_over(one, rows[place][place]) for one in rows[place]]
        for row in (*range(place), *range(place + 1, len(rows))):
            factor = rows[row][place]
            rows[row] = [one - (factor * other >> BITS) for one, other in zip(rows[row], first, strict=True)]
    return [row[-1] for row in rows]


# Numbers with many digits, as whole numbers of units of 2**-BITS, which Python has ten times as fast as mpmath.


def _times(a: int, b: int) -> int:
    return a * b >> BITS


def _over(a: int, b: int) -> int:
    return (a << BITS) // b


def _polynomial(coefficients: list[int], x: int) -> int:
    total = 0
    for coefficient in coefficients:
        total = (total * x >> BITS) + coefficient
    return total


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
        raise ArithmeticError("the fitted function's error does not alternate: sample it more finely")
    return places


def tables() -> str:
    """Python source of the coefficients, and of what else the approximations are made of."""
    erf = {dtype: ((ERF[dtype].limit, ERF_PIVOTS[dtype]), erf_coefficients(dtype)) for dtype in DTYPES}
    found = [_table("ERF", erf)]
    for tail in (*TAILS, EXCESS):
        rows = {dtype: ((tail.fits[dtype].limit,), *tail_coefficients(tail, dtype)) for dtype in DTYPES}
        found.append(_table(f"{tail.name}_LINE", rows))
        bell = (tail.c, tail.offset) if tail.c else tail.factor() / 2
        found.append(f"{tail.name}_START, {tail.name}_BELL = {tail.start}, {bell}\n")
    slope = {dtype: ((SINC_SLOPE_LIMIT,), sinc_slope_coefficients(dtype)) for dtype in DTYPES}
    found.append(_table("SINC_SLOPE", slope))
    left = {dtype: ((EXP_REMAINDER_LIMIT,), exp_remainder_coefficients(dtype)) for dtype in DTYPES}
    found.append(_table("EXP_REMAINDER", left))
    slope = {dtype: ((OVER_EXPM1_LIMIT,), over_expm1_coefficients(dtype)) for dtype in DTYPES}
    found.append(_table("OVER_EXPM1_SLOPE", slope))
    slope = {dtype: (EXPM1_OVER_LIMITS, expm1_over_coefficients(dtype)) for dtype in DTYPES}
    found.append(_table("EXPM1_OVER_SLOPE", slope))
    left = {dtype: (LOG_REMAINDER_LIMITS, log_remainder_coefficients(dtype)) for dtype in DTYPES}
    found.append(_table("LOG_REMAINDER", left))
    found.append(_list("LOG1P_REST", log1p_rest_coefficients()))
    found.append(_list("EXPM1_REST", expm1_rest_coefficients()))
    found.append(_list("EXP2_SLOPE", exp2_slope_coefficients()))
    found.append(_list("HALF_TANGENT", half_tangent_coefficients()))
    found.append(_turn())
    with mpmath.workdps(DIGITS):
        log2_e = int(mpmath.nint(mpmath.ldexp(1 / mpmath.log(2), 128)))
        head = mpmath.floor(mpmath.ldexp(mpmath.log(2), LN_2_HEAD_BITS)) / 2**LN_2_HEAD_BITS
        ln_2_rest = float(mpmath.log(2) - head)
    found.append(f"LN_2_HEAD, LN_2_REST = {float(head)}, {ln_2_rest}  # of few bits, so that multiples are exact\n")
    found.append(f"LN_2, LOG2_E = {math.log(2)}, {math.log2(math.e)}\n")
    found.append(f"LOG2_E_BITS = {log2_e}  # times 2**128, rounded\n")
    found.append("SHIFT = 64  # what is subnormal is not so times two to this\n")
    found.append(_powers_of_two())
    return "\n".join(found)


def _powers_of_two() -> str:
    """2**(n / 64) and what these floats lack, and the logarithm of the least of them, as a number of few bits, of which
    a hundred thousand is exact, and a rest.
    """
    with mpmath.workdps(DIGITS):
        powers = [mpmath.mpf(2) ** (mpmath.mpf(n) / POWERS) for n in range(POWERS)]
        step = mpmath.ln(2) / POWERS
        short = mpmath.ldexp(mpmath.nint(mpmath.ldexp(step, STEP_BITS)), -STEP_BITS)
        rows = "".join(f"    ({float(one)}, {float(one - float(one))}),\n" for one in powers)
        return f"POWERS_OF_TWO = (\n{rows})\nSTEP = {float(short)}, {float(step - short)}\n"


def _turn() -> str:
    """A whole turn as a number of few bits, of which a million is exact, and a rest, and half a turn so that it is not
    reached.
    """
    with mpmath.workdps(DIGITS):
        turn = mpmath.floor(mpmath.ldexp(2 * mpmath.pi, TURN_BITS))
        turn = mpmath.ldexp(turn, -TURN_BITS)
        rest, half = float(2 * mpmath.pi - turn), float(mpmath.pi - math.pi)
    return f"TURN, TURN_REST, HALF_TURN_REST = {float(turn)}, {rest}, {half}\n"


def _list(name: str, coefficients: tuple[float, ...]) -> str:
    """A list of coefficients of the generated module."""
    listed = "".join(f"    {value!r},\n" for value in coefficients)
    return f"{name} = (\n{listed})\n"


def _table(name: str, rows: dict[str, tuple]) -> str:
    """A table of the generated module: dtype -> (*numbers, *lists of coefficients)."""
    lines = []
    for dtype, (numbers, *lists) in rows.items():
        lines.append(f'    "{dtype}": (\n')
        lines += [f"        {number},\n" for number in numbers]
        for coefficients in lists:
            listed = "".join(f"            {value!r},\n" for value in coefficients)
            lines.append(f"        (\n{listed}        ),\n")
        lines.append("    ),\n")
    return f"{name} = {{\n{''.join(lines)}}}\n"
