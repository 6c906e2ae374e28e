"""Expressions as a person would write them in Python."""

from __future__ import annotations

import re

import sympy

from nngrad.codegen.algebra import symbols
from nngrad.codegen.algebra.symbols import Indicator

NAMES = {
    symbols.AxisSum: "sum", symbols.SumOf: "sum", symbols.ProductOf: "prod", symbols.MaxOf: "max",
    symbols.MinOf: "min", symbols.Count: "count", symbols.Where: "where", symbols.Pick: "one_hot",
    symbols.ProductOfOthers: "product_of_others",
}  # fmt: skip
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
LONG_EXPONENT = 20  # of powers of two that are better known as such than by their digits


class Ordered:
    """Sums that begin with what is added, not with what is taken away."""

    def _as_ordered_terms(self, expr, order=None):
        terms = super()._as_ordered_terms(expr, order=order)
        return sorted(terms, key=lambda term: term.could_extract_minus_sign())


class _Readable(Ordered, sympy.printing.str.StrPrinter):
    """Expressions as a person would write them in Python."""

    def _print_Mul(self, expr):
        """The product; minus a difference as the opposite difference: `g*(1 - y)`, not `-g*(y - 1)`."""
        factors = sympy.Mul.make_args(expr)
        differences = [
            one for one in factors if one.is_Add and any(term.could_extract_minus_sign() for term in one.args)
        ]
        if expr.could_extract_minus_sign() and differences:
            rest = [one for one in factors if one is not differences[0]]
            turned = sympy.Mul(-1, *rest) * sympy.Add(*(-term for term in differences[0].args))
            expr = turned if turned.is_Mul else expr
        return super()._print_Mul(expr)

    def _print_Relational(self, expr):
        return f"{self._alone(expr.lhs)} {expr.rel_op} {self._alone(expr.rhs)}"

    def _print_And(self, expr):
        return " & ".join(self._condition(arg) for arg in sorted(expr.args, key=sympy.default_sort_key))

    def _print_Or(self, expr):
        return " | ".join(self._condition(arg) for arg in sorted(expr.args, key=sympy.default_sort_key))

    def _print_NearZero(self, expr):
        x, series = expr.args
        return f"near_zero({self._print(series)}, {self._alone(x)})"

    def _print_Small(self, expr):
        return self._print(expr.args[0])

    def _print_exp2_in_float64(self, expr):
        return f"exp2({self._print(expr.args[0])})"

    def _print_in_float64(self, expr):
        return self._print(expr.args[0])

    def _print_power(self, expr):
        return self._print(sympy.Pow(*expr.args, evaluate=False))

    def _print_Function(self, expr):
        if isinstance(expr, Indicator):
            return f"({self._print(expr.args[0])})"
        name = NAMES.get(type(expr)) or _CAPITAL.sub("_", expr.func.__name__).lower()
        args = [arg.args[0] if isinstance(arg, Indicator) else arg for arg in expr.args]
        return f"{name}({', '.join(map(self._alone, args))})"

    def _alone(self, expr) -> str:
        """What stands between commas or beside a comparison, where a power needs no brackets: 2**60 as such."""
        exponent = int(expr).bit_length() - 1 if expr.is_Integer else 0
        return f"2**{exponent}" if exponent >= LONG_EXPONENT and expr == 2**exponent else self._print(expr)

    def _condition(self, expr) -> str:
        """A condition among others: comparisons bind less than & and | do in Python."""
        text = self._print(expr)
        return f"({text})" if isinstance(expr, sympy.core.relational.Relational | sympy.And | sympy.Or) else text


def readable(expr) -> str:
    """An expression as a person would write it in Python."""
    decimals = {number: sympy.Float(repr(float(number))) for number in expr.atoms(sympy.Rational) if number.q >= 1000}
    return _Readable({"full_prec": False}).doprint(expr.xreplace(decimals))
