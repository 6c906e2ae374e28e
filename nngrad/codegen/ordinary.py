"""Stage 5c: shorter forms for inputs of ordinary size.

What keeps a form accurate from the smallest float to the largest costs more than the form itself: |x|, sign splits,
clamps, tails. Where every input is within a limit of a few dozen, none of it is needed. There an elementwise formula of
exponentials is computed with its slopes, as sums of products of few parts: `e = exp(u)`, and the reciprocals `r` of the
polynomials in `e` that occur in denominators.

Worked example, silu: e = exp(x), r = 1 / (e + 1); y = x*e*r, and its slope is e*r + y*r.

A form counts as accurate by the same simulated rounding as all others, over the points within the limit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce

import sympy

from nngrad.codegen import exponentials, words
from nngrad.codegen.cost import graph_cost, kept_cost
from nngrad.codegen.forms import shapes
from nngrad.codegen.lower import Graph
from nngrad.codegen.restage import inlined
from nngrad.codegen.rounding import ACCURATE, Judge, Profile, Truth
from nngrad.codegen.symbols import Decayed, NearZero, Parameter, Subgradient, Value, Where
from nngrad.codegen.trace import Formula

LIMITS = (64, 32, 16, 10, 6)  # of the size of inputs
GOOD = 4.0  # the largest error in units of the last place
SIMILAR = 1.15  # a larger limit is worth so much
CHECK_COST = 1.5  # finding out whether an input is within a limit
MOST_JUDGED, FEW = 16, 6  # forms of one expression that are judged, and weighed against those of the others
MOST_EXPONENTIALS = 2
LARGEST_EXPRESSION = 250  # operations of a derivative that is still brought to parts


@dataclass(frozen=True)
class Ordinary:
    """Forms for inputs of at most `limit` in size: of the value, and of its slope by each input.

    `parts` are what the forms are made of besides the inputs, in order; the slopes may use the output. `at_most_one`
    names the parameters that must be at most 1 in size too.
    """

    limit: int
    parts: dict[Value, sympy.Expr]
    value: sympy.Expr
    slopes: dict[Value, sympy.Expr]
    at_most_one: tuple[str, ...] = ()

    def built(self, graph: Graph, output: Value) -> list[int]:
        """The nodes of the value and of the slopes."""
        for part, expr in self.parts.items():
            graph.define(part, expr)
        return [graph.define(output, self.value), *map(graph.build, self.slopes.values())]


@dataclass(frozen=True)
class _Pool:
    """Candidates that are made of the same parts."""

    parts: dict[Value, sympy.Expr]
    values: list[sympy.Expr]
    slopes: list[list[sympy.Expr]]


@dataclass
class Ordinariness:
    """The search for the ordinary forms of one formula.

    `whole` is the value and `wholes` are its slopes, in terms of the inputs. `plain` are more forms of each of them,
    the value first. `profiles` tells how accurate the forms for all inputs are, in the same order, `truths` what is
    true.
    """

    formula: Formula
    judge: Judge
    whole: sympy.Expr
    wholes: dict[Value, sympy.Expr]
    plain: list[list[sympy.Expr]]
    truths: list[Truth]
    profiles: list[Profile]
    full_cost: float
    judged: dict = field(default_factory=dict)
    ranks: dict = field(default_factory=dict)

    def found(self) -> Ordinary | None:
        """The forms of the largest limit within which they are about as cheap as within any."""
        exprs = [self.whole, *self.wholes.values()]
        if any(expr.has(Where, Subgradient, NearZero) for expr in exprs):
            return None
        pools = list(self._pools(exprs))
        best = [one for limit in LIMITS if (one := self._cheapest(limit, pools)) is not None]
        if not best:
            return None
        least = min(cost for cost, _ in best)
        _, ordinary = next(one for one in best if one[0] <= SIMILAR * least)
        added = CHECK_COST * len(self.formula.inputs) + kept_cost(self.wholes)
        return ordinary if least + added < self.full_cost else None

    # --- candidates ---------------------------------------------------------------------------------------------------

    def _pools(self, exprs) -> Iterator[_Pool]:
        """The candidates: plain ones, and with them those made of exponentials, for either direction of each.

        tanh is a fraction of exponentials too, but none that is accurate near zero.
        """
        plain = [[form for form in dict.fromkeys(map(unguarded, forms)) if not _is_guarded(form)] for forms in self.plain]
        exprs = [_without_logarithms(expr) for expr in exprs]
        kept = [(), (words.tanh.build,)] if any(expr.has(words.tanh.build) for expr in exprs) else [()]
        for but in kept:
            written = [exponentials.in_exponentials(expr, but) for expr in exprs]
            bases = _bases(written)
            if len(bases) > MOST_EXPONENTIALS:
                continue
            for signs in itertools.product((1, -1), repeat=len(bases)):
                algebra = _Algebra(self.formula, dict(zip(bases, signs, strict=True)), bases)
                try:
                    value, *slopes = map(algebra.collected, written)
                except sympy.PolynomialError:
                    continue
                made = [shapes(value), *(self._with_output(slope, value) for slope in slopes)]
                forms = [[*map(algebra.finished, own), *rest] for own, rest in zip(made, plain, strict=True)]
                yield _Pool(algebra.parts, forms[0], forms[1:])

    def _with_output(self, slope, value) -> list[sympy.Expr]:
        """Shapes of the slope, also with the output in it where the value is a product that divides its terms."""
        slopes = [slope]
        if value.is_Mul:
            quotients = [(term, term / value) for term in sympy.Add.make_args(slope)]
            powers = [quotient.as_powers_dict().values() for _, quotient in quotients]
            divides = [all(power.is_nonnegative for power in own if power.is_number) for own in powers]
            slopes.append(
                sympy.Add(*(
                    self.formula.output * quotient if one else term
                    for (term, quotient), one in zip(quotients, divides, strict=True)
                ))
            )  # fmt: skip
        return [shape for one in dict.fromkeys(slopes) for shape in shapes(one)]

    # --- choice -------------------------------------------------------------------------------------------------------

    def _cheapest(self, limit: int, pools: list[_Pool]) -> tuple[float, Ordinary] | None:
        """The cheapest forms that are accurate within the limit, and what they cost."""
        found = [one for pool in pools for one in self._accurate(limit, pool)]
        return min(found, key=lambda one: (one[0], str(one[1])), default=None)

    def _accurate(self, limit: int, pool: _Pool) -> Iterator[tuple[float, Ordinary]]:
        """A pool's few cheapest forms of everything that are accurate within the limit, and what all of them cost."""
        output = self.formula.output
        values = self._few(limit, 0, pool.parts, pool.values)
        for value in values[:2]:
            definitions = pool.parts | {output: value}
            slopes = [self._few(limit, place, definitions, forms) for place, forms in enumerate(pool.slopes, 1)]
            for forms in itertools.product(*slopes):
                used = _used(pool.parts, (value, *forms))
                exponents = {atom for expr in used.values() for atom in expr.atoms(sympy.exp)}
                params = sorted({param.name for one in exponents for param in one.atoms(Parameter)})
                made = Ordinary(limit, used, value, dict(zip(self.wholes, forms, strict=True)), tuple(params))
                graph = self._graph({})
                yield round(graph_cost(graph, made.built(graph, output)), 6), made

    def _few(self, limit: int, place: int, definitions, forms) -> list[sympy.Expr]:
        """The few cheapest of the forms that are accurate within the limit."""
        ranked = sorted(dict.fromkeys(forms), key=lambda form: self._rank(definitions, form))
        return [form for form in ranked[:MOST_JUDGED] if self._is_accurate(place, definitions, form, limit)][:FEW]

    def _rank(self, definitions, form) -> tuple:
        key = form, tuple(definitions)
        if key not in self.ranks:
            graph = self._graph(definitions)
            self.ranks[key] = round(graph_cost(graph, [graph.build(form)]), 6), sympy.count_ops(form), str(form)
        return self.ranks[key]

    def _graph(self, definitions) -> Graph:
        graph = Graph(self.formula, {value: value.name for value in self.formula.inputs})
        for value, expr in definitions.items():
            graph.define(value, expr)
        return graph

    def _is_accurate(self, place: int, definitions, form, limit: int) -> bool:
        """Whether the form is accurate within the limit, or no worse there than the one for all inputs."""
        key = place, form, tuple(definitions.items())
        if key not in self.judged:
            self.judged[key] = self.judge.profile(form, self.truths[place], {}, definitions)
        here, there = self.judged[key].within(limit), self.profiles[place].within(limit)
        return here.beyond <= max(ACCURATE, there.beyond) and here.ulp <= max(GOOD, there.ulp)


