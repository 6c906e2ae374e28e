"""Stage 6: operations that only a branch of a `where` needs get safe arguments wherever the other branch is taken.

So they neither warn nor leak a NaN.
"""

from __future__ import annotations

import itertools
from functools import cache

import sympy

from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.lower import Graph
from nngrad.codegen.lowering.branches import of_few
from nngrad.codegen.lowering.literals import number_of
from nngrad.codegen.lowering.node import Node, ancestors

# Functions that overflow at one end but are defined everywhere: clamping their argument at a branch's edge is a guard.
OVERFLOWING = {"np.exp", "np.exp2", "runtime.exp_multiple", "np.expm1", "np.sinh", "np.cosh"}
OF_DOUBLED = {"exp", "exp2", "expm1", "sinh", "cosh"}  # those that warn
OF_POSITIVE = {"np.log", "np.log2", "np.log10", "np.sqrt"}
SAFE_ARGUMENTS = {word.numpy or f"np.{word.name}": word.safe for word in WORD_OF.values() if word.safe} | {
    "np.sqrt": (1,),
    "runtime.exp_multiple": (0,),
    "runtime.exp_square": (0,),
    "pairs.doubled": (1,),  # which an exponent may divide by
}


_ALWAYS = frozenset([frozenset()])


def guarded(graph: Graph, outputs: list[int]) -> tuple[Graph, list[int]]:
    """The graph with a safe argument for every delicate operation where only an untaken branch would use it."""
    made = Graph(graph.formula, graph.arguments, graph.smooth, graph.shape_of, graph.directions)
    return made, guarded_in(made, graph, outputs)


def guarded_in(made: Graph, graph: Graph, outputs: list[int]) -> list[int]:
    """The outputs of a graph with the same in another one, where other outputs may have been made."""
    contexts = _contexts(graph, outputs)
    moved: dict[int, int] = {}
    moving: set[int] = set()

    def move(position: int) -> int:
        """Where a node of the graph is in the new one. A condition may stand behind what it guards, and moves first."""
        if position in moved:
            return moved[position]
        node = graph.nodes[position]
        moving.add(position)
        args = [move(arg) for arg in node.args]
        if (context := known_before(contexts[position])) != _ALWAYS:
            args = _guard_arguments(made, node, args, context, move)
        shape = {"reduced": node.reduced} if node.axis else {}  # a guard may have made an elementwise node larger
        if node.op in ("argument", "take", "one_hot", "minus_one_hot", "shares_minus_one_hot", "broadcast", "part"):
            shape = {"reduced": node.reduced, "sources": node.sources, "along": node.along}
        moved[position] = made.node(node.op, *args, detail=node.detail, axis=node.axis, frozen=node.frozen, **shape)
        moving.remove(position)
        if position in graph.names:
            made.names.setdefault(moved[position], graph.names[position])
        return moved[position]

    def known_before(context):
        """The context without conditions that are made of what they would guard."""
        unknown = {one for one in _conditions(context) if one not in moved}
        late = {one for one in unknown if not moving.isdisjoint(ancestors(graph.nodes, one))}
        kept = (frozenset(one for one in conjunction if one[0] not in late) for conjunction in context)
        return _joined(frozenset(), frozenset(kept)) if late else context

    for position in sorted(contexts):
        move(position)
    return [moved[output] for output in outputs]


def used_always(graph: Graph, outputs: list[int]) -> set[int]:
    """The nodes that the outputs need whatever branch is taken."""
    return {node for node, context in _contexts(graph, outputs).items() if context == _ALWAYS}


def _contexts(graph: Graph, outputs: list[int]) -> dict[int, frozenset]:
    """For each node that is used, the conditions under which it is: a set of conjunctions of (condition, truth)."""
    contexts: dict[int, frozenset] = {output: _ALWAYS for output in outputs}
    for position in sorted(ancestors(graph.nodes, *outputs), reverse=True):
        node = graph.nodes[position]
        for place, arg in enumerate(node.args):
            context = contexts[position]
            if node.op == "where" and place > 0:
                context = _narrowed(context, (node.args[0], place == 1))
            if node.axis:
                context = _of_whole_rows(context, graph, node.axis)
            contexts[arg] = _joined(contexts.get(arg, frozenset()), context)
    return contexts


def _of_whole_rows(context, graph: Graph, axis: str):
    """The conditions under which elements of a row are used, where the whole row is used under the given ones."""
    rows = (
        frozenset(literal for literal in conjunction if _is_of_rows(graph.nodes[literal[0]], axis))
        for conjunction in context
    )
    return _joined(frozenset(), frozenset(rows))


def _is_of_rows(condition: Node, axis: str) -> bool:
    return condition.is_scalar or axis in condition.reduced


def _narrowed(context, literal):
    opposite = (literal[0], not literal[1])
    return frozenset(conjunction | {literal} for conjunction in context if opposite not in conjunction)


@cache
def _joined(first, second):
    conjunctions = set(first | second)
    changed = True
    while changed:
        changed = False
        for conjunction in sorted(conjunctions, key=sorted):
            for condition, truth in sorted(conjunction):
                rest = conjunction - {(condition, truth)}
                if rest | {(condition, not truth)} in conjunctions:
                    conjunctions -= {conjunction, rest | {(condition, not truth)}}
                    conjunctions.add(rest)
                    changed = True
                    break
            if changed:
                break
    return frozenset(one for one in conjunctions if not any(other < one for other in conjunctions))


