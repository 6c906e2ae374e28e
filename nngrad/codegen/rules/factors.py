"""Stage 5: products with exponentials, of which a factor leaves the range before the product does.

In u**2 exp(v) the square may overflow where the exponential is tiny, or the exponential where u is. As a product by the
word `times_exp` neither does: it counts the powers of two apart. Where an exponential multiplies a sum of such products
each of them gets its own.

Beside exp(x) in a sum, x counts only where that is finite: exp(x) - y x is infinite at infinity, not NaN.

A quotient of two sums of such products is divided by the larger term of its divisor: u exp(v) / (1 + u**2 exp(v)) is
1 / u / (1 + exp(-v) / u**2) where u**2 exp(v) is above 1.

In a quotient of two exponentials' sum, as divided differences are, one is taken out, so that the other is that of a
difference: (exp(a) - exp(b)) / (a - b) is exp(b) expm1(a - b) / (a - b).

Of two powers, of which one divides the other, the quotient's is taken: a**p / b**p is (a / b)**p.

Where exp(u) - 1 is divided by exp(v) - 1, what either grows by is taken out of it, and both meet in one exponential.

Worked example, a normal distribution with a logarithmic variance: (x - mu)**2 exp(-v) is times_exp((x - mu)**2, -v),
and (exp(v) + (x - mu)**2) exp(-w) is exp(v - w) + times_exp((x - mu)**2, -w).
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rules.exponentials import (
    LARGEST_EXPONENT,
    LARGEST_TERMS,
    apart,
    fraction,
    in_exponentials,
    log1p_times_exp,
    times_exp,
)
from nngrad.codegen.rules.remainders import exp_remainder, phi_two, with_remainders

_OF_DIFFERENCE = (sympy.exp, words.expm1.build, phi_two.build)


_GROWTHS = {  # the exponent of what grows, and what is left, which is at most 1
    words.expm1.build: lambda u: (words.maximum(u, 0), -words.sign(u) * words.expm1(-words.abs(u))),
    words.sinh.build: lambda u: (words.abs(u), -words.sign(u) * words.expm1(-2 * words.abs(u)) / 2),
    words.cosh.build: lambda u: (words.abs(u), (1 + sympy.exp(-2 * words.abs(u))) / 2),
}


def with_products_in_range(expr) -> Iterator[sympy.Expr]:
    """The expression with `times_exp` for products of exponentials and others: as they stand, and multiplied out."""
    if not expr.has(sympy.exp) or sympy.count_ops(expr) > LARGEST_TERMS // 4:
        return
    opened = expr.replace(sympy.log, _logarithm_apart)
    for one in dict.fromkeys((opened, opened.replace(lambda part: part.is_Mul, _spread))):
        for known in dict.fromkeys((one, with_remainders(recognised(one)))):
            yield known.replace(lambda part: part.is_Add, _limited_beside_exponential)
            made = known.replace(lambda part: part.is_Mul, _in_range)
            yield made.replace(lambda part: isinstance(part, words.log1p.build), _logarithm)
    yield _with_quotients_in_range(expr)


def with_growths_apart(expr):
    """Quotients of several exp(u) - 1, and of exponentials, each as exp(max(u, 0)) times what is at most 1; those of
    sinh and cosh likewise.
    """
    return expr.replace(lambda part: part.is_Mul, _with_growth_apart)


def _with_growth_apart(product):
    powers = product.as_powers_dict()
    grown = {base: power for base, power in powers.items() if isinstance(base, tuple(_GROWTHS))}
    if len(grown) < 2 or not any(power.is_negative for power in grown.values()):
        return product
    exponential, others = apart(product / sympy.Mul(*(base**power for base, power in grown.items())))
    exponent, rest = (exponential.args[0] if exponential != 1 else sympy.S.Zero), sympy.Mul(*others)
    for base, power in grown.items():
        (u,) = base.args
        growth, bounded = _GROWTHS[type(base)](u)
        exponent += power * growth
        rest *= bounded**power
    return sympy.exp(exponent) * rest


def _spread(product):
    """exp(v) (exp(w) + u) as exp(v + w) + exp(v) u."""
    exponential, others = apart(product)
    total = next((factor for factor in others if factor.is_Add and factor.has(sympy.exp)), None)
    if exponential == 1 or total is None:
        return sympy.Mul(exponential, *others)
    rest = [exponential, *(factor for factor in others if factor is not total)]
    return sympy.Add(*(_spread(sympy.Mul(*rest, term)) for term in total.args))


def _in_range(product):
    exponential, others = apart(product)
    factors = [factor for factor in others if factor.atoms(Value)]
    if exponential == 1 or not factors:
        return sympy.Mul(exponential, *others)
    rest = sympy.Mul(*(factor for factor in others if factor not in factors))
    size = abs(rest) if rest.is_number else sympy.S.One
    return rest / size * times_exp(sympy.Mul(size, *factors), *exponential.args)


def _limited_beside_exponential(total):
    """exp(c x) + u with u's x where exp(c x) is finite, lest infinity be less infinity."""
    for term in total.args:
        exponent = term.as_coeff_Mul()[1].args[0] if isinstance(term.as_coeff_Mul()[1], sympy.exp) else sympy.S.Zero
        slope, x = exponent.as_coeff_Mul()
        if isinstance(x, Value):
            edge = LARGEST_EXPONENT / slope
            limited = words.minimum(x, edge) if slope > 0 else words.maximum(x, edge)
            total = sympy.Add(term, (total - term).xreplace({x: limited}))
    return total


