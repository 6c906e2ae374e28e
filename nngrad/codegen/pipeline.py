"""All stages in order: a spec file becomes a package."""

from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from nngrad.codegen import language
from nngrad.codegen.assemble import Code, assemble
from nngrad.codegen.bodies import differentiated, output_is_residual
from nngrad.codegen.choices import Choices
from nngrad.codegen.contract import assemble_contraction
from nngrad.codegen.derive import Derivatives
from nngrad.codegen.emit import Package
from nngrad.codegen.language import Declaration
from nngrad.codegen.selection import Chosen, Tried, choose_forms
from nngrad.codegen.symbols import Indexed, SpecError
from nngrad.codegen.trace import Op, place, trace

UNKNOWN_PARAMETER = 1.25


def load_spec(path: Path) -> list[Declaration]:
    """Run a spec, a file or a folder of files, and collect what it declares.

    Raises:
        SpecError: a file does not run, the spec declares nothing, or it declares a name twice.
    """
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    declared = [declaration for file in files for declaration in _declared_in(file)]
    if not declared:
        raise SpecError(
            "no op is declared", "decorate a function with @op, @activation, @loss or @norm", file=str(path)
        )
    names: set[str] = set()
    for declaration in declared:
        if declaration.name in names:
            file, line = place(declaration)
            raise SpecError(f"{declaration.name} is declared twice", "rename one of the two", file=file, line=line)
        names.add(declaration.name)
    return declared


def _declared_in(path: Path) -> list[Declaration]:
    declared: list[Declaration] = []
    token = language.DECLARED.set(declared)
    module = types.ModuleType(f"spec_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    linecache.checkcache(str(path))  # tracing reads the functions' sources again
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True), module.__dict__)
    except SpecError:
        raise
    except Exception as error:
        file, line = _place_in_a_spec(error, path)
        raise SpecError(
            f"the file does not run: {type(error).__name__}: {error}",
            "run it with python to see",
            file=str(file),
            line=line,
        ) from error
    finally:
        language.DECLARED.reset(token)
    return [one for one in declared if one.module == module.__name__]  # not those of specs that it imports


def _place_in_a_spec(error: BaseException, path: Path) -> tuple[Path, int]:
    """Where a spec goes wrong: in the file at `path`, or in one beside it that it imports."""
    if isinstance(error, SyntaxError) and error.filename:
        return Path(error.filename), error.lineno or 0
    place, frame = (path, 0), error.__traceback__
    while frame:
        file = Path(frame.tb_frame.f_code.co_filename)
        if file.parent == path.parent:
            place = file, frame.tb_lineno
        frame = frame.tb_next
    return place


def compile_op(op: Op, choices: Choices) -> Code:
    """The code of one op that has a formula."""
    if op.family == "contraction":
        if isinstance(op.contraction, Indexed):
            return assemble_contraction(op)
        positions = (-1,)
        return Code(op, (), (), positions, positions, 0, True, op.name)
    chosen = [
        choices.chosen(op, derivatives, lambda select=select: select()[0]) for derivatives, select in selections(op)
    ]
    return assemble(op, chosen)


def selections(op: Op) -> Iterator[tuple[Derivatives, Callable[[], tuple[Chosen, list[Tried]]]]]:
    """For each of an op's formulas its derivatives, and how to choose the forms to compute."""
    for written, derivatives in zip(op.formulas, differentiated(op), strict=True):
        name = "_".join([op.name, *(str(value) for _, value in written.static if isinstance(value, str))])
        yield (
            derivatives,
            partial(choose_forms, name, derivatives, written, numbers_to_try(op), output_is_residual(op)),
        )


def numbers_to_try(op: Op) -> dict[str, float]:
    """For each parameter of an op the number that its formula is judged with."""
    defaults = {param.name: param.default for param in op.params}
    return {
        name: float(default) if type(default) in (int, float) else UNKNOWN_PARAMETER
        for name, default in defaults.items()
    }


def compile_spec(
    path: Path, command: str, builtin: bool, choices: Choices, progress: Callable[[list], Iterable] = iter
) -> Package:
    """Every stage but writing the files."""
    ops = [trace(declaration) for declaration in load_spec(path)]
    structural = tuple(op for op in ops if op.family == "structural")
    if structural and not builtin:
        raise SpecError(
            f"{structural[0].name} is structural",
            "index maps belong to nngrad itself; write a formula",
            file=str(path),
            line=structural[0].line,
        )
    codes = tuple(compile_op(op, choices) for op in progress([op for op in ops if op.family != "structural"]))
    shown = "nngrad/spec" if builtin else path.name
    return Package(codes, structural, shown, command, builtin)
