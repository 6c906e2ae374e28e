"""Stage 5: an expression by all rules that need to see it whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import sympy

from nngrad.codegen.algebra.symbols import Where
from nngrad.codegen.forms import FEW_FORMS
from nngrad.codegen.rewriting import identities
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rules import exponentials
from nngrad.codegen.rules.factors import (
    with_exponential_taken_out,
    with_growths_apart,
    with_powers_together,
    with_products_in_range,
)
from nngrad.codegen.rules.far import with_powers_of_sums_taken_out
from nngrad.codegen.rules.logarithms import (
    with_complements,
    with_logarithms_near_1,
    with_logarithms_of_powers,
    with_logarithms_of_quotients,
    with_logarithms_of_small_sums,
    with_logarithms_together,
    with_powers_near_1,
    with_powers_out_of_logarithms,
)
from nngrad.codegen.rules.remainders import with_factors_in_remainders, with_powers_less_one, with_remainders
from nngrad.codegen.rules.roots import without_cancelling_roots
from nngrad.codegen.rules.several import with_largest_taken_out, with_logarithms_of_sums


def rewritten(expr) -> Iterator[sympy.Expr]:
    """The expression in equal forms; the same one may come several times."""
    equal = [expr, identities.one_signed(expr), identities.as_quotient(expr), identities.rationalised(expr)]
    equal.append(exponentials.with_inner_exponents_limited(recognised(expr)))
    if not expr.has(Where):
        equal.append(sympy.gcd_terms(expr))  # what is left of a sum over a common divisor
    for one in dict.fromkeys(equal):
        yield recognised(one)
        yield identities.with_hypot(recognised(one))
        yield identities.with_sizes_signed(one)
        yield identities.with_squares_of_sines(one)
        yield identities.with_roots_apart(one)
        yield identities.with_differences_of_logarithms(one)
        yield from map(recognised, with_logarithms_together(one))
        yield identities.with_means_of_exponentials(recognised(one))
        yield with_remainders(recognised(one))
        yield with_logarithms_of_quotients(recognised(one))
        yield with_powers_out_of_logarithms(one)
        yield with_logarithms_of_quotients(with_factors_in_remainders(with_remainders(recognised(one))))
        yield from with_powers_less_one(one)
        yield identities.without_difference_of_roots(recognised(one))
        yield from in_branches(one, without_cancelling_roots)
        yield with_largest_taken_out(one)
        yield with_logarithms_of_sums(one)
        yield with_powers_together(one)
        yield with_powers_of_sums_taken_out(one)
        yield from with_products_in_range(one)
        yield from with_exponential_taken_out(one)
        yield with_growths_apart(recognised(one))
        yield with_logarithms_of_powers(one)
        yield with_powers_near_1(one)
        yield with_logarithms_near_1(one)
        yield with_logarithms_of_small_sums(recognised(one))
        yield with_complements(recognised(one))
        stable = exponentials.stable(one)
        if stable is not None:
            yield stable
            yield sympy.factor_terms(stable)
            yield identities.collected(stable)


def in_branches(expr, rule) -> Iterator[sympy.Expr]:
    """The forms that a rule for what has no branches gives of the expression, or together of its branches, those that
    it gives none of as they are.
    """
    if not isinstance(expr, Where):
        yield from rule(expr)
        return
    condition, *branches = expr.args
    made = [list(itertools.islice(in_branches(branch, rule), FEW_FORMS)) for branch in branches]
    if any(made):
        yield from (
            Where(condition, *pair)
            for pair in itertools.product(*(own or [branch] for own, branch in zip(made, branches, strict=True)))
        )
