"""Small numbers in sums, which keep what they are added to away from 0.

In log(1 - p + 1e-8) the small number is all there is where p is 1. SymPy makes one number of the 1 and the 1e-8, which
rounding then makes 1; and log(x + 1e-8) may become log(1e8 x + 1) - log(1e8), which overflows. So such a number is
known by itself, as pi is, and added last.
"""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra.remembered import holds
from nngrad.codegen.algebra.symbols import Parameter, Value

LARGEST = sympy.Rational(1, 64)
LARGEST_DENOMINATOR = 16  # of what the other terms are multiplied by: sums with decimals may share these


class Small(sympy.Expr):
    """`Small(number)`: a small positive number that SymPy does not add to others."""

    is_real = is_positive = is_commutative = True

    def _eval_evalf(self, prec):
        return self.args[0]._eval_evalf(prec)

    def _eval_derivative(self, _):
        return sympy.S.Zero


def with_small_numbers_apart(expr):
    """The expression with a `Small` number in each sum of values that has one, beside a whole number or in a logarithm:
    its number, or that number's distance from the whole one.
    """

    def apart(total):
        number, rest = total.as_coeff_Add()
        small = number - sympy.floor(number + sympy.S.Half)
        coefficients = (term.as_coeff_Mul()[0] for term in sympy.Add.make_args(rest))
        is_decimal = any(one.is_Rational and one.q > LARGEST_DENOMINATOR for one in coefficients)
        if not rest.atoms(Value) or is_decimal or small == 0 or abs(small) > LARGEST:
            return total
        return rest + (number - small) + sympy.sign(small) * Small(abs(small))

    def has_number(part) -> bool:
        return part.is_Add and part.as_coeff_Add()[0].is_Rational

    expr = expr.replace(sympy.log, lambda argument: sympy.log(argument.replace(has_number, apart)))
    return expr.replace(lambda part: has_number(part) and abs(part.as_coeff_Add()[0]) > LARGEST, apart)


def smallness(term) -> int:
    """The place of a number in a sum: a parameter may be small, too. Others are 0."""
    return 0 if holds(term, Value) else 2 if holds(term, Small) else 1 if holds(term, Parameter) else 0


def small_numbers(total):
    """What a sum has of small numbers and parameters."""
    return sympy.Add(*filter(smallness, sympy.Add.make_args(total)))
