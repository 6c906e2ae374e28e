"""Stage 5: fractions of several exponentials, which overflow, with the largest one taken out of all.

(x exp(a) + y exp(b)) / (1 + exp(a) + exp(b)) is a fraction of polynomials in exp(a) and exp(b). Both are divided by the
largest of the exponentials, 1 among them, to the power of the polynomial's degree: nothing is above 1 then, and the
denominator's largest term is 1 times its coefficient. Where every term has the same degree, 1 need not be among them.

Worked example: exp(a) / (exp(a) + exp(b) + exp(c)) is exp(a - m) / (exp(a - m) + exp(b - m) + exp(c - m)), m being the
largest of a, b and c.
"""

from __future__ import annotations

from functools import cache, reduce

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Subgradient, Where
from nngrad.codegen.rules.exponentials import (
    LARGEST_DEGREE,
    LARGEST_TERMS,
    MADE_OF_EXPONENTIALS,
    exponents_of,
    in_exponentials,
    split,
)


@cache
def with_largest_taken_out(expr):
    """The expression with such fractions, outermost ones, and the logarithms of such, in range."""
    if expr.is_Atom or not isinstance(expr, sympy.Expr) or isinstance(expr, Subgradient | Where):
        return expr
    made = _in_range(expr.args[0], is_log=True) if isinstance(expr, sympy.log) else _in_range(expr, is_log=False)
    return expr.func(*map(with_largest_taken_out, expr.args)) if made is None else made


def with_logarithms_of_sums(expr):
    """The expression with the logarithms of such fractions by those of sums, two terms at a time, where no term is
    negative. What a single sum is multiplied by is in its terms, so that it is known where it is 1.
    """
    return expr.replace(lambda part: isinstance(part, sympy.log), _in_logarithms)


def _in_logarithms(logarithm):
    found = _factors(logarithm.args[0])
    if found is None or not all(one.is_positive for poly, _ in found[1] for one in poly.coeffs()):
        return logarithm
    exponents, factors = found
    sums = [(power, _logarithms(poly, exponents)) for poly, power in factors]
    whole = sympy.Add(*(power * terms[0] for power, terms in sums if len(terms) == 1))
    sums = [(power, terms) for power, terms in sums if len(terms) > 1]
    if len(sums) == 1:
        ((power, terms),) = sums
        return power * _log_sum([term + whole / power for term in terms])
    return whole + sympy.Add(*(power * _log_sum(terms) for power, terms in sums))


def _logarithms(poly: sympy.Poly, exponents) -> list[sympy.Expr]:
    """The logarithms of a polynomial's terms."""
    return [
        sympy.log(coefficient) + sympy.Add(*(power * one for one, power in zip(exponents, powers, strict=True)))
        for powers, coefficient in poly.terms()
    ]


def _log_sum(terms):
    others = [term for term in terms if term != 0]
    total = reduce(words.logaddexp, others)
    return words.softplus(total) if len(others) < len(terms) else total


def _in_range(expr, is_log: bool):
    """The fraction or its logarithm; None if it is not of several exponentials, or not sure to stay in range."""
    found = _factors(expr)
    if found is None:
        return None
    exponents, factors = found
    is_homogeneous = all(poly.is_homogeneous for poly, _ in factors)
    if not all(power > 0 or _has_largest(poly, is_homogeneous) for poly, power in factors):
        return None
    others, first = (exponents[1:], exponents[0]) if is_homogeneous else (exponents, sympy.S.Zero)
    largest = reduce(words.maximum, others, first)
    excess = sum(power * poly.total_degree() for poly, power in factors)
    over = [_over_power(poly, exponents, largest) for poly, _ in factors]
    if is_log:
        logarithms = (power * sympy.log(one) for one, (_, power) in zip(over, factors, strict=True))
        return sympy.Add(excess * largest, *logarithms)
    product = sympy.Mul(*(one**power for one, (_, power) in zip(over, factors, strict=True)))
    return None if excess > 0 else product * sympy.exp(excess * largest)


@cache
def _factors(expr) -> tuple[list[sympy.Expr], list[tuple[sympy.Poly, sympy.Integer]]] | None:
    """The exponents of a fraction of several exponentials, and its factors: polynomials in these, and their powers."""
    if sympy.count_ops(expr) > LARGEST_TERMS or not expr.has(*MADE_OF_EXPONENTIALS):
        return None
    plain = in_exponentials(expr)
    atoms = sorted(map(sympy.exp, exponents_of(plain)), key=str)
    parts = [split(atom.args[0]) for atom in atoms]
    units: dict[sympy.Expr, sympy.Rational] = {}
    for multiple, base in parts:
        units[base] = sympy.gcd(units.get(base, 0), multiple)
    if len(units) < 2:
        return None
    symbols = {base: sympy.Dummy(positive=True) for base in units}
    powers = {
        atom: symbols[base] ** (multiple / units[base]) for atom, (multiple, base) in zip(atoms, parts, strict=True)
    }
    rational = sympy.factor(sympy.together(plain.xreplace(powers)))
    try:
        factors = [
            (sympy.Poly(base, *symbols.values()), power)
            for base, power in (factor.as_base_exp() for factor in sympy.Mul.make_args(rational))
        ]
    except sympy.PolynomialError:
        return None
    are_whole = all(power.is_Integer for _, power in factors)
    return ([unit * base for base, unit in units.items()], factors) if are_whole else None


def _has_largest(poly: sympy.Poly, is_homogeneous: bool) -> bool:
    """Whether a polynomial has each exponential, and 1, to its degree: one of these is the largest power."""
    degree, count = poly.total_degree(), len(poly.gens)
    alone = {tuple(degree * (one == other) for other in range(count)) for one in range(count)}
    alone |= set() if is_homogeneous else {(0,) * count}
    return len(poly.monoms()) == 1 or (degree <= LARGEST_DEGREE and alone <= set(poly.monoms()))


def _over_power(poly: sympy.Poly, exponents, largest):
    """The polynomial in exponentials, over the largest of these to the power of the polynomial's degree."""
    degree = poly.total_degree()
    terms = []
    for powers, coefficient in poly.terms():
        factors = [sympy.exp(one - largest) ** power for one, power in zip(exponents, powers, strict=True)]
        terms.append(coefficient * sympy.Mul(*factors) * sympy.exp(-largest) ** (degree - sum(powers)))
    return sympy.Add(*terms)
