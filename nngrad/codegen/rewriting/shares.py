"""Stage 3: shares, and sums of their powers, where one share is nearly all.

Shares p = e / sum(e) of exponentials are 1 in all. Where the largest is nearly that, log(sum(p**q)) and 1 - sum(p**q)
are made of what the others have, which is lost in the sum. So

    log(sum(p**q)) = q log(max(p)) + log(sum(p**q) / max(p)**q)

of which both logarithms are `LogExcess`, as log(max(p)) is log(max(e) / sum(e)); and 1 - sum(p**q) is -expm1 of it.
So is 1 - p of log(p), for all shares or for one that is picked from each row; and log(p + eps) is log1p(eps - (1 - p))
where p is large; log((1 - eps) p + eps) is a `log_mixture`.

A power p**q has the slope q p**q by log(p), which is finite also where p is 0, unlike that by p.

In p log(p), as of an entropy, the logarithm is finite also where it is minus infinity, and p is 0: that product is 0.
"""

from __future__ import annotations

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import share_words, words
from nngrad.codegen.algebra.symbols import Divergence, LogExcess, LogRatio, Pick, RowShift, Value, split_constants
from nngrad.codegen.rewriting.restage import again, rebuilt, recorder_of
from nngrad.codegen.trace import Formula, Recorder, Stage


