"""Kinks and singular points: found, not listed.

They are looked for where a formula compares numbers, and at 0, 1/2 and 1. The oracle gives the slopes on both sides;
the gradient is asked of whoever computes one: the library, or the derivative itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import mpmath
import numpy as np
import sympy
from sympy.core.relational import Relational

from nngrad.codegen.algebra.symbols import Parameter, Value
from nngrad.codegen.certify import Oracle
from nngrad.codegen.derive import Derivatives
from nngrad.codegen.trace import PRESENT, REQUIRED, Formula, Op, Stage

COLUMNS = ("op", "at", "value", "input", "left", "right", "gradient", "because")
NUMBERS = {"min": -1.0, "max": 1.0, "threshold": 1.0, "value": 0.25, "ddof": 0, "posinf": 3.5, "neginf": -2.5}
ALWAYS = (0.0, 0.5, 1.0, -1.0)
STEPS = (2.0**-18, 2.0**-36)  # far enough apart to tell a slope that grows without bound

# From a point to the value there and the gradient of each input.
Answers = Callable[[dict[str, float]], tuple[float, dict[str, float]]]


def parameters(op: Op, formula: Formula) -> dict[str, object]:
    """What the op is called with to get this formula."""
    static = dict(formula.static)
    called = {}
    for param in op.params:
        chosen = static.get(param.name, PRESENT)
        number = NUMBERS.get(param.name, None if param.default is REQUIRED else param.default)
        called[param.name] = number if chosen == PRESENT else chosen
    return called


def label_of(op: Op, formula: Formula) -> str:
    """The op's name, with the static parameters and optional inputs that make it this formula."""
    default = {param.name: param.default for param in op.params}
    chosen = dict(formula.static)
    given = [name for name, value in chosen.items() if value == PRESENT]
    told = [
        f"{name}={value!r}"
        for name, value in chosen.items()
        if value not in (None, PRESENT) and value != default.get(name)
    ]
    return f"{op.name}({', '.join(given + told)})" if given or told else op.name


def places(formula: Formula, params: dict[str, object]) -> list[float]:
    """Numbers at which a kink may be: those that the formula compares with, and the usual ones."""
    found = set(ALWAYS)
    for stage in formula.stages:
        for condition in stage.expr.atoms(Relational):
            for side in condition.args:
                known = {one: params.get(one.name) for one in side.free_symbols if isinstance(one, Parameter)}
                number = side.subs({one: value for one, value in known.items() if value is not None})
                if number.is_number and number.is_finite:
                    found |= {float(number), -float(number)}
    return sorted(found)


def one_sided(oracle: Oracle, point: dict[str, float], name: str, side: int) -> float:
    """The slope on one side of a point along an input; infinite if it grows without bound, NaN if it is not real."""
    inputs = {key: np.array([value]) for key, value in point.items()}
    start = oracle(**inputs)[0]
    first, second = (
        (oracle(**{**inputs, name: inputs[name] + side * step})[0] - start) / (side * step) for step in STEPS
    )
    if mpmath.isnan(first) or mpmath.isnan(second):
        return math.nan
    if abs(second) > 8 and abs(second) > 4 * abs(first):
        return math.copysign(math.inf, second)
    return float(second)


def is_close(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-3)


def reason(left: float, right: float, gradient: float) -> str:
    """Which convention the gradient follows."""
    if math.isinf(gradient):
        return "infinite"
    if math.isnan(left) or math.isnan(right):
        return "outside" if is_close(right if math.isnan(left) else left, gradient) else "branch"
    if is_close(gradient, (left + right) / 2) and gradient != 0:
        return "shared"
    if is_close(gradient, left) or is_close(gradient, right):
        return "branch"
    return "0" if gradient == 0 else "branch"


def shown(number: float) -> str:
    if math.isfinite(number) and math.isclose(number, round(number), abs_tol=1e-4):
        return str(round(number))
    return f"{number:.4g}"


def of_numbers(op: Op, formula: Formula, answers: Answers) -> list[tuple[str, ...]]:
    """The rows of an elementwise op: the points at which a slope is not that on the other side, or not finite."""
    params = parameters(op, formula)
    numeric = {name: value for name, value in params.items() if type(value) in (int, float)}
    oracle = Oracle(formula, numeric)
    names = [value.name for value in formula.inputs]
    moving = [one.name for one in op.inputs if one.differentiable and one.name in names]
    if len(names) > 2 or len(names) > len(moving) > 0:
        return []
    found, seen = [], set()
    for point in itertools.product(places(formula, params), repeat=len(names)):
        at = dict(zip(names, point, strict=True))
        if mpmath.isnan(oracle(**{name: np.array([value]) for name, value in at.items()})[0]):
            continue
        value, gradients = answers(at)
        for name, gradient in gradients.items():
            left, right = (one_sided(oracle, at, name, side) for side in (-1, 1))
            smooth = math.isfinite(left) and is_close(left, right) and is_close(left, gradient)
            like = (name, *map(shown, (left, right, gradient)))
            if smooth or math.isnan(gradient) or like in seen:
                continue
            seen.add(like)
            told = ", ".join(f"{key} = {shown(one)}" for key, one in at.items())
            numbers = (shown(left), shown(right), shown(gradient))
            found.append((label_of(op, formula), told, shown(value), name, *numbers, reason(left, right, gradient)))
    return found


def of_derivatives(op: Op, formula: Formula, derivatives: Derivatives) -> list[tuple[str, ...]]:
    """The rows of an elementwise op, with the gradients that its derivatives give."""
    params = parameters(op, formula)
    numeric = {name: value for name, value in params.items() if type(value) in (int, float)}
    value, rewritten = Oracle(formula, numeric), derivatives.formula
    slopes: dict[str, Callable] = {}
    for moved, expr in derivatives.vjp.items():
        slope = expr.xreplace({derivatives.cotangent: sympy.S.One})
        if slope.atoms(Value):
            stage = Stage(Value(f"slope of {moved.name}"), "map", slope)
            made = replace(rewritten, stages=(*rewritten.stages, stage), output=stage.value)
            slopes[moved.name] = Oracle(made, numeric)
        else:
            number = float(slope.subs({one: numeric[one.name] for one in slope.free_symbols}))
            slopes[moved.name] = lambda number=number, **inputs: [number]

    def answers(at: dict[str, float]) -> tuple[float, dict[str, float]]:
        inputs = {name: np.array([number]) for name, number in at.items()}
        gradients = {name: float(slope(**inputs)[0]) for name, slope in slopes.items()}
        if len(at) == 1 and math.isnan(*gradients.values()):  # it divides by 0
            (name,) = at
            sides = [one_sided(value, at, name, side) for side in (1, -1)]
            gradients = {name: next(filter(math.isinf, sides), math.nan)}
        return float(value(**inputs)[0]), gradients

    return of_numbers(op, formula, answers)
