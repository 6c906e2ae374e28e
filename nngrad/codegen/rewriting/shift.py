"""Stage 3: where exponentials are summed along an axis, they are kept from overflowing.

exp(u) is computed as exp(u - shift), the shift being one number for each row: 0 where all of exp(u) is in range, which
is exact and costs nothing, else the row's maximum. The factor exp(shift) is carried through the later stages as a
symbol; the rule is applied only where it drops out of the result. Logarithms go with it:

- of a product that has exponentials among its factors, or of what is taken from one: log(exp(u) / s) is u - log(s);
- of a sum of exponentials: log(s) is max(u) + `LogExcess`, the logarithm of what the sum is above its largest term. It
  is exact also where one term outweighs all others, so that (u - max(u)) - LogExcess is, too. Kernels may take another
  number near log(s) for max(u), and the rest for the excess (`runtime.log_sum_parts`), so the stages are called so;
- of a sum of products of exponentials: log(sum(sqrt(p * q))) of shares is that of sum(exp((log(p) + log(q)) / 2));
- of a sum of two shares: log(p + 3 q) is log(4) and a `log_mixture` of log(p) and log(q);
- of a share in a mean of two: log(p / ((p + q) / 2)) is -`log_mixed` of log(q) - log(p).

Worked example, log_softmax: from `y = x - log(sum(exp(x)))`,

    shift = RowShift(x); e = exp(x - shift); s = sum(e)
    log_sum = max(x); log_rest = LogExcess(s, e); y = (x - log_sum) - log_rest
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import permutations

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import gaussians, share_words, words
from nngrad.codegen.algebra.symbols import (
    Count,
    LogExcess,
    Pick,
    RowShift,
    RowTop,
    Value,
    Weighed,
    Where,
    is_constant_along,
    split_constants,
)
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.rewriting.restage import HOMOGENEOUS, again, inlined, rebuilt, recorder_of
from nngrad.codegen.rules.exponentials import with_one_exponential
from nngrad.codegen.trace import Formula, Recorder, Stage
from nngrad.codegen.tracing.record import name_after

_SCALE = sympy.Symbol("scale", positive=True)
_LOGARITHMS = (sympy.log, words.log1p.build)
_BELL = gaussians.normal_density.build
_LIKE_EXP = (sympy.exp, _BELL)


def open_logarithms(formula: Formula) -> Formula:
    """The logarithm of a product with exponentials becomes the sum of its factors' logarithms."""
    recorder = recorder_of(formula)
    alone = {inlined(stage.expr, formula.stages) for stage in formula.stages if stage.kind == "sum"}
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        if isinstance(expr, sympy.log):
            expr = sympy.log(_with_weighed_sums(recorder, expr.args[0], alone))
            powers = [factor.as_base_exp() for factor in sympy.Mul.make_args(_seen_as_product(recorder, expr.args[0]))]
            is_weighed = [_is_weighed(recorder, base) for base, _ in powers]
            if (
                len(powers) > 1
                and any(is_weighed)
                and all(known or base.is_positive for known, (base, _) in zip(is_weighed, powers, strict=True))
            ):
                expr = sympy.Add(*(power * recorder.hoist(sympy.log(base)) for base, power in powers))
            elif len(powers) > 1 and any(_summed_exponential(recorder, base) for base, _ in powers):
                parts = (power * recorder.hoist(_opened(recorder, base, stage.value.name)) for base, power in powers)
                expr = sympy.Add(*parts)
            else:
                expr = recorder.hoist(_opened(recorder, expr.args[0], stage.value.name), stage.value.name)
        renamed[stage.value] = again(recorder, stage, expr)
    output = renamed[formula.output]
    return formula if output in formula.inputs else rebuilt(formula, recorder, output)


