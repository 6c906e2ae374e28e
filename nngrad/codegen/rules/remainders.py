"""What exp and log leave beyond their tangents, which divergences are made of: where that is small, all cancels.

exp(u) - 1 - u is in the KL divergence of normal distributions and in the linex loss; q - 1 - log q, the divergence of
Itakura and Saito, in those of Poisson and gamma distributions: x log(x / y) - x + y is x (q - 1 - log q), q = y / x.
Near their zeros both words are polynomials.

What powers leave beyond 1, as in the transformation of Box and Cox, is expm1 of a logarithm's multiple.
"""

from __future__ import annotations

from collections.abc import Iterator

import mpmath
import sympy

from nngrad.codegen.algebra import exact, words
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.algebra.vocabulary import enter

_LOG_FAR = 2**80  # beside more than that its logarithm is nothing
_EXP_TERMS = 17
_FARTHEST = 127  # power of two, beside which float32 has no more
_ONE = sympy.S.One


def _phi_two(x):
    near = words.clamped(x, 1)
    *rest, series = [_ONE / sympy.factorial(n + 2) for n in range(_EXP_TERMS)]
    for coefficient in reversed(rest):
        series = coefficient + near * series
    return Where(words.abs(x) < 1, series, (words.expm1(x) / x - 1) / x)


# Words of forms, not for specs to write: the formulas are derived as they are written.
exp_remainder = enter(
    "exp_remainder",
    "runtime.exp_remainder",
    lambda x: exact.exp(x) - 1 - x,
    25,
    "exp(x) - 1 - x, exact near 0.",
    derivatives=lambda x: [words.expm1(x)],
    smooth=lambda x: words.expm1(x) - x,
    safe=(0,),
)
log_remainder = enter(
    "log_remainder",
    "runtime.log_remainder",
    lambda v, logarithm: v - logarithm,
    25,
    "x1 - x2 where x2 = log(1 + x1), exact near 0.",
    arity=2,
    derivatives=lambda v, logarithm: [1, -1],
    smooth=lambda v, logarithm: v - logarithm,
    safe=(0, 0),
)
times_log_remainder = enter(
    "times_log_remainder",
    "runtime.times_log_remainder",
    lambda x, d, logarithm: d - x * logarithm,
    26,
    "x2 - x1 x3 where x3 = log(1 + x2 / x1), exact near 0.",
    arity=3,
    derivatives=lambda x, d, logarithm: [-logarithm, 1, -x],
    smooth=lambda x, d, logarithm: d - x * logarithm,
    safe=(1, 0, 0),
)
phi_two = enter(  # of exponential integrators: what is left of the remainder when it is divided by x**2
    "phi_two",
    "runtime.phi_two",
    lambda x: (exact.exp(x) - 1 - x) / x**2 if x else mpmath.mpf(1) / 2,
    25,
    "(exp(x) - 1 - x) / x**2, 1/2 at 0.",
    derivatives=lambda x: [(words.expm1(x) / x - 2 * phi_two(x)) / x],
    smooth=_phi_two,
    safe=(0,),
)


def with_remainders(expr):
    """The expression with these words for c (exp(u) - 1 - u), also over u**2, and c (q - 1 - log q) in its sums."""
    return expr.replace(lambda part: part.is_Add, _in_sum).replace(lambda part: part.is_Mul, _over_square)


def with_factors_in_remainders(expr):
    """The expression with x log_remainder(d / x, log(1 + d / x)) as one word, in which d / x may overflow."""
    return expr.replace(lambda part: part.is_Mul, _as_one_remainder)


def _as_one_remainder(product):
    number, factors = product.as_independent(Value, as_Add=False)
    for word in (one for one in sympy.Mul.make_args(factors) if isinstance(one, log_remainder.build)):
        v, logarithm = word.args
        x = factors / word
        d = sympy.cancel(v * x)
        if x.atoms(Value) and d.atoms(Value) and not sympy.fraction(d)[1].atoms(Value):
            return number * times_log_remainder(x, d, logarithm)
    return product


def _over_square(product):
    """What is left of exp(u) over u**2, or a larger power, in one."""
    for factor in product.args:
        if isinstance(factor, exp_remainder.build):
            (u,), others = factor.args, product / factor
            if sympy.fraction(sympy.cancel(sympy.fraction(others)[1] / u**2))[1].atoms(Value):
                continue
            quotient = sympy.cancel(others * u**2)
            if not sympy.fraction(quotient)[1].atoms(Value):
                return quotient * phi_two(*factor.args)
    return product


