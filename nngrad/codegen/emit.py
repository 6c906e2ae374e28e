"""Stage 7: code becomes files, through the templates, atomically.

Everything is rendered, compiled, written to a temporary folder and imported there; only then do changed files move into
place. A run that fails leaves what was there, and an unchanged file keeps its modification time.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import traceback
from dataclasses import dataclass
from pathlib import Path

import jinja2

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.emitting import approximate
from nngrad.codegen.emitting.latex import latex_of
from nngrad.codegen.language import Contract
from nngrad.codegen.lowering.assemble import Code, Function, default_source, formula_lines, quoted, signature_of
from nngrad.codegen.trace import REQUIRED, Op

LINE_LENGTH = 120
HOMES = {
    "op": ("mathematics", "Elementwise mathematics and reductions."),
    "slope": ("slopes", "Derivatives of words, which rules are made of."),
    "activation": ("activations", "Activations."),
    "loss": ("losses", "Losses."),
    "norm": ("norms", "Normalisations."),
    "contraction": ("contractions", "Contractions: products of indexed tensors, summed over indices."),
    "structural": ("structural", "Structural ops: index maps and their adjoints."),
}


@dataclass(frozen=True)
class Package:
    """What is emitted: the ops, where to, and the words of the files' headers."""

    codes: tuple[Code, ...]
    structural: tuple[Op, ...]
    spec: str
    command: str
    builtin: bool
    composite: tuple[Op, ...] = ()

    @property
    def ops(self) -> list[Op]:
        """The ops that the spec declares."""
        parts = {part.name for op in self.composite for part in op.parts}
        own = [code.op for code in self.codes if code.op.name not in parts]
        return [*own, *self.composite, *self.structural]


def templates_folder() -> Path:
    """The templates: in the checkout beside `nngrad`, in a wheel inside `nngrad/codegen`."""
    here = Path(__file__).resolve().parent
    for folder in (here / "templates", here.parent.parent / "templates"):
        if (folder / "macros.py.j2").exists():
            return folder
    raise FileNotFoundError(f"no templates beside {here}; reinstall nngrad")


