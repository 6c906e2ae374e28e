"""Stage 6: what rows need is computed together where that saves a pass over them.

A function of the runtime may return several values, where one is a by-product of another: the sums of exponentials tell
whether they had to be shifted, and a mean of twice the digits has the error of the rounded one in it. In the graph such
a call is a node, and each of its values a `part` of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from nngrad.codegen.algebra.symbols import (
    Count,
    LogExcess,
    LogShare,
    MeanError,
    Pick,
    RowScale,
    RowShift,
    RowTop,
    Value,
    is_constant_along,
)
from nngrad.codegen.tracing.formula import Formula, Stage

# kernels that return several values of a row, and how many
JOINT = {
    "exponentials": 3, "log_sum_parts": 2, "scaled_squares": 3, "centred_squares": 3, "mean_and_error": 2, "counted": 2,
}  # fmt: skip


_MADE_FOR_ROWS = (RowShift, RowTop, RowScale, MeanError, LogExcess, LogShare, Pick)


@dataclass(frozen=True)
class Part:
    """A value that comes with others: `number` counts those that the function `op` returns for these
    arguments. `is_row`: whether it has length 1 along the axis.
    """

    op: str
    args: tuple[sympy.Expr, ...]
    axis: str
    number: int
    is_row: bool


def parts_of(formula: Formula, given: frozenset[Value]) -> dict[sympy.Expr, Part]:
    """For values, and for expressions that stand for one, what they are a part of; `given` are known already."""
    found: dict[sympy.Expr, Part] = {}
    for stage in formula.stages:
        if isinstance(stage.expr, RowShift) and len(stage.expr.args) == 2:
            values, extra = _exponentials(formula, stage)
        elif isinstance(stage.expr, RowScale):
            values, extra = _centred_squares(formula, stage) or _scaled_squares(formula, stage), {}
        elif isinstance(stage.expr, MeanError):
            values, extra = _mean(formula, stage)
        else:
            continue
        if values and given.isdisjoint(values | extra):
            found |= values | extra
    return found


def is_of_sums(exponent, formula: Formula, given) -> bool:
    """Whether an exponent is a number for each row that is made of sums, and these of inputs by plain mathematics;
    `given` are known already, so that they can't be computed anew.
    """
    stages, todo = [], list(exponent.atoms(Value))
    while todo:
        value = todo.pop()
        stage = formula.definition(value)
        if stage is not None and (value in given or stage.expr.has(*_MADE_FOR_ROWS)):
            return False
        stages += [stage] if stage else []
        todo += stage.expr.atoms(Value) if stage else []
    is_row = any(is_constant_along(exponent, axis) for axis in formula.axes)
    return is_row and any(stage.kind == "sum" for stage in stages)


def shift_of(exponentials: Value, formula: Formula) -> tuple[sympy.Expr, Value]:
    """What shifted exponentials are made of, and its shift."""
    exponent = formula.definition(exponentials).expr.args[0]
    made = [formula.definition(value) for value in sorted(exponent.atoms(Value), key=str)]
    shift = next(stage.value for stage in made if stage is not None and stage.expr.has(RowShift))
    return exponent + shift, shift


def _exponentials(formula: Formula, shift: Stage):
    """exp(x - shift), its sum and the shift; with them, max(x) and what log(sum(exp(x))) is above it."""
    x, axis = shift.expr.args[0], shift.expr.args[1].name
    made = _value(formula, "map", sympy.exp(x - shift.value))
    total = made and _value(formula, "sum", made, axis)
    if total is None:
        return {}, {}
    values = _parts("exponentials", (x,), axis, made, total, shift.value)
    top = _value(formula, "max", x, axis)
    excess = LogExcess(total, shift.expr.args[1], made)
    is_used = top and any(stage.expr.has(excess) for stage in formula.stages)
    return values, _parts("log_sum_parts", (x, made, total, shift.value), axis, top, excess) if is_used else {}


def _scaled_squares(formula: Formula, scale: Stage):
    """The scale of rows, x / scale, and the sum of its squares."""
    x, axis, *numbers = scale.expr.args
    scaled = _value(formula, "map", x / scale.value)
    squares = scaled and _value(formula, "sum", scaled**2, axis.name)
    if squares is None or numbers[0] != 2:
        return {}
    return _parts("scaled_squares", (x, *numbers[1:]), axis.name, scale.value, scaled, squares)


def _centred_squares(formula: Formula, scale: Stage):
    """The scale of rows, x / scale less its mean, and the sum of the squares of that, if these alone are needed."""
    x, axis, *numbers = scale.expr.args
    scaled = _value(formula, "map", x / scale.value)
    total = scaled and _value(formula, "sum", scaled, axis.name)
    mean = total and _value(formula, "map", total / Count(axis))
    error = mean and _value(formula, "map", MeanError(scaled, axis, mean), axis.name)
    nearly = error and _value(formula, "map", scaled - mean)
    centred = nearly and _value(formula, "map", nearly - error)
    squares = centred and _value(formula, "sum", centred**2, axis.name)
    steps = {scaled, total, mean, error, nearly}
    others = [stage.expr for stage in formula.stages if stage.value not in {*steps, centred}]
    if squares is None or numbers[0] != 2 or any(steps & expr.atoms(Value) for expr in others):
        return {}
    return _parts("centred_squares", (x, *numbers[1:]), axis.name, scale.value, centred, squares)


def _mean(formula: Formula, error: Stage):
    """The mean of rows, and its error."""
    x, axis, mean, *_ = error.expr.args
    total = _value(formula, "sum", x, axis.name)
    if total is None or _value(formula, "map", total / Count(axis)) != mean:
        return {}, {}
    return _parts("mean_and_error", (x,), axis.name, mean, error.value), {}


def _parts(op: str, args, axis: str, *values) -> dict[sympy.Expr, Part]:
    return {value: Part(op, args, axis, number, is_constant_along(value, axis)) for number, value in enumerate(values)}


def _value(formula: Formula, kind: str, expr, axis: str = "") -> Value | None:
    """The stage that is such an expression, if there is one."""
    wanted = (kind, expr, axis)
    return next((stage.value for stage in formula.stages if (stage.kind, stage.expr, stage.axis) == wanted), None)
