"""What a formula is once it is traced: the `Op`, its `Formula`s and their `Stage`s.

Worked example: softmax is `e = exp(x); return e / sum(e, axis)`, and traces to

    Formula(inputs=(x,), output=y, stages=(
        Stage(e, 'map', exp(x)), Stage(sum_e, 'sum', e, axis='axis'), Stage(y, 'map', e / sum_e)))
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy
from sympy.logic.boolalg import Boolean

from nngrad.codegen.algebra.symbols import Indexed, Indicator, Pick, Value, Where, is_constant_along
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.language import Contract

REQUIRED = inspect.Parameter.empty
PRESENT = "present"  # a static value: any but None
OTHER = "other"  # a static value: any string that the function does not compare with


@dataclass(frozen=True)
class Input:
    """A tensor input. `optional` inputs may be None; a `variadic` one stands for any number of tensors."""

    name: str
    optional: bool = False
    differentiable: bool = True
    variadic: bool = False


@dataclass(frozen=True)
class Param:
    """A keyword parameter. `default` is REQUIRED where the spec gives none."""

    name: str
    default: Any


@dataclass(frozen=True)
class Stage:
    """One step of a formula: `value = expr` (kind 'map') or `value = sum | prod | max | min of expr` along `axis`.

    A `frozen` stage is held constant by differentiation: the result does not depend on it (the max of a max-shift).
    `written` is the author's formula where rewriting has found a word of the language for the whole of it: that formula
    is differentiated then, not the word.
    """

    value: Value
    kind: str
    expr: sympy.Expr
    axis: str = ""
    frozen: bool = False
    written: sympy.Expr | None = None


@dataclass(frozen=True)
class Formula:
    """What an op computes for one choice of its static parameters (`static`) and optional inputs."""

    static: tuple[tuple[str, Any], ...]
    inputs: tuple[Value, ...]
    stages: tuple[Stage, ...]
    output: Value

    @property
    def reduced_axis(self) -> str:
        """The axis that the output drops, or ''."""
        axes = {stage.axis for stage in self.stages if stage.axis}
        return next((axis for axis in sorted(axes) if is_constant_along(self.output, axis)), "")

    @cached_property
    def axes(self) -> frozenset[str]:
        return frozenset(stage.axis for stage in self.stages if stage.axis)

    @cached_property
    def indices(self) -> frozenset[str]:
        """The inputs that `take` uses as indices."""
        return frozenset(pick.args[0].name for stage in self.stages for pick in stage.expr.atoms(Pick))

    def definition(self, value: sympy.Expr) -> Stage | None:
        """The stage that a value is of; None for inputs, and for expressions that are no value."""
        return self._definitions.get(value)

    @cached_property
    def _definitions(self) -> dict[Value, Stage]:
        return {stage.value: stage for stage in reversed(self.stages)}

    def spelled_out(self, value: sympy.Expr) -> sympy.Expr:
        """What the stage that a value is of computes, or reduces; the expression itself if it is of none."""
        stage = self.definition(value)
        return value if stage is None else stage.expr


@dataclass(frozen=True)
class Step:
    """One of the ops that a composite op runs in a row: the name of its value, the op, and what it is given."""

    value: str
    op: Op
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Op:
    """An op of the spec, traced.

    `formulas` is empty for structural ops and contractions, `contraction` set for contractions alone. `many` says
    whether the op has several outputs; a structural op says so by `-> tuple`. One that is linear but for a constant
    says `-> affine`; the others are linear. A composite op has `steps` in place of a formula, and the names of its
    `outputs`.
    """

    name: str
    home: str
    family: str
    inputs: tuple[Input, ...]
    params: tuple[Param, ...]
    doc: str
    source: str
    file: str
    line: int
    many: bool = False
    is_affine: bool = False
    formulas: tuple[Formula, ...] = ()
    contraction: Indexed | Contract | None = None
    steps: tuple[Step, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Op, ...]:
        """The ops that it takes to compute it: itself, or those of its steps."""
        return tuple(step.op for step in self.steps) or (self,)

    @property
    def maps_elements(self) -> bool:
        """Whether an element of the output is made of the inputs' elements at its place alone."""
        return self.family == "elementwise" and self.home != "loss"

    @property
    def row_axis(self) -> str:
        """The parameter that says along which axis rows lie, if all formulas reduce along that one."""
        axes = frozenset().union(*(formula.axes for formula in self.formulas))
        own = [param.name for param in self.params if param.name in axes]
        return own[0] if len(axes) == len(own) == 1 and all(formula.axes for formula in self.formulas) else ""

    @property
    def has_rows(self) -> bool:
        """Whether it works on rows that are independent of each other: along an axis, or a loss's elements."""
        return bool(self.row_axis) or (self.family == "elementwise" and self.home == "loss")

    @property
    def is_word(self) -> bool:
        """Whether the op is no more than a word of the language, so that its derivative was written, not derived."""
        if self.family == "contraction":
            return isinstance(self.contraction, Contract)
        return bool(self.formulas) and (not self.source or all(_is_one_word(formula) for formula in self.formulas))


def _is_one_word(formula: Formula) -> bool:
    """Whether a formula is one word of just its inputs, as `x1**x2` is."""
    expr = formula.stages[-1].expr
    return len(formula.stages) == 1 and type(expr) in WORD_OF and expr.args == formula.inputs


def carriers(expr) -> set[Value]:
    """The tensors that an expression can carry a gradient to: those outside conditions and indices."""
    if isinstance(expr, Value):
        return {expr}
    if isinstance(expr, Boolean | Pick | Indicator):
        return set()
    if isinstance(expr, Where):
        return carriers(expr.args[1]) | carriers(expr.args[2])
    return {value for arg in expr.args for value in carriers(arg)}
