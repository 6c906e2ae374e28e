"""Stage 5: shorter forms for inputs of ordinary size.

What keeps a form accurate from the smallest float to the largest costs more than the form itself: |x|, sign splits,
clamps, tails. Where every input is within a limit of a few dozen, none of it is needed. There an elementwise formula of
exponentials is computed with its slopes, as sums of products of few parts: `e = exp(u)`, and the denominators `d`,
polynomials in `e`, or their reciprocals `r`, by which to multiply is faster, and to divide more accurate.

Worked example, silu: e = exp(x), d = e + 1; y = x*e/d, and its slope is e*(1 + x/d)/d.

Nor are masked choices needed where arithmetic makes them (`piecewise`), if need be for the parameters' defaults only.

A form counts as accurate by the same simulated rounding as all others, over the points within the limit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Decayed, NearZero, Parameter, Subgradient, Value, Where
from nngrad.codegen.algebra.texts import ByText
from nngrad.codegen.judging.errors import ACCURATE, Profile, Truth
from nngrad.codegen.judging.rounding import Judge, ordinary_points
from nngrad.codegen.lower import Graph
from nngrad.codegen.lowering.branches import only_matters_far_out
from nngrad.codegen.lowering.cost import apart_and_together, graph_cost, kept_cost
from nngrad.codegen.lowering.exponents import as_polynomial, exp2_in_float64, in_float64
from nngrad.codegen.lowering.literals import literal
from nngrad.codegen.rewriting.identities import with_roots
from nngrad.codegen.rules import exponentials, piecewise, wide
from nngrad.codegen.rules.parts import (
    Algebra,
    bases_of,
    with_exponents_in_float64,
    with_powers_of_two,
    with_shared_products,
)
from nngrad.codegen.rules.poles import may_warn
from nngrad.codegen.trace import Formula

LIMITS = (64, 32, 16, 10, 6)  # of the size of inputs
SMALL_ERROR = 4.2  # in units of the last place
NEAR_ROOTS = 4 * ACCURATE  # in units, of their slopes, which are accurate elsewhere
NO_WORSE = 2.0  # times the error of the form for all inputs
CHANCE = 4.0  # the same in units beside a root, where it is chance which of the points tried is nearest to it
TOLERABLE = 48.0  # units, however much worse that form is
SLACK = 0.5  # of NumPy's functions, in units of the last place
WEIGHT = 2.0  # of a unit of error, in multiplications
SIMILAR = 1.15  # a larger limit is worth so much
OUT_OF_CACHE = 1.5  # times the cost of operations, where all arrays are of float64, twice as long
CHECK_COST = 1.5  # finding out whether an input is within a limit
MOST_JUDGED, FEW = 12, 4  # forms of one expression that are judged, and weighed against those of the others
MOST_EXPONENTIALS = 2

LIMITED = (Decayed, words.clamped.build)
GUARDED = (*wide.LOGISTIC, words.abs.build, Where, NearZero)


class Level(Enum):
    """What the errors of forms are held to."""

    SMALL = "few units anywhere"
    NO_WORSE = "no worse than the form for all inputs, near a root, say"
    INSTEAD_OF_WIDE = "accurate, but for the roots of slopes, where the form for all inputs is computed in float64"


@dataclass(frozen=True)
class Ordinary:
    """Forms for inputs of at most `limit` in size: of the value, and of its slope by each input.

    `parts` are what the forms are made of besides the inputs, in order; the slopes may use the output, and there are
    none where forward is not to compute them. `conditions` say, in Python, what must be true of the parameters.
    """

    limit: int
    parts: dict[Value, sympy.Expr]
    value: sympy.Expr
    slopes: dict[Value, sympy.Expr]
    conditions: tuple[str, ...] = ()

    @property
    def is_of_wider(self) -> bool:
        """Whether exponents, or all, are computed in float64, which is not enough for float64 itself."""
        return bool(self._powers) or self.is_in_float64

    @property
    def is_in_float64(self) -> bool:
        """Whether all is."""
        return isinstance(self.value, in_float64.build)

    @property
    def is_of_polynomials(self) -> bool:
        """Whether there is a way for float64, too: `exponents.power_of_polynomial`."""
        return bool(self._powers) and all(as_polynomial(one, tuple(self.slopes)) for one in self._powers)

    @property
    def _powers(self) -> list[sympy.Expr]:
        return [part.args[0] for part in self.parts.values() if isinstance(part, exp2_in_float64.build)]

    def built(self, graph: Graph, output: Value) -> list[int]:
        """The nodes of the value and of the slopes."""
        for part, expr in self.parts.items():
            graph.define(part, expr)
        return [graph.define(output, self.value), *map(graph.build, self.slopes.values())]


@dataclass(frozen=True)
class _Pool:
    """Candidates that are made of the same parts, and the level that they are held to, if it is one of their own."""

    parts: dict[Value, sympy.Expr]
    values: list[sympy.Expr]
    slopes: list[list[sympy.Expr]]
    level: Level | None = None


@dataclass
class Ordinariness:
    """The search for the ordinary forms of one formula: of its value, and of its slopes by the `sources`.

    `wholes` are these in terms of the inputs, `full` the forms for all inputs, `plain` lists more forms of each, and
    `exact` has their values at the judge's own points. `given` are numbers that stand for parameters in what is found;
    `is_wide` says whether the full forms compute short floats in float64.
    """

    judge: Judge
    wholes: list[sympy.Expr]
    full: list[sympy.Expr]
    plain: list[list[sympy.Expr]]
    sources: tuple[Value, ...]
    exact: list[Truth]
    given: dict[Parameter, sympy.Expr] = field(default_factory=dict)
    is_wide: bool = False
    known: dict = field(default_factory=dict)

    @property
    def formula(self) -> Formula:
        return self.judge.formula

    @cached_property
    def near(self) -> Judge:
        """A judge with many points of ordinary size."""
        columns = ordinary_points(LIMITS, len(self.formula.inputs))
        derivatives = {source.name: whole for source, whole in zip(self.sources, self.wholes[1:], strict=True)}
        return Judge(self.judge.written, self.formula, self.judge.params, columns, SLACK, derivatives)

    @cached_property
    def truths(self) -> list[Truth]:
        return [self.near.value(), *(self.near.derivative(source.name) for source in self.sources)]

    @cached_property
    def profiles(self) -> list[Profile]:
        """How accurate the forms for all inputs are."""
        self.near.series.update(self.judge.series)
        return [self.near.profile(form, truth, {}) for form, truth in zip(self.full, self.truths, strict=True)]

    def found(self) -> Ordinary | None:
        """The forms of the largest limit within which they are about as cheap as within any."""
        if any(expr.has(Subgradient, NearZero) for expr in self.wholes):
            return None
        pools = list(self._pools())
        exact = [(pool, with_exponents_in_float64(pool.parts, self.formula.inputs)) for pool in pools]
        pools += [replace(pool, parts=parts) for pool, parts in exact if parts != pool.parts]
        for level in (Level.SMALL, Level.NO_WORSE) if self.sources else (Level.SMALL,):
            best = [one for limit in LIMITS if (one := self._cheapest(level, limit, pools)) is not None]
            if best:
                break
        else:
            return None
        least = min(cost for cost, _ in best)
        _, ordinary = next(one for one in best if one[0] <= SIMILAR * least)
        ordinary = self._with_powers_of_two(level, ordinary)
        added = CHECK_COST * len(self.formula.inputs) + kept_cost(self.sources)
        value, *slopes = self.full
        full = min(apart_and_together(self.formula, value, slopes, self.is_wide))
        full *= OUT_OF_CACHE if ordinary.is_in_float64 else 1  # so is that
        return ordinary if least + added < full else None

    # --- candidates ---------------------------------------------------------------------------------------------------

    def _pools(self) -> Iterator[_Pool]:
        """The candidates: those that are as plain as they come, and those made of exponentials."""
        wholes = [self._simpler(expr) for expr in self.wholes]
        makes_choices = any(expr.has(Where) for expr in wholes)
        if makes_choices and wholes == self.wholes:
            return
        has_sizes = any(expr.has(words.abs.build) for expr in wholes)
        used = {Where: makes_choices, words.abs.build: has_sizes}
        guards = [one for one in GUARDED if not used.get(one, False)]
        written = [[_with_logarithms(unguarded(self._simpler(form))) for form in forms] for forms in self.plain]
        plain = [_without(guards, forms) for forms in written]
        is_of_exponentials = any(expr.has(*exponentials.MADE_OF_EXPONENTIALS) for expr in wholes)
        choices = [choice for form in self.full for choice in form.atoms(Where)]
        is_guarded = bool(choices) and all(map(only_matters_far_out, choices)) and not is_of_exponentials
        warns = any(may_warn(slope, self.wholes[0]) for slope in self.wholes[1:])
        if makes_choices or is_guarded or (wholes != self.wholes and not is_of_exponentials):
            yield _Pool({}, plain[0], plain[1:])
        elif self.is_wide:  # then guards cost less than float64
            guarded = [[*map(_unlimited, own), *forms] for own, forms in zip(self.plain, written, strict=True)]
            value, *slopes = (_without([NearZero], map(with_roots, forms)) for forms in guarded)
            yield _Pool({}, value, slopes, Level.INSTEAD_OF_WIDE)
            yield from [] if warns else self._in_float64(written, [one for one in guards if one not in wide.LOGISTIC])
        elif not is_of_exponentials and not warns:  # then roots of sums, say, need not be kept in range
            value, *slopes = (_without([*LIMITED, NearZero], map(with_roots, forms)) for forms in written)
            yield _Pool({}, value, slopes)
        if not makes_choices:
            yield from self._of_exponentials(wholes, plain)

    def _of_exponentials(self, wholes: list[sympy.Expr], plain: list[list[sympy.Expr]]) -> Iterator[_Pool]:
        """The candidates made of exponentials, for either direction of each, and the plain ones with them.

        tanh is a fraction of exponentials too, but none that is accurate near zero.
        """
        exprs = [_with_logarithms(with_roots(expr)) for expr in wholes]
        kept = [(), (words.tanh.build,)] if any(expr.has(words.tanh.build) for expr in exprs) else [()]
        for but in kept:
            written = [exponentials.in_exponentials(expr, but) for expr in exprs]
            bases = bases_of(written)
            if not 0 < len(bases) <= MOST_EXPONENTIALS or not self._are_bounded(bases):
                continue
            for *signs, divides in itertools.product(*[(1, -1)] * len(bases), (True, False)):
                algebra = Algebra(self.formula, dict(zip(bases, signs, strict=True)), bases, divides)
                try:
                    value, *slopes = map(algebra.collected, written)
                except sympy.PolynomialError:
                    continue
                made = [[value], *(self._with_output(slope, value) for slope in slopes)]
                forms = [[*algebra.forms(own), *rest] for own, rest in zip(made, plain, strict=True)]
                yield _Pool(algebra.parts, forms[0], forms[1:])

    def _in_float64(self, written: list[list[sympy.Expr]], guards: list) -> Iterator[_Pool]:
        """The candidates that compute in float64 and need no guards there, where no number is beyond its range."""
        alone = [[one for form in forms for one in wide.without_choices(form)] for forms in written]
        values, *slopes = (_without(guards, forms) for forms in alone)
        for value in sorted(values, key=sympy.count_ops)[:FEW]:  # which the slopes share
            own = [[form.xreplace({self.formula.output: value}) for form in forms] for forms in slopes]
            values, *others = ([wide.computed(_unlimited(form)) for form in forms] for forms in ([value], *own))
            yield _Pool({}, values, others)

    def _simpler(self, expr):
        """The expression with the numbers that are given, and with few choices."""
        return piecewise.by_limits(piecewise.arithmetic(expr.xreplace(self.given)))

    def _are_bounded(self, exponents) -> bool:
        """Whether the exponents are nowhere larger than where they are judged, for parameters within what they are
        there: each is a factor of theirs, or divides them, and never the one here and the other there.
        """
        sides = set()
        for exponent in exponents:
            powers = _powers(exponent)
            for param in exponent.atoms(Parameter):
                if param not in powers or not powers[param].is_number or not self.judge.params[param.name]:
                    return False
                sides.add((param, bool(powers[param].is_positive)))
        return len(sides) == len({param for param, _ in sides})

    def _with_output(self, slope, value) -> list[sympy.Expr]:
        """The slope, and the same with the output in it where the value is a product that divides its terms."""
        if not value.is_Mul:
            return [slope]
        terms = sympy.Add.make_args(slope)
        quotients = [term / value for term in terms]
        divides = [_denominators(quotient) <= _denominators(slope) for quotient in quotients]
        made = zip(terms, quotients, divides, strict=True)
        return [slope, sympy.Add(*(self.formula.output * quotient if one else term for term, quotient, one in made))]

    # --- choice -------------------------------------------------------------------------------------------------------

    def _cheapest(self, level: Level, limit: int, pools: list[_Pool]) -> tuple[float, Ordinary] | None:
        """The best forms that are accurate within the limit, by cost and error, and what they cost."""
        found = [one for pool in pools for one in self._accurate(level, limit, pool)]
        least = min(map(_badness, found), default=None)
        best = min((one for one in found if _badness(one) == least), key=lambda one: str(one[2]), default=None)
        return best and (best[0], best[2])

    def _accurate(self, level: Level, limit: int, pool: _Pool) -> Iterator[tuple[float, float, Ordinary]]:
        """A pool's few cheapest forms of everything that are accurate within the limit: their cost, and their worst
        error.
        """
        if not self._keeps_digits(limit, pool.parts):
            return
        output, level = self.formula.output, pool.level or level
        values = self._few(level, limit, 0, pool.parts, pool.values)
        for value in values[:2]:
            definitions = pool.parts | {output: value}
            slopes = [self._few(level, limit, place, definitions, forms) for place, forms in enumerate(pool.slopes, 1)]
            for forms in itertools.product(*slopes):
                made = self._weighed(level, limit, pool.parts, value, forms)
                yield made
                parts, (whole, *others) = self._shared(pool.parts, (value, *forms))
                if parts != pool.parts and self._are_accurate(level, limit, parts, whole, others):
                    shared = self._weighed(level, limit, parts, whole, others)
                    yield from [shared] if shared[0] < made[0] else []

    def _shared(self, parts: dict[Value, sympy.Expr], forms: tuple) -> tuple[dict, list]:
        """The forms, where what several of their products share is a part of its own, and the parts."""
        output = self.formula.output
        if isinstance(forms[0], in_float64.build):  # all of it, and so are parts
            return parts, list(forms)
        return self._once(("shared", *parts.items(), *forms), lambda: with_shared_products(parts, forms, output))

    def _with_powers_of_two(self, level: Level, ordinary: Ordinary) -> Ordinary:
        """The forms with powers of 2 instead of e, if these are accurate, and better by cost and error."""
        value, slopes = ordinary.value, list(ordinary.slopes.values())
        parts = with_powers_of_two(ordinary.parts, [value, *slopes])
        if parts == ordinary.parts or not self._are_accurate(level, ordinary.limit, parts, value, slopes):
            return ordinary
        made = [self._weighed(level, ordinary.limit, each, value, slopes) for each in (ordinary.parts, parts)]
        return ordinary if _badness(made[0]) <= _badness(made[1]) else made[1][2]

    def _keeps_digits(self, limit: int, parts) -> bool:
        """Whether exponentials of steep exponents are normal numbers within the limit. Others are short of digits,
        which the few inputs there that are tried may not show.
        """
        made = [expr for expr in parts.values() if isinstance(expr, exp2_in_float64.build)]
        return all(self.near.is_normal(expr, limit) for expr in made)

    def _are_accurate(self, level: Level, limit: int, parts, value, slopes) -> bool:
        """Whether all forms are, made of these parts."""
        known = parts | {self.formula.output: value}
        judged = (self._is_accurate(level, limit, place, known, form) for place, form in enumerate(slopes, 1))
        return self._is_accurate(level, limit, 0, parts, value) and all(judged)

    def _weighed(self, level: Level, limit: int, parts, value, slopes) -> tuple[float, float, Ordinary]:
        """Forms of everything, their cost, and their worst error."""
        output = self.formula.output
        used = _used(parts, (value, *slopes))
        params = sorted({param for expr in used.values() for param in expr.atoms(Parameter)}, key=str)
        conditions = [f"{param} == {literal(number)}" for param, number in self.given.items()]
        conditions += [self._bound(param, used) for param in params]
        made = Ordinary(limit, used, value, dict(zip(self.sources, slopes, strict=True)), tuple(conditions))
        profiles = [self._profile(0, parts, value)]
        profiles += [self._profile(place, parts | {output: value}, form) for place, form in enumerate(slopes, 1)]
        worst = max(profile.largest(limit, leniently=level is Level.NO_WORSE) for profile in profiles)
        return self._cost(made), round(worst, 2), made

    def _bound(self, param: Parameter, parts: dict[Value, sympy.Expr]) -> str:
        """What must be true of a parameter for exponents to be no larger than where they are judged."""
        powers = {power for expr in parts.values() for power in expr.atoms(sympy.Pow)}
        divides = any(power.base == param and power.exp.is_negative for power in powers)
        most = literal(abs(sympy.Rational(self.judge.params[param.name])))
        return f"abs({param}) >= {most}" if divides else f"-{most} <= {param} <= {most}"

    def _cost(self, made: Ordinary) -> float:
        def found() -> float:
            graph = Graph(self.formula, {value: value.name for value in self.formula.inputs})
            cost = graph_cost(graph, made.built(graph, self.formula.output))
            return round(cost * (OUT_OF_CACHE if made.is_in_float64 else 1), 6)

        return self._once(("cost", *made.parts.items(), made.value, *made.slopes.values()), found)

    def _few(self, level: Level, limit: int, place: int, definitions, forms) -> list[sympy.Expr]:
        """The few cheapest of the forms that are accurate within the limit."""
        ranked = sorted(dict.fromkeys(forms), key=lambda form: self._rank(definitions, form))[:MOST_JUDGED]
        return [form for form in ranked if self._is_accurate(level, limit, place, definitions, form)][:FEW]

    def _rank(self, definitions, form) -> tuple:
        def found() -> tuple:
            graph = self.near.simulation().graph(definitions)
            return round(graph_cost(graph, [graph.build(form)]), 6), sympy.count_ops(form), ByText(form)

        return self._once(("rank", form, *definitions), found)

    def _once(self, key: tuple, found: Callable):
        """What is found for a key, kept: every limit asks for the same things."""
        if key not in self.known:
            self.known[key] = found()
        return self.known[key]

    def _is_accurate(self, level: Level, limit: int, place: int, definitions, form) -> bool:
        """Whether the form is accurate within the limit, or no worse there than the one for all inputs."""
        here = self._profile(place, definitions, form)
        if level is Level.INSTEAD_OF_WIDE:
            here = here.within(limit)
            return here.beyond <= ACCURATE and here.ulp <= (NEAR_ROOTS if place else ACCURATE)
        if level is Level.SMALL:
            is_plain = definitions.keys() <= {self.formula.output}
            is_small = here.largest(limit, leniently=False) <= SMALL_ERROR
            return is_small and (not is_plain or self._is_accurate_at_all(limit, place, definitions, form))
        here, there = here.within(limit), self.profiles[place].within(limit)  # near a root, say
        bound = min(TOLERABLE, CHANCE * there.ulp)
        return here.beyond <= max(ACCURATE, NO_WORSE * there.beyond) and here.ulp <= bound

    def _is_accurate_at_all(self, limit: int, place: int, definitions, form) -> bool:
        """Whether a form is at the judge's own points too, near roots, say, or no worse there than the one for all."""
        own, full = (
            self._profile(place, definitions, one, at_all=True).largest(limit, leniently=False)
            for one in (form, self.full[place])
        )
        return own <= max(SMALL_ERROR, NO_WORSE * full)

    def _profile(self, place: int, definitions, form, at_all: bool = False) -> Profile:
        """The errors of a form at points of ordinary size, or at the judge's own, which it has `at_all`."""
        judge, truths = (self.judge, self.exact) if at_all else (self.near, self.truths)
        return self._once(
            ("profile", at_all, place, form, *definitions.items()),
            lambda: judge.profile(form, truths[place], {}, definitions),
        )