def open_shares(formula: Formula) -> Formula:
    """Apply these rules."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}

    def logarithm(part):
        if isinstance(part, words.log1p.build):
            opened = log_of_share(recorder, -part.args[0])
            return share_words.log_others_share(-part.args[0], opened) if opened else part
        return _logarithm(recorder, part.args[0]) or _log_beside_constant(recorder, part.args[0]) or part

    def complement(total):
        for term in total.args:
            for factor in sympy.Mul.make_args(term):
                if -term / factor in total.args and (others := _others(recorder, factor)):
                    return total - term + term / factor - term / factor * others
        return total

    for stage in formula.stages:
        before = stage.expr.xreplace(renamed)
        expr = before.replace(lambda part: isinstance(part, sympy.log | words.log1p.build), logarithm)
        expr = expr.replace(lambda part: part.is_Add, complement)
        if expr != before:
            expr = recorder.hoist(expr, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def open_powers(formula: Formula) -> Formula:
    """Apply the rule for powers, but to those whose sum was opened."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    summed = {part.args[2] for stage in formula.stages for part in stage.expr.atoms(LogExcess)}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        powers = [part for part in expr.atoms(sympy.Pow, words.power.build) if stage.value not in summed]
        for part in sorted(powers, key=str):
            is_smooth = part.args[1].is_Integer or part.args[1].atoms(Value)
            if not is_smooth and (opened := _power(recorder, *part.args)) is not None:
                expr = expr.xreplace({part: opened})
        if expr != stage.expr.xreplace(renamed):
            expr = recorder.hoist(expr, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _power(recorder: Recorder, base, exponent):
    """A power of a share, or of a product of shares; None for others."""
    logarithm = log_of_share(recorder, base, is_bounded=True)
    if logarithm is not None:
        return share_words.share_power(base, exponent, logarithm)
    stages = {stage.value: stage for stage in recorder.stages}
    factors = sympy.Mul.make_args(_definition(base, stages))
    logarithms = [log_of_share(recorder, factor, is_bounded=True) for factor in factors]
    if None in logarithms:
        return None
    powers = [share_words.share_power(one, exponent, log) for one, log in zip(factors, logarithms, strict=True)]
    return sympy.Mul(*powers)


def bound_logarithms(formula: Formula) -> Formula:
    """Apply the last rule."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        made = {one.value: one for one in recorder.stages}
        expr = stage.expr.xreplace(renamed)
        if isinstance(expr, Divergence):
            share = expr.args[2]
            expr = Divergence(*expr.args[:3], _bounded(recorder, share * expr.args[3], made) / share)
        bounded = expr.replace(lambda part: part.is_Mul, lambda product, made=made: _bounded(recorder, product, made))
        renamed[stage.value] = again(recorder, stage, bounded)
    return rebuilt(formula, recorder, renamed[formula.output])


def _bounded(recorder: Recorder, product, stages: dict[Value, Stage]):
    """The product, in which the logarithms of the shares that it has are bounded."""
    parts = sorted(_factors_in(product, stages), key=str)
    exponents = [stages[part].expr.args[0] for part in parts if isinstance(stages[part].expr, sympy.exp)]
    rows = {stages[shift].expr.args[0] for exponent in exponents for shift in shifts_in(exponent, stages)}
    for row in sorted(rows, key=str):
        for value in sorted(product.atoms(Value) & stages.keys(), key=str):
            ratio = stages[value].expr
            for logarithm, sign in zip(ratio.args, (1, -1), strict=False) if isinstance(ratio, LogRatio) else ():
                if any(_top_of(row, below, stages) for below in _seen_in(logarithm, stages)):
                    bound = recorder.stage(share_words.below_largest(sign * value, 0), "map", "", str(value))
                    product = product.xreplace({value: sign * bound})
            for below in sorted(_seen_in(value, stages), key=str):
                if top := _top_of(row, below, stages):
                    bound = recorder.stage(share_words.below_largest(row, top), "map", "", str(below))
                    seen_through = bound if below == value else stages[value].expr.xreplace({below: bound})
                    product = product.xreplace({value: recorder.stage(seen_through, "map", "", str(value))})
    return product


def _top_of(row, below: Value, stages: dict[Value, Stage]) -> Value | None:
    """The largest element of a row, if the stage is the row less that."""
    top = row - stages[below].expr
    return top if top in stages and (stages[top].kind, stages[top].expr) == ("max", row) else None


def _factors_in(product, stages: dict[Value, Stage]) -> set[Value]:
    """The stages whose positive powers a product is made of: where one is 0, so is the product."""
    found = set()
    for factor in sympy.Mul.make_args(product):
        base, exponent = factor.as_base_exp()
        base = base.args[0] if isinstance(base, share_words.share_power.build) else base
        if base in stages and exponent.is_positive:
            found.add(base)
            found |= _factors_in(stages[base].expr, stages) if stages[base].kind == "map" else set()
    return found


def _seen_in(value: Value, stages: dict[Value, Stage]) -> set[Value]:
    """The stages that a value is and that its definition names."""
    return {value, *_definition(value, stages).atoms(Value)} & stages.keys()


def _definition(expr, stages: dict[Value, Stage]):
    """What a value of an elementwise stage stands for; any other expression itself."""
    stage = stages.get(expr)
    return stage.expr if stage is not None and stage.kind == "map" else expr


def shifts_in(exponent, stages: dict[Value, Stage]) -> list[Value]:
    made = [value for value in sorted(exponent.atoms(Value), key=str) if value in stages]
    shifts = [value for value in made if isinstance(stages[value].expr, RowShift)]
    return [value for value in shifts if len(stages[value].expr.args) == 2]  # beside others there are no shares


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
    share = recorder.stage(share, "map", "", str(share) if isinstance(share, Value) else "share")
    terms = recorder.stage(made.expr.func(share, exponent), "map", "", f"power_{share}")
    total = recorder.stage(terms, "sum", axis, f"sum_{terms}")
    whole = next(stage.value for stage in recorder.stages if stage.kind == "sum" and stage.expr == exponentials)
    log_top = -LogExcess(whole, Str(axis), exponentials)
    log_top = recorder.stage(log_top, "map", axis, f"log_max_{share}", frozen=True)  # what it is made of drops out
    return exponent * log_top + LogExcess(total, Str(axis), terms)


def _log_beside_constant(recorder: Recorder, total):
    """log(p + eps), or log((1 - eps) p + eps), or None."""
    number, weighted = total.as_independent(Value, as_Add=True)
    weight, share = weighted.as_independent(Value, as_Add=False)
    if number == 0 or (logarithm := log_of_share(recorder, share)) is None:
        return None
    if weight == 1:
        return share_words.log_share_and(share, number, logarithm)
    return share_words.log_mixture(logarithm, 0, number) if sympy.simplify(weight + number) == 1 else None


def _others(recorder: Recorder, part):
    """1 - part for a sum of powers of shares, for a share or its power; None for others."""
    if (logarithm := _logarithm(recorder, part)) is not None:
        return -words.expm1(logarithm)
    made = _definition(part, {stage.value: stage for stage in recorder.stages})
    base, exponent = made.args if isinstance(made, sympy.Pow | words.power.build) else (part, sympy.S.One)
    if (logarithm := log_of_share(recorder, base)) is None:
        return None
    power = base if exponent == 1 else share_words.share_power(base, exponent, logarithm)
    return share_words.others_share(power, exponent * logarithm)


def log_of_share(recorder: Recorder, share, is_bounded: bool = False):
    """log(p) of a share, or of one picked from each row; None for others. It is as `shift.as_share` knows it, or, for
    all shares of a row, bounded.
    """
    stages = {stage.value: stage for stage in recorder.stages}
    made = stages.get(share)
    picks = [] if made is None else [factor for factor in sympy.Mul.make_args(made.expr) if isinstance(factor, Pick)]
    if picks and made.kind == "sum":
        whole = made.expr / picks[0]
        logarithm = log_of_share(recorder, whole)
        if logarithm is None:
            return None
        logarithm = recorder.stage(logarithm, "map", "", f"log_{whole}" if isinstance(whole, Value) else "log_share")
        return recorder.stage(picks[0] * logarithm, "sum", made.axis, f"log_{share}")
    for total in _sums_in(share, stages):
        terms = _exponentials(share, total.axis, stages)
        for shift in shifts_in(stages[terms].expr, stages) if terms else ():
            above = stages[shift].expr.args[0]
            top = recorder.stage(above, "max", total.axis, "log_sum", frozen=True)
            below = share_words.below_largest(above, top) if is_bounded else above - top
            below = recorder.stage(below, "map", "", "less_log_sum")
            return below - recorder.stage(LogExcess(total.value, Str(total.axis), terms), "map", "", "log_rest")
    return None


def _sums_in(share, stages: dict[Value, Stage]) -> list[Stage]:
    """The sums that a value or an expression is made of directly."""
    values = sorted(_definition(share, stages).atoms(Value), key=str)
    return [stages[value] for value in values if _sum_of(value, stages)]


def _sum_of(value, stages: dict[Value, Stage]) -> Stage | None:
    """The stage that a sum along an axis is."""
    stage = stages.get(value) if isinstance(value, Value) else None
    return stage if stage is not None and stage.kind == "sum" else None


def _exponentials(share, axis: str, stages: dict[Value, Stage]) -> Value | None:
    """The exponentials that a value or an expression has the shares of."""
    constant, terms = split_constants(_definition(share, stages), axis)
    made, whole = stages.get(terms), _sum_of(1 / constant, stages)
    is_share = made is not None and isinstance(made.expr, sympy.exp) and whole is not None and whole.expr == terms
    return terms if is_share else None
