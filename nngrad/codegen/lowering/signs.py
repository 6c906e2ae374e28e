"""Stage 6: where only a sign is asked, nothing is computed that might leave the range.

Worked example: rate x > 0 is sign(rate) x > 0, which can't overflow. x p, p having decayed where rate x is -inf, takes
the largest finite number there for x, for NumPy warns of 0 times infinity.

Functions that take a graph, that of `lower`, build nodes in it.
"""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Parameter, Value
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.lowering import exponents
from nngrad.codegen.trace import Formula


def size_and_sign(expr) -> tuple[sympy.Expr, sympy.Expr]:
    """The expression as a product of numbers and parameters, made positive, and the rest, which has its sign."""
    content, primitive = expr.primitive()
    size, rest = content, sympy.S.One
    for factor in sympy.Mul.make_args(primitive):
        base, power = factor.as_base_exp()
        if isinstance(base, Parameter):
            size, rest = size * words.abs(base) ** power, rest * words.sign(base)
        elif factor.is_number and factor.is_positive:
            size *= factor
        else:
            rest *= factor
    return size, rest


def limited_by_0(extremum):
    """max(c u, 0) or min(c u, 0) as c max(u, 0), for c u may overflow on the side that is cut off; else None."""
    if not isinstance(extremum, words.maximum.build | words.minimum.build) or extremum.args[1] != 0:
        return None
    size, rest = size_and_sign(extremum.args[0])
    return None if size.is_number and size <= 1 else size * extremum.func(rest, 0)


def divided_in_terms(graph, quotient):
    """(max(p u, 0) + v) / p as sign(p) max(sign(p) u, 0) + v / p, for p u may overflow; others as they are."""
    powers = (factor.as_base_exp() for factor in sympy.Mul.make_args(quotient))
    p = next((base for base, power in powers if power == -1 and isinstance(base, Parameter)), None)
    total = exponents.written_out(graph, quotient * p) if p is not None else quotient
    word = WORD_OF.get(type(total))
    total = word.expansion(*total.args) if word and word.expansion else total
    limited = {term: limited_by_0(term) for term in total.args} if total.is_Add else {}
    limited = {term: made for term, made in limited.items() if made is not None and made.has(words.abs(p))}
    if not limited:
        return quotient
    return sympy.Add(
        *(limited[term].subs(words.abs(p), words.sign(p)) if term in limited else term / p for term in total.args)
    )


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


def without_sizes(product, formula: Formula):
    """|u| sign(u) in a product is u, which has a slope at 0 too."""
    for sign in (factor for factor in sympy.Mul.make_args(product) if isinstance(factor, words.sign.build)):
        for factor in sympy.Mul.make_args(product):
            if formula.spelled_out(factor) == words.abs(*sign.args):
                return product / sign / factor * sign.args[0]
    return product
