"""Stage 2: a naive formula becomes an equal one that is stable.

Four rules, none of which knows an op:

- words: `1 / (1 + exp(-x))` is `sigmoid(x)`, `log(1 + exp(x))` is `softplus(x)`, `exp(x) - 1` is `expm1(x)`, ...
- max-shift: where exponentials are summed along an axis, `exp(u)` is computed as `exp(u - max(u))`. The factor
  exp(max(u)) is carried through the later stages as a symbol; the shift is made only where it drops out of the result.
- centring: where a mean is subtracted, the rounding error of the mean is subtracted too, by centring a second time.
- take: an element picked from an elementwise expression is that expression of the picked elements.
"""

from __future__ import annotations

from dataclasses import replace

import sympy
from sympy.core.symbol import Str

from nngrad.codegen import words
from nngrad.codegen.symbols import AxisSum, Count, Pick, Value, is_constant_along
from nngrad.codegen.trace import Formula, Recorder, Stage, alive

# --- words ------------------------------------------------------------------------------------------------------------

_ONE = sympy.S.One


def _log_rule(expr):
    """log(1 + exp u) and log(1 + u), log of a sigmoid, of an exponential's multiple."""
    if not isinstance(expr, sympy.log):
        return expr
    (inside,) = expr.args
    if isinstance(inside, words.sigmoid.build):
        return -words.softplus(-inside.args[0])
    if inside.is_Add and _ONE in inside.args:
        rest = inside - 1
        return words.softplus(rest.args[0]) if isinstance(rest, sympy.exp) else words.log1p(rest)
    return expr


def _logistic_rule(expr):
    """1 / (1 + exp u) = sigmoid(-u), and exp(u) sigmoid(-u) = sigmoid(u)."""
    if expr.is_Pow and expr.exp.is_negative and expr.base.is_Add and _ONE in expr.base.args:
        rest = expr.base - 1
        if isinstance(rest, sympy.exp):
            return words.sigmoid(-rest.args[0]) ** -expr.exp
    if expr.is_Mul:
        for exponential in (factor for factor in expr.args if isinstance(factor, sympy.exp)):
            complement = words.sigmoid(-exponential.args[0])
            if complement in expr.args:
                return expr / (exponential * complement) * words.sigmoid(exponential.args[0])
    return expr


def _complement_rule(expr):
    """exp u - 1, 1 - sigmoid u, 1 + erf u and 1 - erf u, which cancel as they stand."""
    if not (expr.is_Add and len(expr.args) == 2 and expr.args[0].is_Number):
        return expr
    number, term = expr.args
    sign, atom = term.as_coeff_Mul()
    if isinstance(atom, sympy.exp) and number == -sign:
        return sign * words.expm1(atom.args[0])
    if isinstance(atom, words.sigmoid.build) and number == -sign:
        return -sign * words.sigmoid(-atom.args[0])
    if isinstance(atom, words.erf.build) and abs(sign) == number:
        return number * words.erfc(-sign / number * atom.args[0])
    return expr


def _normal_rule(expr):
    """erfc(c u) with c**2 = 1/2 is the normal distribution function: the rounding of c u must not reach the tail.

    u times that is a word of its own.
    """
    if isinstance(expr, words.erfc.build):
        scale, inside = expr.args[0].as_independent(*expr.args[0].free_symbols, as_Add=False)
        if scale**2 == sympy.Rational(1, 2):
            return 2 * words.normal_cdf(-inside if scale.is_positive else inside)
    if expr.is_Mul:
        for normal in (factor for factor in expr.args if isinstance(factor, words.normal_cdf.build)):
            if normal.args[0] in expr.args:
                return expr / (normal * normal.args[0]) * words.times_normal_cdf(normal.args[0], normal)
    return expr


_WORD_RULES = (_log_rule, _logistic_rule, _complement_rule, _normal_rule)


def _recognised(expr):
    """The expression with the word rules applied from the inside out."""
    if expr.is_Atom or not isinstance(expr, sympy.Expr):
        return expr
    expr = expr.func(*(_recognised(arg) for arg in expr.args))
    for rule in _WORD_RULES:
        expr = rule(expr)
    return expr