def render(package: Package) -> dict[str, str]:
    """File name -> text of every file of the package."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_folder()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "source": source_of,
        "record": record_of,
        "entry": entry_of,
        "param_source": param_source,
        "stub": stub_of,
        "listed": listed,
    }
    environment.globals |= {
        "spec": package.spec,
        "command": package.command,
        "builtin": package.builtin,
        "signature": method_signature,
        "arguments": method_arguments,
        "rules_use_numpy": lambda codes: any(
            "np." in line for code in codes for function in code.rules for line in function.lines
        ),
        "helpers_import": lambda codes: _helpers_import(function for code in codes for function in code.kernels),
        "helpers_import_of_rules": lambda codes: _helpers_import(function for code in codes for function in code.rules),
    }
    files = {}

    def write(name: str, template: str, **context) -> None:
        try:
            text = environment.get_template(template).render(**context)
        except jinja2.TemplateError as error:
            raise _explained(error, template) from error
        lines = _tidy(text).split("\n")
        files[name] = "\n".join(
            wrapped(line) if line.lstrip().startswith(("def ", "return ")) or "lambda" in line else line
            for line in lines
        )

    codes = sorted(package.codes, key=lambda code: code.op.name)
    helpers = _helpers(kernel for code in codes for kernel in code.kernels)
    write("tiles.py", "tiles.py.j2")
    if package.builtin or "products" in helpers:
        write("products.py", "products.py.j2")
    numbers = {"tables": approximate.tables(), "far_from_floats": words.FAR_FROM_FLOATS}
    for template in environment.list_templates(filter_func=lambda name: name.startswith("runtime/")):
        write(template.removesuffix(".j2"), template, **numbers)
    if package.builtin or "pairs" in helpers:
        write("pairs.py", "pairs.py.j2")
    if package.builtin:
        write("rows.py", "rows.py.j2")
        for home, (module, title) in HOMES.items():
            own = [code for code in package.codes if code.op.home == home]
            template = f"{module}.py.j2" if home in ("structural", "contraction") else "kernels.py.j2"
            write(f"{module}.py", template, codes=own, title=title, ops=package.structural, composite=())
        write("rules.py", "rules.py.j2", codes=codes, structural=package.structural)
        write("op.py", "op.py.j2")
        write("table.py", "table.py.j2", codes=codes, structural=package.structural)
        methods = [code.op for code in codes if code.op.home not in ("loss", "norm", "slope")]
        write("tensor_methods.py", "tensor_methods.py.j2", methods=[*methods, *package.structural])
        write("__init__.py", "package.py.j2")
    else:
        composite = [composite_function(op) for op in package.composite]
        title = "Kernels on NumPy arrays."
        write("kernels.py", "kernels.py.j2", codes=package.codes, title=title, ops=(), composite=composite)
        write("rules.py", "rules.py.j2", codes=codes, structural=())
        write("table.py", "table.py.j2", codes=codes, structural=())
        parts = {part.name for op in package.composite for part in op.parts}
        functions = [code.op for code in package.codes if code.op.name not in parts]
        composite_ops = list(zip(package.composite, composite, strict=True))
        write(
            "__init__.py",
            "user_package.py.j2",
            ops=package.ops,
            functions=functions,
            parts=parts,
            composite_ops=composite_ops,
        )
        write("__init__.pyi", "user_package.pyi.j2", ops=package.ops)
    known = {code.op.name: code for code in package.codes}
    own = [op for op in package.ops if op.family != "structural" and not isinstance(op.contraction, Contract)]
    formulas = [(op.name, latex_of(op, known)) for op in own]
    write("latex.py", "latex.py.j2", formulas=formulas)
    return files


def composite_function(op: Op) -> Function:
    """A composite op: its steps, called one after another."""
    outputs = [step for step in op.steps if step.value in op.outputs]
    extra = dict(pair for step in outputs for pair in signature_of(step.op))  # keepdims or reduction, after the others
    extra = {name: source for name, source in extra.items() if name not in {param.name for param in op.params}}
    given = [f"{one.name}=None" if one.optional else one.name for one in op.inputs]
    given += [param_source(op, param) for param in op.params] + list(extra.values())
    lines = []
    for step in op.steps:
        passed = [name for name, _ in signature_of(step.op) if name not in extra or step in outputs]
        call = f"{step.op.name}({', '.join([*step.arguments, *(f'{name}={name}' for name in passed)])})"
        lines.append(f"{step.value} = {call}")
    if op.many:
        lines.append(f"return {', '.join(op.outputs)}{',' if len(op.outputs) == 1 else ''}")
    else:
        lines[-1] = "return " + lines[-1].partition(" = ")[2]
    what = "Outputs" if op.many else "Output"
    doc = [*op.doc.splitlines(), "", "Formula:", *(f"    {line}" for line in formula_lines(op)), ""]
    doc.append(f"{what}: {', '.join(op.outputs)}; each step is an op, and has its derivative where it stands.")
    return Function(op.name, tuple(given), tuple(doc), tuple(lines))


def _explained(error: jinja2.TemplateError, template: str) -> SpecError:
    """A mistake in a template, with the line where Jinja met it."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno) for frame in frames if frame.filename.endswith(".j2")]
    if isinstance(error, jinja2.TemplateSyntaxError):
        places.append((error.filename or template, error.lineno))
    file, line = places[-1] if places else (template, 0)
    problem = "there is no such template" if isinstance(error, jinja2.TemplateNotFound) else error.message
    return SpecError(f"the template does not render: {problem}", "mend the template", file=file, line=line)


# --- filters ----------------------------------------------------------------------------------------------------------


def source_of(function: Function) -> str:
    """A function as Python source."""
    if function.twin:
        return f"{function.name} = {function.twin}  # the Jacobian is symmetric"
    lines = [f"def {function.name}({', '.join(function.parameters)}):"]
    if function.doc:
        if len(function.doc) == 1:
            lines.append(f'    """{function.doc[0]}"""')
        else:
            lines += [
                f'    """{function.doc[0]}',
                *(_folded(f"    {line}".rstrip()) for line in function.doc[1:]),
                '    """',
            ]
    code = [lines[0], *(f"    {line}" for line in function.lines)]
    return "\n".join([wrapped(code[0]), *lines[1:], *(wrapped(line) for line in code[1:])])


def _folded(line: str) -> str:
    """A long line of a docstring, broken between words."""
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line.lstrip(), LINE_LENGTH, initial_indent=indent, subsequent_indent=indent + "    ") or ""