def part_of(name: str, expr) -> Value:
    """The value that stands for an expression."""
    return Value(name, positive=True) if isinstance(expr, sympy.exp) else Value(name)


def _used(parts: dict[Value, sympy.Expr], forms) -> dict[Value, sympy.Expr]:
    """The parts that the forms are made of."""
    needed = {value for form in forms for value in form.atoms(Value)}
    for part, expr in reversed(parts.items()):
        if part in needed:
            needed |= expr.atoms(Value)
    return {part: expr for part, expr in parts.items() if part in needed}


def unguarded(expr):
    """The expression without what only matters far from zero, logistic words written out."""
    expr = expr.replace(lambda part: isinstance(part, Decayed), lambda part: part.args[0])
    expr = expr.replace(lambda part: isinstance(part, words.clamped.build), lambda part: part.args[0])
    expr = expr.replace(
        lambda part: isinstance(part, words.maximum.build | words.minimum.build) and len(set(part.args)) == 1,
        lambda part: part.args[0],
    )
    tangents = {part.args[0] for part in expr.atoms(words.tanh.build)}
    return expr.replace(
        lambda part: isinstance(part, words.sigmoid_slope.build) and _half(part.args[0]) in tangents,
        lambda part: (1 - words.tanh(_half(part.args[0])) ** 2) / 4,
    )


