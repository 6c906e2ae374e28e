"""Words in disguise: what a formula spells out and the language has an accurate word for.

`1 / (1 + exp(-x))` is `sigmoid(x)`, `log(1 + exp(x))` is `softplus(x)`, `exp(x) - 1` is `expm1(x)`, `sqrt(1 + x**2)` is
`hypot(1, x)`. Fractions of exponentials are compared with words as fractions, however they are written; other words
are known by their definitions.
"""

from __future__ import annotations

from functools import cache, reduce
from itertools import combinations, permutations

import sympy

from nngrad.codegen.algebra import exp_words, gaussians, log_words, words
from nngrad.codegen.algebra.small import small_numbers
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.algebra.vocabulary import WORDS, Word
from nngrad.codegen.rewriting.identities import squares_of
from nngrad.codegen.rules.exponentials import MADE_OF_EXPONENTIALS, as_word, exponents_apart

LARGEST_SEARCH = 12  # parts of an expression that are tried as the argument of a word
_ONE, _HALF, _ROOT_TWO = sympy.S.One, sympy.S.Half, sympy.sqrt(2)


_BASES = {words.log2.build: 2, words.log10.build: 10}


def _log_rule(expr):
    """log(1 + exp u) and log(1 + u), log of a sigmoid and of the difference of two, log(exp a + exp b), log(exp a -
    exp b), also where b is 0; that of a sum of more exponentials as one of the first and the sum of the others.

    The logarithm of a multiple of these is theirs and the number's, that to another base a multiple of it.
    """
    if isinstance(expr, words.log1p.build) and isinstance(expr.args[0], sympy.exp):
        return words.softplus(expr.args[0].args[0])
    if type(expr) in _BASES:
        natural = sympy.log(*expr.args)
        known = _log_rule(natural)
        return expr if known == natural else known / sympy.log(_BASES[type(expr)])
    if not isinstance(expr, sympy.log):
        return expr
    (inside,) = expr.args
    factor, rest = inside.primitive() if inside.is_Add else inside.as_coeff_Mul()
    if factor not in (1, -1) and rest.is_Add and factor.is_positive:
        known = _log_rule(sympy.log(rest))
        if not known.has(sympy.log(rest)):
            return sympy.log(factor) + known
    if isinstance(inside, words.sigmoid.build):
        return -words.softplus(-inside.args[0])
    if isinstance(inside, words.sigmoid_of_difference.build):
        return -words.softplus(inside.args[1] - inside.args[0])
    if inside.is_Add and _ONE in inside.args:
        rest = inside - 1
        if isinstance(rest, sympy.exp):
            return words.softplus(rest.args[0])
        logarithm = _log_rule(sympy.log(rest)) if rest.is_Add else expr
        return words.softplus(logarithm) if isinstance(logarithm, words.logaddexp.build) else words.log1p(rest)
    if inside.is_Add and None not in (exponents := [*map(_exponent, inside.args)]):
        has_multiples = any((a / b).is_number for a, b in combinations(exponents, 2))
        return expr if has_multiples else reduce(words.logaddexp, exponents)
    if isinstance(inside, words.expm1.build):
        return inside.args[0] + log_words.log1mexp(-inside.args[0])
    for plus in (term for term in sympy.Add.make_args(inside) if isinstance(term, sympy.exp)):
        minus = plus - inside
        if isinstance(minus, sympy.exp):
            return plus.args[0] + log_words.log1mexp(minus.args[0] - plus.args[0])
    for plus in inside.args if inside.is_Add and len(inside.args) == 2 else ():
        u, v = _log_odds(plus), _log_odds(plus - inside)
        if None not in (u, v):  # the probability of what is between two thresholds
            return log_words.log1mexp(sympy.expand(v - u)) - words.softplus(-u) - words.softplus(v)
    return expr


def _log_odds(probability):
    """What an expression is the sigmoid of, if it is one."""
    if isinstance(probability, words.sigmoid_of_difference.build):
        return probability.args[0] - probability.args[1]
    return probability.args[0] if isinstance(probability, words.sigmoid.build) else None


def _exponent(power):
    """What a power of e or of another number has for an exponent of e; None of what is none."""
    if isinstance(power, words.power.build) and power.args[0].is_number and power.args[0].is_positive:
        return power.args[1] * sympy.log(power.args[0])
    return power.args[0] if isinstance(power, sympy.exp) else None


