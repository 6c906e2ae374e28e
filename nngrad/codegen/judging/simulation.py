"""Simulated rounding: the graphs that code is written from, evaluated operation by operation as float32 would.

This is done in float64, every result rounded to float32, every function correctly rounded. The forms of an expression
share most of their operations: each is built and evaluated once, for all of them.
"""

from __future__ import annotations

from functools import cache, lru_cache, reduce
from math import inf
from types import MappingProxyType

import mpmath
import numpy as np
import sympy

from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.algebra.words import FAR_FROM_FLOATS
from nngrad.codegen.judging.errors import MANTISSA, SMALLEST_NORMAL
from nngrad.codegen.lower import WIDENING, Graph
from nngrad.codegen.lowering.guards import guarded_in
from nngrad.codegen.lowering.literals import number_of
from nngrad.codegen.lowering.node import Node, ancestors
from nngrad.codegen.rules.remainders import log_remainder, times_log_remainder
from nngrad.codegen.rules.series import Series
from nngrad.codegen.trace import Formula

HUGE, LARGEST = 1e36, float(np.finfo(np.float32).max)
GROWN = 1e6  # times, of what tends to infinity, from HUGE to its square
EXPONENTS = SMALLEST_NORMAL - MANTISSA, 1 - SMALLEST_NORMAL  # of numbers, infinity taken for the largest
SILENT = {"runtime.times_exp", "runtime.ratio"}  # of which infinity is known to be right
EXACT = {"argument", "compare", "logic", "test"}
TAKES_NUMBERS = {"runtime.exp_multiple", "runtime.exp_square", "runtime.decayed"}  # as float64, for arrays of all kinds
INEXACT = {"np.exp", "np.exp2", "np.expm1", "np.log", "np.log1p", "np.tanh", "np.sin", "np.cos"}
UP_AND_DOWN = np.array([1, -1, -1, 1, -1])  # of a period that no grid of points has
KEPT = 256  # columns of a word's values
_COMPARE = {
    ">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal
}  # fmt: skip
_INFIX = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}


class Simulation:
    """Evaluates forms over a formula at some points, and keeps what it has evaluated.

    `columns` are the inputs' values by name, `directions` those of cotangents and tangents, `series` the polynomials
    that forms call by name. NumPy's exponentials and logarithms are off by `slack` units in the last place before they
    are rounded. What `is_wide` stays in float64.
    """

    def __init__(
        self,
        formula: Formula,
        columns: dict[str, np.ndarray],
        params: dict[str, float],
        series: dict[str, Series],
        directions: dict[Value, float] = MappingProxyType({}),
        slack: float = 0.0,
        is_wide: bool = False,
    ):
        self.formula, self.params, self.series, self.slack, self.is_wide = formula, params, series, slack, is_wide
        size = len(next(iter(columns.values())))
        self.arguments = columns | {value.name: np.full(size, one) for value, one in directions.items()}
        self.nowhere = np.zeros(size, bool)
        self.known = {value: value.name for value in (*formula.inputs, *directions)}
        self.directions = frozenset(value.name for value in directions)
        self.graphs: dict[tuple, Graph] = {}
        self.guarded = self._new_graph()
        self.values: dict[int, tuple[object, np.ndarray]] = {}

    def graph(self, definitions: dict[Value, sympy.Expr] = MappingProxyType({})) -> Graph:
        """The graph in which forms are built whose values stand for these definitions."""
        key = tuple(definitions.items())
        if key not in self.graphs:
            self.graphs[key] = graph = self._new_graph()
            for value, expr in definitions.items():
                graph.define(value, expr)
        return self.graphs[key]

    def _new_graph(self) -> Graph:
        return Graph(self.formula, self.known, directions=self.directions)

    def evaluated(self, form, definitions: dict[Value, sympy.Expr] = MappingProxyType({})) -> tuple:
        """A form's value at every point, and where an operation that leads to it would make NumPy warn."""
        graph = self.graph(definitions)
        (output,) = guarded_in(self.guarded, graph, [graph.build(form)])
        warned = self.nowhere.copy()
        with np.errstate(all="ignore"):
            for place in sorted(ancestors(self.guarded.nodes, output)):
                if place not in self.values:
                    self.values[place] = self._evaluated(place)
                warned |= self.values[place][1]
        return np.broadcast_to(self.values[output][0], warned.shape), warned

    def _evaluated(self, place: int) -> tuple[object, np.ndarray]:
        """A node's value at every point, and where the operation itself would warn."""
        node, warned = self.guarded.nodes[place], self.nowhere
        is_rounded = node.sources and not self.is_wide and place not in self.guarded.wide
        takes_numbers = not is_rounded or node.detail in TAKES_NUMBERS
        args = [self.values[arg][0] for arg in node.args]
        args = args if takes_numbers else [*map(_as_array, args)]
        result = self.series[node.detail] if node.op == "constant" else self._computed(node, args)
        if self.slack and is_rounded and node.detail in INEXACT:
            result = result * (1 + self.slack * 2.0**-MANTISSA * np.resize(UP_AND_DOWN, warned.shape))
        if node.sources and node.op not in EXACT:
            result = _rounded(result) if is_rounded else result
            finite = reduce(np.logical_and, (np.isfinite(arg) for arg in args if not isinstance(arg, Series)))
            warned = ~np.isfinite(result) & finite & (node.detail not in SILENT)
        return result, warned

    def _computed(self, node: Node, args):
        if node.op == "argument":
            return self.arguments[node.detail]
        if node.op == "parameter":
            return float(self.params[node.detail])
        if node.op == "number":
            return number_of(node.detail)
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
        if node.op == "shortened" or node.detail in WIDENING:
            return args[0]
        if node.op == "as_float":
            return np.asarray(args[0], np.float64)
        module, _, name = node.detail.partition(".")
        return getattr(np, name)(*args) if module == "np" else _helper(node.detail)(*args)


