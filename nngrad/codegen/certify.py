"""The oracle: an op's formula, as its author wrote it, evaluated by mpmath.

It reads the traced formula before any rewriting and never a derivative, so that it is independent of what it judges.
Derivatives are judged by differences of the formula itself in many digits: with 60 digits and a step of 1e-20 a central
difference is exact to some 40 digits.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Not, Or

from nngrad.codegen.symbols import Count, Parameter, Pick, Subgradient, Value, Where
from nngrad.codegen.trace import Formula, Stage
from nngrad.codegen.words import WORD_OF

DIGITS = 60
STEP = mpmath.mpf(10) ** -20
_COMPARE = {
    sympy.Gt: lambda a, b: a > b, sympy.Ge: lambda a, b: a >= b, sympy.Lt: lambda a, b: a < b,
    sympy.Le: lambda a, b: a <= b, sympy.Eq: lambda a, b: a == b, sympy.Ne: lambda a, b: a != b,
}  # fmt: skip


class Oracle:
    """Evaluates a formula on arrays of numbers, exactly to some 50 digits.

    `params` gives numbers for the formula's numeric parameters and axes for its axis parameters. Values are object
    arrays of mpf; where the formula is not real or not finite, they are nan.
    """

    def __init__(self, formula: Formula, params: dict[str, object]):
        self.formula, self.params = formula, params

    def __call__(self, **inputs) -> np.ndarray:
        """The formula's value, reduced axes dropped."""
        with mpmath.workdps(DIGITS):
            values = {name: _exact(array) for name, array in inputs.items()}
            self.shape = np.broadcast_shapes(
                *(array.shape for name, array in values.items() if name not in self.formula.indices)
            )
            for stage in self.formula.stages:
                values[stage.value.name] = self._stage(stage, values)
            result = values[self.formula.output.name]
            axis = self.formula.reduced_axis
            return np.asarray(np.squeeze(result, self._axis(axis)) if axis else result, dtype=object)

    def slope(self, direction: dict[str, np.ndarray], inputs: dict[str, np.ndarray]) -> np.ndarray:
        """The derivative of the formula along a direction, by a central difference."""
        with mpmath.workdps(DIGITS):
            ahead, behind = (self(**_moved(inputs, direction, side * STEP)) for side in (1, -1))
            return np.asarray((ahead - behind) / (2 * STEP), dtype=object)

    def curvature(self, first, second, inputs) -> np.ndarray:
        """The second derivative along two directions."""
        with mpmath.workdps(DIGITS):
            ahead, behind = (self.slope(first, _moved(inputs, second, side * STEP)) for side in (1, -1))
            return np.asarray((ahead - behind) / (2 * STEP), dtype=object)

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
        if isinstance(expr, Value):
            return values[expr.name]
        if isinstance(expr, Parameter):
            return mpmath.mpf(self.params[expr.name])
        if isinstance(expr, Count):
            axes = np.atleast_1d(self._axis(expr.args[0].name))
            return mpmath.mpf(int(np.prod([self.shape[axis] for axis in axes])))
        if expr.is_number:
            return mpmath.mpmathify(sympy.N(expr, DIGITS + 10))
        if isinstance(expr, Subgradient):
            return self._value(expr.args[0], values)
        if isinstance(expr, Where):
            condition = self._condition(expr.args[0], values)
            return _choose(condition, *(self._value(branch, values) for branch in expr.args[1:]))
        args = [self._value(arg, values) for arg in expr.args]
        if expr.is_Add or expr.is_Mul:
            total = args[0]
            for arg in args[1:]:
                total = total + arg if expr.is_Add else total * arg
            return total
        function = mpmath.power if expr.is_Pow else WORD_OF[type(expr)].oracle
        return np.asarray(np.frompyfunc(_real(function), len(args), 1)(*args), dtype=object)

    def _condition(self, condition, values):
        if isinstance(condition, Value):
            return values[condition.name]
        if isinstance(condition, Relational):
            left, right = (self._value(arg, values) for arg in condition.args)
            return np.frompyfunc(_COMPARE[condition.func], 2, 1)(left, right)
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


_choose = np.frompyfunc(lambda truth, a, b: a if truth else b, 3, 1)


def _real(function: Callable) -> Callable:
    """The function with nan for what is not a real number."""

    def value(*args):
        try:
            result = function(*args)
        except (ValueError, ZeroDivisionError, OverflowError):
            return mpmath.nan
        return result if isinstance(result, mpmath.mpf | int) else mpmath.nan

    return value


def _exact(array) -> np.ndarray:
    return np.asarray(np.frompyfunc(mpmath.mpf, 1, 1)(np.asarray(array, dtype=object)), dtype=object)


def _moved(inputs, direction, step):
    return {
        name: _exact(array) + step * _exact(direction[name]) if name in direction else array
        for name, array in inputs.items()
    }
