"""Stage 6: the functions of an op.

An op with one formula has the kernels `f`, `f_vjp` and `f_jvp`, and over Tensors `f_pullback` and `f_pushforward`. An
op whose formula depends on static parameters or optional inputs has one set of functions for each formula, and
functions of the plain name that choose among them.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nngrad.codegen.chosen import Chosen
from nngrad.codegen.lowering.bodies import Bodies, Variant, output_is_residual, takes_out
from nngrad.codegen.lowering.slopes import with_slopes
from nngrad.codegen.rules.series import Series
from nngrad.codegen.trace import OTHER, PRESENT, REQUIRED, Formula, Op
from nngrad.codegen.writing.plain import cotangents, unambiguous_names
from nngrad.codegen.writing.readable import readable as readable


@dataclass(frozen=True)
class Function:
    """One emitted function: name, parameters as written in its signature, docstring and body.

    A function with a `twin` is another name for the function so called.
    """

    name: str
    parameters: tuple[str, ...]
    doc: tuple[str, ...]
    lines: tuple[str, ...]
    twin: str = ""


@dataclass(frozen=True)
class Code:
    """Everything emitted for one op, and what the engine must know of it.

    `residuals` are positions in [*inputs, y, *saved]; `reads_values` those of them whose values matter, not their shape
    alone. `forward` names the kernel that returns y and the `saves` intermediates, `costs` what it and vjp cost in
    multiplications, `fills` which of y and the saved of an op on rows can be put into given arrays like x, `spends` the
    position of what is saved for a vjp that may put the first cotangent there, or 0; `spends_g` whether that of an op
    on elements may go where g is.
    """

    op: Op
    kernels: tuple[Function, ...]
    rules: tuple[Function, ...]
    residuals: tuple[int, ...]
    reads_values: tuple[int, ...]
    saves: int
    keeps_integers: bool
    forward: str
    chosen: tuple[Chosen, ...] = ()
    costs: tuple[int, int] = (0, 0)
    fills: tuple[int, ...] = ()
    spends: int = 0
    spends_g: bool = False

    @property
    def series(self) -> dict[str, Series]:
        """The series that the kernels call, by name."""
        return {name: series for chosen in self.chosen for name, series in chosen.series.items()}


def assemble(op: Op, chosen: Iterable[Chosen]) -> Code:
    """The code of an elementwise or reduction op, from its chosen forms."""
    variants = [Variant(op, *with_slopes(op, one)) for one in chosen]
    saved = list(dict.fromkeys(value.name for variant in variants for value in variant.kept))
    functions = Functions(op, variants, saved)
    bodies = [
        variant.bodies(functions.name(variant), [name for name, _ in functions.params(variant)], saved)
        for variant in variants
    ]
    kernels, rules, spent = functions.kernels(bodies), functions.rules(bodies), _spent(op, variants)
    order, residuals = functions.values, functions.residuals
    return Code(
        op,
        tuple(kernels),
        tuple(rules),
        tuple(order.index(name) for name in residuals),
        tuple(order.index(name) for name in residuals if any(name in variant.read for variant in variants)),
        len(saved),
        op.home != "loss" and all(variant.keeps_integers for variant in variants),  # integer targets widen no loss
        functions.forward,
        tuple(variant.chosen for variant in variants),
        costs_of(op, variants),
        tuple(sorted(frozenset().union(*(variant.filled for variant in variants)))),
        min((order.index(name) for name in spent.intersection(saved)), default=0),
        "g" in spent and op.maps_elements,
    )


def _spent(op: Op, variants: list[Variant]) -> frozenset[str]:
    """The arguments of vjp that all of an op's formulas are done with where the first cotangent is begun."""
    if not op.row_axis and len(op.inputs) > 1:
        return frozenset()
    return frozenset.intersection(*(variant.spent for variant in variants))


def costs_of(op: Op, variants: list[Variant]) -> tuple[int, int]:
    """What forward and vjp of an op on elements or rows cost, in multiplications of an array; 0 for other ops."""
    if not op.maps_elements and not op.has_rows:
        return 0, 0
    return min(variant.cost for variant in variants), min(variant.vjp_cost for variant in variants)


