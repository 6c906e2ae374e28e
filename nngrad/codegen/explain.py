"""Why an op is computed as it is: its formula, its derivative, the forms that were tried, the code that came out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import sympy
from sympy.printing.pretty.pretty import PrettyPrinter
from sympy.printing.pretty.stringpict import prettyForm

from nngrad.codegen.assemble import Code, formula_lines, readable
from nngrad.codegen.derive import Derivatives
from nngrad.codegen.emit import source_of
from nngrad.codegen.rounding import ACCURATE, Error
from nngrad.codegen.selection import Chosen, Tried
from nngrad.codegen.trace import Formula, Op

WIDTH = 120
TOO_INACCURATE = 16.0  # units in the last place, beyond what an input's rounding explains: worth a warning


def explained(op: Op, code: Code, choices: list[tuple[Formula, Chosen, list[Tried]]]) -> str:
    """The page on one op that has a formula."""
    parts = [f"{op.name}  ({op.home}, {op.family})\n{op.doc}", _section("Formula", formula_lines(op))]
    for written, chosen, tried in choices:
        case = ", ".join(f"{name} = {value}" for name, value in written.static)
        if case:
            parts.append(f"Where {case}")
        parts.append(_section("Derivative", _derivative_lines(chosen.derivatives)))
        for of in dict.fromkeys(one.of for one in tried):
            own = [one for one in tried if one.of == of]
            parts.append(_section(f"Forms of {of}", _form_lines(own, chosen)))
    parts.append(_section("Code", "\n\n".join(source_of(function) for function in code.kernels).splitlines()))
    return "\n\n".join(parts)


def _section(title: str, lines) -> str:
    return "\n".join([title, *(f"    {line}".rstrip() for line in lines)])


class _Pretty(PrettyPrinter):
    """Formulas in two dimensions, names as they are."""

    def _print_Symbol(self, expr):
        return prettyForm(expr.name)


def _derivative_lines(derivatives: Derivatives) -> Iterator[str]:
    for value, expr in derivatives.vjp.items():
        equation = sympy.Eq(sympy.Symbol(f"d{value.name}"), expr, evaluate=False)
        yield from _Pretty({"num_columns": WIDTH, "wrap_line": True}).doprint(equation).splitlines()
        yield f"LaTeX: {sympy.latex(expr)}"


def _form_lines(tried: list[Tried], chosen: Chosen) -> Iterator[str]:
    """The forms in the order of their cost; a star marks the one taken."""
    taken = {chosen.value, *chosen.vjp.values()}
    yield f"  {'cost':>6}  {'worst error':>12}  {'at':<26}  form"
    for one in sorted(tried, key=lambda one: (one.cost, str(one.form))):
        mark = "*" if one.form in taken else " "
        first, *rest = textwrap.wrap(readable(one.form), WIDTH - 58) or [""]
        yield f"{mark} {one.cost:6.1f}  {_figure(one.error):>12}  {_point(one.error):<26}  {first}"
        yield from (f"{'':52}  {line}" for line in rest)
    if tried[0].error is None:
        yield "Forms of rows are chosen by cost alone: the formula was made accurate before."
    else:
        yield f"Taken is the cheapest form within {ACCURATE} ulp, together with those of the other derivatives;"
        yield "where there is none, the cheapest that only magnifies its input's rounding, else the most accurate."


def _figure(error: Error | None) -> str:
    return "" if error is None else f"{error.ulp:.3g} ulp"


def _point(error: Error | None) -> str:
    return "" if error is None else ", ".join(f"{number:.3g}" for number in error.at)


def warnings_of(op: Op, chosen: Chosen) -> Iterator[str]:
    """What to say of forms that are not accurate."""
    for of, error in chosen.errors.items():
        if error.beyond > TOO_INACCURATE:
            names = (value.name for value in chosen.derivatives.formula.inputs)
            point = ", ".join(f"{name} = {number:.6g}" for name, number in zip(names, error.at, strict=True))
            what = "its value" if of == "y" else f"its derivative {of}"
            how = (
                "overflows, or has no value, on the way to a finite result"
                if error.ulp == float("inf")
                else f"is {error.ulp:.2g} units in the last place off"
            )
            yield (
                f"{op.file}:{op.line}: in {op.name}: no accurate form was found; in float32 {what} {how} at {point}\n"
                f"  what to do: write the formula in other words, or see what was tried: --explain {op.name}"
            )
