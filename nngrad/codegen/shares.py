"""Stage 2c: sums of powers of shares, where one share is nearly all.

Shares p = e / sum(e) of exponentials are 1 in all. Where the largest is nearly that, log(sum(p**q)) and 1 - sum(p**q)
are made of what the others have, which is lost in the sum. So

    log(sum(p**q)) = q log(max(p)) + log(sum(p**q) / max(p)**q)

of which both logarithms are `LogExcess`, as log(max(p)) is log(max(e) / sum(e)); and 1 - sum(p**q) is -expm1 of it.
"""

from __future__ import annotations

import sympy
from sympy.core.symbol import Str

from nngrad.codegen import words
from nngrad.codegen.restage import again, rebuilt, recorder_of
from nngrad.codegen.symbols import LogExcess, Value, split_constants
from nngrad.codegen.trace import Formula, Recorder, Stage


def open_shares(formula: Formula) -> Formula:
    """Apply both rules."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}

    def logarithm(part):
        return _logarithm(recorder, part.args[0]) or part

    def complement(total):
        for term in total.args:
            for factor in term.args if term.is_Mul else ():
                opened = _logarithm(recorder, factor)
                if opened and -term / factor in total.args:
                    return total - term + term / factor + term / factor * words.expm1(opened)
        return total

    for stage in formula.stages:
        before = stage.expr.xreplace(renamed)
        expr = before.replace(lambda part: isinstance(part, sympy.log), logarithm)
        expr = expr.replace(lambda part: part.is_Add, complement)
        if expr != before:
            expr = recorder.hoist(expr, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _logarithm(recorder: Recorder, total):
    """log(sum(p**q)), or None."""
    stages = {stage.value: stage for stage in recorder.stages}
    power = _sum_of(total, stages)
    made = stages.get(power.expr) if power and isinstance(power.expr, Value) else power
    if made is None or not (made.expr.is_Pow or isinstance(made.expr, words.power.build)):
        return None
    axis, (share, exponent) = power.axis, made.expr.args
    exponentials = _exponentials(share, axis, stages)
    if exponentials is None:
        return None
    terms = recorder.stage(made.expr, "map", "", f"power_{share}")
    total = recorder.stage(terms, "sum", axis, f"sum_{terms}")
    whole = next(stage.value for stage in recorder.stages if stage.kind == "sum" and stage.expr == exponentials)
    log_top = -LogExcess(whole, Str(axis), exponentials)
    log_top = recorder.stage(log_top, "map", axis, f"log_max_{share}", frozen=True)  # what it is made of drops out
    return exponent * log_top + LogExcess(total, Str(axis), terms)


def _sum_of(value, stages: dict[Value, Stage]) -> Stage | None:
    """The stage that a sum along an axis is."""
    stage = stages.get(value) if isinstance(value, Value) else None
    return stage if stage is not None and stage.kind == "sum" else None


def _exponentials(share, axis: str, stages: dict[Value, Stage]) -> Value | None:
    """The exponentials that a value has the shares of."""
    stage = stages.get(share) if isinstance(share, Value) else None
    if stage is None or stage.kind != "map":
        return None
    constant, terms = split_constants(stage.expr, axis)
    made, whole = stages.get(terms), _sum_of(1 / constant, stages)
    is_share = made is not None and isinstance(made.expr, sympy.exp) and whole is not None and whole.expr == terms
    return terms if is_share else None