@dataclass
class Functions:
    """The functions of an op: for each formula its own, and functions of the plain name where there are several."""

    op: Op
    variants: list[Variant]
    saved: list[str]
    taking_out: set[str] = field(default_factory=set)

    @property
    def forward(self) -> str:
        return f"{self.op.name}_and_residuals" if self.saved else self.op.name

    @property
    def values(self) -> list[str]:
        """What is known when forward has run: the inputs, y ('' if derivatives don't get it), and what is saved."""
        output = self.variants[0].output.name if output_is_residual(self.op) else ""
        return [*(one.name for one in self.op.inputs), output, *self.saved]

    @property
    def residuals(self) -> list[str]:
        """Those of the values that derivatives take, known when their bodies are."""
        return [name for name in self.values if any(name in variant.used for variant in self.variants)]

    @property
    def keeps_slopes(self) -> bool:
        """Whether forward without residuals computes less."""
        return any(variant.slopes for variant in self.variants)

    @property
    def several(self) -> bool:
        return len(self.variants) > 1

    def name(self, variant: Variant) -> str:
        if not self.several:
            return self.op.name
        return "_".join([self.op.name, *(_suffix(variant.formula) or ["plain"])])

    # --- what functions take ------------------------------------------------------------------------------------------

    def params(self, variant: Variant | None = None) -> list[tuple[str, str]]:
        """(name, source) of the parameters; of a formula's own functions, only those it depends on."""
        fixed = set()
        if variant is not None and self.several:
            fixed = {name for name, value in variant.formula.static if value != PRESENT}
        return [(name, source) for name, source in signature_of(self.op) if name not in fixed]

    def inputs(self, variant: Variant | None = None) -> list[tuple[str, str]]:
        given = [(one.name, f"{one.name}=None" if one.optional else one.name) for one in self.op.inputs]
        if variant is None or not self.several:
            return given
        present = {value.name for value in variant.formula.inputs}
        return [(name, name) for name, _ in given if name in present]

    def leading(self, kind: str, variant: Variant | None = None) -> list[tuple[str, str]]:
        """The arguments of a function that come before its parameters."""
        if kind in ("", "_and_residuals"):
            return self.inputs(variant)
        output = self.variants[0].output.name
        if kind == "_pullback":
            return [(name, name) for name in ("ops", self.variants[0].cotangent, "inputs", output, "needs")]
        if kind == "_pushforward":
            return [(name, name) for name in ("ops", "tangents", "inputs", output)]
        needs = ["needs"] if len(self.op.inputs) > 1 else []
        names = [self.variants[0].cotangent, *self._own_residuals(variant), *needs]
        if kind == "_jvp":
            own = {name for name, _ in self.inputs(variant)}
            names = [*(f"d{one.name}" for one in self.op.inputs if one.name in own), *self._own_residuals(variant)]
        return [(name, name) for name in names]

    def _own_residuals(self, variant: Variant | None) -> list[str]:
        if variant is None or not self.several:
            return self.residuals
        return [name for name in self.residuals if name in variant.used]

    def signature(self, kind: str, variant: Variant | None = None) -> tuple[str, ...]:
        return tuple(source for _, source in (*self.leading(kind, variant), *self.params(variant)))

    def call(self, kind: str, variant: Variant) -> str:
        names = [name for name, _ in (*self.leading(kind, variant), *self.params(variant))]
        function = self.name(variant) + kind
        return f"{function}({', '.join([*names, *(['out=out'] if function in self.taking_out else [])])})"

    # --- the functions ------------------------------------------------------------------------------------------------

    def kernels(self, bodies: list[Bodies]) -> Iterator[Function]:
        """The functions on arrays."""
        for variant, body in zip(self.variants, bodies, strict=True):
            yield from self._kernels(variant, body)
        if self.several:
            if self.saved:
                yield self._choosing("_and_residuals", f"`{self.op.name}` with what its derivatives reuse.")
            if self.saved and not self.keeps_slopes:
                yield self._first_result()
            else:
                yield self._choosing("", *self._doc())
            yield self._choosing("_vjp", self._vjp_doc(self.op.name))
            yield self._choosing("_jvp", f"Tangent of `{self.op.name}`'s output.")

    def _kernels(self, variant: Variant, body: Bodies) -> Iterator[Function]:
        name = self.name(variant)
        where = f"`{self.op.name}` where {self._condition(variant)}" if self.several else f"`{name}`"
        if self.saved:
            doc = f"{where}{',' * self.several} with what its derivatives reuse."
            yield self._function("_and_residuals", variant, (doc,), body.forward)
            if not self.several and not self.keeps_slopes:
                yield self._first_result()
        if not self.saved or self.keeps_slopes:
            doc = (f"{where}.",) if self.several else self._doc()
            yield self._function("", variant, doc, body.plain)
        yield self._function("_vjp", variant, (self._vjp_doc(name),), body.vjp)
        twin = f"{name}_vjp" if self._is_symmetric(body) else ""
        yield self._function("_jvp", variant, (f"Tangent of `{name}`'s output.",), body.jvp, twin)

    def _vjp_doc(self, name: str) -> str:
        plural = "s" * (len(self.op.inputs) > 1)
        return f"Cotangent{plural} of `{name}`'s input{plural}."

    def _function(self, kind: str, variant: Variant, doc, lines, twin: str = "") -> Function:
        """One of a formula's own functions. It takes `out` if its results may go there."""
        name, out = self.name(variant) + kind, self._out(kind, lines)
        if out:
            self.taking_out.add(name)
        return Function(name, (*self.signature(kind, variant), *out), doc, tuple(lines), twin)

    def _out(self, kind: str, lines: Iterable[str]) -> tuple[str, ...]:
        """The parameter for arrays that results go to, of a function that can put some there. `...` makes new ones."""
        if not takes_out(lines):
            return ()
        results = {"_and_residuals": 1 + len(self.saved), "_vjp": len(self.op.inputs)}.get(kind, 1)
        return ("out=...",) if results == 1 else (f"out=({', '.join(['...'] * results)})",)

    def _is_symmetric(self, body: Bodies) -> bool:
        """Whether the Jacobian is, so that pulling back and pushing forward are one computation."""
        tangent = f"d{self.op.inputs[0].name}"
        renamed = [re.sub(rf"\b{tangent}\b", self.variants[0].cotangent, line) for line in body.jvp]
        return len(self.op.inputs) == 1 and renamed == [line for line in body.vjp if not line.startswith("#")]

    def _first_result(self) -> Function:
        names = ", ".join(name for name, _ in (*self.inputs(), *self.params()))
        return Function(self.op.name, self.signature(""), self._doc(), (f"return {self.forward}({names})[0]",))

    def _doc(self) -> tuple[str, ...]:
        """Documentation of a forward kernel: the author's words, the formula, the derivative."""
        lines = [*self.op.doc.splitlines(), "", "Formula:", *(f"    {line}" for line in formula_lines(self.op))]
        for variant, formula in zip(self.variants, self.op.formulas, strict=True):
            lines += ["", f"Derivative{f' where {self._condition(variant)}' if self.several else ''}:"]
            derivatives, names = variant.derivatives, unambiguous_names(self.op, formula)
            for value, expr in cotangents(self.op, derivatives.formula, derivatives.vjp, names).items():
                lines.append(f"    d{value.name} = {readable(expr)}")
        lines += ["", f"Shapes: {shapes_of(self.op)}.", f"Residuals: {', '.join(self.residuals) or 'none'}."]
        return (
            *lines,
            *(_accuracy(variant) for variant in self.variants if variant.chosen.errors and not self.several),
        )

    def rules(self, bodies: list[Bodies]) -> Iterator[Function]:
        """The functions over Tensors."""
        inputs = [one.name for one in self.op.inputs]
        tangents = [f"d{name}" for name in inputs]
        for variant, body in zip(self.variants, bodies, strict=True):
            name = self.name(variant)
            yield Function(
                f"{name}_pullback",
                self.signature("_pullback", variant),
                (),
                tuple(with_unpacked(inputs, "inputs", body.pullback)),
            )
            lines = tuple(with_unpacked(inputs, "inputs", with_unpacked(tangents, "tangents", body.pushforward)))
            yield Function(f"{name}_pushforward", self.signature("_pushforward", variant), (), lines)
        if self.several:
            for kind in ("_pullback", "_pushforward"):
                chosen = self._choosing(kind)
                yield Function(chosen.name, chosen.parameters, (), tuple(with_unpacked(inputs, "inputs", chosen.lines)))

    def _choosing(self, kind: str, *doc: str) -> Function:
        """A function that chooses the formula meant by its arguments."""
        known = self._known_strings()
        lines = []
        for variant in self.variants[: None if known else -1]:
            lines += [f"if {self._condition(variant)}:", f"    return {self.call(kind, variant)}"]
        if known:
            says = "; ".join(
                f"{name} must be {' or '.join(values)}, not {{{name}!r}}" for name, values in known.items()
            )
            lines.append(f"raise ValueError(f'{self.op.name}: {says}')")
        else:
            lines.append(f"return {self.call(kind, self.variants[-1])}")
        return Function(f"{self.op.name}{kind}", (*self.signature(kind), *self._out(kind, lines)), doc, tuple(lines))

    def _known_strings(self) -> dict[str, list[str]]:
        """For each parameter that takes certain strings only, which."""
        known: dict[str, list[str]] = {}
        for name in [param.name for param in self.op.params if isinstance(param.default, str)]:
            values = [dict(variant.formula.static)[name] for variant in self.variants]
            if OTHER not in values:
                known[name] = sorted({quoted(value) for value in values})
        return known

    def _condition(self, variant: Variant) -> str:
        """The condition on an op's arguments under which a formula is meant."""
        optional = {one.name for one in self.op.inputs if one.optional}
        optional |= {param.name for param in self.op.params if param.default is None}
        parts = []
        for name, value in variant.formula.static:
            if name in optional:
                parts.append(f"{name} is None" if value is None else f"{name} is not None")
            elif isinstance(value, bool):
                parts.append(name if value else f"not {name}")
            elif value != OTHER:
                parts.append(f"{name} == {quoted(value)}")
        return " and ".join(parts)


