"""Stage 5: the choice among forms: the cheapest of those that are accurate.

What a kernel computes, the value and the derivative with respect to each input, has several forms: those that algebra
finds, those with fractions of exponentials made stable, and those kept exact in a tail. Of elementwise formulas they
are judged (`elementwise`), and by these a sum of a function of elements is mended where it loses digits as it stands.
Other forms of reductions are chosen by cost alone: their accuracy comes from rewriting the formula.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy

from nngrad.codegen.algebra.symbols import Count, Value
from nngrad.codegen.chosen import Chosen, Tried
from nngrad.codegen.derive import Derivatives, derive, lift_where
from nngrad.codegen.elementwise import Selection
from nngrad.codegen.forms import FEW_FORMS, Search
from nngrad.codegen.judging.rounding import Judge
from nngrad.codegen.rewrite import rewrite
from nngrad.codegen.rewriting.ratios import with_differences_of_shares
from nngrad.codegen.rewriting.restage import inlined
from nngrad.codegen.rules.balance import balanced
from nngrad.codegen.rules.terms import SumOfTerms, sum_of_terms
from nngrad.codegen.trace import Formula


def choose_forms(
    name: str, derivatives: Derivatives, written: Formula, params: dict[str, float], output_is_residual: bool
) -> tuple[Chosen, list[Tried]]:
    """The forms to compute, and all that were tried.

    `name` begins the names of series. `written` is the formula before rewriting, `params` numbers to try for its
    parameters. `output_is_residual` says whether backward gets the formula's output for nothing (a reduced loss does
    not keep it).
    """
    search = Search(derivatives.formula, output_is_residual)
    search.learn()
    vjp = search.best_together(list(derivatives.vjp.values()))
    jvp = search.best_together(list(derivatives.jvp.values()), search.saved(vjp))
    smooth = replace(
        derivatives,
        vjp=dict(zip(derivatives.vjp, vjp, strict=True)),
        jvp=dict(zip(derivatives.jvp, jvp, strict=True)),
    )
    if (terms := _chosen_by_terms(name, smooth, written, params)) is not None:
        return terms
    if derivatives.formula.axes or not derivatives.vjp:
        tried = [
            Tried(f"d{value.name}", form, search.cost(form), None)
            for value, expr in derivatives.vjp.items()
            for form in search.forms(expr)[:FEW_FORMS]
        ]
        vjp, jvp = (
            {value: search.with_deviations(search.with_zeros_of_rows(form)) for value, form in forms.items()}
            for forms in (smooth.vjp, smooth.jvp)
        )
        vjp, jvp = (with_differences_of_shares(forms, derivatives.formula) for forms in (vjp, jvp))
        return Chosen(smooth, derivatives.formula.output, balanced(vjp, written, derivatives.formula), jvp), tried
    return Selection(smooth, derivatives, search, Judge(written, derivatives.formula, params), name).chosen()


def _chosen_by_terms(
    name: str, derivatives: Derivatives, written: Formula, params: dict[str, float]
) -> tuple[Chosen, list[Tried]] | None:
    """The same for a sum of a function of elements: what loses digits as it stands by the forms of that function."""
    known, given = map(sum_of_terms, (written, derivatives.formula))
    if known is None or given is None or not derivatives.vjp:
        return None
    return _TermByTerm(derivatives, known, given, Judge(known.term, given.term, params)).chosen(name, params)


@dataclass(frozen=True)
class _TermByTerm:
    """The choice for a sum of a function of elements, of which `known` is how it was written, `given` what it became.

    The `judge` is that of the function.
    """

    derivatives: Derivatives
    known: SumOfTerms
    given: SumOfTerms
    judge: Judge

    def chosen(self, name: str, params: dict[str, float]) -> tuple[Chosen, list[Tried]] | None:
        """What is chosen, if anything loses digits as it stands."""
        output, slopes = self.derivatives.formula.output, _slopes(self.derivatives, self.derivatives.vjp)
        as_it_stands = {of: self._of_one_element(form) for of, form in slopes.items()}
        most = {of: self._lost(of, form) for of, form in {output: self.given.term.output, **as_it_stands}.items()}
        if not any(most.values()):
            return None
        term = rewrite(self.known.term)
        own = derive(term, frozenset(value.name for value in self.derivatives.vjp))
        chosen, tried = choose_forms(name, own, self.known.term, params, output_is_residual=False)
        self.judge.series.update(chosen.series)
        value, forms = inlined(chosen.value, term.stages), _slopes(own, chosen.vjp)
        better = {of for of, form in {output: value, **forms}.items() if self._lost(of, form) < most[of]}
        vjp, jvp = self._with(better, forms)
        vjp_again, jvp_again = self._with(better, _slopes(own, chosen.derivatives.vjp))
        again = replace(self.derivatives, vjp=vjp_again, jvp=jvp_again)
        mended = self.known.value(value) if output in better else output
        return Chosen(again, mended, vjp, jvp, series=chosen.series), tried

    def _of_one_element(self, form) -> sympy.Expr:
        """A mean's slope as that of its term: the number of elements may stand inside a choice."""
        return (form / self.given.factor).replace(Count, lambda _: sympy.S.One)

    def _lost(self, of: Value, form) -> int:
        is_value = of == self.derivatives.formula.output
        truth = self.judge.value() if is_value else self.judge.derivative(of.name)
        return self.judge.profile(form, truth, {}).lost

    def _with(self, better: set[Value], slopes: dict[Value, sympy.Expr]) -> tuple[dict, dict]:
        """Backward and forward derivatives of the sum, those by what is better made of slopes of the function."""
        known, cotangent, tangents = self.known, self.derivatives.cotangent, self.derivatives.tangents
        taken = {of: slope for of, slope in slopes.items() if of in better}
        vjp = {of: lift_where(known.factor * cotangent * slope) for of, slope in taken.items()}
        jvp = {of: known.factor * known.sum(lift_where(tangents[of] * slope)) for of, slope in taken.items()}
        return self.derivatives.vjp | vjp, self.derivatives.jvp | jvp


def _slopes(own: Derivatives, vjp: dict[Value, sympy.Expr]) -> dict[Value, sympy.Expr]:
    """Derivatives in terms of the inputs, without the cotangent."""
    plain = {own.cotangent: sympy.S.One}
    return {value: inlined(form, own.formula.stages).xreplace(plain) for value, form in vjp.items()}
