"""Stage 6: a graph becomes the lines of a NumPy kernel.

Full-size operations are three-address statements with `out=`: a result goes into the buffer of an operand that is not
needed any more, else into a fresh array (`out=...`, which makes NumPy return an array even for 0-d input). Numbers and
rows are small, so they are written as ordinary infix expressions. Masks are written where they are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nngrad.codegen.lower import REDUCTIONS
from nngrad.codegen.lowering.infix import ATOM, INFIX, LONGEST_EXPRESSION, NAMES, Writer, blocks_of, of_numbers, uses_of
from nngrad.codegen.lowering.joint import JOINT
from nngrad.codegen.lowering.node import Node

EXTREMA = ("np.maximum", "np.minimum")
LIMITS = (*EXTREMA, "np.clip")

VECTORISED = ("np.expm1", "np.log1p")  # in the runtime, where NumPy has no vector instructions for them
SLOW_IN_PLACE = ("np.sign",)  # NumPy has vector instructions for it where its result is another array, and else none

MAY_BE_ITS_ARGUMENT = (
    "runtime.clamped",
    "runtime.finite",
    "runtime.without_infinity",
    "pairs.doubled",
    "pairs.clamped",
)


def is_ufunc(node: Node) -> bool:
    return node.op in INFIX or node.op == "negative" or (node.op == "call" and node.detail.startswith("np."))


def is_amendment(node: Node) -> bool:
    """Whether a node's result may be its first operand's array."""
    return (
        node.detail == "runtime.decayed"
        or node.op in ("minus_one_hot", "shares_minus_one_hot", "balanced", "refined", "amended")
        or (node.op, node.detail) == ("of_doubled", "decayed")
    )


def _may_be_its_argument(node: Node) -> bool:
    return node.op == "scaled" or node.detail in MAY_BE_ITS_ARGUMENT


def ufunc_name(node: Node) -> str:
    return node.detail if node.op == "call" else f"np.{node.op}"


TAKING_OUT = (
    "runtime.bent", "runtime.exp_shifted", "runtime.held", "runtime.passed", "runtime.ratio", "runtime.tan",
    "runtime.times_normal_cdf", "runtime.times_normal_density",
    "deviation", "deviation_beside", "as_float", "where", "exponentials", "centred_squares", "counted",
)  # fmt: skip
OF_ROWS = (
    "top", "scale", "scaled", "mean_error", "weighted_mean_error", "log_excess", "log_mean", "log_sum", "log_share",
    "beyond", "divergence", "log_ratio", "deviation", "deviation_beside", "balanced", "shares_minus_one_hot",
    "shift_beside", "weighed",
)  # fmt: skip
ROW_REDUCTIONS = {"sum": "runtime.sum_rows", "prod": "runtime.prod_rows", "max": "runtime.max_rows"}


@dataclass
class NumpyWriter(Writer):
    """Writes the statements of a kernel on arrays.

    places: for results that a caller may want in arrays of its own, the source of those.
    products: the nodes that are only summed, together with their sum.
    totals: the sums of inputs of which only the mean is needed.
    powers: the powers of 2 in a wider dtype that are only shortened.
    given_dtype: that of the inputs, where they were made wider.
    becomes: for nodes on the way to a result's place, the operand whose array they are to be made in.
    """

    places: dict[int, str] = field(default_factory=dict)
    given_dtype: str = ""
    products: set[int] = field(default_factory=set)
    totals: set[int] = field(default_factory=set)
    powers: set[int] = field(default_factory=set)
    becomes: dict[int, int] = field(default_factory=dict)
    last_use: dict[int, int] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    here: int = 0

    def blocks(self) -> list[tuple[str | None, list[int]]]:
        """The nodes in writing order: what several outputs share, then what each needs alone."""
        blocks = blocks_of(self.graph, self.outputs)
        self.plan(blocks)
        return blocks

    def plan(self, blocks) -> None:
        """Count uses and find where each node is used last, seen through the expressions written in place."""
        order = [node for _, block in blocks for node in block]
        self.uses = uses_of(self.graph, order)
        self.products = {self.graph.nodes[node].args[0] for node in order if self._sums_a_product(node)}
        self.totals = {self.graph.nodes[node].args[0] for node in order if self._is_mean(node)}
        self.powers = {self.graph.nodes[node].args[0] for node in order if self._is_power(node)}
        for node in sorted(order):
            inside = sum(self.sizes.get(arg, 1) for arg in self.graph.nodes[node].args if self.is_inline(arg))
            self.sizes[node] = 1 + inside + 2 * (self.graph.nodes[node].op == "reduce")
        for position, node in enumerate(order):
            if not self.is_inline(node):
                for operand in self._operands(node):
                    self.last_use[operand] = position
        for _, output in self.outputs:
            for operand in (output, *self._operands(output)) if self.is_inline(output) else (output,):
                self.last_use[operand] = len(order)
        for node in reversed(order):
            if _may_be_its_argument(self.graph.nodes[node]) and not self.is_inline(node):
                for operand in self._operands(node):  # is in use for as long as what may be the same array
                    self.last_use[operand] = max(self.last_use[operand], self.last_use.get(node, 0))
        self.position = {node: position for position, node in enumerate(order)}
        for node in [node for node in self.places if is_amendment(self.graph.nodes[node])]:
            amended = self.graph.nodes[node].args[0]
            if self.uses[amended] == 1:
                self.places[amended] = self.places.pop(node)
        for node in list(self.places):
            self._take_place_early(node)

    def _take_place_early(self, node: int) -> None:
        """Work where a result belongs from the start: what it is made of in place goes there too."""
        place, made = self.places.pop(node), self.graph.nodes[node]
        while self.is_statement(at := self.graph.nodes[node]) or is_amendment(at):
            operands = at.args[:1] if is_amendment(at) else self._replaceable(at)
            dying = [arg for arg in operands if self._may_become(arg, node, made)]
            if not dying:
                break
            self.becomes[node], node = min(dying), min(dying)
        self.places[node] = place

    def spent(self, node: int) -> frozenset[str]:
        """The arguments in whose place the kernel may put a result: they are read only where that place is first
        written to, and have its shape.
        """
        while node in self.becomes:
            node = self.becomes[node]
        made = self.graph.nodes[node]
        in_place = self.is_statement(made) or self._chooses_or_0(made) or made.detail == "runtime.passed"
        if node not in self.places or not in_place or made.detail in SLOW_IN_PLACE:
            return frozenset()
        read = [self.graph.nodes[arg] for arg in made.args if self.uses[arg] == 1]
        return frozenset(one.detail for one in read if one.op == "argument" and one.is_full and one.is_shaped_as(made))

    def _may_become(self, operand: int, node: int, made: Node) -> bool:
        """Whether an operand is an array like the result `made`, and is used by the node for the last time."""
        one = self.graph.nodes[operand]
        is_like = self.takes_out(one) and one.is_shaped_as(made)
        dies = self.last_use.get(operand) == self.position[node]
        return is_like and dies and operand not in self.places and not self.is_inline(operand)

    def _sums_a_product(self, position: int) -> bool:
        """Whether a node is the sum of products that nobody else needs."""
        node = self.graph.nodes[position]
        if node.op != "reduce" or node.detail != "sum" or self.uses[node.args[0]] > 1:
            return False
        inside = self.graph.nodes[node.args[0]]
        is_product = inside.op == "multiply" and all(self.graph.nodes[arg].is_full for arg in inside.args)
        return is_product and node.args[0] not in [output for _, output in self.outputs]

    def _is_power(self, position: int) -> bool:
        """Whether a node shortens a power of 2 that nobody else needs."""
        node = self.graph.nodes[position]
        return (
            node.op == "shortened"
            and self.graph.nodes[node.args[0]].detail == "np.exp2"
            and self.uses[node.args[0]] == 1
        )

    def _is_mean(self, position: int) -> bool:
        """Whether a node is a sum over the number of its terms, and the sum nobody else's. The terms are an input, or
        have no place where a condition holds.
        """
        node = self.graph.nodes[position]
        total, number = (self.graph.nodes[arg] for arg in node.args) if node.op == "divide" else (node, node)
        if (total.op, total.detail) != ("reduce", "sum") or self.uses[node.args[0]] > 1:
            return False
        terms = self.graph.nodes[total.args[0]]
        if number.op == "count":
            return terms.op == "argument" and terms.detail in self.graph.all_sources
        kept, counted = map(self._kept, (terms, self._below(self._below(number, "reduce"), "as_float")))
        return kept is not None and counted is not None and counted[1].detail == "1" and counted[0] == kept[0]

    def _below(self, node: Node, op: str) -> Node:
        return self.graph.nodes[node.args[0]] if node.op == op else node

    def _kept(self, node: Node) -> tuple[int, Node] | None:
        """The condition of a choice between 0 and something, and that."""
        is_choice = node.op == "where" and self.graph.nodes[node.args[1]].detail == "0"
        return (node.args[0], self.graph.nodes[node.args[2]]) if is_choice else None

    def _operands(self, node: int) -> set[int]:
        """The variables that writing a node reads."""
        found = set()
        for arg in self.graph.nodes[node].args:
            found |= self._operands(arg) if self.is_inline(arg) else {arg}
        return found

    def is_inline(self, position: int) -> bool:
        """Whether a node is written where it is used instead of getting a variable."""
        node = self.graph.nodes[position]
        if node.op == "part" or node.op in JOINT:
            return False
        if position in self.products | self.totals | self.powers or node.op in (
            "number",
            "parameter",
            "constant",
            "argument",
            "broadcast",
        ):
            return True
        if self.uses.get(position, 0) > 1 or self.sizes[position] > LONGEST_EXPRESSION:
            return False
        return node.is_scalar or node.is_bool or (node.is_row and position not in self.graph.names)

    # --- statements ---------------------------------------------------------------------------------------------------

    def write(self, block: list[int], indent: str = "") -> None:
        """Write the statements of a block."""
        self.free = []
        for node in block:
            if self.graph.nodes[node].op in JOINT:
                self._joint_statement(node, indent)
            elif not self.is_inline(node) and node not in self.variables:
                self._statement(node, indent)

    def _statement(self, position: int, indent: str) -> None:
        node = self.graph.nodes[position]
        self.here = self.position[position]
        buffer = self._buffer(position) if self._may_fill(node) else self._amended(node)
        expression = self.expression(position, buffer)
        name = self._name(position, buffer)
        self.lines.append(f"{indent}{name} = {expression}")
        self.free = [other for other in self.free if self.variables[other] != name]
        self.variables[position] = name
        for operand in self._operands(position):
            if self.last_use[operand] == self.position[position] and operand != buffer and self._owns(operand):
                self.free.append(operand)

    def _joint_statement(self, position: int, indent: str) -> None:
        """A call that returns several values; those that nobody needs are called `_`."""
        node = self.graph.nodes[position]
        self.here = self.position[position]
        parts = [other for other in self.position if self._is_part(other, position)]
        names = ["_"] * JOINT[node.op]
        for part in parts:
            self.variables[part] = names[int(self.graph.nodes[part].detail)] = self._name(part, None)
        self.free = [other for other in self.free if self.variables[other] not in names]
        placed = [part for part in parts if part in self.places and self.takes_out(self.graph.nodes[part])]
        place = next((f", out={self.places[part]}" for part in placed), "")
        self.lines.append(f"{indent}{', '.join(names)} = {self.call(node)[:-1]}{place})")

    def _is_part(self, position: int, joint: int) -> bool:
        return self.graph.nodes[position].op == "part" and self.graph.nodes[position].args == (joint,)

    def source(self, position: int) -> tuple[str, int]:
        args = self.graph.nodes[position].args
        if not args or args[0] not in self.totals:
            return super().source(position)
        total, number = (self.graph.nodes[arg] for arg in args)
        counted = "" if number.op == "count" else f", {self.text(args[1])}"
        return f"runtime.mean_rows({self.text(total.args[0])}, {total.axis}{counted})", ATOM

    def expression(self, position: int, buffer: int | None = None) -> str:
        """The right-hand side of a node's statement."""
        node = self.graph.nodes[position]
        if self.is_statement(node):
            out = self.variables[buffer] if buffer is not None else self.places.get(position, "...")
            return f"{self._called(node)}({', '.join(map(self.text, self._in_order(node)))}, out={out})"
        source = self.source(position)[0]
        place = self.places.get(position) if buffer is None else self.variables[buffer]
        if place and self.takes_out(node) and not is_amendment(node):
            return f"{source[:-1]}, out={place})"
        return source

    def _called(self, node: Node) -> str:
        """The ufunc, or the runtime's version of it for an array and numbers."""
        array, *others = self._in_order(node)
        takes_number = node.detail in LIMITS and all(self.graph.nodes[one].is_scalar for one in others)
        is_made_for = (takes_number or node.detail in VECTORISED) and array not in self.graph.wide
        return ufunc_name(node).replace("np.", "runtime.") if is_made_for else ufunc_name(node)

    def _in_order(self, node: Node) -> tuple[int, ...]:
        """The arguments as they are written: of an extremum the array before the number."""
        first, *others = node.args
        swaps = node.detail in EXTREMA and self.graph.nodes[first].is_scalar
        return (*others, first) if swaps else node.args

    def final(self, position: int) -> str:
        """A result, written in a return statement."""
        if self.is_inline(position) or position in self.variables:
            return self.text(position)
        node = self.graph.nodes[position]
        self.here = self.position[position]
        return self.expression(position, self._buffer(position) if self.is_statement(node) else None)

    def factors(self, position: int) -> list[str]:
        """The sources of the arrays whose product a result is, if it is one that has no variable."""
        node = self.graph.nodes[position]
        is_product = node.op == "multiply" and all(self.graph.nodes[arg].is_full for arg in node.args)
        return [self.text(arg) for arg in node.args] if is_product and position not in self.variables else []

    def _amended(self, node: Node) -> int | None:
        """The variable whose array a node gives on, mostly unchanged."""
        return node.args[0] if is_amendment(node) and self._is_dying(node.args[0]) else None

    def _is_dying(self, position: int) -> bool:
        """Whether an array of this kernel's own is used for the last time."""
        return self._owns(position) and self.last_use[position] <= self.here

    def _buffer(self, position: int) -> int | None:
        """A variable of the same shape whose value is used here for the last time, or not at all any more."""
        if position in self.places:
            return None
        node = self.graph.nodes[position]
        dying = [arg for arg in self._replaceable(node) if self._is_dying(arg)]
        if self.becomes.get(position) in dying:
            return self.becomes[position]
        for candidate in (*dying, *self.free):
            other = self.graph.nodes[candidate]
            is_alike = (candidate in self.graph.wide) == (position in self.graph.wide)
            if is_alike and other.is_shaped_as(node):
                if candidate in self.free:
                    self.free.remove(candidate)
                return candidate
        return None

    def _may_fill(self, node: Node) -> bool:
        """Whether a node's result can go into any array of its shape."""
        return self.is_statement(node) or (node.is_full and node.op == "where" and not self._is_of_numbers(node))

    def _is_of_numbers(self, node: Node) -> bool:
        """Whether a node is a choice among numbers, whose dtype is not that of the arrays here."""
        return node.op == "where" and all(self.graph.nodes[one].is_scalar for one in node.args[1:])

    def _replaceable(self, node: Node) -> Iterable[int]:
        """The operands whose arrays a result can be written into. A choice between two arrays is made in several steps
        that read them, one between an array and 0 in a single one.
        """
        if node.op != "where":
            return () if node.detail in SLOW_IN_PLACE else node.args
        condition, *choices = node.args
        if any(self.graph.nodes[one].detail == "0" for one in choices):
            return choices
        return sorted(self._operands(condition) - set(choices)) if self.is_inline(condition) else ()

    def _owns(self, position: int) -> bool:
        """Whether the array of a variable was made in this kernel and is nobody else's."""
        node = self.graph.nodes[position]
        return (
            position in self.variables
            and node.is_full
            and not node.is_bool
            and not self._is_of_numbers(node)
            and (node.op not in ("argument", "broadcast", "part") or self.takes_out(node))
            and not _may_be_its_argument(node)
        )

    def _name(self, position: int, buffer: int | None) -> str:
        label = next((label for label, output in self.outputs if output == position), "")
        wanted = self.graph.names.get(position) or label
        if wanted and wanted not in self.taken:
            self.taken.add(wanted)
            return wanted
        if buffer is not None and buffer not in self.graph.names and self.variables[buffer] in NAMES:
            return self.variables[buffer]
        live = {name for node, name in self.variables.items() if self.last_use.get(node, -1) >= self.here}
        node = self.graph.nodes[position]
        names = ("n",) if node.op == "count" else ("mask", "mask2", "mask3") if node.is_bool else NAMES
        reserved = live | self.taken | set(self.graph.names.values()) | {label for label, _ in self.outputs}
        return next(name for name in (*names, *NAMES) if name not in reserved)

    # --- expressions --------------------------------------------------------------------------------------------------

    def is_statement(self, node: Node) -> bool:
        """Whether a node's operation is called with `out=`, not written infix."""
        return node.is_full and is_ufunc(node)

    def _chooses_or_0(self, node: Node) -> bool:
        """Whether a node is a choice between something and 0, which `runtime.where` may make in place."""
        branches = [self.graph.nodes[arg] for arg in node.args[1:]] if node.op == "where" else []
        return node.is_full and any((one.op, one.detail) == ("number", "0") for one in branches)

    def takes_out(self, node: Node) -> bool:
        """Whether a node's result can be put into a given array, perhaps as that of its operand."""
        made = self.graph.nodes[node.args[0]] if node.op == "part" else node
        takes = is_ufunc(made) or is_amendment(made) or made.op in TAKING_OUT or made.detail in TAKING_OUT
        return node.is_full and takes

    def call(self, node: Node) -> str:
        args = [self.text(arg) for arg in node.args if arg not in self.products]
        if is_amendment(node) and not self._is_dying(node.args[0]):
            args[0] = f"{args[0]}.copy()"
        if node.op == "count":
            return f"runtime.count({self.shape}, {node.detail})"
        if node.op == "where":
            return f"{'runtime' if node.is_full else 'np'}.where({', '.join(args)})"
        if node.op == "reduce":
            inside = self.graph.nodes[node.args[0]]
            dtype = f", dtype={self.dtype}" if inside.is_bool else ""
            if node.args[0] in self.products:
                factors = [self.text(arg) for arg in inside.args]
                return f"runtime.sum_products({', '.join(factors)}, {node.axis})"
            if node.detail in ROW_REDUCTIONS and not inside.is_bool:
                return f"{ROW_REDUCTIONS[node.detail]}({args[0]}, {node.axis})"
            return f"{REDUCTIONS[node.detail]}.reduce({args[0]}, {node.axis}, keepdims=True{dtype})"
        if node.op == "take":
            return f"{args[0]}.take({args[1]})"
        if node.op == "one_hot":
            return f"runtime.one_hot({', '.join([args[0], self.shape, self.dtype, *args[1:]])})"
        if node.op == "shift":
            return f"runtime.shift({', '.join([args[0], node.axis, *self._maxima_of(node)])})"
        if node.op == "picked":
            return f"{self.text(node.args[0], ATOM)}[{args[1]}]"
        if node.op in ("minus_one_hot", "amended"):
            return f"runtime.{node.op}({', '.join(args)})"
        if node.op == "counted":
            return f"runtime.counted({args[0]}, {node.axis}, {self.dtype})"
        if node.op in (*JOINT, *OF_ROWS):
            return f"runtime.{node.op}({', '.join([*args, *([node.axis] if node.axis else [])])})"
        if node.op == "others":
            return f"runtime.product_of_others({args[0]}, {node.axis})"
        if node.op == "broadcast":
            return f"runtime.broadcast_to({args[0]}, {self.shape})"
        if node.op == "test":
            return f"{node.detail}({args[0]})"
        if node.op == "shortened" and node.args[0] in self.powers:
            (exponent,) = self.graph.nodes[node.args[0]].args
            scratch = [self.text(exponent)] * self._is_dying(exponent)
            return f"runtime.exp2_narrowed({', '.join([self.text(exponent), self.dtype, *scratch])})"
        if node.op in ("exp_narrowed", "shortened"):
            return f"runtime.{node.op}({args[0]}, {self.dtype})"
        if node.op == "of_doubled":
            return f"pairs.{node.detail}({', '.join([*args, *([self.dtype] if len(args) == 1 else [])])})"
        if node.op == "refined":
            are_masks = [self.graph.nodes[arg].is_bool for arg in node.args]
            given = [f"where={arg}" if is_mask else arg for arg, is_mask in zip(args, are_masks, strict=True)]
            parts = [*given[:2], self.given_dtype or self.dtype, node.detail, *given[2:]]
            return f"runtime.refined({', '.join(parts)})"
        if node.op == "digits":
            return f"pairs.Number({', '.join(args)})"
        if node.op == "as_float":
            return f"runtime.as_float({args[0]}, {self.dtype})"
        if node.detail == "pairs.doubled":
            return f"pairs.doubled({args[0]}, {self.given_dtype or self.dtype})"
        name = ufunc_name(node)
        return of_numbers(name, args) if node.is_scalar else f"{name}({', '.join(args)})"

    def _maxima_of(self, node: Node) -> list[str]:
        """The variable that has the largest elements of a node's rows, if there is one already."""
        wanted = ("reduce", "max", node.args, node.axis)
        made = ((name, self.graph.nodes[other]) for other, name in self.variables.items())
        return [name for name, other in made if (other.op, other.detail, other.args, other.axis) == wanted]