def _rounded(numbers):
    return np.asarray(numbers, np.float64).astype(np.float32).astype(np.float64)


def _as_array(value):
    """A number meeting an array takes the array's dtype."""
    return _rounded(value) if isinstance(value, float) else value


def _by_oracle(word):
    """A function of `runtime` that is a word, correctly rounded."""

    def within(limit: float, args) -> mpmath.mpf:
        with mpmath.workdps(60):
            return word.oracle(*(mpmath.mpf(min(max(arg, -limit), limit)) for arg in args))

    def number(*args):
        try:
            if not np.isinf(args).any():
                return float(within(inf, args))
            near, far = (within(limit, args) for limit in (HUGE, HUGE**2))  # mpmath gives no limits at infinity
            return float(near * inf if abs(far) > GROWN * abs(near) > GROWN else near)
        except (ValueError, ZeroDivisionError, OverflowError, TypeError):
            return float("nan")

    @lru_cache(KEPT)  # one form after the other asks for the same word at the same points
    def remembered(*numbers):
        args = map(np.frombuffer, numbers)
        return np.frompyfunc(number, len(numbers), 1)(*args).astype(np.float64)

    def evaluated(*args):
        args = np.broadcast_arrays(*(np.asarray(arg, np.float64) for arg in args))
        return remembered(*(arg.tobytes() for arg in args)).reshape(args[0].shape)

    return evaluated


@cache
def _helper(name: str):
    """A function of `runtime`."""
    return _HELPERS.get(name) or _by_oracle(next(word for word in WORD_OF.values() if word.numpy == name))


_HELPERS = {}  # functions of `runtime` that are not words, or need not be asked of mpmath
_HELPERS["runtime.ratio"] = np.divide
_HELPERS["runtime.binade"] = lambda x: np.exp2(np.clip(np.floor(np.log2(np.abs(x))), *EXPONENTS))
_HELPERS["runtime.half_tangent"] = lambda x: np.tan(x / 2)
_HELPERS["runtime.power"] = np.power  # which knows what powers tend to, however slowly
_HELPERS["runtime.exp_multiple"] = lambda x, c, rest=0.0: np.exp(c * x)
_HELPERS["runtime.exp_square"] = lambda x, c: np.exp(c * x * x)
_HELPERS["runtime.decayed"] = lambda y, factor, x, rate=1.0, rest=0.0: np.where(
    rate * x < -80, np.clip(factor, -1e300, 1e300) * np.exp(rate * x), y
)


def _product(*args):
    """A product with exp of the last argument, as y 2**power."""
    *factors, x = args
    kept = np.clip(x, -FAR_FROM_FLOATS, FAR_FROM_FLOATS)
    power = np.rint(kept / np.log(2))
    product = np.exp(kept - power * np.log(2))
    for factor in factors:
        mantissa, exponent = np.frexp(np.where(x < -FAR_FROM_FLOATS, np.clip(factor, -LARGEST, LARGEST), factor))
        product, power = product * mantissa, power + exponent
    return product, np.where(np.isnan(power), 0, power).astype(int)


def _log1p_times_exp(*args):
    y, power = _product(*args)
    *factors, x = args
    far = sum((np.log(np.abs(factor)) for factor in factors), x)
    return np.where(power > 2 * MANTISSA, far, np.log1p(np.ldexp(y, power)))


def _log_remainder(v, logarithm):
    """As `runtime.log_remainder`, near 0 by the series of 2 arctanh(s)."""
    return _times_log_remainder(1.0, v, logarithm)


def _times_log_remainder(x, d, logarithm):
    v = np.divide(d, x)
    near = np.clip(v, -0.5625, 1)
    s = near / (2 + near)
    series = sum(s ** (2 * n) / (2 * n + 3) for n in reversed(range(20)))
    return np.where(near == v, x * s * (near - 2 * s**2 * series), d - x * logarithm)


_HELPERS[log_remainder.numpy] = _log_remainder
_HELPERS[times_log_remainder.numpy] = _times_log_remainder
_HELPERS["runtime.times_exp"] = lambda *args: np.ldexp(*_product(*args))
_HELPERS["runtime.log1p_times_exp"] = _log1p_times_exp


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
_HELPERS["runtime.clamped"] = lambda x, limit: np.clip(x, -min(limit, LARGEST), min(limit, LARGEST))
_HELPERS["runtime.without_infinity"] = lambda x, sign: (np.minimum if sign > 0 else np.maximum)(x, sign * LARGEST)
_HELPERS["runtime.finite"] = lambda x: np.clip(x, -LARGEST, LARGEST)