def _with_weighed_sums(recorder: Recorder, inside, alone):
    """What a logarithm is taken of, with exponentials of their own in sums that have weights, where these exponentials
    are summed `alone`, too: of those with weight nothing may be left beside the largest of all.
    """
    for total in sorted(inside.atoms(Value), key=str):
        made = next((stage for stage in recorder.stages if stage.value == total and stage.kind == "sum"), None)
        for share in sorted(made.expr.atoms(Value), key=str) if made is not None else ():
            constant, terms = split_constants(_definition(recorder, share, "map") or share, made.axis)
            constant, terms = (constant, terms) if isinstance(terms, Value) else (sympy.S.One, share)
            exponential, weights = _definition(recorder, terms, "map"), made.expr / share
            is_shared = isinstance(exponential, sympy.exp) and inlined(terms, recorder.stages) in alone
            is_shared = is_shared and not inlined(weights, recorder.stages).has(Pick, *_LIKE_EXP)
            if is_shared and weights.atoms(Value):
                weighed = Weighed(recorder.hoist(exponential.args[0]), Str(made.axis), recorder.hoist(weights))
                own = recorder.stage(sympy.exp(recorder.stage(weighed, "map", "", "weighed")), "map", "", str(terms))
                own = recorder.stage(weights * own, "sum", made.axis, str(total))
                inside = inside.xreplace({total: constant * own})
    return inside


def _is_weighed(recorder: Recorder, total) -> bool:
    """Whether this is such a sum."""
    summed = _definition(recorder, total, "sum")
    return summed is not None and any(
        stage.value in summed.atoms(Value) and inlined(stage.expr, recorder.stages).has(Weighed)
        for stage in recorder.stages
    )


def _seen_as_product(recorder: Recorder, inside):
    """What a logarithm is taken of, as a product of sums and their powers."""
    made = inlined(inside, recorder.stages)
    return sympy.expand_power_base(made, force=True) if all(one.is_positive for one in made.atoms(Value)) else inside


def _opened(recorder: Recorder, inside, name: str):
    """The logarithm of what may have exponentials among its factors."""
    pick, picked = _picked(recorder, inside)
    summed = _summed_exponential(recorder, picked)
    factors = sympy.Mul.make_args(summed or inlined(picked, recorder.stages))
    if (mixed := _log_of_two_shares(recorder, factors)) is not None:
        return mixed
    if not summed and not any(isinstance(factor, sympy.exp) for factor in factors):
        return sympy.log(inside)
    masked = {one.expr: one.value for one in recorder.stages if isinstance(one.expr, Where)}
    opened = _share_in_mean(recorder, factors) or sum_of_logarithms(factors)
    opened = recorder.hoist(opened.xreplace(masked), name)
    if pick is None:
        return opened
    whole = recorder.stage(opened, "map", "", f"log_{picked}" if isinstance(picked, Value) else "log_")
    return recorder.stage(pick * whole, "sum", pick.args[1].name, name)