def _powers(product) -> dict[sympy.Expr, sympy.Expr]:
    """The powers of a product's factors; of a sum of a number and a product, those of this one's."""
    powers = {}
    for base, power in (factor.as_base_exp() for factor in sympy.Mul.make_args(product)):
        rest = base.as_independent(Value, Parameter, as_Add=True)[1]
        powers |= _powers(rest) if rest != base and power == 1 and not rest.is_Add else {base: power}
    return powers


def _badness(weighed: tuple[float, float, Ordinary]) -> float:
    """By which forms are compared that have been weighed."""
    cost, error, _ = weighed
    return cost + WEIGHT * error


def _used(parts: dict[Value, sympy.Expr], forms) -> dict[Value, sympy.Expr]:
    """The parts that the forms are made of."""
    needed = {value for form in forms for value in form.atoms(Value)}
    for part, expr in reversed(parts.items()):
        if part in needed:
            needed |= expr.atoms(Value)
    return {part: expr for part, expr in parts.items() if part in needed}


def _without(heads: Iterable, forms: Iterable[sympy.Expr]) -> list[sympy.Expr]:
    """Those of the forms that have nothing of these kinds."""
    return [form for form in dict.fromkeys(forms) if not form.has(*heads)]


def unguarded(expr):
    """The expression without what only matters far from zero, logistic words written out."""
    expr = expr.replace(lambda part: isinstance(part, Where) and only_matters_far_out(part), lambda part: part.args[2])
    expr = _unlimited(expr, LIMITED)
    tangents = {part.args[0] for part in expr.atoms(words.tanh.build)}
    return expr.replace(
        lambda part: isinstance(part, words.sigmoid_slope.build) and _half(part.args[0]) in tangents,
        lambda part: (1 - words.tanh(_half(part.args[0])) ** 2) / 4,
    )


def _unlimited(expr, limited: tuple = (*LIMITED, words.finite.build)):
    """The expression without limits far from zero."""
    expr = expr.replace(lambda part: isinstance(part, limited), lambda part: part.args[0])
    return expr.replace(
        lambda part: isinstance(part, words.maximum.build | words.minimum.build) and len(set(part.args)) == 1,
        lambda part: part.args[0],
    )


def _half(expr):
    return sympy.expand(expr / 2)


def _with_logarithms(expr):
    """softplus as the logarithm that it is."""
    return expr.replace(words.softplus.build, wide.LOGISTIC[words.softplus.build])


def _denominators(expr) -> set:
    """What the terms of a sum are divided by, but for numbers."""
    powers = [factor.as_base_exp() for term in sympy.Add.make_args(expr) for factor in sympy.Mul.make_args(term)]
    return {base for base, power in powers if not base.is_number and not power.is_nonnegative}
