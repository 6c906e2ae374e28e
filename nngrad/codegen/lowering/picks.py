"""Products in which an element is picked from each row: only that one need be touched, not all of them."""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra.symbols import AxisSum, Pick, is_constant_along
from nngrad.codegen.trace import Formula


def with_picks_apart(product, formula: Formula):
    """The product with what a pick changes as a term of its own."""
    return _off_rows(_left_out(product, formula), formula) if formula.axes else product


def _off_rows(product, formula: Formula):
    """r (u - pick) for what each row has one of, r, as r u - r pick: the pick changes one element of each row."""
    factors = sympy.Mul.make_args(product)
    sums = [factor for factor in factors if factor.is_Add and any(isinstance(-term, Pick) for term in factor.args)]
    if len(sums) != 1 or not all(is_constant_along(product / sums[0], axis) for axis in formula.axes):
        return product
    return sympy.Add(*(product / sums[0] * term for term in sums[0].args))


def _left_out(product, formula: Formula):
    """u (1 - pick) as u - pick u_picked, which changes one element of each row, too."""
    for factor in sympy.Mul.make_args(product):
        pick = 1 - formula.spelled_out(factor)
        if isinstance(pick, Pick):
            others = product / factor
            return others - pick * AxisSum(pick * others, pick.args[1])
    return product
