"""An op's formula and derivative as LaTeX, for `op.latex`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sympy
from sympy.core.symbol import Str
from sympy.printing.latex import LatexPrinter

from nngrad.codegen import words
from nngrad.codegen.assemble import Code
from nngrad.codegen.formula import Op, Step
from nngrad.codegen.symbols import Indexed, Value

SPELLED = {"sigmoid": r"\sigma", "maximum": r"\max", "minimum": r"\min", "arctan2": r"\operatorname{atan2}"}
REDUCTIONS = {"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min"}


class _Latex(LatexPrinter):
    def _print_Symbol(self, expr, style="plain"):
        name = expr.name.replace("_", r"\_")
        return name if len(name) == 1 else rf"\mathrm{{{name}}}"

    def _print_Str(self, expr):
        return rf"\mathrm{{{expr.name}}}".replace("_", r"\_")

    def _print_Where(self, expr, exp=None):
        condition, a, b = map(self._print, expr.args)
        return rf"\begin{{cases}} {a} & \text{{if }} {condition} \\ {b} & \text{{otherwise}} \end{{cases}}"

    def _print_Indicator(self, expr, exp=None):
        return rf"\left[{self._print(expr.args[0])}\right]"

    def _print_AxisSum(self, expr, exp=None):
        return rf"\sum_{{{self._print(expr.args[1])}}} \left({self._print(expr.args[0])}\right)" + _power(exp)

    def _print_Count(self, expr, exp=None):
        return f"n_{{{self._print(expr.args[0])}}}" + _power(exp)

    def _print_Function(self, expr, exp=None):
        name = type(expr).__name__
        head = SPELLED.get(name) or rf"\operatorname{{{name}}}".replace("_", r"\_")
        return rf"{head}{_power(exp)}\left({', '.join(map(self._print, expr.args))}\right)"


def _power(exp) -> str:
    return f"^{{{exp}}}" if exp else ""


def latex(expr) -> str:
    """An expression as LaTeX."""
    return _Latex().doprint(expr)


def latex_of(op: Op, codes: dict[str, Code]) -> str:
    """The equations of an op, one below the other."""
    steps = op.steps or (Step("y", op, ()),)
    lines = [line for step in steps for line in _equations(step, codes[step.op.name])]
    if len(lines) == 1:
        return lines[0].replace("&", "", 1)
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"


def _equations(step: Step, code: Code) -> Iterator[str]:
    op = step.op
    if isinstance(op.contraction, Indexed):
        yield _contraction(step)
    for formula, chosen in zip(op.formulas, code.chosen, strict=True):
        case = ", ".join(rf"\mathrm{{{name}}} = \text{{{value}}}".replace("_", r"\_") for name, value in formula.static)
        if case:
            yield rf"&\text{{where }} {case}:"
        inlined = {}
        for stage in formula.stages:
            expr = stage.expr.xreplace(inlined)
            if stage.kind == "map" and stage.value != formula.output and not _is_authors(stage.value, op):
                inlined[stage.value] = expr
                continue
            right = latex(expr)
            if stage.axis:
                right = rf"{REDUCTIONS[stage.kind]}_{{{latex(Str(stage.axis))}}} \left({right}\right)"
            yield f"{latex(stage.value)} &= {right}"
        for value, expr in chosen.derivatives.vjp.items():
            plain = expr.replace(words.clamped.build, lambda x, limit: x)
            yield f"{latex(sympy.Symbol('d' + value.name))} &= {latex(plain.xreplace(inlined))}"


def _is_authors(value: Value, op: Op) -> bool:
    """Whether the author has given a value its name."""
    return re.search(rf"\b{value.name}\b *=", op.source) is not None


def _contraction(step: Step) -> str:
    def indexed(name: str, indices) -> str:
        shown = [r"\ldots" if index is Ellipsis else latex(index) for index in indices]
        return f"{latex(sympy.Symbol(name))}_{{{', '.join(shown)}}}"

    contraction = step.op.contraction
    dots = [Ellipsis] if any(Ellipsis in indices for _, indices in contraction.factors) else []
    left = indexed(step.value, [*dots, *contraction.letters])
    total = "".join(rf"\sum_{{{latex(letter)}}} " for letter in contraction.summed)
    product = r" \, ".join(indexed(value.name, indices) for value, indices in contraction.factors)
    added = f" + {indexed(contraction.bias[0].name, contraction.bias[1])}" if contraction.bias else ""
    return f"{left} &= {total}{product}{added}"
