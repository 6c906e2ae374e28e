"""Stage 3: a naive formula becomes an equal one that is stable.

Rules, none of which knows an op:

- members, which have a file of their own: masked exponentials, and what is picked from the terms of a sum of them.
- quotients: a power of one, which SymPy multiplies out, is that of the quotient, whose parts may be of any size.
- words: `1 / (1 + exp(-x))` is `sigmoid(x)`, `log(1 + exp(x))` is `softplus(x)`, `exp(x) - 1` is `expm1(x)`, ...;
  the logarithm of a product along an axis is the sum of logarithms.
- deviations, shares and ratios, which have files of their own: what cancels in differences is left out of them.
- shift and rescale, which have too: exponentials and powers are summed without leaving the range.
- roots: the root of a sum of squares has the slope 0 where it is 0, not 0 / 0.
- centring: where a mean is subtracted, with weights or without, the mean's rounding error is subtracted too.
- extremes: what is counted from a row's largest or smallest element is, and not made of two sums that cancel.
- take: an element picked from an elementwise expression is that expression of the picked elements; one picked from the
  logarithms of shares in a sum is `LogShare`, which the other elements tell exactly where it is nearly 0. So what is
  picked is first joined with the logarithm of the sum that is subtracted from it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.exp_words import with_divided_differences, with_quotients_of_expm1
from nngrad.codegen.algebra.share_words import LogMean
from nngrad.codegen.algebra.small import with_small_numbers_apart
from nngrad.codegen.algebra.symbols import (
    AxisSum,
    Count,
    LogExcess,
    LogShare,
    MeanError,
    Pick,
    Subgradient,
    Value,
    Where,
    is_constant_along,
)
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.rewriting.deviations import sum_deviations
from nngrad.codegen.rewriting.identities import scales, with_cardinal_sines
from nngrad.codegen.rewriting.members import join_members
from nngrad.codegen.rewriting.ratios import join_ratios
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rewriting.rescale import rescale_powers
from nngrad.codegen.rewriting.restage import again, inlined, rebuilt, recorder_of
from nngrad.codegen.rewriting.shares import bound_logarithms, open_powers, open_shares
from nngrad.codegen.rewriting.shift import as_share, shift_exponentials
from nngrad.codegen.rules.exponentials import with_one_exponential
from nngrad.codegen.trace import Formula, Recorder, Stage
from nngrad.codegen.tracing.record import name_after

# --- quotients --------------------------------------------------------------------------------------------------------


def with_quotients(formula: Formula) -> Formula:
    """`a**2 / b**2` as the square of the stage a / b, unless it is summed along an axis on which b is constant, and is
    no share: exp(2 x) / sum(exp(x))**2 is the square of one.
    """
    if not formula.axes:
        return formula
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}

    def with_powers_of_terms(product, total, power):
        """exp(k x), which SymPy makes of exp(x)**k, as that, beside the sum of exp(x)."""
        terms = _expression_of(total, "sum", recorder)
        made = _expression_of(terms, "map", recorder)
        if not isinstance(made, sympy.exp):
            return product
        raised = sympy.exp(power * made.args[0])
        alike = [value for value in product.atoms(Value) if _expression_of(value, "map", recorder) == raised]
        return product.xreplace(dict.fromkeys(alike, terms**power))

    def root_of_sum(value):
        """What a stage that is a power of a sum is, else the value."""
        made = _expression_of(value, "map", recorder)
        return made if isinstance(made, sympy.Pow) and _expression_of(made.base, "sum", recorder) else value

    def joined(product, axis: str):
        whole = product.xreplace({value: root_of_sum(value) for value in product.atoms(Value)})
        for factor in whole.args:
            base, exponent = (1 / factor).as_base_exp()
            is_power = exponent != 1 and not exponent.atoms(Value)
            spelled = with_powers_of_terms(whole, base, exponent) if is_power else whole
            powers = [one.as_base_exp() for one in sympy.Mul.make_args(spelled)]
            above = sympy.Mul(*(one for one, power in powers if power == exponent))
            is_share = is_power and above.is_Symbol and _expression_of(base, "sum", recorder) == above
            is_square = exponent.is_Integer and exponent > 1 and above.atoms(Value)
            if is_share or (is_square and not (axis and is_constant_along(base, axis))):
                quotient = recorder.stage(recorder.hoist(above / base), "map", "", "share" if is_share else "quotient")
                return joined(spelled / (above / base) ** exponent * quotient**exponent, axis)
        return product

    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed).replace(lambda part: part.is_Mul, partial(joined, axis=stage.axis))
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _expression_of(value, kind: str, recorder: Recorder):
    """What the stage that a value is computes or reduces, if it is one of this kind; else None."""
    return next((stage.expr for stage in recorder.stages if stage.value == value and stage.kind == kind), None)


# --- words ------------------------------------------------------------------------------------------------------------


def recognise_words(formula: Formula) -> Formula:
    """Apply the word rules to every stage, looking through the stages it is made of."""
    recorder = recorder_of(formula)
    has_no_series = not formula.axes and (
        len(formula.inputs) > 1 or scales(inlined(formula.output, formula.stages), formula.inputs[0]) is None
    )
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = with_small_numbers_apart(stage.expr.xreplace(renamed))
        seen_through = inlined(expr, recorder.stages)
        better = _without_squared_roots(recognised(_in_logarithms(_of_products(seen_through, recorder), recorder)))
        if has_no_series:
            better = with_cardinal_sines(with_quotients_of_expm1(with_divided_differences(better)))
        if better != seen_through:
            expr = recorder.hoist(better, stage.value.name if stage.kind == "map" else "")
        if _is_negated(expr) and stage.kind in _OPPOSITE:
            opposite, name = _OPPOSITE[stage.kind], stage.value.name
            name = name_after(opposite, -expr) if name.startswith(name_after(stage.kind, stage.expr)) else name
            renamed[stage.value] = -recorder.stage(-expr, opposite, stage.axis, name)
        elif _is_negated(expr) and stage.kind == "map":
            renamed[stage.value] = expr
        else:
            renamed[stage.value] = again(recorder, stage, expr)
    output = recorder.stage(renamed[formula.output], "map", "", formula.output.name)
    if output in formula.inputs:
        return formula
    return rebuilt(formula, recorder, output)


_OPPOSITE = {"max": "min", "min": "max"}


def _without_squared_roots(expr):
    """The expression with semicircle(u)**2 spelled out as 1 - u**2 = (1 - u) (1 + u), which may be negative."""
    return expr.replace(
        lambda part: part.is_Pow and isinstance(part.base, words.semicircle.build) and part.exp.is_even,
        lambda part: ((1 - part.base.args[0]) * (1 + part.base.args[0])) ** (part.exp / 2),
    )


def _of_products(expr, recorder: Recorder):
    """The logarithm of a product along an axis of what is positive as the sum of the logarithms."""
    products = {one.value: one for one in recorder.stages if one.kind == "prod" and _seen(one, recorder).is_positive}

    def summed(logarithm):
        product = products[logarithm.args[0]]
        logarithms = recorder.hoist(recognised(sympy.log(_seen(product, recorder))))
        return recorder.stage(logarithms, "sum", product.axis, f"log_{product.value}")

    return expr.replace(lambda part: isinstance(part, sympy.log) and part.args[0] in products, summed)


def _in_logarithms(expr, recorder: Recorder):
    """Sums of exponentials along an axis that others are added to, by their logarithms: exp(a) + s = exp(logaddexp(a,
    log s)), which neither overflows nor says 0 where both are small.
    """
    sums = {one.value for one in recorder.stages if one.kind == "sum" and isinstance(_seen(one, recorder), sympy.exp)}
    for total in sorted((part for part in expr.atoms(sympy.Add) if sums & set(part.atoms(Value))), key=str):
        summed = [_seen(one, recorder) for one in recorder.stages if one.value in set(total.args) & sums]
        reduced = [one for one in recorder.stages if one.kind != "map" and one.value in expr.atoms(Value) - sums]
        made_of = expr.atoms(sympy.exp).union(*(_seen(one, recorder).atoms(sympy.exp) for one in reduced))
        if len(summed) == 1 and summed[0] in made_of:
            continue  # shares beside others, which are shifted
        logarithms = []
        is_scaled = any(sums & set(term.args) and term.has(sympy.exp) for term in total.args)
        for term in total.args:
            known = sorted(sums & set(sympy.Mul.make_args(term)), key=str)
            if isinstance(term, sympy.exp):
                logarithms.append(term.args[0])
            elif term.is_number and term.is_positive and is_scaled:
                logarithms.append(sympy.log(term))
            elif known and (term / sympy.Mul(*known)).is_positive:
                logarithms.append(recorder.stage(words.log(term), "map", "", f"log_{known[0]}"))
        if len(logarithms) == len(total.args):
            alone = {value: sympy.exp(recorder.stage(words.log(value), "map", "", f"log_{value}")) for value in sums}
            expr = expr.xreplace({total: sympy.exp(reduce(words.logaddexp, logarithms))})
            expr = expr.xreplace({value: one for value, one in alone.items() if total.has(value)})
            expr = expr.replace(lambda part: part.is_Mul, with_one_exponential)
    return expr


def _seen(stage: Stage, recorder: Recorder):
    return inlined(stage.expr, recorder.stages)


def _is_negated(expr) -> bool:
    """Whether an expression is minus a value: no stage is needed for that."""
    return isinstance(-expr, Value)


# --- roots ------------------------------------------------------------------------------------------------------------


def with_slopes_of_lengths(formula: Formula) -> Formula:
    """The length of a vector, sqrt(sum(x**2)) or sum(|x|**p)**(1/p), gets the slope 0 at the origin, unless it is
    divided by, which has no value there.
    """
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    powers = {part for stage in formula.stages for part in stage.expr.atoms(sympy.Pow)}
    divided_by = {part.base for part in powers if part.exp.is_negative}
    for stage in formula.stages:
        base, exponent = _base_and_exponent(stage.expr)
        expr = stage.expr.xreplace(renamed)
        is_root = 0 < exponent < 1 if exponent.is_number else not exponent.atoms(Value)
        squares = _powers_summed(base, formula, 1 / exponent) if is_root else None
        if squares is not None and not {base, stage.value} & divided_by:
            weighted, squares, axis = squares
            total = recorder.stage(squares.xreplace(renamed), "sum", axis, "sum_squares") if weighted else renamed[base]
            expr = Subgradient(expr, sympy.Eq(total, 0), sympy.S.Zero)
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _base_and_exponent(power):
    return power.args if isinstance(power, words.power.build) else power.as_base_exp()


def _powers_summed(expr, formula: Formula, degree):
    """(whether there are weights, powers, axis) of what is a multiple of a sum along an axis, or of such with weights,
    of powers of a degree, which is that of absolute values if it is not 2; None for others. Even powers have all that
    are below them.
    """
    reduced = [factor for factor in sympy.Mul.make_args(expr) if factor.atoms(Value)]
    found = [(factor, formula.definition(factor)) for factor in reduced if isinstance(factor, Value)]
    if len(reduced) == len(found) == 1 and found[0][1] is not None and found[0][1].kind == "map":
        return _powers_summed(found[0][1].expr, formula, degree)
    squares = []
    for stage in (stage for _, stage in found if stage is not None and stage.kind == "sum"):
        factors = [factor for factor in sympy.Mul.make_args(stage.expr) if factor.atoms(Value)]
        even = [factor for factor in factors if _is_of_degree(factor, degree, formula)]
        if even:
            squares.append((len(even) < len(factors), sympy.Mul(*even), stage.axis))
    return squares[0] if len(squares) == 1 and (len(reduced) == 1 or squares[0][0]) else None


def _is_of_degree(power, degree, formula: Formula) -> bool:
    """Whether a power is none of a sign, and its root of the degree has a slope that is finite at 0."""
    if formula.definition(power) is not None and formula.definition(power).kind == "map":
        return _is_of_degree(formula.definition(power).expr, degree, formula)
    base, exponent = _base_and_exponent(power)
    is_size = isinstance(formula.spelled_out(base), words.abs.build) or exponent.is_even
    is_enough = (exponent - degree).is_nonnegative or sympy.simplify(exponent - degree) == 0
    return bool(is_size and is_enough)


# --- centring ---------------------------------------------------------------------------------------------------------


def centre_exactly(formula: Formula) -> Formula:
    """What sums to zero by its definition is made to do so in fact.

    On rows whose mean is large beside their spread, the mean's rounding error would otherwise dominate x - mean(x),
    and on all rows what is left of elements beside the mean. The error is zero in mathematics: it has no derivative.
    """
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    exact: dict[Value, Value] = {}  # means with their errors
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        for part in sorted((part for part in expr.atoms(sympy.Add) if part.atoms(Value)), key=str):
            for axis, weights in _means_subtracted(part, formula.axes, recorder.stages):
                name = stage.value.name if part == expr and stage.kind == "map" else "centred"
                if not weights and (moved := _without_offset(part, axis, recorder)) is not None:
                    expr, part = expr.xreplace({part: moved}), moved
                mean = -sympy.Add(*(term for term in part.args if is_constant_along(term, axis)))
                centred = part + mean
                mean = recorder.stage(mean, "map", "", name_after("mean", centred))
                error = MeanError(centred, Str(axis), mean, *weights)
                error = recorder.stage(error, "map", axis, f"error_{name}", frozen=True)
                rough = recorder.stage(centred - mean, "map", "", f"nearly_{name}")
                expr = expr.xreplace({part: recorder.stage(rough - error, "map", "", name)})
                exact[mean] = recorder.stage(mean + error, "map", "", f"exact_{mean}")
        renamed[stage.value] = again(recorder, stage, expr.xreplace(exact))
    output = renamed[formula.output]
    return rebuilt(formula, recorder, output)


def _without_offset(centred, axis: str, recorder: Recorder):
    """(u + c) - mean(u + c), c being constant along the axis, as u - mean(u): beside c little may be left of u."""
    varying = [term for term in centred.args if not is_constant_along(term, axis)]
    made = _expression_of(varying[0], "map", recorder) if len(varying) == 1 else None
    terms = sympy.Add.make_args(made) if made is not None else ()
    offset = [term for term in terms if is_constant_along(term, axis)]
    if not offset:
        return None
    moved = recorder.stage(recorder.hoist(made - sympy.Add(*offset)), "map", "", "moved")
    return moved - recorder.stage(moved, "sum", axis, name_after("sum", moved)) / Count(Str(axis))


def _means_subtracted(expr, axes: frozenset[str], stages: list[Stage]) -> list[tuple[str, tuple]]:
    """The axis along which the expression sums to zero by the definitions of its values, with the weights with which it
    does, if there are any; nothing if there is no such axis.
    """
    for axis in sorted(axes):
        if is_constant_along(expr, axis):
            continue
        varying = sympy.Add(*(term for term in expr.args if not is_constant_along(term, axis)))
        sums = [stage for stage in stages if (stage.kind, stage.axis) == ("sum", axis)]
        known = {
            AxisSum(form, Str(axis)): stage.value
            for stage in sums
            for form in (inlined(stage.expr, stages), stage.expr)
        }
        needed = _in_reductions(expr - varying, axis, stages).atoms(Value)
        for weights in ((), *((sympy.cancel(stage.expr / varying),) for stage in sums if stage.value in needed)):
            if any(is_constant_along(one, axis) or one.has(Pick, *varying.atoms(Value)) for one in weights):
                continue
            of_varying, of_one = (
                AxisSum(sympy.Mul(*weights) * part, Str(axis)).xreplace(known) for part in (varying, 1)
            )
            if of_one.has(AxisSum):
                of_one = AxisSum(inlined(*weights, stages), Str(axis)).xreplace(known)
            if sympy.expand(_in_reductions(of_varying + (expr - varying) * of_one, axis, stages)) == 0:
                return [(axis, weights)]
    return []


def _in_reductions(expr, axis: str, stages: list[Stage]):
    """The expression with the stages that are constant along the axis replaced by their definitions."""
    for stage in reversed(stages):
        if stage.kind == "map" and is_constant_along(stage.value, axis):
            expr = expr.xreplace({stage.value: stage.expr})
    return expr


# --- extremes ---------------------------------------------------------------------------------------------------------


def count_from_extremes(formula: Formula) -> Formula:
    """`x - min(x)`, `max(x) - min(x)` and the like become stages.

    Derivatives then hold sum(g * (x - min)), not sum(g * x) - min * sum(g), and no square of a difference multiplied
    out. What the logarithm of a sum is above the largest term is subtracted after that term: it may be small.
    """
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    extremes = {stage.value for stage in formula.stages if stage.kind in _OPPOSITE}
    excesses = {stage.value for stage in formula.stages if isinstance(stage.expr, LogExcess | LogMean)}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        for part in sorted(stage.expr.atoms(sympy.Add), key=str):
            values = [term for term in part.args if isinstance(term, Value) or isinstance(-term, Value)]
            both = sympy.Add(*values)
            first = sympy.Add(*(term for term in values if not excesses & term.atoms(Value)))
            counted = first if first.is_Add and extremes & first.atoms(Value) else both
            among = sympy.Add(*(term for term in values if extremes & term.atoms(Value)))
            counted = among if among.is_Add else counted
            is_stage = part == stage.expr and counted == both
            if extremes & counted.atoms(Value) and counted.is_Add and not is_stage:
                made = counted.xreplace(renamed)
                made = recorder.stage(made, "map", "", name_after("counted", made)) + (part - counted).xreplace(renamed)
                made = recorder.stage(made, "map", "", name_after("more", made)) if part != stage.expr else made
                expr = expr.xreplace({part.xreplace(renamed): made})
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


# --- take -------------------------------------------------------------------------------------------------------------


def join_takes(formula: Formula) -> Formula:
    """`take(u) - log(sum(exp(u)))`, which cancels where one element outweighs the others, as an element picked from
    `u - log(sum(exp(u)))`.
    """
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        joined = expr.replace(lambda part: part.is_Add, lambda total: _joined(recorder, total))
        if joined != expr:
            joined = recorder.hoist(joined, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, joined)
    return rebuilt(formula, recorder, renamed[formula.output])


def _joined(recorder: Recorder, total):
    """A sum of terms, in which logarithms and what is picked have met."""
    stages = {stage.value: stage for stage in recorder.stages}
    sums = [stage for stage in recorder.stages if stage.kind == "sum"]
    known = {
        AxisSum(form, Str(stage.axis)): stage.value
        for stage in sums
        for form in (stage.expr, inlined(stage.expr, recorder.stages))
    }
    picks = sorted({pick for stage in sums for pick in stage.expr.atoms(Pick)}, key=str)
    for term in total.args:
        made = inlined(term, recorder.stages)
        logarithm = next((factor for factor in sympy.Mul.make_args(made) if isinstance(factor, sympy.log)), sympy.S.One)
        summed = stages.get(logarithm.args[0]) if isinstance(logarithm, sympy.log) else None
        exponential = inlined(summed.expr, recorder.stages) if summed is not None and summed.kind == "sum" else None
        for pick in picks if isinstance(exponential, sympy.exp) else ():
            (exponent,) = exponential.args
            chosen = sympy.expand(made / logarithm * AxisSum(pick * exponent, Str(summed.axis)).xreplace(known))
            if set(sympy.Add.make_args(-chosen)) <= set(total.args):
                whole = recorder.stage(logarithm, "map", "", f"log_{summed.value}")
                terms = stages.get(summed.expr)
                as_summed = terms.expr.args[0] if terms is not None and isinstance(terms.expr, sympy.exp) else exponent
                share = recorder.stage(as_summed - whole, "map", "", "log_share")
                share = recorder.stage(pick * share, "sum", summed.axis, f"log_share_at_{pick.args[0]}")
                return total - term + chosen - made / logarithm * share
    return total


def push_takes(formula: Formula) -> Formula:
    """Pick from the inputs and reductions that an elementwise expression is made of, not from the expression."""
    recorder = recorder_of(formula)
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
        if (share := as_share(expr, recorder.stages)) is not None:
            total, terms, exponent = share
            return LogShare(total, Str(axis), terms, pick.args[0], picked_from(exponent, pick, axis))
        return expr.xreplace({value: picked(value, pick, axis) for value in sorted(expr.atoms(Value), key=str)})

    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        picks = [factor for factor in sympy.Mul.make_args(expr) if isinstance(factor, Pick)]
        if stage.kind == "sum" and len(picks) == 1:
            value = recorder.hoist(picked_from(expr / picks[0], picks[0], stage.axis))
            renamed[stage.value] = recorder.stage(value, "map", "", stage.value.name)
        else:
            renamed[stage.value] = again(recorder, stage, expr)
    output = renamed[formula.output]
    return rebuilt(formula, recorder, output)


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


_KINKED = (Where, *(getattr(words, name).build for name in ("abs", "sign", "maximum", "minimum", "floor", "trunc")))


def differentiate_as_written(formula: Formula, written: Formula) -> Formula:
    """Where the whole formula is one word that a spec could name, the derivative comes from what was written, not from
    the word's.
    """
    stage = formula.stages[-1]
    word = WORD_OF.get(type(stage.expr))
    is_a_word = word is not None and word.smooth is None
    is_a_word = is_a_word and all(arg in formula.inputs or arg.is_number for arg in stage.expr.args)
    definition = inlined(written.output, written.stages)
    if len(formula.stages) > 1 or written.axes or not is_a_word or definition == stage.expr:
        return formula
    slopes = [stage.expr.diff(value) for value in formula.inputs]
    if definition.has(*_KINKED) and not any(slope.has(*_KINKED) for slope in slopes):
        return formula  # the kinks of what was written are none of the function's
    return replace(formula, stages=(replace(stage, written=definition),))


def rewrite(formula: Formula) -> Formula:
    """All rules."""
    if isinstance(formula.stages[-1].expr, Value) and len(formula.stages) == 1:
        return formula
    summed = with_slopes_of_lengths(sum_deviations(join_takes(recognise_words(join_members(with_quotients(formula))))))
    shifted = join_ratios(open_powers(open_shares(shift_exponentials(summed))))
    rewritten = rescale_powers(bound_logarithms(shifted))
    return differentiate_as_written(name_output(push_takes(centre_exactly(count_from_extremes(rewritten)))), formula)
