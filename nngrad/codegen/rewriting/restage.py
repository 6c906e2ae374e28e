"""What every rewriting rule does: record a formula's stages anew, some of them with other expressions."""

from __future__ import annotations

from dataclasses import replace

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.trace import Formula, Recorder, Stage, alive

# words that a positive factor of all they are given can be taken out of
HOMOGENEOUS = (words.abs.build, words.hypot.build, words.maximum.build, words.minimum.build)


def recorder_of(formula: Formula) -> Recorder:
    """A recorder to which the names of the formula's inputs and parameters are known, and none of its stages."""
    names = {symbol.name for stage in formula.stages for symbol in stage.expr.free_symbols}
    names -= {stage.value.name for stage in formula.stages}
    return Recorder("", list(formula.inputs), [], names | {value.name for value in formula.inputs})


def again(recorder: Recorder, stage: Stage, expr) -> Value:
    """The stage recorded anew, with another expression."""
    return recorder.stage(expr, stage.kind, stage.axis, stage.value.name, stage.frozen)


def rebuilt(formula: Formula, recorder: Recorder, output: Value) -> Formula:
    """The formula made of the recorded stages that the output depends on."""
    return replace(formula, stages=alive(recorder.stages, output), output=output)


def inlined(expr, stages):
    """The expression in terms of inputs and reductions alone."""
    for stage in reversed(stages):
        if stage.kind == "map":
            expr = expr.xreplace({stage.value: stage.expr})
    return words.in_words(expr)


def restated(formula: Formula, expr) -> Formula:
    """Another elementwise formula of the same inputs."""
    return replace(formula, stages=(Stage(formula.output, "map", expr),))
