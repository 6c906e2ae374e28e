"""Stage 6: a graph becomes statements over Tensors, to be differentiated again.

They are written over a namespace `ops` of functions on Tensors, so that the generated package need not know Tensor.
Every operation makes a new Tensor, so there are no buffers to plan: what is used more than once gets a variable.
"""

from __future__ import annotations

from dataclasses import dataclass

from nngrad.codegen.lowering.infix import ATOM, LONGEST_EXPRESSION, NAMES, Writer, blocks_of, of_numbers, uses_of
from nngrad.codegen.lowering.node import Node


@dataclass
class TensorWriter(Writer):
    """Writes the statements of a rule over Tensors."""

    def blocks(self) -> list[tuple[str | None, list[int]]]:
        """The nodes in writing order: what several outputs share, then what each needs alone."""
        blocks = blocks_of(self.graph, self.outputs)
        order = [node for _, block in blocks for node in block]
        self.uses = uses_of(self.graph, order)
        for node in order:  # a square takes its operand twice
            for arg in set(self.graph.nodes[node].args):
                self.uses[arg] += self.graph.nodes[node].args.count(arg) - 1
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
                self.lines.append(f"{indent}{name} = {self.source(position)[0]}")
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

    def call(self, node: Node) -> str:
        args = [self.text(arg) for arg in node.args]
        listed = ", ".join(args)
        if node.op == "count":
            return f"runtime.count({self.shape}, {node.detail})"
        if node.op == "where":
            return f"ops.where({', '.join([args[0], *self._of_dtype(node.args[1:])])})"
        if node.op == "test" or node.detail == "runtime.binade":
            return f"{node.detail}({self._data(node.args[0])})"
        if node.op == "as_float":
            return f"float({listed})" if node.is_scalar else f"ops.where({listed}, np.asarray(1.0, {self.dtype}), 0.0)"
        if node.op in ("shift", "shift_beside", "top", "scale"):
            numbers = [*map(self._data, node.args[1:]), node.axis]
            return f"runtime.{node.op}({self.text(node.args[0], ATOM)}.data, {', '.join(numbers)})"
        if node.op in ("mean_error", "weighted_mean_error"):
            return f"runtime.{node.op}({', '.join(map(self._data, node.args))}, {node.axis})"
        if node.op == "log_excess":
            total, _, largest = (self.text(arg, ATOM) for arg in node.args)
            return f"ops.log({total} / {largest})"
        if node.op == "detach":
            return f"{self.text(node.args[0], ATOM)}.detach()"
        if node.op == "reduce":
            frozen = ".detach()" if node.frozen else ""
            return f"ops.{node.detail}({listed}, axis={node.axis}, keepdims=True){frozen}"
        if node.op == "take":
            inside, index = args
            chosen = f"runtime.one_hot({index}, {inside}.shape, {inside}.dtype)"
            return f"ops.sum({self.text(node.args[0], 2)} * {chosen}, axis={node.axis}, keepdims=True)"
        if node.op == "one_hot":
            return f"runtime.one_hot({listed}, {self.shape}, {self.dtype})"
        if node.op == "others":
            return f"runtime.product_of_others_of_tensor(ops, {listed}, {node.axis})"
        if node.op == "weighed":
            return f"runtime.weighed_of_tensor(ops, {listed}, {node.axis})"
        if node.op == "broadcast":
            return f"ops.broadcast({listed}, shape={self.shape})"
        if node.is_scalar:
            return of_numbers(node.detail, args)
        return f"ops.{node.detail.rpartition('.')[2]}({', '.join(map(self.bound, node.args))})"

    def _data(self, position: int) -> str:
        """A node's array, or number."""
        return self.text(position, ATOM) + ("" if self.graph.nodes[position].is_scalar else ".data")

    def _of_dtype(self, branches: tuple[int, ...]) -> list[str]:
        """The branches of a choice: of numbers alone the first brings the dtype, which Python's numbers have not."""
        first, *others = map(self.text, branches)
        if all(self.graph.nodes[branch].is_scalar for branch in branches):
            first = f"np.asarray({first}, {self.dtype})"
        return [first, *others]
