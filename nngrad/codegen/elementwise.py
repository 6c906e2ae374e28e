"""Stage 5: the choice among the forms of an elementwise formula, by simulated rounding.

Forms are judged in order of their cost, and the first that is accurate is taken; where none is, the most accurate.

Rules that are differentiated again take the cheapest form, or if it comes to naught somewhere, one that does not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import inf

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.exp_words import with_quotients_of_expm1
from nngrad.codegen.algebra.remembered import slope
from nngrad.codegen.algebra.symbols import NearZero, Value, Where
from nngrad.codegen.algebra.texts import ByText, count_ops, text
from nngrad.codegen.chosen import TOO_LARGE, Chosen, Tried
from nngrad.codegen.derive import Derivatives, lift_where
from nngrad.codegen.forms import FEW_FORMS, LARGEST_GROWTH, Search
from nngrad.codegen.judging.errors import ACCURATE, REACHES, Error, Truth
from nngrad.codegen.judging.rounding import Judge
from nngrad.codegen.lower import Graph
from nngrad.codegen.rewriting import identities
from nngrad.codegen.rewriting.restage import inlined
from nngrad.codegen.rules import exponentials, piecewise
from nngrad.codegen.rules.again import SecondOrder, by_sides, has_cancelling_stages, in_ops
from nngrad.codegen.rules.equal import in_branches, rewritten
from nngrad.codegen.rules.far import with_far_forms, with_quotient_apart
from nngrad.codegen.rules.ordinary import Ordinariness, Ordinary
from nngrad.codegen.rules.poles import has_pole_at_zero, may_warn, slopes_of
from nngrad.codegen.rules.series import RADII, FarSeries, leading_terms_of_rational
from nngrad.codegen.rules.settled import with_ratios
from nngrad.codegen.rules.units import divided_in_turn, in_units_of_largest, over
from nngrad.codegen.trace import Formula

SETTLED = (2**6, 2**10)  # where exponentials, or those of a fraction of x, have long settled, but do not overflow
FAR = 2**60  # where powers have, and their squares do not overflow
SIMILAR = 1.25  # times the bad points of another form: no better
ENOUGH_FORMS = 4  # accurate ones to weigh against the forms of other derivatives
DEARER = 2.5  # times the cost of the cheapest good form, what one that is right at infinity may cost


@dataclass
class Selection:
    """The choice for one elementwise formula."""

    smooth: Derivatives
    raw: Derivatives
    search: Search
    judge: Judge
    name: str
    tried: list[Tried] = field(default_factory=list)
    keys: dict[sympy.Expr, tuple] = field(default_factory=dict)

    @property
    def formula(self) -> Formula:
        return self.smooth.formula

    def chosen(self) -> tuple[Chosen, list[Tried]]:
        output, cotangent = self.formula.output, self.smooth.cotangent
        whole = inlined(output, self.formula.stages)
        wholes = [*dict.fromkeys((whole, piecewise.simplified(whole)))]
        truths = {"y": self.judge.value()}
        (value, *_) = self._accurate("y", [output], wholes, sympy.S.One, truths["y"], self._of_quotients)
        candidates = []
        for source, raw in self.raw.vjp.items():
            known = self.search.forms(raw)[: 2 * FEW_FORMS]
            plain = [form.xreplace({cotangent: sympy.S.One}) for form in (raw, self.smooth.vjp[source])]
            wholes = [inlined(form, self.formula.stages) for form in plain]
            others = [form.diff(source) for form in self._of_quotients]
            truth = truths[f"d{source.name}"] = self.judge.derivative(source.name)
            inside = [piecewise.simplified(inlined(form, self.formula.stages)) for form in known if form.has(Where)]
            candidates.append(self._accurate(f"d{source.name}", [*known, *inside], wholes, cotangent, truth, others))
            self._choose_smooth_form(source, cotangent, truth, wholes[0])
        vjp = dict(zip(self.smooth.vjp, self.search.cheapest_together([*map(_forms, candidates)]), strict=True))
        jvp = {source: form.xreplace({cotangent: self.smooth.tangents[source]}) for source, form in vjp.items()}
        taken = {"y": value.form, **{f"d{source.name}": form for source, form in vjp.items()}}
        errors = {one.of: one.error for one in self.tried if taken[one.of] == one.form}
        used = {part.args[1].name for form in (value.form, *vjp.values()) for part in form.atoms(NearZero)}
        series = {name: one for name, one in self.judge.series.items() if name in used}
        chosen = Chosen(self.smooth, value.form, vjp, jvp, errors, series)
        if chosen.is_wide:
            chosen = replace(chosen, errors=dict(self._wide_errors(taken, errors, truths, cotangent)))
        return replace(chosen, ordinary=self._ordinary(chosen, truths)), self.tried

    def _wide_errors(self, taken: dict[str, sympy.Expr], errors: dict[str, Error], truths: dict[str, Truth], cotangent):
        """The errors by name, with what is left of them where short floats are computed in float64."""
        are_kept = all(self._is_kept(form, cotangent) for of, form in taken.items() if of != "y")
        for of, error in errors.items():
            if of == "y" or are_kept:
                directions = {} if of == "y" else {cotangent: 1.0}
                wide = self.judge.error(taken[of], truths[of], directions, is_wide=True)
                error = replace(error, beyond=wide.beyond)
            yield of, error

    def _ordinary(self, chosen: Chosen, truths: dict[str, Truth]) -> Ordinary | None:
        """Shorter forms for inputs of ordinary size, if there are any."""
        output, cotangent, stages = self.formula.output, self.smooth.cotangent, self.formula.stages
        slopes = slopes_of(chosen.vjp, cotangent)
        if not slopes or not self.search.output_is_residual:
            return None

        def whole(form):
            return inlined(form.xreplace({cotangent: sympy.S.One}), stages)

        if any(map(has_pole_at_zero, slopes.values())):  # forward is not to compute them
            slopes = {}
        plain = {of: [whole(one.form) for one in self.tried if one.of == of] for of in {one.of for one in self.tried}}
        wholes = [whole(output), *(whole(self.raw.vjp[source]) for source in slopes)]
        names = ["y", *(f"d{source.name}" for source in slopes)]
        lists, exact = ([known[name] for name in names] for known in (plain, truths))
        defaults = self.judge.defaults if any(expr.has(Where) for expr in wholes) else {}
        full, sources = [chosen.value, *slopes.values()], tuple(slopes)
        for given in ({}, defaults) if defaults else ({},):
            search = Ordinariness(self.judge, wholes, full, lists, sources, exact, given, chosen.is_wide)
            if ordinary := search.found():
                return ordinary
        return None

    @cached_property
    def _of_quotients(self) -> list[sympy.Expr]:
        """The formula with x / expm1(x) and the like as words, if it has some: these and their slopes stay in range."""
        whole = inlined(self.formula.output, self.formula.stages)
        made = with_quotients_of_expm1(whole)
        return [made] if made != whole else []

    def _choose_smooth_form(self, source: Value, cotangent: Value, truth: Truth, whole: sympy.Expr) -> None:
        """A smooth form that loses all digits somewhere, or whose derivatives do, gives way to one that does not.

        `whole` is the derivative in terms of the inputs, without the cotangent.
        """
        taken = self.smooth.vjp[source]
        known = [one for one in self.tried if one.of == f"d{source.name}"]
        tried = sorted(_forms(known), key=self._key)
        clamped = [next(identities.clamped(taken, self.formula, SETTLED[-1]))] if len(self.formula.inputs) == 1 else []
        seen, stages = {None}, self.formula.stages
        if self.judge.has_scales:
            clamped = list(self.judge.clamped_by_scale(inlined(taken, stages), SETTLED[-1]))

        def again(forms) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
            for form in forms:
                plain = form.xreplace({cotangent: sympy.S.One})
                made = in_ops(inlined(plain, stages))
                if made not in seen:
                    seen.add(made)
                    yield cotangent * made if has_cancelling_stages(plain, stages) else form, made

        cheap = itertools.islice(again(itertools.chain([taken], map(by_sides, (*clamped, *tried)))), FEW_FORMS)
        exact = itertools.islice(again(map(by_sides, _forms(self._from_best(known)))), ENOUGH_FORMS)
        second = SecondOrder(self.judge, whole, tuple(self.smooth.vjp), truth)
        plain, same = itertools.tee(self._best_in_ops(known, cotangent))
        near_zero, near = itertools.tee(self._smooth_near_zero(source, cotangent, second, plain))
        right, wrong = [], []
        for pair in itertools.chain(cheap, exact):
            (right if self._is_right_twice(source, pair[1]) else wrong).append(pair)
        of_quotients = again(cotangent * form.diff(source) for form in self._of_quotients)
        either = itertools.chain(same, (form for _, form in near))
        far_out = self._smooth_far_out(source, cotangent, second, either)
        best = second.best(itertools.chain(right, of_quotients, near_zero, far_out, wrong))
        tangent = self.smooth.tangents[source]
        self.smooth = replace(
            self.smooth,
            vjp=self.smooth.vjp | {source: best},
            jvp=self.smooth.jvp | {source: best.xreplace({cotangent: tangent})},
        )

    def _smooth_near_zero(
        self, source: Value, cotangent: Value, second: SecondOrder, forms: Iterable
    ) -> Iterator[tuple]:
        """The one of some forms that keeps its derivatives' digits but near zero, replaced there by a polynomial."""
        if not self._may_have_series:
            return
        limit = RADII[-1]
        (_, reach), _, form = min((second.losses(one, limit), place, one) for place, one in enumerate(forms))
        series = self.judge.fitted(source.name, reach) if reach else None
        if series is not None:
            form = self.judge.near_zero_again(source.name, series, form)
        yield cotangent * form, form

    def _smooth_far_out(self, source: Value, cotangent: Value, second: SecondOrder, forms: Iterable) -> Iterator[tuple]:
        """The one that keeps its digits farthest out, with a polynomial in 1 / x beyond, or what it tends to apart."""
        if not self._may_have_series:
            return
        made = [*forms]
        argument, _, k = self.judge.scaled
        for form in made:
            if (apart := with_quotient_apart(form, argument)) is not None:
                form = Where(words.abs(with_ratios(k * argument)) > 1, apart, form)
                yield cotangent * form, form
        made = enumerate(dict.fromkeys([*made, *map(by_sides, made)]))
        distance, _, form = max((second.distance_of_losses(one), -place, one) for place, one in made)
        series = self.judge.fitted_far(source.name, distance)
        if any(series):
            form = self.judge.far_out(source.name, series, FarSeries.polynomial, form)
            yield cotangent * form, form

    def _best_in_ops(self, tried: list[Tried], cotangent: Value) -> Iterator[sympy.Expr]:
        """The few best forms of a derivative as rules over Tensors compute them."""
        ranked = self._from_best(tried)
        plain = (inlined(one.form.xreplace({cotangent: sympy.S.One}), self.formula.stages) for one in ranked)
        yield from itertools.islice(filter(None, map(in_ops, dict.fromkeys(plain))), FEW_FORMS)

    def _accurate(self, of: str, known, wholes, cotangent, truth: Truth, others) -> list[Tried]:
        """The cheapest accurate forms; where there is none, those that only magnify an input's rounding, or the best.

        `known` are forms that algebra found, `wholes` the same in terms of the inputs, without the cotangent, and
        `others` too, which are dearer.
        """
        directions = {cotangent: 1.0} if cotangent != 1 else {}
        longest = LARGEST_GROWTH * (min(map(count_ops, wholes)) + 16)

        def is_fit(form) -> bool:
            return count_ops(form) <= longest and not form.has(sympy.I)  # the logarithm of -1

        def judged(forms: Iterable[sympy.Expr]) -> list[Tried]:
            """The forms up to the first few that are accurate, most accurate last."""
            done, accurate = [], 0
            for form in sorted(filter(is_fit, dict.fromkeys(forms)), key=self._key):
                one = Tried(of, form, self._key(form)[0], self.judge.error(form, truth, directions))
                done.append(one)
                accurate += one.error.ulp <= ACCURATE
                if accurate >= ENOUGH_FORMS:
                    break
            self.tried += done
            return done

        stable = [cotangent * form for expr in wholes for form in rewritten(expr)]
        tried = judged([*known, *stable])
        if all(one.error.ulp > ACCURATE for one in tried) and not self.judge.has_parameters:  # times x they overflow
            tried += judged(cotangent * form for expr in others for form in rewritten(expr))
        # counting powers of two apart is dear, but wanted of one input: it is silent where the product overflows
        dear = (exponentials.times_exp.build,) if len(self.formula.inputs) > 1 else ()
        if all(one.error.ulp > ACCURATE or one.form.has(*dear) for one in tried):
            distinct: dict[str, sympy.Expr] = {}
            for form in (one.form.xreplace({cotangent: sympy.S.One}) for one in self._from_best(tried)):
                distinct.setdefault(text(form), form)
            plain = [*distinct.values()][:ENOUGH_FORMS]
            tails = next(filter(None, (list(exponentials.tails(expr)) for expr in wholes)), [])
            tried += judged(cotangent * exponentials.with_tails(form, tails) for form in plain if tails)
            growths = next(filter(None, (list(exponentials.growths(expr)) for expr in wholes)), [])
            grown = [(form, exponentials.with_growths(form, growths)) for form in plain]
            tried += judged(cotangent * made for form, made in grown if made != form)
        if all(one.error.ulp > ACCURATE for one in tried):
            forms = dict.fromkeys(one.form.xreplace({cotangent: sympy.S.One}) for one in self._from_best(tried))
            whole = [inlined(form, self.formula.stages) for form in itertools.islice(forms, ENOUGH_FORMS)]
            tried += judged(cotangent * form for expr in whole for form in in_branches(expr, divided_in_turn))
        if all(one.error.ulp > ACCURATE for one in tried):
            counted = partial(in_units_of_largest, number=self.judge.number)
            tried += judged(cotangent * form for expr in wholes for form in in_branches(expr, counted))
        if all(one.error.ulp > ACCURATE for one in tried):
            tried += judged(self._clamped(of, tried, cotangent))
        if all(one.error.ulp > ACCURATE for one in tried):
            tried += judged(self._with_leading_terms(of, tried, cotangent))
        if all(one.error.ulp > ACCURATE for one in tried):
            tried += judged(self._with_series(of, tried, cotangent))
        if all(one.error.ulp > ACCURATE for one in tried):
            tried += judged(self._with_far_series(of, tried, cotangent, truth))

        def rank(one: Tried, at_infinity: bool = False) -> tuple:
            astray = one.error.astray if at_infinity else 0
            return one.error.wrong, one.error.bad, astray, one.error.ulp, self._key(one.form)

        good = _good(tried)
        best = good or [min(tried, key=rank)]
        is_astray = all(one.error.astray for one in best) and not self._refinements(best[0].form, cotangent)
        if is_astray:
            tried += judged(self._finite(best))
            good = self._right_at_infinity(_good(tried))
        if of == "y" and all(one.error.ulp > ACCURATE for one in tried):
            right = [one for one in tried if not one.error.wrong and one.error.ulp < inf]
            cheapest = min(right, key=lambda one: one.cost, default=None)
            if cheapest and "refined" in self._refinements(cheapest.form, cotangent):  # then more steps win nothing
                return [cheapest]
        if good:
            return sorted(good, key=lambda one: self._key(one.form))
        ranked = sorted(tried, key=lambda one: rank(one, at_infinity=is_astray))
        if ranked[0].error.ulp <= TOO_LARGE:
            return ranked[:1]

        def is_good_in_float64(one: Tried) -> bool:
            is_wide = of == "y" or self._is_kept(one.form, cotangent)
            return is_wide and not self.judge.error(one.form, truth, directions, is_wide=True).bad

        return [next(filter(is_good_in_float64, ranked), ranked[0])]

    def _is_kept(self, form, cotangent) -> bool:
        """Whether forward may compute the slope, in float64 if need be; backward computes with what it is given."""
        return not (self._raw_may_warn or self._may_warn(form, cotangent))

    @cached_property
    def _raw_may_warn(self) -> bool:
        return any(self._may_warn(form, self.raw.cotangent) for form in self.raw.vjp.values())

    def _may_warn(self, form, cotangent) -> bool:
        return may_warn(form.xreplace({cotangent: sympy.S.One}), self.formula.output)

    def _clamped(self, of: str, tried: list[Tried], cotangent) -> Iterator[sympy.Expr]:
        """The forms with quotients that may overflow, and those that only overflow, and the best one, whose errors near
        zero a series may mend, with inputs kept to where the result has long settled.
        """
        nearest = 0 if self.judge.is_periodic else SETTLED[0]
        ranked = [one for one in self._from_best(tried) if not one.form.has(over.build)]
        for one in ranked[:ENOUGH_FORMS]:
            whole = inlined(one.form.xreplace({cotangent: sympy.S.One}), self.formula.stages)
            yield cotangent * with_ratios(whole)
        far = [one for one in ranked if one.error.overflow > nearest or (self._may_have_series and one is ranked[0])]
        for one in far[:ENOUGH_FORMS]:
            whole = inlined(one.form, self.formula.stages)
            limits = (*SETTLED, FAR) if whole.has(*exponentials.MADE_OF_EXPONENTIALS) else (FAR,)
            if self.judge.is_periodic:  # unless it is damped
                limits = (*SETTLED, sympy.oo) if whole.has(*exponentials.MADE_OF_EXPONENTIALS) else (sympy.oo,)
            elif one.error.overflow == inf:
                limits = (*limits, sympy.oo)
            for limit in limits:
                is_by_scale = self.judge.has_scales and limit in SETTLED
                of_scale = self.judge.clamped_by_scale
                forms = of_scale(whole, limit) if is_by_scale else identities.clamped(whole, self.formula, limit)
                yield from (form for form in forms if self._is_right_beyond(of, form, limit, cotangent))
            in_range = identities.logarithm_in_range(whole, FAR)
            yield in_range
            yield identities.with_finite_factors(in_range, self.formula.inputs)

    def _is_right_beyond(self, of: str, form, limit, cotangent) -> bool:
        """Whether a form that keeps its input within a limit is right beyond it, in float64 too."""
        if len(self.formula.inputs) > 1 or limit == sympy.oo:
            return True
        made = in_ops(inlined(form.xreplace({cotangent: sympy.S.One}), self.formula.stages))
        names = tuple(filter(None, [_differentiated_by(of)]))
        return made is None or self.judge.is_right_beyond(names, made, limit)

    def _is_right_twice(self, source: Value, form) -> bool:
        """Whether a form of a derivative, and its derivative, are right beyond limits to which it keeps the input."""
        if len(self.formula.inputs) > 1 or not form.has(words.clip.build):
            return True
        names, bend = (source.name,), lift_where(slope(form, source))
        return all(
            self.judge.is_right_beyond(names, form, limit) and self.judge.is_right_beyond(2 * names, bend, limit)
            for limit in (SETTLED[-1], FAR)
        )

    def _finite(self, tried: list[Tried]) -> Iterator[sympy.Expr]:
        """The forms with finite numbers in place of infinite inputs, of one or of all: everywhere, or in factors."""
        inputs = self.formula.inputs
        for one in tried[:ENOUGH_FORMS]:
            form = inlined(one.form, self.formula.stages)
            for values in (*((value,) for value in inputs), inputs):
                yield identities.with_finite_factors(form, values)
                yield form.xreplace({value: words.finite(value) for value in values})

    def _right_at_infinity(self, tried: list[Tried]) -> list[Tried]:
        """Those of some forms that are wrong at the fewest points at infinity, of those that cost little more."""
        cheapest = min((one.cost for one in tried), default=0)
        affordable = [one for one in tried if one.cost <= DEARER * cheapest]
        least = min((one.error.astray for one in affordable), default=0)
        return [one for one in affordable if one.error.astray == least]

    def _refinements(self, form, cotangent) -> set[str]:
        """The operations by which kernels compute parts of the form with more digits than the judge knows of."""
        known = {value: value.name for value in (*self.formula.inputs, *cotangent.free_symbols)}
        graph = Graph(self.formula, known, doubles=True, refines=True)
        graph.build(form)
        return {node.op for node in graph.nodes} & {"refined", "of_doubled"}

    def _with_leading_terms(self, of: str, tried: list[Tried], cotangent) -> Iterator[sympy.Expr]:
        """The forms whose powers overflow far from zero, replaced there by the leading term, by one in 1 / x, or by one
        whose powers have met.
        """
        argument = self.judge.argument
        limited = (words.clamped.build, words.finite.build)
        if len(self.formula.inputs) == 1:
            for one in (one for one in self._from_best(tried)[:FEW_FORMS] if not one.form.has(*limited)):
                near = inlined(one.form, self.formula.stages).xreplace({cotangent: sympy.S.One})
                rule = partial(with_far_forms, x=argument, settled=SETTLED[-1], number=self.judge.number)
                for form in in_branches(near, rule):
                    if self._is_right_beyond(of, form, SETTLED[-1], cotangent):
                        yield cotangent * form
        plain = [one.form for one in tried if one.error.overflow > FAR and not one.form.has(*limited)]
        if argument is None or self.judge.is_periodic or not plain:
            return
        if self.judge.has_parameters:
            wholes = [inlined(form, self.formula.stages).xreplace({cotangent: sympy.S.One}) for form in plain]
            right, left = next(filter(None, (leading_terms_of_rational(one, argument) for one in wholes)), (None, None))
        else:
            right, left = self.judge.leading_terms(_differentiated_by(of))
        if right is None or left is None:
            return
        (a, power), (b, other), size = right, left, words.abs(argument)
        if left == right:
            far = a * size**power
        elif left == (a * (-1) ** power, power):
            far = a * argument**power
        else:
            far = Where(argument > 0, a * size**power, b * size**other)
        for form in plain:
            near = inlined(form, self.formula.stages).xreplace({cotangent: sympy.S.One})
            near = near.xreplace({argument: words.clamped(argument, FAR)})
            yield cotangent * Where(size >= FAR, far, near)  # NaN is not far

    @property
    def _may_have_series(self) -> bool:
        """Whether the formula is one function of one number, but for scales."""
        return self.judge.scaled is not None

    def _with_series(self, of: str, tried: list[Tried], cotangent) -> Iterator[sympy.Expr]:
        """The form that is accurate nearest to zero, replaced there by a series."""
        by, name = _differentiated_by(of), f"{self.name}_{of}_near_zero".upper()
        if not self._may_have_series:
            return
        for level in range(len(REACHES)):
            nearest = min(tried, key=lambda one: (one.error.far, one.error.reach[level], self._key(one.form)))
            series = self.judge.fitted(by, nearest.error.reach[level])
            if series is not None:
                self.judge.series[name] = series
                form = nearest.form.xreplace({cotangent: sympy.S.One})
                yield cotangent * self.judge.near_zero(by, lambda x: NearZero(x, Str(name)), form, series.radius)
                return

    def _with_far_series(self, of: str, tried: list[Tried], cotangent, truth: Truth) -> Iterator[sympy.Expr]:
        """The form that is accurate farthest out, replaced beyond that by series in 1 / x."""
        by, name = _differentiated_by(of), f"{self.name}_{of}_far_out".upper()
        if not self._may_have_series:
            return
        directions = {cotangent: 1.0} if cotangent != 1 else {}
        profiles = [self.judge.profile(one.form, truth, directions) for one in tried]
        series = (None, None)
        for level in (2.0, ACCURATE):
            distances = [self.judge.distance_of_losses(one, level) for one in profiles]
            distance, _, form = max((far, -place, tried[place].form) for place, far in enumerate(distances))
            if not any(series) and 0 < distance < inf:
                series = self.judge.fitted_far(by, distance)
        if not any(series):
            return

        def polynomial(one: FarSeries, _, size):
            side = name if one is series[0] else f"{name}_LEFT"
            self.judge.series[side] = one.series
            return one.limit + size**one.growth * NearZero(1 / size, Str(side))

        form = inlined(form, self.formula.stages).xreplace({cotangent: sympy.S.One})
        yield cotangent * self.judge.far_out(by, series, polynomial, form)

    def _from_best(self, tried: Iterable[Tried]) -> list[Tried]:
        return sorted(tried, key=lambda one: (one.error.bad, one.error.wrong, self._key(one.form)))

    def _key(self, form) -> tuple:
        if form not in self.keys:
            self.keys[form] = self._cost(form), count_ops(form), ByText(form)
        return self.keys[form]

    def _cost(self, form) -> float:
        whole = self.formula.definition(form).expr if form == self.formula.output else form
        return round(self.search.cost(whole), 6)


def _good(tried: list[Tried]) -> list[Tried]:
    """The accurate forms; if there are none, those that only magnify an input's rounding."""
    fair = [one for one in tried if one.error.beyond <= ACCURATE]
    fewest = min((one.error.unfair for one in fair), default=0)
    return [one for one in tried if one.error.ulp <= ACCURATE] or [
        one for one in fair if one.error.unfair <= SIMILAR * fewest
    ]


def _forms(tried: list[Tried]) -> list[sympy.Expr]:
    return [one.form for one in tried]


def _differentiated_by(of: str) -> str:
    """The input by which what a form is of is the derivative; '' for the value."""
    return "" if of == "y" else of.removeprefix("d")
