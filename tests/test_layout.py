"""The house rules that a reader relies on: which way imports run, how long files are, what importing nngrad loads."""

import ast
import re
import subprocess
import sys

import pytest
from conftest import ROOT

STAGES = (
    "remembered", "texts", "symbols", "small", "exact", "vocabulary", "words", "log_words", "exp_words", "share_words",
    "piece_words", "turn_words", "gaussians", "exponentials", "language", "budget", "readable", "formula", "mistakes",
    "instrument", "record", "steps", "trace", "plain", "notation", "restage", "settled", "identities", "roots",
    "several", "remainders", "recognise", "logarithms", "factors", "far", "units", "terms", "deviations", "shift",
    "members", "shares", "ratios", "rescale", "rewrite", "derive", "picks", "certify", "joint", "literals", "quotients",
    "node", "branches", "exponents", "chance", "signs", "lower", "guards", "series", "errors", "simulation", "rounding",
    "forms", "infix", "schedule", "cost", "piecewise", "parts", "wide", "poles", "ordinary", "balance", "again",
    "equal", "chosen", "elementwise", "selection", "choices", "slopes", "comments", "numpy_code", "tensor_code",
    "bodies", "assemble", "contract", "latex", "approximate", "emit", "stamp", "pipeline", "samples", "certificate",
    "records", "kinks", "explain", "plots", "terminal", "page", "gallery", "ask", "define", "documents", "command",
    "__main__",
)  # fmt: skip
SHOWN = {"plots", "terminal", "page", "gallery"}  # what makes an explanation visible
JUDGES = {  # they know floats
    "certify", "errors", "simulation", "rounding", "again", "series", "samples", "certificate", "kinks", "plots",
}  # fmt: skip
GENERATOR_NEEDS = {"sympy", "jinja2", "mpmath", "tqdm", "pygments", "latex2mathml"}
NEVER_LOADED = {*GENERATOR_NEEDS, "graphviz", "scipy", "matplotlib", "sklearn", "torch", "hypothesis", "pytest"}
NNGRAD = sorted((ROOT / "nngrad").rglob("*.py"))
GENERATED = sorted((ROOT / "generated" / "nngrad_ops").rglob("*.py"))
CODEGEN = [path for path in NNGRAD if "codegen" in path.parts]
MAPS = [path for path in CODEGEN if path.stem == "__init__"]  # of the generator, and of each of its folders
FOLDERS = {path.parent.name for path in MAPS[1:]}
SPEC = sorted((ROOT / "nngrad" / "spec").glob("*.py"))
LIBRARY = [path for path in NNGRAD if "codegen" not in path.parts and path not in SPEC]


def name(path):
    return path.relative_to(ROOT).as_posix()


def imported(path):
    """The full names of everything a file imports, wherever in it: modules, and modules' attributes."""
    package = [part for part in path.relative_to(ROOT).parent.parts if part != "generated"]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            argument = node.args[0]
            yield argument.value if isinstance(argument, ast.Constant) else "nngrad.?"


def roots(path):
    return {one.partition(".")[0] for one in imported(path)}


def within(one, package):
    return one == package or one.startswith(f"{package}.")


def test_the_spec_knows_the_language_alone():
    modules = {one.rpartition(".")[0] for path in SPEC for one in imported(path)}
    assert modules <= {"nngrad.codegen.language", *(f"nngrad.spec.{path.stem}" for path in SPEC)}


