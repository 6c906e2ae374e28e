"""Derivatives as mathematics, for people to read: in the author's names, and without what only kernels need.

A shift or a scale that keeps a row within the range of floats cancels; so does a guard that is the identity on finite
numbers. A word that keeps digits is spelled out.
"""

from __future__ import annotations

import ast

import sympy
from sympy.core.symbol import Str

from nngrad.codegen import language
from nngrad.codegen.algebra import share_words, symbols, words
from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.tracing.formula import Formula, Op, Stage

REDUCTIONS = {"sum": symbols.SumOf, "prod": symbols.ProductOf, "max": symbols.MaxOf, "min": symbols.MinOf}
ROOT_TWO = sympy.sqrt(2)


def _erfc_hazard(x):
    return sympy.exp(-(x**2)) / (sympy.sqrt(sympy.pi) * language.erfc(x))


PLAIN = {  # words that keep digits, or a range, as mathematics writes them
    "erfc": lambda x: 1 + language.erf(-x) if x.could_extract_minus_sign() else language.erfc(x),
    "expm1": lambda x: sympy.exp(x) - 1,
    "phi_two": lambda x: (sympy.exp(x) - 1 - x) / x**2,
    "expm1_over": lambda x: (sympy.exp(x) - 1) / x,
    "expm1_over_slope": lambda x: (sympy.exp(x) * (x - 1) + 1) / x**2,
    "over_expm1": lambda x: x / (sympy.exp(x) - 1),
    "over_expm1_slope": lambda x: (sympy.exp(x) - 1 - x * sympy.exp(x)) / (sympy.exp(x) - 1) ** 2,
    "exp2": lambda x: sympy.Integer(2) ** x,
    "log1p": lambda x: sympy.log(1 + x),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "logaddexp": lambda a, b: sympy.log(sympy.exp(a) + sympy.exp(b)),
    "hypot": lambda a, b: sympy.sqrt(a**2 + b**2),
    "clamped": lambda x, *_: x,
    "whole": lambda x: x,
    "over": lambda a, b: a / b,
    "binade": lambda _: sympy.S.One,
    "minimum": lambda a, b: a if a == b else words.minimum(a, b),  # of x and x clamped
    "maximum": lambda a, b: a if a == b else words.maximum(a, b),
    "sigmoid_slope": lambda x: (
        sympy.Mul(sympy.Rational(1, 4), 1 - words.tanh(x / 2) ** 2, evaluate=False)  # which would distribute
        if x.as_coeff_Mul()[0].is_even
        else words.sigmoid(x) * (1 - words.sigmoid(x))
    ),
    "power_slope": lambda a, b: b * a ** (b - 1),
    "power_times_log": lambda p, a, _: p * sympy.log(a),
    "over_square": lambda a, b: a / (a**2 + b**2),
    "over_hypot": lambda a, b: a / sympy.sqrt(a**2 + b**2),
    "normal_cdf_by_density": lambda x, _: language.erfc(-x / ROOT_TWO) / 2,
    "times_its_normal_density": lambda x, d: x * d,
    "log_normal_cdf": lambda x: sympy.log(language.erfc(-x / ROOT_TWO) / 2),
    "log_normal_cdf_slope": lambda x: ROOT_TWO * _erfc_hazard(-x / ROOT_TWO),
    "log_erfc": lambda x: sympy.log(language.erfc(x)),
    "erfc_hazard": _erfc_hazard,
    "tail_excess": lambda x: _erfc_hazard(words.abs(x)) - words.abs(x),
    "erfcx": lambda x: sympy.exp(x**2) * language.erfc(x),
    "erfcx_slope": lambda x: 2 * x * sympy.exp(x**2) * language.erfc(x) - 2 / sympy.sqrt(sympy.pi),
    "log_others_share": lambda _, log_p: sympy.log(1 - sympy.exp(log_p)),
    "share_power": lambda p, q, _: p**q,
    "below_largest": lambda x, largest: x - largest,
}


def cotangents(op: Op, formula: Formula, vjp: dict[Value, sympy.Expr], names: set[str]) -> dict[Value, sympy.Expr]:
    """What each input receives, of inputs, the output and steps of these names; `formula` is of the op, rewritten."""
    traced = next(one for one in op.formulas if one.static == formula.static)
    steps, outputs = _steps_lost(traced, formula, names), _outputs(traced, formula, names)
    found = {}
    for value, expr in vjp.items():
        expr = _with_one_sigmoid(without_guards(expr, formula.stages, names))
        for whole, name in (steps | outputs).items():
            expr = expr.subs(whole, name) if whole.is_Mul else expr.xreplace({whole: name})  # a part of a product, too
        found[value] = min(expr, sympy.expand_mul(expr), key=_length)
    return found


