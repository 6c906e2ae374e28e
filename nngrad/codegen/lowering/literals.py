"""How numbers are written in code."""

from __future__ import annotations

import math
from functools import cache

import sympy

LARGEST_INTEGER = 10**16  # written as such


def is_unit_fraction(number) -> bool:
    """Whether it is 1/q with q no power of two: dividing by q is exact where multiplying by the rounded 1/q is not."""
    return bool(number.is_Rational and number.p == 1 and number.q & (number.q - 1))


@cache
def literal(value) -> str:
    """A number as Python has it: short integers as such, others as the nearest float, infinity as NumPy's."""
    if value.is_Integer and abs(value) < LARGEST_INTEGER:
        return str(int(value))
    number = float(sympy.N(value, 30))
    return repr(number).replace("e+", "e") if math.isfinite(number) else f"{'-' * (number < 0)}np.{abs(number)}"


def number_of(text: str) -> float:
    """The number that a literal is."""
    return float(text.replace("np.", ""))
