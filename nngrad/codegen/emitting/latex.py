"""An op's formula and derivative as LaTeX, for `op.latex`."""

from __future__ import annotations

from collections.abc import Iterator

from nngrad.codegen.algebra.symbols import Indexed
from nngrad.codegen.lowering.assemble import Code
from nngrad.codegen.lowering.contract import contraction_of
from nngrad.codegen.tracing.formula import Op, Step
from nngrad.codegen.writing.notation import (
    Equation,
    condition_of,
    contraction_equations,
    derivative_equations,
    formula_equations,
)


def latex_of(op: Op, codes: dict[str, Code]) -> str:
    """The equations of an op, one below the other."""
    steps = op.steps or (Step("y", op, ()),)
    lines = [line for step in steps for line in _lines(step, codes[step.op.name])]
    if len(lines) == 1:
        return lines[0].replace("&", "", 1)
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"


def _lines(step: Step, code: Code) -> Iterator[str]:
    op = step.op
    if isinstance(op.contraction, Indexed):
        contraction = contraction_of(op.contraction)
        formula, derivative = contraction_equations(
            op.contraction, contraction.result, contraction.result_leads, step.value
        )
        yield from map(_aligned, [*formula, *derivative])
    for formula, chosen in zip(op.formulas, code.chosen, strict=True):
        case = condition_of(op, formula).replace('"', "").replace("_", r"\_")
        if case:
            yield rf"&\text{{{case}:}}"
        derivatives = chosen.derivatives
        yield from map(_aligned, formula_equations(op, formula, step.value))
        yield from map(
            _aligned,
            derivative_equations(op, derivatives.formula, derivatives.cotangent, derivatives.vjp, step.value),
        )


def _aligned(equation: Equation) -> str:
    return equation.latex.replace(" = ", " &= ", 1)
