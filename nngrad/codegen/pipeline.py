"""All stages in order: a spec file becomes a package."""

from __future__ import annotations

import linecache
import re
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import Indexed, SpecError
from nngrad.codegen.budget import OverBudget, within
from nngrad.codegen.choices import Choices
from nngrad.codegen.chosen import Chosen, Tried
from nngrad.codegen.derive import Derivatives
from nngrad.codegen.emit import Package
from nngrad.codegen.judging.rounding import UNKNOWN_PARAMETER
from nngrad.codegen.language import Declaration
from nngrad.codegen.lowering.assemble import Code, assemble
from nngrad.codegen.lowering.bodies import differentiated, output_is_residual
from nngrad.codegen.lowering.contract import assemble_contraction
from nngrad.codegen.selection import choose_forms
from nngrad.codegen.trace import Op, place, trace
from nngrad.codegen.tracing.mistakes import Place, check_module, instead, located, place_of_definition, raised_at

BUDGET = 300.0  # seconds for one op; the slowest formulas of our own tests take 20


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
    known: dict[str, Declaration] = {}
    for declaration in declared:
        if declaration.name in known:
            file, line = place(known[declaration.name])
            where = f"first in {Path(file).name}:{line}; " if line else ""
            wrong = SpecError(f"{declaration.name} is declared twice", f"{where}rename one of the two")
            raise located(wrong, place_of_declaration(declaration))
        known[declaration.name] = declaration
    return declared


def place_of_declaration(declaration: Declaration) -> Place | None:
    """Where an op is defined, to be shown."""
    file, line = place(declaration)
    return (place_of_definition(declaration.function) or Place(file, line)) if line else None


def _declared_in(path: Path) -> list[Declaration]:
    declared: list[Declaration] = []
    token = language.DECLARED.set(declared)
    module = types.ModuleType(f"spec_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    linecache.checkcache(str(path))  # tracing reads the functions' sources again
    try:
        text = path.read_text(encoding="utf-8")
        code = compile(text, str(path), "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except SpecError as error:
        raise located(error, raised_at(error, {str(path)})) from error
    except Exception as error:
        raise _does_not_run(error, path) from error
    finally:
        language.DECLARED.reset(token)
    own = [one for one in declared if one.module == module.__name__]  # not those of specs that it imports
    check_module(str(path), [one.name for one in own])
    return own


def _does_not_run(error: Exception, path: Path) -> SpecError:
    """What to say of a spec that can't be run, or of one beside it that it imports."""
    if isinstance(error, SyntaxError) and error.filename:
        wrong = SpecError(f"this is not Python: {error.msg}", "mend the line; the mark is where Python gave up")
        line, column = error.lineno or 0, (error.offset or 1) - 1
        end = max((error.end_offset or 0) - 1, column + 1)
        return located(wrong, Place(error.filename, line, line, column, end))
    files = {str(file) for file in path.parent.glob("*.py")}
    at = raised_at(error, files) or Place(str(path), 0)
    if isinstance(error, NameError) and error.name:
        wrong = SpecError(f"{error.name} is not defined", instead(error.name))
    elif found := re.match(r"cannot import name '(\w+)' from '(nngrad[\w.]*)'", str(error)):
        wrong = SpecError(f"{found[2]} has no {found[1]}", instead(found[1]))
    else:
        wrong = SpecError(
            f"the file does not run: {type(error).__name__}: {error}", f"run it to see: python {path.name}"
        )
    return located(wrong, at)


def compile_op(op: Op, choices: Choices, budget: float = BUDGET) -> Code:
    """The code of one op that has a formula.

    Raises:
        SpecError: index notation can't be read, or it takes longer than `budget`, in seconds.
    """
    stage = ["differentiating it"]
    try:
        return within(budget, lambda: _compiled(op, choices, stage))
    except SpecError as error:
        raise (error if error.excerpt else _shown(error, op)) from error
    except OverBudget as error:
        raise SpecError(
            f"it took longer than {budget:g} s, while {stage[0]}",
            "give it more time: --budget 900, or budget=900 in define; or write the formula in fewer and simpler parts",
            op=op.name,
            file=op.file,
            line=op.line,
        ) from error


def _shown(error: SpecError, op: Op) -> SpecError:
    """The error with the line on which the formula ends."""
    lines = range(op.line, op.line + op.source.count("\n") + 1)
    line = next((line for line in reversed(lines) if "return" in linecache.getline(op.file, line)), op.line)
    bare = SpecError(error.problem, error.mend, op=error.op or op.name)
    return located(bare, Place(op.file, line)) if op.line else bare


def _compiled(op: Op, choices: Choices, stage: list[str]) -> Code:
    if op.family == "contraction":
        if isinstance(op.contraction, Indexed):
            return assemble_contraction(op)
        positions = (-1,)
        return Code(op, (), (), positions, positions, 0, True, op.name)
    chosen = []
    for derivatives, select in selections(op):
        stage[0] = "choosing among the forms of its value and derivatives"
        chosen.append(choices.chosen(op, derivatives, lambda select=select: select()[0]))
    stage[0] = "writing its code"
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
    path: Path,
    command: str,
    builtin: bool,
    choices: Choices,
    progress: Callable[[list], Iterable] = iter,
    budget: float = BUDGET,
) -> Package:
    """Every stage but writing the files."""
    declared = load_spec(path)
    package = compile_ops([trace(one) for one in declared], builtin, choices, progress, budget)
    return replace(package, spec="nngrad/spec" if builtin else path.name, command=command)


def compile_ops(
    ops: list[Op], builtin: bool, choices: Choices, progress: Callable[[list], Iterable] = iter, budget: float = BUDGET
) -> Package:
    """The code of some ops, traced."""
    structural = tuple(op for op in ops if op.family == "structural")
    composite = tuple(op for op in ops if op.family == "composite")
    if structural and not builtin:
        _refuse(structural[0], "is structural", "index maps belong to nngrad itself; write a formula, with @op")
    if composite and builtin:
        what = "has several outputs" if composite[0].many else "has index notation beside other parts"
        _refuse(composite[0], what, "in nngrad/spec write an op for each part; a spec of your own may have it whole")
    parts = [part for op in ops if op.family != "structural" for part in op.parts]
    names = Counter(part.name for part in parts)
    for op in composite:
        taken = next((part.name for part in op.parts if names[part.name] > 1), None)
        if taken:
            _refuse(op, f"has a part {taken}, as an op is called", "rename one of the two")
    codes = tuple(compile_op(part, choices, budget) for part in progress(parts))
    return Package(codes, structural, "", "", builtin, composite)


def _refuse(op: Op, problem: str, mend: str) -> None:
    raise located(SpecError(f"{op.name} {problem}", mend), Place(op.file, op.line))