def _accuracy(variant: Variant) -> str:
    """What simulated rounding says of a formula's kernels."""
    figures = ", ".join(f"{name} {error.ulp:.2g}" for name, error in variant.chosen.errors.items())
    remedy = ", so it is computed in float64" if variant.is_wide else ""
    return f"Rounding error in float32, simulated: {figures} ulp{remedy}."


def with_unpacked(names: list[str], source: str, lines: Iterable[str]) -> list[str]:
    """The lines, after one that unpacks those names of a tuple that they use."""
    text = "\n".join(lines)
    used = [name if re.search(rf"\b{name}\b", text) else "_" for name in names]
    if all(name == "_" for name in used):
        return list(lines)
    return [f"({used[0]},) = {source}" if len(used) == 1 else f"{', '.join(used)} = {source}", *lines]


def _suffix(formula: Formula) -> list[str]:
    """What tells a formula's functions apart from its siblings'."""
    parts = []
    for name, value in formula.static:
        if isinstance(value, bool):
            parts.append(name if value else f"no_{name}")
        elif value == PRESENT:
            parts.append(name)
        elif value is not None:
            parts.append("".join(letter if letter.isalnum() else "_" for letter in value))
    return parts


def quoted(value) -> str:
    """A literal as ruff format writes it."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def default_source(default) -> str:
    """A parameter's default as source."""
    if isinstance(default, float) and (default != default or default in (float("inf"), float("-inf"))):
        return f'float("{default}")'
    return quoted(default)


