"""`python -m nngrad.codegen`: what it writes, what it refuses, and that it never leaves anything half done."""

import ast
import re
import subprocess
import sys

import pytest

pytest.importorskip("sympy")

from conftest import ROOT, run

from nngrad.codegen import command

MENDED = "how to mend it:"


def failed(outcome, *words):
    """An error for people: code 2, no traceback, these words."""
    assert outcome.returncode == 2, outcome.stdout + outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    missing = [word for word in words if word not in outcome.stderr]
    assert not missing, f"{missing} not in {outcome.stderr}"


def litter(folder):
    """What a run left behind besides its results."""
    return [path for path in folder.rglob("*") if path.name.startswith(".generating-") or path.suffix == ".new"]


# --- the same bytes every time ----------------------------------------------------------------------------------------


def test_regenerating_changes_nothing(checkout):
    committed, times = checkout.files(), {path: path.stat().st_mtime_ns for path in checkout.generated.iterdir()}
    outcome = checkout.codegen(PYTHONHASHSEED="random")
    assert outcome.returncode == 0, outcome.stderr
    assert re.fullmatch(r"\d+ ops \(\d+ contraction, .*\) in \d+\.\d s; nothing changed\n", outcome.stdout)
    assert checkout.files() == committed
    assert {path: path.stat().st_mtime_ns for path in checkout.generated.iterdir()} == times


@pytest.mark.parametrize("seed", ["0", "1"])
@pytest.mark.parametrize("state", ["missing", "broken"])
def test_generated_files_come_back(checkout, tmp_path, state, seed):
    """Byte for byte, in a folder of another name, whatever became of the package that is generated."""
    copy = checkout.copy(tmp_path / "elsewhere")
    if state == "missing":
        subprocess.run(["rm", "-rf", copy.folder / "generated"], check=True)
    else:
        (copy.generated / "__init__.py").write_text("raise RuntimeError('broken')")
        (copy.generated / "runtime.py").write_text("this is not Python")
    outcome = copy.codegen(PYTHONHASHSEED=seed)
    assert outcome.returncode == 0, outcome.stderr
    assert copy.files() == checkout.files()


def test_choices_are_found_again(small):
    """Without the recorded choices the search comes to the same ones, so the same code."""
    before = small.files()
    (small.folder / "nngrad" / "codegen" / "choices.json").unlink()
    assert small.codegen().returncode == 0
    assert small.files() == before


