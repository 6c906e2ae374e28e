"""Words for x / expm1(x) and expm1(x) / x, which are 0 / 0 at 0: rates of ion channels, mean energies, yields of bonds.

A function of one number has a series near such a place (`series`). One of several inputs, or with parameters, has none:
there the quotient becomes a word. Worked example, a flux through a membrane: u (a - b exp(-u)) / (1 - exp(-u)) is
a over_expm1(-u) - b over_expm1(u). Only derivations use these words.
"""

from __future__ import annotations

from itertools import product

import mpmath
import sympy

from nngrad.codegen.algebra import exact, words
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.algebra.texts import text
from nngrad.codegen.algebra.vocabulary import enter

_TERMS = 24  # of series within 1
SETTLED = 2**10  # exp of less is 0


def _near_and_far(coefficients, far):
    """A smooth function of x: near 0 the series."""

    def smooth(x):
        near, total = words.clamped(x, 1), sympy.S.Zero
        for coefficient in reversed(coefficients):
            total = coefficient + near * total
        return Where(words.abs(x) < 1, total, far(x))

    return smooth


def _with_digits(formula):
    """The formula for mpmath, with as many digits as cancel near 0, where it is the limit."""

    def value(x):
        if not x:
            x = mpmath.ldexp(1, -mpmath.mp.prec)
        with mpmath.workprec(mpmath.mp.prec + max(0, -3 * mpmath.mag(x))):
            made = formula(x, exact.exp(-abs(x)))
        return +made

    return value


def _over_expm1_far(x):
    decay = words.exp(-words.minimum(words.abs(x), SETTLED))
    return Where(x > 0, words.clamped(x, SETTLED) * decay, -x) / (1 - decay)


def _over_expm1_slope_far(x):
    x, decay = words.clamped(x, SETTLED), words.exp(-words.minimum(words.abs(x), SETTLED))
    return Where(x > 0, (1 - x - decay) * decay, decay - 1 - x * decay) / (1 - decay) ** 2


_BERNOULLI = [-sympy.S.Half if n == 1 else sympy.bernoulli(n) for n in range(_TERMS + 1)]

expm1_over = enter(
    "expm1_over",
    "runtime.expm1_over",
    lambda x: mpmath.expm1(x) / x if x else mpmath.mpf(1),
    12,
    "(exp(x) - 1) / x, 1 at 0.",
    derivatives=lambda x: [expm1_over_slope(x)],
    smooth=_near_and_far([1 / sympy.factorial(n + 1) for n in range(_TERMS)], lambda x: words.expm1(x) / x),
    safe=(0,),
    is_positive=True,
)
expm1_over_slope = enter(
    "expm1_over_slope",
    "runtime.expm1_over_slope",
    _with_digits(lambda x, e: ((x - 1) / e + 1) / x**2 if x > 0 else (1 + (x - 1) * e) / x**2),
    25,
    "The derivative of (exp(x) - 1) / x.",
    derivatives=lambda x: [(words.exp(x) - 2 * expm1_over_slope(x)) / x],
    smooth=_near_and_far(
        [sympy.Integer(n + 1) / sympy.factorial(n + 2) for n in range(_TERMS)],
        lambda x: (words.exp(x) * (words.clamped(x, SETTLED) - 1) + 1) / x**2,
    ),
    safe=(0,),
    is_positive=True,
)
over_expm1 = enter(
    "over_expm1",
    "runtime.over_expm1",
    lambda x: x / mpmath.expm1(x) if x else mpmath.mpf(1),
    30,
    "x / (exp(x) - 1), 1 at 0.",
    derivatives=lambda x: [over_expm1_slope(x)],
    smooth=_near_and_far(
        [number / sympy.factorial(n) for n, number in enumerate(_BERNOULLI)],
        _over_expm1_far,
    ),
    safe=(0,),
    is_positive=True,
)
over_expm1_slope = enter(
    "over_expm1_slope",
    "runtime.over_expm1_slope",
    _with_digits(lambda x, e: ((1 - x - e) * e if x > 0 else e - 1 - x * e) / (1 - e) ** 2),
    35,
    "The derivative of x / (exp(x) - 1).",
    derivatives=lambda x: [(over_expm1_slope(x) * (1 - 2 * over_expm1(x) - x) - over_expm1(x)) / x],
    smooth=_near_and_far(
        [number / sympy.factorial(n) for n, number in enumerate(_BERNOULLI[1:])],
        _over_expm1_slope_far,
    ),
    safe=(0,),
    is_negative=True,
)


