"""Stage 5: sums of logarithms, and of exponents, as the logarithm of one fraction.

log a - log b loses what it says of a and b where these are near each other, and is infinity less infinity where both
are infinite. It is log(1 + (a - b) / b), as soon as a - b is written so that it does not cancel. An exponent is a
logarithm too: x - log(r + exp(x)) is that of a fraction, exp(x) / (r + exp(x)).

Worked example, the negative binomial distribution: (y + r) log(1 + m / r) - y log(m / r) has the logarithms of
(r + m) / r, times r, and of (r + m) / m, times y: r log(1 + m / r) + y log(1 + r / m).

What a mixture has as its logarithm is 0 where it is 1: log(p + (1 - p) exp(-u)) is log(1 + (1 - p) expm1(-u)) near
there, and elsewhere, p being exp(a) / (1 + exp(a)), log(exp(a) + exp(-u)) - log(1 + exp(a)).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import sympy

from nngrad.codegen.algebra import log_words, words
from nngrad.codegen.algebra.remembered import holds
from nngrad.codegen.algebra.small import small_numbers
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rules.exponentials import (
    LARGEST_TERMS,
    Fraction,
    exponents_of,
    fraction,
    in_exponentials,
    split,
    with_one_exponential,
)

LARGEST_POWER = 2  # of what logarithms are taken of, in one fraction
_ONE = sympy.S.One


def with_logarithms_together(expr) -> Iterator[sympy.Expr]:
    """The expression with the logarithms in its sums, those that are multiplied by the same, as those of fractions.

    Far from where these are 1, the logarithms are as they were, or those of numerators and denominators.
    """
    has_logarithms = expr.has(sympy.log, words.log1p.build, words.softplus.build) and not expr.has(Where)
    if has_logarithms and sympy.count_ops(expr) <= LARGEST_TERMS // 4:
        yield from dict.fromkeys(_together(expr, is_apart) for is_apart in (False, True))


def with_logarithms_of_quotients(expr):
    """The expression with log(a / b), a and b made of inputs, by a word that knows both."""

    def of_quotient(logarithm):
        a, b = sympy.fraction(logarithm.args[0])
        return log_words.log_quotient(a, b) if a.atoms(Value) and b.atoms(Value) else logarithm

    return expr.replace(lambda part: isinstance(part, sympy.log), of_quotient)


def with_powers_out_of_logarithms(expr):
    """The expression with log(c u**n), n whole, as log(c) + n log|u|, so that the power may leave the range: c keeps
    the sign of u if n is odd.
    """

    def taken_out(logarithm):
        rest, total = logarithm.args[0], sympy.S.Zero
        for power in sympy.Mul.make_args(rest):
            base, exponent = power.as_base_exp()
            if exponent.is_Integer and abs(exponent) > 1 and holds(base, Value):
                sign = words.sign(base) if exponent.is_odd else _ONE
                rest, total = rest / power * sign, total + exponent * sympy.log(words.abs(base))
        return logarithm if rest.is_negative else sympy.log(rest) + total  # which is no number

    return expr.replace(lambda part: isinstance(part, sympy.log), taken_out)


def with_logarithms_of_powers(expr):
    """The expression with log(u**p + v**q), u and v positive, by p log u and q log v, so that powers may leave the
    range, and what is left of the smaller one counts where the larger one is nearly 1.
    """

    def of_sum(logarithm):
        terms = sympy.Add.make_args(_inside(logarithm))
        found = [_logarithm_of_power(term) for term in terms]
        if len(terms) != 2 or None in found or not any(base for _, base in found):
            return logarithm
        exponents = [exponent for exponent, _ in found if exponent != 0]
        total = reduce(words.logaddexp, exponents)
        made = total if len(exponents) == 2 else words.softplus(total)
        return Where(sympy.And(*(base > 0 for _, base in found if base)), made, logarithm)

    return expr.replace(lambda part: _inside(part) is not None and not part.has(Where), of_sum)


def with_powers_near_1(expr):
    """The expression with (1 + w)**u, u made of inputs, as exp(u log(1 + w)): beside 1 little is left of a small w,
    which a large u magnifies.
    """

    def is_near_1(base, exponent) -> bool:
        return bool(exponent.atoms(Value)) and base.is_Add and base.as_independent(Value, as_Add=True)[0] == 1

    def power(base, exponent):
        near = is_near_1(base, exponent)
        return sympy.exp(exponent * words.log1p(base - 1)) if near else words.power(base, exponent)

    powers = expr.atoms(words.power.build, words.power_slope.build)
    if not any(is_near_1(*part.args) for part in powers):
        return expr
    plain = expr.replace(words.power_slope.build, lambda base, exponent: exponent * power(base, exponent - 1))
    plain = plain.replace(words.power_times_log.build, lambda y, base, _: y * recognised(sympy.log(base)))
    return plain.replace(words.power.build, power)


def _logarithm_of_power(term):
    """(c + p log u, u) of exp(c) u**p, (c, None) of a positive number; None for others."""
    number, power = term.as_independent(Value, as_Add=False)
    if not number.is_positive:
        return None
    if power == 1:
        return sympy.log(number), None
    is_power = isinstance(power, words.power.build) or (power.is_Pow and not power.exp.atoms(Value))
    base, exponent = power.args if is_power else (None, None)
    if base is None or exponent.atoms(Value):
        return None
    return sympy.log(number) + exponent * recognised(sympy.log(base)), base


def with_logarithms_near_1(expr):
    """The expression with log(a + b exp u), where a + b = 1, as log(1 + b expm1 u) near there, and as that of numerator
    and denominator elsewhere.
    """
    if expr.has(Where) or not expr.has(sympy.exp):
        return expr
    return expr.replace(lambda part: _inside(part) is not None, _near_1)


def with_logarithms_of_small_sums(expr):
    """The expression with log(u + c), c a small number or a parameter, as log1p((u - 1) + c) where u is near 1."""

    def near_1(logarithm):
        inside = _inside(logarithm)
        small = small_numbers(inside)
        beside = recognised(inside - small - 1)
        if small == 0 or not beside.atoms(Value):
            return logarithm
        return Where(words.abs(beside) < sympy.S.Half, words.log1p(beside + small), sympy.log(inside))

    return expr.replace(lambda part: _inside(part) is not None, near_1)


def with_complements(expr):
    """The expression with softplus(u) = u + softplus(-u) and sigmoid(u) = 1 - sigmoid(-u) where u > 0, multiplied out,
    so that what is left of them does not cancel: of u sigmoid(u) - softplus(u), -u sigmoid(-u) - softplus(-u).
    """
    logistic = {part.args[0] for part in expr.atoms(words.sigmoid.build)}
    both = logistic & {part.args[0] for part in expr.atoms(words.softplus.build)}
    if len(both) != 1 or expr.has(Where):
        return expr
    (u,) = both
    turned = {words.softplus(u): u + words.softplus(-u), words.sigmoid(u): 1 - words.sigmoid(-u)}
    return Where(u > 0, sympy.factor_terms(sympy.expand(expr.xreplace(turned))), expr)


def _near_1(logarithm):
    inside, e = in_exponentials(_inside(logarithm)), sympy.Dummy(positive=True)
    for power in sorted(inside.atoms(sympy.exp), key=str):
        a, b = (sympy.expand(inside.xreplace({power: e})).coeff(e, degree) for degree in (0, 1))
        if sympy.cancel(a + b - 1) == 0 and sympy.cancel(inside - a - b * power) == 0 and not b.has(power):
            v = recognised(b) * words.expm1(power.args[0])
            return Where(words.abs(v) < sympy.S.Half, words.log1p(v), _of_quotient(inside))
    return logarithm


def _of_quotient(inside):
    """The logarithm of a quotient of sums of exponentials as that of either."""
    inside = sympy.expand_power_exp(inside)
    multiples = {sympy.exp(exponent): split(exponent) for exponent in exponents_of(inside)}
    signs = {
        base: max(sympy.sign(c) for c, other in multiples.values() if other == base) for _, base in multiples.values()
    }
    known = {base: sympy.Dummy(positive=True) for base in signs}
    plain = inside.xreplace({power: known[base] ** (signs[base] * c) for power, (c, base) in multiples.items()})
    back = {symbol: sympy.exp(signs[base] * base) for base, symbol in known.items()}
    sums = (sympy.expand(part).xreplace(back) for part in sympy.fraction(sympy.cancel(plain)))
    top, bottom = (sympy.Add(*map(with_one_exponential, sympy.Add.make_args(one))) for one in sums)
    return recognised(sympy.log(top)) - recognised(sympy.log(bottom))


def _together(expr, is_apart: bool):
    if expr.is_Atom or not isinstance(expr, sympy.Expr):
        return expr
    if _inside(expr) is not None:
        return _logarithm([(_ONE, expr)], is_apart)
    if not expr.is_Add:
        return expr.func(*(_together(arg, is_apart) for arg in expr.args))
    expanded = sympy.expand(expr, power_base=False, power_exp=False, log=False)
    groups: dict[sympy.Expr, list] = {}
    rest = []
    for term in sympy.Add.make_args(expanded):
        number, product = term.as_coeff_Mul()
        found = [factor for factor in sympy.Mul.make_args(product) if _inside(factor) is not None]
        if len(found) == 1:
            groups.setdefault(product / found[0], []).append((number, found[0]))
        else:
            rest.append(term)
    sums = []
    for common, logarithms in groups.items():
        insides = [in_exponentials(_inside(one)) for _, one in logarithms]
        exponents = {power.args[0] for inside in insides for power in inside.atoms(sympy.exp)}
        linear = [term for term in rest if any((term / common / exponent).is_Rational for exponent in exponents)]
        rest = [term for term in rest if term not in linear]
        sums.append(common * _logarithm([*logarithms, *((_ONE, term / common) for term in linear)], is_apart))
    return sympy.Add(*sums, *rest)


def _inside(expr):
    """What the expression is the logarithm of; None if it is none."""
    if isinstance(expr, words.softplus.build):
        return 1 + sympy.exp(expr.args[0])
    if isinstance(expr, words.log1p.build):
        return 1 + expr.args[0]
    return expr.args[0] if isinstance(expr, sympy.log) else None


def _logarithm(terms, is_apart: bool):
    """The sum of multiples of logarithms and of exponents, as a multiple of one logarithm."""
    plain = sympy.Add(*(number * one for number, one in terms))
    unit = reduce(sympy.gcd, (number for number, one in terms if _inside(one) is not None))
    if any(abs(number / unit) > LARGEST_POWER for number, one in terms if _inside(one) is not None):
        return plain
    factors = [
        sympy.exp(number * one / unit) if _inside(one) is None else in_exponentials(_inside(one)) ** (number / unit)
        for number, one in terms
    ]
    product = sympy.Mul(*factors)
    if product.has(sympy.exp):
        found = fraction(product)
        halves = None if found is None else _by_halves(found)
        return plain if halves is None else unit * halves
    numbers = [number for number, _ in terms]
    if min(numbers) > 0 or max(numbers) < 0:
        return plain
    top, bottom = sympy.fraction(sympy.cancel(sympy.together(product)))
    difference = sympy.factor(top - bottom)
    if not bottom.atoms(Value):
        return plain
    is_real = sympy.And(*(_inside(one) > 0 for number, one in terms if number < 0))
    near = unit * words.log1p(difference / bottom)
    far = unit * (sympy.log(top) - sympy.log(bottom)) if is_apart else plain
    sizes = [words.abs(one) for one in (top, bottom, difference)]
    is_near = sympy.And(sizes[0] >= sizes[1] / 2, sizes[2] / 4 < sizes[1])  # that of infinity and infinity is not
    return Where(is_real, Where(is_near, near, far), far)


def _by_halves(found: Fraction):
    """The logarithm of a fraction in t = exp(-|u|): where u > 0, that of E**k and of the polynomials reversed.

    None where the fraction is negative for u of one sign.
    """
    u, t = found.exponent, sympy.exp(-words.abs(found.exponent))
    halves = []
    for direction in (1, -1):
        slope, constant, polynomials = 0, _ONE, []
        for sign, poly in ((1, found.numerator), (-1, found.denominator)):
            coefficients = poly.all_coeffs()[::direction]  # the lowest power of t first
            low = next(power for power, one in enumerate(coefficients) if one != 0)
            slope += sign * (poly.degree() - low if direction == 1 else low)
            constant *= coefficients[low] ** sign
            polynomials.append([sympy.cancel(one / coefficients[low]) for one in coefficients[low:]])
        if constant.is_negative:
            return None
        top, bottom = ([*one, *[sympy.S.Zero] * max(map(len, polynomials))] for one in polynomials)
        if not any(top[1:]):
            rest = -words.log1p(_horner(bottom[1:], t) * t)
        else:
            difference = [a - b for a, b in zip(top, bottom, strict=False)][1:]
            rest = words.log1p(_horner(difference, t) * t / _horner(bottom, t))
        halves.append(slope * u + sympy.log(constant) + rest)
    return Where(u > 0, *halves)


def _horner(coefficients, t):
    """The polynomial, lowest power first."""
    total = sympy.S.Zero
    for coefficient in reversed(coefficients):
        total = coefficient + t * total
    return total
