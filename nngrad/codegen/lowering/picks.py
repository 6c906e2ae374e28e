"""Products in which an element is picked from each row: only that one need be touched, not all of them."""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra.symbols import AxisSum, Pick, is_constant_along
from nngrad.codegen.trace import Formula


def with_picks_apart(product, formula: Formula):
    """The product with what a pick changes as a term of its own."""
    return _off_rows(_left_out(product, formula), formula) if formula.axes else product


def at_height(graph, product: int) -> int:
    """The node of a pick times what its row has one of, as a pick of that height: elsewhere is 0, also for NaN."""
    pick = graph.pick_in(product)
    if not pick or graph.smooth:
        return product
    node = graph.nodes[pick[0]]
    shape = {"sources": node.sources, "reduced": node.reduced}
    return graph.node("one_hot", node.args[0], *pick[1:], axis=node.axis, **shape)


def balanced(graph, expr) -> int:
    """The node of a `Balanced`. Of shares less one that is picked, only that one can be what is lost."""
    form, parts, power, axis = expr.args
    made = graph.build(form)
    node = graph.nodes[made]
    others = [term for term in sympy.Add.make_args(with_picks_apart(form, graph.formula)) if not term.has(Pick)]
    if node.op == "minus_one_hot" and power == 0 and all(is_constant_along(term / parts, axis.name) for term in others):
        shares, index, *height = node.args
        height = height or [graph.build(sympy.S.One)]
        shape = {"sources": node.sources, "reduced": node.reduced}
        return graph.node("shares_minus_one_hot", shares, index, *height, axis=axis.name, **shape)
    return graph.node("balanced", graph.full(made), graph.full(graph.build(parts)), graph.build(power), axis=axis.name)


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
