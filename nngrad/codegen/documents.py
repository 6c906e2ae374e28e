"""What a checkout says of its ops outside the generated package, kept in step: README's counts and the pages of docs.

The counts come from the spec alone, so `--check` holds them. The certificate is measured on a machine, and the page of
conventions compares with PyTorch: these are made by scripts of `docs`, which run where an op is new or gone.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from nngrad.codegen.tracing.formula import Op

COUNTED = re.compile(r"(<!-- counted by [^\n]* -->\n).*?(<!-- end of what is counted -->)", re.DOTALL)
ROW = re.compile(r"^\| (\w+)[^|\n]*\|[^\n]*\| (?:good|fair|broken) \|$", re.MULTILINE)
FAMILIES = ("elementwise", "reduction", "contraction", "structural")


def origin(op: Op) -> str:
    """Where an op's derivative comes from: it is `derived`, a `word` of the language, or stands in a `table`."""
    return "word" if op.is_word else "table" if op.family == "structural" else "derived"


def with_counts(readme: str, ops: list[Op]) -> str:
    """README's text with the ops counted by family and origin, between its two marks."""
    counts = Counter((op.family, origin(op)) for op in ops)
    rows = [[family, *(counts[family, kind] for kind in ("derived", "word", "table"))] for family in FAMILIES]
    rows.append(["all", *(sum(row[place] for row in rows) for place in (1, 2, 3))])
    lines = ["| family | ops | derived | words | tabulated |", "| --- | --: | --: | --: | --: |"]
    lines += [f"| {family} | {sum(numbers)} | {' | '.join(map(str, numbers))} |" for family, *numbers in rows]
    derived, words = rows[-1][1:3]
    all_but_tabulated = derived + words
    percent = f"{derived / all_but_tabulated:.0%}" if all_but_tabulated else "none"
    share = f"{derived} of the {all_but_tabulated} ops that are not tabulated are derived: {percent}."
    block = "\n".join([*lines, "", share, ""])
    return COUNTED.sub(lambda match: match[1] + "\n" + block + "\n" + match[2], readme)


def refresh_pages(checkout: Path, ops: list[Op]) -> None:
    """Have the pages of `docs` made that lack an op, or have one that is gone."""
    page = checkout / "docs" / "certificate.md"
    if not page.exists():
        return
    measured = set(ROW.findall(page.read_text(encoding="utf-8")))
    ours = [op.name for op in ops if op.formulas]
    new, gone = [name for name in ours if name not in measured], measured - set(ours)
    if not new and not gone:
        return
    _run(checkout, "make_certificate.py", *(new or ["--prune"]))
    if importlib.util.find_spec("torch"):
        _run(checkout, "make_conventions.py")
    else:
        print("docs/conventions.md compares with PyTorch: run python docs/make_conventions.py where that is installed")


def _run(checkout: Path, script: str, *arguments: str) -> None:
    print(f"python docs/{script} {' '.join(arguments)}".rstrip(), flush=True)
    places = [str(checkout), str(checkout / "generated"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    subprocess.run([sys.executable, checkout / "docs" / script, *arguments], env=environment, cwd=checkout, check=True)