def with_quotients_of_expm1(expr):
    """The expression with these words for what is x times a number, or a parameter, over expm1(x), or the other way."""
    made = expr.replace(lambda part: part.is_Mul, _in_product)
    return expr if made == expr else made.replace(lambda part: part.is_Add, _in_sum)


def with_divided_differences(expr):
    """The expression with (exp(a) - exp(b)) / (a - b) and (x - y) / log(x / y), which are 0 / 0 where both are the
    same, by what lies between: of the larger one a, exp(a) expm1_over(b - a), and x expm1_over(log(y / x)).
    """
    return expr.replace(lambda part: part.is_Mul, _between_two)


def _between_two(factors):
    powers = factors.as_powers_dict()
    for one, other in product(powers, powers):
        if powers[one] == 1 and powers[other] == -1 and (found := _difference_of_exponentials(one)):
            number, a, b = found
            ratio = sympy.cancel((a - b) / other)
            if not ratio.atoms(Value):
                mean = Where(a > b, sympy.exp(a) * expm1_over(b - a), sympy.exp(b) * expm1_over(a - b))
                return factors / one * other * number * ratio * mean
        if powers[one] == -1 and powers[other] == 1 and (found := _logarithm_of_quotient(one)):
            x, y = found
            ratio = sympy.cancel(other / (x - y))
            if not ratio.atoms(Value):
                rise = sympy.log(x / y)
                return factors * one / other * ratio * Where(x > y, x * expm1_over(-rise), y * expm1_over(rise))
    return factors


def _difference_of_exponentials(expr) -> tuple | None:
    """(c, a, b) of c (exp(a) - exp(b))."""
    if not expr.is_Add or len(expr.args) != 2:
        return None
    (c, first), (other, second) = (term.as_coeff_Mul() for term in expr.args)
    are_exponentials = isinstance(first, sympy.exp) and isinstance(second, sympy.exp)
    return (c, *first.args, *second.args) if are_exponentials and other == -c else None


def _logarithm_of_quotient(expr) -> tuple | None:
    """(x, y) of log(x / y), and of log(x) - log(y)."""
    if isinstance(expr, sympy.log):
        x, y = sympy.fraction(expr.args[0])
        return (x, y) if x.atoms(Value) and y.atoms(Value) else None
    if not expr.is_Add or len(expr.args) != 2:
        return None
    plus, minus = sorted(expr.args, key=lambda term: term.could_extract_minus_sign())
    are_logarithms = isinstance(plus, sympy.log) and isinstance(-minus, sympy.log)
    return (*plus.args, *(-minus).args) if are_logarithms else None


def _in_product(factors):
    """u / expm1(u) and expm1(u) / u, and these times exp(u)."""
    powers = factors.as_powers_dict()
    exponentials = [one for one in powers if isinstance(one, words.expm1.build) and one.atoms(Value)]
    for exponential, base in product(exponentials, powers):
        times, (u,) = powers[exponential], exponential.args
        if abs(times) != 1 or base == exponential or not base.atoms(Value):
            continue
        above, below = sympy.fraction(u)
        ratio = sympy.cancel(base / above)
        power = powers[base]
        if ratio.atoms(Value) or not power.is_Integer or power * times >= 0:
            continue
        word = over_expm1(u) if times == -1 else expm1_over(u)
        return _beside_exponential(factors * (ratio * below) ** -times / (exponential / base) ** times * word)
    return factors


def _beside_exponential(factors):
    """exp(u) over_expm1(u) = over_expm1(-u), also in sums."""
    for word in (one for one in sympy.Mul.make_args(factors) if isinstance(one, over_expm1.build)):
        (u,) = word.args
        exponential, rest = sympy.exp(u), factors / word
        if exponential in sympy.Mul.make_args(rest):
            return rest / exponential * over_expm1(-u)
        for total in (one for one in sympy.Mul.make_args(rest) if one.is_Add and one.has(exponential)):
            return sympy.Add(*(_beside_exponential(rest / total * term * word) for term in total.args))
    return factors


def _in_sum(terms):
    """c expm1_over(u) - c exp(u) = -c u expm1_over_slope(u)."""
    for word in sorted(terms.atoms(expm1_over.build), key=text):
        (u,) = word.args
        factor = terms.coeff(word)
        if factor != 0 and terms.coeff(sympy.exp(u)) == -factor:
            terms = terms - factor * (word - sympy.exp(u)) - factor * u * expm1_over_slope(u)
    return terms
