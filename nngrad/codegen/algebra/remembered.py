"""What is asked of the same expressions again and again, and answered once for each subexpression.

What is made of nested choices has few different nodes, but a large tree, and SymPy walks the whole tree: `diff` does so
below every node that it differentiates, to look for derivatives that are left and for zeros.
"""

from __future__ import annotations

from functools import lru_cache

import sympy


@lru_cache(2**16)
def holds(expr, head: type) -> bool:
    """Whether there is a part of this type in an expression."""
    return isinstance(expr, head) or any(holds(arg, head) for arg in expr.args)


@lru_cache(2**15)
def slope(expr, symbol) -> sympy.Expr:
    """The derivative of an expression by a symbol, as `diff` gives it."""
    if expr.is_Symbol or not expr.args:
        return sympy.S.One if expr == symbol else sympy.S.Zero
    if expr.is_Add:
        return expr.func(*(slope(arg, symbol) for arg in expr.args))
    if expr.is_Mul:
        slopes = ((place, slope(arg, symbol)) for place, arg in enumerate(expr.args))
        return sympy.Add(*(_product(expr.args, place, one) for place, one in slopes if one != 0))
    if expr.is_Pow:
        base, exponent = expr.args
        of_base, of_exponent = slope(base, symbol), slope(exponent, symbol)
        return expr * (of_exponent * sympy.log(base) + of_base * exponent / base)
    if type(expr)._eval_derivative is sympy.Function._eval_derivative:
        slopes = ((place, slope(arg, symbol)) for place, arg in enumerate(expr.args, 1))
        return sympy.Add(*(expr.fdiff(place) * one for place, one in slopes if one != 0))
    return expr._eval_derivative(symbol)


def _product(factors, place: int, factor):
    """The product with another factor in one place, multiplied in turn: so SymPy does it."""
    product = sympy.S.One
    for own, one in enumerate(factors):
        product = product * (factor if own == place else one)
    return product
