"""Stage 5: quotients that leave the range where what is made of them has settled.

tanh(x / t) is 1 where x / t is infinite, so that a warning of the overflow would be about nothing, and x / t times its
slope there is the largest number times 0.
"""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.algebra.vocabulary import enter
from nngrad.codegen.rules.exponentials import MADE_OF_EXPONENTIALS

ratio = enter(  # not for specs to write
    "ratio",
    "runtime.ratio",
    lambda a, b: a / b,
    1.5,
    "x1 / x2, which may overflow.",
    arity=2,
    derivatives=lambda a, b: [1 / b, -a / b**2],
    smooth=lambda a, b: a / b,
    safe=(0, 1),
    eval=classmethod(lambda cls, a, b: a / b if a.is_number and b.is_number else None),
)


def with_ratios(expr):
    """The expression with this word for quotients of inputs that functions are of; those that are multiplied by
    functions of exponentials are kept finite, for these have settled, perhaps at 0.
    """
    return expr.replace(lambda part: part.is_Mul, _as_ratio)


def _as_ratio(product):
    functions = [one for one in product.args if one.has(sympy.Function)]
    number, factors = (product / sympy.Mul(*functions)).as_independent(Value, as_Add=False)
    above, below = sympy.fraction(factors)
    is_quotient = above.atoms(Value) and below.atoms(Value)
    if not is_quotient or (functions and not product.has(*MADE_OF_EXPONENTIALS)):
        return product
    made = _power_of_ratio(*above.as_base_exp(), *below.as_base_exp())
    return number * (words.finite(made) * sympy.Mul(*functions) if functions else made)


def _power_of_ratio(above, power, below, other):
    """above**power / below**other: of what they have in common the quotient's power, which SymPy would take apart."""
    if not (power.is_Integer and other.is_Integer):
        return ratio(above**power, below**other)
    common = min(power, other)
    return ratio(above, below) ** common * above ** (power - common) / below ** (other - common)


def without_ratios(expr):
    return expr.replace(ratio.build, lambda a, b: a / b)
