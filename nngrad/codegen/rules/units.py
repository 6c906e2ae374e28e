"""Stage 5: powers of inputs that leave the range before what is made of their sums does.

Inputs are counted in units of the largest of them, a power of two near it, so that nothing is rounded. Where every
term of each sum has the same degree, the unit leaves it; beside terms of a lower degree, a constant or smaller powers,
1 is among what the unit is the largest of, and they are divided by powers of it.

Worked examples, u being the unit of x and y: (|x|**p + |y|**p)**(1 / p) is u (|x / u|**p + |y / u|**p)**(1 / p). With u
that of q = w / c and 1, 1 / (1 + q**n) is u**-n / (u**-n + (q / u)**n).

What is divided by a product is divided by its factors in turn: (t - x) / (x t) is ((t - x) / x) / t.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import reduce

import mpmath
import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Subgradient, Value, Where
from nngrad.codegen.algebra.vocabulary import enter
from nngrad.codegen.rewriting.identities import in_roots
from nngrad.codegen.rules.far import POWERS, SIZE, raised, split
from nngrad.codegen.rules.settled import ratio

LARGEST_EXPRESSION = 150  # operations in what is counted in units
UNIT = sympy.Dummy("unit", positive=True)

binade = enter(  # not for specs to write
    "binade",
    "runtime.binade",
    lambda x: mpmath.ldexp(1, mpmath.frexp(x)[1] - 1) if x else mpmath.mpf(2) ** -126,
    1,
    "The power of two that |x| is one to two times as large as.",
    derivatives=lambda x: [0],
    is_positive=True,
)
over = enter(
    "over",
    "np.divide",
    lambda a, b: a / b,
    1,
    "x1 / x2, which is not multiplied out.",
    arity=2,
    derivatives=lambda a, b: [1 / b, -a / b**2],
)


def divided_in_turn(expr) -> Iterator[sympy.Expr]:
    """A quotient by a product, which may leave the range, divided by one factor after the other, in either order."""
    above, below = sympy.fraction(expr)
    divisors = [one for one in sympy.Mul.make_args(below) if one.atoms(Value)]
    if len(divisors) == 2:
        rest = below / sympy.Mul(*divisors)
        yield from (over(above / first, second) / rest for first, second in itertools.permutations(divisors))


def in_units_of_largest(expr, number: Callable[[sympy.Expr], float]) -> Iterator[sympy.Expr]:
    """The expression in units of all inputs, and of each quotient of them that is raised to a power. `number` says
    which of two exponents with parameters in them is larger.
    """
    if expr.has(Where, Subgradient) or sympy.count_ops(expr) > LARGEST_EXPRESSION:
        return
    for whole in dict.fromkeys((expr, sympy.together(expr))):
        plain = words.in_powers(in_roots(whole))
        bases = {part.args[0] for part in plain.atoms(*POWERS) if isinstance(part.args[0], sympy.Mul)}
        inputs = sorted(plain.atoms(Value), key=str)
        for counted in (inputs, *([base] for base in sorted(bases, key=str))):
            made = _in_units(plain, counted, number)
            if made is not None:
                yield made


def _in_units(expr, counted: list[sympy.Expr], number) -> sympy.Expr | None:
    """The expression in units of the largest of some parts of it; None where no sum becomes simpler by that."""
    parts = {part: sympy.Dummy(str(part), real=True) for part in counted}
    sides = {sign: sympy.Dummy("side", real=True) for sign in expr.xreplace(parts).atoms(words.sign.build)}
    found = split(expr.xreplace(parts).xreplace(sides).xreplace({one: one * SIZE for one in parts.values()}), number)
    if found is None or not any(
        one.is_Add and one.atoms(*parts.values()) for one in sympy.preorder_traversal(found[1])
    ):
        return None
    power, rest = found
    largest = reduce(words.maximum, (words.abs(_finite(part)) for part in counted))
    unit = binade(words.maximum(largest, 1) if rest.has(SIZE) else largest)
    whole = (raised(SIZE, sympy.simplify(power)) * rest).replace(
        lambda part: part.is_Pow and part.base == SIZE, _power_of_unit
    )
    back = {sign: side for side, sign in sides.items()}
    whole = whole.xreplace(back).xreplace({one: over(_finite(part), UNIT) for part, one in parts.items()})
    return whole.xreplace({SIZE: UNIT}).xreplace({UNIT: unit})


def _finite(part):
    """A quotient that may overflow as one that does not."""
    above, below = sympy.fraction(part)
    return words.finite(ratio(above, below)) if below.atoms(Value) else part


def _power_of_unit(power):
    exponent = power.exp
    if exponent.is_number and exponent < -1:
        return over(sympy.S.One, UNIT) ** -exponent
    return raised(UNIT, exponent)
