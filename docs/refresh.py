"""Runs the code in README.md and docs/*.md, and brings the pages in step with what came out.

    python docs/refresh.py [PAGE ...]

A page is read from top to bottom, in a folder of its own:

- a `python` block runs, with the names that earlier ones defined. A comment behind `print(...)` is what it prints;
- a `python` block that begins with `# folder/file.py` is that file. If the checkout has it, or a command has made it,
  the block quotes functions from it; if not, the reader writes it;
- lines of a `sh` block that begin with `python -m nngrad.codegen --spec` run;
- a `text` block is what the block above it printed.

The tests hold every page to this.
"""

import argparse
import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w/]+\.py)\n")
PRINT = re.compile(r"^( *print\(.*\))  # .*$", re.MULTILINE)
RUN = "python -m nngrad.codegen --spec"


class OutOfStep(Exception):
    """A block that can't be brought in step by itself: where it stands, and why."""


class Reader:
    """Somebody who works through a page, in a folder of their own."""

    def __init__(self, page, folder):
        self.page, self.folder = page, folder
        self.namespace = {"__name__": page.stem}
        self.written = set()  # files that the reader wrote
        self.printed = None  # by the last block, as long as no other block has shown it

    def read(self):
        """The page as it should be."""
        before, modules = list(sys.path), set(sys.modules)
        sys.path.insert(0, str(self.folder))
        kept = mock.patch.dict(os.environ, NNGRAD_CACHE=str(self.folder / "cache"))  # by `nngrad.define`
        try:
            with contextlib.chdir(self.folder), kept:
                return BLOCK.sub(self.block, self.page.read_text(encoding="utf-8"))
        finally:
            sys.path[:] = before
            for name in set(sys.modules) - modules:
                if str(self.folder) in (getattr(sys.modules[name], "__file__", None) or ""):
                    del sys.modules[name]

    def block(self, found):
        kind, text = found.groups()
        self.line = found.string.count("\n", 0, found.start()) + 1
        if kind == "text":
            if self.printed is None:
                raise self.error("a text block shows what the block above it printed, and that printed nothing")
            text, self.printed = self.printed, None
        elif kind == "sh":
            self.printed = "".join(self.command(line) for line in text.splitlines() if line.startswith(RUN)) or None
        elif file := FILE.match(text):
            text = self.file(file[1], text)
        else:
            text = self.run(text)
        return f"```{kind}\n{text}```"

    def command(self, line):
        """What a command prints."""
        path = os.pathsep.join([str(ROOT), str(ROOT / "generated")])
        outcome = subprocess.run(
            [sys.executable, *shlex.split(line, comments=True)[1:]],
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        if outcome.returncode:
            raise self.error(f"{line} ends with {outcome.returncode}:\n{outcome.stderr}")
        return outcome.stdout

    def file(self, name, text):
        """Write a file, or quote it."""
        existing = [folder / name for folder in (self.folder, ROOT) if (folder / name).exists()]
        if name in self.written or not existing:
            self.written.add(name)
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")
            return text
        parts, lines = parts_of(existing[0].read_text(encoding="utf-8")), text.splitlines()
        quoted = parts_of(text)
        missing = [one for one in quoted if one not in parts]
        if missing or not quoted:
            raise self.error(f"{name} has no {', '.join(missing) or 'such function'}; quote what it has")
        for one, (first, last, _) in reversed(quoted.items()):
            lines[first:last] = [parts[one][2]]
        return "\n".join(lines) + "\n"

    def run(self, text):
        """Run a block; its print comments as they should be."""
        file = self.folder / f"{self.page.stem}_line_{self.line}.py"  # a file, so that a function's source is found
        file.write_text(text, encoding="utf-8")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(text, str(file), "exec", dont_inherit=True), self.namespace)
        self.printed = out.getvalue() or None
        shown = PRINT.findall(text)
        if not shown:
            return text
        lines, self.printed = out.getvalue().splitlines(), None
        if len(lines) != len(shown):
            raise self.error(
                f"{len(shown)} prints have a comment, but {len(lines)} lines were printed:\n{out.getvalue()}"
            )
        lines = iter(lines)
        return PRINT.sub(lambda one: f"{one[1]}  # {next(lines)}", text)

    def error(self, problem):
        return OutOfStep(f"{shown(self.page)}:{self.line}: {problem}")


def shown(page):
    """How a page is called."""
    return page.relative_to(ROOT) if page.is_relative_to(ROOT) else page.name


def parts_of(source):
    """{name: (first line, line behind the last, source)} of the functions and assignments at the top of a file."""
    lines, parts = source.splitlines(), {}
    for node in ast.parse(source).body:
        first, last = node.lineno - 1, node.end_lineno
        if isinstance(node, ast.FunctionDef):
            name, first = node.name, min([first, *(one.lineno - 1 for one in node.decorator_list)])
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        else:
            continue
        parts[name] = first, last, "\n".join(lines[first:last])
    return parts


def refreshed(page, folder):
    """A page as it should be; its reader works in `folder`."""
    return Reader(page, folder).read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="PAGE", type=Path, help="README.md and docs/*.md if none is named")
    for page in [page.resolve() for page in parser.parse_args().pages] or PAGES:
        with tempfile.TemporaryDirectory() as folder:
            text = refreshed(page, Path(folder).resolve())
        changed = text != page.read_text(encoding="utf-8")
        if changed:
            page.write_text(text, encoding="utf-8", newline="\n")
        print(f"{shown(page)}: {'brought in step' if changed else 'in step'}", file=sys.stderr)
