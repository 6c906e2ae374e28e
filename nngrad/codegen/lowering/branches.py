"""Stage 6: what a choice between two branches becomes.

Most are computed for all elements, and `runtime.where` takes of each what is wanted. What keeps a form in range far
from zero (`far`) is for few elements, though, and it is computed for these alone.

Worked example: where(abs(x) > 65536, far, near), in which near keeps x within the limit, is

    mask = np.abs(x) > 65536
    y = near of runtime.clamped(x, 65536)
    y = runtime.amended(y, mask, far of x[mask])
"""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Where


def only_matters_far_out(choice: Where) -> bool:
    """Whether a choice is between a form for large inputs and one for others, in which they are kept within a limit."""
    condition, _, near = choice.args
    is_of_size = isinstance(condition, sympy.Gt | sympy.Ge) and isinstance(condition.lhs, words.abs.build)
    return is_of_size and condition.rhs.is_number and near.has(words.clamped.build)


def chosen(graph, choice: Where) -> int:
    """The node of a choice."""
    condition, a, b = choice.args
    if not graph.smooth and (name := _extremum(condition, a, b)):
        return graph.node("call", graph.build(a), graph.build(b), detail=name)
    if _is_for_few(graph, choice):
        y, mask = graph.build(b), graph.condition(condition)
        return graph.node("amended", y, mask, of_few(graph, graph.build(a), mask))
    made = graph.node("where", graph.condition(condition), graph.build(a), graph.build(b))
    if graph.nodes[graph.build(a)].is_scalar and graph.nodes[graph.build(b)].is_scalar and not graph.smooth:
        return graph.node("as_float", made)
    return made


def of_few(graph, position: int, mask: int) -> int:
    """The node of the elements that a mask picks."""
    node = graph.nodes[position]
    if node.is_scalar or node.few == mask:
        return position
    if node.op == "argument":
        return graph.node("picked", position, mask)
    return graph.node(node.op, *(of_few(graph, arg, mask) for arg in node.args), detail=node.detail)


def _is_for_few(graph, choice: Where) -> bool:
    """Whether the first branch is to be computed for a few elements alone, and not in turn for few of these."""
    if not graph.picks_few or not only_matters_far_out(choice):
        return False
    is_of_directions = any(symbol.name in graph.directions for symbol in choice.free_symbols)
    return not is_of_directions and not any(map(only_matters_far_out, choice.args[1].atoms(Where)))


def _extremum(condition, a, b) -> str:
    """`where(x < c, c, x)` is the maximum of the two, NaN included."""
    if not isinstance(condition, sympy.Gt | sympy.Ge | sympy.Lt | sympy.Le) or {a, b} != set(condition.args):
        return ""
    larger_first = isinstance(condition, sympy.Gt | sympy.Ge) == (a == condition.lhs)
    return "np.maximum" if larger_first else "np.minimum"