def _fraction_rule(expr):
    """A fraction of exponentials that is a word, also where a small number keeps it from 0."""
    if expr.is_Mul:
        own = [factor for factor in expr.args if factor.has(*MADE_OF_EXPONENTIALS)]
        for product in dict.fromkeys([sympy.Mul(*own), *exponents_apart(own)]) if own else ():
            if (word := as_word(product)) is not None:
                expr = expr / product * word
        return expr
    if (expr.is_Add or expr.is_Pow) and expr.has(*MADE_OF_EXPONENTIALS):
        small = small_numbers(expr)
        word = as_word(expr - small)
        return expr if word is None else word + small
    return expr


def _reciprocal_rule(expr):
    """One over u / expm1(u) is expm1(u) / u, which may overflow where that one is only small."""
    if expr.is_Pow and expr.exp.is_negative and isinstance(expr.base, exp_words.over_expm1.build):
        return exp_words.expm1_over(*expr.base.args) ** -expr.exp
    if expr.is_Pow and expr.exp.is_negative and isinstance(expr.base, exp_words.expm1_over.build):
        return exp_words.over_expm1(*expr.base.args) ** -expr.exp
    return expr


def _complement_rule(expr):
    """exp u - 1, 1 + erf u, 1 - erf u, 1 - cos u and 1 - sigmoid(a - b), which cancel as they stand, and
    softplus(u) - u = softplus(-u), so that logaddexp(a, b) - a = softplus(b - a), that less the larger one
    softplus(-|a - b|), and exp of minus the former sigmoid(a - b).
    """
    if isinstance(expr, sympy.exp) and isinstance(expr.args[0], words.softplus.build):
        return 1 + sympy.exp(*expr.args[0].args)
    if isinstance(expr, sympy.exp) and isinstance(-expr.args[0], words.softplus.build):
        return words.sigmoid(-(-expr.args[0]).args[0])
    if not expr.is_Add:
        return expr
    number, rest = expr.as_coeff_Add()
    for term in sympy.Add.make_args(rest):
        sign, atom = term.as_coeff_Mul()
        others = rest - term
        if isinstance(atom, sympy.exp) and number == -sign:
            return sign * words.expm1(atom.args[0]) + others
        if isinstance(atom, words.sigmoid_of_difference.build) and number == -sign:
            return number * words.sigmoid_of_difference(*reversed(atom.args)) + others
        if isinstance(atom, sympy.cos) and number == -sign:
            return 2 * number * words.sin(atom.args[0] / 2) ** 2 + others
        if isinstance(atom, gaussians.erf.build) and abs(sign) == number:
            return number * gaussians.erfc(-sign / number * atom.args[0]) + others
        if isinstance(atom, words.logaddexp.build):
            for a, b in (atom.args, atom.args[::-1]):
                if -sign * a in sympy.Add.make_args(rest):
                    return expr - sign * (atom - a) + sign * words.softplus(b - a)
            larger = words.maximum(*atom.args)
            if -sign * larger in sympy.Add.make_args(rest):
                return expr - sign * (atom - larger) + sign * words.softplus(-words.abs(a - b))
        if isinstance(atom, words.softplus.build) and -sign * atom.args[0] in sympy.Add.make_args(rest):
            return expr - term + sign * atom.args[0] + sign * words.softplus(-atom.args[0])
    return expr


def _larger_rule(expr):
    """max(u, 0) + log(1 + exp(-|u|)), as one writes it lest exp overflow, is softplus(u), which has a slope at 0 that
    the maximum lacks; max(a, b) + log(1 + exp(-|a - b|)) is logaddexp(a, b), so is a + log(1 + exp(b - a)), and
    min(u, 0) - ... is -softplus(-u).
    """
    if not expr.is_Add:
        return expr
    factors = {atom: number for number, atom in (term.as_coeff_Mul() for term in expr.args)}
    for small in [one for one in factors if isinstance(one, words.softplus.build)]:
        for a in (one for one in factors if isinstance(one, Value) and factors[one] == factors[small]):
            if isinstance(b := small.args[0] + a, Value):
                return expr + factors[small] * (words.logaddexp(a, b) - a - small)
        if not isinstance(-small.args[0], words.abs.build):
            continue
        (distance,) = (-small.args[0]).args
        for larger in [one for one in factors if isinstance(one, _EXTREMA)]:
            a, b = larger.args
            number, sign = factors[small], 1 if isinstance(larger, words.maximum.build) else -1
            if factors[larger] == sign * number and distance in (a - b, b - a):
                whole = words.logaddexp(sign * a, sign * b) if 0 not in (a, b) else words.softplus(sign * (a + b))
                return expr - factors[larger] * larger - number * small + number * whole
    return expr


