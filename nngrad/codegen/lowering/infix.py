"""Stage 6: what the writers of code share: names, the order of statements, infix expressions."""

from __future__ import annotations

from dataclasses import dataclass, field

from nngrad.codegen.lower import Graph
from nngrad.codegen.lowering.literals import number_of
from nngrad.codegen.lowering.node import Node, ancestors

INFIX = {"add": ("+", 1), "subtract": ("-", 1), "multiply": ("*", 2), "divide": ("/", 2)}
ATOM = 9
UNARY = 3
LARGEST_FLOAT16 = 65504
LONGEST_EXPRESSION = 8  # operations and operands that one infix expression may have
NAMES = ("t", "u", "v", "w", "p", "q", "r", "s", *(f"t{number}" for number in range(1, 60)))


def blocks_of(graph: Graph, outputs: list[tuple[str, int]]) -> list[tuple[str | None, list[int]]]:
    """The nodes that outputs need: first those that several share, then each one's own."""
    needed_by: dict[int, set[str]] = {}
    for label, output in outputs:
        for node in ancestors(graph.nodes, output):
            needed_by.setdefault(node, set()).add(label)
    shared = sorted(node for node, labels in needed_by.items() if len(labels) > 1)
    alone = [(label, sorted(node for node, labels in needed_by.items() if labels == {label})) for label, _ in outputs]
    return [(None, shared), *alone]


def uses_of(graph: Graph, order: list[int]) -> dict[int, int]:
    """How many nodes take each node as an operand."""
    uses: dict[int, int] = {}
    for node in order:
        for arg in set(graph.nodes[node].args):
            uses[arg] = uses.get(arg, 0) + 1
    return uses


def of_numbers(function: str, args: list[str]) -> str:
    """A function of numbers alone; those of `runtime` take arrays."""
    args = [f"np.asarray({arg}, float)" for arg in args] if function.startswith("runtime.") else args
    return f"float({function}({', '.join(args)}))"


@dataclass
class Writer:
    """Writes the statements that compute a graph's outputs.

    Attributes:
        graph: what to compute.
        outputs: (label, node) for each result; the label names the variable that holds it.
        shape, dtype: Python source of the full shape and of the dtype.
        taken: names that are arguments or otherwise in use.
        lines: the statements written.
        variables: the variable that holds a node.
        uses: how many nodes take a node as an operand.
        sizes: how many operations and operands a node's expression has.
    """

    graph: Graph
    outputs: list[tuple[str, int]]
    shape: str
    dtype: str
    taken: set[str]
    lines: list[str] = field(default_factory=list)
    variables: dict[int, str] = field(default_factory=dict)
    uses: dict[int, int] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)

    def is_statement(self, node: Node) -> bool:
        """Whether a node's operation is never written infix."""
        return False

    def call(self, node: Node) -> str:
        """A node as a function call."""
        raise NotImplementedError

    def text(self, position: int, tightness: int = 0) -> str:
        """A node as an operand: its variable, or its expression, bracketed where the surroundings bind tighter."""
        if position in self.variables:
            return self.variables[position]
        source, binds = self.source(position)
        return f"({source})" if binds < tightness else source

    def bound(self, position: int, tightness: int = 0) -> str:
        """What elements are compared with, or kept to: a number that float16 does not have would overflow there."""
        node, text = self.graph.nodes[position], self.text(position, tightness)
        if node.op != "number" or abs(number_of(node.detail)) <= LARGEST_FLOAT16:
            return text
        nearer, end = ("min", "max") if number_of(node.detail) > 0 else ("max", "min")
        return f"{nearer}({text}, float(np.finfo({self.dtype}).{end}))"

    def source(self, position: int) -> tuple[str, int]:
        """A node's expression, with how tightly it binds."""
        node = self.graph.nodes[position]
        args = node.args
        if node.op in ("number", "parameter", "constant", "argument"):
            return node.detail, UNARY if node.detail.startswith("-") else ATOM
        if self.is_statement(node):
            return self.call(node), ATOM
        if node.op in INFIX:
            symbol, binds = INFIX[node.op]
            right = binds + (node.op in ("subtract", "divide"))
            return f"{self.text(args[0], binds)} {symbol} {self.text(args[1], right)}", binds
        if node.op == "negative":
            return f"-{self.text(args[0], UNARY)}", UNARY
        if node.op == "compare":
            left, right = (self.bound(arg, 1) for arg in args)
            return f"{left} {node.detail} {right}", 0
        if node.op == "logic" and node.detail == "~":
            return f"~{self.text(args[0], ATOM)}", UNARY
        if node.op == "logic":
            return f"{self.text(args[0], ATOM)} {node.detail} {self.text(args[1], ATOM)}", 0
        return self.call(node), ATOM
