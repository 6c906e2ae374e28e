"""Stage 5: roots and absolute values beside what they approach, written so that nothing cancels.

h = sqrt(a**2 + u**2) is the hypotenuse of a triangle with the legs a and u. What is rational in u and h is a power of h
times a fraction of polynomials in c = u / h, the cosine of an angle, for (a / h)**2 is 1 - c**2. It cancels where it
has a factor 1 + c, for negative c, which is (a / h)**2 / (1 - c) there; or 1 - c, for positive ones.

Worked example, the slope of sqrt(1 + x**2) - x: c - 1 is as good for negative x, and -(1 / h)**2 / (1 + c) for others.

The difference of two roots is that of their squares over their sum. What has |x| in it is one formula where x is
positive, and another where it is negative, in which what cancels can be taken out.

A difference of two inputs is such a u, also beside one of them: (x + y - sqrt((x - y)**2 + 1)) / 2, the smaller of
both made smooth, is y and a function of u where u is positive, x and another one where it is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Parameter, Value, Where
from nngrad.codegen.algebra.texts import text
from nngrad.codegen.rewriting.identities import in_roots, squares_of

LARGEST_EXPRESSION = 100  # operations in what is brought to one fraction
SINE, COSINE = sympy.Dummy("sine", positive=True), sympy.Dummy("cosine", real=True)
DIFFERENCE = Value("difference of inputs")  # as none of them is called
LEG = sympy.Dummy("leg", positive=True)


def without_cancelling_roots(expr) -> Iterator[sympy.Expr]:
    """The forms of the expression that these rules give."""
    if expr.has(Where) or sympy.count_ops(expr) > LARGEST_EXPRESSION:
        return
    plain = in_roots(expr)
    yield from _by_total(plain)
    for form in (_by_angle_in_parts(plain), _by_conjugate(plain), *_by_sides(expr)):
        if form is not None and form != plain:
            yield words.in_words(form)


def _by_total(expr) -> Iterator[sympy.Expr]:
    """What is a function of one difference of inputs, or their sum, but for a multiple of one of them.

    Of the smaller of two numbers, (x + y - sqrt((x - y)**2 + 1)) / 2, the root is counted from x or y.
    """
    for total in sorted({part for square in _roots(expr) for part in square.atoms(sympy.Add)}, key=text):
        inputs = sorted(total.atoms(Value), key=str)
        if len(inputs) != 2 or any(total.diff(x) not in (1, -1) for x in inputs):
            continue
        found, back = [], {DIFFERENCE: total}
        for x, y in (inputs, inputs[::-1]):
            of_one = sympy.expand(expr.xreplace({x: total.diff(x) * (DIFFERENCE - total.diff(y) * y)}))
            factor = of_one.coeff(y)
            function = of_one - factor * y
            if factor.is_number and function.atoms(Value) == {DIFFERENCE}:
                found += [factor * y + form for form in itertools.islice(without_cancelling_roots(function), 1)]
        if len(found) == 2 and found[0] != found[1]:
            for pair in (found, found[::-1]):
                sides = (_on_side(form, sign).xreplace(back) for form, sign in zip(pair, (1, -1), strict=True))
                yield Where(total >= 0, *sides)
        elif found:
            yield found[0].xreplace(back)


def _on_side(form, sign: int):
    """The form where the difference has this sign."""

    def taken(condition, a, b):
        is_of_sign = getattr(condition, "lhs", None) == DIFFERENCE and condition.rhs == 0
        return (
            {sympy.true: a, sympy.false: b}[condition.subs(DIFFERENCE, sign)] if is_of_sign else Where(condition, a, b)
        )

    return form.replace(Where, taken)


def _roots(expr) -> list[sympy.Expr]:
    """What roots are taken of."""
    roots = {part.base for part in expr.atoms(sympy.Pow) if part.exp.is_Rational and part.exp.q == 2}
    return sorted((base for base in roots if base.free_symbols), key=sympy.default_sort_key)


# --- hypotenuses ------------------------------------------------------------------------------------------------------


def _by_angle_in_parts(expr):
    """The expression, or the parts of which it is true, by the angle."""
    if expr.is_Atom or not _roots(expr):
        return expr
    whole = _by_angle(expr)
    return expr.func(*map(_by_angle_in_parts, expr.args)) if whole is None else whole


def _by_angle(expr):
    """What is rational in an input and one hypotenuse, by the angle between them; None if it is not that."""
    (square, *others) = _roots(expr) or [sympy.S.One]
    constant, rest = square.as_independent(Value, as_Add=True)
    if constant.atoms(Parameter):
        return None if others else _by_leg(expr, square, constant)
    legs = squares_of(square)
    if others or legs is None:
        return None
    a, u = sorted(legs, key=lambda leg: bool(leg.atoms(Value)))
    values = u.atoms(Value)
    x = next(iter(values), None)
    if a.atoms(Value) or len(values) != 1 or (u / x).has(x) or not a.is_positive:
        return None
    turned = expr.replace(
        lambda part: part.is_Pow and part.base == square and not part.exp.is_Integer,
        lambda part: (a / SINE) ** (2 * part.exp),
    ).xreplace({x: a * COSINE / SINE / (u / x)})
    if turned.atoms(Value) or not turned.is_rational_function(SINE, COSINE):
        return None
    parts = [_with_one_sine(part) for part in sympy.fraction(sympy.together(turned))]
    if None in parts:
        return None
    powers = sympy.factor(sympy.cancel(parts[0] / parts[1])).as_powers_dict()
    sines, cosines = powers.pop(SINE, 0), powers.pop(COSINE, 0)
    plus, minus = powers.pop(COSINE + 1, 0), powers.pop(COSINE - 1, 0)
    cosine, h = words.over_hypot(u, a), words.hypot(a, u)
    rest = [sympy.Integer((-1) ** minus)]
    for base, power in powers.items():
        base, degree = _shorter(base)
        legs = base.subs(COSINE, u / h)
        rest.append(((base if not degree else sympy.expand(legs.subs(SINE, a / h) * h**degree)) / a**degree) ** power)
        sines += degree * power
    rest = [factor.xreplace({COSINE: cosine}) for factor in rest]
    sines, excess = sines + 2 * min(plus, minus), plus - minus
    more = 1 + words.abs(cosine)

    def monomial(sines):
        """Powers of sine and cosine, their quotient as that of the legs."""
        legs = min(cosines, -sines) if cosines > 0 > sines else -min(-cosines, sines) if sines > 0 > cosines else 0
        return (u / a) ** legs * cosine ** (cosines - legs) * (h / a) ** -(sines + legs)

    if excess == 0:
        return sympy.Mul(*rest, monomial(sines))
    direct = sympy.Mul(*rest, monomial(sines), more ** abs(excess))
    if (sines, cosines, abs(excess)) == (-1, 0, 1):  # h (1 + |c|), which would overflow on the other side
        direct = sympy.Mul(*rest, (h + words.maximum(u if excess > 0 else -u, 0)) / a)
    conjugate = sympy.Mul(*rest, monomial(sines + 2 * abs(excess)), more ** -abs(excess))
    return Where(u >= 0 if excess > 0 else u <= 0, direct, conjugate)


def _by_leg(expr, square, constant):
    """The same where one leg is a parameter's size, which may be 0, so that nothing is to be divided by it."""
    if squares_of(1 + constant) is None:
        return None
    made = _by_angle(expr.subs(square, LEG**2 + square - constant))
    if made is None or any(one.base == LEG and one.exp.is_negative for one in made.atoms(sympy.Pow)):
        return None
    return made.xreplace({LEG: sympy.sqrt(constant)})


