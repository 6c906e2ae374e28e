"""Stage 5: where only a sign is asked, nothing is computed that might leave the range.

Worked example: rate x > 0 is sign(rate) x > 0, which can't overflow. x p, p having decayed where rate x is -inf, takes
the largest finite number there for x, for NumPy warns of 0 times infinity.

Functions that take a graph, that of `lower`, build nodes in it.
"""

from __future__ import annotations

import sympy

from nngrad.codegen import exponents, words
from nngrad.codegen.symbols import Parameter, Value


def of_same_sign(expr):
    """The expression without factors that only change its size."""
    powers = {factor: factor.as_base_exp() for factor in sympy.Mul.make_args(expr)}
    signs = {factor: words.sign(base) for factor, (base, _) in powers.items() if isinstance(base, Parameter)}
    signs |= {factor: sympy.S.One for factor in powers if factor.is_number and factor.is_positive}
    return sympy.Mul(*(signs.get(factor, factor) for factor in powers)) if expr.is_Mul else expr


def finite_in_tail(graph, y: int, exponent) -> int:
    """The node of x p, p = c exp(exponent) having decayed at infinity, with a finite x there."""
    node = graph.nodes[y]
    factors = [x for x in graph.formula.inputs if node.op == "multiply" and graph.build(x) in node.args]
    growth = growth_along(exponents.written_out(graph, exponent), factors[0]) if factors else None
    if growth is None:
        return y
    x = graph.build(factors[0])
    sign = graph.number(-sympy.sign(growth)) if growth.is_number else graph.build(-growth)
    finite = graph.node("call", x, sign, detail="runtime.without_infinity")
    return graph.node("multiply", *(finite if arg == x else arg for arg in node.args))


def growth_along(exponent, x: Value) -> sympy.Expr | None:
    """A number or parameters with the sign that an exponent has for large x; None if it has that for large -x too."""
    exponent = exponent.replace(lambda part: isinstance(part, words.clamped.build), lambda part: part.args[0])
    if not exponent.is_polynomial(x):
        return None
    terms = sympy.Poly(exponent, x)
    highest = terms.LC()
    return highest if terms.degree() % 2 and not highest.atoms(Value) else None
