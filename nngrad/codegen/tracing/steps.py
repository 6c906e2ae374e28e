"""Composite ops: formulas with several outputs, or with index notation among other parts.

Such a formula is cut where a contraction begins or ends, and each output is a piece of its own. Every piece is an op
with derivatives of its own, and the composite op runs them in a row; the chain rule over Tensors joins them. A dense
layer, `relu(sum(x[..., k] * w[k, j], k) + b)`, becomes a contraction of x and w, and an elementwise op of that and b.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nngrad.codegen.algebra.symbols import Indexed, Pick, SpecError, Value
from nngrad.codegen.language import Contract
from nngrad.codegen.tracing.formula import REQUIRED, Formula, Input, Op, Step
from nngrad.codegen.tracing.record import Recorder, alive
from nngrad.codegen.writing.readable import readable


def contraction_alone(runs: list, home: str) -> Indexed | Contract | None:
    """The contraction that is the whole of a formula; None where there is more to it."""
    if len(runs) != 1:
        return None
    result, recorder = runs[0].result, runs[0].recorder
    if isinstance(result, Value) and set(recorder.contractions) == {result}:
        result = recorder.contractions[result]
    if not isinstance(result, Indexed | Contract) or home == "loss":
        return None
    operands = {value for value, _ in result.tensors} if isinstance(result, Indexed) else set()
    return result if operands <= set(recorder.inputs) else None


def composite(op: Op, runs: list, with_formulas: Callable[[Op, list[Formula]], Op]) -> Op:
    """The op as steps.

    Raises:
        SpecError: its static parameters change what the steps are.
    """
    results = [run.result if isinstance(run.result, tuple) else (run.result,) for run in runs]
    cut = any(run.recorder.contractions for run in runs)
    cut |= any(isinstance(one, Indexed) for own in results for one in own)
    if len({len(own) for own in results}) > 1:
        raise SpecError("the number of outputs depends on a parameter", "declare an op for each number")
    if cut and len(runs) > 1:
        raise SpecError(
            "index notation stands beside other parts in a formula with a parameter that is a str, a bool or None",
            "declare the contraction as an op of its own, and call it",
        )
    many = isinstance(runs[0].result, tuple)
    if len(runs) == 1:
        results = [_with_author_names(runs[0].recorder, results[0])]
    if cut:
        builder = _Builder(op, runs[0].recorder, with_formulas)
        outputs = [builder.output(result) for result in results[0]]
        return replace(op, many=many, steps=tuple(builder.steps), outputs=tuple(outputs))
    return _several_outputs(op, runs, results, with_formulas)


def _with_author_names(recorder: Recorder, results: tuple) -> tuple:
    """Give values that other formulas have left the names by which the author calls them; returns the results."""
    names = {value: value.renamed(name) for value, name in recorder.renamed.items() if name}

    def renamed(one):
        if isinstance(one, Indexed):
            *factors, last = ((names.get(value, value), indices) for value, indices in one.tensors)
            factors, bias = (factors, last) if one.bias else ([*factors, last], None)
            return replace(one, factors=tuple(factors), bias=bias)
        return one.xreplace(names)

    recorder.stages = [
        replace(stage, value=names.get(stage.value, stage.value), expr=renamed(stage.expr)) for stage in recorder.stages
    ]
    recorder.contractions = {value: renamed(indexed) for value, indexed in recorder.contractions.items()}
    return tuple(map(renamed, results))


def _several_outputs(op: Op, runs: list, results: list[tuple], with_formulas) -> Op:
    """A step for each output, with a formula for each choice of the static parameters."""
    steps = []
    for position in range(len(results[0])):
        formulas = []
        for run, own in zip(runs, results, strict=True):
            formulas.append(run.recorder.formula(own[position], run.static))
        name = formulas[0].output.name
        used = set().union(*(_used(formula) for formula in formulas)) | {
            name for formula in formulas for name, _ in formula.static
        }
        inputs = tuple(one for one in op.inputs if one.name in used) or op.inputs[:1]
        params = tuple(one for one in op.params if one.name in used)
        names = {one.name for one in inputs}
        formulas = [
            replace(formula, inputs=tuple(value for value in formula.inputs if value.name in names))
            for formula in formulas
        ]
        steps.append(_step(op, name, inputs, params, formulas, op.home, with_formulas))
    return replace(op, many=True, steps=tuple(steps), outputs=tuple(step.value for step in steps))


def _used(formula: Formula) -> set[str]:
    used = {symbol.name for stage in formula.stages for symbol in stage.expr.free_symbols} | set(formula.axes)
    return used | {pick.args[1].name for stage in formula.stages for pick in stage.expr.atoms(Pick)}


def _step(op: Op, value: str, inputs, params, formulas: list[Formula], home: str, with_formulas) -> Step:
    made = Op(
        name=f"{op.name}_{value}",
        home=home,
        family="",
        inputs=tuple(inputs),
        params=tuple(params),
        doc=f"`{value}` of `{op.name}`.",
        source=_source(f"{op.name}_{value}", inputs, params, formulas),
        file=op.file,
        line=op.line,
    )
    return Step(value, with_formulas(made, formulas), tuple(one.name for one in inputs))


def _source(name: str, inputs, params, formulas: list[Formula]) -> str:
    """A piece of a formula, written as a formula."""
    given = [f"{one.name}=None" if one.optional else one.name for one in inputs]
    given += ["*"] * bool(params)
    given += [one.name if one.default is REQUIRED else f"{one.name}={one.default!r}" for one in params]
    lines = [f"def {name}({', '.join(given)}):"]
    for formula in formulas:
        indent = "    "
        if len(formulas) > 1:
            case = " and ".join(f"{name} is {value!r}" for name, value in formula.static)
            lines.append(f"    if {case}:")
            indent = "        "
        for stage in formula.stages:
            text = f"{stage.kind}({readable(stage.expr)}, {stage.axis})" if stage.axis else readable(stage.expr)
            is_last = stage is formula.stages[-1]
            lines.append(f"{indent}return {text}" if is_last else f"{indent}{stage.value.name} = {text}")
    return "\n".join(lines) + "\n"


class _Builder:
    """Cuts one run of a formula into steps."""

    def __init__(self, op: Op, recorder: Recorder, with_formulas):
        self.op, self.recorder, self.with_formulas = op, recorder, with_formulas
        self.steps: list[Step] = []
        self.given = {value.name: one for value, one in zip(recorder.inputs, op.inputs, strict=True)}
        self.params = {param.name: param for param in op.params}

    def output(self, result) -> str:
        """Make what a formula returns; its name."""
        if isinstance(result, Indexed):
            result = self.recorder.contracted(result, "y")
        if self.op.home == "loss":
            result = self.recorder.output(result)
        self._make(result, self.op.home)
        return result.name

    def _make(self, value: Value, home: str) -> None:
        """Add the steps that a value takes, unless it is there."""
        if value.name in self.given:
            return
        if value in self.recorder.contractions:
            self._contract(value, self.recorder.contractions[value])
        else:
            self._piece(value, home)
        if not value.constant_along and home != "loss":
            self.given[value.name] = Input(value.name)

    def _contract(self, value: Value, indexed: Indexed) -> None:
        for operand, _ in indexed.tensors:
            if operand.constant_along:
                raise SpecError(
                    f"{operand.name} has been reduced along an axis, and is indexed",
                    "index what has all its axes, or write the sum itself in index notation",
                )
            self._make(operand, "op")
        operands = dict.fromkeys(operand for operand, _ in indexed.tensors)
        letters = {one for _, indices in indexed.tensors for index in indices if index is not Ellipsis
                   for one in index.free_symbols}  # fmt: skip
        names = {one.name for one in letters}
        params = tuple(param for name, param in self.params.items() if name in names)
        inputs = tuple(Input(one.name) for one in operands)
        name = f"{self.op.name}_{value.name}"
        written = [
            f"{one.name}[{', '.join('...' if index is Ellipsis else str(index) for index in indices)}]"
            for one, indices in indexed.tensors
        ]
        added = f" + {written.pop()}" if indexed.bias else ""
        product = " * ".join(written)
        summed = ", ".join(map(str, indexed.summed))
        summed = f"({summed})" if len(indexed.summed) > 1 else summed
        formula = f"sum({product}, {summed}){added}"
        made = Op(
            name=name,
            home="contraction",
            family="contraction",
            inputs=inputs,
            params=params,
            doc=f"`{value.name}` of `{self.op.name}`.",
            source=f"def {name}({', '.join(one.name for one in inputs)}):\n    return {formula}\n",
            file=self.op.file,
            line=self.op.line,
            contraction=indexed,
        )
        self.steps.append(Step(value.name, made, tuple(one.name for one in inputs)))

    def _piece(self, value: Value, home: str) -> None:
        """A step for the stages between a value and what is there before it."""
        stages = alive(self.recorder.stages, value)
        for source in sorted({one for stage in stages for one in stage.expr.atoms(Value)}, key=str):
            if source in self.recorder.contractions:
                self._make(source, "op")
        shared = {name for name in self.given if name not in {one.name for one in self.op.inputs}}
        stages = alive([stage for stage in stages if stage.value.name not in shared], value)
        own = {stage.value for stage in stages}
        inputs = dict.fromkeys(one for stage in stages for one in sorted(stage.expr.atoms(Value) - own, key=str))
        order = list(self.given)
        values = tuple(sorted(inputs, key=lambda one: order.index(one.name)))
        formula = Formula((), values, stages, value)
        used = _used(formula)
        params = tuple(param for name, param in self.params.items() if name in used)
        given = [replace(self.given[one.name], optional=False) for one in values]
        self.steps.append(_step(self.op, value.name, given, params, [formula], home, self.with_formulas))
