"""Errors that teach: every mistake in a spec is answered with its place, the expression, and what to write instead."""

import contextlib
import linecache
import math
import re
import subprocess
import sys
import threading
import time
import types

import pytest

pytest.importorskip("sympy")

import sympy
from conftest import ROOT

import nngrad
from nngrad.codegen import budget, command, pipeline, trace
from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.choices import Choices
from nngrad.codegen.language import Declaration

HEAD = "from nngrad.codegen.language import *\n\n"
TEXT = (ROOT / "tests" / "specs" / "mistakes.txt").read_text(encoding="utf-8")
CASES = {}
for case in TEXT.split("\n---- ")[1:]:
    title, _, rest = case.partition("\n")
    source, problem, mend = re.fullmatch(r"(.*\n)error: (.*)\nhow to mend it: (.*)", rest.rstrip(), re.DOTALL).groups()
    CASES[title] = (source if "nngrad.codegen.language" in source else HEAD + source, problem, mend)


@pytest.fixture(autouse=True)
def no_litter(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def expected(source, problem, mend, file):
    """The whole message, with carets under the expression that the case marks."""
    lines = source.splitlines()
    number, line = next((number, line) for number, line in enumerate(lines, 1) if "«" in line)
    start, end = line.index("«"), line.index("»") - 1
    plain = line.replace("«", "").replace("»", "")
    indent = len(plain) - len(plain.lstrip())
    shown = [f"    {plain.strip()}"]
    if plain[start:end].strip() != plain.strip():
        shown.append(" " * (4 + start - indent) + "^" * (end - start))
    return "\n".join([f"{file}:{number}: {problem}", *shown, f"  how to mend it: {mend}"])


def as_said(text, expected):
    """An error without the mark below a line, if none is expected: newer versions of Python know more places."""
    return "\n".join(line for line in text.rstrip().split("\n") if "^" in expected or line.strip("^ "))


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_answered(tmp_path, capsys, monkeypatch, case):
    """By the command with code 2, and nothing written; by `define` with the same words."""
    if "never ends" in case:
        monkeypatch.setattr(trace, "TRACING_SECONDS", 0.5)
    source, problem, mend = CASES[case]
    file = tmp_path / "my_ops.py"
    file.write_text(source.replace("«", "").replace("»", ""), encoding="utf-8")
    text = expected(source, problem, mend, file)
    assert command.run(["--spec", str(file), "--out", str(tmp_path / "my_package")]) == 2
    captured = capsys.readouterr()
    assert as_said(captured.err[captured.err.index("error: ") :], text) == f"error: {text}"
    assert captured.out == "" and [path.name for path in tmp_path.iterdir()] == ["my_ops.py"]
    if not problem.startswith("in f: "):
        return  # of the file, not of a formula
    module = types.ModuleType("spec_my_ops")
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), module.__dict__)
    with pytest.raises(SpecError) as raised:
        nngrad.define(module.f)
    assert as_said(str(raised.value), text) == text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("@op\ndef f(x):\n    return x\n", ["my_ops.py:1: op is not defined", "language import op"]),
        ("def f(x):\n    return x +\n", ["my_ops.py:2: this is not Python: invalid syntax", "return x +\n", "^"]),
        ("def f(x):\n    y = x\n  return y\n", ["my_ops.py:3: this is not Python: unindent does not match", "^"]),
        ("def f(x):\n    return x\n", ["my_ops.py: no op is declared", "decorate a function with @op"]),
    ],
    ids=["no import", "syntax", "indentation", "no op"],
)
def test_a_file_that_is_no_spec(tmp_path, capsys, source, words):
    (tmp_path / "my_ops.py").write_text(source)
    assert command.run(["--spec", str(tmp_path / "my_ops.py"), "--out", str(tmp_path / "my_package")]) == 2
    told = capsys.readouterr().err
    assert not [word for word in [*words, "how to mend it: "] if word not in told], told


def test_a_function_of_pytorch_is_named(tmp_path, capsys, monkeypatch):
    torch = types.ModuleType("torch")
    torch.exp = lambda x: x
    monkeypatch.setitem(sys.modules, "torch", torch)
    (tmp_path / "my_ops.py").write_text("import torch\n" + HEAD + "@op\ndef f(x):\n    return torch.exp(x)\n")
    assert command.run(["--spec", str(tmp_path / "my_ops.py"), "--out", str(tmp_path / "my_package")]) == 2
    assert "torch.exp belongs to PyTorch" in capsys.readouterr().err


