"""`nngrad.define`: an op from its formula at once, in a notebook or a script, without files of one's own.

What is generated is kept: in the process, and in a folder for the next one. An entry is found by what the formula comes
to, with all that it refers to, and by the generator and its tools, so that none is ever out of date; a damaged one is
made anew.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import linecache
import os
import shutil
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.choices import Choices
from nngrad.codegen.emit import put, render, templates_folder
from nngrad.codegen.explain import warnings_of
from nngrad.codegen.language import Declaration
from nngrad.codegen.pipeline import BUDGET, compile_ops
from nngrad.codegen.stamp import digest_of
from nngrad.codegen.trace import trace
from nngrad.codegen.tracing.formula import Op

KEPT = 200  # entries of the folder
ENTRY = "entry.json"

_defined: dict[str, Callable] = {}
_lock = threading.RLock()


def define(formula: Callable | None = None, *, budget: float = BUDGET):
    """Make an op of a formula.

    Args:
        formula: a function as `nngrad.codegen.language` has them, with or without a decorator such as `@activation`;
            without one it is taken as `@op`. `define` may stand above it as a decorator itself.
        budget: how many seconds the derivation may take.

    Returns:
        The op: a function of Tensors, arrays and numbers, differentiable as often as you like, with the attributes
        `latex`, `source`, `vjp_source` and `jvp_source`.

    Raises:
        SpecError: the formula is wrong, takes too long, or has no source that could be read.

    Warns:
        UserWarning: no accurate form was found, with the input at which the error is largest.

    What is generated is kept in `~/.cache/nngrad`, or in the folder that the environment variable NNGRAD_CACHE names.
    """
    if formula is None:
        return partial(define, budget=budget)
    try:
        return _op_of(formula, budget)
    except SpecError as error:  # what the generator did on the way is nothing to an author
        raise error.with_traceback(None) from None


def _op_of(formula: Callable, budget: float) -> Callable:
    declaration = formula if isinstance(formula, Declaration) else language.op(formula)
    if isinstance(declaration.function, types.FunctionType):
        linecache.checkcache(declaration.function.__code__.co_filename)
    with _lock:
        op = trace(declaration)
        key = _key(op)
        if key not in _defined:
            _defined[key] = _made(op, key, declaration, budget)
    return _defined[key]


def _made(op: Op, key: str, declaration: Declaration, budget: float) -> Callable:
    folder = _cache() / f"{op.name}_{key[:16]}"
    told = _entry(folder)
    if told is None:
        files, told = _generated(op, budget)
        folder = _written(folder, files, told)
    for text in told:
        warnings.warn(f"{op.file}:{op.line}: {text}", UserWarning, stacklevel=5)
    made = getattr(_imported(folder, f"_nngrad_{op.name}_{key[:16]}"), op.name)
    made.__module__ = getattr(declaration.function, "__module__", declaration.module)
    made.__qualname__ = getattr(declaration.function, "__qualname__", op.name)
    made.declaration = declaration  # for whoever wants to explain it
    return made


def _key(op: Op) -> str:
    """A digest of what a formula comes to, and of what makes code of it."""
    steps = tuple(replace(step, op=replace(step.op, file="", line=0)) for step in op.steps)
    return hashlib.sha256(f"{_tools()}\n{replace(op, file='', line=0, steps=steps)!r}".encode()).hexdigest()


@cache
def _tools() -> str:
    return digest_of(Path(__file__).parent, templates_folder())


def _generated(op: Op, budget: float) -> tuple[dict[str, str], list[str]]:
    """The files of an op, and what is to be said of its accuracy."""
    package = compile_ops([op], False, Choices(None), budget=budget)
    told = [
        warning.partition(": ")[2].partition("\n")[0] + "\n  what to do: write the formula in other words"
        for code in package.codes
        if not code.op.is_word
        for chosen in code.chosen
        for warning in warnings_of(replace(code.op, file="", line=0), chosen)
    ]
    files = render(replace(package, spec=Path(op.file).name, command="nngrad.define"))
    return files, told


# --- the folder ---------------------------------------------------------------------------------------------------


def _cache() -> Path:
    return Path(os.environ.get("NNGRAD_CACHE") or Path.home() / ".cache" / "nngrad")


def _entry(folder: Path) -> list[str] | None:
    """What is to be said of an entry's accuracy; None if it isn't there, or not as it was written."""
    try:
        entry = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
        for name, digest in entry["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return None
        return list(entry["warnings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _written(folder: Path, files: dict[str, str], told: list[str]) -> Path:
    """Put an entry into the folder, at once; where that can't be, into a temporary one. Returns where it is."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    except OSError:
        made = Path(tempfile.mkdtemp(prefix="nngrad-"))
    for name, text in files.items():
        put(made / name, text)
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    (made / ENTRY).write_text(json.dumps({"files": digests, "warnings": told}, indent=1), encoding="utf-8")
    if made.parent != folder.parent:
        return made
    shutil.rmtree(folder, ignore_errors=True)
    try:
        made.rename(folder)
    except OSError:  # another process was here first
        if _entry(folder) is None:
            return made
        shutil.rmtree(made, ignore_errors=True)
    _discard_oldest(folder.parent)
    return folder


def _discard_oldest(folder: Path) -> None:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    except OSError:
        return
    for path in entries[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _imported(folder: Path, name: str) -> types.ModuleType:
    """The package in the folder, under a name that nothing else has."""
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
