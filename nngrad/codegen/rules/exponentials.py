"""Fractions of exponentials, computed so that nothing overflows and nothing cancels.

Most activations are N(E) / D(E) with E = exp(u) and polynomials N and D; so are their derivatives. Such a fraction may
be a word of the language in disguise. If not, it is written in t = exp(-|u|), which is never above 1: as it stands
where u <= 0, and with the polynomials reversed where u > 0. Factors 1 - t become expm1. A logarithm of a fraction comes
apart the same way. Where one end of the fraction is a multiple c E**k of an exponential, small E is kept from losing
digits by `Decayed`.

Worked example, mish: x tanh(log(1 + E)) = x (E**2 + 2 E) / (E**2 + 2 E + 2), with t that is
x (1 + 2 t) / (1 + 2 t + 2 t**2) for positive x and x (t**2 + 2 t) / (t**2 + 2 t + 2) for negative x.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce

import mpmath
import sympy

from nngrad.codegen.algebra import exact, words
from nngrad.codegen.algebra.symbols import Decayed, Parameter, Subgradient, Value, Where
from nngrad.codegen.algebra.vocabulary import enter

LARGEST_DEGREE = 8
LARGEST_TERMS = 400  # of an expression that is still brought to a fraction
LARGEST_EXPONENT = 1000  # exp(-1000) is 0 in every dtype
FAR_GROWN = 80  # an exponent from where on the exponential is all there is
E = sympy.Dummy("E", positive=True)
_ONE = sympy.S.One
_NO_NUMBER = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo, sympy.AccumBounds)

# Where an exponential overflows and its multiple does not. It is not for specs to write.
times_exp = enter(
    "times_exp",
    "runtime.times_exp",
    lambda factor, x: factor * exact.exp(x),
    20,
    "x1 exp(x2), where exp(x2) may overflow.",
    arity=2,
    derivatives=lambda factor, x: [sympy.exp(x), times_exp(factor, x)],
    smooth=lambda factor, x: factor * sympy.exp(x),
    safe=(0,),
)
log1p_times_exp = enter(  # the same
    "log1p_times_exp",
    "runtime.log1p_times_exp",
    lambda factor, x: mpmath.log1p(factor * exact.exp(x)),
    30,
    "log(1 + x1 exp(x2)), where x1 exp(x2) may overflow.",
    arity=2,
    derivatives=lambda factor, x: [1 / (factor + sympy.exp(-x)), factor / (factor + sympy.exp(-x))],
    smooth=lambda factor, x: words.log1p(factor * sympy.exp(x)),
    safe=(0,),
)


def _exp(argument):
    return sympy.exp(argument)


MADE_OF_EXPONENTIALS = (
    sympy.exp, words.tanh.build, words.sigmoid.build, words.sigmoid_slope.build, words.sinh.build, words.cosh.build,
    words.expm1.build, words.exp2.build,
)  # fmt: skip
_IN_EXPONENTIALS = {
    words.tanh.build: lambda u: (_exp(2 * u) - 1) / (_exp(2 * u) + 1),
    words.sigmoid.build: lambda u: 1 / (1 + _exp(-u)),
    words.sigmoid_slope.build: lambda u: _exp(u) / (1 + _exp(u)) ** 2,
    words.sinh.build: lambda u: (_exp(u) - _exp(-u)) / 2,
    words.cosh.build: lambda u: (_exp(u) + _exp(-u)) / 2,
    words.expm1.build: lambda u: _exp(u) - 1,
    words.exp2.build: lambda u: _exp(u * sympy.log(2)),
    words.softplus.build: lambda u: sympy.log(1 + _exp(u)),
    words.log1p.build: lambda u: sympy.log(1 + u),
}


@dataclass(frozen=True)
class Fraction:
    """numerator / denominator, polynomials in E = exp(exponent) without a common factor."""

    exponent: sympy.Expr
    numerator: sympy.Poly
    denominator: sympy.Poly


def in_exponentials(expr, but=()):
    """The expression with hyperbolic and logistic words, `but` for some and those of numbers, written out."""
    if expr.is_Atom or not isinstance(expr, sympy.Expr) or expr.is_number:
        return expr
    args = [in_exponentials(arg, but) if isinstance(arg, sympy.Expr) else arg for arg in expr.args]
    head = expr.func if expr.func in but else _IN_EXPONENTIALS.get(expr.func, expr.func)
    written = head(*args)
    if head != expr.func and any(one.args[0].has(sympy.exp) for one in written.atoms(sympy.exp)):
        return head(*expr.args)  # an exponent stays in words: written out it may leave the range
    return written


@cache
def fraction(expr) -> Fraction | None:
    """The expression as a fraction of polynomials in one exponential, if it is one."""
    expr = in_exponentials(expr)
    exponents = sorted(exponents_of(expr), key=str)
    if of_inputs := [one for one in exponents if one.atoms(Value)]:  # beside these, those of parameters are numbers
        exponents = of_inputs
    if not exponents or sympy.count_ops(expr) > LARGEST_TERMS:
        return None
    parts, factors = [split(exponent) for exponent in exponents], [_ONE] * len(exponents)
    if len({base for _, base in parts}) > 1:  # exp(x + 1) and exp(x) may be multiples of each other
        shifts, rests = zip(*map(_shift, exponents), strict=True)
        parts, factors = [*map(split, rests)], [*map(sympy.exp, shifts)]
        if len({base for _, base in parts}) > 1:
            return _fraction_of_two(expr, exponents)
    unit = abs(reduce(sympy.gcd, (multiple for multiple, _ in parts)))
    powers = {
        sympy.exp(one): factor * E ** (multiple / unit)
        for one, factor, (multiple, _) in zip(exponents, factors, parts, strict=True)
    }
    return _brought_together(expr.xreplace(powers), unit * parts[0][1])


def _shift(exponent) -> tuple[sympy.Expr, sympy.Expr]:
    """The numbers and parameters in a sum, and the rest; parameters alone are no such shift."""
    inputs = [symbol for symbol in exponent.free_symbols if not isinstance(symbol, Parameter)]
    return (sympy.S.Zero, exponent) if not inputs else exponent.as_independent(*inputs, as_Add=True)


def exponents_of(expr) -> set[sympy.Expr]:
    """What exponentials are taken of, but for numbers, and for those in exponents: no fraction is made of these."""
    if isinstance(expr, sympy.exp):
        return set() if expr.is_number else {expr.args[0]}
    return set().union(*map(exponents_of, expr.args)) if isinstance(expr, sympy.Expr) else set()


def apart(product) -> tuple[sympy.Expr, list[sympy.Expr]]:
    """The exponentials in a product as one, and its other factors."""
    factors = sympy.Mul.make_args(product)
    exponentials = [factor for factor in factors if isinstance(factor, sympy.exp) and factor.atoms(Value)]
    exponential = sympy.exp(sympy.Add(*(one.args[0] for one in exponentials)))
    return exponential, [factor for factor in factors if factor not in exponentials]


def with_one_exponential(product):
    """The product with its exponentials as one."""
    exponential, others = apart(product)
    return sympy.Mul(exponential, *others)


def exponents_apart(factors) -> list[sympy.Expr]:
    """Products of those factors whose exponentials are powers of one."""
    groups: dict[frozenset, list] = {}
    for factor in factors:
        bases = frozenset(split(exponent)[1] for exponent in exponents_of(in_exponentials(factor)))
        groups.setdefault(bases, []).append(factor)
    return [sympy.Mul(*group) for group in groups.values()]


def split(exponent) -> tuple[sympy.Rational, sympy.Expr]:
    """A rational multiple of an expression whose sign is normalised."""
    content, rest = exponent.as_coeff_Mul()
    inner, rest = rest.primitive()
    if rest.could_extract_minus_sign():
        inner, rest = -inner, -rest
    return content * inner, rest


def _fraction_of_two(expr, exponents) -> Fraction | None:
    """exp(a) and exp(b) in a fraction of degree 0 are the one exponential exp(a - b)."""
    if len(exponents) != 2:
        return None
    first, second = exponents
    factor = sympy.Dummy("scale", positive=True)
    together = sympy.cancel(sympy.together(expr.xreplace({sympy.exp(first): E * factor, sympy.exp(second): factor})))
    return None if together.has(factor) else _brought_together(together, first - second)


def _brought_together(expr, exponent) -> Fraction | None:
    opaque: dict[sympy.Basic, sympy.Dummy] = {}

    def flattened(part):
        if part.is_Add or part.is_Mul or (part.is_Pow and part.exp.is_Integer and abs(part.exp) <= LARGEST_DEGREE):
            return part.func(*map(flattened, part.args))
        if part == E or part.is_Rational or not part.has(E):
            return part if part.is_Symbol or part.is_Rational else opaque.setdefault(part, sympy.Dummy(real=True))
        raise sympy.PolynomialError

    try:
        top, bottom = sympy.fraction(sympy.cancel(sympy.together(flattened(expr))))
        back = {dummy: part for part, dummy in opaque.items()}
        polys = [sympy.Poly(part, E).as_expr().xreplace(back) for part in (top, bottom)]
        numerator, denominator = (sympy.Poly(part, E, domain="EX") for part in polys)
    except sympy.PolynomialError:
        return None
    if max(numerator.degree(), denominator.degree()) > LARGEST_DEGREE:
        return None
    return Fraction(exponent, numerator, denominator)


# --- words in disguise ------------------------------------------------------------------------------------------------

_WORDS = [
    (E, E + 1, lambda u: words.sigmoid(u)),
    (_ONE, E + 1, lambda u: words.sigmoid(-u)),
    (E, (E + 1) ** 2, lambda u: words.sigmoid_slope(u)),
    (E - 1, E + 1, lambda u: words.tanh(u / 2)),
    ((E - 1) ** 2, (E + 1) ** 2, lambda u: words.tanh(u / 2) ** 2),
    (E * (E - 1), (E + 1) ** 3, lambda u: words.sigmoid_slope(u) * words.tanh(u / 2)),
    (E**2 - 1, E, lambda u: 2 * words.sinh(u)),
    (E**2 + 1, E, lambda u: 2 * words.cosh(u)),
]


def _ends(top: sympy.Poly, bottom: sympy.Poly) -> tuple[int, int]:
    """The powers of E that a fraction is about a multiple of, where E is large and where it is small."""
    above, below = ([power for (power,) in poly.monoms()] for poly in (top, bottom))
    return max(above) - max(below), min(above) - min(below)


_ENDS = [_ends(sympy.Poly(top, E), sympy.Poly(bottom, E)) for top, bottom, _ in _WORDS]


def as_word(expr):
    """A number times a word that the expression equals, or None."""
    found = fraction(expr)
    if found is None:
        return None
    top, bottom = found.numerator.as_expr(), found.denominator.as_expr()
    if (top.free_symbols | bottom.free_symbols) != {E}:
        return None
    roots = {multiple: E**multiple for multiple in (1, 2)}
    ends = _ends(found.numerator, found.denominator)
    for (numerator, denominator, word), (large, small) in zip(_WORDS, _ENDS, strict=True):
        for multiple, power in roots.items():
            if ends != (multiple * large, multiple * small):
                continue
            ratio = sympy.cancel(top * denominator.subs(E, power) / (bottom * numerator.subs(E, power)))
            if ratio.is_number:
                return ratio * word(multiple * found.exponent)
    return None


# --- stable forms -----------------------------------------------------------------------------------------------------


@cache
def stable(expr):
    """The expression with fractions of exponentials, and logarithms of them, in terms of exp(-|u|); None if none is."""
    found = fraction(expr)
    if found is not None:
        return _stable_fraction(found)
    if isinstance(expr, sympy.log | words.log1p.build | words.softplus.build):
        inside = in_exponentials(expr)
        found = fraction(inside.args[0]) if isinstance(inside, sympy.log) else None
        return None if found is None else _stable_logarithm(found)
    if (product := _stable_product(expr)) is not None:
        return product
    if isinstance(expr, Where):
        branches = [stable(branch) or branch for branch in expr.args[1:]]
        changed = Where(expr.args[0], *branches)
    elif expr.is_Atom or isinstance(expr, Subgradient) or not isinstance(expr, sympy.Expr):
        return None
    else:
        changed = expr.func(*((stable(arg) or arg) if isinstance(arg, sympy.Expr) else arg for arg in expr.args))
    return None if changed == expr else changed


def _stable_fraction(found: Fraction):
    u = found.exponent
    if len(found.numerator.terms()) == len(found.denominator.terms()) == 1:
        return None  # a multiple of one exponential
    content, numerator = _without_content(found.numerator)
    divisor, denominator = _without_content(found.denominator)
    tops, bottoms = _halves(numerator, u), _halves(denominator, u)
    excess = denominator.degree() - numerator.degree()
    tops = (tops[0] * _decaying(u) ** max(excess, 0), tops[1])
    growth = sympy.exp(-excess * words.maximum(u, 0)) if excess < 0 else _ONE
    sign = next((sign for sign in (1, -1) if _equal(tops[0] * bottoms[1], sign * tops[1] * bottoms[0])), None)
    factor = content / divisor * growth
    if sign == 1:
        return factor * tops[0] / bottoms[0]
    if sign == -1:
        return factor * words.sign(split(u)[1]) * tops[0] / bottoms[0]
    return factor * _by_sign(u, *tops) / _by_sign(u, *bottoms)


def _stable_product(expr):
    """A product with powers of fractions that are none themselves, like (1 + E)**(1/2): the powers of E that its
    factors are about a multiple of, which may leave the range, make one.
    """
    rest, powers = _ONE, []
    expr = words.in_powers(expr)
    for factor in sympy.Mul.make_args(expr) if expr.is_Mul or isinstance(expr, sympy.Pow | words.power.build) else ():
        is_word, is_exp = isinstance(factor, words.power.build), isinstance(factor, sympy.exp)
        base, power = factor.args if is_word else (factor, _ONE) if is_exp else factor.as_base_exp()
        found = fraction(base) if base.has(*MADE_OF_EXPONENTIALS) else None
        if found is None:
            rest *= factor
        else:
            powers.append((found, power))
    bases = {split(found.exponent)[1] for found, _ in powers}
    if len(bases) != 1 or rest.has(*MADE_OF_EXPONENTIALS) or all(power.is_Integer for _, power in powers):
        return None
    exponents, products = [0, 0], [_ONE, _ONE]  # where u is positive, and where it is not
    for found, power in powers:
        for sign, poly in ((power, found.numerator), (-power, found.denominator)):
            low = min(one for (one,) in poly.monoms())
            halves = _halves(poly.exquo(sympy.Poly(E**low, E, domain="EX")), found.exponent)
            for side, degree in enumerate((poly.degree(), low)):
                exponents[side] += sign * degree * found.exponent
                products[side] *= halves[side] ** sign
    return rest * _by_sign(bases.pop(), *(sympy.exp(one) * part for one, part in zip(exponents, products, strict=True)))


@cache
def _equal(first, second) -> bool:
    t, dummy = sympy.Wild("t"), sympy.Dummy("t", real=True)
    plain = (first - second).replace(sympy.exp(-words.abs(t)), dummy).replace(words.expm1(-words.abs(t)), dummy - 1)
    return sympy.expand(plain) == 0


def _by_sign(u, positive, negative):
    """`where(u > 0, positive, negative)`, without the factors that both have."""
    common = [factor for factor in sympy.Mul.make_args(positive) if factor in sympy.Mul.make_args(negative)]
    rest = [part / sympy.Mul(*common) for part in (positive, negative)]
    return sympy.Mul(*common) * Where(split(u)[1] > 0, *rest)


def _decaying(u):
    return sympy.exp(-words.abs(u))


def _without_content(poly: sympy.Poly):
    """(factors that all coefficients share, the rest)."""
    content, rest = sympy.factor_terms(poly.as_expr()).as_independent(E, as_Add=False)
    return content, sympy.Poly(rest, E, domain="EX")


def _halves(poly: sympy.Poly, u) -> tuple[sympy.Expr, sympy.Expr]:
    """P(E) over E**degree where u > 0, and P(E) where u <= 0, both in t = exp(-|u|)."""
    factors = [(poly.all_coeffs(), 1)]
    if all(coefficient.is_Rational for coefficient in poly.all_coeffs()):
        content, parts = sympy.factor_list(poly.as_expr(), E)
        factors = [([content], 1), *((sympy.Poly(part, E).all_coeffs(), power) for part, power in parts)]
    halves = ([_in_decaying(coefficients[::step], u) ** power for coefficients, power in factors] for step in (-1, 1))
    positive, negative = (sympy.Mul(*half) for half in halves)
    return positive, negative


def _in_decaying(coefficients, u):
    """The polynomial with these coefficients, highest first, in t = exp(-|u|), with its factors 1 - t taken out."""
    t = _decaying(u)
    vanishing = low = 0
    while len(coefficients) > 1 and sympy.expand(sympy.Add(*coefficients)) == 0:
        coefficients = _over_t_minus_one(coefficients)
        vanishing += 1
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients, low = coefficients[:-1], low + 1
    while len(coefficients) > 1 and coefficients[0] == 0:
        coefficients = coefficients[1:]
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = coefficient + t * total
    return words.expm1(-words.abs(u)) ** vanishing * t**low * total


def _over_t_minus_one(coefficients):
    """Synthetic division of a polynomial, highest power first, by t - 1."""
    quotient = [coefficients[0]]
    for coefficient in coefficients[1:-1]:
        quotient.append(sympy.expand(quotient[-1] + coefficient))
    return quotient


def _stable_logarithm(found: Fraction):
    """A logarithm's linear part in u, and what is left: where u > 0, log P(E) = deg(P) u + log(P(E) / E**deg(P))."""
    u = found.exponent
    slopes, constant, rest = [0, 0], _ONE, sympy.S.Zero  # of u where it is positive, and where it is not
    for sign, poly in ((1, found.numerator), (-1, found.denominator)):
        low = min(power for (power,), _ in poly.terms())
        slopes[0] += sign * poly.degree()
        slopes[1] += sign * low
        coefficients = poly.all_coeffs()[: poly.degree() - low + 1]
        if coefficients[0] == coefficients[-1]:
            constant *= coefficients[-1] ** sign
            coefficients = [coefficient / coefficients[-1] for coefficient in coefficients]
        if len(coefficients) > 1:
            positive, negative = (_in_decaying(coefficients[::step], u) - 1 for step in (-1, 1))
            rest += sign * words.log1p(_by_sign(u, positive, negative))
    above, below = words.maximum(u, 0), words.minimum(u, 0)
    linear = slopes[0] * words.abs(u) if slopes[0] == -slopes[1] else slopes[0] * above + slopes[1] * below
    return linear + rest + sympy.log(constant)