def _with_one_sine(expr):
    """A polynomial in sine and cosine without squares of the sine, where all its terms have it or none; None if not."""
    terms = sympy.Poly(expr, SINE).terms()
    if len({power % 2 for (power,), _ in terms}) != 1:
        return None
    return SINE ** (terms[0][0][0] % 2) * sympy.Add(
        *(coefficient * (1 - COSINE**2) ** (power // 2) for (power,), coefficient in terms)
    )


def _shorter(polynomial) -> tuple[sympy.Expr, int]:
    """The polynomial in the cosine, with the sine's square in it where that saves a term, and the least degree of these
    terms; 0 where it does not. 1 + c - c**2 is c + s**2.
    """
    mixed = sympy.rem(polynomial, COSINE**2 + SINE**2 - 1, COSINE) if polynomial.has(COSINE) else polynomial
    terms = sympy.Add.make_args(sympy.expand(mixed))
    if len(terms) >= len(sympy.Add.make_args(polynomial)):
        return polynomial, 0
    return mixed, min(sympy.Poly(term, SINE, COSINE).total_degree() for term in terms)


# --- two roots --------------------------------------------------------------------------------------------------------


def _by_conjugate(expr):
    """The difference of two roots, or of a root and something else, over whatever; None if it is not that."""
    squares = _roots(expr)
    known = {square: sympy.Dummy("root", positive=True) for square in squares}
    rooted = expr.replace(
        lambda part: part.is_Pow and part.base in known and not part.exp.is_Integer,
        lambda part: known[part.base] ** (2 * part.exp),
    )
    top, bottom = sympy.fraction(sympy.together(rooted))
    roots = {root: square for square, root in known.items()}
    if not roots or not top.is_polynomial(*roots):
        return None
    terms: dict[sympy.Expr, sympy.Expr] = {}  # what each product of different roots is multiplied by
    for powers, factor in sympy.Poly(top, *roots).terms():
        odd = sympy.Mul(*(root for root, power in zip(roots, powers, strict=True) if power % 2))
        even = sympy.Mul(*(square ** (power // 2) for square, power in zip(roots.values(), powers, strict=True)))
        terms[odd] = sympy.expand(terms.get(odd, 0) + factor * even)
    terms = {odd: factor for odd, factor in terms.items() if factor != 0}
    if len(terms) != 2:
        return None
    (first, p), (second, q) = sorted(terms.items(), key=lambda term: not term[1].is_number)
    if not p.is_number:
        return None
    p, q, bottom = (p, q, bottom) if p.is_positive else (-p, -q, -bottom)
    difference = sympy.expand((p * first) ** 2 - (q * second) ** 2).xreplace({r**2: s for r, s in roots.items()})
    above, below = sympy.fraction(sympy.together(difference))  # of a quotient the terms may cancel above
    conjugate = sympy.factor_terms(sympy.expand(above)) / below / (p * first - q * second) / bottom
    back = {root: sympy.sqrt(square) for root, square in roots.items()}
    conjugate, direct = (one.xreplace(back) for one in (conjugate, (p * first + q * second) / bottom))
    return Where(q >= 0, direct, conjugate)


# --- absolute values --------------------------------------------------------------------------------------------------


def _by_sides(expr) -> Iterator[sympy.Expr]:
    """What is rational but for |x|, where x is positive and where it is not, either side as it stands or factored, and
    with an x that stays on its side.

    A slope that jumps at x = 0 is the mean of both sides there, which neither of them is.
    """
    arguments = {part.args[0] for part in expr.atoms(words.abs.build, words.sign.build)}
    x = next(iter(arguments), None)
    if len(arguments) != 1 or not isinstance(x, Value):
        return
    sides = [expr.xreplace({words.abs(x): sign * x, words.sign(x): sympy.Integer(sign)}) for sign in (1, -1)]
    if not all(side.is_rational_function(*expr.atoms(Value)) for side in sides):
        return
    factored = [sympy.factor(sympy.cancel(side)) for side in sides]
    if expr.has(words.sign.build) and sympy.cancel(factored[0] - factored[1]).subs(x, 0) != 0:
        return
    own = words.maximum(x, 0), words.minimum(x, 0)
    for right, left in itertools.product(*(dict.fromkeys(pair) for pair in zip(sides, factored, strict=True))):
        yield Where(x >= 0, right.xreplace({x: own[0]}), left.xreplace({x: own[1]}))
