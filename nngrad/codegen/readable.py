"""Expressions as a person would write them in Python."""

from __future__ import annotations

import sympy

from nngrad.codegen.symbols import AxisSum, Count, Indicator, Pick, Where


class _Readable(sympy.printing.str.StrPrinter):
    """Expressions as a person would write them in Python."""

    def _print_Relational(self, expr):
        return f"{self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)}"

    def _print_Function(self, expr):
        if isinstance(expr, Indicator):
            return f"({self._print(expr.args[0])})"
        names = {AxisSum: "sum", Count: "count", Where: "where", Pick: "one_hot"}
        name = names.get(type(expr), expr.func.__name__)
        return f"{name}({', '.join(self._print(arg) for arg in expr.args)})"


def readable(expr) -> str:
    """An expression as a person would write it in Python."""
    decimals = {number: sympy.Float(number, 16) for number in expr.atoms(sympy.Rational) if number.q >= 1000}
    return _Readable({"full_prec": False}).doprint(expr.xreplace(decimals))
