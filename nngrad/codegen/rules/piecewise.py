"""Stage 5: choices made by arithmetic, for inputs that are finite numbers.

A masked choice costs four times as much as a sum. Where both branches meet at the edge, none is needed: for f(0) = g(0)
= 0, where(x > 0, f(x), g(x)) is f(max(x, 0)) + g(min(x, 0)), of which one term is 0. And a guard is not needed where
limits of other parts do what it does.

Worked example, elu: where(x > 0, x, expm1(x)) is max(x, 0) + expm1(min(x, 0)), and its slope is exp(min(x, 0)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Or

from nngrad.codegen.algebra import piece_words, words
from nngrad.codegen.algebra.symbols import IsNan, Value, Where
from nngrad.codegen.rules import exponentials

ABOVE, BELOW = (sympy.Gt, sympy.Ge), (sympy.Lt, sympy.Le)
EXTREMA = (words.maximum.build, words.minimum.build)


@dataclass(frozen=True)
class Interval:
    """The numbers that one input can be, edges included."""

    value: Value
    low: sympy.Expr = -sympy.oo
    high: sympy.Expr = sympy.oo

    def bounds(self, expr) -> tuple[sympy.Expr, sympy.Expr] | None:
        """The least and the largest that a linear function of the input can be; None for other expressions."""
        slope = expr.diff(self.value)
        if not slope.is_number or slope == 0 or expr.free_symbols != {self.value}:
            return None
        ends = [expr.subs(self.value, end) for end in (self.low, self.high)]
        return (ends[0], ends[1]) if slope > 0 else (ends[1], ends[0])


def arithmetic(expr):
    """The expression with as few choices as rules allow."""
    return _bottom_up(expr, {Where: _without_choice, sympy.Mul: _without_guards})


def simplified(expr):
    """The same for all inputs, NaN included: without limits that hold in a branch anyway, if they do not keep it from
    overflow outside, a choice between two bounds and what lies between them as that, limited, one between what meets
    where the condition changes as that of a limited part, or as a sum, one choice instead of two where it can be, and
    no question whether an input is NaN where comparisons that NaN does not fulfil answer it. Two limits are one `clip`,
    and a limited distance with its sign is `held`.
    """
    expr = _bottom_up(expr, {Where: _simpler_choice, words.minimum.build: _clipped})
    return _bottom_up(expr, {Where: _without_nan_test, sympy.Mul: _with_held})


def _bottom_up(expr, rules):
    """The expression with the rule for its head applied to every part, inner ones first; conditions stay."""
    if not isinstance(expr, sympy.Expr) or expr.is_Atom:
        return expr
    expr = expr.func(*(_bottom_up(arg, rules) for arg in expr.args))
    return rules[expr.func](expr) if expr.func in rules else expr


def _simpler_choice(choice):
    condition, a, b = choice.args
    condition = _plain(condition)
    inside, outside = interval_of(condition), interval_of(sympy.Not(condition))
    if inside is not None and _is_unlimited(a, inside.value):
        a = _within(a, inside)
    if outside is not None and _is_unlimited(b, outside.value):
        b = _within(b, outside)
    made = Where(condition, a, b)
    for rule in (_limited, _joined, _parted, _merged):
        made = rule(made) if isinstance(made, Where) else made
    return made


def _plain(condition):
    """A comparison of a limited part with a number that the limit is beyond as one of that part: max(u, 0) >= 6 is
    u >= 6.
    """
    extremum = condition.args[0] if isinstance(condition, (*ABOVE, *BELOW)) else None
    if not isinstance(extremum, EXTREMA) or not all(arg.is_number for arg in (extremum.args[1], condition.rhs)):
        return condition
    u, limit = extremum.args
    at_limit = isinstance(extremum, words.minimum.build) == isinstance(condition, ABOVE)  # whether it must hold there
    holds = bool(condition.func(limit, condition.rhs))
    return condition.func(u, condition.rhs) if holds == at_limit else condition


def _merged(choice):
    """Two choices that share a branch as one: where(p, a, where(q, a, b)) is where(p | q, a, b)."""
    condition, a, b = choice.args
    both = Or(_unless(condition, b.args[0]), b.args[0]) if isinstance(b, Where) and b.args[1] == a else None
    return Where(both, a, b.args[2]) if isinstance(both, Or) else choice


def _unless(condition, other):
    """A condition that matters only where another does not hold: x > 6 for max(x, 0) > 6 unless x <= 0."""
    refuted = Or.make_args(other)

    def known(part):
        if isinstance(part, Where):
            return part.args[2] if part.args[0] in refuted else part
        u, c = part.args
        beyond = (u <= c, u < c) if isinstance(part, words.maximum.build) else (u >= c, u > c)
        return u if not c.atoms(Value) and any(one in refuted for one in beyond) else part

    return condition.replace(lambda part: isinstance(part, (Where, *EXTREMA)), known)


def _without_nan_test(choice):
    """where(isnan(x) | x < 0 | x > 6, a, b) as where(x >= 0 & x <= 6, b, a): NaN fulfils no comparison."""
    condition, a, b = choice.args
    parts = Or.make_args(condition)
    tested = {part.args[0] for part in parts if isinstance(part, IsNan)}
    comparisons = [part for part in parts if not isinstance(part, IsNan)]
    if not tested or {_compared(part) for part in comparisons} != tested:
        return choice
    return Where(And(*map(sympy.Not, comparisons)), b, a)


def _joined(choice):
    """A choice by whether u is below c, of branches that meet there, one a constant or a line, as a function of u and
    of m = min(u, c); others as they are.

    where(u < c, f(u), f(c)) is f(m), where(u < c, 0, u - c) is u - m, and where(u < c, a u**2, 2 a c (u - c/2)) is
    2 a m (u - m/2).

    Worked example, Huber's loss with u = |x|: m (u - m/2), and its slope where(u < c, x, c sign(x)) is m sign(x).
    """
    condition, a, b = choice.args
    if not isinstance(condition, (*ABOVE, *BELOW)):
        return choice
    if not condition.lhs.atoms(Value):
        condition = condition.reversed
    u, c = condition.args
    below, above = (a, b) if isinstance(condition, BELOW) else (b, a)
    if u.is_Symbol or c.atoms(Value):
        return choice
    whole, limited, side = (sympy.Dummy(real=True) for _ in range(3))
    f, line = (_in_size(branch, u, whole, side) for branch in (below, above))
    gaps = [sympy.expand(gap.xreplace({whole: c})) for gap in (f - line, (f - line).diff(whole))]
    if gaps[0] != 0:
        return choice
    if not f.has(whole):
        if not line.has(whole) or line.diff(whole, 2) != 0:
            return choice
        made = f + sympy.expand(line.diff(whole) * (whole - limited))
    elif not line.has(whole):
        made = f.xreplace({whole: limited})
    elif gaps[1] == 0 and not line.diff(whole, 2) and (parabola := f.as_poly(whole)) and parabola.degree() == 2:
        square, slope, start = parabola.all_coeffs()
        made = 2 * square * limited * (whole - limited / 2) + slope * whole + start
    else:
        return choice
    known = {whole: u, limited: words.minimum(u, c)}
    if isinstance(u, words.abs.build):
        made = made.subs(side * whole, u.args[0])
        known[side] = words.sign(u.args[0])
    return made.xreplace(known)


def _with_held(product):
    """A product without the sign of u and its size, limited by a number, which together are `held`."""
    for sign in [factor for factor in product.args if isinstance(factor, words.sign.build)]:
        for size in [factor for factor in product.args if isinstance(factor, words.minimum.build)]:
            (u,), (distance, limit) = sign.args, size.args
            if distance == words.abs(u) and not limit.atoms(Value):
                return product / (sign * size) * piece_words.held(u, limit)
    return product


def _clipped(least):
    """The smaller of a number and the larger of another number and u as u limited to both."""
    most, high = least.args
    if not isinstance(most, words.maximum.build) or most.args[1].atoms(Value) or high.atoms(Value):
        return least
    return words.clip(*most.args, high)


def _in_size(branch, u, size, side):
    """A branch by what stands for u, and if u is |v|, v by what stands for its size and its sign."""
    branch = branch.xreplace({u: size})
    if not isinstance(u, words.abs.build):
        return branch
    v = u.args[0]
    branch = branch.xreplace({words.sign(v): side}).xreplace({v: size * side, -v: -size * side})
    return branch.replace(lambda part: part.is_Pow and part.base == side and part.exp.is_even, lambda _: sympy.S.One)


def _is_unlimited(expr, x) -> bool:
    """Whether the input is in the expression as it is, also for NaN, and not only limited."""
    return expr.replace(lambda part: isinstance(part, (*EXTREMA, words.clip.build)), lambda _: sympy.Dummy()).has(x)


def by_limits(expr):
    """The expression with `low <= u <= high` asked by comparing u with its limited value, where it has that."""

    def one_comparison(condition):
        for u, low, high in _ranges(condition):
            limited = words.clip(u, low, high)
            if expr.has(limited):
                return sympy.Eq(limited, u, evaluate=False)
        return condition

    return expr.replace(
        lambda part: isinstance(part, Where), lambda part: Where(one_comparison(part.args[0]), *part.args[1:])
    )


def _without_choice(choice):
    """A Where, unless its branches are one, or meet where the condition changes."""
    condition, a, b = choice.args
    inside = interval_of(condition)
    if inside is None:
        return choice
    a = _within(a, inside)
    outside = interval_of(sympy.Not(condition))
    if outside is None:
        return b if _within(b, inside) == a else Where(condition, a, b)
    b = _within(b, outside)
    if _within(b, inside) == a:
        return b
    if _within(a, outside) == b:
        return a
    ends = _at_edge(inside, a, b)
    if ends[0] != ends[1] or ends[0].has(sympy.oo, -sympy.oo, sympy.zoo, sympy.nan):
        return _with_jumps(Where(condition, a, b))
    parts = _sides(inside, a, b)
    return sympy.Add(*parts, -ends[0] * (len(parts) - 1))


def _at_edge(inside: Interval, *branches) -> list[sympy.Expr]:
    """What the branches are at the end of a half-line."""
    x, edge = _edge(inside)
    made = (exponentials.in_exponentials(_within(branch, Interval(x, edge, edge))) for branch in branches)
    return [sympy.expand(branch.subs(x, edge)) for branch in made]


def _sides(inside: Interval, a, b) -> list[sympy.Expr]:
    """A branch for a half-line and one for the other, each of the input limited to its side, but for constants."""
    x, edge = _edge(inside)
    limits = (words.maximum, words.minimum) if inside.high == sympy.oo else (words.minimum, words.maximum)
    sides = zip((a, b), limits, strict=True)
    return [branch.xreplace({x: limit(x, edge)}) for branch, limit in sides if branch.has(x)]


def _parted(choice):
    """A choice by the side of 0 of an input, of branches that are 0 there, as the sum of both, of which one is 0."""
    condition, a, b = choice.args
    inside, outside = interval_of(condition), interval_of(sympy.Not(condition))
    if None in (inside, outside) or _edge(inside)[1] != 0:
        return choice
    x = inside.value
    if any(branch.atoms(Value) != {x} or not _is_unlimited(branch, x) for branch in (a, b)):  # NaN must come through
        return choice
    if any(_at_edge(inside, a, b)):
        return choice
    above, below = (a, b) if inside.high == sympy.oo else (b, a)
    if above == x and not (below / x).atoms(Value):
        return piece_words.bent(x, below / x)
    return sympy.Add(*_sides(inside, a, b))


@dataclass(frozen=True)
class _Ramp:
    """A choice between two numbers and a linear function between their half-lines, which own their edges or do not."""

    inside: Interval
    below: sympy.Expr
    between: sympy.Expr
    above: sympy.Expr
    has_edges: bool

    @property
    def jumps(self) -> list[sympy.Expr]:
        """By how much the function between is above the numbers where it meets their half-lines."""
        ends = (self.inside.low, self.below), (self.inside.high, self.above)
        return [self.between.subs(self.inside.value, edge) - number for edge, number in ends]


def _ramp(choice) -> _Ramp | None:
    """The choice as a ramp, if it is one."""
    condition, first, rest = choice.args
    if not isinstance(rest, Where):
        return None
    other, second, between = rest.args
    ends = [(interval_of(condition), first), (interval_of(other), second)]
    if None in (ends[0][0], ends[1][0]) or not (first.is_number and second.is_number):
        return None
    if ends[0][0].high == sympy.oo:
        ends.reverse()
    (low, below), (high, above) = ends
    if low.value != high.value or (low.low, high.high) != (-sympy.oo, sympy.oo) or not low.high < high.low:
        return None
    inside = Interval(low.value, low.high, high.low)
    if inside.bounds(between) is None:
        return None
    return _Ramp(
        inside, below, between, above, all(isinstance(one, (sympy.Ge, sympy.Le)) for one in (condition, other))
    )


def _limited(choice):
    """A choice between two bounds and a linear function that reaches them as that, limited; others as they are."""
    ramp = _ramp(choice)
    if ramp is None or any(ramp.jumps):
        return choice
    return words.clip(ramp.between, *ramp.inside.bounds(ramp.between))


def _with_jumps(choice):
    """A choice between numbers from -c and from c on and a linear function between as that of the limited input, less
    what it is too large by at the edges: there, and only there, is x / c, limited to [-1, 1], a whole number but for 0.
    """
    ramp = _ramp(choice)
    if ramp is None or not ramp.has_edges or ramp.inside.low != -ramp.inside.high:
        return choice
    x, edge = ramp.inside.value, ramp.inside.high
    limited = words.clip(x / edge, -1, 1)
    between, end = sympy.expand(ramp.between.subs(x, edge * limited)), words.trunc(limited)
    low, high = ramp.jumps
    if not all(map(_is_exact, (low, high, *between.as_coefficients_dict().values()))):
        return choice
    return between - (high - low) / 2 * end - (high + low) / 2 * end**2


def _is_exact(number) -> bool:
    """Whether a small number has no rounding error in floating point."""
    return number.is_Rational and number.q in (1, 2, 4, 8, 16)


def _without_guards(product):
    """A product without the limit of an input beyond which another factor is 0 anyway."""
    for factor in product.args:
        if isinstance(factor, EXTREMA) and isinstance(factor.args[0], Value) and factor.args[1].is_number:
            x, edge = factor.args
            beyond = Interval(x, high=edge) if isinstance(factor, words.maximum.build) else Interval(x, low=edge)
            if _within(product / factor, beyond) == 0:
                return product / factor * x
    return product


def _compared(relation):
    """The value that a relation compares, or whose size, with what is none; None for other conditions."""
    if not isinstance(relation, (*ABOVE, *BELOW)) or relation.rhs.atoms(Value):
        return None
    return relation.lhs.args[0] if isinstance(relation.lhs, words.abs.build) else relation.lhs


def _within(expr, interval: Interval):
    """The expression where an input is within an interval: limits that hold there, or that are reached, are not
    needed.
    """
    if not isinstance(expr, sympy.Expr) or not expr.has(interval.value):
        return expr
    expr = expr.func(*(_within(arg, interval) for arg in expr.args)) if expr.args else expr
    if not isinstance(expr, (*EXTREMA, words.clip.build)) or not all(arg.is_number for arg in expr.args[1:]):
        return expr
    bounds = interval.bounds(expr.args[0])
    if bounds is None:
        return expr
    low = expr.args[1] if not isinstance(expr, words.minimum.build) else -sympy.oo
    high = expr.args[-1] if not isinstance(expr, words.maximum.build) else sympy.oo
    if bounds[1] <= low:
        return low
    if bounds[0] >= high:
        return high
    return expr.args[0] if low <= bounds[0] and bounds[1] <= high else expr


@cache
def interval_of(condition) -> Interval | None:
    """The interval in which one input fulfils a condition; None if that is not what it asks."""
    intervals = [_half_line(part) for part in And.make_args(condition)]
    if None in intervals or len({one.value for one in intervals}) > 1:
        return None
    low, high = max(one.low for one in intervals), min(one.high for one in intervals)
    return Interval(intervals[0].value, low, high)


def _half_line(relation) -> Interval | None:
    if not isinstance(relation, (*ABOVE, *BELOW)):
        return None
    difference = relation.lhs - relation.rhs
    values = difference.free_symbols
    x = next(iter(values), None)
    if len(values) != 1 or not isinstance(x, Value) or not (slope := difference.diff(x)).is_number or slope == 0:
        return None
    edge = x - sympy.expand(difference / slope)
    if edge.has(x):  # of `clamped` the slope is 1 everywhere
        return None
    return Interval(x, low=edge) if isinstance(relation, ABOVE) == bool(slope > 0) else Interval(x, high=edge)


def _edge(half_line: Interval) -> tuple[Value, sympy.Expr]:
    return half_line.value, half_line.low if half_line.high == sympy.oo else half_line.high


def _ranges(condition):
    """(u, low, high) for the condition low <= u <= high."""
    parts = And.make_args(condition)
    if len(parts) == 2 and all(isinstance(part, Relational) and part.rhs.is_number for part in parts):
        low = next((part for part in parts if isinstance(part, sympy.Ge)), None)
        high = next((part for part in parts if isinstance(part, sympy.Le)), None)
        if low is not None and high is not None and low.lhs == high.lhs:
            yield low.lhs, low.rhs, high.rhs
