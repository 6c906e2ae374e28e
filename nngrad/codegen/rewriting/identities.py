"""Identities between whole expressions: each gives an equal one that may round better, for the judge to decide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, reduce

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.remembered import slope
from nngrad.codegen.algebra.symbols import Decayed, NearZero, Parameter, Value, Where
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.rewriting.restage import inlined
from nngrad.codegen.rules.exponentials import LARGEST_TERMS
from nngrad.codegen.rules.settled import with_ratios
from nngrad.codegen.trace import Formula

LARGEST_LINE = 60  # operations in what is worth asking whether it is linear
SETTLING = (words.sigmoid.build, words.sigmoid_slope.build, words.tanh.build)
_OF_MINUS = {  # f(-u) in terms of f(u)
    words.sigmoid.build: lambda u: 1 - words.sigmoid(u),
    words.softplus.build: lambda u: words.softplus(u) - u,
}


_IN_ROOTS = {
    words.hypot.build: lambda a, b: sympy.sqrt(a**2 + b**2),
    words.over_hypot.build: lambda a, b: a / sympy.sqrt(a**2 + b**2),
    words.over_square.build: lambda a, b: a / (a**2 + b**2),
    words.semicircle.build: lambda u: sympy.sqrt(1 - u**2),
}


def one_signed(expr):
    """softplus(u) and softplus(-u), sigmoid(u) and sigmoid(-u) brought to one sign, and what then cancels taken out."""
    swaps = {}
    for head, of_minus in _OF_MINUS.items():
        for atom in sorted(expr.atoms(head), key=str):
            (u,) = atom.args
            if head(-u) in expr.atoms(head) and head(-u) not in swaps:
                swaps[atom] = of_minus(-u)
    return sympy.expand(expr.xreplace(swaps), power_base=False, power_exp=False, log=False) if swaps else expr


def collected(expr):
    """A sum multiplied out and collected by the functions in it, so that equal ones meet."""
    if not expr.is_Add or sympy.count_ops(expr) > LARGEST_TERMS // 4:
        return expr
    functions = sorted((part for part in expr.atoms(sympy.Function) if type(part) in WORD_OF), key=str)
    return sympy.collect(sympy.expand(expr, power_base=False, power_exp=False, log=False), functions)


def as_quotient(expr):
    """The expression as one quotient, its numerator multiplied out so that terms may cancel."""
    if sympy.count_ops(expr) > LARGEST_TERMS // 4 or expr.has(Where):
        return expr
    if not expr.is_Add:
        return expr
    plain = in_roots(expr)
    top, bottom = sympy.fraction(sympy.together(plain))
    return words.in_words(sympy.factor_terms(sympy.expand(top)) / bottom)


def with_sizes_signed(expr):
    """|a - b| sign(a) as sign(a - b) (|a| - b sign(a)), in one quotient, and what then cancels taken out."""
    differences = {part for part in expr.atoms(words.abs.build) if part.args[0].is_Add}
    if not differences or not expr.has(words.sign.build) or expr.has(Where) or sympy.count_ops(expr) > LARGEST_LINE:
        return expr
    top, bottom = sympy.fraction(sympy.together(expr))
    top = sympy.expand(top.xreplace({part: words.sign(part.args[0]) * part.args[0] for part in differences}))
    return sympy.factor_terms(sympy.expand(top.replace(lambda part: part.is_Mul, _unsigned))) / bottom


def _unsigned(product):
    """The product with |u| for u sign(u)."""
    powers = product.as_powers_dict()
    signed = [one for one in powers if isinstance(one, words.sign.build) and powers.get(one.args[0], 0) >= 1]
    return product * sympy.Mul(*(words.abs(one.args[0]) / one.args[0] / one for one in signed))


def with_squares_of_sines(expr):
    """Sums that are 0 only where a sine is, as its square: 1 + cos(u), 1 - sin(u), 1 + 2 sin(u) cos(u)."""
    return expr.replace(lambda part: part.is_Add, _square_of_sine) if expr.has(sympy.sin, sympy.cos) else expr


def _square_of_sine(total):
    number, wave = total.as_coeff_Add()
    waves = wave.atoms(sympy.sin, sympy.cos)
    if not number or not waves:
        return total
    size, wave = (wave / number).as_coeff_Mul()
    u = min(waves, key=str).args[0]
    if size in (2, -2) and wave == sympy.sin(u) * sympy.cos(u):
        return number * (sympy.sin(u) + sympy.sign(size) * sympy.cos(u)) ** 2
    if size in (1, -1) and wave == sympy.sin(u):
        return number * (sympy.sin(u / 2) + size * sympy.cos(u / 2)) ** 2
    return 2 * number * sympy.cos(u / 2) ** 2 if size * wave == sympy.cos(u) else total


def with_means_of_exponentials(expr):
    """log((exp a + exp b) / 2), which is logaddexp(a, b) - log 2, as what the larger has beside the mean's share;
    log((1 + exp u) / 2), that of a and 0, likewise.
    """

    def mean(a, b):
        return words.maximum(a, b) + words.log1p(words.expm1(-words.abs(a - b)) / 2)

    def in_sum(total):
        for number, atom in (term.as_coeff_Mul() for term in total.args):
            is_of_two = isinstance(atom, words.logaddexp.build)
            if is_of_two or isinstance(atom, words.softplus.build):
                rest = total - number * (atom - sympy.log(2))
                if len(sympy.Add.make_args(rest)) <= len(total.args) - 2 or rest == 0:
                    total = rest + number * mean(*(atom.args if is_of_two else (*atom.args, sympy.S.Zero)))
        return total

    return expr.replace(lambda part: part.is_Add, in_sum)


def with_cardinal_sines(expr):
    """sin(pi u) over a multiple of u as that of sinc(u), whose slopes are exact at 0. sin(u) over u is none: u / pi,
    which is rounded, would lose the digits of sin(u) where that is near 0.
    """

    def in_product(factors):
        powers = factors.as_powers_dict()
        for sine in (one for one in powers if isinstance(one, words.sinpi.build) and powers[one].is_positive):
            (u,) = sine.args
            for base in (one for one in powers if one.atoms(Value) and powers[one].is_negative):
                multiple = sympy.cancel(u / base)
                number = sympy.Min(powers[sine], -powers[base])
                if not multiple.atoms(Value) and number.is_Integer:
                    rest = factors * (base / sine) ** number
                    return in_product(rest * (sympy.pi * multiple * words.sinc(u)) ** number)
        return factors

    return expr.replace(lambda part: part.is_Mul, in_product)


def with_differences_of_logarithms(expr):
    """log a - log b and log(a / b) as log(1 + (a - b) / b) where a and b are near each other."""

    def near(a, b, elsewhere):
        difference = sympy.expand(a - b)
        return Where(words.abs(difference) < words.abs(b) / 2, words.log1p(difference / b), elsewhere)

    def in_sum(total):
        found = {(number, inside): term for term in total.args for number, inside in _logarithms(term)}
        for number, a in found:
            b = next((inside for other, inside in found if other == -number), None)
            if number.is_positive and b is not None and not (a.is_number and b.is_number):
                pair = found[number, a] + found[-number, b]
                return total - pair + number * Where(b > 0, near(a, b, pair / number), pair / number)
        return total

    def of_quotient(log):
        a, b = sympy.fraction(log.args[0])
        return near(a, b, log) if b.free_symbols and not log.has(Where) else log

    expr = expr.replace(lambda part: part.is_Add, in_sum)
    return expr.replace(lambda part: isinstance(part, sympy.log), of_quotient)


def _logarithms(term) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    """(c, u) where the term is c log u."""
    number, logarithm = term.as_coeff_Mul()
    if isinstance(logarithm, sympy.log):
        yield number, logarithm.args[0]
    elif isinstance(logarithm, words.log1p.build):
        yield number, 1 + logarithm.args[0]


def with_roots_apart(expr):
    """The root of a product as a product of roots, which does not overflow. Two negative factors have none."""

    def is_root(part):
        return part.is_Pow and part.exp.is_Rational and part.exp.q == 2

    def apart(root):
        product = sympy.factor(root.base)
        if not product.is_Mul or any(one.is_negative or one.is_Pow for one in product.args):
            return root
        return sympy.Mul(*(one**root.exp for one in product.args))

    return expr.replace(is_root, apart)


def rationalised(expr):
    """A fraction with roots, its denominator made free of them and what cancels taken out. Those of numbers stay."""
    powers = [part for part in expr.atoms(sympy.Pow) if not part.is_number]
    roots = [part for part in powers if part.exp.is_Rational and part.exp.q == 2]
    if not roots or sympy.count_ops(expr) > LARGEST_TERMS // 4 or expr.has(Where):
        return expr
    plain = in_roots(expr)
    square = max(roots, key=sympy.default_sort_key).base
    rational = sympy.radsimp(sympy.together(plain))
    over_root = sympy.cancel(rational * square / sympy.sqrt(square)) / sympy.sqrt(square)
    return min(sympy.factor_terms(sympy.factor(rational)), over_root, key=sympy.count_ops)


def in_roots(expr):
    """The expression with words written out as the roots that they are."""
    return expr.replace(lambda part: type(part) in _IN_ROOTS, lambda part: _IN_ROOTS[type(part)](*part.args))


def with_roots(expr):
    """Roots of sums of squares with a number among them as they are written: beside it no square is too small."""

    def written_out(part):
        made = in_roots(part)
        sums = [power.base for power in made.atoms(sympy.Pow) if not power.exp.is_Integer]
        numbers = [total.as_independent(*total.free_symbols, as_Add=True)[0] for total in sums]
        return part if 0 in numbers else made

    return expr.replace(lambda part: isinstance(part, words.hypot.build | words.over_hypot.build), written_out)


def with_hypot(expr):
    """1 + u**2 in a denominator as hypot(1, u)**2, which does not overflow."""
    return expr.replace(
        lambda part: part.is_Pow and part.exp.is_Integer and part.exp.is_negative and squares_of(part.base) is not None,
        lambda part: words.hypot(*squares_of(part.base)) ** (2 * part.exp),
    )


def squares_of(expr):
    """(a, b) where the expression is a**2 + b**2, or None. What a sum of more squares ends with is that of a hypot."""
    if not (expr.is_Add and expr.free_symbols):
        return None
    *others, last = (_root_of_square(term) for term in expr.args)
    return None if None in (*others, last) else [reduce(words.hypot, others), last]


def _root_of_square(term):
    number = sympy.Mul(*(factor for factor in sympy.Mul.make_args(term) if factor.is_number))
    if not number.is_positive:
        return None
    powers = [factor.as_base_exp() for factor in sympy.Mul.make_args(term / number) if factor != 1]
    if not all(exponent.is_even for _, exponent in powers):
        return None
    return sympy.sqrt(number) * sympy.Mul(*(base ** (exponent / 2) for base, exponent in powers))


def without_difference_of_roots(expr):
    """h - c as (h**2 - c**2) / (h + c) where h is a root or a hypotenuse; as it stands where c is negative or, where c
    and a hypotenuse are made of several inputs, less than half of that. That of one input has rules of its own.
    """

    def quotient(part):
        (root,) = (term for term in part.args if _square(term) is not None)
        rest = root - part  # root - rest
        is_of_values = root.has(words.hypot.build) and rest.atoms(Value)
        if is_of_values and (len(part.atoms(Value)) < 2 or root.could_extract_minus_sign()):
            return part
        numerator = sympy.factor_terms(sympy.expand(_square(root) - rest**2))
        better = numerator / (root + rest)
        if is_of_values:
            return Where(2 * rest >= root, better, part)
        return better if rest.is_nonnegative else Where(rest >= 0, better, part)

    def has_one_root(part) -> bool:
        return part.is_Add and sum(_square(term) is not None for term in part.args) == 1

    return expr.replace(has_one_root, quotient)


def _square(term):
    """The square of a multiple of a root or hypotenuse; None for other terms."""
    number, base = term.as_coeff_Mul()
    if isinstance(base, words.hypot.build):
        return number**2 * sum(arg**2 for arg in base.args)
    if base.is_Pow and base.exp == sympy.Rational(1, 2):
        return number**2 * base.base
    return None


def clamped(form, formula: Formula, limit) -> Iterator[sympy.Expr]:
    """The form with its inputs kept within a limit: everywhere, everywhere but in functions that settle by themselves,
    in what is not divided by, in the arguments of words, in branches not linear, on one side.

    A limit of infinity keeps them finite. Differences of inputs, which are small where both are large, are kept within
    a limit as a whole.
    """
    form = inlined(form, formula.stages)
    is_infinite = limit == sympy.oo
    differences = [one for one in form.atoms(sympy.Add) if _is_difference(one, formula.inputs)]
    limited = [*formula.inputs, *([] if is_infinite else differences)]
    swaps = {one: words.finite(one) if is_infinite else words.clamped(one, limit) for one in limited}
    yield form.xreplace(swaps)
    yield _swapped(form, swaps, but=_is_denominator)
    yield _swapped(form, swaps, but=lambda part: isinstance(part, SETTLING))
    yield _in_arguments(form, swaps)

    def in_branches(where):
        condition, *branches = where.args
        settled = [branch.has(Where) or _is_linear(branch, formula.inputs) for branch in branches]
        kept = [branch if one else branch.xreplace(swaps) for branch, one in zip(branches, settled, strict=True)]
        return Where(condition, *kept)

    yield form.replace(lambda part: isinstance(part, Where), in_branches)
    for extremum in (words.maximum, words.minimum):
        on_one_side = {value: extremum(value, near) for value, near in swaps.items()}
        yield form.xreplace(on_one_side)
        yield _in_arguments(form, on_one_side)


def with_finite_factors(expr, inputs):
    """The expression with finite numbers for infinite inputs in lines that something is multiplied by: it may have
    become 0.
    """
    swaps = {value: words.finite(value) for value in inputs}

    def finite(product):
        factors = [arg for arg in product.args if not arg.is_number]
        return product.func(
            *(arg.xreplace(swaps) if len(factors) > 1 and _is_linear(arg, inputs) else arg for arg in product.args)
        )

    return expr.replace(lambda part: part.is_Mul, finite)


def logarithm_in_range(expr, limit: int):
    """The logarithm of 1 + c u**2 as 2 log|u| + log c, where the square would overflow."""

    def in_range(part):
        factor, square = part.args[0].as_independent(Value, as_Add=False)
        powers = [one.as_base_exp() for one in sympy.Mul.make_args(square)]
        if factor.is_nonpositive or not all(exponent.is_Integer and exponent.is_even for _, exponent in powers):
            return part
        powers = [(base, exponent / 2) for base, exponent in powers]
        root = with_ratios(sympy.Mul(*(base**exponent for base, exponent in powers)))
        far = sympy.Add(*(2 * exponent * sympy.log(words.abs(base)) for base, exponent in powers))
        near = words.log1p(factor * words.clamped(root, limit) ** 2)
        return Where(words.abs(root) >= limit, far + sympy.log(factor), near)

    return expr.replace(lambda part: isinstance(part, words.log1p.build), in_range)


@cache
def _is_linear(expr, inputs) -> bool:
    is_short = sympy.count_ops(expr) <= LARGEST_LINE and not expr.has(NearZero)
    return is_short and all(slope(slope(expr, value), value) == 0 for value in inputs)


def _is_difference(total, inputs) -> bool:
    """Whether a sum is one of several inputs, each times a number or a parameter."""
    return len(total.atoms(Value)) > 1 and all(
        one in inputs and not total.diff(one).atoms(Value) for one in total.atoms(Value)
    )


def _is_denominator(expr) -> bool:
    return bool(expr.is_Pow and expr.exp.is_negative)


def _swapped(expr, swaps, but):
    """The expression swapped but for the parts of which `but` is true."""
    if but(expr):
        return expr
    return expr.func(*(_swapped(arg, swaps, but) for arg in expr.args)) if expr.args else expr.xreplace(swaps)


def _in_arguments(expr, swaps):
    """The expression with the arguments of its outermost words swapped, and the exponents of its tails."""
    if type(expr) in WORD_OF:
        return expr.xreplace(swaps)
    if isinstance(expr, Decayed):
        y, factor, exponent = expr.args
        return Decayed(_in_arguments(y, swaps), factor, exponent.xreplace(swaps))
    return expr.func(*(_in_arguments(arg, swaps) for arg in expr.args)) if expr.args else expr


def scales(expr, x, is_shifted: bool = False) -> tuple[sympy.Expr, sympy.Expr] | None:
    """(c, k) where the expression is c times a function of k x alone, without parameters; if it is shifted, k is 1."""
    found = [part.as_independent(x, as_Add=False) for part in expr.atoms(sympy.Mul)]
    found = [(k.as_coeff_Mul()[1], *rest.as_base_exp()) for k, rest in found]
    found = [
        sympy.powdenest(k ** (1 / power), force=True) for k, base, power in found if base == x and power.is_Integer
    ]
    multiples = set(found) if not is_shifted else set()
    for k in (sympy.S.One, *sorted(multiples, key=str)):
        c, plain = sympy.factor_terms(expr.xreplace({x: x / k})).as_independent(x, as_Add=False)
        if plain.atoms(Parameter, Value) <= {x}:
            return c, k
    return None
