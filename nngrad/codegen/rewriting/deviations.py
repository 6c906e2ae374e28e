"""Stage 3: small differences of sums along an axis become sums of small terms.

Weights w that sum to 1 along the axis make a mean E[t] = sum(w t), the plain one or that of probabilities. Then

- E[u v] - E[u] E[v] is E[(u - E[u]) (v - E[v])]: a variance, a covariance;
- max(u) - E[u] is E[max(u) - u], and so for min(u);
- sum(u) - sum(v) is sum(u - v);
- |u| |v| - sum(u v) is |u| |v| sum((u / |u| - v / |v|)**2) / 2, where |u| is sqrt(sum(u**2)): 1 less a cosine;
- arccos(sum(u v) / |u| / |v|) is twice the arctan2 of the lengths of u / |u| - v / |v| and of their sum;
- sum(u**2) - 2 sum(u v) + sum(v**2) is sum((u - v)**2), also where v is 1 at one element of a row and else 0;
- c - c sum(u v), where u and v have the length 1, is c sum((u - v)**2) / 2;
- 1 - exp(E[log(u)]) / E[u] is -expm1(E[log(u)] - log(E[u])).

And sum(p log(p / q)), where the p and the q have the same sum, is `Beyond` that: where all are near each other, the sum
of p log(p / q) - p + q, terms of which none is negative; log(E[u]) - E[log(u)] is that of p = E[u] and q = u.

That of shares of exponentials is a `Divergence`, known by their logarithms. sum((p - q) log(p / q)) is two of these.

On the left terms that are nearly equal leave only their rounding errors; on the right nothing is subtracted but numbers
from elements of a row. Other factors may stand before both terms, and other terms beside them.

Worked example, a variance: from `y = mean(x**2) - mean(x)**2`,

    y = sum((x - sum_x / n)**2) / n
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.share_words import Beyond
from nngrad.codegen.algebra.symbols import AxisSum, Divergence, Pick, Value, is_constant_along, split_constants
from nngrad.codegen.rewriting.restage import again, inlined, rebuilt, recorder_of
from nngrad.codegen.trace import Formula, Recorder, Stage


def sum_deviations(formula: Formula) -> Formula:
    """Apply the rules wherever terms are added in a formula."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = before = stage.expr.xreplace(renamed)
        for axis in sorted(formula.axes):
            expr = expr.replace(sympy.Add, _Row(recorder, axis).added)
            expr = expr.replace(words.arccos.build, _Row(recorder, axis).arc)
        if stage.kind == "sum" and (divergence := _divergence(recorder, stage, expr)) is not None:
            renamed[stage.value] = recorder.stage(divergence, "map", "", stage.value.name)
            continue
        if expr != before:
            expr = recorder.hoist(expr, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _divergence(recorder: Recorder, stage: Stage, expr):
    """sum(c p log(p / q)) in terms of a `Divergence`, or None."""
    row = _Row(recorder, stage.axis)
    for logarithm, sign in product(sympy.Mul.make_args(expr), (1, -1)):
        factor, share = split_constants(sign * expr / logarithm, stage.axis)
        if share.is_Add:
            parts = [_divergence(recorder, stage, sign * factor * term * logarithm) for term in share.args]
            if None not in parts:
                return sympy.Add(*parts)
        ratio = sympy.exp(-sign * inlined(logarithm, recorder.stages))
        if isinstance(share, Value) and (beyond := row.beyond_total(share, ratio, sign * logarithm)) is not None:
            return factor * beyond
        if isinstance(share, Value) and row.sums_to_one(share) and row.sums_to_one(ratio * share):
            made = recorder.stage(sign * logarithm, "map", "", "log_ratio")
            total = recorder.stage(share * made, "sum", stage.axis, stage.value.name)
            name = f"divergence_of_{share}"
            return factor * recorder.stage(Divergence(total, Str(stage.axis), share, made), "map", "", name)
    return None


@dataclass
class _Row:
    """What the stages so far say of sums along one axis."""

    recorder: Recorder
    axis: str

    def added(self, *terms):
        """The sum of terms, where as many pairs as can be are one term if all are constant along the axis."""
        total = sympy.Add(*terms)
        for one, other in permutations(total.args if is_constant_along(total, self.axis) else (), 2):
            made = self.moment(one, other) or self.excess(one, other) or self.angle(one, other)
            made = made or self.difference(one, other) or self.unit_angle(one, other)
            made = made or self.concavity(one, other) or self.complement(one, other)
            if made:
                return self.added(total - one - other, made)
            last, square = self.square(one, other)
            third = next((term for term in total.args if square is not None and self._spelled(term) == last), None)
            if third is not None:
                return self.added(total - one - other - third, square)
        return total

    def moment(self, one, other):
        """c E[u v] - c E[u] E[v], or None."""
        (k, products), (minus, factors) = self._sums_in(one), self._sums_in(other)
        if (len(products), len(factors)) != (1, 2):
            return None
        a, b = (stage.expr for stage in factors)
        total, weights = self._weights(-minus / k * a * b / products[0].expr)
        if total is None:
            return None
        deviations = [stage.expr / weights - total * stage.value for stage in factors]
        return -minus / total * self._sum(weights * sympy.Mul(*deviations))

    def excess(self, one, other):
        """c max(u) - c E[u], or None."""
        reduced = [stage for stage in self.recorder.stages if stage.value in sympy.Mul.make_args(one)]
        extremes = [stage for stage in reduced if stage.kind in ("max", "min") and stage.axis == self.axis]
        minus, sums = self._sums_in(other)
        if len(sums) != 1 or len(extremes) != 1:
            return None
        (extreme,) = extremes
        k = one / extreme.value
        total, weights = self._weights(-minus / k * sums[0].expr / extreme.expr)
        if total is None:
            return None
        return k * total * self._sum(weights * (extreme.value - extreme.expr))

    def difference(self, one, other):
        """c sum(u) - c sum(v), or None. Exponentials are summed by themselves."""
        (k, first), (minus, second) = self._sums_in(one), self._sums_in(other)
        terms = [stage.expr for stage in (*first, *second)]
        if (len(first), len(second)) != (1, 1) or k + minus != 0 or not all(isinstance(term, Value) for term in terms):
            return None
        if any(inlined(term, self.recorder.stages).has(sympy.exp) for term in terms):
            return None
        return k * self._sum(terms[0] - terms[1])

    def angle(self, one, other):
        """c |u| |v| - c sum(u v), or both added, or None."""
        for sign, u, v in self._directions(self._spelled(one), other):
            return one / 2 * self._sum((u + sign * v) ** 2)
        return None

    def unit_angle(self, one, other):
        """c - k sum(u v), where sum(u**2) and sum(v**2) are c / k by the definitions of u and v, or None."""
        k, sums = self._sums_in(-other)
        factors = sums[0].expr.args if len(sums) == 1 and sums[0].expr.is_Mul else ()
        if one.atoms(Value) or k.atoms(Value) or len(factors) != 2 or not all(isinstance(f, Value) for f in factors):
            return None
        u, v = factors
        if any(sympy.cancel(self._spelled_total(part**2) * k - one) != 0 for part in factors):
            return None
        return k / 2 * self._sum((u - v) ** 2)

    def concavity(self, one, other):
        """c log(E[u]) - c E[log(u)], or None."""
        logarithms = [f for f in sympy.Mul.make_args(self._spelled(one)) if isinstance(f, sympy.log)]
        minus, sums = self._sums_in(other)
        if len(sums) != 1 or len(logarithms) != 1:
            return None
        (mean,), c = logarithms[0].args, self._spelled(one) / logarithms[0]
        for logarithm in sympy.Mul.make_args(inlined(sums[0].expr, self.recorder.stages)):
            if isinstance(logarithm, sympy.log):
                (u,) = logarithm.args
                total, weights = self._weights(-minus / c * inlined(sums[0].expr, self.recorder.stages) / logarithm)
                if total is not None and sympy.cancel(total * self._total(weights * u) - mean) == 0:
                    mean, u = map(self.recorder.hoist, (mean, u))
                    gap = self._sum(-weights * self.recorder.hoist(sympy.log(u / mean)))
                    beyond = Beyond(gap, Str(self.axis), 1 / total, weights / mean, mean, u)
                    return c * total * self.recorder.stage(beyond, "map", "", "beyond")
        return None

    def complement(self, one, other):
        """c - c exp(E[log(u)]) / E[u], or None."""
        factors = [factor.as_base_exp() for factor in sympy.Mul.make_args(self._spelled(-other / one))]
        exponents = [
            power.exp for power in (base**exponent for base, exponent in factors) if isinstance(power, sympy.exp)
        ]
        others = [base**-exponent for base, exponent in factors if not isinstance(base**exponent, sympy.exp)]
        if len(exponents) != 1 or not others or one.atoms(Value):
            return None
        gap = self.concavity(sympy.log(sympy.Mul(*others)), -exponents[0])
        return None if gap is None else -one * words.expm1(-gap)

    def beyond_total(self, share, ratio, logarithm):
        """sum(p log(p / q)), where p and q = p ratio are no shares of exponentials and have the same sum, or None."""
        others = sympy.cancel(share * ratio)
        total = self._total(share)
        if others.has(sympy.exp) or not isinstance(total, Value) or sympy.cancel(self._total(others) - total) != 0:
            return None
        summed = self._sum(share * self.recorder.hoist(logarithm))
        beyond = Beyond(summed, Str(self.axis), total, sympy.S.One, share, self.recorder.hoist(others))
        return self.recorder.stage(beyond, "map", "", "beyond")

    def arc(self, cosine):
        """The angle whose cosine is given."""
        for sign, u, v in self._directions(sympy.S.One, cosine):
            apart, together = (
                self.recorder.stage(u + s * v, "map", "", name) for s, name in ((-sign, "apart"), (sign, "joined"))
            )
            lengths = [sympy.sqrt(self._sum(one**2)) for one in (apart, together)]
            return self.recorder.hoist(2 * words.arctan2(*lengths))
        return words.arccos(cosine)

    def _directions(self, whole, other):
        """(sign, u / |u|, v / |v|) such that whole / other is sign * |u| |v| / sum(u v), if there are such."""
        k, sums = self._sums_in(other)
        lengths = {stage.expr: sympy.sqrt(stage.value) for stage in self._sums()}
        constant, product = split_constants(sums[0].expr, self.axis) if len(sums) == 1 else (k, sympy.S.One)
        k *= self._spelled(constant)
        for a in sorted(product.atoms(Value), key=str):
            b = product / a
            if not b.has(a) and {a**2, b**2} <= lengths.keys():
                sign = sympy.expand_power_base(whole / k, force=True) / (lengths[a**2] * lengths[b**2])
                if sign in (1, -1):
                    yield sign, self._unit(a, lengths), self._unit(b, lengths)

    def square(self, one, other):
        """c sum(v**2) and c sum((u + v)**2), given c sum(u**2) and 2 c sum(u v), or (None, None)."""
        (k, squares), (twice, products) = self._sums_in(one), self._sums_in(other)
        powers = [factor.as_base_exp() for stage in squares for factor in sympy.Mul.make_args(stage.expr)]
        if (len(squares), len(products)) != (1, 1) or not all(exponent.is_even for _, exponent in powers):
            return None, None
        u = sympy.Mul(*(base ** (exponent / 2) for base, exponent in powers))
        v = twice / k / 2 * products[0].expr / u
        third = self._spelled(k * self._total(v**2))
        pick = next(iter(v.atoms(Pick)), None)
        if pick is None or products[0].expr != pick * u:
            return third, k * self._sum((u + v) ** 2)
        are_others = self.recorder.stage(1 - pick, "map", "", "are_others")
        return third, k * (self._sum(are_others * u**2) + (products[0].value + v / pick) ** 2)

    def _unit(self, part, lengths) -> Value:
        """A row divided by its length."""
        return self.recorder.stage(part / self.recorder.hoist(lengths[part**2]), "map", "", f"unit_{part}")

    def _weights(self, product):
        """(c, w) such that the product is c w, c constant along the axis and w varying, and all of it sums to 1."""
        weights = sympy.cancel(product)
        if self._total(weights) != 1 and self._total(weights.xreplace(self._definitions())) != 1:
            return None, None
        return split_constants(weights, self.axis)

    def sums_to_one(self, expr) -> bool:
        """Whether this is known of an expression, with all definitions put in."""
        known = {AxisSum(inlined(one.expr, self.recorder.stages), Str(self.axis)): one.value for one in self._sums()}
        return AxisSum(sympy.cancel(inlined(expr, self.recorder.stages)), Str(self.axis)).xreplace(known) == 1

    def _total(self, expr):
        """The sum of an expression along the axis, in known sums."""
        known = {AxisSum(stage.expr, Str(self.axis)): stage.value for stage in self._sums()}
        return AxisSum(expr, Str(self.axis)).xreplace(known)

    def _spelled_total(self, expr):
        """The sum of an expression along the axis, with all definitions put in."""
        stages = self.recorder.stages
        totals = {one.value: AxisSum(inlined(one.expr, stages), Str(self.axis)) for one in self._sums()}
        total = AxisSum(inlined(expr, stages), Str(self.axis))
        for value in reversed(totals):
            total = total.xreplace({value: totals[value]})
        return total

    def _sum(self, expr) -> Value:
        return self.recorder.stage(expr, "sum", self.axis, "sum_")

    def _sums_in(self, term):
        """(k, stages) such that the term is k times the product of these sums along the axis."""
        k, sums = sympy.S.One, []
        made = {stage.value: stage for stage in self._sums()}
        for factor in sympy.Mul.make_args(self._spelled(term)):
            base, exponent = factor.as_base_exp()
            if base in made and exponent.is_Integer and exponent > 0:
                sums += [made[base]] * int(exponent)
            else:
                k *= factor
        return k, sums

    def _sums(self) -> list[Stage]:
        return [stage for stage in self.recorder.stages if (stage.kind, stage.axis) == ("sum", self.axis)]

    def _definitions(self) -> dict[Value, sympy.Expr]:
        return {stage.value: stage.expr for stage in self.recorder.stages if stage.kind == "map"}

    def _spelled(self, term):
        """A term in terms of reductions, as far as it is constant along the axis."""
        for stage in reversed(self.recorder.stages):
            if stage.kind == "map" and is_constant_along(stage.value, self.axis):
                term = term.xreplace({stage.value: stage.expr})
        return term
