"""Simulated rounding: how much accuracy a form loses, judged the same way on every machine.

A form is evaluated operation by operation in 24-bit arithmetic, every word correctly rounded, and compared with the
exact value. What counts is how forms of one derivative compare with each other, so that the points need not be many.
"""

from __future__ import annotations

import itertools

import mpmath
import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Not, Or

from nngrad.codegen.symbols import Indicator, Parameter, Subgradient, Value, Where
from nngrad.codegen.trace import Formula
from nngrad.codegen.words import WORD_OF

BITS, EXACT_BITS = 24, 600
SIZES = ("1e-6", "3e-3", "0.07", "0.45", "0.9", "1.7", "3.6", "7.3", "19", "60", "1e3", "2e6")
POINTS = [sign * mpmath.mpf(size) for size in SIZES for sign in (1, -1)]
PARAMETER = mpmath.mpf("1.25")
_COMPARE = {
    sympy.Gt: lambda a, b: a > b, sympy.Ge: lambda a, b: a >= b, sympy.Lt: lambda a, b: a < b,
    sympy.Le: lambda a, b: a <= b, sympy.Eq: lambda a, b: a == b, sympy.Ne: lambda a, b: a != b,
}  # fmt: skip


class Judge:
    """Judges forms of derivatives of an elementwise formula by their worst rounding error."""

    def __init__(self, formula: Formula):
        self.formula = formula
        columns = [POINTS[shift:] + POINTS[:shift] for shift in range(0, 7 * len(formula.inputs), 7)]
        self.points = [dict(zip(formula.inputs, row, strict=True)) for row in zip(*columns, strict=False)]

    def errors(self, form: sympy.Expr) -> list[float]:
        """The relative error at each point, in units of the last place; nan where the form has no value."""
        return [_error(self._value(form, point, BITS), self._value(form, point, EXACT_BITS)) for point in self.points]

    def _value(self, form, point: dict, bits: int):
        with mpmath.workprec(bits):
            known = {value: +number for value, number in point.items()}
            try:
                for stage in self.formula.stages:
                    known[stage.value] = evaluate(stage.expr, known)
                return evaluate(form, known)
            except (ValueError, ZeroDivisionError, OverflowError, TypeError):
                return mpmath.nan


def _error(rounded, exact) -> float:
    if isinstance(rounded, mpmath.mpc) or isinstance(exact, mpmath.mpc) or mpmath.isnan(exact) or mpmath.isnan(rounded):
        return float("nan")
    with mpmath.workprec(EXACT_BITS):
        return float(abs(rounded - exact) / (abs(exact) or 1) * 2**BITS)


def evaluate(expr, known: dict):
    """An expression's value in mpmath's working precision, rounded after every operation. Unknown symbols are 1."""
    if isinstance(expr, Value):
        return known.get(expr, mpmath.mpf(1))
    if isinstance(expr, Parameter):
        return PARAMETER
    if expr.is_number:
        return mpmath.mpmathify(sympy.N(expr, 60)) * 1
    if isinstance(expr, Subgradient):
        return evaluate(expr.args[0], known)
    if isinstance(expr, Where):
        return evaluate(expr.args[1 if _holds(expr.args[0], known) else 2], known)
    if isinstance(expr, Indicator):
        return mpmath.mpf(_holds(expr.args[0], known))
    args = [evaluate(arg, known) for arg in expr.args]
    if expr.is_Add or expr.is_Mul:
        add = expr.is_Add
        *_, total = itertools.accumulate(args, lambda a, b: a + b if add else a * b)
        return total
    return (mpmath.power if expr.is_Pow else WORD_OF[type(expr)].oracle)(*args)


def _holds(condition, known: dict) -> bool:
    if isinstance(condition, Value):
        return bool(known.get(condition, True))
    if isinstance(condition, Relational):
        return bool(_COMPARE[condition.func](*(evaluate(arg, known) for arg in condition.args)))
    parts = [_holds(part, known) for part in condition.args]
    if isinstance(condition, Not):
        return not parts[0]
    assert isinstance(condition, And | Or)
    return all(parts) if isinstance(condition, And) else any(parts)