def open_sums(formula: Formula) -> Formula:
    """sum(exp(u) + 1), in which nothing cancels, as sum(exp(u)) + n, n being the number of elements."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr, name = stage.expr.xreplace(renamed), str(stage.value)
        terms = sympy.Add.make_args(inlined(expr, recorder.stages)) if stage.kind == "sum" else ()
        varying = sympy.Add(*(term for term in terms if not is_constant_along(term, stage.axis)))
        constant = sympy.Add(*terms) - varying
        if constant != 0 and _has_exponential(varying) and all(term.is_positive for term in terms):
            total = recorder.stage(recorder.hoist(varying), "sum", stage.axis, f"{name}_less_count")
            renamed[stage.value] = recorder.stage(total + constant * Count(Str(stage.axis)), "map", "", name)
        else:
            renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _summed_exponential(recorder: Recorder, total):
    """A sum of products of exponentials, such as of the roots of two shares, as c sum(exp(u)), u being made of the
    logarithms of shares. None for others, and for a power of one share, which has a rule of its own.
    """
    made = next((stage for stage in recorder.stages if stage.value == total and stage.kind == "sum"), None)
    definition = None if made is None else _definition(recorder, made.expr, "map") or made.expr
    if made is None or isinstance(definition, sympy.exp | sympy.Pow | words.power.build):
        return None
    seen = inlined(made.expr, recorder.stages).replace(words.power.build, sympy.Pow)
    product = sympy.expand_power_base(seen.replace(_BELL, WORD_OF[_BELL].smooth))
    factor, exponential = split_constants(with_one_exponential(product), made.axis)
    if not isinstance(exponential, sympy.exp) or not _weighted(factor)[1].is_positive:
        return None
    terms, shares = sympy.Add.make_args(exponential.args[0]), 0
    for power in sympy.Mul.make_args(factor):
        whole, degree = power.as_base_exp()
        summed = inlined(_definition(recorder, whole, "sum") or whole, recorder.stages)
        own = sympy.Add.make_args(summed.args[0]) if isinstance(summed, sympy.exp) else ()
        others = [term for term in terms if not any(sympy.expand(term + degree * one) == 0 for one in own)]
        if own and len(others) == len(terms) - len(own):
            logarithm = recorder.hoist(summed.args[0] - sympy.log(whole))
            terms = [*others, -degree * recorder.stage(logarithm, "map", "", "log_share")]
            factor, shares = factor / power, shares + 1
    if shares == 1 and len(terms) == 1:
        return None
    exponent = recorder.stage(recorder.hoist(sympy.Add(*terms)), "map", "", "exponent")
    return factor * recorder.stage(recorder.hoist(sympy.exp(exponent)), "sum", made.axis, str(total))


def _picked(recorder: Recorder, expr):
    """(p, u) where the expression is a stage that takes from u the elements that p picks, else (None, expression)."""
    made = _definition(recorder, expr, "sum")
    picks = [] if made is None else [factor for factor in sympy.Mul.make_args(made) if isinstance(factor, Pick)]
    return (picks[0], made / picks[0]) if picks else (None, expr)


def _share_in_mean(recorder: Recorder, factors):
    """log(a / (m a + n b)), such as log(p / ((p + q) / 2)) of shares, in terms of log(b / a): it is finite also where
    both exponentials are 0, and exact where they are nearly the same. None for others.
    """
    for factor in factors:
        mean, power = factor.as_base_exp()
        if not mean.is_Add or len(mean.args) != 2 or power not in (1, -1):
            continue
        number, a = ((sympy.Mul(*factors) / factor) ** -power).as_coeff_Mul()
        for own, other in permutations(mean.args):
            (m, one), (n, b) = _weighted(own / a), _weighted(other)
            if one == 1 and _mixed_weight(m, n) is not None and _has_exponential(a) and _has_exponential(b):
                logarithms = [recorder.hoist(sum_of_logarithms(sympy.Mul.make_args(part))) for part in (a, b)]
                log_a, log_b = (recorder.stage(logarithm, "map", "", "log_share") for logarithm in logarithms)
                mixed = share_words.log_mixed(log_b - log_a, _mixed_weight(m, n))
                return power * (sympy.log(sympy.simplify(m + n) * number) + mixed)
    return None


def _log_of_two_shares(recorder: Recorder, factors):
    """log(c (m a + n b)) of shares by their logarithms, which are known where a and b are both 0; None for others."""
    *numbers, total = sorted(factors, key=lambda factor: factor.is_Add)
    shares: dict[sympy.Expr, sympy.Expr] = {}
    for weight, share in map(_weighted, sympy.Add.make_args(sympy.expand(total, power_base=False, power_exp=False))):
        shares[share] = shares.get(share, sympy.S.Zero) + weight
    if len(shares) != 2 or not all(number.is_number for number in numbers):
        return None
    m, n = shares.values()
    products = [sympy.Mul.make_args(part) for part in shares]
    are_shares = all(
        all(one.is_positive for one in product) and _has_exponential(sympy.Mul(*product)) for product in products
    )
    weight = _mixed_weight(m, n)
    if not are_shares or weight is None:
        return None
    logarithms = [recorder.hoist(sum_of_logarithms(product)) for product in products]
    return sum_of_logarithms([*numbers, sympy.simplify(m + n)]) + share_words.log_mixture(*logarithms, weight)


def _weighted(term) -> tuple[sympy.Expr, sympy.Expr]:
    """A product's numbers and parameters, and its other factors."""
    return term.as_independent(Value, as_Add=False)


def _mixed_weight(m, n):
    """The weight of the second term in the mean with weights m and n; None if these may be no weights."""
    total = sympy.simplify(m + n)
    are_weights = total.is_positive and all(one.is_positive for one in (m, n) if one.is_number)
    return n / total if are_weights else None


def _has_exponential(product) -> bool:
    return any(isinstance(factor, sympy.exp) for factor in sympy.Mul.make_args(product))


