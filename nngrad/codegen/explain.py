"""Why an op is computed as it is: its formula, its derivative, the forms that were tried, the code that came out.

`explain` collects this as data, an `Explanation`. Other rooms show it: `terminal` as text, `page` as HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import Indexed, Value
from nngrad.codegen.choices import Choices
from nngrad.codegen.chosen import Chosen, Tried
from nngrad.codegen.emit import HOMES, source_of, templates_folder
from nngrad.codegen.judging.errors import ACCURATE, Error
from nngrad.codegen.lowering.assemble import Code, assemble, readable, shapes_of
from nngrad.codegen.lowering.contract import contraction_of
from nngrad.codegen.pipeline import compile_op, selections
from nngrad.codegen.showing import kinks, records
from nngrad.codegen.trace import Formula, Op
from nngrad.codegen.writing.notation import (
    Equation,
    condition_of,
    contraction_equations,
    derivative_equations,
    formula_equations,
)

TOO_INACCURATE = 16.0  # units in the last place, beyond what an input's rounding explains: worth a warning
SPEC = Path(__file__).resolve().parents[1] / "spec"


@dataclass(frozen=True)
class Forms:
    """The forms that were tried of one thing an op computes, in the order of their cost.

    Attributes:
        of: what they compute: 'y', or 'dx' for the derivative to x.
        tried: each with its cost in multiplications and, if it was judged, its worst error.
        taken: the position of the one that is computed, or None where that is another, equal to one of these.
        why: what decided.
        written: the one that stands for the formula as its author wrote it.
    """

    of: str
    tried: tuple[Tried, ...]
    taken: int | None
    why: str
    written: Value

    def text(self, one: Tried) -> str:
        """A form as a person would write it."""
        return "as written" if one.form == self.written else readable(one.form)


@dataclass(frozen=True)
class Case:
    """An op's formula for one choice of its static parameters and optional inputs.

    Attributes:
        condition: when it holds, '' where the op has one formula.
        formula, derivative: equations. The derivative of an elementwise op is that of y; of others it is the cotangent
            that an input gets for the cotangent g of y.
        rounding: the worst errors of what is computed in float32, by simulated rounding.
        forms: those that were tried; empty where the recorded choice was not searched for again.
        ordinary: the shorter forms that are computed where no input is larger than `limit`, as assignments; none if
            there are no such forms.
    """

    condition: str
    formula: tuple[Equation, ...]
    derivative: tuple[Equation, ...]
    rounding: dict[str, Error] = field(default_factory=dict)
    forms: tuple[Forms, ...] = ()
    ordinary: tuple[str, ...] = ()
    limit: int = 0


@dataclass(frozen=True)
class Explanation:
    """What is to be said of one op. In a notebook it shows itself, `print` gives text.

    Attributes:
        op: the op, traced.
        cases: its formulas; none for structural ops, which are tabulated.
        note: what the equations leave open, '' if nothing.
        shapes: of inputs and output, in words; '' where the formula does not say.
        residuals: what backward reuses.
        conventions: gradients at kinks, ties and singular points.
        measured: measured errors beside other libraries'.
        code: Python source of the functions that were emitted, without imports.
    """

    op: Op
    cases: tuple[Case, ...]
    note: str
    shapes: str
    residuals: tuple[str, ...]
    conventions: records.Table
    measured: tuple[records.Measured, ...]
    code: str

    @property
    def name(self) -> str:
        return self.op.name

    @property
    def origin(self) -> str:
        """Where the derivative comes from: 'derived', 'word' or 'table'."""
        return "word" if self.op.is_word else "table" if self.op.family == "structural" else "derived"

    @property
    def references(self) -> tuple[str, ...]:
        """The literature that the op's documentation names."""
        return tuple(re.findall(r"\(([^()]*\b(?:18|19|20)\d\d)\)", self.op.doc))

    @property
    def latex(self) -> str:
        """Formula and derivative as LaTeX, one equation a line."""
        return "\n".join(equation.latex for case in self.cases for equation in (*case.formula, *case.derivative))

    def __str__(self) -> str:
        from nngrad.codegen.showing.terminal import text

        return text(self)

    def _repr_html_(self) -> str:
        from nngrad.codegen.showing.page import fragment

        return fragment(self)