def _angle_rule(expr):
    """pi / 2 + arctan u, which cancels for negative u, is the angle of the point (-u, 1), and arctan u - arctan v that
    of (1 + u v, u - v).
    """
    if expr.is_Add:
        number = sympy.Add(*(term for term in expr.args if term.is_number))
        atoms = (part for term in expr.args for part in sympy.Mul.make_args(term))
        factors = {atom: expr.coeff(atom) for atom in atoms if isinstance(atom, words.arctan.build)}
        for atom, factor in factors.items():
            if factor.is_number and factor != 0 and (quarter := factor * sympy.pi / 2) in (number, -number):
                sign = sympy.sign(number / quarter)
                return expr - number - factor * atom + sign * factor * words.arctan2(1, -sign * atom.args[0])
        for (atom, factor), (other, opposite) in permutations(factors.items(), 2):
            if factor == -opposite and not factor.could_extract_minus_sign():
                (u,), (v,) = atom.args, other.args
                angle = words.arctan2(sympy.factor_terms(sympy.expand(u - v)), 1 + sympy.expand(u * v))
                return expr - factor * (atom - other) + factor * angle
    return expr


def _normal_rule(expr):
    """erfc(c u) with c**2 = 1/2 is the normal distribution function: the rounding of c u must not reach the tail.

    u times that is a word of its own, and so is exp(-u**2 / 2) where it is divided by the root of 2 pi.
    """
    if isinstance(expr, gaussians.erfc.build):
        scale, inside = expr.args[0].as_independent(*expr.args[0].free_symbols, as_Add=False)
        if scale**2 == sympy.Rational(1, 2):
            return 2 * gaussians.normal_cdf(-inside if scale.is_positive else inside)
    if expr.is_Mul:
        for normal in (factor for factor in expr.args if isinstance(factor, gaussians.normal_cdf.build)):
            if normal.args[0] in expr.args:
                return expr / (normal * normal.args[0]) * gaussians.times_normal_cdf(normal.args[0], normal)
        number, rest = expr.as_coeff_mul(*expr.free_symbols)
        for gaussian in (factor for factor in rest if isinstance(factor, sympy.exp)):
            root = sympy.sqrt(2 * sympy.pi)
            coefficient, square = gaussian.args[0].as_coeff_Mul()
            if coefficient == -_HALF and square.is_Pow and square.exp == 2 and (number * root).is_Rational:
                word = gaussians.times_normal_density if square.base in rest else gaussians.normal_density
                known = gaussian * square.base if square.base in rest else gaussian
                return expr * root / known * word(square.base)
    return expr


def _gaussian_tail_rule(expr):
    """A tail's logarithm, and a tail beside exp(u**2), which are in range where the tail itself is 0."""
    if isinstance(expr, sympy.log):
        number, tail = expr.args[0].as_coeff_Mul()
        tail = _normal_rule(tail)
        number, tail = number * tail.as_coeff_Mul()[0], tail.as_coeff_Mul()[1]
        if isinstance(tail, gaussians.normal_cdf.build):
            (u,) = tail.args
            if number == 2:
                return gaussians.log_erfc(-u / _ROOT_TWO)
            return words.log(number) + gaussians.log_normal_cdf(u)
        return gaussians.log_erfc(*tail.args) if number == 1 and isinstance(tail, gaussians.erfc.build) else expr
    if not expr.is_Mul:
        return expr
    for tail, exponent in (factor.as_base_exp() for factor in expr.args):
        if not isinstance(tail, gaussians.erfc.build | gaussians.normal_cdf.build) or abs(exponent) != 1:
            continue
        (u,) = tail.args
        is_normal = isinstance(tail, gaussians.normal_cdf.build)
        square = u**2 / 2 if is_normal else u**2
        bell = sympy.exp(square * exponent)
        densities = map(gaussians.normal_density, (u, -u))
        density = next((one for one in densities if one in expr.args), None)
        if is_normal and exponent == -1 and density is not None:
            return recognised(expr * tail / density * gaussians.log_normal_cdf_slope(u))
        if bell not in expr.args:
            continue
        if exponent == 1:
            word = gaussians.erfcx(-u / _ROOT_TWO) / 2 if is_normal else gaussians.erfcx(u)
        elif is_normal:
            word = sympy.sqrt(2 * sympy.pi) * gaussians.log_normal_cdf_slope(u)
        else:
            word = sympy.sqrt(sympy.pi) * gaussians.erfc_hazard(u)
        return expr / (bell * tail**exponent) * word
    return expr