def _helpers(functions) -> list[str]:
    """The modules of helpers that the code calls."""
    lines = [line for function in functions for line in function.lines]
    modules = ("pairs", "products", "runtime")
    return [module for module in modules if any(re.search(rf"\b{module}\.", line) for line in lines)]


def _helpers_import(functions) -> str:
    called = _helpers(functions)
    return f"from . import {', '.join(called)}" if called else ""


def param_source(op: Op, param) -> str:
    return param.name if param.default is REQUIRED else f"{param.name}={default_source(param.default)}"


def stub_of(op: Op) -> str:
    """The signature of an op with types."""
    params = dict(pair for part in op.parts for pair in signature_of(part))
    params = {param.name: param_source(op, param) for param in op.params} | params
    axes = {axis for part in op.parts for formula in part.formulas for axis in formula.axes}
    given = [f"{one.name}: Tensor | ArrayLike" + " | None = None" * one.optional for one in op.inputs]
    if any(one.optional for one in op.inputs) and any("=" not in source for source in params.values()):
        given.append("*")
    for name, source in params.items():
        default = source.partition("=")[2]
        given.append(f"{name}: {_type_of(name, default, axes)}" + (f" = {default}" if default else ""))
    one = f"tuple[{', '.join(['Tensor'] * len(op.outputs))}]" if op.many else "Tensor"
    return wrapped(f"def {op.name}({', '.join(given)}) -> {one}: ...")


def _type_of(name: str, default: str, axes: set[str]) -> str:
    if name in axes:
        return "int | tuple[int, ...] | None"
    if default in ("True", "False"):
        return "bool"
    if default.startswith('"'):
        return "str"
    return "float | None" if default == "None" else "float"


def listed(names) -> str:
    """A package's `__all__`, one name a line where they are too many for one."""
    parts = [quoted(name) for name in ("OPS", "kernels", *names)]
    line = f"__all__ = [{', '.join(parts)}]"
    return line if len(line) <= LINE_LENGTH else "\n".join(["__all__ = [", *(f"    {part}," for part in parts), "]"])


def entry_of(code: Code, builtin: bool) -> str:
    """An op's row in the table."""
    module = HOMES[code.op.home][0] if builtin else "kernels"
    return _record(
        code.op,
        module,
        code.saves,
        code.residuals,
        code.reads_values,
        code.keeps_integers,
        code.costs,
        code.fills,
        code.spends,
        code.spends_g,
        _ufunc_of(code),
    )


def _ufunc_of(code: Code) -> str:
    """The name of NumPy's function that is all of an op's kernel, or ''."""
    kernel = next((one for one in code.kernels if one.name == code.op.name), None)
    given = ", ".join([*(one.name for one in code.op.inputs), "out=out"])
    found = kernel and re.fullmatch(rf"return np\.(\w+)\({re.escape(given)}\)", "\n".join(kernel.lines))
    return found[1] if found else ""


def record_of(op: Op) -> str:
    """A structural op's row in the table: its cotangent needs the inputs' shapes alone."""
    variadic = op.inputs[0].variadic
    residuals = (-1,) if variadic else tuple(range(len(op.inputs)))
    return _record(op, "structural", 0, residuals, (), True)


def _record(
    op: Op, module: str, saves: int, residuals, reads, keeps: bool, costs=(0, 0), fills=(), spends=0, spends_g=False,
    ufunc="",
) -> str:  # fmt: skip
    params = {
        param.name: default_source(param.default) if param.default is not REQUIRED else "..." for param in op.params
    }
    params |= {key: source.split("=", 1)[1] for key, source in signature_of(op) if key not in params}
    listed = ", ".join(f'"{key}": {value}' for key, value in params.items())
    fields = [
        f'name="{op.name}"', f'home="{op.home}"', f'family="{op.family}"', f'module="{module}"',
        f"inputs={_tuple(quoted(('*' if one.variadic else '') + one.name) for one in op.inputs)}",
    ]  # fmt: skip
    if any(one.optional for one in op.inputs):
        fields.append(f"defaults={_tuple('None' if one.optional else '...' for one in op.inputs)}")
    if not all(one.differentiable for one in op.inputs):
        fields.append(f"differentiable={_tuple(str(one.differentiable) for one in op.inputs)}")
    others = {
        "params": f"{{{listed}}}", "keeps_integers": keeps, "saves": saves, "many": op.many,
        "residuals": _tuple(map(str, residuals)), "reads_values": _tuple(map(str, reads)),
        "cost": costs[0], "vjp_cost": costs[1],
    }  # fmt: skip
    fields += [f"{key}={value}" for key, value in others.items() if value not in ("{}", 0, "()")]
    if op.row_axis:
        fields += [f"axis={quoted(op.row_axis)}", f"fills={_tuple(map(str, fills))}"]
    if spends:
        fields.append(f"spends={spends}")
    if spends_g:
        fields.append("spends_g=True")
    if ufunc:
        fields.append(f"ufunc={quoted(ufunc)}")
    return "Op(\n" + "".join(f"    {one},\n" for one in fields) + ")"


