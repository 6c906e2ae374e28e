"""Stage 5: a derivative's equivalent forms, and what they cost.

The forms of a derivative come from four kinds of knowledge, all read off the formula:

- definitions: a subexpression that the forward computes is the stage that holds it (`e / s` is `y`);
- solved definitions: what a stage says about the values it is made of (`e` is `y * s`);
- known sums: `AxisSum(e)` is `s`; a stage's sum may follow from its definition (`AxisSum(x - mean)` is 0);
- algebra: expanded, factored and collected shapes.

The search goes breadth first through substitutions, ranks by cost after common subexpressions, and ties go to the form
that sorts first, so that the outcome is the same on every machine.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from functools import cache, partial

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.small import Small
from nngrad.codegen.algebra.symbols import (
    AxisSum,
    Decayed,
    Deviation,
    Indicator,
    MeanError,
    NearZero,
    Pick,
    ProductOfOthers,
    Subgradient,
    Value,
    Where,
    constant_axes,
    is_constant_along,
    multiplied_out,
    split_constants,
)
from nngrad.codegen.algebra.texts import ByText, count_ops
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.derive import lift_where
from nngrad.codegen.trace import Formula, Stage, carriers

SAVED_COST = 2.5  # keeping a full-size intermediate from forward to backward, in multiplications
ROW_COST = 0.02  # an operation on values that are constant along the axis, as part of a full-size one
MAX_FORMS = 48  # substitutions tried for one expression
MOST_OPERATIONS = 400  # in the forms whose shapes are tried, all together
FEW_FORMS = 12  # forms of one expression weighed against the forms of the others
LARGEST_GROWTH = 4  # of a form beside what the search started from, or beside the shortest
LARGEST_EXPANSION = 100  # terms that multiplying out may give
LARGEST_DENOMINATOR = 16  # decimal constants are not to be multiplied out into large whole numbers
ROOT_COST, POWER_COST, WHERE_COST, REDUCTION_COST, DECAYED_COST, SERIES_COST = 3.0, 30.0, 4.0, 1.0, 1.5, 20.0


@dataclass
class Search:
    """What saving and recomputing a formula's stages costs and, once `learn` was called, the search for forms."""

    formula: Formula
    output_is_residual: bool
    sums: dict[AxisSum, sympy.Expr] = field(init=False)
    costs: dict[sympy.Expr, float] = field(default_factory=dict)
    found: dict[sympy.Expr, list[sympy.Expr]] = field(default_factory=dict)

    def __post_init__(self):
        self.given = {self.formula.output} if self.output_is_residual else set()
        self.maps = [stage for stage in self.formula.stages if stage.kind == "map"]
        self.sums, self.moves = {}, []

    def learn(self) -> None:
        """Read off the formula the substitutions it justifies and the sums it knows."""
        telling = [stage for stage in self.maps if not self._is_all_but_input(stage)]
        slight = {stage.value for stage in self.maps} - {stage.value for stage in telling}
        self.moves = [
            move
            for stage in telling
            for move in _moves(replace(stage, expr=self._in_mathematics(stage.expr)), slight, bool(self.formula.axes))
        ]
        for stage in self.formula.stages:
            if stage.kind == "sum":
                known = self._with_known_sums(AxisSum(stage.expr, Str(stage.axis)))
                unknown = sorted(known.atoms(AxisSum), key=str)
                if unknown:
                    (coefficient, rest) = known.coeff(unknown[0]), known.coeff(unknown[0], 0)
                    self.sums[unknown[0]] = (stage.value - rest) / coefficient
        for stage in self.maps:
            for axis in sorted(self.formula.axes):
                is_known = AxisSum(stage.value, Str(axis)) in self.sums  # a sum that forward computes, and rounds
                if not is_constant_along(stage.value, axis) and not is_known:
                    total = self._simplified(self._with_masked_sums_apart(AxisSum(stage.expr, Str(axis))))
                    if not total.has(AxisSum):
                        vanishes = sympy.expand(self._in_reductions(total)) == 0
                        self.sums[AxisSum(stage.value, Str(axis))] = sympy.S.Zero if vanishes else total
                self._learn_of_weighted_mean(stage, axis)
        for stage in self.formula.stages:
            self._learn_of_difference(stage)

    def _is_all_but_input(self, stage: Stage) -> bool:
        """Whether a stage is an input and a number, which tells nothing of others."""
        number, rest = stage.expr.as_coeff_Add()
        value = rest.as_coeff_Mul()[1]
        return number != 0 and isinstance(value, Value) and self.formula.definition(value) is None

    def _learn_of_weighted_mean(self, stage: Stage, axis: str) -> None:
        """Of what a weighted mean was subtracted from, times a number for each row, that the weights make its sum 0."""
        centred = self.formula.spelled_out(split_constants(stage.expr, axis)[1]) if stage.expr.is_Mul else stage.expr
        for error in centred.atoms(Value) if not is_constant_along(stage.value, axis) else ():
            made = self.formula.spelled_out(error)
            if isinstance(made, MeanError) and made.args[1].name == axis and len(made.args) == 4:
                self.sums[AxisSum(made.args[3] * stage.value, Str(axis))] = sympy.S.Zero

    def _learn_of_difference(self, stage: Stage) -> None:
        """Of d = a - b, a and b of equal lengths, that sum(d a) is sum(d**2) / 2, and sum(d b) minus that: d is small
        where they are near each other, and these sums are smaller.
        """
        difference, exponent = stage.expr.as_base_exp()
        made = self.formula.definition(difference)
        parts = made.expr.atoms(Value) if made is not None else ()
        if stage.kind != "sum" or exponent != 2 or len(parts) != 2:
            return
        axis = Str(stage.axis)
        a, b = sorted(parts, key=lambda part: (made.expr != part - sympy.Add(*parts - {part}), str(part)))
        definitions = [self.formula.definition(part) for part in (a, b)]
        if made.expr == a - b and None not in definitions:
            lengths = [self._with_known_sums(AxisSum(one.expr**2, axis)) for one in definitions]
            if sympy.simplify(self._in_reductions(lengths[0] - lengths[1])) == 0:
                for sign, one in zip((1, -1), definitions, strict=True):
                    number, row = split_constants(one.expr, stage.axis)
                    self.sums[AxisSum(difference * one.value, axis)] = sign * stage.value / 2
                    self.sums[AxisSum(difference * row, axis)] = sign * stage.value / 2 / number

    def _in_reductions(self, expr):
        """The expression with the stages that are constant along the axis replaced by their definitions."""
        expr = self._in_mathematics(expr)
        for stage in reversed(self.maps):
            if stage.value.constant_along and not isinstance(stage.expr, Subgradient):
                expr = expr.xreplace({stage.value: stage.expr})
        return expr

    def _in_mathematics(self, expr):
        """The expression where nothing is rounded, so that the error of a mean is zero."""
        return expr.xreplace({stage.value: sympy.S.Zero for stage in self.maps if isinstance(stage.expr, MeanError)})

    def _with_known_sums(self, expr):
        return expr.xreplace(self.sums) if expr.has(AxisSum) else expr

    def _with_masked_sums_apart(self, expr):
        """Sums of what is 0 where a condition holds as sums of its terms, constants before them; terms that are 0 there
        by their own definition need no condition.
        """

        def apart(inside, axis):
            if not isinstance(inside, Where) or inside.args[1] != 0:
                return AxisSum(inside, axis)
            condition, _, kept = inside.args
            total = sympy.S.Zero
            for term in sympy.Add.make_args(multiplied_out(kept)):
                outside, varying = split_constants(term, axis.name)
                is_masked = self._is_masked(varying, condition, 0)
                total += outside * AxisSum(varying if is_masked else Where(condition, 0, varying), axis)
            return total

        return self._with_known_sums(expr.replace(AxisSum, apart))

    def _is_masked(self, factor, condition, branch: int) -> bool:
        """Whether a factor is 0 by its own definition where a condition holds, or where it does not (branch 1)."""
        made = self.formula.spelled_out(factor)
        if isinstance(made, sympy.exp):
            terms = [self.formula.spelled_out(term) for term in sympy.Add.make_args(made.args[0])]
            return any(_has_branch(term, condition, branch, -sympy.oo) for term in terms)
        return _has_branch(made, condition, branch, 0)

    def _without_second_masks(self, expr):
        """where(mask, 0, u e) is u e, e being 0 by its own definition where the mask holds."""

        def once(part):
            for branch in (0, 1):
                kept = part.args[2 - branch]
                terms = map(sympy.Mul.make_args, sympy.Add.make_args(kept))
                is_masked = partial(self._is_masked, condition=part.args[0], branch=branch)
                if part.args[1 + branch] == 0 and all(any(map(is_masked, factors)) for factors in terms):
                    return kept
            return part

        return expr.replace(lambda part: isinstance(part, Where), once)

    def _simplified(self, expr):
        """Known definitions and sums put in, to a fixed point."""
        for _ in range(8):
            before = expr
            expr = expr.replace(lambda part: part.is_Mul, _unsigned) if expr.has(words.sign.build) else expr
            for stage in self.maps:
                expr = _with_definition(expr, stage)
            expr = lift_where(self._with_known_sums(expr))
            if expr == before:
                return expr
        return expr

    def forms(self, expr) -> list[sympy.Expr]:
        """Every form reached from the expression, cheapest first.

        Conditions stay as the forward has them: what is equal in mathematics may differ in the last bit, and
        `x == max(x)` must not.
        """
        if expr not in self.found:
            self.found[expr] = self._search(expr)
        return self.found[expr]

    def _search(self, expr) -> list[sympy.Expr]:
        conditions = {
            condition: Value(f"condition{number}", constant_axes(condition, self.formula.axes))
            for number, condition in enumerate(sorted(_conditions(expr), key=str))
        }
        stages = {stage.expr: stage.value for stage in self.maps if not stage.expr.is_Atom}
        held = {value: condition.xreplace(stages) for condition, value in conditions.items()}
        start = self._without_second_masks(self._with_masked_sums_apart(expr))
        start = self._simplified(start.xreplace(conditions))
        limit = LARGEST_GROWTH * (count_ops(start) + 4)
        seen, frontier, forms, operations = {start}, [start], [], 0
        while frontier and operations < MOST_OPERATIONS:
            current = frontier.pop(0)
            forms += shapes(current)
            operations += count_ops(current)
            for move in self.moves:
                reached = self._simplified(move(current))
                if reached not in seen and len(seen) < MAX_FORMS and count_ops(reached) <= limit:
                    seen.add(reached)
                    frontier.append(reached)
        # a stage is rounded, and exp would magnify that: log_softmax's e / s is exact where exp(y) is not
        forms = [form for form in forms if form.atoms(sympy.exp) <= start.atoms(sympy.exp) or not self.formula.axes]
        forms = dict.fromkeys(form.xreplace(held) for form in forms)
        ranked = sorted(forms, key=lambda form: (*self._rank([form]), ByText(form)))
        return ranked

    def with_deviations(self, expr) -> sympy.Expr:
        """`u - AxisSum(u w)` as a `Deviation`, where the weights w are known to sum to 1, or to less.

        What is the same in every element of u then drops out, or is multiplied by what they lack of 1, also when a
        weight of nearly 1 rounds to 1. Where they lack nothing, what is known to be the same is left out.
        """

        def mean(product):
            """(inside, axis) of the sum that minus a product is, also by the names of its factors; None for others."""
            sign, rest = product.as_coeff_Mul()
            for factor in sympy.Mul.make_args(rest):
                stage = self.formula.definition(factor)
                if stage is not None and stage.kind == "map" and (found := mean(product / factor * stage.expr)):
                    return found
                if stage is not None and stage.kind == "sum":
                    summed, axis = stage.expr, stage.axis
                elif isinstance(factor, AxisSum):
                    summed, axis = factor.args[0], factor.args[1].name
                else:
                    continue
                if sign < 0 and is_constant_along(product / factor, axis):
                    return -summed * product / factor, axis
            return None

        def deviation(part):
            for total, sign in itertools.product(part.args, (1, -1)):
                if (known := mean(sign * total)) is None:
                    continue
                (inside, axis), others = known, part - total
                for counted in dict.fromkeys((others, *sympy.Add.make_args(others))):
                    weights = self._simplified(sympy.cancel(inside / (sign * counted)))
                    rest = self._rest_beside(weights, axis)
                    if rest is not None:
                        terms = sympy.Add.make_args(self.formula.spelled_out(sign * counted))
                        varying = [one for one in terms if not is_constant_along(one, axis)]
                        if not varying:
                            return others - counted + rest * counted
                        is_whole = rest != 0 or len(terms) == 1
                        term = sign * counted if is_whole else sympy.Add(*varying)
                        beside = (rest,) if rest != 0 else ()
                        return others - counted + sign * Deviation(term, weights, *beside, Str(axis))
            return part

        return expr.replace(lambda part: part.is_Add, deviation)

    def _rest_beside(self, weights, axis: str):
        """What weights lack of the sum 1: 0, or what is positive and made of no difference; None for others."""
        total = self._with_known_sums(AxisSum(weights, Str(axis)))
        if is_constant_along(weights, axis) or isinstance(weights, Pick) or total.has(AxisSum):  # no weight is nearly 1
            return None
        above, below = sympy.fraction(sympy.together(1 - total))
        rest = sympy.expand(above) / below
        return rest if rest == 0 or (rest.is_positive and total.is_positive) else None

    def with_zeros_of_rows(self, expr) -> sympy.Expr:
        """`where(sum(u**2) == 0, 0, r u)` as u `where(sum(u**2) == 0, 0, r)`, r being one number a row: all u are 0."""

        def of_row(part):
            condition, zero, product = part.args
            of = self.formula.definition(condition.lhs) if isinstance(condition, sympy.Eq) else None
            if zero != 0 or of is None or of.kind != "sum" or condition.rhs != 0:
                return part
            if isinstance(product, Where) and product.args[1] == 0:
                return Where(product.args[0], 0, of_row(Where(condition, 0, product.args[2])))
            row, varying = split_constants(product, of.axis)
            return varying * Where(condition, 0, row) if varying in of.expr.atoms(Value) else part

        return expr.replace(lambda part: isinstance(part, Where), of_row)

    def best_together(self, exprs, saved: frozenset[Value] = frozenset()) -> list[sympy.Expr]:
        """One form for each expression, chosen so that all of them together cost least."""
        return self.cheapest_together([self.forms(expr)[:FEW_FORMS] for expr in exprs], saved)

    def cheapest_together(self, candidates: list[list], saved: frozenset[Value] = frozenset()) -> list[sympy.Expr]:
        """One of the candidates for each expression."""
        chosen = [forms[0] for forms in candidates]
        for _ in range(2 if len(candidates) > 1 else 1):
            for position, forms in enumerate(candidates):
                others = chosen[:position] + chosen[position + 1 :]
                chosen[position] = min(forms, key=lambda form: (*self._rank([form, *others], saved), ByText(form)))
        return chosen

    def _rank(self, exprs, saved: frozenset[Value] = frozenset()):
        return round(self.cost(*exprs, saved=saved), 6), sum(count_ops(expr) for expr in exprs)

    # --- cost ---------------------------------------------------------------------------------------------------------

    def cost(self, *exprs, saved: frozenset[Value] = frozenset()) -> float:
        """Time of evaluating the expressions, common subexpressions once, with what must be saved or recomputed."""
        nodes = {node for expr in exprs for node in sympy.preorder_traversal(expr) if isinstance(node, sympy.Expr)}
        values = {node for node in nodes if isinstance(node, Value)} - saved
        return sum(self._node_cost(node) for node in nodes) + sum(self._stage_cost(value) for value in values)

    def _node_cost(self, node) -> float:
        weight = self._weight(node)
        if node.is_Add or node.is_Mul:
            full = [arg for arg in node.args if self._weight(arg) == weight]
            others = [arg for arg in node.args if arg not in full and arg != -1]
            return weight * (len(full) - 1 + bool(others))
        if node.is_Pow and node.args[1].is_integer:
            return weight * min(abs(node.args[1]), 4)
        if node.is_Pow:
            return weight * (ROOT_COST if (2 * node.args[1]).is_integer else POWER_COST)
        if isinstance(node, Where):
            return weight * WHERE_COST
        if isinstance(node, Decayed):
            return weight * DECAYED_COST
        if isinstance(node, NearZero):
            return weight * SERIES_COST
        if isinstance(node, AxisSum | ProductOfOthers):
            return REDUCTION_COST
        return weight * WORD_OF[type(node)].cost if type(node) in WORD_OF else 0.0

    def _weight(self, node) -> float:
        """What one operation of the node's size costs: nothing for numbers, little for rows, 1 for full-size arrays."""
        if not node.atoms(Value):
            return 0.0
        axes = self.formula.axes
        return ROW_COST if axes and all(is_constant_along(node, axis) for axis in axes) else 1.0

    def _stage_cost(self, value: Value) -> float:
        stage = self.formula.definition(value)
        if stage is None or value in self.given:
            return 0.0
        return min(self._weight(value) * SAVED_COST, self.recomputation_cost(value))

    def recomputation_cost(self, value: Value) -> float:
        """Cost of computing a stage again from inputs, output and what is cheaply saved."""
        if value not in self.costs:
            stage = self.formula.definition(value)
            if stage is None or value in self.given:
                self.costs[value] = 0.0
            elif stage.axis:
                self.costs[value] = REDUCTION_COST + self.cost(stage.expr)
            else:
                self.costs[value] = self.cost(stage.expr)
        return self.costs[value]

    def saved(self, exprs) -> frozenset[Value]:
        """The stages that evaluating the expressions calls for and that forward had better keep."""
        saved, todo = set(), {value for expr in exprs for value in expr.atoms(Value)}
        seen = set(self.given)
        while todo - seen:
            value = min(todo - seen, key=str)
            seen.add(value)
            stage = self.formula.definition(value)
            if stage is None:
                continue
            if self._weight(value) * SAVED_COST < self.recomputation_cost(value):
                saved.add(value)
            else:
                todo |= stage.expr.atoms(Value)
        return frozenset(saved)