def explain(op: Op, choices: Choices | None = None, result: str = "y") -> Explanation:
    """Explain a traced op, of whichever spec. Without `choices` its forms are searched for, and all are listed.

    `result` is what its equations call what it computes.

    Raises:
        SpecError: no derivative or no code can be made of the op.
    """
    is_own = not op.file or Path(op.file).parent == SPEC or op.file == language.__file__
    common = {
        "op": op,
        "conventions": records.conventions(op.name) if is_own else records.Table((), ()),
        "measured": records.measured(op.name) if is_own else (),
    }
    if op.family == "structural":
        note = (
            "An index map: it moves elements about and is "
            + ("linear but for a constant" if op.is_affine else "linear")
            + ". It is tabulated beside its adjoint L*, and the pair is tested by <Lx, g> = <x, L*g>."
        )
        return Explanation(
            cases=(), note=note, shapes="", residuals=("the shapes of the inputs",), code=_template_code(op), **common
        )
    if op.steps:
        return _explained_steps(op, choices, common)
    if op.family == "contraction":
        return _explained_contraction(op, common, result)
    if choices is None:
        found = [select() for _, select in selections(op)]
        code = assemble(op, [chosen for chosen, _ in found])
    else:
        code = compile_op(op, choices)
        found = [(chosen, []) for chosen in code.chosen]
    cases = [_case(op, formula, *one, result) for formula, one in zip(op.formulas, found, strict=True)]
    note = "" if op.family == "elementwise" else "g is the cotangent of y; a bar marks the cotangent of an input."
    shown = "".join(equation.latex for case in cases for equation in (*case.formula, *case.derivative))
    if r"\left[" in shown:
        note += " [...] is 1 where what it says holds, else 0."
    if r"\left[i = " in shown:
        note += " i is an element's place along the axis."
    return Explanation(
        cases=tuple(cases),
        note=note.strip(),
        shapes=shapes_of(op),
        residuals=_residuals(code),
        code=_source(code),
        **common if is_own else common | {"conventions": _found(op, [chosen for chosen, _ in found])},
    )


def _found(op: Op, chosen: list[Chosen]) -> records.Table:
    """Conventions of an op that no page tells of, at the kinks of its formulas of numbers."""
    if op.family != "elementwise":
        return records.Table((), ())
    pairs = zip(op.formulas, chosen, strict=True)
    rows = [row for formula, one in pairs for row in kinks.of_derivatives(op, formula, one.derivatives)]
    return records.Table(kinks.COLUMNS, tuple(rows))


def _case(op: Op, formula: Formula, chosen: Chosen, tried: list[Tried], result: str) -> Case:
    derivatives = chosen.derivatives
    return Case(
        condition_of(op, formula),
        tuple(formula_equations(op, formula, result)),
        tuple(derivative_equations(op, derivatives.formula, derivatives.cotangent, derivatives.vjp, result)),
        chosen.errors,
        tuple(_forms(tried, chosen)),
        tuple(_assignments(chosen)),
        chosen.ordinary.limit if chosen.ordinary else 0,
    )


def _assignments(chosen: Chosen) -> Iterator[str]:
    """The forms for inputs of ordinary size."""
    if chosen.ordinary:
        for part, expr in chosen.ordinary.parts.items():
            yield f"{part.name} = {readable(expr)}"
        yield f"y = {readable(chosen.ordinary.value)}"
        for value, slope in chosen.ordinary.slopes.items():
            yield f"d{value.name} = {chosen.derivatives.cotangent.name} * ({readable(slope)})"


def _residuals(code: Code) -> tuple[str, ...]:
    """The names of what backward reuses, as the documentation of the kernels has them."""
    lines = [line for function in code.kernels for line in function.doc if line.startswith("Residuals: ")]
    return tuple(re.findall(r"\w+", lines[0].removeprefix("Residuals: ").replace("none", "")))


def _source(code: Code) -> str:
    return "\n\n\n".join(source_of(function) for function in code.kernels)


def _template_code(op: Op) -> str:
    """The functions of an op that is written out in its template: forward, adjoint and tangent."""
    text = (templates_folder() / f"{HOMES[op.home][0]}.py.j2").read_text(encoding="utf-8")
    found = (re.search(rf"^def {op.name}{kind}\(.*?(?=\n\n\n|\n{{%|\Z)", text, re.MULTILINE | re.DOTALL)
             for kind in ("", "_vjp", "_jvp"))  # fmt: skip
    return "\n\n\n".join(one[0].rstrip() for one in found if one)


