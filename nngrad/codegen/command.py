"""What `python -m nngrad.codegen` does, once its dependencies are known to be there."""

from __future__ import annotations

import argparse
import importlib
import keyword
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from tqdm import tqdm

from nngrad.codegen import emit
from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.ask import SPEC, find_op
from nngrad.codegen.choices import DEFAULT_PATH, Choices
from nngrad.codegen.documents import origin, refresh_pages, with_counts
from nngrad.codegen.explain import explain, warnings_of
from nngrad.codegen.judging import certificate
from nngrad.codegen.pipeline import BUDGET, compile_ops, compile_spec, load_spec
from nngrad.codegen.showing import gallery, terminal
from nngrad.codegen.stamp import Stamp
from nngrad.codegen.trace import Op, trace

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = "python -m nngrad.codegen"


def run(arguments: list[str]) -> int:
    """Run the command line; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.spec is not None and not (options.spec.is_file() and options.spec.suffix == ".py"):
            wrong = "not a Python file" if options.spec.exists() else "no such file"
            raise SpecError(
                f"{options.spec}: {wrong}", "name the Python file that holds your formulas: --spec my_ops.py"
            )
        if options.list:
            return _list(options.spec or SPEC)
        if options.explain:
            return _explain(options.spec or SPEC, options.explain)
        if options.certify is not None:
            return _certify(options)
        if options.gallery is not None:
            return _gallery(options)
        if options.spec is None and options.out is None and not (CHECKOUT / "pyproject.toml").exists():
            raise SpecError("there is no checkout to write into", "say where to write: --out FOLDER")
        if options.spec is not None and options.out is None:
            raise SpecError("--spec without --out", "name the folder of the package to write: --out my_package")
        if options.out is not None:
            _refuse_unfit(options.out.resolve())
        return _generate(options)
    except SpecError as error:
        print(f"error: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}\n  how to mend it: choose another folder", file=sys.stderr)
    return 2


def _refuse_unfit(out: Path) -> None:
    """Raise SpecError where a folder can't be a package of its own name."""
    if not out.name.isidentifier() or keyword.iskeyword(out.name):
        raise SpecError(f"{out.name!r} is not a package name", "choose a name of letters, digits and underscores")
    if out.name in {"nngrad", "numpy", *sys.stdlib_module_names}:
        raise SpecError(f"a package {out.name} would hide the one that exists", "choose another name")
    if out.exists() and not out.is_dir():
        raise SpecError(f"{out} is not a folder", "choose another name, or move that file")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Derive the ops of a spec and write them as NumPy code.")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="write nothing; show what would change and exit with 1")
    action.add_argument("--list", action="store_true", help="list the ops by family")
    action.add_argument("--explain", metavar="OP", help="show an op's formula, derivative, forms tried, and code")
    action.add_argument(
        "--certify", nargs="*", metavar="OP", help="measure the generated kernels against exact values (default: all)"
    )
    parser.add_argument(
        "--gallery", type=Path, metavar="FOLDER", help="make a static site with a page for each op; see also --check"
    )
    parser.add_argument("--search", action="store_true", help="choose all forms anew instead of reading choices.json")
    parser.add_argument("--spec", type=Path, metavar="FILE", help="a spec of your own (default: nngrad/spec)")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="the package to write (default: generated/nngrad_ops)"
    )
    parser.add_argument(
        "--budget",
        type=_seconds,
        default=BUDGET,
        metavar="SECONDS",
        help="how long one op may take (default: %(default)g)",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds


_seconds.__name__ = "number of seconds"  # as argparse calls it in its error


@contextmanager
def _progress(what: str) -> Iterator[Callable[[Sequence], Iterable]]:
    """A progress bar for going over ops, which is gone before an error is told."""
    with ExitStack() as bars:
        yield lambda ops: bars.enter_context(tqdm(ops, desc=what, unit="op", leave=False, file=sys.stderr))


def _generate(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    builtin = options.spec is None
    path = SPEC if builtin else options.spec.resolve()
    is_ours = options.out is None
    out = (options.out or CHECKOUT / "generated" / "nngrad_ops").resolve()
    command = COMMAND if builtin else f"{COMMAND} --spec {path.name} --out {out.name}"
    stamp = Stamp(path, out) if builtin and is_ours and not (options.check or options.search) else None
    if stamp is not None and stamp.is_valid():
        print(f"{out.name}: nothing changed")
        return 0
    choices = Choices(DEFAULT_PATH if builtin else None, search_again=options.search)
    with _progress("deriving") as over:
        package = compile_spec(path, command, builtin, choices, over, options.budget)
    told = package.codes if options.search or not builtin else ()  # of our own spec the certificate tells
    for code in (code for code in told if not code.op.is_word):
        for chosen in code.chosen:
            for warning in warnings_of(code.op, chosen):
                print(f"warning: {warning}", file=sys.stderr)
    files = emit.render(package)
    lock = {DEFAULT_PATH.name: choices.text} if builtin else {}
    readme = CHECKOUT / "README.md"
    documents = {}
    if builtin and is_ours and readme.exists():
        documents = {readme.name: with_counts(readme.read_text(encoding="utf-8"), package.ops)}
    if options.check:
        diff = emit.difference(files, out, is_ours) + emit.difference_of_file(lock, DEFAULT_PATH.parent)
        diff += emit.difference_of_file(documents, CHECKOUT)
        print(diff or f"{out.name}: up to date", end="" if diff else "\n")
        return 1 if diff else 0
    changed = emit.write(files, out, emit.smoke_test(out.name), is_ours)
    if builtin and CHECKOUT in DEFAULT_PATH.parents and (CHECKOUT / "pyproject.toml").exists():
        emit.write_text(DEFAULT_PATH, choices.text)
    for name, text in documents.items():
        emit.write_text(CHECKOUT / name, text)
    if stamp is not None:
        stamp.set()
    print(_summary(package.ops, changed, time.perf_counter() - started), flush=True)
    if documents:
        refresh_pages(CHECKOUT, package.ops)
    return 0


def _summary(ops: list[Op], changed: list[str], seconds: float) -> str:
    families = Counter(op.family for op in ops)
    listed = ", ".join(f"{count} {family}" for family, count in sorted(families.items()))
    return f"{_count(ops)} ({listed}) in {seconds:.1f} s; {_files(changed)}"


def _count(ops: list[Op]) -> str:
    return f"{len(ops)} {'op' if len(ops) == 1 else 'ops'}"


def _files(changed: list[str]) -> str:
    return f"{len(changed)} files changed" if changed else "nothing changed"


def _explain(path: Path, name: str) -> int:
    explanation = explain(find_op([trace(declaration) for declaration in load_spec(path)], name, path))
    print(terminal.text(explanation, colour=terminal.wants_colour(sys.stdout)), flush=True)
    return 0


def _gallery(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    builtin, folder = options.spec is None, options.gallery
    ops = [trace(declaration) for declaration in load_spec(options.spec or SPEC)]
    title = "nngrad" if builtin else options.spec.stem
    with _progress("drawing") as over:
        files = gallery.render(ops, title, Choices(DEFAULT_PATH if builtin else None), over)
    if options.check:
        changed = gallery.stale(files, folder)
        print("\n".join(f"{folder / name} is out of date" for name in changed) or f"{folder}: up to date")
        return 1 if changed else 0
    changed = gallery.write(files, folder)
    size, seconds = sum(map(len, files.values())) / 1e6, time.perf_counter() - started
    print(f"{folder / 'index.html'}: {_count(ops)}, {size:.1f} MB in {seconds:.1f} s; {_files(changed)}")
    return 0


def _list(path: Path) -> int:
    ops = [trace(declaration) for declaration in load_spec(path)]
    lines = []
    for family in sorted({op.family for op in ops}):
        own = [op for op in ops if op.family == family]
        lines.append(f"{family} ({len(own)})")
        for op in own:
            call = f"{op.name}({', '.join(one.name for one in (*op.inputs, *op.params))})"
            summary = op.doc.partition("\n")[0]
            lines.append(f"  {call:<55} {origin(op):<9}{summary}".rstrip())
    print("\n".join(lines), flush=True)
    return 0


def _certify(options: argparse.Namespace) -> int:
    path, names = options.spec or SPEC, options.certify
    ops = _ops(path)
    for name in names:
        op = find_op(list(ops.values()), name, path)
        if not op.formulas:
            raise SpecError(f"{name} is {op.family}", "name ops that have a formula to measure by")
    names = names or [op.name for op in ops.values() if op.formulas]
    with tempfile.TemporaryDirectory() as folder:
        if options.spec is not None:
            _generate_for_measuring([ops[name] for name in names], options, Path(folder) / "nngrad_measured")
        tasks = [(path, folder, name, dtype) for name in names for dtype in certificate.DTYPES]
        entries = []
        with ProcessPoolExecutor(min(os.cpu_count() or 1, len(tasks))) as pool:
            for found in tqdm(
                pool.map(_measure, *zip(*tasks, strict=True)),
                desc="measuring", unit="op", total=len(tasks), leave=False, file=sys.stderr,
            ):  # fmt: skip
                entries += found
    entries.sort(key=lambda entry: entry.dtype.itemsize)
    print(certificate.table(entries), flush=True)
    return 1 if any(entry.grade == "broken" for entry in entries) else 0


def _generate_for_measuring(ops: list[Op], options: argparse.Namespace, package: Path) -> None:
    """Write the package of some ops of the user's own, for as long as they are measured."""
    with _progress("deriving") as over:
        made = compile_ops(ops, False, Choices(None), over, options.budget)
    emit.write(emit.render(made), package, emit.smoke_test(package.name), True)


@cache  # each process traces the spec once
def _ops(path: Path) -> dict[str, Op]:
    return {op.name: op for op in map(trace, load_spec(path))}


def _measure(path: Path, folder: str, name: str, dtype) -> list[certificate.Entry]:
    if path == SPEC:
        return certificate.certify(_ops(path)[name], dtype)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    own = importlib.import_module("nngrad_measured.table").OPS
    return certificate.certify(_ops(path)[name], dtype, ops=own)