def _half(expr):
    return sympy.expand(expr / 2)


def _is_guarded(form) -> bool:
    """Whether the form still has parts that only matter far from zero."""
    return form.has(words.sigmoid.build, words.sigmoid_slope.build, words.softplus.build, words.abs.build, Where, NearZero)


def _without_logarithms(expr):
    """softplus as the logarithm that it is."""
    return expr.replace(
        lambda part: isinstance(part, words.softplus.build), lambda part: words.log1p(sympy.exp(part.args[0]))
    )


# --- polynomials in exponentials --------------------------------------------------------------------------------------


def _bases(exprs) -> dict[sympy.Expr, sympy.Rational]:
    """What the exponents in the expressions are multiples of, and their largest common unit of it."""
    multiples: dict[sympy.Expr, list] = {}
    for exponent in sorted({atom.args[0] for expr in exprs for atom in expr.atoms(sympy.exp)}, key=str):
        multiple, base = exponentials.split(exponent)
        multiples.setdefault(base, []).append(multiple)
    return {base: abs(reduce(sympy.gcd, own)) for base, own in multiples.items()}


class _Algebra:
    """Expressions as sums of products of inputs, exponentials, and reciprocals of polynomials in them.

    Exponentials and reciprocals are values of their own, so that SymPy leaves their products alone.
    """

    def __init__(self, formula: Formula, signs: dict, units: dict):
        self.taken = {value.name for stage in formula.stages for value in stage.expr.free_symbols | {stage.value}}
        self.parts: dict[Value, sympy.Expr] = {}
        self.bases: dict[sympy.Expr, tuple[Value, sympy.Rational]] = {}
        self.opaque: dict[sympy.Basic, sympy.Dummy] = {}
        for base, sign in signs.items():
            exponent = sign * units[base] * base
            is_gaussian = any(part.is_Pow for part in sympy.Mul.make_args(exponent))
            inside = self._part("u", exponent) if is_gaussian else exponent
            self.bases[base] = self._part("e", sympy.exp(inside)), sign * units[base]

    @property
    def exponentials(self) -> list[Value]:
        return [value for value, _ in self.bases.values()]

    def _part(self, name: str, expr) -> Value:
        """The part that stands for an expression."""
        known = next((part for part, one in self.parts.items() if one == expr), None)
        if known is not None:
            return known
        names = (name, *(f"{name}{number}" for number in range(2, 99)))
        name = next(one for one in names if one not in self.taken)
        self.taken.add(name)
        part = part_of(name, expr)
        self.parts[part] = expr
        return part

    def collected(self, expr):
        """The expression as a sum of products: for each product of inputs and functions, a fraction of exponentials.

        Raises:
            sympy.PolynomialError: it is no such sum.
        """
        if sympy.count_ops(expr) > LARGEST_EXPRESSION:
            raise sympy.PolynomialError
        top, bottom = sympy.fraction(sympy.cancel(sympy.together(self._flat(expr))))
        others = sorted((top.free_symbols | bottom.free_symbols) - set(self.exponentials), key=str)
        if not others:
            return self._fraction(top / bottom)
        content, bottom = bottom.as_independent(*self.exponentials, as_Add=False)
        if bottom.free_symbols & set(others):
            raise sympy.PolynomialError
        terms = sympy.Poly(top, *others).terms()
        made = (
            sympy.Mul(*(one**power for one, power in zip(others, powers, strict=True))) * self._fraction(factor / bottom)
            for powers, factor in terms
        )
        return sympy.Add(*(term / content for term in made))

    def _flat(self, expr):
        """The expression with exponentials as powers of a few values, and other functions as symbols."""
        if isinstance(expr, sympy.exp):
            multiple, base = exponentials.split(expr.args[0])
            value, unit = self.bases[base]
            return value ** (multiple / unit)
        if expr.is_Add or expr.is_Mul or (expr.is_Pow and expr.exp.is_Integer):
            return expr.func(*map(self._flat, expr.args))
        if expr.is_Symbol or expr.is_Rational:
            return expr
        if isinstance(expr, words.log1p.build | sympy.log) and expr.has(sympy.exp):
            inside = self._flat(expr.args[0]) - (0 if isinstance(expr, words.log1p.build) else 1)
            return self._part("l", words.log1p(self._horner(sympy.Poly(inside, *self.exponentials))))
        if expr.has(sympy.exp):
            raise sympy.PolynomialError
        return self.opaque.setdefault(expr, sympy.Dummy(f"f{len(self.opaque)}", real=True))

    def _fraction(self, ratio):
        """A fraction of polynomials in exponentials as a product of their factors and of reciprocals."""
        top, bottom = sympy.fraction(sympy.cancel(ratio))
        product = sympy.S.One
        for poly, sign in ((top, 1), (bottom, -1)):
            number, factors = sympy.factor_list(poly, *self.exponentials)
            product *= number**sign
            for factor, power in factors:
                written = self._horner(sympy.Poly(factor, *self.exponentials))
                if sign == -1:
                    written = self._part("r", 1 / written)
                product *= written**power
        return product

    def _horner(self, poly: sympy.Poly):
        """A polynomial of one exponential by Horner's rule."""
        if len(poly.gens) > 1 and len(used := [gen for gen in poly.gens if poly.degree(gen) > 0]) <= 1:
            poly = sympy.Poly(poly.as_expr(), *(used or poly.gens[:1]))
        if len(poly.gens) > 1:
            return poly.as_expr()
        total = sympy.S.Zero
        for coefficient in poly.all_coeffs():
            total = total * poly.gen + coefficient
        return total

    def finished(self, form):
        """The form with the functions that symbols stood for."""
        return form.xreplace({symbol: expr for expr, symbol in self.opaque.items()})
