"""Stage 5: expressions as sums of products of few parts.

The parts stand for exponentials, for polynomials in these by which to divide, and for what several products share. They
are values of their own, so that SymPy leaves their products alone.
"""

from __future__ import annotations

import itertools
from collections import Counter
from functools import reduce

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Parameter, Value
from nngrad.codegen.forms import shapes
from nngrad.codegen.lowering.exponents import exp2_in_float64, is_rounded
from nngrad.codegen.rules import exponentials
from nngrad.codegen.trace import Formula

EXPONENTIALS = (sympy.exp, words.exp2.build, exp2_in_float64.build)
LARGEST_EXPRESSION = 250  # operations of a derivative that is still brought to parts


def part_of(name: str, expr) -> Value:
    """The value that stands for an expression."""
    return Value(name, positive=True) if isinstance(expr, EXPONENTIALS) else Value(name)


def nested(expr):
    """A sum of products by Horner's rule in several symbols: the one that most terms share is taken out first."""
    terms = sympy.Add.make_args(sympy.expand(expr))
    shared = Counter(symbol for term in terms for symbol in _factors(term))
    symbol, count = min(shared.items(), key=lambda item: (-item[1], str(item[0])), default=(None, 0))
    if count < 2:
        return sympy.Add(*terms)
    with_it = [term for term in terms if symbol in _factors(term)]
    rest = [term for term in terms if term not in with_it]
    return symbol * nested(sympy.Add(*(term / symbol for term in with_it))) + nested(sympy.Add(*rest))


def _factors(term) -> list[sympy.Symbol]:
    """The symbols that a product can be divided by."""
    powers = (factor.as_base_exp() for factor in sympy.Mul.make_args(term))
    return [base for base, power in powers if base.is_Symbol and power.is_Integer and power > 0]


def _complemented(product, bottoms: dict[Value, sympy.Expr]):
    """The product with c - c (d - s / c) / d for a sum s / d in it, if the terms of s / c are some of those of d."""
    powers = product.as_powers_dict()
    for part, bottom in bottoms.items():
        if powers.get(part, 0) < 0:
            whole = bottom.as_coefficients_dict()
            for top in [factor for factor, power in powers.items() if factor.is_Add and power > 0]:
                terms = sympy.expand(top).as_coefficients_dict()
                ratios = {number / whole[term] if whole[term] else None for term, number in terms.items()}
                if len(terms) < len(whole) and len(ratios) == 1 and (ratio := ratios.pop()):
                    lack = sympy.expand(bottom - top / ratio)
                    return product * part / top * ratio * (1 - lack / part)
    return product


# --- what products share ----------------------------------------------------------------------------------------------


def with_shared_products(parts: dict[Value, sympy.Expr], forms: list, output: Value) -> tuple[dict, list]:
    """The forms, where what several of their products share is a part of its own, and the parts."""
    taken = {symbol.name for form in (*parts.values(), *forms) for symbol in form.free_symbols} | {output.name}
    names = (name for name in ("p", *(f"p{number}" for number in range(2, 99))) if name not in taken)
    parts = dict(parts)
    while (product := _largest_shared(forms, output)) is not None:
        part = Value(next(names))
        parts[part] = product
        forms = [_in_terms_of(form, part, product) for form in forms]
    return parts, forms


def _in_terms_of(form, part: Value, product):
    """The form with a part in place of a product that its products contain."""
    known = _powers(product)

    def rest(one):
        """What is left without the product; SymPy's division may leave exp(u) exp(-u)."""
        powers = (base ** (power - known.get(base, 0)) for base, power in _powers(one).items())
        return sympy.Mul(*powers, _number(one) / _number(product), part)

    return form.replace(lambda one: one.is_Mul and _common(product, one) == product, rest)


def _largest_shared(forms, output: Value):
    """What two products in the forms share, of at least two factors but for numbers; the one with most of them."""
    products = dict.fromkeys(part for form in forms for part in sympy.preorder_traversal(form) if part.is_Mul)
    pairs = itertools.combinations([(_powers(one), _number(one)) for one in products], 2)
    shared = {_product(*common) for common in {_common_factors(*pair) for pair in pairs}}
    sizes = {one: sum(map(abs, _powers(one).values())) for one in shared if not one.has(output)}
    return min((one for one, size in sizes.items() if size > 1), key=lambda one: (-sizes[one], str(one)), default=None)


def _powers(product) -> dict[sympy.Expr, int]:
    """The factors of a product that are no numbers, with their powers, as far as these are whole numbers."""
    powers = (factor.as_base_exp() for factor in sympy.Mul.make_args(product) if not factor.is_number)
    return dict((base, int(power)) if power.is_Integer else (base**power, 1) for base, power in powers)


