"""Approximations of functions that NumPy lacks, derived with mpmath.

erf(x) is x times a polynomial in x**2 near 0. Elsewhere erfc(x) = exp(-x**2) p(t) / (1 + 2 x) with p a polynomial in
t = (x - 3.75) / (x + 3.75), after Shepherd & Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in
0 <= x < inf", Math. Comp. 36 (1981). The coefficients are fitted here, by Chebyshev interpolation in 60 digits.
"""

from __future__ import annotations

import math
from functools import cache

import mpmath

PIVOT = 3.75
SMALL = 1.0  # up to here erf is computed directly
DEGREES = {"float64": (15, 27), "float32": (8, 13)}  # of the polynomials in x**2 and in t


@cache
def coefficients(dtype: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Polynomials for a dtype, highest power first: erf(x) / x in x**2, and (1 + 2 x) exp(x**2) erfc(x) in t."""
    near, far = DEGREES[dtype]
    with mpmath.workdps(60):
        return (
            _fitted(
                lambda z: mpmath.erf(mpmath.sqrt(z)) / mpmath.sqrt(z) if z else 2 / mpmath.sqrt(mpmath.pi),
                0,
                SMALL,
                near,
            ),
            _fitted(_scaled_erfc, -1, 1, far),
        )


def _scaled_erfc(t):
    if t >= 1:
        return 2 / mpmath.sqrt(mpmath.pi)
    x = mpmath.mpf(PIVOT) * (1 + t) / (1 - t)
    if x > 1000:  # the asymptotic series, where erfc itself underflows
        series = mpmath.fsum((-1) ** n * mpmath.fac2(2 * n - 1) / (2 * x * x) ** n for n in range(12))
        return (1 + 2 * x) / (x * mpmath.sqrt(mpmath.pi)) * series
    return (1 + 2 * x) * mpmath.exp(x * x) * mpmath.erfc(x)


def _fitted(function, low, high, degree: int) -> tuple[float, ...]:
    return tuple(float(one) for one in mpmath.chebyfit(function, [low, high], degree + 1))


def source() -> str:
    """The Python source of `erf` and `erfc`."""
    tables = []
    for name, position in (("ERF_NEAR", 0), ("ERFC_FAR", 1)):
        rows = []
        for dtype in DEGREES:
            listed = "".join(f"        {value!r},\n" for value in coefficients(dtype)[position])
            rows.append(f'    "{dtype}": (\n{listed}    ),\n')
        tables.append(f"{name} = {{\n{''.join(rows)}}}\n")
    return "\n".join(tables) + CODE


CODE = f'''

def polynomial(coefficients, x):
    """Horner's rule, highest power first."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        np.multiply(y, x, out=y)
        np.add(y, coefficient, out=y)
    return y


def erf_near(x):
    """erf for |x| up to {SMALL}."""
    return x * polynomial(ERF_NEAR[x.dtype.name], x * x)


def exp_square(x, c):
    """exp(c x**2) for c < 0. x**2 is split in two, for its rounding error would be magnified by the exponential."""
    if x.dtype == np.float16:
        return exp_square(x.astype(np.float32), c).astype(np.float16)
    limit = math.sqrt(-1600 / c)
    x = np.clip(x, -limit, limit)
    head = np.rint(x * 16) / 16
    return np.multiply(np.exp(c * head * head), np.exp(c * ((x - head) * (x + head))), out=...)


def erfc_far(x):
    """erfc for x >= 0."""
    t = 1 - {2 * PIVOT} / (x + {PIVOT})
    return exp_square(x, -1) * polynomial(ERFC_FAR[x.dtype.name], t) / (1 + 2 * np.minimum(x, 64))


def erf(x):
    """Error function, at most a few units in the last place off."""
    if x.dtype == np.float16:
        return erf(x.astype(np.float32)).astype(np.float16)
    size = np.abs(x, out=...)
    far = np.copysign(1 - erfc_far(size), x)
    return where(size < {SMALL}, erf_near(np.clip(x, -{SMALL}, {SMALL})), far)


def erfc(x):
    """Complementary error function 1 - erf(x), relatively exact in its tail."""
    if x.dtype == np.float16:
        return erfc(x.astype(np.float32)).astype(np.float16)
    far = erfc_far(np.abs(x, out=...))
    far = where(x < 0, 2 - far, far)
    return where(np.abs(x) < {SMALL / 2}, 1 - erf_near(np.clip(x, -{SMALL}, {SMALL})), far)


def normal_cdf(x):
    """The normal distribution function, relatively exact in its tail."""
    if x.dtype == np.float16:
        return normal_cdf(x.astype(np.float32)).astype(np.float16)
    size = np.abs(x, out=...)
    z = size * {math.sqrt(0.5)!r}
    t = 1 - {2 * PIVOT} / (z + {PIVOT})
    far = exp_square(size, -0.5) * polynomial(ERFC_FAR[x.dtype.name], t) / (2 + 4 * np.minimum(z, 64))
    far = where(x < 0, far, 1 - far)
    near = 0.5 + 0.5 * erf_near(np.clip(x * {math.sqrt(0.5)!r}, -{SMALL}, {SMALL}))
    return where(size < {SMALL / 2}, near, far)
'''
