"""Stage 5: a sum of cotangents that must be 0 tells the one that is lost beside the others.

What a number for each row does not change when its elements are all multiplied by a number, such as a cosine, has the
gradient dx with sum(x dx) = 0 (Euler); when a number is added to all, such as an entropy of softmax(x), sum(dx) = 0.
Where one element outweighs the others, its own cotangent is what large terms leave that cancel each other, and has the
size of the others' at most. It is found from these: that is `Balanced`.
"""

from __future__ import annotations

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra.symbols import (
    AxisSum,
    Balanced,
    RowScale,
    RowShift,
    Value,
    is_constant_along,
    split_constants,
)
from nngrad.codegen.rewriting.rescale import is_scale_free
from nngrad.codegen.rewriting.restage import inlined
from nngrad.codegen.trace import Formula, Stage

_ADDED = sympy.Symbol("added", real=True)
_FACTOR = sympy.Symbol("factor", positive=True)  # exp(added)


def balanced(vjp: dict[Value, sympy.Expr], written: Formula, formula: Formula) -> dict[Value, sympy.Expr]:
    """The cotangents of a formula's inputs, balanced where a law of the formula as it was written says so."""
    axis = formula.reduced_axis
    if not axis:
        return vjp
    return {value: _balanced(form, value, written, formula, axis) for value, form in vjp.items()}


def _balanced(form, source: Value, written: Formula, formula: Formula, axis: str):
    scale, scaled, exponentials = _parts(formula, source)
    if is_constant_along(source, axis) or form == 0:
        return form
    if scaled is not None and is_scale_free(written, source, axis):  # in the scaled row's own units it is in range
        in_range = sympy.Add(*(term * scale for term in sympy.Add.make_args(form)))
        return Balanced(in_range, scaled, 1, Str(axis)) / scale
    if exponentials is not None and is_shift_free(written, source):
        return Balanced(form, _known_multiple(exponentials, form, formula, axis), 0, Str(axis))
    return form


def _parts(formula: Formula, source: Value) -> tuple[Value | None, Value | None, Value | None]:
    """A row's scale, the row over this, and the exponentials of the row less its shift, if the formula has them."""
    made = {stage.expr: stage.value for stage in formula.stages}
    scales = [stage for stage in formula.stages if isinstance(stage.expr, RowScale) and stage.expr.args[0] == source]
    shifts = [
        stage
        for stage in formula.stages
        if isinstance(stage.expr, RowShift) and inlined(stage.expr.args[0], formula.stages).has(source)
    ]
    exponentials = [made.get(sympy.exp(stage.expr.args[0] - stage.value)) for stage in shifts]
    scale = scales[0].value if scales else None
    return scale, made.get(source / scale) if scales else None, next(iter(exponentials), None)


def _known_multiple(row: Value, form, formula: Formula, axis: str) -> Value:
    """A value that the form needs anyway and that is the row times a number, or the row."""
    for value in sorted(form.atoms(Value), key=str):
        stage = formula.definition(value)
        if stage is not None and stage.kind == "map" and split_constants(stage.expr, axis)[1] == row:
            return value
    return row


def is_shift_free(formula: Formula, source: Value) -> bool:
    """Whether the formula gives the same where a number is added to all elements of an input."""
    moved: dict[Value, sympy.Expr] = {source: source + _ADDED}
    for stage in formula.stages:
        expr = _spread(stage.expr.xreplace(moved))
        if expr != _spread(stage.expr):
            value = _moved(stage, expr)
            if value is None:
                return False
            moved[stage.value] = value
    return formula.output not in moved


def _moved(stage: Stage, expr):
    """The stage's value after the addition; None where that neither adds to it nor multiplies it by one number."""
    added = sympy.cancel((expr - stage.expr) / _ADDED)
    factor = sympy.powsimp(expr / stage.expr)
    if stage.kind == "prod":
        return None
    added = AxisSum(added, Str(stage.axis)) if stage.kind == "sum" else added  # of what is picked it is 1
    if not added.has(_ADDED, _FACTOR, Value):
        return stage.value + _ADDED * added
    return None if factor.has(_ADDED, Value) else stage.value * factor


def _spread(expr):
    """The expression with exp(u + c added) as exp(u) factor**c, and sums without what cancels in them."""

    def exponential(exponent):
        exponent = sympy.expand(exponent)
        times = exponent.coeff(_ADDED)
        return sympy.exp(exponent - times * _ADDED) * _FACTOR**times

    def total(*terms):
        expanded = sympy.expand(sympy.Add(*terms))
        return sympy.Add(*terms) if expanded.has(_ADDED) else expanded

    def logarithm(inside):
        times = inside.as_coeff_exponent(_FACTOR)[1]
        return times * _ADDED + sympy.log(inside / _FACTOR**times)

    return expr.replace(sympy.exp, exponential).replace(sympy.log, logarithm).replace(sympy.Add, total)