def _has_branch(expr, condition, branch: int, value) -> bool:
    return isinstance(expr, Where) and expr.args[0] == condition and expr.args[1 + branch] == value


def _conditions(expr) -> set:
    return {part.args[0] for part in expr.atoms(Where, Indicator)}


def _unsigned(product):
    """sign(u) u is |u|."""
    for factor in product.args:
        if isinstance(factor, words.sign.build) and factor.args[0] in product.args:
            return product / factor / factor.args[0] * words.abs(factor.args[0])
    return product


def _with_definition(expr, stage: Stage):
    """The expression with what the stage computes replaced by the stage."""
    made, value = stage.expr, stage.value
    if isinstance(made, Subgradient):
        made = made.args[0]
    if made.is_number or isinstance(made, Value) or not isinstance(expr, sympy.Basic):
        return expr
    expr = expr.xreplace({made: value})
    if made.is_Pow and made.exp.is_number and not made.exp.is_integer:
        base, exponent = made.args
        expr = expr.replace(
            lambda part: part.is_Pow and part.base == base and part.exp.is_number and not part.exp.is_integer,
            lambda part: _in_terms_of_root(value, base, exponent, part.exp),
        )
    return expr


def _in_terms_of_root(value: Value, base, exponent, wanted):
    """base**wanted, where value is base**exponent. A high power of a full-size root would overflow and lose digits."""
    ratio = wanted / exponent
    if abs(ratio) > 2 and not value.constant_along and (wanted - exponent).is_integer:
        return value * base ** (wanted - exponent)
    return value**ratio