def _in_sum(total):
    for term in total.args:
        for atom in sympy.Mul.make_args(term):
            c = term / atom
            if isinstance(atom, words.expm1.build | words.log1p.build):
                (u,) = atom.args
                is_exp = isinstance(atom, words.expm1.build)
                if (rest := _without(total, [term, -c * u])) is not None:
                    return rest + (c * exp_remainder(u) if is_exp else -c * log_remainder(u, _in_range(atom)))
                if not is_exp and (rest := _without(total, [term, -c * u / (1 + u)])) is not None:
                    near = words.minimum(u, _LOG_FAR)  # log(1 - u / (1 + u)) is -log(1 + u)
                    return rest + c * log_remainder(-near / (1 + near), -atom)
            elif isinstance(atom, sympy.log):
                (u,) = atom.args
                for power in (1, -1, 2, -2):  # c log u is k log q
                    k, q = c / power, u**power
                    if (rest := _without(total, [term, -k * q, k])) is not None:
                        top, bottom = sympy.fraction(q)
                        logarithm = power * (_in_range(atom) if power > 0 else atom)
                        found = rest - k * log_remainder(sympy.factor(top - bottom) / bottom, logarithm)
                        return found if abs(power) == 1 else Where(u > 0, found, total)
    return total


def with_powers_less_one(expr) -> Iterator[sympy.Expr]:
    """c (w**p - 1), outermost ones, as c expm1(p log w) where w is near 1: there the power cancels; (u + a)**p - a**p
    as a**p expm1(p log(1 + u / a)), a**u - 1 as expm1(u log a) near 0.
    """
    yield _with_powers_less_one(expr)
    yield _with_powers_less_one(expr.replace(lambda part: part.is_Add, _with_least_powers_apart))


def _with_least_powers_apart(total):
    """r**-12 - r**-6 as r**-6 (r**-6 - 1), which stays in range on either side, as r**-12 (1 - r**6) does not."""
    powers = [term.as_powers_dict() for term in total.args]
    shared = sympy.S.One
    for base in powers[0]:
        exponents = [own.get(base, sympy.S.Zero) for own in powers]
        if base.atoms(Value) and (
            all(one.is_negative for one in exponents) or all(one.is_positive for one in exponents)
        ):
            shared *= base ** min(exponents, key=abs)
    return shared * sympy.Add(*(term / shared for term in total.args))


def _with_powers_less_one(expr):
    if expr.is_Atom or not isinstance(expr, sympy.Expr):
        return expr
    number, terms = expr.as_independent(Value, as_Add=True)
    for term in sympy.Add.make_args(terms):
        c, power = term.as_independent(Value, as_Add=False)
        is_power = power.is_Pow or isinstance(power, words.power.build)
        if is_power and number == -c and not power.args[0].atoms(Value):
            exponent = power.args[1] * sympy.log(power.args[0])
            near = words.abs(exponent) < 1
            return terms - term + Where(near, c * words.expm1(words.clamped(exponent, 1)), term + number)
        if is_power and number != 0 and power.args[0].atoms(Value):
            w, exponent = power.args
            at = w.as_independent(Value, as_Add=True)[0]  # w less that is rounded once
            is_distance = at != 0 and number == -c * (_ONE if at == 1 else power.func(at, exponent))
            if not is_distance and number != -c:
                continue
            at = at if is_distance else _ONE
            w = words.abs(w) if exponent.is_even and not is_distance else w
            v = (w - at) / at
            logarithm = words.log1p(v) if is_distance else sympy.log(w)
            near = _is_power_near_1(v + 1, exponent)
            return terms - term + Where(near, -number * words.expm1(exponent * logarithm), term + number)
    return expr.func(*map(_with_powers_less_one, expr.args))


def _is_power_near_1(w, exponent):
    """Whether w is so near 1 that its power is: within 7/4 of 2 or, for a small exponent, such as a parameter may be,
    much farther out, between a power of 2 and its inverse.
    """
    if exponent.atoms(Value) or (exponent.is_number and abs(exponent) >= _ONE / 2):
        return words.abs(w - 2) < 7 * _ONE / 4
    farthest = 2 ** (1 / words.maximum(words.abs(exponent), _ONE / _FARTHEST))
    return sympy.And(w < farthest, w > 1 / farthest)


def _in_range(logarithm):
    """The logarithm of what is limited to where it is nothing beside that, lest infinity be less infinity."""
    return logarithm.func(words.minimum(logarithm.args[0], _LOG_FAR))


def _without(total, terms):
    """The sum without some terms of it; None where it does not have them all."""
    rest = total - sympy.Add(*terms)
    count = len(sympy.Add.make_args(rest)) if rest != 0 else 0
    return rest if count == len(total.args) - sum(len(sympy.Add.make_args(one)) for one in terms) else None