@pytest.mark.parametrize("path", CODEGEN, ids=name)
def test_stages_import_earlier_stages(path):
    if path.stem == "__init__":
        assert not list(imported(path))
        return
    earlier = STAGES[: STAGES.index(path.stem)]
    if path.stem == "certify":
        earlier = (
            "texts",
            "symbols",
            "exact",
            "vocabulary",
            "words",
            "language",
            "trace",
        )  # the oracle sees no derivative, and no rewriting
    for one in imported(path):
        if within(one, "nngrad") and (path.stem, one) != ("mistakes", "nngrad.spec"):
            assert one.startswith("nngrad.codegen."), f"the generator works without the library, so not with {one}"
            stage = next(part for part in one.split(".")[2:] if part not in FOLDERS)
            if path.stem == "explain" and stage in ("terminal", "page"):
                continue  # an explanation asks them to show it
            assert stage in earlier, f"{path.stem} comes before {stage}"
    measured = {"certificate": {"nngrad_ops"}, "command": {"nngrad_measured"}}.get(path.stem, set())
    shown = {"pygments", "latex2mathml", "markupsafe", "matplotlib"} if path.stem in SHOWN else set()
    needed = {"nngrad", "numpy", "sympy", "mpmath", "jinja2", "tqdm", *sys.stdlib_module_names}
    assert roots(path) <= needed | measured | shown
    assert "numpy" not in roots(path) or path.stem in JUDGES, "what is generated is decided exactly, without NumPy"


def test_every_stage_has_its_place():
    assert {path.stem for path in CODEGEN} == {*STAGES, "__init__"}


def docstring(path):
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MAPS, ids=name)
def test_a_folder_of_the_generator_has_a_map_that_names_all_in_it(path):
    inside = {one.stem for one in path.parent.iterdir() if one.suffix == ".py" or one.name in FOLDERS} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", docstring(path))) == inside


def test_modules_are_in_their_stage():
    stages = dict(re.findall(r"^Stage (\d), \w+: (.*?)(?=^\S|\Z)", docstring(MAPS[0]), re.MULTILINE | re.DOTALL))
    for path in CODEGEN:
        if number := re.match(r"Stage (\d)", docstring(path)):
            room = path.stem if path.parent == MAPS[0].parent else path.parent.name
            assert room == "__init__" or f"`{room}`" in stages[number[1]], f"{name(path)} is in another stage"


@pytest.mark.parametrize("path", GENERATED, ids=name)
def test_generated_code_imports_numpy_and_itself(path):
    named_by_table = {"nngrad"} if path.stem == "op" else set()  # `import_module` of what the table names, when needed
    assert roots(path) <= {"numpy", "nngrad_ops", *sys.stdlib_module_names, *named_by_table}
    absolute = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and not node.level
    ]
    assert all(node.module.partition(".")[0] != "nngrad_ops" for node in absolute), "it must not know where it stands"


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_the_library_knows_no_generator(path):
    asked_for = {"graphviz"} if path.stem == "drawing" else set()
    assert roots(path) <= {"nngrad", "nngrad_ops", "numpy", *sys.stdlib_module_names} | asked_for
    assert not [one for one in imported(path) if within(one, "nngrad.codegen") or within(one, "nngrad.spec")]


@pytest.mark.parametrize("statement", ["import nngrad", "from nngrad import Tensor; import nngrad.nn, nngrad.optim"])
def test_importing_nngrad_loads_little(statement):
    loaded = loaded_by(statement)
    assert not NEVER_LOADED & {one.partition(".")[0] for one in loaded}
    assert "numpy.random" not in loaded - loaded_by("import numpy"), "a quarter of NumPy's time, for who draws nothing"


def loaded_by(statement):
    command = [sys.executable, "-W", "error", "-c", f"import sys; {statement}; print(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split())


@pytest.mark.parametrize("path", NNGRAD, ids=name)
def test_files_say_what_they_are_and_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert text.count("\n") < 600, "this file wants to be two"


def test_the_runtime_has_what_kernels_call():
    from nngrad_ops import runtime

    sources = [*GENERATED, *CODEGEN, *(ROOT / "templates").glob("*.j2")]
    called = {one for path in sources for one in re.findall(r"\bruntime\.([a-z]\w+)", path.read_text(encoding="utf-8"))}
    assert not {one for one in called if not hasattr(runtime, one)}


@pytest.mark.parametrize("path", GENERATED, ids=name)
def test_generated_files_say_where_they_come_from(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert "Generated by `python -m nngrad.codegen` from nngrad/spec through templates/" in docstring
    template = docstring.partition("templates/")[2].partition(".j2")[0] + ".j2"
    assert (ROOT / "templates" / template).exists()
