"""The oracle: an op's formula, as its author wrote it, evaluated by mpmath.

It reads the traced formula before any rewriting and never a derivative, so that it is independent of what it judges.
Derivatives are judged by central differences of the formula itself, with steps far below the last digit of any float.

No number of digits is enough everywhere: log(1 + exp(-700)) needs 330, and its slope twice as many. So the digits grow,
along `LADDER`, until two rungs agree; what does not settle is nan, and so is what is not real.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache, reduce

import mpmath
import numpy as np
import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Not, Or

from nngrad.codegen.algebra.exact import bits_before_point
from nngrad.codegen.algebra.symbols import (
    Count,
    IsInf,
    IsNan,
    Parameter,
    Pick,
    SignBit,
    Subgradient,
    Test,
    Value,
    Where,
)
from nngrad.codegen.algebra.texts import text
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.trace import Formula, Stage

LADDER = (40, 80, 160, 280, 400, 560, 800, 1600)
MANY_ZEROS = 28  # behind the point of a number, a step of whose square is not seen beside 1 by the second rung
AGREE = mpmath.mpf(10) ** -24  # relative: a hundred-millionth of a float64's last digit
LENGTH = "length of the direction"
SMALLEST = mpmath.mpf(2) ** -1074
TOGETHER = 100  # so many decades of far numbers are evaluated with the same digits
SMALL, LARGE = -92, 36  # numbers with so many bits before the point need no more digits than there are anyway
_REAL = (mpmath.mpf, int)
_EXACT = {"abs", "sign", "floor", "ceil", "trunc", "rint"}  # words that round nothing
_COMPARE = {
    sympy.Gt: lambda a, b: a > b, sympy.Ge: lambda a, b: a >= b, sympy.Lt: lambda a, b: a < b,
    sympy.Le: lambda a, b: a <= b, sympy.Eq: lambda a, b: a == b, sympy.Ne: lambda a, b: a != b,
}  # fmt: skip


class Oracle:
    """Evaluates a formula on arrays of numbers, exactly to some 24 digits.

    `params` gives numbers for the formula's numeric parameters and axes for its axis parameters. Values are object
    arrays of mpf; where the formula is not real or not finite, they are nan. What is a thousand times smaller than
    `smallest` need not be known better than that: it rounds to zero.
    """

    def __init__(self, formula: Formula, params: dict[str, object], smallest=SMALLEST):
        self.formula, self.params = formula, params
        self.negligible = smallest / 1000
        self.turn = 0  # so that no two of a sum's roundings are the same
        self.rounded: dict[sympy.Expr, list[sympy.Expr]] = {}

    def __call__(self, **inputs) -> np.ndarray:
        """The formula's value, reduced axes dropped."""

        def attempt(digits, values):
            value = self._evaluate(digits + _far(values), values)
            return value, 0 * value, _noise(digits, value)

        return self._settled(attempt, inputs)

    def slope(
        self, direction: dict[str, np.ndarray], inputs: dict[str, np.ndarray], length=1, hold: bool = False
    ) -> np.ndarray:
        """The derivative of the formula along a direction; nan at a kink, where the two sides disagree.

        `length`, of the output's shape, is what the direction's length is to be counted as: 1 as it stands. A
        direction as long as the input, where that is small, keeps the steps small against the input. With `hold` what
        is reduced along an axis keeps its value: that gives the term of the derivative which is no sum.
        """
        return self._differences((direction,), inputs, length, hold)

    def curvature(self, first, second, inputs) -> np.ndarray:
        """The second derivative along two directions."""
        return self._differences((first, second), inputs)

    # --- digits -------------------------------------------------------------------------------------------------------

    def _settled(self, attempt: Callable, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """What `attempt(digits, inputs)` comes to as digits grow; it gives values and how far their two sides differ.

        Elements, or rows, are evaluated again only if they have not settled, and far ones apart from near ones.
        """
        self.turn = 0  # whatever has been asked before
        inputs = {name: _as_mpf(array) for name, array in inputs.items()}
        if not self.formula.axes:
            shape = np.broadcast_shapes(*(array.shape for array in inputs.values()))
            flat = {name: np.broadcast_to(array, shape).reshape(-1) for name, array in inputs.items()}
            return self._apart(attempt, flat).reshape(shape)
        if self._is_by_rows(inputs):
            return self._apart(attempt, inputs)

        def whole(digits, inputs):
            one = {name: array[0, ...] for name, array in inputs.items()}
            return (_objects(array)[None] for array in attempt(digits, one))

        return self._climb(whole, {name: array[None] for name, array in inputs.items()})[0, ...]

    def _apart(self, attempt, inputs) -> np.ndarray:
        """Far elements or rows apart from near ones, which need fewer digits, and the farthest apart from these."""
        arrays = list(inputs.values())
        far = ~reduce(np.logical_and, map(_are_near, arrays))
        distance = np.zeros(len(far), dtype=int)
        for place in np.flatnonzero(far):
            decades = _decades(itertools.chain(*(np.ravel(array[place]) for array in arrays)))
            distance[place] = math.ceil(decades / TOGETHER)
        parts = {}
        for one in np.unique(distance)[::-1]:
            own = np.flatnonzero(distance == one)
            part = self._climb(attempt, {name: array[own] for name, array in inputs.items()})
            parts |= zip(own, part, strict=True)
        result = np.empty((far.size, *np.shape(parts[0])) if parts else 0, dtype=object)
        for place, part in parts.items():
            result[place] = part
        return result

    def _is_by_rows(self, inputs) -> bool:
        """Whether the formula does the same to every row of its inputs."""
        leading = {array.shape[:1] for array in inputs.values()}
        return leading != {()} and len(leading) == 1 and all(self.params.get(axis) == -1 for axis in self.formula.axes)

    def _climb(self, attempt, inputs) -> np.ndarray:
        value, gap, _ = map(_objects, attempt(LADDER[0], inputs))
        result = np.full(value.shape, mpmath.nan, dtype=object)
        unsettled = np.arange(len(value))
        for digits in LADDER[1:]:
            before, gap_before = value, gap
            value, gap, noise = map(_objects, attempt(digits, inputs))
            settled = np.asarray(_settles(before, value, noise < self.negligible, self.negligible), dtype=bool)
            kinks = np.asarray(_is_kink(value, gap_before, gap), dtype=bool)
            result[unsettled] = np.where(settled & ~kinks, value, mpmath.nan)
            again = ~settled.reshape(len(value), -1).all(axis=1)
            if not again.any():
                break
            inputs = {name: array[again] for name, array in inputs.items()}
            value, gap, unsettled = value[again], gap[again], unsettled[again]
        return result

    def _differences(self, directions, inputs, length=1, hold=False) -> np.ndarray:
        """Differences of the formula along one direction, or along two."""
        names = list(inputs)
        moves = [{name: np.asarray(move) for name, move in direction.items()} for direction in directions]

        def attempt(digits, packed):
            values = {name: packed[name] for name in names}
            along = [{name: packed[name, order] for name in move} for order, move in enumerate(moves)]
            far = 3 * _far(values) // 2  # a step beside them is as far away again
            with mpmath.workdps(digits + far):
                step = mpmath.mpf(10) ** -_step_digits(digits, len(moves))
                if len(moves) == 2:
                    corners = [
                        self._evaluate(digits + far, _moved(_moved(values, along[0], a * step), along[1], b * step))
                        for a in (1, -1) for b in (1, -1)
                    ]  # fmt: skip
                    value = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * step**2)
                    return value, 0 * value, _noise(digits, corners[0]) / step**2
                held = self._reduced(digits + far, values) if hold else {}
                places = (_moved(values, along[0], step), values, _moved(values, along[0], -step))
                ahead, here, behind = (self._evaluate(digits + far, place, held) for place in places)
                gap = np.abs(ahead - 2 * here + behind) / step
                slope = (ahead - behind) / (2 * step)
                return tuple(array / packed[LENGTH] for array in (slope, gap, _noise(digits, here) / step))

        packed = {(name, order): move[name] for order, move in enumerate(moves) for name in move}
        return self._settled(attempt, {**inputs, **packed, LENGTH: np.asarray(length, dtype=object)})

    # --- formulas -----------------------------------------------------------------------------------------------------

    def _evaluate(self, digits: int, inputs: dict[str, np.ndarray], held=None) -> np.ndarray:
        with mpmath.workdps(digits):
            result = self._stages(inputs, held or {})[self.formula.output.name]
            axis = self.formula.reduced_axis
            result = np.squeeze(result, self._axis(axis)) if axis else np.broadcast_to(result, self.shape)
            return np.array(result, dtype=object)

    def _reduced(self, digits: int, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The values of the stages that reduce; to take one element by its index is no reduction."""
        with mpmath.workdps(digits):
            values = self._stages(inputs, {})
        reducing = (stage for stage in self.formula.stages if stage.kind != "map" and not stage.expr.atoms(Pick))
        return {stage.value.name: values[stage.value.name] for stage in reducing}

    def _stages(self, inputs: dict[str, np.ndarray], held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = {name: _exact(array) for name, array in inputs.items()}
        self.shape = np.broadcast_shapes(
            *(array.shape for name, array in values.items() if name not in self.formula.indices)
        )
        for stage in self.formula.stages:
            name = stage.value.name
            values[name] = held[name] if name in held else self._stage(stage, values)
        return values

    def _axis(self, label: str):
        axis = self.params.get(label, None)
        if label not in self.params:
            axis = sympy.sympify(label, locals={"None": None})
            axis = None if axis is None else tuple(map(int, axis)) if isinstance(axis, sympy.Tuple) else int(axis)
        return tuple(range(len(self.shape))) if axis is None else axis

    def _stage(self, stage: Stage, values) -> np.ndarray:
        if stage.kind == "map":
            return self._value(stage.expr, values)
        axis = self._axis(stage.axis)
        picks = [factor for factor in sympy.Mul.make_args(stage.expr) if isinstance(factor, Pick)]
        if picks:
            inside = np.broadcast_to(self._value(stage.expr / picks[0], values), self.shape)
            index = np.expand_dims(values[picks[0].args[0].name].astype(int), axis)
            return np.take_along_axis(inside, index, axis)
        inside = np.broadcast_to(self._value(stage.expr, values), self.shape)
        reduce = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[stage.kind]
        return reduce.reduce(inside, axis, keepdims=True)

    def _value(self, expr, values):
        """An expression's value; `values` keeps it, since naive formulas say the same thing several times."""
        if expr not in values:
            values[expr] = values[expr.name] if isinstance(expr, Value) else self._computed(expr, values)
        return values[expr]

    def _computed(self, expr, values):
        if isinstance(expr, Parameter):
            return mpmath.mpf(self.params[expr.name])
        if isinstance(expr, Count):
            axes = np.atleast_1d(self._axis(expr.args[0].name))
            return mpmath.mpf(int(np.prod([self.shape[axis] for axis in axes])))
        if expr.is_number:
            return _number(expr, mpmath.mp.dps)
        if isinstance(expr, Subgradient):
            return self._value(expr.args[0], values)
        if isinstance(expr, Where):
            condition = self._condition(expr.args[0], values)
            return _choose(condition, *(self._value(branch, values) for branch in expr.args[1:]))
        args = [self._value(arg, values) for arg in expr.args]
        if expr.is_Add or expr.is_Mul:
            # arrays first: mpmath refuses an array on its right by an error that spells out every number
            total, *rest = sorted(args, key=lambda arg: not isinstance(arg, np.ndarray))
            for arg in rest:
                total = total + arg if expr.is_Add else total * arg
            return self._with_noise(expr, args, total, values) if expr.is_Add and np.any(_is_zero(total)) else total
        function = mpmath.power if expr.is_Pow else WORD_OF[type(expr)].oracle
        return np.asarray(np.frompyfunc(_real(function), len(args), 1)(*args), dtype=object)

    def _with_noise(self, expr, terms, total, values):
        """A sum in which functions cancel to nothing as what rounding would have left: it must not settle as 0."""
        rounded = (self._value(one.args[0], values) != 0 for one in self._rounded_in(expr))
        lost = reduce(np.logical_or, rounded, False) & _is_zero(total)
        if not np.any(lost):
            return total
        self.turn += 1
        unit = (self.turn % 7 + 1) * mpmath.mpf(10) ** -mpmath.mp.dps
        return _choose(lost, reduce(np.add, map(np.abs, terms)) * unit, total)

    def _rounded_in(self, expr) -> list[sympy.Expr]:
        """The functions of one argument in an expression, and in what its values stand for, that round."""
        if expr not in self.rounded:
            whole = expr
            for stage in reversed(self.formula.stages):
                whole = whole.xreplace({stage.value: stage.expr}) if stage.kind == "map" else whole
            words = {one: WORD_OF.get(type(one)) for one in sorted(whole.atoms(sympy.Function), key=text)}
            self.rounded[expr] = [
                one for one, word in words.items() if word and word.arity == 1 and word.name not in _EXACT
            ]
        return self.rounded[expr]

    def _condition(self, condition, values):
        if isinstance(condition, Value):
            return values[condition.name]
        if isinstance(condition, Relational):
            left, right = (self._value(arg, values) for arg in condition.args)
            return np.frompyfunc(_COMPARE[condition.func], 2, 1)(left, right)
        if isinstance(condition, Test):
            test = {IsNan: mpmath.isnan, IsInf: mpmath.isinf, SignBit: lambda x: x < 0}[type(condition)]
            return np.frompyfunc(test, 1, 1)(self._value(condition.args[0], values))
        parts = [self._condition(part, values) for part in condition.args]
        if isinstance(condition, Not):
            return np.frompyfunc(lambda truth: not truth, 1, 1)(parts[0])
        total = parts[0]
        for part in parts[1:]:
            total = np.frompyfunc(
                (lambda a, b: a and b) if isinstance(condition, And) else (lambda a, b: a or b), 2, 1
            )(total, part)
        assert isinstance(condition, And | Or)
        return total


@lru_cache(1000)
def _number(expr, digits: int) -> mpmath.mpf:
    number = sympy.N(expr, digits + 10)
    return mpmath.mpmathify(number) if number.is_extended_real else mpmath.nan


_choose = np.frompyfunc(lambda truth, a, b: a if truth else b, 3, 1)


_is_zero = np.frompyfunc(lambda number: not number, 1, 1)


def _real(function: Callable) -> Callable:
    """The function with nan for what is not a real number."""

    def value(*args):
        try:
            result = function(*args)
        except (ValueError, ZeroDivisionError, OverflowError, MemoryError):
            return mpmath.nan
        return result if isinstance(result, _REAL) else mpmath.nan

    return value


def _as_mpf(array) -> np.ndarray:
    """The array, its floats as mpf once and for all; what is mpf keeps the digits that it has."""
    return np.asarray(np.frompyfunc(lambda x: x if isinstance(x, mpmath.mpf) else mpmath.mpf(x), 1, 1)(_objects(array)))


def _exact(array) -> np.ndarray:
    """The array as mpf of the digits that are worked with."""
    return np.asarray(np.frompyfunc(mpmath.mpf, 1, 1)(np.asarray(array, dtype=object)), dtype=object)


def _objects(array) -> np.ndarray:
    return np.asarray(array, dtype=object)


def _moved(inputs, direction, step):
    return {
        name: _exact(array) + _exact(direction[name]) * step if name in direction else array
        for name, array in inputs.items()
    }


def _far(inputs: dict[str, np.ndarray]) -> int:
    """The digits that the inputs' squares have before the point, or zeros behind it: as many more are needed to see
    what stands beside.
    """
    return 2 * max((_decades(array.flat) for array in inputs.values()), default=0)


def _decades(numbers) -> int:
    """How many digits the largest of some numbers has before its point, or zeros the smallest behind it, if many."""
    numbers = [number for number in numbers if number._mpf_[1]]  # neither 0, infinite nor nan
    if all(SMALL <= bits_before_point(number) <= LARGE for number in numbers):
        return 0
    largest, smallest = max(map(abs, numbers)), min(map(abs, numbers))
    above, behind = int(mpmath.log10(largest)) + 1, -int(mpmath.log10(smallest))
    return max(above if above > 12 else 0, behind if behind > MANY_ZEROS else 0)


_bits_before_point = np.frompyfunc(bits_before_point, 1, 1)


def _are_near(array: np.ndarray) -> np.ndarray:
    """Which elements or rows are ordinary numbers alone, that need no more digits."""
    bits = _bits_before_point(array)
    return np.all((bits >= SMALL) & (bits <= LARGE), axis=tuple(range(1, array.ndim)))


def _step_digits(digits: int, order: int) -> int:
    """The decimals of a difference's step: so many that two rungs may agree, and few for rounding's sake."""
    return 13 + (digits - LADDER[0]) // (7 if order == 1 else 4)


def _noise(digits: int, value):
    """What is lost to rounding in a sum of numbers of the value's size, or of one's."""
    return (1 + np.abs(value)) * mpmath.mpf(10) ** (2 - digits)


def _settled_at(before, value, sees_all, negligible) -> bool:
    if before == value != 0 or abs(before - value) < AGREE * abs(value):
        return True
    if mpmath.isnan(before) or mpmath.isnan(value):
        return mpmath.isnan(before) and mpmath.isnan(value)
    is_left = 0 < abs(before) < abs(value) * AGREE  # over what rounding has left, which is less at every rung
    return bool(sees_all) and not is_left and abs(before) < negligible and abs(value) < negligible


_settles = np.frompyfunc(_settled_at, 4, 1)
# whether the one-sided slopes stay apart although the step has shrunk
_is_kink = np.frompyfunc(lambda slope, early, late: late > early / 100 and late > abs(slope) * 1e-12, 3, 1)
