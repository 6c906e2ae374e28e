"""Stage 6: the bodies of the functions of one formula.

Here it is decided what forward keeps for backward. The cotangent is given back the axis that the output dropped, and
summed to the shape of the input that was broadcast; a loss is reduced, and its cotangent spread again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import sympy

from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.chosen import Chosen
from nngrad.codegen.derive import Derivatives, derive
from nngrad.codegen.forms import Search
from nngrad.codegen.lower import Graph
from nngrad.codegen.lowering.comments import comments
from nngrad.codegen.lowering.cost import kernel_cost
from nngrad.codegen.lowering.guards import guarded, used_always
from nngrad.codegen.lowering.node import ancestors
from nngrad.codegen.lowering.numpy_code import NumpyWriter
from nngrad.codegen.lowering.schedule import with_few_arrays
from nngrad.codegen.lowering.tensor_code import TensorWriter
from nngrad.codegen.rewrite import rewrite
from nngrad.codegen.rules.ordinary import Ordinary
from nngrad.codegen.trace import Formula, Op

INDEXING = ("take", "one_hot", "minus_one_hot", "shares_minus_one_hot", "log_share")
_SHAPE_VARIABLE = re.compile(r"(?<![\w.])shape\b(?!\s*=)")


def takes_out(lines: Iterable[str]) -> bool:
    """Whether a function with these lines puts results where an argument says."""
    return re.search(r"=out\b", "\n".join(lines)) is not None


def output_is_residual(op: Op) -> bool:
    """Whether backward gets the formula's output for nothing. A reduced loss does not keep it."""
    return op.home != "loss"


def differentiated(op: Op) -> Iterator[Derivatives]:
    """The derivatives of each of an op's formulas, in no particular form."""
    names = frozenset(one.name for one in op.inputs if one.differentiable)
    for formula in op.formulas:
        yield derive(rewrite(formula), names)


@dataclass
class Bodies:
    """The bodies of one formula's functions, as lines. `plain` is forward where nothing is kept."""

    forward: list[str]
    plain: list[str]
    vjp: list[str]
    jvp: list[str]
    pullback: list[str]
    pushforward: list[str]


# --- one formula ------------------------------------------------------------------------------------------------------