def _guard_arguments(made: Graph, node: Node, args: list[int], context, move) -> list[int]:
    if node.op == "divide" and not node.is_scalar:
        is_of_rows = node.is_row and all(made.nodes[move(one)].is_full for one in _conditions(context))
        return args if is_of_rows else [args[0], _safe(made, args[1], 1, context, move)]
    if node.op == "refined" and context:  # only what is taken of it is worth computing again
        mask = _mask(made, context, move)
        return [*args, mask] if made.nodes[mask].sources <= made.nodes[args[0]].sources else args
    if node.op == "multiply" and (limited := _factors_in_branch(made, args, context, move)):
        return limited
    if node.op == "multiply" and args[0] == args[1]:
        return [_safe(made, args[0], 1, context, move)] * 2
    if node.op == "of_doubled" and node.detail in OF_DOUBLED:
        return [_safe(made, args[0], 0, context, move, warns_of_pairs=True)]
    name = node.detail if node.op == "call" else ""
    name = name if "." in name else f"np.{name}"
    if name in OF_POSITIVE and (multiple := _multiple(made, args[0])) is not None:
        number, inside = multiple
        return [made.node("multiply", _safe(made, inside, *SAFE_ARGUMENTS[name], context, move), number)]
    if node.op == "call" and name in SAFE_ARGUMENTS:
        clamped = _clamped(made, args[0], context, move) if name in OVERFLOWING and not made.smooth else None
        if clamped is not None:
            return [clamped, *args[1:]]
        safe = itertools.zip_longest(args, SAFE_ARGUMENTS[name])
        return [arg if value is None else _safe(made, arg, value, context, move) for arg, value in safe]
    return args


def _multiple(made: Graph, arg: int) -> tuple[int, int] | None:
    """The number above 1 and the array that an argument is the product of: that, too, may overflow."""
    node = made.nodes[arg]
    numbers = [one for one in node.args if made.nodes[one].op == "number" and number_of(made.nodes[one].detail) > 1]
    others = [one for one in node.args if one not in numbers]
    return (numbers[0], others[0]) if node.op == "multiply" and len(numbers) == len(others) == 1 else None


def _conditions(context) -> set[int]:
    return {condition for conjunction in context for condition, _ in conjunction}


def _factors_in_branch(made: Graph, args: list[int], context, move) -> list[int] | None:
    """Two inputs, one of them limited at the edge of the branch: beyond, their product may overflow."""
    nodes = [made.nodes[arg] for arg in args]
    if not all(one.op == "argument" and one.is_full and one.detail not in made.directions for one in nodes):
        return None
    for place, arg in enumerate(args):
        if (limited := _clamped(made, arg, context, move)) is not None:
            return [*args[:place], limited, *args[place + 1 :]]
    return None


def _clamped(made: Graph, arg: int, context, move) -> int | None:
    """The argument limited at the edge of its branch, where the branch says `x < c` of this very argument."""
    if len(context) != 1 or len(next(iter(context))) != 1:
        return None
    ((condition, truth),) = next(iter(context))
    comparison = made.nodes[move(condition)]
    if comparison.op != "compare" or comparison.args[0] != arg or not made.nodes[comparison.args[1]].is_scalar:
        return None
    if comparison.detail not in (">", ">=", "<", "<="):
        return None
    above = (comparison.detail in (">", ">=")) == truth
    return made.node("call", arg, comparison.args[1], detail="np.maximum" if above else "np.minimum")


def _is_pair(made: Graph, position: int) -> bool:
    """Whether a node has twice the digits of the float64 that it was made of, where that was safe."""
    node = made.nodes[position]
    return node.detail == "pairs.doubled" or (position in made.wide and any(_is_pair(made, arg) for arg in node.args))


def _where(made: Graph, mask: int, *branches: int) -> int:
    for few in {made.nodes[one].few for one in branches} - {None}:
        mask = of_few(made, mask, few)
    if any(_is_pair(made, one) for one in branches):
        return made.node("call", mask, *branches, detail="pairs.where")
    return made.node("where", mask, *branches)


def _safe(made: Graph, arg: int, value: int, context, move, warns_of_pairs: bool = False) -> int:
    """`where(context, arg, value)`; the argument itself where nothing is ever taken of it, or it does not warn."""
    if made.nodes[arg].is_scalar or not context or (_is_pair(made, arg) and not warns_of_pairs):
        return arg
    safe = made.number(sympy.Integer(value))
    if len(context) == 1:
        for condition, truth in sorted(next(iter(context))):
            branches = (arg, safe) if truth else (safe, arg)
            arg = _where(made, move(condition), *branches)
        return arg
    return _where(made, _mask(made, context, move), arg, safe)


def _mask(made: Graph, context, move) -> int:
    """Where one of the conjunctions of a context is true."""
    conjunctions = []
    for conjunction in sorted(context, key=sorted):
        literals = [
            move(condition) if truth else made.node("logic", move(condition), detail="~")
            for condition, truth in sorted(conjunction)
        ]
        total = literals[0]
        for literal in literals[1:]:
            total = made.node("logic", total, literal, detail="&")
        conjunctions.append(total)
    mask = conjunctions[0]
    for conjunction in conjunctions[1:]:
        mask = made.node("logic", mask, conjunction, detail="|")
    return mask
