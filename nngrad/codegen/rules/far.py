"""Stage 5: powers of sums, of which terms may cancel, and which far from zero leave the range before their powers do.

Of powers of one sum that differ by whole numbers the least is taken out: (1 + u**n)**-p - u**n (1 + u**n)**(-p - 1) is
(1 + u**n)**(-p - 1).

A quotient of polynomials that tends to a number, or grows, has what it tends to apart.

(1 + u**n)**p is u**(n p) (1 + u**-n)**p: what grows is taken out of every sum, so that the powers of all factors meet,
and what is left of the sum is near a number. Worked example, a root of a cubic: sqrt(x**3 + 2) is
x**(3/2) sqrt(1 + 2 x**-3), and its slope, 3 x**2 / (2 sqrt(x**3 + 2)), x**(1/2) 3 / (2 sqrt(1 + 2 x**-3)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Parameter, Value, Where
from nngrad.codegen.algebra.texts import text
from nngrad.codegen.rewriting import identities

LARGE = 2**16  # where a sum of powers is about its largest one, and these do not overflow
POWERS = (words.power.build, words.power_slope.build)
SIZE, SIDE = sympy.Dummy("size", positive=True), sympy.Dummy("side", real=True)


def with_quotient_apart(expr, x) -> sympy.Expr | None:
    """A quotient of polynomials in x as a polynomial and a quotient that tends to 0, which keeps the digits of slopes
    far out: x**2 / (1 + x**2) is 1 - 1 / (1 + x**2). None where it is none, or is one that tends to 0.
    """
    plain = identities.in_roots(expr)
    if not plain.is_rational_function(x):
        return None
    top, bottom = sympy.fraction(sympy.together(plain))
    quotient, rest = sympy.div(top, bottom, x)
    return quotient + identities.with_hypot(sympy.factor_terms(rest) / bottom) if quotient != 0 else None


def with_far_forms(expr, x: Value, settled: int, number: Callable[[sympy.Expr], float]) -> Iterator[sympy.Expr]:
    """The expression with another form where x is far from zero: quotients of polynomials, of a sum the terms that are
    some, in 1 / x; powers of sums as powers of |x|. What else a sum has may have `settled` there. `number` says which
    of two exponents with parameters in them is larger.
    """
    terms = sympy.Add.make_args(expr)
    quotients = sympy.Add(*(one for one in terms if one.is_rational_function(x) and not one.is_polynomial(x)))
    quotients, others = (expr, sympy.S.Zero) if expr.is_rational_function(x) else (quotients, expr - quotients)
    if _has_power_of_sum(expr):
        far = far_from_zero(expr, x, number)
        yield from [] if far is None else [_with_far(expr, x, LARGE, far)]
    elif quotients.has(x):
        made = _with_far(quotients, x, 1, in_reciprocal(quotients, x))
        yield made + others
        if others.has(x):
            yield made + others.xreplace({x: words.clamped(x, settled)})


def _with_far(near, x: Value, limit: int, far):
    """One form where the size of x is above a limit, and another one within."""
    return Where(words.abs(x) > limit, far, near.xreplace({x: words.clamped(x, limit)}))


def in_reciprocal(expr, x) -> sympy.Expr | None:
    """A quotient of polynomials in x as one in 1 / x, which stays in range where x is large."""
    if not expr.is_rational_function(x):
        return None
    power, result = 0, sympy.S.One
    for base, exponent in sympy.factor(sympy.together(expr)).as_powers_dict().items():
        coefficients = sympy.Poly(base, x).all_coeffs()
        power += (len(coefficients) - 1) * exponent
        result *= reduce(lambda total, one: one + total / x, reversed(coefficients)) ** exponent
    return result * x**power


def _has_power_of_sum(expr) -> bool:
    """Whether a sum with values in it is raised to a power that is no whole number."""
    bases = [part.args for part in expr.atoms(*POWERS)]
    bases += [part.args for part in expr.atoms(sympy.Pow) if not part.exp.is_Integer]
    return any(base.atoms(Value) and identities.in_roots(base).has(sympy.Add) for base, _ in bases)


def far_from_zero(expr, x: Value, number: Callable[[sympy.Expr], float]) -> sympy.Expr | None:
    """The expression as a power of |x| times what stays in range far from zero; None where it is none, or a function of
    x that does not grow like a power.
    """
    made = identities.in_roots(expr).xreplace({words.abs(x): SIZE, words.sign(x): SIDE, x: SIDE * SIZE})
    found = split(made, number)
    if found is None:
        return None
    power, rest = found
    size = words.abs(x)
    return (raised(size, sympy.simplify(power)) * rest).xreplace({SIZE: size, SIDE: words.sign(x)})


def with_powers_of_sums_taken_out(expr):
    """A sum of products in which a sum's powers differ by whole numbers, the least of them taken out and the rest
    multiplied out, so that terms may cancel.
    """
    if not expr.is_Add or expr.has(Where) or not _has_power_of_sum(expr):
        return expr
    plain = words.in_powers(expr)
    back, squares = {}, {}
    for x in (one.args[0] for one in expr.atoms(words.abs.build) if one.args[0].is_Symbol):
        size, side = sympy.Dummy(f"size_{x}", positive=True), sympy.Dummy(f"side_{x}", real=True)
        back |= {size: words.abs(x), side: words.sign(x)}
        squares[side**2] = sympy.S.One
        plain = plain.xreplace({words.abs(x): size, words.sign(x): side}).xreplace({x: size * side})
    terms = [_met(term.xreplace(squares)) for term in _terms(plain.replace(words.power.build, sympy.Pow))]
    for base in sorted({base for term in terms for base in term if base.is_Add}, key=text):
        first = terms[0].get(base, sympy.S.Zero)
        offsets = [sympy.simplify(term.get(base, 0) - first) for term in terms]
        if not first.is_Integer and all(one.is_Integer for one in offsets) and len(set(offsets)) > 1:
            least = min(offsets)
            rests = [_product_of(term | {base: offset - least}) for term, offset in zip(terms, offsets, strict=True)]
            rest = sympy.Add(*(_product_of(_met(term)) for term in _terms(sympy.Add(*rests))))
            total = base ** sympy.simplify(first + least) * sympy.factor_terms(rest)
            return total.replace(lambda part: part.is_Pow, lambda part: raised(part.base, part.exp)).xreplace(back)
    return expr


def _terms(expr):
    return sympy.Add.make_args(sympy.expand(expr, power_base=False, power_exp=False, log=False))


def _met(product) -> dict[sympy.Expr, sympy.Expr]:
    """The powers of a product's factors, those of one factor together."""
    return {base: sympy.simplify(power) for base, power in product.as_powers_dict().items()}