@dataclass
class Variant:
    """One formula of an op on its way to code. `used` and `read` collect the residuals that its derivatives take,
    `cost` and `vjp_cost` what its kernels cost, in multiplications of an array, `filled` which of forward's results can
    go into given arrays, and `spent` the arguments of vjp whose place the first input's cotangent may take.

    `chosen` and `slopes` are as `slopes.with_slopes` gives them.
    """

    op: Op
    chosen: Chosen
    slopes: dict[Value, sympy.Expr]
    used: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    keeps_integers: bool = False
    cost: int = 0
    vjp_cost: int = 0
    filled: set[int] = field(default_factory=set)
    spent: frozenset[str] = frozenset()

    @property
    def derivatives(self) -> Derivatives:
        return self.chosen.derivatives

    @property
    def formula(self) -> Formula:
        return self.derivatives.formula

    @property
    def output(self) -> Value:
        return self.formula.output

    @property
    def is_wide(self) -> bool:
        """Whether forward computes short floats in float64."""
        return self._cancels or (self.op.maps_elements and self.chosen.is_wide)

    @cached_property
    def _cancels(self) -> bool:
        """Whether the value has sums that cancel by chance."""
        graph, _ = self._forward_graph([self.chosen.value])
        return any(node.op == "refined" for node in graph.nodes)

    @property
    def cotangent(self) -> str:
        """The name of the output's cotangent."""
        return self.derivatives.cotangent.name

    @property
    def axis(self) -> str:
        """The axis that the output drops, or ''."""
        return self.formula.reduced_axis

    @property
    def is_loss(self) -> bool:
        return self.op.home == "loss"

    @property
    def inputs(self) -> list[str]:
        """The inputs that receive a cotangent."""
        return [value.name for value in self.derivatives.vjp]

    @cached_property
    def broadcasting(self) -> list[str]:
        return [value.name for value in self.formula.inputs if value.name not in self.formula.indices]

    @cached_property
    def kept(self) -> dict[Value, sympy.Expr]:
        """What forward keeps: stages and slopes, each with its expression."""
        return {value: value for value in self._kept_stages()} | self.slopes

    def _kept_stages(self) -> tuple[Value, ...]:
        """The stages that the search wants kept, unless forward itself only half computes them."""
        search = Search(self.formula, output_is_residual(self.op))
        wanted = search.saved([*self.chosen.vjp.values(), *self.chosen.jvp.values()])
        graph = self._bare_graph({})
        always = used_always(graph, [graph.build(self.chosen.value)])
        stages = [stage.value for stage in self.formula.stages if stage.value in wanted]
        return tuple(value for value in stages if graph.whole(graph.build(value)) in always)

    @cached_property
    def saved_shapes(self) -> dict[str, dict[str, frozenset[str]]]:
        """For each saved value the inputs whose shapes it was broadcast from."""
        graph = self._bare_graph({})
        nodes = {value.name: graph.nodes[graph.build(expr)] for value, expr in self.kept.items()}
        return {name: {"sources": node.sources, "along": node.along} for name, node in nodes.items()}

    def _bare_graph(self, arguments, smooth: bool = False, **shape_of) -> Graph:
        given = {value: value.name for value in self.formula.inputs} | arguments
        directions = frozenset(
            value.name for value in (self.derivatives.cotangent, *self.derivatives.tangents.values())
        )
        return Graph(self.formula, given, smooth, shape_of, directions)

    def _graph(self, arguments, exprs, smooth: bool = False, **shape_of) -> tuple[Graph, list[int]]:
        graph = self._bare_graph(arguments, smooth, **shape_of)
        graph.doubles = not smooth and not self.chosen.is_exact
        graph.picks_few = not smooth and self._has_one_shape
        return guarded(graph, [graph.build(expr) for expr in exprs])

    def _forward_graph(self, exprs) -> tuple[Graph, list[int]]:
        """The same of the value, which comes first, and of what is kept."""
        graph = self._bare_graph({})
        graph.doubles, graph.refines = not self.chosen.is_exact, not self.formula.axes
        graph.picks_few = self._has_one_shape
        value = graph.build(exprs[0])
        graph.refines = False
        return guarded(graph, [value, *map(graph.build, exprs[1:])])

    @property
    def _has_one_shape(self) -> bool:
        """Whether all arrays have the shape of the one input."""
        return self.op.maps_elements and len(self.formula.inputs) == 1

    def _taken(self, graph: Graph) -> set[str]:
        names = {symbol.name for symbol in graph.arguments} | {param.name for param in self.op.params}
        return names | {self.cotangent, "dtype", "shape", "needs", "out", "np", "ops", "inputs", "tangents", "terms"}

    def _residuals(self) -> dict[Value, str]:
        known = [*self.kept, *([self.output] if output_is_residual(self.op) else [])]
        return {value: value.name for value in known}

    @property
    def input_shape(self) -> str:
        """Source of the shape that the inputs are broadcast to."""
        return f"{self.broadcasting[0]}.shape" if len(self.broadcasting) == 1 else "shape"

    @property
    def _tangent_dtype(self) -> str:
        """Source of the dtype of tangents; of several inputs some may have none."""
        return f"{'d' * (len(self.op.inputs) == 1)}{self.inputs[0]}.dtype"

    @property
    def full_shape(self) -> str:
        """The same, where the cotangent may tell it."""
        return self.input_shape if self.is_loss or self.axis else f"{self.cotangent}.shape"

    @property
    def _output_shape(self) -> str:
        """Source of the output's shape, a dropped axis kept."""
        return f"runtime.kept_shape({self.input_shape}, {self.axis})" if self.axis else self.input_shape

    def bodies(self, name: str, params: Iterable[str], saved: list[str]) -> Bodies:
        """The bodies; `name` and `params` are the kernel's, `saved` what the op keeps, by this formula or another."""
        plain = self._forward(name, params, {}, [])
        forward = self._forward(f"{name}_and_residuals", params, self.kept, saved) if saved else plain
        return Bodies(forward, plain, self._vjp(), self._jvp(), self._pullback(), self._pushforward())

    # --- kernels ------------------------------------------------------------------------------------------------------

    def _forward(self, name: str, params: Iterable[str], kept: dict[Value, sympy.Expr], saved: list[str]) -> list[str]:
        """The forward kernel, which returns y and, in the order of `saved`, the values to be kept."""
        graph, nodes = self._forward_graph([self.chosen.value, *kept.values()])
        graph.names = {node: name for node, name in graph.names.items() if name != "y" or node == nodes[0]}
        self.keeps_integers = all(node.keeps_integers for node in graph.nodes)
        order = ["y", *saved]
        self.cost = kernel_cost(graph, nodes)
        labels = ["y", *(value.name for value in kept)]
        writer = self._forward_writer(graph, nodes, labels, order, is_wide=self.is_wide)
        result = writer.final(nodes[0])
        if not self._has_output_shape(graph, nodes[0]):
            result = f"runtime.repeated({result}, {self._output_shape})"
        if self.axis and not self.is_loss and not kept and "keepdims=True" in result:
            result = result.replace("keepdims=True", "keepdims=keepdims, out=...")
        else:
            is_input = graph.nodes[nodes[0]].op == "argument"
            result = self._finished(f"{result}.copy()" if is_input else result)
        made = {label: writer.final(node) for label, node in writer.outputs[1:]}
        returned = [result, *(made.get(name, "None") for name in saved)]
        if self.is_wide:
            returned = [source if source == "None" else f"runtime.shortened({source}, dtype)" for source in returned]
        results = ", ".join(returned)
        said = self._said(kept) if writer.lines else []
        lines = [*self._index_lines(graph, self.input_shape), *said, *writer.lines, f"return {results}"]
        if self.is_wide:
            lines = [*self._widening_lines(), *lines]
        ordinary = self._ordinary_lines(kept, order, lines)
        if ordinary:
            ordinary += self._lines_in_parts(name, params, takes_out([*ordinary, *lines]))
        return [*ordinary, *self._shape_line(lines), *lines]

    def _has_output_shape(self, graph: Graph, node: int) -> bool:
        """Whether a value has the output's shape: rows beside a shorter array make what is shorter than the others."""
        made = graph.nodes[node]
        lengths = made.sources if made.is_row else made.along
        return len(self.broadcasting) == 1 or lengths >= graph.all_sources

    def _widening_lines(self) -> Iterator[str]:
        """Short floats are made float64, to be computed in, and what they were is remembered."""
        yield f"dtype = {self.broadcasting[0]}.dtype"
        for name in self.broadcasting:
            yield f"{name} = {name}.astype(np.float64, copy=False)"

    def _ordinary_lines(self, kept: dict[Value, sympy.Expr], order: list[str], full: list[str]) -> list[str]:
        """The lines for inputs of ordinary size, which come before the full ones for all; none if they are the same."""
        ordinary = self.chosen.ordinary
        if ordinary is None or (kept and not ordinary.slopes):
            return []
        lines = self._lines_within(ordinary, kept, order)
        if lines == [line for line in full if not line.startswith("#")]:
            return []
        slopes = dict(zip(kept, ordinary.slopes.values(), strict=True)) if kept else {}
        said = comments(ordinary.parts | {self.output: ordinary.value} | slopes)
        dtype = f"{self.broadcasting[0]}.dtype"
        found = self._if_within(f"{dtype} != np.float64" if ordinary.is_of_wider else "", [*said, *lines])
        if ordinary.is_of_polynomials:
            lines = self._lines_within(ordinary, kept, order, ordinary.limit)
            found += self._if_within(f"{dtype} == np.float64", [*said, *lines])
        return found

    def _said(self, kept: dict[Value, sympy.Expr]) -> list[str]:
        """What lines for all inputs compute, as comments, but for what the documentation says."""
        stage = self.formula.definition(self.output)
        value = {} if self.chosen.value == self.output else {self.output: self.chosen.value}
        slopes = {value: slope for value, slope in kept.items() if value != slope}
        return comments({label: expr.xreplace({self.output: stage.expr}) for label, expr in (value | slopes).items()})

    def _lines_in_parts(self, name: str, params: Iterable[str], takes_out: bool) -> list[str]:
        """The lines for inputs some of which are of ordinary size, by the kernel itself, which has this name."""
        ordinary, inputs = self.chosen.ordinary, ", ".join(self.broadcasting)
        is_for_short = ordinary.is_of_wider and not ordinary.is_of_polynomials
        given = ", ".join([name, str(ordinary.limit), f"[{inputs}]", *params, *["out=out"] * takes_out])
        kind = f"{self.broadcasting[0]}.dtype != np.float64" if is_for_short else ""
        lines = [f"parts = runtime.in_parts({given})", "if parts is not None:", "    return parts"]
        return _only_if([*filter(None, [kind]), *ordinary.conditions], lines)

    def _if_within(self, kind: str, lines: list[str]) -> list[str]:
        """The lines for inputs of ordinary size and of a kind of floats, if that matters."""
        ordinary = self.chosen.ordinary
        asked = f"runtime.are_within({ordinary.limit}, {', '.join(self.broadcasting)})"
        return _only_if([*filter(None, [kind]), *ordinary.conditions, asked], lines)

    def _lines_within(self, ordinary: Ordinary, kept, order: list[str], limit: float = 0) -> list[str]:
        """These lines; the limit is for floats that make use of it."""
        inputs = frozenset(self.broadcasting)
        graph = self._bare_graph({}, **{name: {"sources": inputs} for name in inputs})  # they are made alike first
        graph.limit = limit
        nodes = ordinary.built(graph, self.output)[: None if kept else 1]
        graph, nodes = guarded(graph, nodes)
        self.cost = min(self.cost, kernel_cost(graph, nodes))
        writer = self._forward_writer(graph, nodes, ["y", *(value.name for value in kept)], order)
        made = {label: writer.final(node) for label, node in writer.outputs}
        results = ", ".join(made.get(name, "None") for name in order)
        return [*self._alike_lines(), *writer.lines, f"return {results}"]

    def _alike_lines(self) -> list[str]:
        """Several inputs are broadcast, unless they are of one shape, so that every array may be overwritten."""
        if len(self.broadcasting) == 1:
            return []
        names, shapes = ", ".join(self.broadcasting), [f"{name}.shape" for name in self.broadcasting]
        differ = " != ".join(shapes) if len(shapes) == 2 else f"not {' == '.join(shapes)}"
        return [f"if {differ}:", f"    {names} = np.broadcast_arrays({names})"]

    def _forward_writer(
        self, graph: Graph, nodes: list[int], labels: list[str], order: list[str], is_wide: bool = False
    ) -> NumpyWriter:
        """What has written the forward kernel, but for the last step of one with a single result. The results have the
        labels, and are returned in the order.
        """
        carrier = next(one.name for one in self.op.inputs if one.differentiable)
        positions = [order.index(label) for label in labels]
        places = self._places(graph, nodes, positions, len(order)) if not is_wide else {}
        if self.is_loss:
            places.pop(nodes[0], None)  # it is reduced
        self.filled |= {place for node, place in zip(nodes, positions, strict=True) if node in places}
        outputs = list(zip(labels, nodes, strict=True))
        writer = NumpyWriter(graph, outputs, self.input_shape, f"{carrier}.dtype", self._taken(graph), places=places)
        writer.given_dtype = "dtype" if is_wide else ""
        block = with_few_arrays(graph, nodes) if self.op.maps_elements else sorted(ancestors(graph.nodes, *nodes))
        writer.plan([(None, block)])
        writer.write([node for node in block if len(nodes) > 1 or node != nodes[0]])
        return writer

    def _places(self, graph: Graph, nodes: list[int], positions: Iterable[int], count: int) -> dict[int, str]:
        """Where a kernel on elements or rows puts these of its `count` results: into `out`, by default new arrays.

        Of one on rows, those that are like the first input.
        """
        if not (self.op.maps_elements or self.op.has_rows) or len(set(nodes)) < len(nodes):
            return {}
        found = dict(zip(nodes, positions, strict=True))
        if self.op.has_rows:
            found = {node: place for node, place in found.items() if graph.is_like_inputs(node)}
        return {node: "out" if count == 1 else f"out[{place}]" for node, place in found.items()}

    def _finished(self, result: str) -> str:
        """The result without the dropped axis, and reduced if it is a loss."""
        if self.is_loss:
            return f"runtime.reduced({', '.join([result, 'reduction', *filter(None, [self.axis])])})"
        return f"runtime.drop_axis({result}, {self.axis}, keepdims)" if self.axis else result

    def _shape_line(self, lines: list[str]) -> list[str]:
        """The line that finds the common shape of several inputs, where the lines use it."""
        if len(self.broadcasting) == 1 or not any(_SHAPE_VARIABLE.search(line) for line in lines):
            return []
        shapes = ", ".join(f"{name}.shape" for name in self.broadcasting)
        return [f"shape = np.broadcast_shapes({shapes})"]

    def _index_lines(self, graph: Graph, shape: str, attribute: str = "") -> list[str]:
        """An index becomes what picks its elements from an array of the shape."""
        indices = [(graph.nodes[_index_of(node)].detail, node.axis) for node in graph.nodes if node.op in INDEXING]
        return [f"{name} = runtime.places({name}{attribute}, {shape}, {axis})" for name, axis in dict.fromkeys(indices)]

    def _kept_lines(self, graph: Graph, shape: str, names: set[str]) -> list[str]:
        """Lines that give the cotangent and the output their dropped axis back."""
        lines = []
        kept = f"runtime.kept_shape({shape}, {self.axis})" if self.axis else shape
        if self.is_loss and self.cotangent in names:
            return [f"{self.cotangent} = runtime.spread({self.cotangent}, reduction, {kept})"]
        if self.axis:
            used = {node.detail for node in graph.nodes if node.op == "argument"}
            lines = [f"{name} = {name}.reshape({kept})" for name in sorted(names & used)]
        return lines

    def _note_use(self, graph: Graph, lines: Iterable[str]) -> None:
        """Which residuals a body reads, by value or for their shape only."""
        text = "\n".join(lines)
        read = {node.detail for node in graph.nodes if node.op == "argument"}
        known = {*(one.name for one in self.op.inputs), *self._residuals().values()}
        self.read |= known & read
        self.used |= known & read | {
            name for name in known if re.search(rf"\b{name}\.(shape|dtype)\b|like\({name}\)", text)
        }

    def _cotangent_graph(self, known: dict[Value, str], smooth: bool = False) -> tuple[Graph, list[int]]:
        derivatives = self.derivatives
        may_be_number = self.is_loss and not self.axis
        number = {self.cotangent: {"sources": frozenset([self.cotangent])}} if may_be_number else {}
        forms = (derivatives if smooth else self.chosen).vjp.values()
        return self._graph(
            {**known, derivatives.cotangent: self.cotangent}, forms, smooth, **self.saved_shapes, **number
        )

    def _tangent_graph(self, known: dict[Value, str], smooth: bool = False) -> tuple[Graph, list[int]]:
        derivatives = self.derivatives
        tangents = {tangent: tangent.name for tangent in derivatives.tangents.values()}
        shapes = {f"d{value.name}": {"sources": frozenset([value.name])} for value in derivatives.tangents}
        forms = (derivatives if smooth else self.chosen).jvp.values()
        return self._graph({**known, **tangents}, forms, smooth, **self.saved_shapes, **shapes)

    def _vjp(self) -> list[str]:
        graph, nodes = self._cotangent_graph(self._residuals())
        shape = self.full_shape
        outputs = [(f"d{name}", node) for name, node in zip(self.inputs, nodes, strict=True)]
        self.vjp_cost = kernel_cost(graph, nodes)
        names = [one.name for one in self.op.inputs]
        places = self._places(graph, nodes, map(names.index, self.inputs), len(names))
        if self.op.has_rows:
            places = {node: place for node, place in places.items() if node == nodes[0] and self.inputs[0] == names[0]}
        summed = set(nodes) - set(places) if self.op.row_axis and len(self.broadcasting) > 1 else set()
        writer = NumpyWriter(graph, outputs, shape, f"{self.cotangent}.dtype", self._taken(graph), places=places)

        def result(name: str, node: int) -> tuple[str, str]:
            product, fitted = writer.final(node), "runtime.unbroadcast({}, %s.shape)"
            if node in summed and (factors := writer.factors(node)):
                product, fitted = ", ".join(factors), "runtime.unbroadcast_product({}, %s.shape)"
            repeated = f"runtime.broadcast_to({{}}, {shape})"
            return self._cotangent(graph, node, name, (product, repeated), fitted, "np.zeros_like(%s)")

        formulas = {f"d{value.name}": expr for value, expr in self.chosen.vjp.items()}
        body = self._cotangent_statements(writer, outputs, result, formulas)
        self.spent = writer.spent(nodes[0])
        kept = self._kept_lines(graph, shape, {self.cotangent, self.output.name})
        lines = [*kept, *self._index_lines(graph, shape), *body]
        lines = [*self._shape_line(lines), *lines]
        self._note_use(graph, lines)
        return lines

    def _cotangent(
        self, graph: Graph, node: int, name: str, made: tuple[str, str], fitted: str, zeros: str
    ) -> tuple[str, str]:
        """The source of a cotangent, and of a call that gives it the shape of its input, '' where it has that shape.

        `made` is its source, and that of a call that repeats it for every element: what is the same for all of a row
        has to be added as often as the input was repeated.
        """
        (source, repeated), result = made, graph.nodes[node]
        if result.is_scalar:
            return zeros % name, ""
        if len(self.broadcasting) == 1:
            return source, "" if result.is_full and result.along >= graph.all_sources else fitted % name
        is_whole = result.is_full and result.along | {name} >= graph.all_sources
        return source if is_whole else repeated.format(source), fitted % name

    def _cotangent_statements(
        self, writer, outputs, result: Callable[[str, int], tuple[str, str]], formulas: dict[str, sympy.Expr]
    ) -> list[str]:
        """The body of a vjp or pullback: what inputs share first, then each input's own part if it is needed.

        Where a cotangent takes several steps, a comment gives its formula, if there is one.
        """

        def comment(label: str, has_steps: bool) -> list[str]:
            return comments({label: formulas[label]}) if has_steps and label in formulas else []

        blocks = writer.blocks()
        if len(self.op.inputs) == 1:
            (label, node), block = outputs[0], blocks[1][1]
            writer.write([other for other in block if other != node])
            source, fitted = result(label[1:], node)
            returned = fitted.format(source) or source
            if isinstance(writer, TensorWriter):
                returned = f"({returned},)"
            return [*comment(label, bool(writer.lines)), *writer.lines, f"return {returned}"]
        names = [one.name for one in self.op.inputs]
        results = [f"d{name}" if name in self.inputs else "None" for name in names]
        writer.taken |= set(results)
        writer.write(blocks[0][1])
        shares = bool(writer.lines)
        writer.lines.append(" = ".join([*(label for label, _ in outputs), "None"]))
        for (label, node), (_, block) in zip(outputs, blocks[1:], strict=True):
            writer.lines.append(f"if needs[{names.index(label[1:])}]:")
            start = len(writer.lines)
            writer.write([other for other in block if other != node], "    ")
            has_steps = shares or len(writer.lines) > start
            writer.lines[start:start] = [f"    {line}" for line in comment(label, has_steps)]
            source, fitted = result(label[1:], node)
            is_array = isinstance(writer, NumpyWriter) and (source == self.cotangent or "out=" in source)
            if fitted.startswith("runtime.unbroadcast(") and is_array:  # mostly it has the shape: then no call is made
                shape = f"{label[1:]}.shape"
                writer.lines += [f"    {label} = {source}", f"    if {label}.shape != {shape}:"]
                writer.lines.append(f"        {label} = {fitted.format(label)}")
            else:
                writer.lines.append(f"    {label} = {fitted.format(source) or source}")
        return [*writer.lines, f"return {', '.join(results)}"]

    def _jvp(self) -> list[str]:
        graph, nodes = self._tangent_graph(self._residuals())
        shape = self.input_shape
        outputs = [(f"dy_{name}", node) for name, node in zip(self.inputs, nodes, strict=True)]
        places = self._places(graph, nodes, [0], 1) if len(self.op.inputs) == 1 else {}
        writer = NumpyWriter(graph, outputs, shape, self._tangent_dtype, self._taken(graph), places=places)
        zeros = f"np.zeros({self._output_shape}, {{}}.dtype)" if self.axis else "np.zeros_like({})"
        body = self._tangent_statements(writer, graph, outputs, zeros, f"runtime.total(terms, {self._output_shape})")
        kept = self._kept_lines(graph, shape, {self.output.name})
        lines = [*kept, *self._index_lines(graph, shape), *body]
        lines = [*self._shape_line(lines), *lines]
        self._note_use(graph, lines)
        return lines

    def _tangent_statements(self, writer, graph: Graph, outputs, zeros: str, total: str) -> list[str]:
        """The body of a jvp or pushforward: each moving input adds its term."""
        blocks = writer.blocks()

        def term(name: str, node: int) -> str:
            return zeros.format(f"d{name}") if graph.nodes[node].is_scalar else writer.final(node)

        if len(outputs) == 1:
            node, name = outputs[0][1], self.inputs[0]
            writer.write([other for other in blocks[1][1] if other != node])
            result = term(name, node)
            if len(self.broadcasting) > 1:
                writer.lines.append(f"terms = [{result}]")
                result = total
        else:
            writer.write(blocks[0][1])
            writer.lines.append("terms = []")
            for (_, node), name, (_, block) in zip(outputs, self.inputs, blocks[1:], strict=True):
                writer.lines.append(f"if d{name} is not None:")
                writer.write([other for other in block if other != node], "    ")
                writer.lines.append(f"    terms.append({term(name, node)})")
            result = total
        finished = self._finished("dy")
        if finished == "dy":
            return [*writer.lines, f"return {result}"]
        return [*writer.lines, f"dy = {result}", f"return {finished}"]

    # --- rules over Tensors -------------------------------------------------------------------------------------------

    def _smooth_residuals(self) -> dict[Value, str]:
        """The output, unless it is an extremum of what is computed here: kernels may have rounded that otherwise."""
        stage = self.formula.definition(self.output)
        is_extremum = stage is not None and stage.kind in ("max", "min") and stage.expr not in self.formula.inputs
        return {self.output: self.output.name} if output_is_residual(self.op) and not is_extremum else {}

    def _pullback(self) -> list[str]:
        graph, nodes = self._cotangent_graph(self._smooth_residuals(), smooth=True)
        shape = self.full_shape
        outputs = [(f"d{name}", node) for name, node in zip(self.inputs, nodes, strict=True)]
        writer = TensorWriter(graph, outputs, shape, f"{self.cotangent}.dtype", self._taken(graph))

        def result(name: str, node: int) -> tuple[str, str]:
            fitted = "ops.unbroadcast({}, shape=%s.shape)"
            repeated = f"ops.broadcast({{}}, shape={shape})"
            return self._cotangent(graph, node, name, (writer.final(node), repeated), fitted, "%s * 0")

        body = self._cotangent_statements(writer, outputs, result, {})
        kept = self._kept_lines(graph, shape, {self.cotangent, self.output.name})
        lines = [*kept, *self._index_lines(graph, shape, ".data"), *body]
        return [*self._shape_line(lines), *lines]

    def _pushforward(self) -> list[str]:
        graph, nodes = self._tangent_graph(self._smooth_residuals(), smooth=True)
        shape = self.input_shape
        outputs = [(f"dy_{name}", node) for name, node in zip(self.inputs, nodes, strict=True)]
        writer = TensorWriter(graph, outputs, shape, self._tangent_dtype, self._taken(graph))
        total = f"ops.broadcast(runtime.summed(terms), shape={self._output_shape})"
        zeros = f"ops.sum({{}} * 0, axis={self.axis}, keepdims=True)" if self.axis else "{} * 0"
        body = self._tangent_statements(writer, graph, outputs, zeros, total)
        kept = self._kept_lines(graph, shape, {self.output.name})
        lines = [*kept, *self._index_lines(graph, shape, ".data"), *body]
        return [*self._shape_line(lines), *lines]


def _only_if(conditions: list[str], lines: list[str]) -> list[str]:
    """The lines where all conditions hold, of which there may be none."""
    return [f"if {' and '.join(conditions)}:", *(f"    {line}" for line in lines)] if conditions else lines


def _index_of(node) -> int:
    """The index among what a node is made of."""
    place = {"one_hot": 0, "minus_one_hot": 1, "shares_minus_one_hot": 1}.get(node.op, -1)
    return node.args[place]