def _explained_steps(op: Op, choices: Choices | None, common: dict) -> Explanation:
    """An op that runs others in a row, each with derivatives of its own."""
    steps = [(step, explain(step.op, choices, step.value)) for step in op.steps]
    cases = [
        replace(case, condition=", ".join(filter(None, [f"step {step.value}", case.condition])))
        for step, one in steps
        for case in one.cases
    ]
    note = "Each is an op of its own, and they run in a row: the chain rule joins their derivatives, in which g is the "
    return Explanation(
        cases=tuple(cases),
        note=f"{note}cotangent of what the step computes.",
        shapes="",
        residuals=tuple(f"{name} of {step.value}" for step, one in steps for name in one.residuals),
        code="\n\n\n".join(one.code for _, one in steps),
        **common,
    )


def _explained_contraction(op: Op, common: dict, result: str) -> Explanation:
    note = "g is the cotangent of y; a bar marks the cotangent of an operand."
    if not isinstance(op.contraction, Indexed):
        note = (
            "A contraction whose index notation is known only when it is called. It is linear in each operand: the "
            "cotangent of one is the contraction of g with all the others onto its own indices."
        )
        code = _template_code(op)
        return Explanation(cases=(), note=note, shapes="", residuals=("the operands",), code=code, **common)
    made, contraction = compile_op(op, Choices(None)), contraction_of(op.contraction)
    formula, derivative = contraction_equations(op.contraction, contraction.result, contraction.result_leads, result)
    if any(windows.axes for windows in contraction.windows):
        note += " [...] is 1 where the equation holds, else 0: windows are added up where they overlap."
    lines = [line for function in made.kernels for line in function.doc]
    shapes = next((line for line in lines if line.startswith("Shapes: ")), "")
    return Explanation(
        cases=(Case("", tuple(formula), tuple(derivative)),),
        note=note,
        shapes=shapes.removeprefix("Shapes: ").removesuffix("."),
        residuals=_residuals(made),
        code=_source(made),
        **common,
    )


# --- forms ------------------------------------------------------------------------------------------------------------


def _forms(tried: list[Tried], chosen: Chosen) -> Iterator[Forms]:
    """The forms of everything that is computed, and which was taken."""
    forms = {"y": chosen.value, **{f"d{value.name}": form for value, form in chosen.vjp.items()}}
    for of in dict.fromkeys(one.of for one in tried):
        each_once = {one.form: one for one in tried if one.of == of}
        own = sorted(each_once.values(), key=lambda one: (one.cost, str(one.form)))
        smooth = {f"d{value.name}": form for value, form in chosen.derivatives.vjp.items()}.get(of)
        listed = [one.form for one in own]
        taken = next((listed.index(form) for form in (forms[of], smooth) if form in listed), None)
        yield Forms(of, tuple(own), taken, _why(own, taken), chosen.derivatives.formula.output)


def _why(tried: list[Tried], taken: int | None) -> str:
    """What decided for the form at the position `taken`."""
    if tried[0].error is None:
        return "Taken for its cost alone: the formula was made accurate before, row by row."
    accurate = [place for place, one in enumerate(tried) if one.error.ulp <= ACCURATE]
    if taken is None:
        return f"Taken is another way to write one of these, the cheapest within {ACCURATE} ulp."
    if not accurate:
        return (
            f"No form is within {ACCURATE} ulp: taken is the cheapest that only magnifies its input's rounding, or "
            "else the most accurate."
        )
    if tried[taken].cost == tried[0].cost and tried[taken].error.ulp <= ACCURATE:
        return f"Taken is the cheapest; it is within {ACCURATE} ulp."
    if tried[taken].cost == tried[accurate[0]].cost:
        return f"Taken is the cheapest within {ACCURATE} ulp. What is cheaper is not."
    return f"Taken is the cheapest within {ACCURATE} ulp together with the forms of the other derivatives."


def warnings_of(op: Op, chosen: Chosen) -> Iterator[str]:
    """What to say of forms that are not accurate."""
    is_wide = op.maps_elements and chosen.is_wide
    for of, error in chosen.errors.items():
        if error.beyond > TOO_INACCURATE:
            names = (value.name for value in chosen.derivatives.formula.inputs)
            point = ", ".join(f"{name} = {number:.6g}" for name, number in zip(names, error.at, strict=True))
            what = "its value" if of == "y" else f"its derivative {of}"
            how = (
                "overflows, or has no value, on the way to a finite result"
                if error.ulp == float("inf")
                else f"is {error.ulp:.2g} units in the last place off"
            )
            remedy = "; float32 is computed in float64 instead, which itself is as far off" if is_wide else ""
            yield (
                f"{op.file}:{op.line}: in {op.name}: no accurate form was found; in float32 {what} {how} at {point}"
                f"{remedy}\n"
                f"  what to do: write the formula in other words, or see what was tried: --explain {op.name}"
            )