def signature_of(op: Op) -> list[tuple[str, str]]:
    """The parameters of an op's functions in order, as (name, source)."""
    parameters = [
        (one.name, one.name if one.default is REQUIRED else f"{one.name}={default_source(one.default)}")
        for one in op.params
    ]
    if op.home == "loss":
        parameters.append(("reduction", 'reduction="mean"'))
    elif op.formulas and op.formulas[0].reduced_axis:
        parameters.append(("keepdims", "keepdims=False"))
    return parameters


def shapes_of(op: Op) -> str:
    """The shapes of an op's inputs and output, in words."""
    formula = op.formulas[0]
    indices = frozenset().union(*(one.indices for one in op.formulas))
    data, *others = (one.name for one in op.inputs if one.name not in indices)
    given = f"{data} of any shape"
    if op.family == "reduction" and others:
        given += f", {' and '.join(others)} broadcast to it"
    elif others:
        given = f"{', '.join([data, *others])} broadcast together"
    given += "".join(f", {one} as {data} without the axis" for one in sorted(indices))
    own = f"of the shape of {data}" if op.family == "reduction" or not others else "of their common shape"
    if formula.reduced_axis:
        own = "without the axis, or with length 1 there for `keepdims`" if op.home != "loss" else "without the axis"
    if op.home == "loss":
        own = f"a number, or with reduction 'none' {own}"
    return f"{given}; y {own}"


def formula_lines(op: Op) -> list[str]:
    """The body of a spec function."""
    if not op.source:
        stage = op.formulas[0].stages[-1]
        return [f"y = {stage.kind}({stage.expr}, {stage.axis})" if stage.axis else f"y = {readable(stage.expr)}"]
    (function,) = (node for node in ast.parse(op.source).body if isinstance(node, ast.FunctionDef))
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    lines = op.source.splitlines()[body[0].lineno - 1 : function.end_lineno]
    if body[0].lineno == function.lineno:  # all in one line
        lines = [lines[0][body[0].col_offset :]]
    return [line for line in textwrap.dedent("\n".join(lines)).splitlines() if line.strip()]
