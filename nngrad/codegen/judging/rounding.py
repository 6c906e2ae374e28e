"""Simulated rounding: how much accuracy a form loses, judged the same way on every machine.

What `simulation` computes as float32 would is compared with the oracle's exact values, at points of all sizes. An
operation that overflows, or has no value, on the way to a finite result counts as an infinite error, for NumPy would
warn.

`errors` says how they are counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cached_property
from math import inf
from types import MappingProxyType

import mpmath
import numpy as np
import sympy
from sympy.logic.boolalg import And, Not, Or

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Indicator, Parameter, Test, Value, Where
from nngrad.codegen.algebra.words import PERIODIC, PERIODIC_IN_WHOLE_NUMBERS
from nngrad.codegen.certify import SMALLEST, Oracle
from nngrad.codegen.judging.errors import MANTISSA, SMALLEST_NORMAL, Error, Profile, Truth, WhereAsked, sizes, ulp
from nngrad.codegen.judging.simulation import Simulation
from nngrad.codegen.rewriting.identities import SETTLING, scales
from nngrad.codegen.rewriting.restage import inlined, restated
from nngrad.codegen.rules.series import RADII, WIDE_RADII, FarSeries, Series, fitted, fitted_far, leading_term
from nngrad.codegen.rules.settled import with_ratios
from nngrad.codegen.rules.units import over
from nngrad.codegen.trace import Formula

GOLDEN = (np.sqrt(5) - 1) / 2
SMALLEST_EXPONENT, LARGEST_EXPONENT = -149, 127
LARGEST_OF_SEVERAL = 120  # inputs: nearer to the largest float sums and multiples of them may overflow
BESIDE_INFINITY = (0.75, -1.25)  # what the other inputs are where one is infinite
NEGLIGIBLE = 2.0 ** (SMALLEST_EXPONENT - 20)  # which the oracle may leave for what it knows to be no more than that
LEAST_SHRINKING = 1 / 16  # from one of these to the next of what oscillates and tends to 0
FAR = 2.0 ** np.arange(60, LARGEST_OF_SEVERAL + 1, 12)  # where a limit at infinity is looked for
DIP = 0.5  # how far to the sides of a point, relative to it, a derivative is compared
ALIKE, ALIKE_WEIGHT = 40, 0.125  # points at which inputs are near each other, and their errors' part: near roots
BEYOND = (2, 64, 2**440)  # times a limit: where what is kept within it is compared
SAME, INFINITE = mpmath.mpf(2) ** -44, mpmath.mpf(2) ** 1024  # relative, and in float64
TAILS = 16  # points at which one of several inputs is there
_ARGUMENT = sympy.Dummy("argument", real=True)
UNKNOWN_PARAMETER = 1.25  # what is tried for a parameter without a default


def _kept(number: mpmath.mpf) -> mpmath.mpf:
    """The number, or the first that is infinite in float64."""
    return max(min(number, INFINITE), -INFINITE)


def points(largest_exponent: int = LARGEST_EXPONENT) -> np.ndarray:
    """Float32 numbers of every magnitude and, more densely, of the sizes that data have."""
    exponents = np.arange(SMALLEST_EXPONENT, largest_exponent + 1, 4)
    sizes = np.ldexp(1 + _spread(len(exponents)), exponents)
    edges = 1 - 0.5 ** np.arange(3, MANTISSA, 3)
    ranges = [(2 * _spread(count) - 1) * limit for limit, count in ((1, 24), (12, 60), (110, 66), (1000, 10))]
    return np.concatenate([sizes, -sizes, edges, -edges, 1 / edges, *ranges]).astype(np.float32).astype(np.float64)


def _near(number: float) -> np.ndarray:
    """Float32 numbers near one, on both sides."""
    distances = np.ldexp(1 + _spread(2 * MANTISSA), np.arange(2 * MANTISSA) // 2 - MANTISSA + 2)
    return (number + distances * (-1.0) ** np.arange(2 * MANTISSA)).astype(np.float32).astype(np.float64)


def _alike(arity: int) -> list[np.ndarray]:
    """Float32 numbers of ordinary size for several inputs that are near each other, where differences cancel."""
    column = (2 * _spread(ALIKE) - 1) * 4
    nearness = 0.5 ** (2 + np.arange(ALIKE) % (MANTISSA - 3)) * np.sign(column[::-1])
    columns = (column * (1 + turn * nearness) for turn in range(arity))
    return [column.astype(np.float32).astype(np.float64) for column in columns]


def _in_tails(arity: int) -> list[np.ndarray]:
    """Float32 numbers for several inputs, each in turn where its exponential is about to leave the range."""
    tails = np.resize([1, -1], TAILS) * (84 + 24 * _spread(TAILS))
    others = (2 * _spread(TAILS) - 1)[::-1] * 12
    columns = (np.concatenate([tails if turn == own else others for own in range(arity)]) for turn in range(arity))
    return [column.astype(np.float32).astype(np.float64) for column in columns]


def _ends(arity: int) -> np.ndarray:
    """Points at infinity: a row for each of several inputs, which are infinite in turn."""
    columns = [
        [sign * np.inf if place == turn else beside for place in range(arity)]
        for turn, sign, beside in itertools.product(range(arity), (1, -1), BESIDE_INFINITY if arity > 1 else (0,))
    ]
    return np.array(columns).T


def _far_out(ends: np.ndarray) -> np.ndarray:
    """Numbers on the way to each of some ends: a row for each."""
    columns = np.repeat(ends[:, None], len(FAR), axis=1)
    return np.where(np.isinf(columns), np.copysign(FAR, columns), columns) if np.isinf(ends).any() else columns


def ordinary_points(limits: tuple[int, ...], arity: int) -> list[np.ndarray]:
    """Float32 numbers of up to the largest limit, densely, some of every magnitude below, multiples of 1/2, and all
    corners of limits: a column for each of several inputs, of which some are near each other.
    """
    exponents = np.arange(SMALLEST_EXPONENT, 0, 12)
    sizes = np.ldexp(1 + _spread(len(exponents)), exponents)
    ranges = [(2 * _spread(count) - 1) * edge for edge, count in ((3, 500), (12, 300), (max(limits), 60))]
    column = np.concatenate([sizes, -sizes, *ranges, np.arange(-16, 17) / 2]).astype(np.float32).astype(np.float64)
    corners = [sign for limit in limits for sign in itertools.product((limit, -limit), repeat=arity)]
    ends = np.array(corners, np.float64).T
    alike = _alike(arity) if arity > 1 else [np.zeros(0)]
    return [np.concatenate([_shuffled(column, turn), alike[turn], ends[turn]]) for turn in range(arity)]


def _spread(count: int) -> np.ndarray:
    """Numbers that fill (0, 1) evenly in every prefix."""
    return np.arange(1, count + 1) * GOLDEN % 1


def _shuffled(column: np.ndarray, turn: int) -> np.ndarray:
    return column if not turn else column[np.argsort(np.arange(len(column)) * GOLDEN * (turn + 1) % 1, kind="stable")]


class Judge:
    """Judges forms of an elementwise formula's value and derivatives by their worst rounding error.

    `written` is the formula before any rewriting, `formula` the one whose stages the forms refer to; `params` gives
    the numbers to try for its parameters, `columns` those to try for its inputs, where they are not of all magnitudes,
    `slack` how far NumPy's functions are off before they are rounded. Exact derivatives are differences of the formula
    as it is written, or, which is sooner done, the values of `derivatives` in terms of the inputs, where those are
    known to be right.
    """

    def __init__(
        self,
        written: Formula,
        formula: Formula,
        params: dict[str, float],
        columns: list[np.ndarray] | None = None,
        slack: float = 0.0,
        derivatives: dict[str, sympy.Expr] = MappingProxyType({}),
    ):
        self.written, self.formula, self.params, self.slack = written, formula, params, slack
        self.series: dict[str, Series] = {}
        smallest = mpmath.mpf(2) ** SMALLEST_EXPONENT
        self.oracle = Oracle(written, params, smallest)
        self.derivatives = {
            name: Oracle(restated(formula, expr), params, smallest) for name, expr in derivatives.items()
        }
        self.weights = 1.0
        arity = len(formula.inputs)
        ends = _ends(arity) if columns is None or arity == 1 else np.zeros((arity, 0))
        if columns is None:
            column = points() if len(formula.inputs) == 1 else points(LARGEST_OF_SEVERAL)[::2]
            columns = [_shuffled(column, turn) for turn in range(len(formula.inputs))]
            if self.zero:
                columns = [np.append(column, _near(float(self.zero)))]
            if len(columns) > 1:
                columns = [*map(np.append, columns, _in_tails(len(columns)))]
                columns = [*map(np.append, columns, _alike(len(columns)))]
                self.weights = np.append(np.ones(len(columns[0]) - ALIKE), np.full(ALIKE, ALIKE_WEIGHT))
        masks = _masks(formula)

        def by_name(columns) -> dict[str, np.ndarray]:
            named = zip(formula.inputs, columns, strict=True)
            return {value.name: one > 0 if value in masks else one for value, one in named}

        self.inputs, self.ends = by_name(columns), by_name(ends)
        self.columns = {name: np.concatenate([column, self.ends[name]]) for name, column in self.inputs.items()}
        self._simulations: dict[tuple, Simulation] = {}
        self._beyond: dict[tuple, np.ndarray] = {}

    @cached_property
    def defaults(self) -> dict[Parameter, sympy.Expr]:
        """The numbers that the parameters of the formula are by default; nothing if one of them has no default."""
        params = {param for stage in self.formula.stages for param in stage.expr.atoms(Parameter)}
        numbers = {param: self.params[param.name] for param in sorted(params, key=str)}
        if UNKNOWN_PARAMETER in numbers.values():
            return {}
        return {param: sympy.Rational(number) for param, number in numbers.items()}  # exactly the float

    def value(self) -> Truth:
        """The exact values."""
        exact = _floats(self.oracle(**self.inputs))
        limits = self._limits(lambda inputs: _floats(self.oracle(**inputs)))

        def change(_) -> np.ndarray:
            return sum(np.abs(self.slope(name) * step) for name, step in self._steps().items())

        return Truth(exact, WhereAsked(lambda _: ulp(exact)), WhereAsked(change), limits)

    def derivative(self, name: str) -> Truth:
        """The exact derivatives with respect to an input."""
        exact, steps = self.slope(name), self._steps()
        known = np.isfinite(exact)

        def moved(inputs: dict[str, np.ndarray], where: np.ndarray) -> np.ndarray:
            """The derivatives at other inputs, for some of the points: others take longest, where they are unknown."""
            slopes = np.full(exact.shape, np.nan)
            slopes[where] = self._slope(name, {one: inputs.get(one, self.inputs[one])[where] for one in self.inputs})
            return slopes

        def unit(where: np.ndarray) -> np.ndarray:
            least, larger = np.full(exact.shape, np.inf), known & where
            for side in (-1, 1):  # one where the derivative is no larger settles it
                beside = {one: self.inputs[one] * (1 + side * DIP) for one in steps}
                least = np.minimum(least, np.abs(moved(beside, larger)))
                larger = least > np.abs(exact)
            return ulp(np.where(larger, least, exact))

        def change(where: np.ndarray) -> np.ndarray:
            return np.abs(moved({one: self.inputs[one] + step for one, step in steps.items()}, known & where) - exact)

        return Truth(
            exact, WhereAsked(unit), WhereAsked(change), self._limits(lambda inputs: self._slope(name, inputs))
        )

    def _limits(self, function: Callable[[dict], np.ndarray]) -> np.ndarray:
        count = next(iter(self.ends.values())).size
        if not count or self._has_beyond_settling(PERIODIC_IN_WHOLE_NUMBERS):  # FAR are whole numbers
            return np.full(count, np.nan)
        far = {name: _far_out(column) for name, column in self.ends.items()}
        values = function({name: column[:, -1] for name, column in far.items()})[:, None] * np.ones(len(FAR))
        known = ~np.isnan(values[:, -1])  # what is unknown there has no limit, and takes longest to be looked for
        if known.any():
            nearer = function({name: column[known, :-1].ravel() for name, column in far.items()})
            values[known, :-1] = nearer.reshape(-1, len(FAR) - 1)
        limits = np.array([*map(_limit, values)])
        return np.where(np.isinf(limits), np.nan, limits) if self.is_periodic else limits  # sin(inf) is nan

    def _steps(self) -> dict[str, np.ndarray]:
        """The last unit of every input that is a number."""
        return {name: ulp(column) for name, column in self.inputs.items() if column.dtype != bool}

    def slope(self, name: str) -> np.ndarray:
        if name not in self._slopes:
            self._slopes[name] = self._slope(name, self.inputs)
        return self._slopes[name]

    @cached_property
    def _slopes(self) -> dict[str, np.ndarray]:
        return {}

    def _slope(self, name: str, inputs) -> np.ndarray:
        if name in self.derivatives:
            is_outside = np.isnan(_floats(self.oracle(**inputs)))  # of the formula's domain
            return np.where(is_outside, np.nan, _floats(self.derivatives[name](**inputs)))
        step = np.minimum(np.abs(inputs[name]), 1)
        step = np.where(step == 0, 1, step)  # near zero as small as the input: on the other side there may be nothing
        return _floats(self.oracle.slope({name: step}, inputs, step))

    @cached_property
    def whole(self) -> sympy.Expr:
        """The formula in terms of its inputs alone."""
        return inlined(self.formula.output, self.formula.stages)

    @cached_property
    def is_periodic(self) -> bool:
        """Whether the formula has parts without a limit at infinity, or with another value there."""
        return self._has_beyond_settling(PERIODIC)

    def _has_beyond_settling(self, periodic: tuple) -> bool:
        """Whether the formula asks what numbers look like, or has one of these functions of what does not settle."""
        arguments = (part.args[0] for part in self.whole.atoms(*periodic))
        return self.whole.has(Test) or any(_without_settled(argument).has(Value) for argument in arguments)

    @cached_property
    def has_parameters(self) -> bool:
        """Whether the formula is one of many, so that numbers found for it are not all there is to know."""
        return bool(self.whole.atoms(Parameter))

    @cached_property
    def argument(self) -> sympy.Expr | None:
        """The one expression, linear in the inputs, that the formula is a function of: an input, or a difference."""
        return next((one for one, rest in self._differences if not rest.atoms(Value)), None)

    @property
    def _differences(self) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
        """Inputs, and differences of two, each with the formula as one of a symbol in its place."""
        sums = (total for total in self.whole.atoms(sympy.Add) if not total.atoms(Parameter))
        for candidate in (*self.formula.inputs, *sorted(sums, key=str)):
            slopes = [candidate.diff(value) for value in self.formula.inputs]
            if set(slopes) <= {0, 1, -1} and 1 in slopes:
                yield candidate, self.whole.xreplace({candidate: _ARGUMENT, -candidate: -_ARGUMENT})

    @cached_property
    def scaled(self) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr] | None:
        """(u, c, k) where the formula is c times a function of k u alone, u being an input or a difference of two, and
        c and k are made of parameters or other inputs, as t and 1 / t in t tanh(x / t).
        """
        if self.argument is not None and not self.has_parameters:
            return self.argument, sympy.S.One, sympy.S.One
        if len(self.formula.inputs) == 1:
            found = scales(self.whole, self.argument, bool(self.zero))
            return found and (self.argument, *found)
        found = ((one, scales(rest, _ARGUMENT)) for one, rest in self._differences)
        found = ((one, *scale) for one, scale in found if scale)
        apart = ((one, c, k) for one, c, k in found if not (c * k).has(*one.atoms(Value)))
        return next(((one, c, k) for one, c, k in apart if self.number(c) and self.number(k)), None)

    def number(self, expr) -> mpmath.mpf:
        """What is made of parameters, for the numbers that are tried, and of inputs, for 1; 0 where that is none."""
        numbers = {param: sympy.Rational(self.params[param.name]) for param in expr.atoms(Parameter)}
        numbers |= dict.fromkeys(expr.atoms(Value), sympy.S.One)
        found = sympy.N(expr.xreplace(numbers), 60)
        return mpmath.mpmathify(found if found.is_real else 0)  # zoo, of 1 / (x - y), is not real

    @cached_property
    def zero(self) -> sympy.Rational:
        """The number that the one input is compared with wherever it is, 10 in (10 - x) / (exp((10 - x) / 5) - 1): near
        there terms may cancel. 0 where there is none.
        """
        if len(self.formula.inputs) > 1:
            return sympy.S.Zero
        (x,) = self.formula.inputs
        sums = [total for total in self.whole.atoms(sympy.Add) if total.diff(x).is_number and total.has(x)]
        zeros = {-total.subs(x, 0) / total.diff(x) for total in sums}
        elsewhere = self.whole.xreplace({total: sympy.Dummy() for total in sums})
        zero = zeros.pop() if len(zeros) == 1 and not elsewhere.has(x) else sympy.S.Zero
        return zero if zero.is_Rational else sympy.S.Zero

    @property
    def radii(self) -> tuple[float, ...]:
        """How far series may reach."""
        return WIDE_RADII if self.zero else RADII

    @cached_property
    def argument_values(self) -> np.ndarray:
        """How far the argument, by its scale, is from its zero at each point; infinity where there is none."""
        if self.scaled is None:
            return np.full(next(iter(self.inputs.values())).size, np.inf)
        argument, _, k = self.scaled
        numbers = {param: sympy.Rational(self.params[param.name]) for param in k.atoms(Parameter)}
        distance = sympy.lambdify(self.formula.inputs, (k * argument).xreplace(numbers), "numpy")
        with np.errstate(all="ignore"):
            return distance(*self.inputs.values()) - float(self.zero)

    def fitted(self, name: str, least_radius: float) -> Series | None:
        """The series near zero, in the argument less its own, of the value (name '') or of the derivative by an
        input, both without the scales.
        """
        zero = mpmath.mpf(self.zero.p) / self.zero.q
        c, k = map(self.number, self.scaled[1:])
        unit = c * k if name else c
        if not (unit and k):
            return None

        def function(numbers):
            return [one / unit for one in self._along_argument(name, [(x + zero) / k for x in numbers])]

        return fitted(function, least_radius, self.radii)

    def near_zero(self, name: str, polynomial: Callable, form: sympy.Expr, radius: float) -> sympy.Expr:
        """A form of the value (name '') or of a derivative with a polynomial, by the same scales, near zero."""
        argument, c, k = self.scaled
        distance = with_ratios(k * argument) - self.zero
        inside = words.abs(distance) < sympy.Rational(radius)
        return Where(inside, (c * k if name else c) * polynomial(distance), form)

    @property
    def has_scales(self) -> bool:
        """Whether the argument counts in units that are inputs too."""
        return self.scaled is not None and bool(self.scaled[2].atoms(Value))

    def clamped_by_scale(self, form: sympy.Expr, limit: float) -> Iterator[sympy.Expr]:
        """A form with the argument, in these units, kept within a limit; also divided by others last."""
        argument, _, k = self.scaled
        size = words.clamped(with_ratios(k * argument), limit)
        made = form.xreplace({argument: _ARGUMENT / k})
        yield made.xreplace({_ARGUMENT: size})
        others, factors = made.as_independent(_ARGUMENT, as_Add=False)
        above, below = sympy.fraction(others)
        if below.atoms(Value):
            yield over((above * factors).xreplace({_ARGUMENT: size}), below)

    def near_zero_again(self, name: str, series: Series, form: sympy.Expr) -> sympy.Expr:
        """The same of a derivative that is differentiated again, by scales that are inputs too: a power of these and of
        the argument is written as one, so that what it leaves of the scales has no terms that cancel.
        """
        argument, _, k = self.scaled
        if not self.has_scales:
            return self.near_zero(name, series.polynomial, form, series.radius)
        inside = words.abs(with_ratios(k * argument)) < sympy.Rational(series.radius)
        power = (k * Where(inside, argument, 0)) ** series.power

        def polynomial(distance):
            return power * series.factor(words.clamped(distance, sympy.Rational(series.radius)))

        return self.near_zero(name, polynomial, form, series.radius)

    def fitted_far(self, name: str, distance: float) -> tuple[FarSeries | None, FarSeries | None]:
        """The series far from zero of the same function, for positive and for negative arguments."""
        exact = Oracle(self.written, self.params)  # where it is tiny, too
        c, k = map(self.number, self.scaled[1:])
        zero, unit = mpmath.mpf(self.zero.p) / self.zero.q, c * k if name else c
        if not (unit and k):
            return None, None

        def along(sign):
            return lambda xs: [y / unit for y in self._along_argument(name, [(sign * x + zero) / k for x in xs], exact)]

        right, left = (fitted_far(along(sign), distance) for sign in (1, -1))
        return right, left

    def far_out(self, name: str, series: tuple, polynomial: Callable, form: sympy.Expr) -> sympy.Expr:
        """A form of the value (name '') or of a derivative with the series that `fitted_far` found far from zero;
        `polynomial` makes an expression of a series, its argument and the size of this.
        """
        argument, c, k = self.scaled
        x, (right, left) = with_ratios(k * argument) - self.zero, series
        limit = sympy.Rational(max(one.distance for one in series if one))

        def far(one: FarSeries, is_far):
            within = k * Where(is_far, argument, limit) - self.zero
            return (c * k if name else c) * polynomial(one, within, words.maximum(words.abs(x), limit))

        if k == 1:
            form = form.xreplace({argument: words.clamped(argument, limit + words.abs(self.zero))})
        is_far = words.abs(x) > limit
        if right and left in (right, right.negated):
            sign = sympy.S.One if left == right else words.sign(x)
            return Where(is_far, sign * far(right, is_far), form)
        if right and left:
            return Where(is_far, Where(x > 0, far(right, is_far), far(left, is_far)), form)
        is_far = x > limit if right else x < -limit
        return Where(is_far, far(right or left, is_far), form)

    def distance_of_losses(self, profile: Profile, level: float) -> float:
        """How near to zero there is an error above a level, a part of what inputs change forgiven."""
        sizes = np.abs(self.argument_values)
        return float(sizes[profile.lenient[: len(sizes)] > level].min(initial=inf))

    def leading_terms(self, name: str) -> list[tuple[sympy.Rational, int] | None]:
        """The same function's leading term for large positive arguments, and that for negative ones in terms of |x|."""
        sides = (lambda x: x, lambda x: -x)
        return [leading_term(lambda numbers, at=at: self._along_argument(name, [*map(at, numbers)])) for at in sides]

    def _along_argument(self, name: str, numbers: list, oracle: Oracle | None = None) -> list:
        oracle = oracle or self.oracle
        argument, *known = self.scaled
        carrier = next(value.name for value in self.formula.inputs if argument.diff(value) == 1)
        units = {value.name for scale in known for value in scale.atoms(Value)}
        inputs = {one: np.array([mpmath.mpf(one in units)] * len(numbers), dtype=object) for one in self.inputs}
        inputs[carrier] = np.array(numbers, dtype=object)
        return list(oracle.slope({name: np.ones(len(numbers))}, inputs) if name else oracle(**inputs))

    def is_right_beyond(self, names: tuple[str, ...], form, limit: float) -> bool:
        """Whether a form of a function of one input, or of its derivative by what is named, once or twice, is right
        beyond a limit to which it keeps that input: by float64's digits and range, of which float32 does not tell.
        """
        (x,) = self.formula.inputs
        beyond = {x.name: np.array([mpmath.mpf(s * power * limit) for s in (1, -1) for power in BEYOND], dtype=object)}
        if (names, limit) not in self._beyond:
            oracle = Oracle(self.written, self.params)
            derivative = (oracle, oracle.slope, oracle.curvature)[len(names)]
            along = [{name: np.ones(2 * len(BEYOND))} for name in names]
            self._beyond[names, limit] = derivative(*along, beyond) if names else derivative(**beyond)
        found = Oracle(restated(self.formula, form), self.params)(**beyond)
        pairs = zip(found, self._beyond[names, limit], strict=True)
        known = [(_kept(a), _kept(b)) for a, b in pairs if mpmath.isfinite(a) and mpmath.isfinite(b)]
        return all(abs(a - b) <= abs(b) * SAME + SMALLEST for a, b in known)

    def error(self, form, truth: Truth, directions: dict[Value, float], is_wide: bool = False) -> Error:
        """The worst error of a form; cotangents and tangents have the values given."""
        return self.profile(form, truth, directions, is_wide=is_wide).within(inf)

    def simulation(self, directions: dict[Value, float] = MappingProxyType({}), is_wide: bool = False) -> Simulation:
        """What evaluates forms at the points, those at infinity among them, in float32 or with `is_wide` in float64."""
        key = (*directions.items(), is_wide)
        if key not in self._simulations:
            self._simulations[key] = Simulation(
                self.formula, self.columns, self.params, self.series, directions, self.slack, is_wide
            )
        return self._simulations[key]

    def is_normal(self, form, limit: float) -> bool:
        """Whether a positive form of the inputs is a normal number wherever none of these is larger than the limit."""
        values, _ = self.simulation().evaluated(form)
        return bool(values[sizes(self.columns) <= limit].min() >= 2.0**SMALLEST_NORMAL)

    def profile(
        self, form, truth: Truth, directions: dict[Value, float], definitions=MappingProxyType({}), is_wide=False
    ) -> Profile:
        """The errors of a form at every point. `definitions` says what values in it stand for, `is_wide` whether
        float32 inputs are computed with in float64.
        """
        got, warned = self.simulation(directions, is_wide).evaluated(form, definitions)
        got, infinite = got[: len(truth.exact)], got[len(truth.exact) :]
        at_infinity = truth.at_infinity(infinite)
        with np.errstate(all="ignore"):
            beyond = np.isinf(truth.exact.astype(np.float32))
            judged = np.isfinite(truth.exact) & ~beyond | beyond & np.isnan(got)  # in place of infinity NaN is wrong
            off = np.where(judged, np.where(np.isfinite(got), np.abs(got - truth.exact), np.inf), 0)
        counted = self.weights * np.where(judged & warned[: len(got)], np.inf, off)
        distance = np.abs(self.argument_values)
        distance[distance > self.radii[-1]] = inf
        if len(self.inputs) > 1:
            silent = np.count_nonzero(at_infinity[~np.isnan(infinite)])
            astray = np.count_nonzero(at_infinity) + silent * len(infinite)
            return Profile(self.inputs, truth, off, counted, np.zeros(0), distance, astray)
        return Profile(
            self.columns, truth, off, counted, at_infinity, np.append(distance, np.full(len(at_infinity), np.inf))
        )