# --- exponentials in exponents ----------------------------------------------------------------------------------------


def with_inner_exponents_limited(expr):
    """exp(-exp(u)), tanh(exp(u)) and the like with a u that is limited to where they have long settled, wherever it is:
    what exp(u) multiplies has settled too.
    """
    for exponent in sorted(_inner_exponents(expr), key=str):
        rate, x = exponent.as_coeff_Mul()
        if isinstance(x, Value):
            edge = FAR_GROWN / rate
            limited = words.minimum(x, edge) if rate.is_positive else words.maximum(x, edge)
            expr = _in_exponents(expr, exponent, {x: limited})
        expr = expr.xreplace({sympy.exp(exponent): sympy.exp(words.minimum(exponent, FAR_GROWN))})
    return expr


def _inner_exponents(expr) -> set[sympy.Expr]:
    outer = [part.args[0] for part in expr.atoms(*MADE_OF_EXPONENTIALS)]
    inner = {power.args[0] for argument in outer for power in argument.atoms(sympy.exp)}
    return {exponent for exponent in inner if not exponent.has(*MADE_OF_EXPONENTIALS)}


def _in_exponents(expr, exponent, swaps):
    """The expression with what it is a function of swapped in those exponents that have the exponential in them, and in
    that itself.
    """
    power = sympy.exp(exponent)
    return expr.replace(
        lambda part: part == power or (isinstance(part, MADE_OF_EXPONENTIALS) and part.args[0].has(power)),
        lambda part: part.xreplace(swaps),
    )