def _logarithm_apart(inside):
    """log(u**p exp(v)) as p log u + v; a factor of any sign stays with its like."""
    exponential, others = apart(inside)
    if not inside.is_Mul or not inside.has(sympy.exp):
        return sympy.log(inside)
    logarithms, rest = sympy.log(exponential), sympy.S.One
    for factor in others:
        base, power = factor.args if isinstance(factor, words.power.build) else factor.as_base_exp()
        if power == 1 or (power.is_Integer and power.is_odd) or not factor.atoms(Value):
            rest *= factor
        else:
            logarithms += power * _logarithm_apart(words.abs(base) if power.is_Integer else base)
    return logarithms + sympy.log(rest)


def _logarithm(log1p):
    (inside,) = log1p.args
    factor, product = inside.as_independent(times_exp.build, as_Add=False)
    if not isinstance(product, times_exp.build):
        return log1p
    return log1p_times_exp(factor * product.args[0], product.args[1])


def _with_quotients_in_range(expr):
    """The expression with its outermost quotients over two terms, of which one is a multiple of an exponential."""
    if expr.is_Atom or not isinstance(expr, sympy.Expr):
        return expr
    found = fraction(expr)
    if found is None:
        return expr.func(*map(_with_quotients_in_range, expr.args))
    terms = found.denominator.terms()  # highest power first
    if len(terms) != 2 or not any(coefficient.atoms(Value) for _, coefficient in terms):
        return expr
    ((high,), above), ((low,), below) = terms
    halves = []
    for power, divisor, other_power, other in ((low, below, high, above), (high, above, low, below)):
        over = [
            _multiple(coefficient / divisor, (own - power) * found.exponent)
            for (own,), coefficient in found.numerator.terms()
        ]
        halves.append(sympy.Add(*over) / (1 + _multiple(other / divisor, (other_power - power) * found.exponent)))
    ratio, exponent = sympy.factor(above / below), (high - low) * found.exponent
    if sympy.fraction(ratio)[1].atoms(Value):
        ratio, exponent, halves = 1 / ratio, -exponent, halves[::-1]
    return Where(words.abs(_multiple(ratio, exponent)) < 1, *halves)


def with_exponential_taken_out(expr) -> Iterator[sympy.Expr]:
    """A quotient with u exp(a) + v exp(b) above as exp(a) (u + v exp(b - a)), and the same for b, each where b - a, or
    a - b, is not large: there it is limited. b may be 0.
    """
    if not expr.has(sympy.exp, words.expm1.build) or expr.has(Where) or sympy.count_ops(expr) > LARGEST_TERMS // 4:
        return
    top, bottom = sympy.fraction(sympy.together(in_exponentials(expr)))
    below, others = apart(bottom)
    bottom = sympy.Mul(*others)
    pairs = [apart(term) for term in sympy.Add.make_args(sympy.expand(top / below, power_exp=False))]
    terms = [(one.args[0] if one != 1 else sympy.S.Zero, sympy.Mul(*others)) for one, others in pairs]
    exponents = sorted({exponent for exponent, _ in terms}, key=sympy.default_sort_key)
    rest = [bottom, *(factor for _, factor in terms)]
    if len(exponents) != 2 or any(one.has(sympy.exp, words.expm1.build) for one in rest):
        return

    def over(exponent):
        factors = [factor for own, factor in terms if own != exponent]
        lead = factors[0] if len(factors) == 1 and not factors[0].atoms(Value) else sympy.S.One
        rest = sympy.Add(*(sympy.exp(own - exponent) * factor / lead for own, factor in terms))
        rest = lead * with_remainders(recognised(sympy.expand(rest, power_exp=False, power_base=False)))
        quotient = rest / bottom
        if rest.has(exp_remainder.build):
            quotient = sympy.cancel(rest.replace(exp_remainder.build, lambda u: u**2 * phi_two(u)) / bottom)
        quotient = quotient.replace(
            lambda part: isinstance(part, _OF_DIFFERENCE), lambda part: part.func(words.minimum(part.args[0], 2))
        )
        return times_exp(quotient, exponent) if exponent != 0 else quotient

    for a, b in (exponents, exponents[::-1]):
        yield Where(a - b > -1, over(a), over(b))


def with_powers_together(expr):
    """a**p / b**q as (a / b)**p b**(p - q), or with q for p if that is less: large powers of either leave the range."""
    return expr.replace(lambda part: part.is_Mul, _powers_together)


def _powers_together(product):
    powers = {base: power for base, power in product.as_powers_dict().items() if power.is_Rational and base.is_Add}
    broken = {base: power for base, power in powers.items() if not power.is_Integer}
    above = [base for base, power in broken.items() if power > 1]
    below = [base for base, power in broken.items() if power < -1 and _is_positive_if_real(base)]
    if len(above) != 1 or len(below) != 1:
        return product
    (a,), (b,) = above, below
    shared = min(powers[a], -powers[b])
    return product * a**-shared * b**shared * words.power(a / b, shared)


def _is_positive_if_real(total) -> bool:
    """Whether a sum of numbers, broken powers and squares is positive wherever it is real."""
    numbers, powers = zip(*(term.as_coeff_Mul() for term in total.args), strict=True)
    exponents = (one.as_base_exp()[1] for one in powers if one != 1)
    return all(one.is_positive for one in numbers) and all(one.is_even or one.is_integer is False for one in exponents)


def _multiple(factor, exponent):
    """The product, or 1 over that with whatever divides it, which may be 0."""
    top, bottom = sympy.fraction(sympy.factor(factor))
    if bottom.atoms(Value) and not top.atoms(Value) and exponent != 0:
        return top / _in_range(bottom * sympy.exp(-exponent))
    return _in_range(top / bottom * sympy.exp(exponent))
