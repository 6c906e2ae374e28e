"""What the committed pages say of an op: the errors measured for docs/certificate.md, the conventions found for
docs/conventions.md. Away from a checkout there are no such pages, and nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"


@dataclass(frozen=True)
class Measured:
    """The largest errors of one formula in one dtype: for each library its forward and its gradient, in ulp as the
    certificate writes them; '' where a library does not have the function.
    """

    label: str
    dtype: str
    errors: dict[str, tuple[str, str]]
    grade: str


@dataclass(frozen=True)
class Table:
    """Rows of a page under one heading, with what their columns are called."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def measured(name: str) -> tuple[Measured, ...]:
    """The certificate's rows on an op, its dtypes one after the other."""
    return tuple(_measured(name))


def _measured(name: str) -> Iterator[Measured]:
    for dtype in ("float32", "float64"):
        table = _table("certificate.md", dtype)
        libraries = dict.fromkeys(column.split()[0] for column in table.columns[1:-1])
        for label, *cells, grade in _rows_on(name, table):
            pairs = zip(cells[::2], cells[1::2], strict=True)
            yield Measured(label, dtype, dict(zip(libraries, pairs, strict=True)), grade)


def conventions(name: str) -> Table:
    """What the op's gradients are at kinks, ties and singular points; no row where it has none."""
    tables = [_table("conventions.md", title) for title in ("Functions of numbers", "Functions of rows")]
    found = [Table(table.columns, _rows_on(name, table)) for table in tables]
    return next((table for table in found if table.rows), found[0])


def _rows_on(name: str, table: Table) -> tuple[tuple[str, ...], ...]:
    return tuple(row for row in table.rows if row[0] == name or row[0].startswith(f"{name}("))


@cache
def _table(page: str, title: str) -> Table:
    """The first table under a heading of a page."""
    path = DOCS / page
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    _, _, section = text.partition(f"\n## {title}\n")
    found = re.search(r"(?:^\|.*\|$\n?)+", section.partition("\n## ")[0], re.MULTILINE)
    if not found:
        return Table((), ())
    columns, _, *rows = (tuple(map(str.strip, line.strip("|").split("|"))) for line in found[0].splitlines())
    return Table(columns, tuple(rows))
