"""Stage 6: sums that cancel by chance.

log(t) - x is a small difference wherever x happens to be near log(t): no other form of it knows more. So short floats
are computed in float64, and elements of float64 that have come out small beside a term, or whose terms were out of
range, are computed again with the digits of the machine's longest floats, by `runtime.refined`.

Worked example: log(t) - x is computed as it stands, and then

    runtime.refined(y, x, dtype, lambda t, x: np.log(t) - x, t, x)

This is done where a sum of functions of several inputs has a term that is only a product of inputs: of the others,
which are rounded, nothing says that they keep away from it. Sums of one input have roots that are known beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import sympy
from sympy.core.relational import Relational
from sympy.printing.str import StrPrinter

from nngrad.codegen.algebra.symbols import Parameter, Where
from nngrad.codegen.algebra.texts import text
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.lowering.exponents import is_rounded, written_out


def refined(graph, expr, built: Callable[[sympy.Expr], int]) -> int:
    """The node of a sum, as it is `built`, computed again as a whole where it cancels, if it can do so by chance."""
    inputs = set(graph.formula.inputs)
    whole = written_out(graph, expr)
    given = sorted(whole.free_symbols & inputs, key=text)
    terms = whole.args if whole.is_Add else ()
    plain = [term for term in terms if _is_plain(term, inputs)]
    rounded = [term for term in terms if term not in plain and is_rounded(term, graph.formula.inputs)]
    is_known = not whole.free_symbols - inputs - whole.atoms(Parameter) and _is_known_to_numpy(whole)
    if len(given) < 2 or not plain or not rounded or not is_known:
        return built(expr)
    formula = f"lambda {', '.join(value.name for value in given)}: {_SYMBOLS.sub(_spaced, _Source().doprint(whole))}"
    near = max(plain, key=lambda term: (len(term.atoms(*inputs)), text(term)))
    graph.refines = False
    nodes = [built(expr), *map(graph.build, (near * sympy.sign(near.as_coeff_Mul()[0]), *given))]
    graph.refines = True
    return graph.node("refined", *nodes, detail=formula)


def _is_plain(term, inputs) -> bool:
    """Whether a term is a product of inputs and numbers."""
    return bool(term.atoms(*inputs)) and all(
        one in inputs or one.is_number or isinstance(one, Parameter) for one in sympy.Mul.make_args(term)
    )


def _is_known_to_numpy(expr) -> bool:
    """Whether NumPy computes all of it in any dtype."""
    if isinstance(expr, Relational) or expr.is_Add or expr.is_Mul or isinstance(expr, Where):
        return all(map(_is_known_to_numpy, expr.args))
    if expr.is_Pow:
        return _is_known_to_numpy(expr.base) and (expr.exp.is_Integer or expr.exp == sympy.S.Half)
    if type(expr) in WORD_OF:
        return WORD_OF[type(expr)].numpy.startswith("np.") and all(map(_is_known_to_numpy, expr.args))
    return expr.is_Symbol or expr.is_Rational or expr == sympy.pi


_SYMBOLS = re.compile(r"\*\*|[*/]")


def _spaced(symbol: re.Match) -> str:
    return symbol[0] if symbol[0] == "**" else f" {symbol[0]} "


class _Source(StrPrinter):
    """Writes an expression as NumPy code."""

    def _print_Function(self, expr):
        name = "np.where" if isinstance(expr, Where) else WORD_OF[type(expr)].numpy
        return f"{name}({', '.join(map(self._print, expr.args))})"

    def _print_Pow(self, expr, rational=False):
        return f"np.sqrt({self._print(expr.base)})" if expr.exp == sympy.S.Half else super()._print_Pow(expr)

    def _print_Pi(self, expr):
        return "np.pi"

    def _print_Relational(self, expr):
        return f"{self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)}"
