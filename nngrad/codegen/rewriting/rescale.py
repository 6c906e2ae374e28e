"""Stage 3: where powers are summed along an axis, they are kept from over- and underflowing.

x is divided by a power of two near the row's largest |x|, the scale, before x**2 is summed. That is exact, and rows
whose squares are in range have the scale 1. The scale is carried through the later stages as a symbol, and multiplied
back where a stage depends on it: the length of a vector does, its direction does not. The rule is applied only where
no power of the scale above the first is left, for only then the result is finite where its squares are not. Where x
itself is summed, or the largest of it taken, it is applied where no power is left at all. Where it can't be applied to
one value, all inputs may have one scale: the squares of one over those of the other may be in range where neither are.

Worked example, rms_norm: from `y = x / sqrt(mean(x**2) + eps)`,

    scale = RowScale(x, degree 2, least sqrt(eps)); u = x / scale
    y = u / sqrt(mean(u**2) + eps / scale / scale)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import sympy
from sympy.core.relational import Relational
from sympy.core.symbol import Str

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import RowScale, Subgradient, Test, Value, Weighed, Where, is_constant_along
from nngrad.codegen.rewriting.restage import HOMOGENEOUS, again, rebuilt, recorder_of
from nngrad.codegen.trace import Formula, Stage

_SCALE = sympy.Symbol("scale", positive=True)
LARGEST_BESIDE_ROOTS = 16  # of a constant: less is in range over any scale, so that slopes of roots are known near 0


def rescale_powers(formula: Formula) -> Formula:
    """Scale the rows whose powers are summed, wherever the result can be finite where the powers are not."""
    formula = _with_bases(formula)
    for axis in sorted({stage.axis for stage in formula.stages if stage.kind in ("sum", "max", "min")}):
        tried: set[str] = set()
        while sources := [value for value in _sources(formula, axis) if value.name not in tried]:
            tried.add(sources[0].name)
            formula = _rescaled(formula, sources[:1], axis) or formula
        together = [value for value in formula.inputs if value in _sources(formula, axis)]
        if len(together) > 1 and not any(isinstance(stage.expr, RowScale) for stage in formula.stages):
            formula = _rescaled(formula, together, axis) or formula
    return formula


def _with_bases(formula: Formula) -> Formula:
    """The formula with a stage for whatever is raised to a power and summed, such as the difference x - y."""
    recorder = recorder_of(formula)
    renamed: dict[Value, sympy.Expr] = {}
    for stage in formula.stages:
        expr = stage.expr.xreplace(renamed)
        for power in sorted(expr.atoms(sympy.Pow) if stage.kind == "sum" else (), key=str):
            if power.base.is_Add and power.exp.is_positive and not is_constant_along(power.base, stage.axis):
                base = recorder.stage(power.base, "map", "", "difference")
                expr = expr.xreplace({power.base: base})
        renamed[stage.value] = again(recorder, stage, expr)
    return rebuilt(formula, recorder, renamed[formula.output])


def _sources(formula: Formula, axis: str) -> list[Value]:
    """The values that vary along the axis and do not come from a scaled one, those nearest to the inputs first."""
    after = {stage.value for stage in formula.stages if isinstance(stage.expr, RowScale)}
    before = {value for stage in formula.stages if stage.value in after for value in stage.expr.atoms(Value)}
    values = list(formula.inputs)
    for stage in formula.stages:
        if stage.expr.atoms(Value) & after:
            after.add(stage.value)
        elif stage.kind == "map":
            values.append(stage.value)
    return [
        value for value in values if not (value in before or value in formula.indices or is_constant_along(value, axis))
    ]


def _rescaled(formula: Formula, sources: list[Value], axis: str) -> Formula | None:
    """The formula with one value scaled, or some by the same scale; None where nothing is gained."""
    trial = _Attempt(formula, sources, axis)
    if trial.run() is None or trial.actual.keys() == {*sources}:
        return None
    if trial.summed == 1 and (not trial.has_dropped_out or _is_bounded(formula, sources[0])):
        return None
    constant = sympy.Add(
        *(
            constant ** (trial.summed / power)
            for constant, power in trial.beside.items()
            if not (power - trial.summed).is_negative or (constant.is_number and constant > LARGEST_BESIDE_ROOTS)
        )
    )
    return _Attempt(formula, sources, axis, trial.summed, constant).run()


def is_scale_free(formula: Formula, source: Value, axis: str) -> bool:
    """Whether the formula gives the same where all elements of an input are multiplied by a positive number."""
    attempt = _Attempt(formula, [source], axis)
    return attempt.run() is not None and attempt.has_dropped_out and not attempt.beside


def with_signs_of_unscaled(form, formula: Formula):
    """A derivative with the signs of values, not of what is left of them over their scale: that may be 0."""
    units = {stage.expr: stage.value for stage in formula.stages}
    made = [stage for stage in formula.stages if isinstance(stage.expr, RowScale)]
    unscaled = {units.get(stage.expr.args[0] / stage.value): stage.expr.args[0] for stage in made}
    return form.xreplace({words.sign(unit): words.sign(source) for unit, source in unscaled.items() if unit})


def _is_bounded(formula: Formula, source: Value) -> bool:
    """Whether a value is an exponential, or what is made of one, whose sum is in range."""
    stage = formula.definition(source)
    return stage is not None and isinstance(stage.expr, _BOUNDED)


@dataclass
class _Attempt:
    """One attempt to carry a scale through the stages of a formula.

    Attributes:
        degree, constant: what the scale is made for.
        summed: the highest power that was found to be summed.
        beside: the constants found beside powers, each with the power it stands beside.
        renamed: each stage as a power of the symbol times a stage recorded anew.
        actual: the same with the scale in place of the symbol.
        is_put_back: whether a stage could not do without the scale.
    """

    formula: Formula
    sources: list[Value]
    axis: str
    degree: sympy.Expr = sympy.S.One
    constant: sympy.Expr = sympy.S.Zero
    summed: sympy.Expr = sympy.S.One
    beside: dict[sympy.Expr, sympy.Expr] = field(default_factory=dict)
    renamed: dict[Value, sympy.Expr] = field(default_factory=dict)
    actual: dict[Value, sympy.Expr] = field(default_factory=dict)
    is_put_back: bool = False

    @property
    def has_dropped_out(self) -> bool:
        """Whether the formula that was run needs the scale nowhere but beside constants."""
        return not self.is_put_back and self.formula.output not in self.actual

    def run(self) -> Formula | None:
        """The formula with the scale; None where a power of it above the first would be left."""
        self.recorder = recorder_of(self.formula)
        if self.sources[0] in self.formula.inputs:
            self._introduce(self.sources)
        for stage in self.formula.stages:
            expr = stage.expr.xreplace(self.renamed).replace(_is_log_of_scaled, self._logarithm)
            if not expr.has(_SCALE):
                expr = self.recorder.hoist(expr, stage.value.name if stage.kind == "map" else "")
                self.renamed[stage.value] = again(self.recorder, stage, expr)
                if [stage.value] == self.sources:
                    self._introduce([self.renamed[stage.value]])
            elif self._is_better_put_back(stage) or not self._carry(stage, expr):
                if not self._can_stand(stage.expr):
                    return None
                self.is_put_back = True
                self.renamed[stage.value] = again(self.recorder, stage, self._put_back(stage.expr))
        output = self.formula.output
        if not self._can_stand(output):
            return None
        output = self.recorder.stage(self.actual.get(output, self.renamed[output]), "map", "", output.name)
        return rebuilt(self.formula, self.recorder, output)

    def _is_better_put_back(self, stage: Stage) -> bool:
        """Whether the output would be a multiple of the scale though it can be made of what is in range itself.

        What is made of one value alone, such as a length over a number, may be in range where this value is not.
        """
        if stage.value != self.formula.output or len(stage.expr.atoms(Value)) == 1:
            return False
        split = self._split(stage.expr.xreplace(self.renamed))
        return bool(split and split[0] != 0) and self._can_stand(stage.expr)

    def _put_back(self, expr):
        """The expression with the scale in it, not multiplied out in powers: of 0 times infinity there would be NaN."""
        raised = {part.base for part in expr.atoms(sympy.Pow)} & self.actual.keys()
        for value in sorted(raised, key=str):
            self.actual[value] = self.recorder.stage(self.actual[value], "map", "", str(value))
        return expr.xreplace(self.actual | self._plain())

    def _plain(self) -> dict[Value, sympy.Expr]:
        return {value: expr for value, expr in self.renamed.items() if not expr.has(_SCALE)}

    def _introduce(self, values: list[Value]) -> None:
        """Divide the values by their scale."""
        largest = values[0] if len(values) == 1 else reduce(words.maximum, map(words.abs, values))
        made = RowScale(largest, Str(self.axis), self.degree, self.constant)
        name = "_".join(["scale", *map(str, values)])
        self.scale = self.recorder.stage(made, "map", self.axis, name, frozen=True)
        for source, value in zip(self.sources, values, strict=True):
            unit = self.recorder.stage(value / self.scale, "map", "", f"scaled_{value}")
            self.renamed[source], self.actual[source] = _SCALE * unit, value

    def _logarithm(self, logarithm):
        """log(scale**k * rest) is k log(scale) + log(rest); 1 + scale**k * rest is scale**k * (scale**-k + rest)."""
        split = self._split(logarithm.args[0])
        if split is None:
            return logarithm
        power, rest = split
        self.is_put_back |= power != 0
        if isinstance(logarithm, words.log1p.build):
            self.beside[sympy.S.One] = power
            logarithm = power * sympy.log(self.scale)
            return logarithm + words.log1p(rest + words.expm1(-logarithm))  # exactly the rest where the scale is 1
        return power * logarithm.func(self.scale) + logarithm.func(rest)

    def _carry(self, stage: Stage, expr) -> bool:
        """Record a stage that is a power of the scale times something free of it."""
        split = self._split(expr)
        if split is None:
            return False
        power, rest = split
        if power != 0 and stage.kind != "map" and (stage.kind == "prod" or stage.axis != self.axis):
            return False
        if stage.kind == "sum" and power != 0:
            self._note_degree(power)
        rest = self.recorder.hoist(rest, stage.value.name if stage.kind == "map" else "")
        value = self.recorder.stage(rest, stage.kind, stage.axis, stage.value.name, stage.frozen)
        self.renamed[stage.value] = _SCALE**power * value
        if power != 0:
            self.actual[stage.value] = self.scale**power * value
        return True

    def _note_degree(self, power) -> None:
        higher = sympy.simplify(power - self.summed)
        if higher.is_number:
            self.summed += max(higher, 0)
        elif power != 1:  # each degree counts as 1 at least
            self.summed = power if self.summed == 1 else words.maximum(self.summed, power)

    def _can_stand(self, expr) -> bool:
        """Whether no power of the scale above the first has to be multiplied back."""
        powers = [self._split(self.renamed[value])[0] for value in expr.atoms(Value) & self.actual.keys()]
        return all(power in (-1, 0, 1) for power in powers)

    def _split(self, expr):
        """(k, rest) such that the expression is scale**k * rest; None where there is no such k."""
        if expr == _SCALE:
            return sympy.S.One, sympy.S.One
        if not expr.has(_SCALE):
            return sympy.S.Zero, expr
        if expr.is_Pow or isinstance(expr, words.power.build):
            base, exponent = expr.args
            split = None if exponent.has(_SCALE) else self._split(base)
            return split and (split[0] * exponent, expr.func(split[1], exponent))
        if isinstance(expr, Subgradient) and expr.args[2] == 0:
            inside, condition = self._split(expr.args[0]), self._condition(expr.args[1])
            return None if inside is None or condition is None else (inside[0], Subgradient(inside[1], condition, 0))
        if isinstance(expr, Where):
            condition, branches = self._condition(expr.args[0]), self._alike(expr.args[1:])
            return None if branches is None or condition is None else (branches[0], Where(condition, *branches[1]))
        if expr.is_Mul:
            splits = [self._split(arg) for arg in expr.args]
            if None in splits:
                return None
            return sympy.Add(*(power for power, _ in splits)), sympy.Mul(*(rest for _, rest in splits))
        if expr.is_Add or isinstance(expr, HOMOGENEOUS):
            alike = self._alike(expr.args)
            if alike is None and expr.is_Add:
                return self._with_constant(expr)
            return alike and (alike[0], expr.func(*alike[1]))
        if isinstance(expr, Weighed) and not expr.args[0].has(_SCALE):
            split = self._split(expr.args[2])
            return split and (sympy.S.Zero, expr.func(*expr.args[:2], split[1]))
        if isinstance(expr, words.sign.build):
            split = self._split(*expr.args)
            return split and (sympy.S.Zero, expr.func(split[1]))
        return None

    def _alike(self, exprs):
        """(k, rests) of expressions that have the same power of the scale, or are 0."""
        splits = [self._split(expr) for expr in exprs]
        if None in splits:
            return None
        powers = {power for power, rest in splits if rest != 0}
        return (powers.pop(), [rest for _, rest in splits]) if len(powers) == 1 else None

    def _condition(self, condition):
        if not condition.has(_SCALE):
            return condition
        if isinstance(condition, Test):  # the scale is positive and finite
            split = self._split(*condition.args)
            return split and condition.func(split[1])
        alike = self._alike(condition.args) if isinstance(condition, Relational) else None
        return alike and condition.func(*alike[1])

    def _with_constant(self, total):
        """`power of the scale + constant`, as in mean(x**2) + eps: the constant is divided by that power."""
        constants = [term for term in total.args if not term.atoms(Value) and not term.has(_SCALE)]
        alike = self._alike([term for term in total.args if term not in constants])
        if not constants or alike is None or alike[0].is_negative:
            return None
        power, constant = alike[0], sympy.Add(*constants)
        self.beside[constant] = power
        if power == self.degree == 1:  # a stage, whose square is not multiplied out in derivatives
            without = self.recorder.stage(self.recorder.hoist(sympy.Add(*alike[1])), "map", "", "without_constant")
            return power, self.recorder.stage(without + constant / self.scale, "map", "", "with_constant")
        if power.is_Integer:
            return power, sympy.Add(*alike[1], constant / self.scale**power)
        return power, sympy.Add(*alike[1], words.power(constant ** (1 / power) / self.scale, power))


def _is_log_of_scaled(part) -> bool:
    return isinstance(part, _LOGARITHMS) and part.has(_SCALE)


_LOGARITHMS = (sympy.log, words.log1p.build, words.log2.build, words.log10.build)
_BOUNDED = (sympy.exp, words.sigmoid.build, words.tanh.build)