def _masks(formula: Formula) -> set[Value]:
    """The inputs that stand for truth values."""
    wheres = {part for stage in formula.stages for part in stage.expr.atoms(Where, Indicator)}
    return {value for part in wheres for value in _truths(part.args[0])}


def _truths(condition) -> set:
    if isinstance(condition, Value):
        return {condition}
    if isinstance(condition, And | Or | Not):
        return {value for part in condition.args for value in _truths(part)}
    return set()


def _without_settled(expr):
    """The expression without what tends to a number far from zero."""
    return expr.replace(lambda part: isinstance(part, SETTLING), lambda _: sympy.S.One)


def _floats(numbers: np.ndarray) -> np.ndarray:
    return np.array([float(number) for number in numbers])


def _limit(values: np.ndarray) -> float:
    """What values at ever larger arguments tend to; nan where they do not settle."""
    values = np.where(np.abs(values) < NEGLIGIBLE, 0, values)
    with np.errstate(all="ignore"):
        ratios = values[1:] / values[:-1]
    ratios[np.isinf(values[1:]) & (values[1:] == values[:-1])] = np.inf  # beyond float64's range
    if np.all(values == 0) or np.all(np.abs(ratios - 1) < 1e-6):
        return float(values[-1])
    if np.all(ratios > 1.05):
        return float(np.copysign(np.inf, values[-1]))
    shrinks = (ratios >= 0) & (ratios < 0.95) | (np.abs(ratios) < LEAST_SHRINKING) | (values[1:] == 0)
    return 0.0 if np.all(shrinks) else float("nan")