def _number(product) -> sympy.Expr:
    """What a product has of numbers."""
    return sympy.Mul(*(one for one in product.args if one.is_number))


def _common(first, second):
    """What two products share, their number too if it is the same."""
    return _product(*_common_factors(*((_powers(one), _number(one)) for one in (first, second))))


def _common_factors(first, second) -> tuple[frozenset, sympy.Expr]:
    """What two products share, each given by its powers and its number."""
    (powers, number), (others, other) = first, second
    shared = ((base, min(powers[base], others[base], key=abs)) for base in powers.keys() & others.keys())
    same_side = frozenset((base, power) for base, power in shared if powers[base] * others[base] > 0)
    return same_side, number if number == other else sympy.S.One


def _product(factors: frozenset, number):
    return sympy.Mul(*(base**power for base, power in factors), number)


# --- exponents --------------------------------------------------------------------------------------------------------


def with_exponents_in_float64(parts: dict[Value, sympy.Expr], inputs: tuple[Value, ...]) -> dict[Value, sympy.Expr]:
    """The parts, with exponents in float64 where the exponential would magnify what is lost by rounding them."""
    made = dict(parts)
    for part, expr in parts.items():
        if isinstance(expr, sympy.exp):
            exponent = parts.get(expr.args[0], expr.args[0])
            if is_rounded(exponent, inputs):
                made[part] = exp2_in_float64(_short(exponent / sympy.log(2)))
    return made


def _short(exponent):
    """An exponent in few operations: of one input multiplied out, of several with their differences, if need be."""
    written_out = nested(sympy.expand(exponent))
    are_several = len(exponent.free_symbols) > 1
    return min(written_out, exponent, key=sympy.count_ops) if are_several else written_out


# --- powers of 2 ------------------------------------------------------------------------------------------------------


def with_powers_of_two(parts: dict[Value, sympy.Expr], forms: list) -> dict[Value, sympy.Expr]:
    """The parts of the forms, with powers of 2 for exponentials, which NumPy has sooner: exp(c u) is 2**(c u / log(2)),
    and where c is rounded anyway, so may be c / log(2).
    """
    made = dict(parts)
    for part, expr in parts.items():
        if not isinstance(expr, sympy.exp):
            continue
        exponent = expr.args[0]
        if exponent in parts and not any(one.has(exponent) for one in (*parts.values(), *forms) if one != expr):
            made[exponent], made[part] = parts[exponent] / sympy.log(2), words.exp2(exponent)
        else:
            made[part] = words.exp2(sympy.expand(exponent / sympy.log(2)))
    return made


# --- polynomials in exponentials --------------------------------------------------------------------------------------


def bases_of(exprs) -> dict[sympy.Expr, sympy.Rational]:
    """What the exponents in the expressions, numbers apart, are multiples of, and their largest common unit of it."""
    multiples: dict[sympy.Expr, list] = {}
    exponents = {atom.args[0] for expr in exprs for atom in expr.atoms(sympy.exp)}
    for exponent in sorted((one for one in exponents if not one.is_number), key=str):
        multiple, base = exponentials.split(exponent)
        multiples.setdefault(base, []).append(multiple)
    return {base: abs(reduce(sympy.gcd, own)) for base, own in multiples.items()}


