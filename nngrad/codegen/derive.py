"""Stage 4: a formula's derivatives, exact and symbolic.

SymPy differentiates each stage; the chain rule joins the stages. Going backwards, the cotangent of a value that is
constant along an axis is the sum, along that axis, of what its uses send back. Going forwards, tangents pass through
sums because sums are linear. `AxisSum` keeps sums canonical: constants leave them and they are pulled apart by
linearity.

Worked example, softmax: from `y = e / s`, `s = sum(e)`, `e = exp(x)` and the cotangent g of y,

    cotangent of s: AxisSum(-g*e/s**2);  of e: g/s + that;  of x: e*(g/s - AxisSum(g*e)/s**2)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.remembered import holds
from nngrad.codegen.algebra.symbols import AxisSum, Indicator, ProductOfOthers, Value, Where, is_constant_along
from nngrad.codegen.rewriting.identities import rationalised, with_hypot, with_roots_apart
from nngrad.codegen.rewriting.members import without_idle_masks
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rewriting.rescale import with_signs_of_unscaled
from nngrad.codegen.trace import Formula, Stage, carriers


@dataclass(frozen=True)
class Derivatives:
    """What each input receives in reverse (`vjp`, in terms of `cotangent`) and sends in forward mode (`jvp`, in terms
    of the input's own tangent). Expressions are over inputs, stages and the output of `formula`.
    """

    formula: Formula
    cotangent: Value
    vjp: dict[Value, sympy.Expr]
    tangents: dict[Value, Value]
    jvp: dict[Value, sympy.Expr]


def derive(formula: Formula, differentiable: frozenset[str]) -> Derivatives:
    """Differentiate a formula with respect to the inputs named in `differentiable`."""
    inputs = [value for value in formula.inputs if value.name in differentiable]
    used = {symbol.name for stage in formula.stages for symbol in stage.expr.free_symbols}
    used |= {f"d{value.name}" for value in formula.inputs}
    name = next(name for name in ("g", "dy", "cotangent") if name not in used)
    cotangent = Value(name, formula.output.constant_along)
    vjp = _cotangents(formula, cotangent)
    tangents = {value: Value(f"d{value.name}") for value in inputs}
    jvp = {value: _tangent(formula, value, tangents[value]) for value in inputs}
    return Derivatives(
        formula,
        cotangent,
        {value: _with_right_signs(vjp.get(value, sympy.S.Zero), formula) for value in inputs},
        tangents,
        {value: _with_right_signs(expr, formula) for value, expr in jvp.items()},
    )


def _cotangents(formula: Formula, cotangent: Value) -> dict[Value, sympy.Expr]:
    received = {formula.output: cotangent}
    for stage in reversed(formula.stages):
        if stage.frozen or stage.value not in received:
            continue
        weight = lift_where(received[stage.value]) * _selection(stage)
        for source in sorted(carriers(stage.expr), key=str):
            sent = lift_where(weight * _slope(stage, source))
            for axis in sorted(formula.axes):
                varies = axis == stage.axis or not is_constant_along(stage.value, axis)
                if varies and is_constant_along(source, axis):
                    sent = AxisSum(sent, Str(axis))
            received[source] = received.get(source, sympy.S.Zero) + sent
    return received


def _tangent(formula: Formula, moved: Value, tangent: Value) -> sympy.Expr:
    moving = {moved: tangent}
    for stage in formula.stages:
        if stage.frozen:
            continue
        sources = sorted(carriers(stage.expr) & moving.keys(), key=str)
        total = sympy.Add(*(lift_where(_slope(stage, source) * moving[source]) for source in sources))
        if stage.axis:
            total = AxisSum(lift_where(_selection(stage) * total), Str(stage.axis))
        if total != 0:
            moving[stage.value] = lift_where(total)
    return moving.get(formula.output, sympy.S.Zero)


def _with_right_signs(expr, formula: Formula) -> sympy.Expr:
    form = with_signs_of_unscaled(without_idle_masks(expr, formula), formula)
    return lift_where(_without_squared_signs(form, formula))


def _without_squared_signs(expr, formula: Formula) -> sympy.Expr:
    """sign(u)**2 as 1, also at u = 0: sign(u) f(|u|), where it is continuous, has the slope f'(0) there, not 0."""
    signs = {stage.value: stage.expr for stage in formula.stages if isinstance(stage.expr, words.sign.build)}
    spelled = expr.xreplace(signs)
    smooth = spelled.replace(
        lambda part: part.is_Pow and isinstance(part.base, words.sign.build) and part.exp.is_even, lambda _: sympy.S.One
    )
    return expr if smooth == spelled else smooth


def _slope(stage: Stage, source: Value) -> sympy.Expr:
    """The partial derivative of what a stage computes, or reduces."""
    if stage.written is None:
        return stage.expr.diff(source)
    return with_hypot(recognised(with_roots_apart(rationalised(stage.written.diff(source)))))


def _selection(stage: Stage) -> sympy.Expr:
    """The derivative of a reduction with respect to each element it reduces."""
    if stage.kind in ("max", "min"):
        axis, wins = Str(stage.axis), Indicator(sympy.Eq(stage.expr, stage.value))
        return wins / AxisSum(wins, axis)
    if stage.kind == "prod":
        return ProductOfOthers(stage.expr, Str(stage.axis))
    return sympy.S.One


@lru_cache(4096)
def lift_where(expr) -> sympy.Expr:
    """Move every `Where` out of products and merge those of one condition, so that nothing is multiplied by a zero that
    a branch not taken has left: 0 times the inf of the other branch would be NaN.
    """
    if not holds(expr, Where):
        return expr
    args = [lift_where(arg) if isinstance(arg, sympy.Expr) else arg for arg in expr.args]
    if expr.is_Mul:
        chosen = next((arg for arg in args if isinstance(arg, Where)), None)
        if chosen is not None:
            rest = sympy.Mul(*(arg for arg in args if arg is not chosen))
            return _where(chosen.args[0], rest * chosen.args[1], rest * chosen.args[2])
    if expr.is_Add:
        return _merged_sum(args)
    if isinstance(expr, Where):
        return _where(*args)
    if isinstance(expr, AxisSum) and isinstance(args[0], Where) and _is_row_condition(args[0].args[0], args[1].name):
        condition, a, b = args[0].args
        return _where(condition, AxisSum(a, args[1]), AxisSum(b, args[1]))
    return expr.func(*args)


def _is_row_condition(condition, axis: str) -> bool:
    return all(is_constant_along(value, axis) for value in condition.atoms(Value))


def _where(condition, a, b) -> sympy.Expr:
    return Where(condition, lift_where(_assuming(a, condition, 0)), lift_where(_assuming(b, condition, 1)))


@lru_cache(4096)
def _assuming(expr, condition, branch: int) -> sympy.Expr:
    """The expression inside a branch, where the condition is known: for an element, not for the others of its row."""
    if not holds(expr, Where):
        return expr
    if isinstance(expr, Where) and expr.args[0] == condition:
        return _assuming(expr.args[1 + branch], condition, branch)
    if isinstance(expr, AxisSum | ProductOfOthers) and not _is_row_condition(condition, expr.args[1].name):
        return expr
    return expr.func(*(_assuming(arg, condition, branch) for arg in expr.args))


def _merged_sum(terms) -> sympy.Expr:
    plain, by_condition = [], {}
    for term in terms:
        for part in sympy.Add.make_args(term):
            if isinstance(part, Where):
                a, b = by_condition.get(part.args[0], (0, 0))
                by_condition[part.args[0]] = (a + part.args[1], b + part.args[2])
            else:
                plain.append(part)
    return sympy.Add(*plain, *(_where(condition, a, b) for condition, (a, b) in by_condition.items()))