def sum_of_logarithms(factors):
    total, rest = sympy.S.Zero, sympy.S.One
    for factor in factors:
        if isinstance(factor, sympy.exp):
            total += factor.args[0]
            continue
        base, exponent = factor.as_base_exp()
        if base.is_positive:
            total += exponent * sympy.log(base)
        else:
            rest *= factor
    sign = -1 if rest.is_Pow and rest.exp == -1 else 1
    return total if rest == 1 else total + sign * sympy.log(rest**sign)


def shift_exponentials(formula: Formula) -> Formula:
    """Shift the exponentials that are summed along an axis, wherever the result does not depend on the shift."""
    formula = open_sums(open_logarithms(formula))
    refused: set[sympy.Expr] = set()
    while (found := _next_exponential(formula, refused)) is not None:
        exponential, axis = found
        ways = ({}, {"with_powers": True}, {"beside_constants": True})
        shifted = next(filter(None, (_shifted(formula, exponential, axis, **way) for way in ways)), None)
        if shifted is None:
            refused.add(exponential.expr)
        else:
            formula = shifted
    return formula


def _next_exponential(formula: Formula, refused) -> tuple[Stage, str] | None:
    for stage in formula.stages:
        if stage.kind != "sum":
            continue
        for made in _factors(stage.expr, formula):
            if (
                isinstance(made.expr, sympy.exp)
                and made.expr not in refused
                and not is_constant_along(made.value, stage.axis)
                and not _is_shifted(made.expr.args[0], formula)
            ):
                return made, stage.axis
    return None


def _factors(expr, formula: Formula) -> Iterator[Stage]:
    """The stages whose values an expression has, and the factors of those that are products."""
    for value in sorted(expr.atoms(Value), key=str):
        made = formula.definition(value)
        if made is not None and made.kind == "map":
            yield made
            yield from _factors(made.expr, formula) if made.expr.is_Mul else ()


def _is_shifted(exponent, formula: Formula) -> bool:
    """Whether this rule was applied already."""
    tops = {stage.value for stage in formula.stages if stage.kind == "max" and stage.frozen}
    shifts = tops | {stage.value for stage in formula.stages if stage.expr.has(RowShift)}
    return bool(shifts & set(sympy.Add.make_args(-exponent)))


def _shifted(formula: Formula, exponential: Stage, axis: str, with_powers=False, beside_constants=False):
    """The formula with one exponential shifted; None where the result would depend on it.

    `with_powers` allows what sum(exp(u))**2 / sum(exp(2 u)) needs: powers that are summed are shifted with it.
    `beside_constants` allows what 1 + sum(exp(u)) needs: 1 is multiplied by exp(-shift), and exp(a) beside the sum
    becomes exp(a - shift); the shift is that of a row that has 0, or a, as well.
    """
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    row = None
    beside = _exponent_beside(formula, exponential, axis) if beside_constants else None
    for stage in _independent_first(formula, exponential) if beside_constants else formula.stages:
        if stage.value == exponential.value:
            exponent = exponential.expr.args[0].xreplace(renamed)
            beside = beside.xreplace(renamed) if beside is not None else None
            row = _Row(recorder, exponent, axis, stage.value.name, beside, _weights(formula, exponential, axis))
            renamed[stage.value] = _SCALE * row.exponential
            continue
        expr = stage.expr.xreplace(renamed)
        if row is not None and (power := _power_of(stage, exponential, formula, with_powers)) is not None:
            raised = sympy.exp(power * (row.above - row.shift))
            renamed[stage.value] = _SCALE**power * recorder.stage(raised, "map", "", stage.value.name)
            continue
        if row is None or not expr.has(_SCALE, *row.offsets):
            renamed[stage.value] = again(recorder, stage, expr)
            continue
        if beside_constants:
            expr = expr.replace(row.is_beside_constants, row.scaled_sum)
        expr = expr.replace(_is_homogeneous_of_scaled, row.scaled_word)
        expr = row.without_top(expr.replace(_is_log_of_scaled, row.logarithm))
        if beside_constants and _scale_power(expr)[1] is None:
            expr = row.put_back(expr)
        power, expr = _scale_power(expr)
        if expr is None or (power and stage.kind != "map" and (stage.kind, stage.axis) != ("sum", axis)):
            return None
        offset = row.offset(expr) if isinstance(stage.expr, _LOGARITHMS) else 0
        name = "log_rest" if isinstance(expr - offset, LogExcess | share_words.LogMean) else stage.value.name
        expr = recorder.hoist(expr - offset, name if stage.kind == "map" else "")
        value = recorder.stage(expr, stage.kind, stage.axis, name)
        renamed[stage.value] = _SCALE**power * value + offset
    output = renamed[formula.output]
    if output.has(_SCALE) and beside_constants:
        output = row.put_back(output)
    if output.has(_SCALE):
        return None
    output = recorder.stage(output, "map", "", formula.output.name)
    return rebuilt(formula, recorder, output)


