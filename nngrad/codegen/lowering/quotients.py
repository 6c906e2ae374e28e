"""Quotients of products: what their divisors are, and what had better be divided before it is multiplied."""

from __future__ import annotations

from functools import cache

import sympy

MAX_PRODUCT = 8  # the power that is still made of products


def is_product(exponent) -> bool:
    """Whether powers with this exponent, or with minus that, are products, which may have a root among them."""
    return bool((2 * exponent).is_Integer and abs(exponent) <= MAX_PRODUCT)


@cache
def is_denominator(factor) -> bool:
    """Whether the factor of a product divides it. What is no product of its base is a power as it stands: 1 over that
    of the opposite exponent would leave the range where it is 0.
    """
    if isinstance(factor, sympy.exp) or factor.is_number:
        return False
    exponent = factor.as_base_exp()[1]
    return bool(exponent.is_number and exponent.is_negative) and is_product(exponent)


def divisors(factor: sympy.Expr) -> list[sympy.Expr]:
    """What a factor that is a denominator divides by, one after the other: their product might leave the range."""
    base, exponent = factor.as_base_exp()
    times = int(-exponent)
    return [base] * times + [base ** (-exponent - times)] * (times != -exponent)


def power_of_quotient(above: list[int], below: list[int]) -> tuple[int, int, int]:
    """(f, g, n) for the first factors f and g that are n > 1 times above and below; n is 0 where there are none.

    f**2 / g**2 as (f / g)**2 is in range where the squares may not be.
    """
    f, g = (next((node for node in nodes if nodes.count(node) > 1), -1) for nodes in (above, below))
    return f, g, min(above.count(f), below.count(g))


def without(nodes: list[int], node: int, count: int) -> list[int]:
    """The nodes with so many fewer of one."""
    return [node] * (nodes.count(node) - count) + [other for other in nodes if other != node]


def with_sign_below(constant, factors: list) -> tuple:
    """A negative number and factors, of which 1 / (u - 1) becomes 1 / (1 - u): one step less, and at u = 1 inf."""
    for place, factor in enumerate(factors):
        number, rest = (1 / factor).as_coeff_Add()
        if number.is_negative and rest.is_Symbol:
            return -constant, [*factors[:place], 1 / (-number - rest), *factors[place + 1 :]]
    return constant, factors
