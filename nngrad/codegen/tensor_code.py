"""Stage 6b: a graph becomes statements over Tensors, to be differentiated again.

They are written over a namespace `ops` of functions on Tensors, so that the generated package need not know Tensor.
Every operation makes a new Tensor, so there are no buffers to plan: what is used more than once gets a variable.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nngrad.codegen.lower import Graph, Node
from nngrad.codegen.numpy_code import ATOM, INFIX, LONGEST_EXPRESSION, NAMES, UNARY, blocks_of, uses_of


@dataclass
class TensorWriter:
    """Writes the statements that compute a graph's outputs.

    Attributes:
        graph: what to compute.
        outputs: (label, node) for each result.
        shape, dtype: Python source of the full shape and of the dtype.
        taken: names that are arguments.
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

    def blocks(self) -> list[tuple[str | None, list[int]]]:
        """The nodes in writing order: what several outputs share, then what each needs alone."""
        blocks = blocks_of(self.graph, self.outputs)
        self.uses = uses_of(self.graph, [node for _, block in blocks for node in block])
        self.taken |= {label for label, _ in self.outputs}
        return blocks

    def write(self, block: list[int], indent: str = "") -> None:
        """Write the statements of a block."""
        results = {node for _, node in self.outputs}
        for position in block:
            node = self.graph.nodes[position]
            inside = sum(self.sizes[arg] for arg in node.args if arg not in self.variables)
            self.sizes[position] = 1 + inside + 2 * (node.op in ("reduce", "broadcast"))
            trivial = node.op in ("number", "parameter", "argument")
            reused = self.uses.get(position, 0) > 1 or position in self.graph.names
            if not trivial and position not in results and (reused or self.sizes[position] > LONGEST_EXPRESSION):
                name = self._name(position)
                self.lines.append(f"{indent}{name} = {self._source(position)[0]}")
                self.variables[position] = name

    def _name(self, position: int) -> str:
        count = ("n",) if self.graph.nodes[position].op == "count" else ()
        own = self.graph.names.get(position, "")
        reserved = self.taken | set(self.graph.names.values()) - {own}
        name = next(name for name in (own, *count, *NAMES) if name and name not in reserved)
        self.taken.add(name)
        return name

    def final(self, position: int) -> str:
        """A result, written where it is returned."""
        return self.text(position)

    def text(self, position: int, tightness: int = 0) -> str:
        """A node as an operand, bracketed where the surroundings bind tighter."""
        if position in self.variables:
            return self.variables[position]
        source, binds = self._source(position)
        return f"({source})" if binds < tightness else source

    def _source(self, position: int) -> tuple[str, int]:
        node = self.graph.nodes[position]
        args = node.args
        if node.op in ("number", "parameter", "argument"):
            return node.detail, UNARY if node.detail.startswith("-") else ATOM
        if node.op in INFIX:
            symbol, binds = INFIX[node.op]
            right = binds + (node.op in ("subtract", "divide"))
            return f"{self.text(args[0], binds)} {symbol} {self.text(args[1], right)}", binds
        if node.op == "negative":
            return f"-{self.text(args[0], UNARY)}", UNARY
        if node.op == "compare":
            return f"{self.text(args[0], 1)} {node.detail} {self.text(args[1], 1)}", 0
        if node.op == "logic" and node.detail == "~":
            return f"~{self.text(args[0], ATOM)}", UNARY
        if node.op == "logic":
            return f"{self.text(args[0], ATOM)} {node.detail} {self.text(args[1], ATOM)}", 0
        return self._call(node), ATOM

    def _call(self, node: Node) -> str:
        args = [self.text(arg) for arg in node.args]
        listed = ", ".join(args)
        if node.op == "count":
            return f"runtime.count({self.shape}, {node.detail})"
        if node.op == "where":
            return f"ops.where({listed})"
        if node.op == "as_float":
            return f"ops.where({listed}, 1.0, 0.0)"
        if node.op == "reduce" and node.frozen:
            return f"runtime.finite_max({self.text(node.args[0], ATOM)}.data, {node.axis})"
        if node.op == "reduce":
            return f"ops.{node.detail}({listed}, axis={node.axis}, keepdims=True)"
        if node.op == "take":
            inside, index = args
            chosen = f"runtime.one_hot({index}.data, {inside}.shape, {node.axis}, {inside}.dtype)"
            return f"ops.sum({self.text(node.args[0], 2)} * {chosen}, axis={node.axis}, keepdims=True)"
        if node.op == "one_hot":
            return f"runtime.one_hot({listed}.data, {self.shape}, {node.axis}, {self.dtype})"
        if node.op == "others":
            return f"runtime.product_of_others_of_tensor(ops, {listed}, {node.axis})"
        if node.op == "broadcast":
            return f"ops.broadcast({listed}, shape={self.shape})"
        if node.is_scalar:
            return f"float({node.detail}({listed}))"
        return f"ops.{node.detail.rpartition('.')[2]}({listed})"
