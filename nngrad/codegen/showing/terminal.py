"""An explanation as text for a terminal, with colour where it is wanted."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from pygments import highlight
from pygments.formatters import TerminalFormatter
from pygments.lexers import PythonLexer

from nngrad.codegen.explain import Explanation, Forms
from nngrad.codegen.judging.errors import Error
from nngrad.codegen.lowering.assemble import formula_lines

WIDTH = 120
FORM = 54  # where the forms begin in their table
COLOUR = re.compile(r"\x1b\[[\d;]*m")
BOLD, DIM, GREEN, CYAN = "1", "2", "32", "36"


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user has not set NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text(explanation: Explanation, colour: bool = False) -> str:
    """All that is known of an op, section by section."""
    return "\n\n".join(_Page(explanation, colour).parts())


@dataclass(frozen=True)
class _Page:
    """The text of one explanation."""

    explanation: Explanation
    colour: bool

    def parts(self) -> Iterator[str]:
        one, op = self.explanation, self.explanation.op
        kinds = ", ".join(dict.fromkeys([op.home, op.family]))
        yield f"{self.painted(op.name, BOLD)}  {self.painted(f'({kinds})', DIM)}\n{op.doc}"
        if op.family != "structural":
            yield self.section("Formula", self.formula())
        for case in one.cases:
            if case.condition:
                yield self.painted(f"{case.condition[0].upper()}{case.condition[1:]}", BOLD, CYAN)
                yield self.section("Formula", self.equations(case.formula))
            yield self.section("Derivative", self.equations(case.derivative))
            for forms in case.forms:
                yield self.section(f"Forms of {forms.of}", self.forms(forms))
            if case.ordinary:
                yield self.section(f"Forms where no input is larger than {case.limit} in size", case.ordinary)
        if one.note:
            yield self.section("Note", textwrap.wrap(one.note, WIDTH - 4))
        if one.shapes:
            yield self.section("Shapes", textwrap.wrap(one.shapes, WIDTH - 4))
        yield self.section("Residuals", [", ".join(one.residuals) or "none"])
        if one.conventions.rows:
            yield self.section("Conventions", self.table([one.conventions.columns, *one.conventions.rows]))
        accuracy = [*self.measured(), *self.simulated()]
        if accuracy:
            yield self.section("Accuracy", accuracy)
        yield self.section("Code", self.code().splitlines())

    def section(self, title: str, lines: Iterable[str]) -> str:
        return "\n".join([self.painted(title, BOLD, CYAN), *(f"    {line}".rstrip() for line in lines)])

    def painted(self, words: str, *styles: str) -> str:
        return f"\x1b[{';'.join(styles)}m{words}\x1b[0m" if self.colour else words

    def formula(self) -> Iterator[str]:
        """As the author wrote it and, where that is one formula, as mathematics."""
        yield from self.highlighted("\n".join(formula_lines(self.explanation.op))).splitlines()
        if len(self.explanation.cases) == 1:
            yield ""
            yield from self.equations(self.explanation.cases[0].formula)

    def equations(self, equations: Iterable) -> Iterator[str]:
        for equation in equations:
            yield from equation.text.splitlines()
            yield self.painted(f"LaTeX: {equation.latex}", DIM)

    def forms(self, forms: Forms) -> Iterator[str]:
        """A star marks the one taken."""
        yield self.painted(f"  {'cost':>6}  {'worst error':>12}  {'at':<26}  form", DIM)
        for place, one in enumerate(forms.tried):
            mark, styles = ("*", [GREEN]) if place == forms.taken else (" ", [])
            first, *rest = textwrap.wrap(forms.text(one), WIDTH - 4 - FORM) or [""]
            line = f"{mark} {one.cost:6.1f}  {_figure(one.error):>12}  {_point(one.error):<26}  {first}"
            yield self.painted(line, *styles) if styles else line
            yield from (f"{'':{FORM - 2}}{line}" for line in rest)
        yield from textwrap.wrap(forms.why, WIDTH - 4)

    def table(self, rows: list[Iterable[str]]) -> Iterator[str]:
        """Columns of one width each, headed by the first row."""
        rows = [list(row) for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for place, row in enumerate(rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            yield self.painted(line, DIM) if place == 0 else line

    def measured(self) -> Iterator[str]:
        """Errors measured, in ulp, beside those of other libraries; what is not good is marked with a star."""
        found = self.explanation.measured
        if not found:
            return
        libraries = [name for name in found[0].errors if any(any(one.errors[name]) for one in found)]
        titles = [f"{name} {what}" for name in libraries for what in ("forward", "gradient")]
        rows = [
            [one.label, one.dtype, *(re.sub(r"\*\*(.*)\*\*", r"\1 *", cell) for name in libraries
             for cell in one.errors[name]), one.grade]
            for one in found
        ]  # fmt: skip
        yield from self.table([["measured in ulp", "dtype", *titles, "class"], *rows])
        if any("*" in cell for row in rows for cell in row):
            yield "* is above 4 ulp or spurious; docs/certificate.md says how this was measured."

    def simulated(self) -> Iterator[str]:
        for case in self.explanation.cases:
            if case.rounding:
                figures = ", ".join(f"{name} {error.ulp:.2g}" for name, error in case.rounding.items())
                case_of = f", {case.condition}" if case.condition else ""
                yield f"Rounding error in float32{case_of}, simulated: {figures} ulp."

    def code(self) -> str:
        return self.highlighted(self.explanation.code)

    def highlighted(self, source: str) -> str:
        if not self.colour:
            return source
        lines = highlight(source, PythonLexer(stripnl=False), TerminalFormatter()).splitlines()
        return "\n".join(line if COLOUR.sub("", line).strip() else "" for line in lines).rstrip("\n")


def _figure(error: Error | None) -> str:
    return "" if error is None else f"{error.ulp:.3g} ulp"


def _point(error: Error | None) -> str:
    return "" if error is None else ", ".join(f"{number:.3g}" for number in error.at)