def _by_expm1(expr, exponential, value: Value, is_row: bool):
    """The expression with 1 + expm1(u) for exp(u). It is 0 where exp(u) is small: in rows, whose forms are not judged,
    only where the 1 cancels.
    """

    def count(total) -> int:
        return len(sympy.Add.make_args(sympy.expand(total)))

    made = expr.xreplace({exponential: value + 1})
    return made if not is_row or count(made) < count(expr) else expr


def _moves(stage: Stage, slight: set[Value], is_row: bool):
    """Substitutions that a definition justifies: the definition itself, and solved for what occurs in it linearly, but
    not for what is slight.
    """
    made, value = stage.expr, stage.value
    if made.is_Mul or made.is_Add:
        yield lambda expr: expr.subs(made, value)
    if isinstance(made, words.expm1.build):
        yield lambda expr: _by_expm1(expr, sympy.exp(made.args[0]), value, is_row)
    for source in sorted(carriers(made) - slight, key=str):
        slope = made.diff(source)
        if (
            slope == 0
            or slope.has(source)
            or made.has(Where, AxisSum, Pick, Indicator)
            or source.constant_along != value.constant_along
            or (made.is_Add and source.is_positive)  # p, which may be small, is not what is left of p - t
        ):
            continue
        solution = sympy.expand((value - (made - slope * source)) / slope)
        if _divides_safely(slope):
            yield lambda expr, source=source, solution=solution: expr.xreplace({source: solution})