def _hypot_rule(expr):
    """A root of a sum of two squares, which overflow; c / (c**2 + u**2)."""
    if isinstance(expr, words.over_square.build) and expr.args[0].is_number:
        return expr.args[0] / words.hypot(*expr.args) ** 2
    if not (expr.is_Pow and (2 * expr.exp).is_Integer and not expr.exp.is_Integer and expr.base.is_Add):
        return expr
    roots = squares_of(expr.base)
    return expr if roots is None else words.hypot(*roots) ** (2 * expr.exp)


def _argument_rule(expr):
    """Functions that magnify the rounding error of their argument: of pi u, of a - b, of u**2, of a / b."""
    if isinstance(expr, words.trunc.build):
        a, b = expr.args[0].as_numer_denom()
        return expr if b == 1 else words.sign(a) * words.sign(b) * words.floor_divide(words.abs(a), words.abs(b))
    if isinstance(expr, sympy.sin | sympy.cos):
        turns = expr.args[0] / sympy.pi
        if turns.is_Mul or (turns.is_Symbol and not expr.args[0].is_Symbol):
            word = words.sinpi if isinstance(expr, sympy.sin) else words.cospi
            return expr if turns.has(sympy.pi) else word(turns)
    if isinstance(expr, words.sigmoid.build) and expr.args[0].is_Add and len(expr.args[0].args) == 2:
        a, b = sorted(expr.args[0].args, key=lambda term: term.could_extract_minus_sign())
        if isinstance(a, Value) and isinstance(-b, Value):
            return words.sigmoid_of_difference(a, -b)
    if expr.is_Mul:
        for gaussian in (factor for factor in expr.args if isinstance(factor, sympy.exp)):
            coefficient, square = gaussian.args[0].as_coeff_Mul()
            if square.is_Pow and square.exp == 2 and coefficient.is_negative and square.base in expr.args:
                return expr / (gaussian * square.base) * gaussians.x_exp_square(square.base, coefficient)
    return expr


def _extremum_rule(expr):
    """min(0, k expm1 u) as a branch that k u decides, for the other one's exponential is out of range. NaN stays."""
    if not isinstance(expr, words.minimum.build | words.maximum.build) or 0 not in expr.args:
        return expr
    (other,) = (arg for arg in expr.args if arg != 0)
    odd = [factor for factor in sympy.Mul.make_args(other) if isinstance(factor, _SIGN_KEEPING)]
    if len(odd) != 1 or (other / odd[0]).atoms(Value):
        return expr
    decisive = other / odd[0] * odd[0].args[0]
    is_zero = decisive >= 0 if isinstance(expr, words.minimum.build) else decisive <= 0
    return Where(is_zero, 0, other)


def _definition_rule(expr):
    """What a word is defined as, to some power and times whatever else, is that word."""
    heads = _heads(expr)
    for word, (_, definition) in _DEFINITIONS.items():
        if _heads(definition) <= heads:
            for args in permutations(_parts(expr), word.arity):
                power, rest = _divided(expr, _spelled(word, args))
                if power:
                    return recognised(rest * word(*args) ** power)
    return expr


def _choice_rule(expr):
    """A number and a choice between two as a choice between two others; what is added where a condition holds, and what
    where it does not, as one choice: where(c, a, 0) + where(~c, b, 0) is where(c, a, b).
    """
    if not expr.is_Add:
        return expr
    halves = []
    for term in expr.args:
        for choice in (factor for factor in sympy.Mul.make_args(term) if isinstance(factor, Where)):
            condition, a, b = choice.args
            if not expr.xreplace({choice: sympy.S.One}).atoms(Value) and not (a + b).atoms(Value):
                return Where(condition, expr.xreplace({choice: a}), expr.xreplace({choice: b}))
            if b == 0:
                halves.append((condition, term, term / choice * a))
            elif a == 0:
                halves.append((sympy.Not(condition), term, term / choice * b))
    for (condition, term, a), (opposite, other, b) in combinations(halves, 2):
        if sympy.Not(condition) == opposite:
            return recognised(expr - term - other + Where(condition, a, b))
    return expr


