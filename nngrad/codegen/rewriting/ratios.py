"""Stage 3: shares in two rows, what they differ by and the logarithms of their ratios.

Of shares p = exp(x) / sum(exp(x)) and q = exp(y) / sum(exp(y)) that are near each other,

- log(p) - log(q) is `LogRatio`, which knows x - y, and is small where all of these are nearly the same;
- p - q, and so sqrt(p) - sqrt(q), is made of that, and keeps its digits; in derivatives, too;
- (p - q) / (p + q) is tanh of half of it, p / (p + q) sigmoid, which have a value also where both shares are 0.

Worked example, a derivative of sum(p log(p / q)): q - p is -share_difference(p, q, log_ratio).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import share_words, words
from nngrad.codegen.algebra.symbols import AxisSum, LogExcess, LogRatio, RowTop, Value
from nngrad.codegen.rewriting.restage import again, inlined, rebuilt, recorder_of
from nngrad.codegen.rewriting.shares import log_of_share, shifts_in
from nngrad.codegen.trace import Formula, Recorder


def join_ratios(formula: Formula) -> Formula:
    """Apply these rules to a formula."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = before = stage.expr.xreplace(renamed)
        pairs = _Pairs(recorder)
        if len(pairs.rows) > 1:
            expr = expr.replace(lambda part: part.is_Mul, pairs.quotient)
            expr = expr.replace(lambda part: part.is_Add, pairs.logarithms)
            expr = expr.replace(lambda part: part.is_Add, pairs.difference)
        if expr != before:
            expr = recorder.hoist(expr, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def with_differences_of_shares(forms: dict[Value, sympy.Expr], formula: Formula) -> dict[Value, sympy.Expr]:
    """Derivatives in which shares are subtracted from those that the formula has the ratios to."""
    recorder = recorder_of(formula)
    recorder.stages.extend(formula.stages)
    pairs = _Pairs(recorder)
    if not pairs.known:
        return forms

    def joined(form):
        for rule in (pairs.sums, pairs.known_difference):
            form = form.replace(lambda part: part.is_Add, lambda total, rule=rule: _joined(total, rule))
        return form

    return {value: joined(form) for value, form in forms.items()}


def _joined(total, rule):
    """The sum by the rule, if that finds anything in it."""
    joined = rule(_with_numbers_apart(total))
    return joined if joined.atoms(share_words.share_difference.build) - total.atoms(sympy.Function) else total


def _with_numbers_apart(total):
    """The sum with p (u + 1) as p u + p."""
    terms = []
    for term in total.args:
        factor = next((one for one in sympy.Mul.make_args(term) if one.is_Add and one.as_coeff_Add()[0] != 0), None)
        number = factor.as_coeff_Add()[0] if factor is not None else sympy.S.Zero
        terms += [term / factor * (factor - number), term / factor * number] if number != 0 else [term]
    return sympy.Add(*terms)


@dataclass(frozen=True)
class _Row:
    """A row of exponentials: its sum, the axis of that, and what the exponents are but for a number a row."""

    terms: Value
    total: Value
    axis: str
    exponent: sympy.Expr

    @property
    def share(self):
        return self.terms / self.total


@dataclass(frozen=True)
class _Share:
    """A term that is `factor` times a power of a share."""

    row: _Row
    power: sympy.Expr
    base: sympy.Expr
    factor: sympy.Expr


@dataclass
class _Pairs:
    """What the stages so far say of shares in two rows."""

    recorder: Recorder

    @cached_property
    def rows(self) -> list[_Row]:
        made = {stage.value: stage for stage in self.recorder.stages}
        found = []
        for total in self.recorder.stages:
            terms = made.get(total.expr) if total.kind == "sum" else None
            if terms is not None and isinstance(terms.expr, sympy.exp):
                exponents = [made[shift].expr.args[0] for shift in shifts_in(terms.expr, made)]
                found += [_Row(terms.value, total.value, total.axis, exponent) for exponent in exponents[:1]]
        return found

    @cached_property
    def known(self) -> dict[tuple[_Row, _Row], Value]:
        """The ratios that are stages."""
        ratios = {
            tuple(self._totals(one) for one in stage.expr.args[:2]): stage.value
            for stage in self.recorder.stages
            if isinstance(stage.expr, LogRatio)
        }
        pairs = permutations(self.rows, 2)
        return {(p, q): made for p, q in pairs if (made := ratios.get(((p.total,), (q.total,)))) is not None}

    def _totals(self, logarithm) -> tuple[Value, ...]:
        """The sums that the logarithm of a share is counted from."""
        return tuple(part.args[0] for part in self._seen(logarithm).atoms(LogExcess))

    def _logarithm(self, row: _Row):
        """log(p), as a stage."""
        return self.recorder.stage(log_of_share(self.recorder, row.share), "map", "", "log_share")

    def ratio(self, p: _Row, q: _Row):
        """log(p) - log(q); of two that differ in their signs alone, the first is a stage."""
        if (q, p) in self.known:
            return -self.known[q, p]
        if (p, q) not in self.known:
            share = self.recorder.stage(q.share, "map", "", "share")
            apart = self._seen(p.exponent) - self._seen(q.exponent)
            apart = apart.replace(RowTop, lambda *_: sympy.S.Zero)  # a number for each row
            number, apart = sympy.factor_terms(apart).as_independent(Value)
            x, y = p.exponent, q.exponent
            for term in sympy.Add.make_args(apart):
                if isinstance(term, Value) and isinstance(term - apart, Value):
                    x, y = term, term - apart
            rate = sympy.S.One if x == p.exponent else number
            made = LogRatio(self._logarithm(p), self._logarithm(q), Str(p.axis), share, x, y, rate)
            self.known[p, q] = self.recorder.stage(made, "map", "", "log_ratio")
        return self.known[p, q]

    def _seen(self, expr):
        return inlined(expr, self.recorder.stages)

    def logarithms(self, total):
        """c log(p) - c log(q), with numbers that are added."""
        seen = sympy.expand(self._seen(total))
        logarithms = {part.args[0]: part for part in seen.atoms(LogExcess)}
        rows = [row for row in self.rows if row.total in logarithms]
        for p, q in permutations(rows, 2):
            c = -seen.coeff(logarithms[p.total])
            if c.is_number and c.is_positive and p.axis == q.axis:
                apart = self._seen(log_of_share(self.recorder, p.share) - log_of_share(self.recorder, q.share))
                rest = sympy.expand(seen - c * apart)
                if rest.is_number:
                    return c * self.ratio(p, q) + rest
        return total

    def _share(self, term) -> _Share | None:
        """A term as a multiple of a power of a share; None for others."""
        made = {stage.value: stage.expr for stage in self.recorder.stages if stage.kind == "map"}
        for factor in sympy.Mul.make_args(term):
            spelled = made.get(factor, factor)
            base, power = spelled.args[:2] if isinstance(spelled, share_words.share_power.build) else (factor, 1)
            for row in self.rows:
                if made.get(base) == row.share or base == row.share:
                    return _Share(row, sympy.sympify(power), factor, term / factor)
        for row in self.rows:
            if {row.terms, 1 / row.total} <= set(sympy.Mul.make_args(term)):
                return _Share(row, sympy.S.One, row.share, term / row.share)
        return None

    def _opposite(self, total):
        """Pairs of terms of a sum that are shares of two rows, subtracted; as (terms, shares)."""
        shares = {term: share for term in total.args if (share := self._share(term)) is not None}
        for one, other in permutations(shares, 2):
            p, q = shares[one], shares[other]
            is_pair = p.row != q.row and p.row.axis == q.row.axis and p.power == q.power
            if is_pair and p.factor + q.factor == 0 and not p.factor.could_extract_minus_sign():
                yield one + other, p, q

    def difference(self, total, is_known=False):
        """c p - c q, and so of powers; with `is_known` only where the ratio is a stage."""
        for terms, p, q in self._opposite(total):
            if not is_known or {(p.row, q.row), (q.row, p.row)} & self.known.keys():
                ratio = p.power * self.ratio(p.row, q.row)
                return total - terms + p.factor * share_words.share_difference(p.base, q.base, ratio)
        return total

    def known_difference(self, total):
        """The same where the ratio is known."""
        return self.difference(total, is_known=True)

    def sums(self, total):
        """c sum(p t) - c sum(q t) as c sum((p - q) t)."""
        terms = {}
        for term in total.args:
            summed = [factor for factor in sympy.Mul.make_args(term) if isinstance(factor, AxisSum)]
            if len(summed) == 1 and (share := self._share(summed[0].args[0])) is not None:
                terms[term] = summed[0].args[1], term / summed[0], share
        for one, other in permutations(terms, 2):
            (axis, c, p), (other_axis, minus, q) = terms[one], terms[other]
            is_pair = axis == other_axis and p.power == q.power and p.factor == q.factor and p.row != q.row
            if is_pair and c + minus == 0 and not c.could_extract_minus_sign():
                difference = self.known_difference(p.base - q.base)
                return total - one - other + c * AxisSum(p.factor * difference, axis)
        return total

    def quotient(self, product):
        """(p - q) / (m p + m q), or one of these over the sum of their multiples."""
        for factor in product.args:
            base, exponent = factor.as_base_exp()
            shares = [self._share(term) for term in base.args] if base.is_Add and exponent.is_negative else []
            if len(shares) != 2 or None in shares or any(one.power != 1 for one in shares):
                continue
            p, q = shares
            if p.row == q.row or p.row.axis != q.row.axis or not (p.factor / q.factor).is_positive:
                continue
            odds = self.ratio(p.row, q.row) + sympy.log(p.factor / q.factor)
            known = {p.base: words.sigmoid(odds) / p.factor, q.base: words.sigmoid(-odds) / q.factor}
            if p.factor == q.factor:
                known |= {sign * (p.base - q.base): sign * words.tanh(odds / 2) / p.factor for sign in (1, -1)}
            for other in product.args:
                whole, power = other.as_base_exp()
                if whole in known and power.is_positive and (power - exponent).is_number:
                    times = min(power, -exponent)
                    return self._again(product * whole**-times * base**times * known[whole] ** times)
        return product

    def _again(self, product):
        return self.quotient(product) if product.is_Mul else product