def recognise_words(formula: Formula) -> Formula:
    """Apply the word rules to every stage, looking through the stages it is made of."""
    recorder = _recorder(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        seen_through = _inlined(expr, recorder.stages)
        better = _recognised(seen_through)
        if better != seen_through:
            expr = recorder.hoist(better, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = _again(recorder, stage, expr)
    output = renamed[formula.output]
    if output in formula.inputs:
        return formula
    return _rebuilt(formula, recorder, output)


def _inlined(expr, stages):
    """The expression in terms of inputs and reductions alone."""
    for stage in reversed(stages):
        if stage.kind == "map":
            expr = expr.xreplace({stage.value: stage.expr})
    return expr


def _recorder(formula: Formula) -> Recorder:
    names = {symbol.name for stage in formula.stages for symbol in stage.expr.free_symbols}
    names -= {stage.value.name for stage in formula.stages}
    return Recorder("", list(formula.inputs), [], names | {value.name for value in formula.inputs})


def _again(recorder: Recorder, stage: Stage, expr) -> Value:
    """The stage recorded anew, with another expression."""
    return recorder.stage(expr, stage.kind, stage.axis, stage.value.name, stage.frozen)


def _rebuilt(formula: Formula, recorder: Recorder, output: Value) -> Formula:
    """The formula made of the recorded stages that the output depends on."""
    return replace(formula, stages=alive(recorder.stages, output), output=output)


# --- max-shift --------------------------------------------------------------------------------------------------------

_SCALE = sympy.Symbol("scale", positive=True)


def shift_exponentials(formula: Formula) -> Formula:
    """Subtract the maximum wherever exponentials are summed along an axis and the result does not depend on it."""
    for stage in formula.stages:
        if stage.kind != "sum":
            continue
        for value in sorted(stage.expr.atoms(Value), key=str):
            made = formula.definition(value)
            if made and isinstance(made.expr, sympy.exp) and not is_constant_along(value, stage.axis):
                shifted = _shifted(formula, made, stage.axis)
                if shifted is not None:
                    return shifted
    return formula


def _shifted(formula: Formula, exponential: Stage, axis: str) -> Formula | None:
    (exponent,) = exponential.expr.args
    if _is_shifted(exponent, formula):
        return None
    recorder = _recorder(formula)
    renamed: dict[Value, sympy.Expr] = {}
    peak = None
    for stage in formula.stages:
        if stage.value == exponential.value:
            above = exponent.xreplace(renamed)
            peak = recorder.stage(above, "max", axis, _peak_name(above), frozen=True)
            shifted = recorder.stage(above - peak, "map", "", "shifted")
            value = recorder.stage(sympy.exp(shifted), "map", "", stage.value.name)
            renamed[stage.value] = _SCALE * value
            continue
        expr = stage.expr.xreplace(renamed)
        if peak is None or not expr.has(_SCALE, peak):
            renamed[stage.value] = _again(recorder, stage, expr)
            continue
        expr = _without_peak(_log_of_scale(expr, peak), above, shifted, peak)
        power, expr = _scale_power(expr)
        if expr is None or (power and stage.kind not in ("map", "sum")):
            return None
        offset = expr.coeff(peak) * peak if isinstance(stage.expr, sympy.log) else 0
        expr = recorder.hoist(expr - offset, stage.value.name if stage.kind == "map" else "")
        value = recorder.stage(expr, stage.kind, stage.axis, stage.value.name)
        renamed[stage.value] = _SCALE**power * value + offset
    output = renamed[formula.output]
    if output.has(_SCALE):
        return None
    output = recorder.stage(output, "map", "", formula.output.name)
    return _rebuilt(formula, recorder, output)


def _peak_name(expr) -> str:
    return f"max_{expr}" if isinstance(expr, Value) else "peak"


def _is_shifted(exponent, formula: Formula) -> bool:
    """Whether the author subtracts a maximum already."""
    while isinstance(exponent, Value) and (stage := formula.definition(exponent)) and stage.kind == "map":
        exponent = stage.expr
    maxima = {stage.value for stage in formula.stages if stage.kind == "max"}
    return any(term.as_coeff_Mul()[0] < 0 and term.atoms(Value) & maxima for term in sympy.Add.make_args(exponent))


def _log_of_scale(expr, peak):
    """log(scale**k * rest) as k * peak + log(rest)."""

    def split(logarithm):
        power, rest = _scale_power(logarithm.args[0])
        return logarithm if rest is None else power * peak + sympy.log(rest)

    return expr.replace(lambda part: isinstance(part, sympy.log) and part.has(_SCALE), split)


def _without_peak(expr, above, shifted, peak):
    """`above - peak` is the stage `shifted`, also where it is spread over a sum."""
    if not expr.has(peak):
        return expr
    for atom in sorted(above.atoms(Value), key=str):
        slope = above.diff(atom)
        if not slope.has(atom) and slope.is_nonzero is not False and expr.has(atom):
            candidate = sympy.expand(expr.xreplace({atom: (shifted + peak - (above - slope * atom)) / slope}))
            if not candidate.has(peak):
                return candidate
    return expr


def _scale_power(expr):
    """(k, rest) such that the expression is scale**k * rest, rest free of scale; (0, None) where there is no such k."""
    if not expr.has(_SCALE):
        return 0, expr
    opaque = {part: sympy.Dummy(real=True) for part in expr.atoms(sympy.Function) if not part.has(_SCALE)}
    flat = sympy.together(expr.xreplace(opaque))
    numerator, denominator = (sympy.expand(part) for part in flat.as_numer_denom())
    powers = [
        {term.as_coeff_exponent(_SCALE)[1] for term in sympy.Add.make_args(part)} for part in (numerator, denominator)
    ]
    if len(powers[0]) != 1 or len(powers[1]) != 1:
        return 0, None
    (top,), (bottom,) = powers
    back = {dummy: part for part, dummy in opaque.items()}
    rest = expr.xreplace(opaque).subs(_SCALE, 1).xreplace(back)
    return top - bottom, None if rest.has(_SCALE) else rest


# --- centring ---------------------------------------------------------------------------------------------------------


def centre_twice(formula: Formula) -> Formula:
    """What sums to zero by its definition is made to do so in fact.

    On rows whose mean is large beside their spread, the mean's rounding error would otherwise dominate x - mean(x).
    What is subtracted is zero in mathematics, so it is frozen: it has no derivative.
    """
    recorder = _recorder(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        for part in sorted((part for part in expr.atoms(sympy.Add) if part.atoms(Value)), key=str):
            axis = _vanishing_axis(part, formula.axes, recorder.stages)
            if axis:
                name = stage.value.name if part == expr and stage.kind == "map" else "centred"
                rough = recorder.stage(part, "map", "", f"nearly_{name}")
                drift = recorder.stage(rough, "sum", axis, f"sum_{rough}", frozen=True) / Count(Str(axis))
                expr = expr.xreplace({part: recorder.stage(rough - drift, "map", "", name)})
        renamed[stage.value] = _again(recorder, stage, expr)
    output = renamed[formula.output]
    return _rebuilt(formula, recorder, output)


def _vanishing_axis(expr, axes: frozenset[str], stages: list[Stage]) -> str:
    """The axis along which the expression sums to zero by the definitions of its values, or ''."""
    for axis in sorted(axes):
        if is_constant_along(expr, axis):
            continue
        known = {
            AxisSum(stage.expr, Str(axis)): stage.value
            for stage in stages
            if stage.kind == "sum" and stage.axis == axis
        }
        total = AxisSum(expr, Str(axis)).xreplace(known)
        for stage in reversed(stages):
            if stage.kind == "map" and is_constant_along(stage.value, axis):
                total = total.xreplace({stage.value: stage.expr})
        if sympy.expand(total) == 0:
            return axis
    return ""


# --- take -------------------------------------------------------------------------------------------------------------


def push_takes(formula: Formula) -> Formula:
    """Pick from the inputs and reductions that an elementwise expression is made of, not from the expression."""
    recorder = _recorder(formula)
    renamed: dict[Value, sympy.Expr] = {}

    def picked(value: Value, pick, axis: str) -> Value:
        if is_constant_along(value, axis):
            return value
        name = f"{value}_at_{pick.args[0]}"
        made = next((stage for stage in recorder.stages if stage.value == value), None)
        if made is None or made.kind != "map":
            return recorder.stage(pick * value, "sum", axis, name)
        return recorder.stage(picked_from(made.expr, pick, axis), "map", "", name)

    def picked_from(expr, pick, axis: str):
        return expr.xreplace({value: picked(value, pick, axis) for value in sorted(expr.atoms(Value), key=str)})

    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        picks = [factor for factor in sympy.Mul.make_args(expr) if isinstance(factor, Pick)]
        if stage.kind == "sum" and len(picks) == 1:
            value = recorder.hoist(picked_from(expr / picks[0], picks[0], stage.axis))
            renamed[stage.value] = recorder.stage(value, "map", "", stage.value.name)
        else:
            renamed[stage.value] = _again(recorder, stage, expr)
    output = renamed[formula.output]
    return _rebuilt(formula, recorder, output)


def name_output(formula: Formula) -> Formula:
    """Call the output y, as the generated code does, unless an input is called so."""
    taken = {symbol.name: symbol for stage in formula.stages for symbol in (*stage.expr.free_symbols, stage.value)}
    if formula.output.name == "y" or taken.get("y") in formula.inputs:
        return formula
    names = {formula.output: "y"}
    if "y" in taken:
        names[taken["y"]] = next(name for number in range(1, 99) if (name := f"y{number}") not in taken)
    swap = {value: value.renamed(name) for value, name in names.items()}
    stages = tuple(
        replace(stage, value=swap.get(stage.value, stage.value), expr=stage.expr.xreplace(swap))
        for stage in formula.stages
    )
    return replace(formula, stages=stages, output=swap[formula.output])


def rewrite(formula: Formula) -> Formula:
    """All four rules."""
    if isinstance(formula.stages[-1].expr, Value) and len(formula.stages) == 1:
        return formula
    return name_output(push_takes(centre_twice(shift_exponentials(recognise_words(formula)))))
