"""Stage 3: exponentials of some elements of a row, and the sum over all of them.

What a mask leaves of exponentials is exponentials of what it leaves of exponents, the others being minus infinity: so
they can be shifted, and the logarithm of their sum is as exact as that of a whole row. It is not done where a formula
has the logarithm of each of them, which would bring minus infinity back, unless they are multiplied by it as in the
p log(p) of an entropy.

An element e_t that is picked from the terms of a sum s of exponentials meets this sum:

    log(e_t / s) = u_t - log(s)        e_t / s, picked from the shares e / s        s - e_t, the sum of the others

and log(p / (1 - p)) of such a share is that of e_t over the sum of the others. log(1 - p) is -softplus of it, which is
finite also where the others are nothing beside e_t.

Worked example, a loss with a margin, exp(u_t - m) / (exp(u_t - m) + s - e_t): it becomes a / (a + others), the others
being the sum of exp(where(one_hot(t) == 1, -inf, u)).
"""

from __future__ import annotations

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import AxisSum, Pick, Value, Where, is_constant_along
from nngrad.codegen.rewriting.restage import again, inlined, rebuilt, recorder_of
from nngrad.codegen.rewriting.shift import sum_of_logarithms
from nngrad.codegen.trace import Formula, Recorder, Stage


def join_members(formula: Formula) -> Formula:
    """Apply these rules to every stage, looking through the stages it is made of."""
    if not formula.axes:
        return formula
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    wholes = [stage.expr for stage in formula.stages if stage.kind != "map"] + [formula.output]
    logarithms = {part for whole in wholes for part in _bare_logarithms(inlined(whole, formula.stages))}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        seen_through = inlined(expr, recorder.stages)
        better = _with_masked_exponents(seen_through, logarithms, recorder)
        for member in _members(recorder):
            better = member.joined(better)
        if better != seen_through:
            expr = recorder.hoist(better, stage.value.name if stage.kind == "map" else "")
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _bare_logarithms(expr) -> set[sympy.Expr]:
    """The logarithms in an expression but those that are multiplied by all that is masked in them."""

    def without_weighted(product):
        factors = set(product.args)
        return sympy.Mul(*(one for one in product.args if not (one.atoms(sympy.log) and one.atoms(Where) <= factors)))

    return expr.replace(lambda part: part.is_Mul, without_weighted).atoms(sympy.log)


def _with_masked_exponents(expr, logarithms, recorder: Recorder):
    """where(mask, exp(u), 0) as exp(where(mask, u, -inf)), or the other way round."""

    def masked(part):
        exponents = [branch.args[0] if isinstance(branch, sympy.exp) else -sympy.oo for branch in part.args[1:]]
        is_masked = {*map(type, part.args[1:])} == {type(sympy.S.Zero), sympy.exp}
        is_masked &= not any(logarithm.has(part) for logarithm in logarithms)
        return _masked(recorder, part.args[0], *exponents) if is_masked else part

    return expr.replace(lambda part: isinstance(part, Where), masked)


def without_idle_masks(form, formula: Formula):
    """A derivative in which sums of what a mask leaves of multiples of masked exponentials, which are 0 elsewhere, are
    sums over whole rows: of those it is known what they are.
    """
    masks: dict[sympy.Expr, sympy.Expr] = {}
    for stage in formula.stages:
        if isinstance(stage.expr, Where) and stage.expr.args[2] == -sympy.oo:
            masks[stage.value] = stage.expr.args[0]
        is_exponential = isinstance(stage.expr, sympy.exp)
        parts = sympy.Add.make_args(stage.expr.args[0]) if is_exponential else sympy.Mul.make_args(stage.expr)
        masks.update((stage.value, masks[part]) for part in parts if part in masks)

    def unmasked(total):
        terms, axis = total.args
        is_masked = isinstance(terms, Where) and terms.args[2] == 0
        factors = sympy.Mul.make_args(terms.args[1]) if is_masked else ()
        is_idle = any(masks.get(factor) == terms.args[0] for factor in factors)
        return AxisSum(terms.args[1], axis) if is_idle else total

    return form.replace(lambda part: isinstance(part, AxisSum), unmasked)


def _masked(recorder: Recorder, condition, *exponents):
    """The exponents are a stage of their own, and their derivative is apart from that of the exponential."""
    return sympy.exp(recorder.stage(Where(condition, *exponents), "map", "", "masked"))