class Algebra:
    """Expressions as sums of products of inputs, exponentials, and denominators or reciprocals of polynomials in them.

    All of these are values of their own, so that SymPy leaves their products alone.
    """

    def __init__(self, formula: Formula, signs: dict, units: dict, divides: bool):
        self.taken = {value.name for stage in formula.stages for value in stage.expr.free_symbols | {stage.value}}
        self.divides = divides
        self.parts: dict[Value, sympy.Expr] = {}
        self.bases: dict[sympy.Expr, tuple[Value, sympy.Rational]] = {}
        self.opaque: dict[sympy.Basic, sympy.Dummy] = {}
        for base, sign in signs.items():
            exponent = sign * units[base] * base
            has_power = any(part.is_Pow for part in sympy.Mul.make_args(exponent))
            inside = self._part("u", exponent) if has_power else exponent  # exp(c x**2) would be kept exact far out
            self.bases[base] = self._part("e", sympy.exp(inside)), sign * units[base]

    @property
    def exponentials(self) -> list[Value]:
        return [value for value, _ in self.bases.values()]

    def _part(self, name: str, expr) -> Value:
        """The part that stands for an expression."""
        known = next((part for part, one in self.parts.items() if one == expr), None)
        if known is not None:
            return known
        names = (name, *(f"{name}{number}" for number in range(2, 99)))
        name = next(one for one in names if one not in self.taken)
        self.taken.add(name)
        part = part_of(name, expr)
        self.parts[part] = expr
        return part

    def collected(self, expr):
        """The expression as a sum of products: for each product of inputs and functions, a fraction of exponentials.

        Raises:
            sympy.PolynomialError: it is no such sum.
        """
        if sympy.count_ops(expr) > LARGEST_EXPRESSION:
            raise sympy.PolynomialError
        top, bottom = sympy.fraction(sympy.cancel(sympy.together(self._flat(expr))))
        others = sorted((top.free_symbols | bottom.free_symbols) - set(self.exponentials), key=str)
        if not others:
            return self._fraction(top / bottom)
        content, bottom = bottom.as_independent(*self.exponentials, as_Add=False)
        others = [one for one in others if not (isinstance(one, Parameter) and bottom.has(one))]  # but a coefficient
        if not others:
            return self._fraction(top / bottom) / content
        if bottom.free_symbols & set(others):
            raise sympy.PolynomialError
        terms = sympy.Poly(top, *others).terms()
        made = (
            sympy.Mul(*(one**power for one, power in zip(others, powers, strict=True)))
            * self._fraction(factor / bottom)
            for powers, factor in terms
        )
        return sympy.Add(*(term / content for term in made))

    def _flat(self, expr):
        """The expression with exponentials as powers of a few values, and other functions as symbols."""
        if isinstance(expr, sympy.exp) and not expr.is_number:
            multiple, base = exponentials.split(expr.args[0])
            value, unit = self.bases[base]
            return value ** (multiple / unit)
        if expr.is_Add or expr.is_Mul or (expr.is_Pow and expr.exp.is_Integer):
            return expr.func(*map(self._flat, expr.args))
        if expr.is_Symbol or expr.is_Rational:
            return expr
        if isinstance(expr, words.log1p.build | sympy.log) and bases_of([expr]):
            inside = self._flat(expr.args[0]) - (0 if isinstance(expr, words.log1p.build) else 1)
            return self._part("ln", words.log1p(self._horner(sympy.Poly(inside, *self.exponentials))))
        if bases_of([expr]):
            raise sympy.PolynomialError
        return self.opaque.setdefault(expr, sympy.Dummy(f"f{len(self.opaque)}", real=True))

    def _fraction(self, ratio):
        """A fraction of polynomials in exponentials as a product of their factors and of reciprocals."""
        top, bottom = sympy.fraction(sympy.cancel(ratio))
        product = sympy.S.One
        for poly, sign in ((top, 1), (bottom, -1)):
            number, factors = sympy.factor_list(poly, *self.exponentials)
            product *= number**sign
            for factor, power in factors:
                written = self._horner(sympy.Poly(factor, *self.exponentials))
                if sign == -1:
                    written = 1 / self._part("d", written) if self.divides else self._part("r", 1 / written)
                product *= written**power
        return product

    def _horner(self, poly: sympy.Poly):
        """A polynomial of one exponential by Horner's rule."""
        if len(poly.gens) > 1 and len(used := [gen for gen in poly.gens if poly.degree(gen) > 0]) <= 1:
            poly = sympy.Poly(poly.as_expr(), *(used or poly.gens[:1]))
        if len(poly.gens) > 1:
            return poly.as_expr()
        total = sympy.S.Zero
        for coefficient in poly.all_coeffs():
            total = total * poly.gen + coefficient
        return total

    def forms(self, exprs) -> list[sympy.Expr]:
        """The shapes of equal expressions, with the functions that symbols stood for."""
        functions = {symbol: expr for expr, symbol in self.opaque.items()}
        made = [shape.xreplace(functions) for expr in exprs for shape in shapes(expr)]
        made += [nested(expr.xreplace(functions)) for expr in exprs]
        return made + [self._by_complements(expr).xreplace(functions) for expr in exprs if self.divides]

    def _by_complements(self, expr):
        """The expression with fractions by what they lack of a number: 4 (e + 1) / d as 2 - 2 e**2 / d, where d is
        e**2 + 2 e + 2.
        """
        bottoms = {part: sympy.expand(one) for part, one in self.parts.items() if one.is_Add}
        reciprocals = {1 / part: sympy.Dummy(f"r{place}") for place, part in enumerate(bottoms)}
        terms = sympy.Add(*(_complemented(term, bottoms) for term in sympy.Add.make_args(expr)))
        return nested(terms.subs(reciprocals)).xreplace({one: ratio for ratio, one in reciprocals.items()})
