"""Stage 6b: the slopes of an elementwise formula, where forward had better keep them.

A slope shares its dear parts with the value: sigmoid's e / (1 + e)**2 its exponential. Where computing both in one go
and keeping the slope costs less than computing those parts twice, a cotangent has to be multiplied by it, no more.
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from nngrad.codegen.forms import DECAYED_COST, SAVED_COST, SERIES_COST, WHERE_COST
from nngrad.codegen.guards import guarded
from nngrad.codegen.infix import ancestors
from nngrad.codegen.lower import Graph, Node
from nngrad.codegen.selection import Chosen
from nngrad.codegen.symbols import Value
from nngrad.codegen.vocabulary import WORD_OF

CALL_COSTS = {word.numpy: word.cost for word in WORD_OF.values() if word.numpy} | {
    "runtime.decayed": DECAYED_COST,
    "runtime.near_zero": SERIES_COST,
}
MASK_COST = 0.5


def with_slopes(op, chosen: Chosen) -> tuple[Chosen, dict[Value, sympy.Expr]]:
    """The forms with the slopes that are worth keeping as values of their own, and the forms of these slopes."""
    derivatives, formula = chosen.derivatives, chosen.derivatives.formula
    cotangent = derivatives.cotangent
    made = {cotangent: sympy.S.One, formula.output: chosen.value}
    forms = {value: form.xreplace(made) for value, form in chosen.vjp.items() if cotangent in sympy.Mul.make_args(form)}
    if not op.maps_elements or not forms or len(forms) < len(chosen.vjp):
        return chosen, {}
    apart = cost(chosen, [chosen.value]) + cost(chosen, chosen.vjp.values())
    together = cost(chosen, [chosen.value, *forms.values()]) + (SAVED_COST + 1) * len(forms)
    if together >= apart:
        return chosen, {}
    slopes = {value: Value("slope" if len(forms) == 1 else f"slope_{value.name}") for value in forms}
    vjp = {value: cotangent * slope for value, slope in slopes.items()}
    jvp = {value: derivatives.tangents[value] * slope for value, slope in slopes.items()}
    return replace(chosen, vjp=vjp, jvp=jvp), {slopes[value]: form for value, form in forms.items()}


def cost(chosen: Chosen, forms) -> float:
    """Time of a kernel that computes the forms, with the output given to it, in multiplications."""
    formula = chosen.derivatives.formula
    given = {value: value.name for value in (*formula.inputs, chosen.derivatives.cotangent)}
    if chosen.value not in forms:
        given[formula.output] = formula.output.name
    graph = Graph(formula, given)
    graph, outputs = guarded(graph, [graph.build(form) for form in forms])
    return graph_cost(graph, outputs)


def graph_cost(graph: Graph, outputs: list[int]) -> float:
    """Time of computing nodes of a graph, in multiplications."""
    return sum(_node_cost(graph.nodes[node]) for node in ancestors(graph, *outputs))


def _node_cost(node: Node) -> float:
    """Time of one operation."""
    if not node.is_full or node.op == "argument":
        return 0.0
    if node.is_bool:
        return MASK_COST
    if node.op == "where":
        return WHERE_COST
    return CALL_COSTS.get(node.detail, 1.0) if node.op == "call" else 1.0