def _origin_rule(expr):
    """over_hypot is 0 at the origin."""
    if isinstance(expr, Where) and expr.args[1] == 0:
        condition, _, elsewhere = expr.args
        for factor in sympy.Mul.make_args(elsewhere):
            at_origin = sympy.And(*(sympy.Eq(arg, 0) for arg in factor.args))
            if isinstance(factor, words.over_hypot.build) and condition == at_origin:
                return elsewhere
    return expr


@cache
def _spelled(word: Word, args: tuple):
    """What the word of these arguments is defined as."""
    symbols, definition = _DEFINITIONS[word]
    return definition.xreplace(dict(zip(symbols, args, strict=True)))


@cache
def _heads(expr) -> set[type]:
    return {type(part) for part in sympy.preorder_traversal(expr) if not part.is_Atom}


def _parts(expr) -> list[sympy.Expr]:
    """What a word in the expression may be a function of."""
    parts = (part for part in sympy.preorder_traversal(expr) if isinstance(part, sympy.Expr) and part.free_symbols)
    return list(dict.fromkeys(parts))[1 : LARGEST_SEARCH + 1]


def _divided(expr, spelled) -> tuple[int, sympy.Expr]:
    """(n, rest) such that the expression is spelled**n times the rest, and n is 0 where it is not a multiple."""
    number, spelled = spelled.as_coeff_Mul()
    powers, divisors = expr.as_powers_dict(), spelled.as_powers_dict()
    (power, *others) = {powers.get(base, 0) / exponent for base, exponent in divisors.items()}
    if others or not (power.is_Integer and power > 0):
        return 0, expr
    rest = sympy.Mul(*(base**exponent for base, exponent in powers.items() if base not in divisors))
    return power, rest / number**power


def _power_rule(expr):
    """A number to the power u, and thirds of a power."""
    if not expr.is_Pow:
        return expr
    base, exponent = expr.args
    if base.is_number and exponent.free_symbols:
        return words.power(base, exponent)
    if isinstance(base, words.abs.build) and exponent == -sympy.Rational(2, 3):
        return 3 * words.cbrt_slope(words.cbrt(base.args[0]), base.args[0])
    if isinstance(base, words.abs.build) and exponent.is_Rational and exponent.q == 3:
        return words.cbrt(base.args[0] if exponent.p % 2 == 0 else base) ** exponent.p
    return expr


def _sign_rule(expr):
    """sign(u)**2 is 1 beside what is infinite at u = 0."""
    if expr.is_Mul:
        for factor in expr.args:
            base, exponent = factor.as_base_exp()
            if isinstance(base, words.sign.build) and exponent == 2 and _is_pole(expr / factor, base.args[0]):
                return expr / factor
    return expr


def _is_pole(product, u) -> bool:
    """Whether a factor of the product is a negative power of |u|, of its cube root, or that one's derivative."""
    powers = product.as_powers_dict()
    bases = {words.abs(u), words.cbrt(u), words.cbrt(words.abs(u))}
    return words.cbrt_slope(words.cbrt(u), u) in powers or any(powers.get(base, 0) < 0 for base in bases)


_SIGN_KEEPING = (words.expm1.build, words.sinh.build)
_EXTREMA = (words.maximum.build, words.minimum.build)
_DEFINITIONS: dict[Word, tuple[tuple, sympy.Expr]] = {}  # of words: their arguments, and what is made of these
_RULES = (
    _log_rule, _fraction_rule, _reciprocal_rule, _complement_rule, _larger_rule, _angle_rule, _normal_rule,
    _gaussian_tail_rule, _hypot_rule, _argument_rule, _extremum_rule, _choice_rule, _origin_rule, _definition_rule,
    _power_rule, _sign_rule,
)  # fmt: skip


@cache
def recognised(expr):
    """The expression with the rules applied from the inside out."""
    if expr.is_Atom or not isinstance(expr, sympy.Expr):
        return expr
    expr = expr.func(*(recognised(arg) for arg in expr.args))
    for rule in _RULES:
        expr = rule(expr)
    return expr


def _learn_definitions() -> None:
    """Each definition is recognised, but not as a whole, by those of the words before it."""
    for word in WORDS.values():
        if word.definition:
            symbols = tuple(sympy.Dummy(real=True) for _ in range(word.arity))
            spelled = word.definition(*symbols)
            _DEFINITIONS[word] = symbols, spelled.func(*(recognised(arg) for arg in spelled.args))


_learn_definitions()
