"""Stage 6: comments in kernels, which say in a line what the steps below it compute."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from nngrad.codegen.algebra.symbols import Subgradient, Value
from nngrad.codegen.writing.readable import readable

LONGEST = 220


def comments(formulas: Mapping[Value | str, sympy.Expr]) -> list[str]:
    """A comment for each formula, with the name of what it gives; none for one that is too long."""
    said = [f"# {name} = {readable(_value(expr))}" for name, expr in formulas.items()]
    return [comment for comment in said if len(comment) <= LONGEST]


def _value(expr):
    """The expression without what it says of derivatives alone."""
    return expr.replace(lambda part: isinstance(part, Subgradient), lambda part: part.args[0])
