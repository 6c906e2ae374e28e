"""Simulated rounding: how much accuracy a form loses, judged the same way on every machine.

The graph that code is written from is evaluated operation by operation as float32 would: in float64, every result
rounded to float32, every function correctly rounded. What comes out is compared with the oracle's exact values, at
points of all sizes. An operation that overflows, or has no value, on the way to a finite result counts as an infinite
error, for NumPy would warn.

The scale of an error is the unit in the last place of the exact value, widened a little by what the value changes when
an input changes by its own last unit: near a root no form could do better.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce

import mpmath
import numpy as np
from sympy.logic.boolalg import And, Not, Or

from nngrad.codegen.certify import Oracle
from nngrad.codegen.lower import Graph, guarded
from nngrad.codegen.series import Series, fitted
from nngrad.codegen.symbols import Indicator, Value, Where
from nngrad.codegen.trace import Formula
from nngrad.codegen.words import WORD_OF

GOLDEN = (np.sqrt(5) - 1) / 2
SMALLEST_EXPONENT, LARGEST_EXPONENT = -149, 120  # nearer to the largest float a factor of 2 may overflow
MANTISSA, SMALLEST_NORMAL = 23, -126
CONDITION_WEIGHT = 0.25  # of the change by an input's last unit, in the scale of an error
ACCURATE = 3.5  # a good error, with every function correctly rounded
_COMPARE = {
    ">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal
}  # fmt: skip
_INFIX = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}


def points() -> np.ndarray:
    """Float32 numbers of every magnitude and, more densely, of the sizes that data have."""
    exponents = np.arange(SMALLEST_EXPONENT, LARGEST_EXPONENT + 1, 4)
    sizes = np.ldexp(1 + _spread(len(exponents)), exponents)
    ranges = [(2 * _spread(count) - 1) * limit for limit, count in ((1, 24), (12, 60), (110, 66), (1000, 10))]
    return np.concatenate([sizes, -sizes, *ranges]).astype(np.float32).astype(np.float64)


def _spread(count: int) -> np.ndarray:
    """Numbers that fill (0, 1) evenly in every prefix."""
    return np.arange(1, count + 1) * GOLDEN % 1


def _shuffled(column: np.ndarray, turn: int) -> np.ndarray:
    return column if not turn else column[np.argsort(np.arange(len(column)) * GOLDEN * (turn + 1) % 1, kind="stable")]


@dataclass(frozen=True)
class Error:
    """The worst error of a form, in units of the last place, and the point where it occurs.

    `bad` counts the points at which the error is too large; `reach` is the largest of their coordinates, and each of
    them has one of at least `least`.
    """

    ulp: float
    at: tuple[float, ...]
    bad: int = 0
    reach: float = 0.0
    least: float = 0.0


class Judge:
    """Judges forms of an elementwise formula's value and derivatives by their worst rounding error.

    `written` is the formula before any rewriting, `formula` the one whose stages the forms refer to; `params` gives
    the numbers to try for its parameters.
    """

    def __init__(self, written: Formula, formula: Formula, params: dict[str, float]):
        self.formula, self.params = formula, params
        self.series: dict[str, Series] = {}
        self.oracle = Oracle(written, params, mpmath.mpf(2) ** SMALLEST_EXPONENT)
        column = points()[:: min(2, len(formula.inputs))]
        columns = {value: _shuffled(column, turn) for turn, value in enumerate(formula.inputs)}
        masks = _masks(formula)
        self.inputs = {value.name: one > 0 if value in masks else one for value, one in columns.items()}

    @cached_property
    def value(self) -> tuple[np.ndarray, np.ndarray]:
        """The exact values and their scales."""
        exact = _floats(self.oracle(**self.inputs))
        return exact, _scale(exact, sum(np.abs(self.slope(name) * step) for name, step in self._steps().items()))

    def derivative(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The exact derivatives with respect to an input, and their scales."""
        exact = self.slope(name)
        moved = self.inputs | {name: self.inputs[name] + step for name, step in self._steps().items()}
        with np.errstate(all="ignore"):
            return exact, _scale(exact, np.abs(self._slope(name, moved) - exact))

    def _steps(self) -> dict[str, np.ndarray]:
        """The last unit of every input that is a number."""
        return {name: _ulp(column) for name, column in self.inputs.items() if column.dtype != bool}

    def slope(self, name: str) -> np.ndarray:
        if name not in self._slopes:
            self._slopes[name] = self._slope(name, self.inputs)
        return self._slopes[name]

    @cached_property
    def _slopes(self) -> dict[str, np.ndarray]:
        return {}

    def _slope(self, name: str, inputs) -> np.ndarray:
        return _floats(self.oracle.slope({name: np.ones_like(inputs[name])}, inputs))

    def fitted(self, name: str, least_radius: float) -> Series | None:
        """The series, near zero, of the value (name '') or of the derivative with respect to an input."""
        (source,) = self.inputs

        def function(numbers):
            inputs = {source: np.array(numbers, dtype=object)}
            return list(self.oracle.slope({source: np.ones(len(numbers))}, inputs) if name else self.oracle(**inputs))

        return fitted(function, least_radius)

    def error(self, form, exact: np.ndarray, scale: np.ndarray, directions: dict[Value, float]) -> Error:
        """The worst error of a form of what `exact` holds; cotangents and tangents have the value given."""
        known = {value: value.name for value in (*self.formula.inputs, *directions)}
        graph = Graph(self.formula, known, directions=frozenset(value.name for value in directions))
        graph, (output,) = guarded(graph, [graph.build(form)])
        arguments = self.inputs | {value.name: np.full(len(exact), number) for value, number in directions.items()}
        got, warned = simulated(graph, output, arguments, self.params, self.series)
        with np.errstate(all="ignore"):
            judged = np.isfinite(exact) & np.isfinite(exact.astype(np.float32))
            errors = np.abs(got - exact) / scale
        errors = np.where(judged, np.where(warned | np.isnan(errors), np.inf, errors), 0)
        worst = int(np.argmax(errors))
        at = tuple(float(column[worst]) for column in self.inputs.values())
        bad = errors > ACCURATE
        sizes = np.max([np.abs(column[bad].astype(float)) for column in self.inputs.values()], axis=0)
        reach, least = float(sizes.max(initial=0)), float(sizes.min(initial=np.inf))
        return Error(float(errors[worst]), at, int(np.count_nonzero(bad)), reach, least)


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


