"""Stage 5: slopes as multiples of the cotangent, and where they may warn though their formula has a value."""

from __future__ import annotations

import sympy
from sympy.core.relational import Relational

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Value, Where


def slopes_of(vjp: dict[Value, sympy.Expr], cotangent: Value) -> dict[Value, sympy.Expr]:
    """What the cotangent is multiplied by for each input, 0 in branches that drop it; nothing if that is not all there
    is to one of them.
    """
    if not all(_is_multiple(form, cotangent) for form in vjp.values()):
        return {}
    return {value: form.xreplace({cotangent: sympy.S.One}) for value, form in vjp.items()}


def _is_multiple(form, cotangent: Value) -> bool:
    """Whether a form is the cotangent times something, or a sum of such, at least in one branch, and 0 or that in the
    others.
    """
    if isinstance(form, Where):
        branches = [branch for branch in form.args[1:] if branch != 0]
        return bool(branches) and all(_is_multiple(branch, cotangent) for branch in branches)
    if form.is_Add:
        return all(_is_multiple(term, cotangent) for term in form.args)
    return cotangent in sympy.Mul.make_args(form)


def drops(form) -> bool:
    """Whether a branch drops the cotangent, which is not 0 times it: it may be infinite."""
    return isinstance(form, Where) and any(branch == 0 or drops(branch) for branch in form.args[1:])


def may_warn(slope, value) -> bool:
    """Whether a slope may warn where its formula has a value, so that it is not for forward to compute: beside a choice
    it may overflow, at a pole it has no value.
    """
    return drops(slope) or _has_pole(slope, value)


def _has_pole(slope, value) -> bool:
    """Whether the slope may be infinite or have no value where the formula's value is finite: it has a logarithm that
    this lacks, or is divided by what may be 0.
    """
    if any(base.atoms(Value) and not base.is_positive for base in possible_divisors(slope)):
        return True
    return bool(slope.atoms(sympy.log) - value.atoms(sympy.log))


def possible_divisors(expr) -> list[sympy.Expr]:
    """The bases of powers whose exponents may be negative."""
    slopes_of_powers = [part.args[0] for part in expr.atoms(words.power_slope.build)]
    return slopes_of_powers + [part.base for part in expr.atoms(sympy.Pow) if not part.exp.is_nonnegative]


def has_pole_at_zero(slope) -> bool:
    """Whether the slope is divided by what is 0 where the inputs are, among the most ordinary of numbers."""
    zeros = dict.fromkeys(slope.atoms(Value), sympy.S.Zero)

    def taken(condition, a, b):
        sides = [side.xreplace(zeros) for relation in condition.atoms(Relational) for side in relation.args]
        if any(side.has(sympy.zoo, sympy.nan) for side in sides):
            return Where(condition, a, b)
        return {sympy.true: a, sympy.false: b}.get(condition.xreplace(zeros), Where(condition, a, b))

    def is_zero(base) -> bool:
        try:
            return base.xreplace(zeros) == 0
        except TypeError:  # it chooses by what is 0 / 0 there
            return False

    return any(map(is_zero, possible_divisors(slope.replace(Where, taken))))
