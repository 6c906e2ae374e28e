"""Stage 2a: small differences of sums along an axis become sums of small terms.

Weights w that sum to 1 along the axis make a mean E[t] = sum(w t), the plain one or that of probabilities. Then

- E[u v] - E[u] E[v] is E[(u - E[u]) (v - E[v])]: a variance, a covariance;
- max(u) - E[u] is E[max(u) - u], and so for min(u);
- |u| |v| - sum(u v) is |u| |v| sum((u / |u| - v / |v|)**2) / 2, where |u| is sqrt(sum(u**2)): 1 less a cosine.

On the left terms that are nearly equal leave only their rounding errors; on the right nothing is subtracted but numbers
from elements of a row. Other factors may stand before both terms, and other terms beside them.

Worked example, a variance: from `y = mean(x**2) - mean(x)**2`,

    y = sum((x - sum_x / n)**2) / n
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.restage import again, rebuilt, recorder_of
from nngrad.codegen.symbols import AxisSum, Value, is_constant_along, split_constants
from nngrad.codegen.trace import Formula, Recorder, Stage


def sum_deviations(formula: Formula) -> Formula:
    """Apply the rules wherever terms are added in a formula."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = before = stage.expr.xreplace(renamed)
        for axis in sorted(formula.axes):
            expr = expr.replace(sympy.Add, _Row(recorder, axis).added)
        if expr != before:
            expr = recorder.hoist(expr, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


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
            if made:
                return self.added(total - one - other, made)
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

    def angle(self, one, other):
        """c |u| |v| - c sum(u v), or both added, or None."""
        k, sums = self._sums_in(other)
        lengths = {stage.expr: sympy.sqrt(stage.value) for stage in self._sums()}
        for a in sums[0].expr.atoms(Value) if len(sums) == 1 else ():
            b = sums[0].expr / a
            if not b.has(a) and {a**2, b**2} <= lengths.keys():
                sign = self._spelled(one) / k / (lengths[a**2] * lengths[b**2])
                if sign in (1, -1):
                    return one / 2 * self._sum((self._unit(a, lengths) + sign * self._unit(b, lengths)) ** 2)
        return None

    def _unit(self, part, lengths) -> Value:
        """A row divided by its length."""
        return self.recorder.stage(part / self.recorder.hoist(lengths[part**2]), "map", "", f"unit_{part}")

    def _weights(self, product):
        """(c, w) such that the product is c w, c constant along the axis and w varying, and all of it sums to 1."""
        weights = sympy.cancel(product)
        if self._total(weights) != 1 and self._total(weights.xreplace(self._definitions())) != 1:
            return None, None
        return split_constants(weights, self.axis)

    def _total(self, expr):
        """The sum of an expression along the axis, in known sums."""
        known = {AxisSum(stage.expr, Str(self.axis)): stage.value for stage in self._sums()}
        return AxisSum(expr, Str(self.axis)).xreplace(known)

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
