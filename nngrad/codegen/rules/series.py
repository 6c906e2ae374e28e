"""Polynomials for functions of one number near a zero of theirs, where every closed form cancels.

`x - tanh(x)` is x**3 / 3 - ..., and subtracts equal digits on the way there. The function over its leading power is
smooth, and for odd and even functions one of x**2: a Chebyshev interpolant of that, in monomials, evaluated by Horner's
rule, is as accurate as the oracle it was fitted to (Powell, "Approximation theory and methods", 1981, ch. 4).

Far from zero, where x**2 leaves the range, what grows or decays like a power of x is its leading term. Where terms
cancel there, as in arctan(x) + pi / 2 for negative x, a power of x times a series in 1 / x is fitted in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, reduce

import mpmath
import numpy as np
import sympy

from nngrad.codegen.algebra import words

RADII = (0.125, 0.25, 0.5, 1.0, 1.5, 2.25, 3.0)
WIDE_RADII = (*RADII, 6.0, 12.0)  # around other numbers, which inputs are compared with in units of their own
LARGEST_POWER = 6
LARGEST_GROWTH = 3  # power of x, far from zero
NEXT_TO_0 = mpmath.mpf(10) ** -20
DIGITS_OF_TAILS = 120
TOLERANCE = {"float32": 2.0**-27, "float64": 2.0**-56}  # relative, a sixteenth of a unit in the last place
MOST_TERMS = {"float32": 12, "float64": 26}
NEGLIGIBLE = 2.0**-20  # of the tolerance: terms that are never larger are what the fit finds for 0
HOPELESS = 4  # times the tolerance: an interpolant that leaves out such a coefficient is farther off
FAR, FAR_DIGITS = 200, 30  # the power of two that counts as far, and the digits that the leading term has there
LARGEST_DENOMINATOR = 1000


@dataclass(frozen=True)
class Series:
    """x**power times a polynomial in x, or in x**2 where `even`, for |x| up to the radius; highest power first."""

    radius: float
    power: int
    even: bool
    coefficients: dict[str, tuple[float, ...]]

    def polynomial(self, x):
        """The same as an expression, with x kept within the radius."""
        x = words.clamped(x, sympy.Rational(self.radius))
        return x**self.power * self.factor(x)

    def factor(self, x):
        """The polynomial alone, for an x that is within the radius."""
        first, *rest = map(sympy.Rational, self.coefficients["float64"])
        z = x**2 if self.even else x
        return reduce(lambda total, coefficient: coefficient + z * total, rest, first)


def fitted(function: Callable[[list], list], least_radius: float, radii=RADII) -> Series | None:
    """The series of a function that vanishes at 0, for at least the radius; None where there is none that short.

    `function` takes and gives lists of mpf.
    """
    radius = next((radius for radius in radii if radius > least_radius), None)
    if radius is None:
        return None
    with mpmath.workdps(30):
        power = _leading_power(function)
        if power is None:
            return None
        probes = [mpmath.mpf(radius) * part / 7 for part in (1, 3, 6)]
        right, left = function(probes), function([-x for x in probes])
        sign = (-1) ** power
        even = all(abs(b - sign * a) <= abs(a) * mpmath.mpf(10) ** -18 for a, b in zip(right, left, strict=True))
        coefficients = _fitted(function, power, even, [0, radius**2] if even else [-radius, radius])
    return Series(radius, power, even, coefficients) if all(coefficients.values()) else None


@dataclass(frozen=True)
class FarSeries:
    """A limit, and |x|**growth times a series in 1 / |x|, for |x| of at least the distance."""

    distance: float
    limit: sympy.Rational
    growth: int
    series: Series

    def polynomial(self, x, size):
        """The same as an expression in x, the power of which is written as it stands; `size` is that of x, and within
        what it is for.
        """
        power = self.growth - self.series.power
        sign = words.sign(x) if power % 2 else sympy.S.One
        return self.limit + sign * x**power * self.series.factor(1 / size)

    @property
    def negated(self) -> FarSeries:
        """That of the function times -1."""
        coefficients = {dtype: tuple(-one for one in own) for dtype, own in self.series.coefficients.items()}
        return replace(self, limit=-self.limit, series=replace(self.series, coefficients=coefficients))


def fitted_far(function: Callable[[list], list], distance: float) -> FarSeries | None:
    """The series of a function for large positive x, from no more than the distance on; None where there is none that
    short. `function` takes and gives lists of mpf with many digits.
    """
    radius = next((radius for radius in RADII if radius * distance >= 1), None)
    if radius is None:
        return None
    with mpmath.workdps(DIGITS_OF_TAILS):

        def beyond(limit):
            return lambda numbers: [y - mpmath.mpf(limit.p) / limit.q for y in function([1 / u for u in numbers])]

        limit, tail = sympy.S.Zero, beyond(sympy.S.Zero)
        power = _leading_power(tail, LARGEST_GROWTH)
        if power == 0:  # its slope is that of what is beside the limit
            number = sympy.Rational(mpmath.nstr(*tail([NEXT_TO_0]), FAR_DIGITS))
            limit = number.limit_denominator(LARGEST_DENOMINATOR)
            tail = beyond(limit)
            power = _leading_power(tail)
        if power is None:
            return None
        for even in (True, False):
            coefficients = _fitted(tail, power, even, [0, radius ** (1 + even)])
            if all(coefficients.values()):
                return FarSeries(1 / radius, limit, max(-power, 0), Series(radius, max(power, 0), even, coefficients))
    return None


def leading_term(function: Callable[[list], list]) -> tuple[sympy.Rational, int] | None:
    """(c, k) where the function is c x**k to all digits for large positive x; None where it is not.

    `function` takes and gives lists of mpf. c is the simplest fraction that fits, if one does.
    """
    with mpmath.workdps(60):
        far = [mpmath.mpf(2) ** FAR, mpmath.mpf(2) ** (FAR + 1)]
        near, beyond = function(far)
        if not (mpmath.isfinite(near) and mpmath.isfinite(beyond)):
            return None
        if not near and not beyond:
            return sympy.S.Zero, 0
        power = round(float(mpmath.log(abs(beyond / near), 2))) if near and beyond else LARGEST_POWER + 1
        if (
            abs(power) > LARGEST_POWER
            or abs(beyond / near / mpmath.mpf(2) ** power - 1) > mpmath.mpf(10) ** -FAR_DIGITS
        ):
            return None
        factor = sympy.Rational(str(mpmath.nstr(near / far[0] ** power, FAR_DIGITS)))
        simple = factor.limit_denominator(LARGEST_DENOMINATOR)
    return (simple if abs(simple - factor) < sympy.Rational(10) ** (2 - FAR_DIGITS) else factor), power


def leading_terms_of_rational(expr, x) -> tuple[tuple, tuple] | None:
    """(c, k) where a quotient of polynomials in x is c x**k far from zero, and c times a sign for negative x in |x|."""
    try:
        top, bottom = (sympy.Poly(part, x) for part in sympy.fraction(sympy.together(expr)))
    except sympy.PolynomialError:
        return None
    if top.is_zero or any(one.has(x) for poly in (top, bottom) for one in poly.coeffs()):
        return None
    c, power = top.LC() / bottom.LC(), top.degree() - bottom.degree()
    return (c, power), (c * (-1) ** power, power)


def _fitted(function, power: int, even: bool, interval: list) -> dict[str, tuple[float, ...]]:
    """The coefficients, for each dtype, of the function over x**power, in x**2 where `even`; () where they are many."""

    @cache
    def quotient(z):
        x = (mpmath.sqrt(z) if even else z) or NEXT_TO_0
        return function([x])[0] / x**power

    left_out = _left_out(quotient, interval)
    return {dtype: _interpolated(quotient, interval, dtype, left_out) for dtype in TOLERANCE}


def _leading_power(function, growth: int = 0) -> int | None:
    """The power of x that the function is a multiple of near 0; None where it is none, or below minus the growth."""
    small = [mpmath.mpf(10) ** -10, mpmath.mpf(10) ** -11]
    larger, smaller = map(abs, function(small))
    if not (mpmath.isfinite(larger) and mpmath.isfinite(smaller) and smaller):
        return None
    power = float(mpmath.log10(larger / smaller))
    if not -growth - 1 < power < LARGEST_POWER + 1:
        return None
    whole = round(power)
    return whole if abs(power - whole) < 1e-6 and -growth <= whole <= LARGEST_POWER else None


def _interpolated(function, interval, dtype: str, left_out: list) -> tuple[float, ...]:
    """The shortest interpolant within tolerance, or () if it would be too long."""
    tolerance = TOLERANCE[dtype] * abs(function(mpmath.mpf(interval[1])))
    for terms in range(3, MOST_TERMS[dtype] + 1):
        if left_out[terms] <= HOPELESS * tolerance:
            coefficients, error = mpmath.chebyfit(function, interval, terms, error=True)
            if error <= tolerance:
                return tuple(_floats(coefficients, dtype, interval[1], NEGLIGIBLE * tolerance))
    return ()


def _floats(coefficients, dtype: str, largest, negligible) -> Iterator[float]:
    """The coefficients, highest power first, rounded; 0 where the term is negligible even for the largest x."""
    for power, coefficient in zip(reversed(range(len(coefficients))), coefficients, strict=True):
        counts = abs(coefficient) * largest**power > negligible
        yield float(np.dtype(dtype).type(float(coefficient))) if counts else 0.0


def _left_out(function, interval) -> list:
    """For each number of terms the largest coefficient of Chebyshev's polynomials that are left out."""
    (low, high), count = interval, max(MOST_TERMS.values()) + 4
    angles = [mpmath.pi * (2 * k + 1) / (2 * count) for k in range(count)]
    values = [function((low + high + (high - low) * mpmath.cos(angle)) / 2) for angle in angles]
    sizes = [
        abs(2 * mpmath.fsum(y * mpmath.cos(j * angle) for y, angle in zip(values, angles, strict=True)) / count)
        for j in range(count)
    ]
    return [max(sizes[terms:]) for terms in range(count)]
