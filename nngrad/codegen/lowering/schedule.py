"""Stage 6: the order of a kernel's operations, by which few arrays are in use at once.

A tile of each of them has to stay in a core's cache until it is read for the last time: with one array more than fit,
every operation waits for memory. So what ends the use of an array comes early, what begins one late.

Worked example: of a + b, with a = exp(x) * x and b = sin(x) * x, the parts are made one after the other, never exp(x)
and sin(x) first.
"""

from __future__ import annotations

from dataclasses import dataclass

from nngrad.codegen.lower import Graph
from nngrad.codegen.lowering.node import ancestors

WIDTH = 24  # unfinished orders that are kept at every step


@dataclass(frozen=True)
class _Begun:
    """The beginning of an order: the most arrays that are in use at once, and the sum of that over its operations."""

    most: int
    total: int
    order: tuple[int, ...]
    done: frozenset[int]

    @property
    def key(self) -> tuple:
        return self.most, self.total, self.order


def with_few_arrays(graph: Graph, outputs: list[int]) -> list[int]:
    """The nodes that the outputs need, operands first, by a search among orders that keeps the best beginnings."""
    needed = sorted(ancestors(graph.nodes, *outputs))
    readers = {node: {other for other in needed if node in graph.nodes[other].args} for node in needed}
    arrays = [node for node in needed if graph.nodes[node].is_full and not graph.nodes[node].is_bool]
    given = {node for node in arrays if graph.nodes[node].op == "argument"}

    def in_use(done) -> set[int]:
        return {node for node in arrays if node in done and not readers[node] <= done}

    def ready(done) -> list[int]:
        return [node for node in needed if node not in done and done.issuperset(graph.nodes[node].args)]

    def continued(begun: _Begun, node: int) -> _Begun:
        done = begun.done | {node}
        if node not in arrays or node in given:
            return _Begun(begun.most, begun.total, (*begun.order, node), done)
        before, after = in_use(begun.done), in_use(done)
        has_place = bool(before - after - given)  # that of an operand which nobody reads again
        count = len(before) + (not has_place)
        return _Begun(max(begun.most, count), begun.total + count, (*begun.order, node), done)

    best = [_Begun(0, 0, (), frozenset())]
    for _ in needed:
        found: dict[frozenset, _Begun] = {}
        for begun in best:
            choices = ready(begun.done)
            small = [node for node in choices if node not in arrays or node in given]
            for node in small[:1] or choices:
                one = continued(begun, node)
                if one.done not in found or one.key < found[one.done].key:
                    found[one.done] = one
        best = sorted(found.values(), key=lambda one: one.key)[:WIDTH]
    return list(best[0].order)