# --- tails ------------------------------------------------------------------------------------------------------------


def tails(expr) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    """(c, v) where the expression approaches c exp(v) as exp(v) vanishes, c not a number."""
    found = fraction(expr)
    if found is None:
        yield from _nested_tails(expr)
        return
    top, bottom = (poly.all_coeffs() for poly in (found.numerator, found.denominator))
    for numerator, denominator, direction in ((top[::-1], bottom[::-1], 1), (top, bottom, -1)):
        order = [next(place for place, one in enumerate(part) if one != 0) for part in (numerator, denominator)]
        if direction == -1:
            order = [order[0] - len(top), order[1] - len(bottom)]
        power = order[0] - order[1]
        first = [next(one for one in part if one != 0) for part in (numerator, denominator)]
        factor = _factored(first[0] / first[1])
        if power > 0 and factor.atoms(Value) and found.exponent.atoms(Value):
            yield factor, direction * power * found.exponent


def _nested_tails(expr) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    """The same for what is no fraction but a function of one exponential that is 0 with it, like x tanh(exp(x))."""
    expr = in_exponentials(expr)
    powers = [power for power in expr.atoms(sympy.exp) if power.atoms(Value) and not power.args[0].has(sympy.exp)]
    bases = {split(power.args[0])[1] for power in powers}
    if len(bases) != 1 or expr.has(Where) or sympy.count_ops(expr) > LARGEST_TERMS // 4:
        return
    base = bases.pop()
    multiples = {power: split(power.args[0])[0] for power in powers}
    unit = reduce(sympy.gcd, multiples.values())
    for sign in (1, -1):
        function = expr.xreplace({power: E ** (sign * multiple / unit) for power, multiple in multiples.items()})
        if _where_exponential_is_0(function) == 0:
            slope = _where_exponential_is_0(function.diff(E))
            if slope is not None and slope.atoms(Value):
                yield slope, sign * unit * base