def _tuple(parts) -> str:
    parts = list(parts)
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def method_signature(op: Op) -> str:
    """The parameters of an op as a Tensor method."""
    rest = [f"{one.name}=None" if one.optional else one.name for one in op.inputs[1:]]
    params = [source for _, source in signature_of(op)]
    own = [f"*{op.inputs[0].name}"] if op.inputs[0].variadic else []
    return ", ".join(["self", *own, *rest, *params])


def method_arguments(op: Op) -> str:
    """What an op's Tensor method passes on."""
    first = ["self", *([f"*{op.inputs[0].name}"] if op.inputs[0].variadic else [])]
    return ", ".join(
        [*first, *(one.name for one in op.inputs[1:]), *(f"{name}={name}" for name, _ in signature_of(op))]
    )


def wrapped(line: str) -> str:
    """A call or definition, broken inside its brackets where it is too long, as ruff format would; or a comment."""
    if len(line) <= LINE_LENGTH:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    if line.lstrip().startswith("# "):
        return textwrap.fill(line.lstrip(), LINE_LENGTH, initial_indent=indent, subsequent_indent=f"{indent}#     ")
    if "(" not in line or line.lstrip().startswith('"'):
        return line
    if line.lstrip().startswith("lambda "):
        head, _, total = line.removesuffix(",").partition(": ")
        return "\n".join([f"{head}: (", *(f"{indent}    {term}" for term in _terms(total)), f"{indent}),"])
    opening = _outermost_bracket(line)
    if opening is None:
        return line
    closing = _matching(line, opening)
    inner = line[opening + 1 : closing]
    head, tail = line[: opening + 1], line[closing:]
    if len(f"{indent}    {inner}") <= LINE_LENGTH and not inner.endswith(","):
        return f"{head}\n{indent}    {inner}\n{indent}{tail}"
    parts = _split(inner)
    is_group = len(parts) == 1 and not inner.endswith(",") and not re.search(r"[\w\])][(]$", head)
    parts = _terms(inner) if is_group else [f"{part}," for part in parts]  # a comma would make a tuple of a group
    return "\n".join([head, *(wrapped(f"{indent}    {part}") for part in parts), f"{indent}{tail}"])


def _terms(total: str) -> list[str]:
    """The terms of a sum, each but the first with its sign before it."""
    terms, depth = [[]], 0
    for word in total.split(" "):
        terms += [[]] if word in ("+", "-") and depth == 0 else []
        terms[-1].append(word)
        depth += word.count("(") - word.count(")")
    return [" ".join(term) for term in terms]


def _outermost_bracket(line: str) -> int | None:
    """The bracket whose contents are the most of the line."""
    depth, best, stack = 0, None, []
    for position, letter in enumerate(line):
        if letter in "([{":
            stack.append(position)
        elif letter in ")]}":
            start = stack.pop()
            if not stack and (best is None or position - start > best[1]):
                best = (start, position - start)
    del depth
    return best[0] if best else None


def _matching(line: str, opening: int) -> int:
    depth = 0
    for position in range(opening, len(line)):
        depth += line[position] in "([{"
        depth -= line[position] in ")]}"
        if depth == 0:
            return position
    raise ValueError(line)


def _split(text: str) -> list[str]:
    parts, depth, start, is_quoted = [], 0, 0, False
    for position, letter in enumerate(text):
        is_quoted ^= letter == '"'
        if is_quoted:
            continue
        depth += letter in "([{" or text.startswith("lambda ", position)
        depth -= letter in ")]}:"  # the last of these ends what a lambda takes
        if letter == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [part for part in [*parts, text[start:].strip()] if part]