def _divides_safely(slope) -> bool:
    """Whether dividing by the slope is a multiplication, or a division by a positive number or row."""
    for factor in sympy.Mul.make_args(slope):
        base, exponent = factor.as_base_exp()
        if factor.is_Number or (exponent.is_negative and base.is_positive):
            continue
        if not (factor.is_positive and all(atom.constant_along for atom in factor.atoms(Value))):
            return False
    return True


@cache
def shapes(expr) -> list[sympy.Expr]:
    """The expression as it is, expanded, factored, and collected by each of its values."""
    if isinstance(expr, Where):
        condition, a, b = expr.args
        return [Where(condition, left, right) for left in shapes(a) for right in shapes(b)][:MAX_FORMS]
    opaque: dict[sympy.Basic, sympy.Dummy] = {}

    def flatten(part):
        if part.is_Add and (number := sympy.Add(*(arg for arg in part.args if arg.is_number))).has(Small):
            return flatten(part - number) + opaque.setdefault(number, sympy.Dummy(f"f{len(opaque)}", real=True))
        if part.is_Add or part.is_Mul or (part.is_Pow and part.exp.is_Integer):
            return part.func(*(flatten(arg) for arg in part.args))
        if part.is_Symbol or (part.is_Rational and part.q <= LARGEST_DENOMINATOR):
            return part
        return opaque.setdefault(part, sympy.Dummy(f"f{len(opaque)}", real=True))

    flat = flatten(expr)
    if _terms_when_expanded(flat) > LARGEST_EXPANSION:
        return [expr]
    back = {dummy: part for part, dummy in opaque.items()}
    expanded = sympy.expand(flat)
    made = [flat, expanded, sympy.factor_terms(expanded)]
    symbols = sorted(expanded.free_symbols, key=lambda symbol: (symbol.name, str(back.get(symbol, ""))))
    made += [sympy.collect(expanded, symbol) for symbol in symbols]
    made += [sympy.factor_terms(shape) for shape in made[3:]]
    if len(symbols) <= 8:
        made.append(sympy.factor(expanded))
    return [shape.xreplace(back) for shape in dict.fromkeys(made)]


def _terms_when_expanded(expr) -> int:
    """An upper bound for the number of terms that expanding gives."""
    if expr.is_Add:
        return sum(map(_terms_when_expanded, expr.args))
    if expr.is_Mul:
        return math.prod(map(_terms_when_expanded, expr.args))
    if expr.is_Pow and expr.exp.is_Integer:
        return _terms_when_expanded(expr.base) ** abs(int(expr.exp))
    return 1
