"""What computing a graph of operations costs, in multiplications of an array: a fixed table, the same everywhere."""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.forms import DECAYED_COST, SAVED_COST, SERIES_COST, WHERE_COST
from nngrad.codegen.lower import Graph
from nngrad.codegen.lowering.guards import guarded
from nngrad.codegen.lowering.node import Node, ancestors
from nngrad.codegen.trace import Formula

CALL_COSTS = {word.numpy: word.cost for word in WORD_OF.values() if word.numpy} | {
    "runtime.decayed": DECAYED_COST,
    "runtime.near_zero": SERIES_COST,
    "runtime.exp_multiple": 10.0,
    "runtime.exp_square": 10.0,
    "runtime.exp_shifted": WORD_OF[sympy.exp].cost,
}
ROW_COSTS = dict.fromkeys(
    (
        "reduce",
        "shift",
        "shift_beside",
        "top",
        "scale",
        "mean_error",
        "weighted_mean_error",
        "log_mean",
        "log_sum",
        "log_share",
    ),
    1.0,
) | {
    "exponentials": WORD_OF[sympy.exp].cost + 1.0,
    "log_sum_parts": 1.0,
    "scaled_squares": 1.0,
    "centred_squares": 4.0,
    "mean_and_error": 1.0,
    "counted": 2.0,
}
MASK_COST, DIVISION_COST = 0.5, 2.0
WIDE_COST = 2.0  # times that of an operation in float32
WIDE_CALL_COSTS = {  # so many times, for NumPy's vector instructions are for float32, or alike for both
    "np.sin": 16.0, "np.cos": 16.0, "np.exp": 4.0, "np.tanh": 4.0, "np.expm1": 3.0, "np.exp2": 3.0,
}  # fmt: skip
MEMORY_COST = 3.0  # reading a large array and writing another, which are in no cache


def kernel_cost(graph: Graph, outputs: list[int]) -> int:
    """Time of a kernel on a large array; 0 for one that has nothing to compute."""
    cost = graph_cost(graph, outputs)
    return round(MEMORY_COST + cost) if cost else 0


def graph_cost(graph: Graph, outputs: list[int], is_wide: bool = False) -> float:
    """Time of computing nodes of a graph, in multiplications; `is_wide` says that all of them are made float64."""
    return sum(
        _node_cost(graph.nodes[node]) * (_wide_cost(graph.nodes[node]) if is_wide or node in graph.wide else 1)
        for node in ancestors(graph.nodes, *outputs)
    )


def _wide_cost(node: Node) -> float:
    """How many times the time of an operation its time in float64 is."""
    return WIDE_CALL_COSTS.get(node.detail, WIDE_COST)


def _node_cost(node: Node) -> float:
    """Time of one operation. Of those on rows only such count as read arrays of full size."""
    if node.op in ROW_COSTS:
        return ROW_COSTS[node.op]
    if not node.is_full or node.few is not None or node.op in ("argument", "broadcast", "part"):
        return 0.0
    if node.is_bool:
        return MASK_COST
    if node.op == "where":
        return WHERE_COST
    if node.op == "divide":
        return DIVISION_COST
    return CALL_COSTS.get(node.detail, 1.0) if node.op == "call" else 1.0


def apart_and_together(formula: Formula, value, slopes, is_wide: bool = False) -> tuple[float, float]:
    """Time of computing an elementwise formula's value and slopes, each in its kernel and all in one that keeps the
    slopes.
    """
    slopes = list(slopes)

    def time(forms, given) -> float:
        graph = Graph(formula, {known: known.name for known in (*formula.inputs, *given)})
        return graph_cost(*guarded(graph, [graph.build(form) for form in forms]), is_wide)

    made = [slope.xreplace({formula.output: value}) for slope in slopes]
    apart = time([value], []) + time(slopes, [formula.output]) + len(slopes)
    return apart, time([value, *made], []) + kept_cost(slopes)


def kept_cost(slopes) -> float:
    """Time of keeping slopes and multiplying a cotangent by them."""
    return (SAVED_COST + 1) * len(slopes)
