"""The forms of derivatives that are differentiated again, and how these are judged.

Rules over Tensors compute a derivative with ops, and the engine differentiates these by the chain rule. sinh(x) /
cosh(x) and tanh(x) are one derivative, but far out the chain rule makes inf - inf of the first one, and a number of
the second. So a form is judged by its own derivatives, in simulated rounding, beside itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from math import inf

import numpy as np
import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.remembered import slope
from nngrad.codegen.algebra.symbols import Decayed, NearZero, Value, Where
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.derive import lift_where
from nngrad.codegen.judging.errors import LOST, Profile, Truth
from nngrad.codegen.judging.rounding import Judge
from nngrad.codegen.lower import BELLS
from nngrad.codegen.rewriting.restage import inlined
from nngrad.codegen.rules.exponentials import bell_within_range
from nngrad.codegen.trace import Stage

THINNED = 3  # every so-manieth point is enough to tell whether digits are left


@cache
def in_ops(form) -> sympy.Expr | None:
    """The form as rules over Tensors compute it, by differentiable words alone; None for one that they cannot."""
    if isinstance(form, NearZero):
        return None
    if not form.args:
        return form
    args = [in_ops(arg) for arg in (form.args[:1] if isinstance(form, Decayed) else form.args)]
    if None in args:
        return None
    if isinstance(form, Decayed):
        return args[0]
    word = WORD_OF.get(type(form))
    made = in_ops(word.smooth(*args)) if word and word.smooth else form.func(*args)
    return bell_within_range(made) if isinstance(made, BELLS) else made


def by_sides(form) -> sympy.Expr:
    """The form, where it chooses by the sign of x, with |x| as x or -x: at 0 the slope of |x| is neither's. So with
    the cosine of an angle that has this sign.
    """
    sizes = {}

    def chosen(where):
        condition, positive, other = where.args
        if not isinstance(condition, sympy.Gt | sympy.Ge) or condition.rhs != 0:
            return where
        x = condition.lhs
        sizes[words.abs(x)] = Where(condition, x, -x)
        right, left = Where(condition, x, 0), Where(condition, 0, -x)  # finite in the branch that is not taken
        cosines = [one for one in where.atoms(words.over_hypot.build) if one.args[0] == x]
        positive = positive.xreplace({words.abs(x): right} | {words.abs(one): one for one in cosines})
        other = other.xreplace({words.abs(x): left} | {words.abs(one): -one for one in cosines})
        return Where(condition, positive, other)

    return form.replace(lambda part: isinstance(part, Where), chosen).xreplace(sizes)


def has_cancelling_stages(form, stages: tuple[Stage, ...]) -> bool:
    """Whether terms in a sum cancel as soon as stages are spelled out, as in y + u where y = expm1(u) - u: computed as
    they stand, they leave rounding errors.
    """
    for total in form.atoms(sympy.Add):
        spelled = [in_ops(inlined(term, stages)) for term in total.args]
        terms = [one for term in spelled if term for one in sympy.Add.make_args(term)]
        if any(-one in terms for one in terms):
            return True
    return False


class SecondOrder:
    """Judges forms of one derivative of an elementwise formula by their own derivatives.

    `judge` is that of the formula, `derivative` any form of the derivative in terms of the inputs, without the
    cotangent, `truth` its exact values.
    """

    def __init__(self, judge: Judge, derivative: sympy.Expr, inputs: tuple[Value, ...], truth: Truth):
        self.judge, self.truth = judge, truth
        columns = [np.append(column[::THINNED], 0) for column in judge.inputs.values()]
        derivative = in_ops(derivative)
        exact = {one.name: _differentiated(derivative, one) for one in inputs}
        self.second = Judge(judge.written, judge.formula, judge.params, columns, derivatives=exact)
        self.truths = {one: self.second.derivative(one.name) for one in inputs}

    def best(self, forms: Iterable[tuple[sympy.Expr, sympy.Expr]]) -> sympy.Expr:
        """The first of some forms that has a right digit at every point, and whose derivatives do; else the one with
        the fewest wrong points, then with the fewest bad ones.

        Each comes with itself as `in_ops` gives it, in terms of the inputs, without the cotangent.
        """
        found: dict[sympy.Expr, list[Profile]] = {}
        least = inf
        for form, again in forms:
            profiles, wrong = [], 0
            for profile in self._profiles(again):
                profiles.append(profile)
                wrong += np.count_nonzero(profile.wrong)
                if wrong > least:
                    break
            if wrong < least:
                least, found = wrong, {}
            if wrong == least:
                found[form] = profiles
            if not wrong:
                break
        if len(found) == 1:
            return next(iter(found))
        return min(found, key=lambda form: sum(profile.within(inf).bad for profile in found[form]))

    def losses(self, form, limit: float) -> tuple[int, float]:
        """At how many points beyond a distance from zero a form, in terms of the inputs, or a derivative of it loses
        digits, and how far from zero it does so within.
        """
        lost = [profile.distance[profile.lenient > LOST] for profile in self._profiles(form)]
        near = [distance[distance < limit].max(initial=0) for distance in lost]
        return sum(int(np.count_nonzero(distance >= limit)) for distance in lost), float(max(near))

    def distance_of_losses(self, form) -> float:
        """How near to zero a form, in terms of the inputs, or a derivative of it loses digits."""
        first, *others = self._profiles(form)
        found = [
            judge.distance_of_losses(one, LOST)
            for judge, one in ((self.judge, first), *((self.second, one) for one in others))
        ]
        return min(found)

    def _profiles(self, form) -> Iterator[Profile]:
        """Those of the form and of its derivatives."""
        yield self.judge.profile(form, self.truth, {})
        for one, truth in self.truths.items():
            yield self.second.profile(_differentiated(form, one), truth, {})


def _differentiated(expr, value: Value):
    return lift_where(slope(expr, value))