def _steps_lost(traced: Formula, formula: Formula, names: set[str]) -> dict[sympy.Expr, Value]:
    """What the author's steps are that are none of the formula's any more, with their names, the last one first."""
    left = {stage.value.name for stage in formula.stages}
    return {
        without_guards(definition(stage), traced.stages, left): stage.value
        for stage in reversed(traced.stages[:-1])
        if is_named(stage.value, names) and stage.value.name not in left
    }


def _outputs(traced: Formula, formula: Formula, names: set[str]) -> dict[sympy.Expr, sympy.Expr]:
    """How a derivative may spell out the output, or one over it, and the name that it has."""
    last, output = formula.stages[-1], formula.output
    spelled = [last.expr, definition(last), definition(traced.stages[-1])] if last.kind == "map" else []
    wholes = [without_guards(one, (*formula.stages, *traced.stages), names) for one in spelled]
    wholes = [whole for whole in wholes if not whole.could_extract_minus_sign() and whole.count_ops() > 0]
    return {whole**sign: output**sign for whole in wholes for sign in (1, -1)}


def _with_one_sigmoid(expr):
    """The expression with one function where two tell the same: tanh(u) and sigmoid(2u), sigmoid(u) and sigmoid(-u)."""
    for part in sorted(expr.atoms(words.sigmoid.build), key=str):
        (arg,) = part.args
        if expr.has(words.tanh(arg / 2)):
            expr = expr.xreplace({part: (1 + words.tanh(arg / 2)) / 2})
        elif arg.could_extract_minus_sign() and expr.has(words.sigmoid(-arg)):
            expr = expr.xreplace({part: 1 - words.sigmoid(-arg)})
    return expr


def _length(expr) -> int:
    """How many names a reader meets."""
    return sum(part.is_Symbol for part in sympy.preorder_traversal(expr))


def author_names(op: Op) -> set[str]:
    """The names that an author gave to steps of the formula."""
    assigned = [node for node in ast.walk(ast.parse(op.source)) if isinstance(node, ast.Name)]
    return {node.id for node in assigned if isinstance(node.ctx, ast.Store)}


def unambiguous_names(op: Op, formula: Formula) -> set[str]:
    """Those of one step alone: to a reader of the formula they mean one thing."""
    named = {name: sum(is_named(stage.value, {name}) for stage in formula.stages) for name in author_names(op)}
    return {name for name, number in named.items() if number == 1} - {one.name for one in op.inputs}


def is_named(value: Value, names: set[str]) -> bool:
    """Whether a value has one of the names, but for a number that tells it from others of the name."""
    return value.name in names or value.name.rstrip("0123456789") in names


def definition(stage: Stage):
    """What a stage computes, as its author wrote it."""
    expr = stage.written if stage.written is not None else stage.expr
    return expr if stage.kind == "map" else REDUCTIONS[stage.kind](expr, Str(stage.axis))


def without_guards(expr, stages: tuple[Stage, ...], names: set[str]):
    """The expression in terms of inputs, output and the author's steps, without what only keeps rows within range."""
    for stage in reversed(stages[:-1]):
        if not is_named(stage.value, names):
            expr = expr.xreplace({stage.value: definition(stage)})
    for head, meaning in MEANINGS.items():
        expr = expr.replace(head, meaning)
    return _in_plain_words(expr)


def _log_excess(total, axis, x):
    largest = symbols.MaxOf(x.args[0], axis) if isinstance(x, sympy.exp) else sympy.log(symbols.MaxOf(x, axis))
    return sympy.log(total) - largest


MEANINGS = {  # of what keeps rows within range
    symbols.RowShift: lambda *_: sympy.S.Zero,
    symbols.RowTop: lambda *_: sympy.S.Zero,
    symbols.MeanError: lambda *_: sympy.S.Zero,
    symbols.RowScale: lambda *_: sympy.S.One,
    symbols.LogExcess: _log_excess,
    share_words.LogMean: lambda excess, axis, *_: excess - sympy.log(symbols.Count(axis)),
    symbols.Divergence: lambda total, *_: total,
    share_words.Beyond: lambda total, *_: total,
    symbols.LogRatio: lambda log_p, log_q, *_: log_p - log_q,
    symbols.Weighed: lambda x, *_: x,
    symbols.LogShare: lambda total, axis, x, index, exponent: exponent - sympy.log(total),
    symbols.Subgradient: lambda expr, *_: expr,
}


def _in_plain_words(expr):
    """The expression without the words that are made for kernels alone."""
    for _ in range(4):  # such a word may be made of others
        known = {part: _plain(part) for part in expr.atoms(sympy.Function) if type(part) in WORD_OF}
        changed = {part: plain for part, plain in known.items() if plain != part}
        if not changed:
            break
        expr = expr.xreplace(changed)
    return expr


def _plain(part):
    word = WORD_OF[type(part)]
    build = PLAIN.get(word.name)
    if build is None and word.name not in language.__all__:
        build = word.definition or word.smooth or word.expansion
    return build(*part.args) if build else part