FINE = {  # what looks like a mistake and is none
    "a local shadows a word": ("log = x + 1\n    return log * x", lambda x: (x + 1) * x),
    "an input is assigned to": ("x = x + 1\n    return x * x", lambda x: (x + 1) ** 2),
    "augmented assignment": ("y = x\n    y += 2 * x\n    y *= x\n    return y", lambda x: 3 * x * x),
    "a lambda": ("h = lambda v: v * 0.1\n    return h(x) + 1", lambda x: 0.1 * x + 1),
    "a comprehension": ("a, b = [x * n for n in (2, 3)]\n    return a * b", lambda x: 6 * x * x),
    "names beyond ASCII": ("\u03c3 = x / 2\n    return \u03c3 * \u03c3", lambda x: x * x / 4),
    "types": ("y: 'np.ndarray' = x * x\n    z: Tensor = y + 1\n    return z", lambda x: x * x + 1),
    "an assignment inside": ("return (y := x * x) / (1 + y)", lambda x: x * x / (1 + x * x)),
    "numbers of Python's and NumPy's": (
        "return x / math.sqrt(2 * np.pi) + math.log(2)",
        lambda x: x / (2 * math.pi) ** 0.5 + math.log(2),
    ),
    "constants of the file": ("return RATE * x + cube(x)", lambda x: 0.1 * x + x**3 / 3),
}


@pytest.mark.parametrize("case", FINE)
def test_what_is_no_mistake(tmp_path, case):
    body, value = FINE[case]
    before = "import math\nimport numpy as np\n\nRATE = 0.1\n\ndef cube(v):\n    return v**3 / 3\n\n"
    file = tmp_path / "fine.py"
    file.write_text(f"{HEAD}{before}@op\ndef f(x):\n    {body}\n", encoding="utf-8")
    op = trace.trace(pipeline.load_spec(file)[0])
    (formula,) = op.formulas
    expr = formula.output
    for stage in reversed(formula.stages):
        expr = expr.xreplace({stage.value: stage.expr})
    assert not expr.atoms(sympy.Float), "numbers are exact"
    for x in (0.7, 3.2, -1.6):
        assert float(expr.xreplace({formula.inputs[0]: sympy.Float(x)})) == pytest.approx(value(x))


# --- budget -----------------------------------------------------------------------------------------------------------

SLOW = HEAD + "@op\ndef f(x):\n    return sigmoid(x) * log(1 + exp(x)) / (1 + x**2) + tanh(x) ** 3 * exp(-x)\n"


def test_a_derivation_over_its_budget(tmp_path, capsys):
    (tmp_path / "my_ops.py").write_text(SLOW)
    arguments = ["--spec", str(tmp_path / "my_ops.py"), "--out", str(tmp_path / "my_package")]
    assert command.run([*arguments, "--budget", "0.05"]) == 2
    told = capsys.readouterr().err
    assert re.search(r"my_ops\.py:\d+: in f: it took longer than 0\.05 s, while \w+", told)
    assert "--budget 900" in told and [path.name for path in tmp_path.iterdir()] == ["my_ops.py"]


def test_the_budget_holds_in_every_thread(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    (declaration,) = pipeline.load_spec(tmp_path / "slow.py")
    found = []

    def work():
        try:
            pipeline.compile_op(trace.trace(declaration), Choices(None), 0.05)
        except SpecError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert "it took longer than 0.05 s" in str(found[0])


def test_after_the_budget_nothing_is_raised(monkeypatch):
    """Wherever the exception comes, at the end or at the very beginning too, it comes once, and inside."""
    monkeypatch.setattr(budget, "AGAIN_AFTER", 0.05)
    for seconds in (0.0, 0.00001, *([0.001] * 20)):
        with contextlib.suppress(budget.OverBudget):
            budget.within(seconds, lambda: time.sleep(0.0009))
    assert budget.within(5.0, lambda: 3) == 3
    for _ in range(50):  # places at which a late exception would arrive
        time.sleep(0.004)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_budget_is_a_number_of_seconds(text, capsys):
    with pytest.raises(SystemExit):
        command.run(["--list", f"--budget={text}"])
    assert f"invalid number of seconds value: '{text}'" in capsys.readouterr().err


# --- define alone -----------------------------------------------------------------------------------------------------


def test_without_source_define_says_what_to_do():
    namespace = {}
    exec(compile("def f(x):\n    return x\n", "<typed>", "exec"), namespace)
    linecache.cache.pop("<typed>", None)
    with pytest.raises(SpecError, match="the source of f can't be read") as raised:
        nngrad.define(namespace["f"])
    assert "in a file, or in a cell of a notebook" in str(raised.value)


def test_a_formula_may_be_declared_where_no_module_has_a_name():
    namespace = {}
    exec("from nngrad.codegen.language import op\n\n\n@op\ndef f(x):\n    return x\n", namespace)
    assert isinstance(namespace["f"], Declaration)


@pytest.mark.parametrize("thing", [lambda x: x, 3, "x**2", type], ids=["lambda", "number", "text", "class"])
def test_define_takes_functions(thing):
    with pytest.raises(SpecError, match="is given"):
        nngrad.define(thing)


def test_an_index_map_is_not_for_define():
    from nngrad.spec import reshape

    assert isinstance(reshape, Declaration)
    with pytest.raises(SpecError, match="reshape is structural"):
        nngrad.define(reshape)


def test_a_time_limit_leaves_the_interpreter_as_it_was():
    """Python 3.11 never ends a profiled call where an asynchronous exception was announced and taken back."""
    code = """
import sys
from nngrad.codegen.budget import within
within(10, lambda: None)
sys.setprofile(lambda frame, event, argument: None)
(lambda: None)()
sys.setprofile(None)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