def _floats(numbers: np.ndarray) -> np.ndarray:
    return np.array([float(number) for number in numbers])


def _ulp(numbers: np.ndarray) -> np.ndarray:
    exponents = np.frexp(np.where(np.isfinite(numbers), numbers, 1))[1] - 1
    return np.ldexp(1.0, np.maximum(exponents, SMALLEST_NORMAL) - MANTISSA)


def _scale(exact: np.ndarray, change: np.ndarray) -> np.ndarray:
    return _ulp(exact) + CONDITION_WEIGHT * np.where(np.isfinite(change), change, 0)


# --- evaluation as float32 would --------------------------------------------------------------------------------------


def simulated(graph: Graph, output: int, arguments: dict[str, np.ndarray], params: dict[str, float], series):
    """A node's value at every point, and where an operation that leads to it would make NumPy warn."""
    values: list = [None] * len(graph.nodes)
    warned = np.zeros(len(next(iter(arguments.values()))), bool)
    with np.errstate(all="ignore"):
        for position in sorted(_needed(graph, output)):
            node = graph.nodes[position]
            args = [_as_array(values[arg]) if node.sources else values[arg] for arg in node.args]
            result = series[node.detail] if node.op == "constant" else _evaluated(node, args, arguments, params)
            if node.sources and node.op not in ("argument", "compare", "logic"):
                result = _rounded(result)
                finite = reduce(np.logical_and, (np.isfinite(arg) for arg in args if not isinstance(arg, Series)))
                warned |= ~np.isfinite(result) & finite
            values[position] = result
    return np.broadcast_to(values[output], warned.shape), warned


def _needed(graph: Graph, output: int) -> set[int]:
    needed, todo = set(), [output]
    while todo:
        position = todo.pop()
        if position not in needed:
            needed.add(position)
            todo += graph.nodes[position].args
    return needed


def _rounded(numbers):
    return np.asarray(numbers, np.float64).astype(np.float32).astype(np.float64)


def _as_array(value):
    """A number meeting an array takes the array's dtype."""
    return _rounded(value) if isinstance(value, float) else value


def _evaluated(node, args, arguments, params):
    if node.op == "argument":
        return arguments[node.detail]
    if node.op == "parameter":
        return float(params[node.detail])
    if node.op == "number":
        return float(node.detail)
    if node.op in _INFIX:
        return _INFIX[node.op](*args)
    if node.op == "negative":
        return np.negative(*args)
    if node.op == "compare":
        return _COMPARE[node.detail](*args)
    if node.op == "logic":
        return ~args[0] if node.detail == "~" else args[0] & args[1] if node.detail == "&" else args[0] | args[1]
    if node.op == "where":
        return np.where(*args)
    if node.op == "as_float":
        return np.asarray(args[0], np.float64)
    module, _, name = node.detail.partition(".")
    return getattr(np, name)(*args) if module == "np" else _HELPERS[node.detail](*args)


def _by_oracle(word):
    """A function of `runtime` that is a word, correctly rounded."""

    def number(*args):
        try:
            with mpmath.workdps(60):
                return float(word.oracle(*map(mpmath.mpf, args)))
        except (ValueError, ZeroDivisionError, OverflowError, TypeError):
            return float("nan")

    return lambda *args: np.frompyfunc(number, len(args), 1)(*args).astype(np.float64)


_HELPERS = {word.numpy: _by_oracle(word) for word in WORD_OF.values() if word.numpy.startswith("runtime.")}
_HELPERS["runtime.exp_square"] = lambda x, c: np.exp(c * x * x)
_HELPERS["runtime.decayed"] = lambda y, factor, exponent: np.where(exponent < -80, factor * np.exp(exponent), y)


def _near_zero(series: Series, x):
    """As `runtime.near_zero` computes it, in float32."""
    x = np.clip(x, -series.radius, series.radius)
    z = _rounded(x * x) if series.even else x
    first, *rest = series.coefficients["float32"]
    total = first
    for coefficient in rest:
        total = _rounded(_rounded(total * z) + coefficient)
    for _ in range(series.power):
        total = _rounded(total * x)
    return total


_HELPERS["runtime.near_zero"] = _near_zero