def _weights(formula: Formula, exponential: Stage, axis: str):
    """What an exponential is multiplied by wherever it is summed, made of inputs that it is not made of, if that may be
    0; else 1.
    """
    inside = inlined(exponential.expr, formula.stages)
    if inside.has(Weighed):
        return 1
    free = {*formula.inputs} - {*formula.indices} - inside.atoms(Value)
    sums = (stage for stage in formula.stages if (stage.kind, stage.axis) == ("sum", axis))
    products = [inlined(stage.expr, formula.stages) for stage in sums]
    factors = [set(sympy.Mul.make_args(product)) for product in products if product.has(inside)]
    common = set.intersection(*factors) if factors else set()
    weights = [one for one in common if one.atoms(Value) and one.atoms(Value) <= free and not one.is_positive]
    return sympy.Mul(*(one for one in weights if not is_constant_along(one, axis)))


def _exponent_beside(formula: Formula, exponential: Stage, axis: str):
    """The largest of the exponents of what is added to the sum of the exponentials; that of a number counts as 0."""
    sums = {stage.value for stage in formula.stages if (stage.kind, stage.expr) == ("sum", exponential.value)}
    totals = {part for stage in formula.stages for part in stage.expr.atoms(sympy.Add) if sums & set(part.args)}
    terms = sorted({term for total in totals for term in set(total.args) - sums}, key=str)
    seen = [inlined(term, formula.stages) for term in terms if is_constant_along(term, axis)]
    return reduce(words.maximum, dict.fromkeys(_exponent_of(one) for one in seen) or [sympy.S.Zero])


def _exponent_of(product):
    """The exponent of the exponentials in a product as one."""
    return sympy.Add(*(factor.args[0] for factor in sympy.Mul.make_args(product) if isinstance(factor, sympy.exp)))


def _independent_first(formula: Formula, exponential: Stage) -> list[Stage]:
    """The stages, those that are made of an exponential last."""
    made_of = {exponential.value}
    for stage in formula.stages:
        made_of |= {stage.value} if made_of & stage.expr.atoms(Value) else set()
    return sorted(formula.stages, key=lambda stage: stage.value in made_of)


def _power_of(stage: Stage, exponential: Stage, formula: Formula, is_summed: bool):
    """The power of the exponential that a stage is, if it is one, and `is_summed` or is not summed itself; None for
    others.
    """
    if not isinstance(stage.expr, sympy.exp):
        return None
    if not is_summed and any(one.kind == "sum" and one.expr.has(stage.value) for one in formula.stages):
        return None
    power = sympy.cancel(stage.expr.args[0] / exponential.expr.args[0])
    return power if power.is_number else None