def _tidy(text: str) -> str:
    """No trailing spaces, at most two blank lines, one newline at the end."""
    lines = [line.rstrip() for line in text.split("\n")]
    kept = [line for position, line in enumerate(lines) if line or position < 2 or any(lines[position - 2 : position])]
    return "\n".join(kept).strip("\n") + "\n"


# --- files ------------------------------------------------------------------------------------------------------------


MARK = "Generated by `python -m nngrad.codegen"


def _present(files: dict[str, str], folder: Path, is_ours: bool) -> dict[str, str]:
    """Generated files where the new ones go: all, where the folder is the generator's own, else those with its mark."""
    folders = sorted({(folder / name).parent for name in files})
    paths = [path for one in folders if one.is_dir() for path in sorted(one.iterdir())]
    paths = [path for path in paths if path.suffix in (".py", ".pyi")]
    texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return {name: text for name, text in texts.items() if is_ours or MARK in text}


def difference(files: dict[str, str], folder: Path, is_ours: bool) -> str:
    """A unified diff from the folder to the files; '' where they agree."""
    present = _present(files, folder, is_ours)
    diff = []
    for name in sorted(present.keys() | files.keys()):
        diff += difflib.unified_diff(
            present.get(name, "").splitlines(True),
            files.get(name, "").splitlines(True),
            f"{folder.name}/{name}",
            f"regenerated/{name}",
        )
    return "".join(diff)


def difference_of_file(files: dict[str, str], folder: Path) -> str:
    """A unified diff of single files, other files of the folder left alone."""
    diff = []
    for name, text in files.items():
        old = (folder / name).read_text(encoding="utf-8") if (folder / name).exists() else ""
        diff += difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, f"regenerated/{name}")
    return "".join(diff)


def put(path: Path, text: str) -> None:
    """Write one file, the folder too that it is in."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_text(path: Path, text: str) -> None:
    """Write one file, if it changed, at once."""
    if _differs(path, text):
        temporary = path.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, path)


def smoke_test(name: str) -> str:
    """Python source that imports a new package, and finds every function of it."""
    return (
        f"from {name}.table import OPS\n"
        "assert all(op.kernel and op.forward and op.vjp and op.jvp for op in OPS.values())\n"
        "assert all(op.pullback and op.pushforward for op in OPS.values())"
    )


def write(files: dict[str, str], folder: Path, smoke: str, is_ours: bool) -> list[str]:
    """Put the files into the folder; returns the names of those that changed.

    `smoke` is Python source run in a fresh interpreter with the new package importable under the folder's name. A
    folder that `is_ours` holds nothing but generated files; in any other, files without the generator's mark are left
    alone.

    Raises:
        SpecError: the folder holds a file of such a name that was not generated, or what was generated does not
            compile or fails the smoke test; the folder is as it was.
    """
    present = _present(files, folder, is_ours)
    for name in files:
        if (folder / name).exists() and name not in present:
            raise SpecError(
                f"{folder / name} was not made by this command and would be overwritten",
                "choose another folder with --out",
            )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".generating-") as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        for name, text in files.items():
            try:
                compile(text, f"{folder.name}/{name}", "exec")
            except SyntaxError as error:
                raise SpecError(
                    f"what is generated is not Python: {error.msg}",
                    "mend the template that the file comes from; if it was not changed, please report this",
                    file=f"{folder.name}/{name}",
                    line=error.lineno or 0,
                ) from error
            put(made / name, text)
        _smoke(temporary, smoke)
        changed = [name for name in sorted(files) if present.get(name) != files[name]]
        folder.mkdir(exist_ok=True)
        for name in changed:
            (folder / name).parent.mkdir(exist_ok=True)
            os.replace(made / name, folder / name)
    stale = sorted(present.keys() - files.keys())
    for name in stale:
        (folder / name).unlink()
    return [*changed, *stale]


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text


def _smoke(temporary: str, smoke: str) -> None:
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([temporary, str(root), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", smoke], env=environment, cwd=temporary, capture_output=True, text=True
    )
    if run.returncode:
        raise SpecError(
            "the generated package does not import:\n" + run.stderr,
            "this is a defect of the generator: please report it",
        )
