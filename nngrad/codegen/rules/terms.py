"""Stage 5: sums over rows of functions of their elements, whose terms are formulas of elements like any other.

Half the divergence of two rows from their mean is the sum of (p log(p / m) + q log(q / m)) / 2: near equality both
logarithms cancel in each term, and neither does in the form that is accurate of the term alone. Sums of several terms
are taken together, so that what cancels meets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra.symbols import AxisSum, Count, Value
from nngrad.codegen.algebra.vocabulary import enter
from nngrad.codegen.rewriting.restage import inlined, restated
from nngrad.codegen.trace import Formula

whole = enter(  # not for specs to write
    "whole",
    "",
    lambda x: x,
    0,
    "x, whose terms are not summed apart.",
    derivatives=lambda x: [1],
    expansion=lambda x: x,
    smooth=lambda x: x,
)


@dataclass(frozen=True)
class SumOfTerms:
    """A formula that is `factor` times the sum of `term` along `axis`, plus `offset`, both without inputs."""

    term: Formula
    axis: Str
    factor: sympy.Expr
    offset: sympy.Expr

    def value(self, term) -> sympy.Expr:
        return self.offset + self.factor * self.sum(term)

    def sum(self, term) -> sympy.Expr:
        return AxisSum(whole(term) if term.has(sympy.Add) else term, self.axis)


def sum_of_terms(formula: Formula) -> SumOfTerms | None:
    """What the formula is the sum of; None if it is not a sum of one function of the inputs' elements."""
    output = inlined(formula.output, formula.stages)
    sums = [stage for stage in formula.stages if stage.value in output.atoms(Value)]
    if len({(stage.kind, stage.axis) for stage in sums}) != 1 or sums[0].kind != "sum":
        return None
    factors = [sympy.expand(output).coeff(stage.value) for stage in sums]
    pairs = list(zip(factors, sums, strict=True))
    offset = sympy.expand(output - sympy.Add(*(factor * stage.value for factor, stage in pairs)))
    terms = [inlined(stage.expr, formula.stages) for stage in sums]
    if any(one.atoms(Value) for one in (*factors, offset)) or any(
        one.atoms(Value) != set(formula.inputs) or one.atoms(Count) for one in terms
    ):
        return None
    if any(value.constant_along for value in formula.inputs) or formula.indices:
        return None
    term = sympy.Add(*(factor / factors[0] * one for factor, one in zip(factors, terms, strict=True)))
    of_elements = restated(replace(formula, output=Value(formula.output.name)), term)
    return SumOfTerms(of_elements, Str(sums[0].axis), factors[0], offset)