class _Row:
    """What is known of exponentials that are shifted: `exp(exponent) = scale * exponential`."""

    def __init__(self, recorder: Recorder, exponent, axis: str, name: str, beside, weights):
        self.recorder, self.axis, self.beside_constants = recorder, axis, beside is not None
        made = _definition(recorder, exponent, "map")
        if is_own := isinstance(made, Weighed):
            exponent, _, weights = made.args
        self.constant, self.exponent, self.above = sympy.S.Zero, exponent, exponent
        if beside is None:  # what is constant drops out with the shift, such as a maximum the author subtracts
            terms = sympy.Add.make_args(_definition(recorder, exponent, "map") or exponent)
            self.constant = sympy.Add(*(term for term in terms if is_constant_along(term, axis)))
            self.above = sympy.Add(*terms) - self.constant if self.constant != 0 else exponent
        self.spelled = self.above
        rate, row = split_constants(sympy.factor_terms(_definition(recorder, self.above, "map") or self.above), axis)
        if beside is None and not _is_exact(rate):  # a product with what is left of a row is small where it is rounded
            rate, row = (-rate, -row) if rate.could_extract_minus_sign() else (rate, row)
            written, row = row, recorder.hoist(row)
            top = recorder.stage(RowTop(row, Str(axis), rate), "map", axis, name_after("top", row), frozen=True)
            self.constant += rate * top
            self.spelled = rate * (written - top)
            self.above = rate * recorder.stage(row - top, "map", "", "counted")
        if weights != 1:
            weighed = Weighed(self.above, Str(axis), recorder.hoist(weights))
            self.above = recorder.stage(weighed, "map", "", name_after("weighed", self.above))
        label = str(self.above) if isinstance(self.above, Value) else "row"
        if not is_own:
            shift = RowShift(self.above, Str(axis), *([] if beside is None else [beside]))
            self.shift = recorder.stage(shift, "map", axis, f"shift_{label}", frozen=True)
            self.exponential = recorder.stage(sympy.exp(self.above - self.shift), "map", "", name)
        self.top = recorder.stage(self.above, "max", axis, "log_sum", frozen=True)
        if is_own:  # the logarithm of its sum meets another, from whose largest term it is counted
            self.shift = self.top
            self.exponential = recorder.stage(sympy.exp(self.above - self.shift), "map", "", name)
        self.offsets = (self.shift, self.top)

    def logarithm(self, logarithm):
        """log(scale**k * rest), in terms of the row's maximum where the rest is the sum of exponentials alone."""
        power, rest = _scale_power(logarithm.args[0])
        if rest is None:
            return logarithm
        if isinstance(logarithm, words.log1p.build):  # 1 + scale * rest = scale * (exp(-shift) + rest)
            fits = power == 1 and self.beside_constants
            return self.shift + words.log1p(words.expm1(-self.shift) + rest) if fits else logarithm
        base, exponent, factor = self._sum_in(rest)
        if base is not None and exponent == power and (factor.is_positive or factor == 1):
            excess, axis = LogExcess(base, Str(self.axis), self.exponential), Str(self.axis)
            if power == 1 and factor.has(1 / Count(axis)):
                excess = self.recorder.stage(excess, "map", "", "log_rest")
                excess, factor = share_words.LogMean(excess, axis, self.above, self.top), factor * Count(axis)
            return power * (self.constant + self.top + excess) + sum_of_logarithms(sympy.Mul.make_args(factor))
        return power * (self.constant + self.shift) + sympy.log(rest)

    def _sum_in(self, product):
        """(s, k, factor) such that the product is s**k * factor, s being the sum of the exponentials."""
        for part in sympy.Mul.make_args(product):
            base, exponent = part.as_base_exp()
            if is_constant_along(base, self.axis) and _definition(self.recorder, base, "sum") == self.exponential:
                return base, exponent, product / part
        return None, 0, product

    def offset(self, logarithm):
        """What stands beside a logarithm: it is added where it can cancel, or last, to be rounded only once."""
        terms = sympy.Add.make_args(logarithm)
        return sympy.Add(*(term for term in terms if not term.has(LogExcess, share_words.LogMean, *_LOGARITHMS)))

    def is_beside_constants(self, part) -> bool:
        """Whether a part is the sum of scaled terms and such as are constant along the axis."""
        return part.is_Add and part.has(_SCALE) and any(self._is_constant(term) for term in part.args)

    def scaled_sum(self, total):
        """constant + scale * rest = scale * (constant * exp(-shift) + rest), which does not overflow."""
        exponentials = {one.value: one.expr for one in self.recorder.stages if isinstance(one.expr, sympy.exp)}

        def faded(term):
            term = term.xreplace(exponentials)
            exponent = _exponent_of(term)
            return term / sympy.exp(exponent) * sympy.exp(exponent - self.shift)

        return sympy.Add(*(_SCALE * faded(term) if self._is_constant(term) else term for term in total.args))

    def scaled_word(self, word):
        """maximum(scale * a, scale * b) = scale * maximum(a, b), and the like; a constant as in a sum."""
        args = []
        for arg in word.args:
            is_beside = arg != 0 and self.beside_constants and self._is_constant(arg)
            args.append(_scale_power(_SCALE * arg * sympy.exp(-self.shift) if is_beside else arg))
        powers = {power for power, rest in args if rest != 0}
        if len(powers) != 1 or any(rest is None for _, rest in args):
            return word
        return _SCALE ** powers.pop() * word.func(*(rest for _, rest in args))

    def put_back(self, expr):
        """The expression with exp(-shift) for 1 / scale, which does not overflow beside constants."""

        def faded(product):
            power, rest = _scale_power(product)
            return rest * sympy.exp(power * self.shift) if rest is not None and power < 0 else product

        terms = [faded(term) for term in sympy.Add.make_args(expr)]
        return self.recorder.hoist(sympy.Add(*terms))

    def _is_constant(self, term) -> bool:
        return not term.has(_SCALE) and is_constant_along(term, self.axis)

    def without_top(self, expr):
        """`above - top` as a stage of its own, also where it is spread over a sum: it must be rounded only once."""
        if not expr.has(self.top):
            return expr
        below = sympy.Dummy(real=True)
        for atom, solution in self._solutions(below + self.top):
            candidate = sympy.expand(expr.xreplace({atom: solution}))
            if expr.has(atom) and not candidate.has(self.top):
                stage = self.recorder.stage(self.above - self.top, "map", "", "less_log_sum")
                return candidate.xreplace({below: stage})
        return expr

    def _solutions(self, above) -> Iterator[tuple[Value, sympy.Expr]]:
        """Values of which the exponent is made, or itself, in terms of what it is less its constant."""
        if isinstance(self.exponent, Value):
            yield self.exponent, above + self.constant
        for atom in sorted(self.spelled.atoms(Value), key=str):
            slope = self.spelled.diff(atom)
            is_of_row = not is_constant_along(atom, self.axis)
            if is_of_row and not slope.has(atom) and slope.is_nonzero is not False:
                yield atom, (above - (self.spelled - slope * atom)) / slope


