"""The text of expressions, which takes SymPy long and so is kept, and what else puts them in order."""

from __future__ import annotations

from functools import lru_cache

import sympy
from sympy.printing.str import StrPrinter


@lru_cache(4096)
def ordered_terms(total) -> tuple[sympy.Expr, ...]:
    return tuple(total.as_ordered_terms())  # which takes SymPy long


class Printer(StrPrinter):
    """SymPy's own, but for parts that it has printed before, of this expression or of another."""

    def __init__(self):
        super().__init__()
        self._known = lru_cache(16384)(super()._print)

    def _print(self, expr, **settings) -> str:
        return self._known(expr) if isinstance(expr, sympy.Basic) else super()._print(expr, **settings)

    def _as_ordered_terms(self, expr, order=None):
        return ordered_terms(expr)


text = Printer().doprint
count_ops = lru_cache(16384)(sympy.count_ops)


class ByText:
    """A key for sorting that asks for the text of an expression, which takes long, only where all else is equal."""

    def __init__(self, expr):
        self.expr = expr

    def __eq__(self, other) -> bool:
        return self.expr == other.expr

    def __lt__(self, other) -> bool:
        return text(self.expr) < text(other.expr)