def _members(recorder: Recorder) -> list[_Member]:
    """Each pick from the terms of each sum of exponentials, of those that are recorded."""
    sums = [stage for stage in recorder.stages if stage.kind == "sum"]
    picks = sorted({pick for stage in sums for pick in stage.expr.atoms(Pick)}, key=str)
    terms = {stage: inlined(stage.expr, recorder.stages) for stage in sums}
    return [
        _Member(recorder, stage, made.args[0], pick)
        for stage, made in terms.items()
        for pick in picks
        if isinstance(made, sympy.exp) and pick.args[1].name == stage.axis
    ]


class _Member:
    """The element that is picked from the terms of a sum of exponentials."""

    def __init__(self, recorder: Recorder, total: Stage, exponents, pick: Pick):
        self.recorder, self.axis, self.total = recorder, total.axis, total.value
        self.exponents, self.pick = exponents, pick
        self.element = sympy.exp(self._picked(exponents))
        made = {stage.value: stage.expr / pick for stage in recorder.stages if stage.expr.has(pick)}
        made = {value: inlined(terms, recorder.stages) for value, terms in made.items()}
        self.elements = {value for value, terms in made.items() if terms == sympy.exp(exponents)}
        self.shares = {value for value, terms in made.items() if terms == sympy.exp(exponents) / self.total}

    def _picked(self, expr):
        """An expression of what is picked, or, of several values of a row, what is picked of the expression: made of
        what is picked it would be rounded otherwise than the terms of the sum.
        """
        varying = [value for value in expr.atoms(Value) if not is_constant_along(value, self.axis)]
        if len(expr.atoms(Value)) > 1:
            return self._taken(self.recorder.stage(self.recorder.hoist(expr), "map", "", "exponent"))
        return expr.xreplace({value: self._taken(value) for value in sorted(varying, key=str)})

    def _taken(self, value: Value) -> Value:
        return self.recorder.stage(self.pick * value, "sum", self.axis, f"{value}_at_{self.pick.args[0]}")

    def _share(self) -> Value:
        terms = self.recorder.hoist(sympy.exp(self.exponents))
        return self._taken(self.recorder.stage(terms / self.total, "map", "", "share"))

    def _sum_of_others(self) -> Value:
        terms = _masked(self.recorder, sympy.Eq(self.pick, 1), -sympy.oo, self.exponents)
        return self.recorder.stage(self.recorder.hoist(terms, "others"), "sum", self.axis, "sum_others")

    def _log_odds(self):
        return sum_of_logarithms((self.element, 1 / self._sum_of_others()))

    def joined(self, expr):
        """The expression, in which the element has met the sum."""
        expr = expr.xreplace(dict.fromkeys(self.elements, self.element))
        expr = expr.replace(lambda part: isinstance(part, sympy.log), self._logarithm)
        expr = expr.replace(lambda part: part.is_Mul, self._fraction)
        return expr.replace(lambda part: part.is_Add, self._difference)

    def _logarithm(self, logarithm):
        factors = sympy.Mul.make_args(logarithm.args[0])
        shares = dict.fromkeys(self.shares, self.element / self.total)
        bases = {factor.as_base_exp()[0] for factor in factors}
        if any(1 - share in bases for share in shares):
            others = self._sum_of_others() / self.total
            spelled = _with_bases(factors, shares | {1 - share: others for share in shares})
            if not spelled.has(self.total):
                return sum_of_logarithms(sympy.Mul.make_args(spelled))
            if len(factors) == 1:
                (power,) = factors
                return -power.as_base_exp()[1] * words.softplus(self._log_odds())
        spelled = sympy.Mul.make_args(_with_bases(factors, shares))
        meets = any(isinstance(factor, sympy.exp) for factor in spelled) and {self.total, *self.shares} & bases
        return sum_of_logarithms(spelled) if meets and len(factors) > 1 else logarithm

    def _fraction(self, product):
        for power in (1, -1):
            if {self.element**power, self.total**-power} <= set(product.args):
                return product * (self.total / self.element * self._share()) ** power
        return product

    def _difference(self, total):
        number = total.coeff(self.total)
        if number == 0 or -number * self.element not in total.args:
            return total
        return total - number * (self.total - self.element) + number * self._sum_of_others()


def _with_bases(factors, known: dict[sympy.Expr, sympy.Expr]):
    """The product of factors, in powers of which a base that is known is spelled out."""
    powers = [factor.as_base_exp() for factor in factors]
    return sympy.Mul(*(known[base] ** power if base in known else base**power for base, power in powers))