def test_only_changed_files_are_written(small):
    times = {path.name: path.stat().st_mtime_ns for path in small.generated.iterdir()}
    small.spec.write_text(small.spec.read_text().replace('"""Sum."""', '"""The sum."""'))
    assert small.codegen().returncode == 0
    written = {path.name for path in small.generated.iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert "mathematics.py" in written
    assert not written & {"runtime.py", "activations.py", "contractions.py", "structural.py", "table.py", "__init__.py"}


def test_stale_modules_are_removed(small):
    (small.generated / "old.py").write_text((small.generated / "norms.py").read_text())
    assert small.codegen().returncode == 0
    assert not (small.generated / "old.py").exists()


# --- --check ----------------------------------------------------------------------------------------------------------


def test_check_of_what_is_committed(checkout):
    outcome = checkout.codegen("--check")
    assert (outcome.returncode, outcome.stdout) == (0, "nngrad_ops: up to date\n"), outcome.stdout + outcome.stderr


DRIFT = {
    "a generated file": ("generated/nngrad_ops/activations.py", "np.exp(", "np.exp2("),
    "a generated file deleted": ("generated/nngrad_ops/rules.py", None, None),
    "a stale generated file": ("generated/nngrad_ops/old.py", None, "x = 1\n"),
    "the spec": ("nngrad/spec.py", "e / sum(e, axis)", "2 * e / sum(e, axis)"),
    "a docstring of the spec": ("nngrad/spec.py", "Normalised", "Normalized"),
    "a template": ("templates/package.py.j2", '__all__ = ["OPS"]', '__all__ = ["OPS"]  # changed'),
    "the choices": ("nngrad/codegen/choices.json", '"dx": "', '"dx": "0*'),
}


@pytest.mark.parametrize(("file", "old", "new"), DRIFT.values(), ids=DRIFT)
def test_check_shows_drift(small, file, old, new):
    path = small.folder / file
    if old:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
    elif new:
        path.write_text(new)
    else:
        path.unlink()
    before = small.files()
    outcome = small.codegen("--check")
    assert outcome.returncode == 1, outcome.stderr
    assert re.search(r"^--- .*\n\+\+\+ .*\n@@ .* @@$", outcome.stdout, re.MULTILINE), "no unified diff"
    assert re.search(r"^[-+][^-+]", outcome.stdout, re.MULTILINE)
    assert small.files() == before, "--check wrote something"


# --- a run that fails -------------------------------------------------------------------------------------------------

BREAKAGE = {
    "formula": ("nngrad/spec.py", "e / sum(e, axis)", "e / total(e, axis)", ["spec.py:", "softmax", "total", MENDED]),
    "spec": ("nngrad/spec.py", "return x1 + x2", "return x1 +", ["spec.py:11", MENDED]),
    "template": ("templates/kernels.py.j2", "{% for", "{% four", ["kernels.py.j2", MENDED]),
    "name in a template": ("templates/rules.py.j2", "{{ header(", "{{ haeder(", ["rules.py.j2", "haeder", MENDED]),
    "template's Python": ("templates/package.py.j2", "__all__ =", "__all__ +", ["__init__.py", MENDED]),
    "template's code": ("templates/package.py.j2", "from .table", "from .tables", ["tables", MENDED]),
    "template missing": ("templates/table.py.j2", None, None, ["table.py.j2", MENDED]),
}


@pytest.mark.parametrize(("file", "old", "new", "words"), BREAKAGE.values(), ids=BREAKAGE)
def test_a_failed_run_leaves_everything_as_it_was(small, file, old, new, words):
    path = small.folder / file
    small.spec.write_text(small.spec.read_text().replace('"""Sum."""', '"""The sum."""'))  # there is something to write
    text = path.read_text()
    path.unlink()
    if old:
        assert old in text
        path.write_text(text.replace(old, new, 1))
    before = small.files()
    failed(small.codegen(), *words)
    assert small.files() == before
    assert not litter(small.folder)


# --- --list -----------------------------------------------------------------------------------------------------------


def test_list(small):
    outcome = small.codegen("--list")
    assert outcome.returncode == 0, outcome.stderr
    families = re.findall(r"^(\w+) \((\d+)\)$", outcome.stdout, re.MULTILINE)
    assert families == [("contraction", "1"), ("elementwise", "2"), ("reduction", "2"), ("structural", "1")]
    origins = dict(re.findall(r"^  (\w+)\(.*?\) +(word|derived|table) ", outcome.stdout, re.MULTILINE))
    assert origins == {
        "exp": "word", "sum": "word", "add": "derived", "softmax": "derived", "matmul": "derived", "reshape": "table"
    }  # fmt: skip


# --- a spec of one's own ----------------------------------------------------------------------------------------------

MY_OPS = '''"""Three ops that the project does not have."""

from nngrad.codegen.language import activation, exp, log, loss, max, mean, norm, op, rsqrt, sigmoid, sum, where


@activation
def swish(x, *, beta=1.0):
    """Swish (Ramachandran et al. 2017)."""
    return x * sigmoid(beta * x)


@norm
def rms_norm(x, weight, *, axis=-1, eps=1e-6):
    """Root mean square normalisation (Zhang & Sennrich 2019)."""
    return x * rsqrt(mean(x**2, axis) + eps) * weight


@loss
def log_cosh(input, target):
    """Logarithm of the hyperbolic cosine of the error."""
    r = input - target
    return r + log(1 + exp(-2 * r)) - log(2)
'''
USE = """
import sys
import numpy as np
import my_package
from my_package import log_cosh, rms_norm, swish
from nngrad import Tensor, check_grads
from nngrad.nn import Linear, Sequential

assert "sympy" not in sys.modules and "jinja2" not in sys.modules
rng = np.random.default_rng(0)
x, w, t = rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=(3, 5))

y = swish(Tensor(x, dtype=float), 2.0)
np.testing.assert_allclose(y.data, x / (1 + np.exp(-2 * x)), rtol=1e-14)
for given in (x, x.astype(np.float32), 0.5, np.float64(0.5), 3, [0.5, 1.0]):
    assert isinstance(swish(given, beta=0.5), Tensor)
    np.testing.assert_allclose(
        swish(given).data, np.asarray(given) / (1 + np.exp(-np.asarray(given, float))), rtol=1e-6
    )
assert swish(Tensor([1.0, 2.0])).dtype == np.float32
kernel = my_package.kernels.rms_norm(x, w)
np.testing.assert_allclose(rms_norm(Tensor(x, dtype=float), Tensor(w, dtype=float)).data, kernel)
np.testing.assert_allclose(kernel, x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w, rtol=1e-12)
assert log_cosh(x, t).shape == () and log_cosh(x, t, reduction="none").shape == (3, 5)
np.testing.assert_allclose(log_cosh(x, t, "sum").item(), np.log(np.cosh(x - t)).sum(), rtol=1e-5)

double = [Tensor(one, dtype=float) for one in (x, w, t)]
check_grads(lambda x, w, t: log_cosh(rms_norm(swish(x), w), t), double)

model = Sequential(Linear(5, 4), swish)
model(Tensor(x)).sum().backward()
assert all(np.any(p.grad) for p in model.parameters())
print(sorted(my_package.OPS), "all well")
"""


def test_a_package_of_ones_own(checkout, tmp_path):
    (tmp_path / "my_ops.py").write_text(MY_OPS)
    outcome = checkout.codegen("--spec", "my_ops.py", "--out", "my_package", cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert re.fullmatch(r"3 ops \(.*\) in \d+\.\d s; \d files changed\n", outcome.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"my_ops.py", "my_package"}

    used = run(sys.executable, "-W", "error", "-c", USE, cwd=tmp_path, path=checkout.path)
    assert used.returncode == 0, used.stderr
    assert used.stdout == "['log_cosh', 'rms_norm', 'swish'] all well\n"

    kernels = (tmp_path / "my_package" / "kernels.py").read_text()
    imported = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                for node in ast.walk(ast.parse(kernels)) if isinstance(node, ast.Import | ast.ImportFrom)}  # fmt: skip
    assert imported <= {"numpy", "runtime", None}

    files = {path: path.read_bytes() for path in (tmp_path / "my_package").glob("*.py")}
    checked = checkout.codegen("--spec", "my_ops.py", "--out", "my_package", "--check", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "my_package: up to date\n")
    again = checkout.codegen("--spec", tmp_path / "my_ops.py", "--out", tmp_path / "my_package", PYTHONHASHSEED="7")
    assert "nothing changed" in again.stdout
    (tmp_path / "my_ops.py").write_text(MY_OPS.replace("beta * x", "beta * x + 1"))
    assert checkout.codegen("--spec", "my_ops.py", "--out", "my_package", "--check", cwd=tmp_path).returncode == 1
    (tmp_path / "my_ops.py").write_text(MY_OPS.replace("beta * x", "if"))
    failed(checkout.codegen("--spec", "my_ops.py", "--out", "my_package", cwd=tmp_path), "my_ops.py:9", MENDED)
    assert files == {path: path.read_bytes() for path in (tmp_path / "my_package").glob("*.py")}
    assert not litter(tmp_path)


def test_the_builtin_ops_elsewhere(small, tmp_path):
    """--out without --spec: nngrad's own ops in another folder, the checkout's own left alone."""
    before = small.files()
    outcome = small.codegen("--out", tmp_path / "copied_ops")
    assert outcome.returncode == 0, outcome.stderr
    made = {path.name: path.read_bytes() for path in (tmp_path / "copied_ops").glob("*.py")}
    assert made == {path.name: path.read_bytes() for path in small.generated.glob("*.py")}
    assert small.files() == before


# --- mistakes ---------------------------------------------------------------------------------------------------------

HEAD = "from nngrad.codegen.language import *\n\n"
MISTAKES = {  # name: (spec after HEAD, line, words of the error)
    "syntax": ("@op\ndef f(x):\n    return x +\n", 5, ["invalid syntax"]),
    "unknown name": ("@op\ndef f(x):\n    return cosine(x)\n", 5, ["in f:", "cosine"]),
    "unknown import": ("from nngrad.codegen.language import gamma\n", 3, ["gamma"]),
    "if on a tensor": ("@op\ndef f(x):\n    if x > 0:\n        return x\n    return -x\n", 5, ["in f:", "where("]),
    "and": ("@op\ndef f(x):\n    return where(x > 0 and x < 1, x, 0)\n", 5, ["in f:", "& | ~"]),
    "chained": ("@op\ndef f(x):\n    return where(0 < x < 1, x, 0)\n", 5, ["in f:", "split chained comparisons"]),
    "unused input": ("@op\ndef f(x, z):\n    return x**2\n", 3, ["in f:", "z is not used"]),
    "unused parameter": ("@op\ndef f(x, *, alpha=1.0):\n    return x**2\n", 3, ["in f:", "alpha is not used"]),
    "parameter among inputs": ("@op\ndef f(x, alpha=1.0):\n    return alpha * x\n", 3, ["in f:", "(x, *, alpha="]),
    "no input": ("@op\ndef f():\n    return 1\n", 3, ["in f:", "no input"]),
    "two of a name": ("@op\ndef f(x):\n    return -x\n\n@op\ndef f(x):\n    return x**2\n", 7, ["f is declared twice"]),
    "no return": ("@op\ndef f(x):\n    y = 2 * x\n", 3, ["in f:", "NoneType"]),
    "two results": ("@op\ndef f(x):\n    return x, -x\n", 3, ["in f:", "tuple"]),
    "a loop": ("@op\ndef f(x):\n    for v in x:\n        pass\n    return x\n", 5, ["in f:", "not iterable"]),
    "NumPy": ("import numpy\n\n@op\ndef f(x):\n    return numpy.exp(x)\n", 7, ["in f:", "nngrad.codegen.language"]),
    "a tensor as axis": ("@op\ndef f(x):\n    return sum(x, x)\n", 5, ["in f:", "axis=-1"]),
    "a reserved name": ("@op\ndef f(g, np):\n    return g * np\n", 3, ["in f:", "g"]),
    "structural": ("@structural\ndef f(x, *, shape):\n    ...\n", 3, ["f is structural"]),
    "no op": ("def f(x):\n    return x\n", None, ["no op is declared", "@op"]),
    "a crash": ("1 / 0\n", 3, ["ZeroDivisionError"]),
}


@pytest.mark.parametrize(("source", "line", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_a_spec(tmp_path, capsys, monkeypatch, source, line, words):
    """File, line, op, what is wrong, how to mend it; nothing written."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "my_ops.py").write_text(HEAD + source)
    assert command.run(["--spec", str(tmp_path / "my_ops.py"), "--out", str(tmp_path / "my_package")]) == 2
    captured = capsys.readouterr()
    place = "my_ops.py:" + (f"{line}: " if line else "")
    missing = [word for word in [place, *words, MENDED] if word not in captured.err]
    assert not missing, f"{missing} not in {captured.err}"
    assert ":0" not in captured.err and captured.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["my_ops.py"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--spec", "absent.py", "--out", "my_package"], ["absent.py", "no such file"]),
        (["--spec", ".", "--out", "my_package"], ["is not a file"]),
        (["--spec", "my_ops.py"], ["--spec without --out", "--out my_package"]),
        (["--spec", "my_ops.py", "--out", "my-package"], ["my-package", "not a package name"]),
        (["--spec", "my_ops.py", "--out", "class"], ["class", "not a package name"]),
        (["--spec", "my_ops.py", "--out", "notes.txt"], ["notes", "not a package name"]),
        (["--spec", "my_ops.py", "--out", "notes"], ["notes", "not a folder"]),
        (["--spec", "my_ops.py", "--out", "scripts"], ["scripts", "mine.py"]),
        (["--spec", "my_ops.py", "--out", "."], ["my_ops.py"]),
        (["--list", "--spec", "absent.py"], ["absent.py", "no such file"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_mistakes_on_the_command_line(tmp_path, monkeypatch, capsys, arguments, words):
    """Nothing of the user's is overwritten or deleted, least of all Python files that nngrad did not write."""
    folder = tmp_path / "work"
    (folder / "scripts").mkdir(parents=True)
    (folder / "my_ops.py").write_text(MY_OPS)
    (folder / "scripts" / "mine.py").write_text("print('mine')\n")
    (folder / "notes").write_text("keep this\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert command.run(arguments) == 2
    captured = capsys.readouterr()
    missing = [word for word in [*words, MENDED] if word not in captured.err]
    assert not missing, f"{missing} not in {captured.err}"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_error_ends_with_code_2(small_checkout, tmp_path):
    failed(small_checkout.codegen("--spec", "absent.py", "--out", "my_package", cwd=tmp_path), "absent.py", MENDED)
    assert small_checkout.codegen("--no-such-option").returncode == 2


@pytest.mark.parametrize("package", ["sympy", "mpmath", "jinja2", "tqdm"])
def test_a_missing_extra_is_named(tmp_path, package):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    outcome = run(sys.executable, "-m", "nngrad.codegen", cwd=tmp_path, path=[tmp_path, ROOT, ROOT / "generated"])
    failed(outcome, package, 'pip install "nngrad[codegen]"')
