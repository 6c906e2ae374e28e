"""The order of a kernel's operations, with operands first and as few arrays at once as can be, and their places."""

import itertools
import re
from pathlib import Path

import pytest

sympy = pytest.importorskip("sympy")

from nngrad.codegen.algebra import words  # noqa: E402
from nngrad.codegen.algebra.symbols import Value  # noqa: E402
from nngrad.codegen.lower import Graph  # noqa: E402
from nngrad.codegen.lowering.node import ancestors  # noqa: E402
from nngrad.codegen.lowering.numpy_code import SLOW_IN_PLACE  # noqa: E402
from nngrad.codegen.lowering.schedule import with_few_arrays  # noqa: E402
from nngrad.codegen.tracing.formula import Formula  # noqa: E402

x, y = Value("x"), Value("y")
sin, tanh = words.sin, words.tanh
CASES = {  # expressions -> the most arrays that must be in use at once, inputs that are still read among them
    (sympy.exp(x) * sin(x) + tanh(x) * words.sqrt(x),): 4,
    (sympy.exp(x) + 1, sin(x) + 1): 2,
    (sin(tanh(x)) * tanh(x) + x, tanh(x) ** 2): 3,
    (sin(x + y) * x, tanh(x - y) * y): 3,
    (x * y,): 3,
}


def graph_of(exprs):
    graph = Graph(Formula((), (x, y), (), x), {x: "x", y: "y"})
    return graph, [graph.build(expr) for expr in exprs]


def arrays_in_use(graph, order):
    """After each operation, how many arrays hold what is read by it or later, or its result in none of their places."""
    counts = []
    for place, node in enumerate(order):
        if graph.nodes[node].op in ("argument", "number"):
            continue
        later = {arg for other in order[place:] for arg in graph.nodes[other].args}
        held = {one for one in order[:place] if one in later and graph.nodes[one].op != "number"}
        read_again = {arg for other in order[place + 1 :] for arg in graph.nodes[other].args}
        has_place = any(one not in read_again and graph.nodes[one].op != "argument" for one in held)
        counts.append(len(held) + (not has_place))
    return counts


@pytest.mark.parametrize("exprs", CASES, ids=str)
def test_no_order_has_fewer_arrays(exprs):
    graph, outputs = graph_of(exprs)
    order = with_few_arrays(graph, outputs)
    assert sorted(order) == sorted(ancestors(graph.nodes, *outputs))
    for node in order:
        assert all(order.index(arg) < order.index(node) for arg in graph.nodes[node].args)
    given = [node for node in order if graph.nodes[node].op in ("argument", "number")]
    steps = [node for node in order if node not in given]
    possible = [
        [*given, *other]
        for other in itertools.permutations(steps)
        if all(arg in given or other.index(arg) < other.index(node) for node in other for arg in graph.nodes[node].args)
    ]
    least = min((max(counts), sum(counts)) for counts in (arrays_in_use(graph, one) for one in possible))
    found = arrays_in_use(graph, order)
    assert (max(found), sum(found)) == least
    assert max(found) == CASES[exprs]


def test_the_order_does_not_depend_on_where_it_is_found():
    exprs = (sympy.exp(x) * sin(y) + tanh(x * y), sin(x) * sympy.exp(x))
    assert len({tuple(with_few_arrays(*graph_of(exprs))) for _ in range(3)}) == 1


@pytest.mark.parametrize("function", SLOW_IN_PLACE)
def test_no_kernel_calls_in_place_what_is_slow_there(function):
    import nngrad_ops

    kernels = "".join(module.read_text() for module in Path(nngrad_ops.__file__).parent.glob("*.py"))
    calls = re.findall(rf"{re.escape(function)}\((.*), out=(.*)\)", kernels)
    assert calls and not [operand for operand, place in calls if operand == place]