def _product_of(powers):
    return sympy.Mul(*(base**power for base, power in powers.items()))


def split(expr, number) -> tuple[sympy.Expr, sympy.Expr] | None:
    """(k, rest) where the expression is SIZE**k times a rest that tends to a number other than 0."""
    if not expr.has(SIZE):
        return sympy.S.Zero, expr
    if expr == SIZE:
        return sympy.S.One, sympy.S.One
    if expr.is_Mul:
        return _product([split(factor, number) for factor in expr.args])
    if expr.is_Add:
        return _sum([split(term, number) for term in expr.args], number)
    if isinstance(expr, words.abs.build) and (found := split(expr.args[0], number)):
        return found[0], words.abs(found[1])
    if (expr.is_Pow or isinstance(expr, POWERS)) and not expr.args[1].has(SIZE, Value):
        base, exponent = expr.args
        found = split(base, number)
        if found is None:
            return None
        is_slope = isinstance(expr, words.power_slope.build)
        factor, exponent = (exponent, exponent - 1) if is_slope else (sympy.S.One, exponent)
        return found[0] * exponent, factor * raised(found[1], exponent)
    return None


def _product(factors) -> tuple[sympy.Expr, sympy.Expr] | None:
    if None in factors:
        return None
    powers, rests = zip(*factors, strict=True)
    return sympy.Add(*powers), sympy.Mul(*rests)


def _sum(terms, number) -> tuple[sympy.Expr, sympy.Expr] | None:
    """The largest power of a sum's terms is taken out of all of them, unless what has it cancels."""
    if None in terms:
        return None
    largest = max((power for power, _ in terms), key=number)
    alike = sympy.Add(*(rest for power, rest in terms if number(power - largest) == 0))
    smaller = [(power, rest) for power, rest in terms if number(power - largest) < 0]
    if alike.is_Add and sympy.simplify(alike.xreplace({SIDE: sympy.S.One})) == 0:
        return None
    return largest, alike + sympy.Add(*(rest * raised(SIZE, sympy.expand(power - largest)) for power, rest in smaller))


def raised(base, exponent):
    """A power, as a word where the exponent is a parameter's."""
    return words.power(base, exponent) if exponent.atoms(Parameter) else base**exponent