def _where_exponential_is_0(function):
    """A function of E where that is 0; None where it has no value, also for parts of it."""
    if not function.has(E):
        return function
    args = [_where_exponential_is_0(arg) if function != E else sympy.S.Zero for arg in function.args]
    value = None if None in args else sympy.S.Zero if function == E else function.func(*args)
    return None if value is None or value.has(*_NO_NUMBER) else value


def _factored(expr):
    """The expression as a product, if more than one of its factors varies: multiplied out they may leave the range."""
    product = sympy.factor(expr)
    varying = [factor for factor in sympy.Mul.make_args(product) if factor.atoms(Value)]
    is_one_alone = len(varying) == 1 and not varying[0].is_Pow
    return sympy.factor_terms(expr) if is_one_alone else product


def growths(expr) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    """(c, v) where the expression approaches c exp(v) as exp(v) grows, c not a number."""
    found = fraction(expr)
    if found is None:
        return
    top, bottom = (poly.terms() for poly in (found.numerator, found.denominator))  # highest power first
    for end, direction in ((0, 1), (-1, -1)):
        ((power,), first), ((other,), second) = top[end], bottom[end]
        factor = _factored(first / second)
        if direction * (power - other) > 0 and factor.atoms(Value) and found.exponent.atoms(Value):
            yield factor, (power - other) * found.exponent


def with_growths(form, growths):
    """The form, in range also where the exponential that it is a multiple of is not."""
    for factor, exponent in growths:
        form = Where(exponent > FAR_GROWN, times_exp(factor, exponent), form)
    return form


def with_tails(form, tails):
    """The form, exact also where an exponential that it is a multiple of has few digits left."""
    for factor, exponent in tails:
        form = Decayed(form, factor, exponent)
    return form


def bell_within_range(expr):
    """exp(c u**2) for c < 0, and sigmoid_slope(c u), of a u that is kept to where they are not 0 in any dtype."""
    coefficient, rest = expr.args[0].as_coeff_Mul()
    if isinstance(expr, sympy.exp):
        if not (rest.is_Pow and rest.exp == 2 and coefficient.is_negative):
            return expr
        limit = sympy.ceiling(sympy.sqrt(LARGEST_EXPONENT / -coefficient))
        return expr.func(coefficient * words.clip(rest.base, -limit, limit) ** 2)
    if sympy.Abs(coefficient) <= 1:
        return expr
    return expr.func(coefficient * words.clip(rest, -LARGEST_EXPONENT, LARGEST_EXPONENT))