def as_share(expr, stages):
    """(total, terms, exponent) of an expression that is log(terms / total), the terms being exp(exponent) and the total
    their sum, in the way in which this rule writes it: (above - top) - LogExcess. None for others.
    """
    made = {stage.value: stage for stage in stages}
    excess = _one_made_by(LogExcess, expr, made)
    below = None if excess is None else made.get(expr + excess)
    if below is None:
        return None
    total, _, terms = made[excess].expr.args
    exponent = made[terms].expr.args[0]
    shift = _one_made_by(RowShift, exponent, made)
    if shift is None:
        return None
    top = made.get(exponent + shift - below.expr)
    fits = top is not None and (top.kind, top.expr) == ("max", exponent + shift)
    return (total, terms, exponent) if fits else None


def _is_exact(factor) -> bool:
    """Whether a product with the factor is not rounded: with a power of 2."""
    return bool(factor.is_Rational and {abs(factor.p).bit_count(), factor.q.bit_count()} == {1})


def _one_made_by(head, expr, made: dict[Value, Stage]) -> Value | None:
    """The value in an expression that is the stage of such a function."""
    return next((value for value in expr.atoms(Value) if value in made and made[value].expr.func is head), None)


def _definition(recorder: Recorder, value, kind: str):
    """The expression of the stage that a value is, if it is of this kind."""
    return next((stage.expr for stage in recorder.stages if stage.value == value and stage.kind == kind), None)


def _is_log_of_scaled(part) -> bool:
    return isinstance(part, _LOGARITHMS) and part.has(_SCALE)


def _is_homogeneous_of_scaled(part) -> bool:
    return isinstance(part, HOMOGENEOUS) and part.has(_SCALE)


def _scale_power(expr):
    """(k, rest) such that the expression is scale**k * rest, rest free of scale; (0, None) where there is no such k."""
    if not expr.has(_SCALE):
        return 0, expr
    opaque = {part: sympy.Dummy(real=True) for part in expr.atoms(sympy.Function) if not part.has(_SCALE)}
    flat = sympy.together(expr.xreplace(opaque))
    powers = []
    for part in flat.as_numer_denom():
        terms = [term.as_coeff_exponent(_SCALE) for term in sympy.Add.make_args(sympy.expand(part))]
        if len({power for _, power in terms}) != 1 or any(rest.has(_SCALE) for rest, _ in terms):
            return 0, None
        powers.append(terms[0][1])
    back = {dummy: part for part, dummy in opaque.items()}
    rest = expr.xreplace(opaque).subs(_SCALE, 1).xreplace(back)
    return powers[0] - powers[1], rest
