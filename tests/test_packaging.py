"""The three ways to have nngrad: a wheel, an editable install, and the bare checkout. Slow: run by `pytest -m slow`.

A wheel is built and installed, its dependencies lent from this environment so that no network is needed. What a wheel
cannot do, generating in place, it must refuse clearly.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest
from conftest import ROOT, run

pytestmark = pytest.mark.slow
hatchling = pytest.importorskip("hatchling", reason='pip install -e ".[dev]" has what building needs')

TRAINING = """
import sys
import nngrad, nngrad_ops
from nngrad import Tensor, optim
from nngrad.nn import Linear, Sequential, relu
from nngrad.nn.functional import cross_entropy

assert "sympy" not in sys.modules
nngrad.manual_seed(0)
model = Sequential(Linear(4, 8), relu, Linear(8, 3))
optimizer = optim.SGD(model.parameters(), lr=0.1)
x, labels = [[1, 2, 3, 4], [4, 3, 2, 1]], [0, 2]
losses = []
for _ in range(2):
    optimizer.zero_grad()
    loss = cross_entropy(model(Tensor(x)), labels)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[1] < losses[0]
print(nngrad.__file__, nngrad_ops.__file__, sep="\\n")
"""
MY_OPS = "from nngrad.codegen.language import *\n\n\n@op\ndef cube(x):\n    return x**3\n"
USING_MY_OPS = "from my_package import cube; from nngrad import grad; print(grad(cube)(2.0).item())"


def built(kind, source, folder):
    """The wheel that `pip install` (kind 'wheel') or `pip install -e` (kind 'editable') makes of a checkout."""
    code = f"import sys, hatchling.build; hatchling.build.build_{kind}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, folder], cwd=source, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def new_environment(folder, wheel):
    """A virtual environment's Python, with one wheel installed in it and all else lent from here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(list(map(str, install)), check=True, capture_output=True)
    site = next(path for path in folder.rglob("site-packages"))
    (site / "lent.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n")  # plain: .pth files over there stay unread
    return python


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    return new_environment(tmp_path_factory.mktemp("installed") / "venv", wheel)


@pytest.fixture(scope="session")
def editable(tmp_path_factory):
    """A copy of the checkout, installed editable."""
    folder = tmp_path_factory.mktemp("editable")
    ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".venv", "dist", ".*.digest")
    shutil.copytree(ROOT, folder / "checkout", ignore=ignored)
    return new_environment(folder / "venv", built("editable", folder / "checkout", folder)), folder / "checkout"


def test_the_wheel_holds_what_it_should(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "nngrad").rglob("*.py")}
    generated = ROOT / "generated"
    expected |= {path.relative_to(generated).as_posix() for path in (generated / "nngrad_ops").rglob("*.py")}
    expected |= {
        f"nngrad/codegen/templates/{path.relative_to(ROOT / 'templates').as_posix()}"
        for path in (ROOT / "templates").rglob("*.*")
    }
    expected |= {"nngrad/codegen/choices.json"}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_wheel_trains(installed, tmp_path):
    outcome = run(installed, "-W", "error", "-c", TRAINING, cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert all(Path(line).is_relative_to(installed.parents[1]) for line in outcome.stdout.split())


def test_a_wheel_generates_where_it_is_told_to(installed, tmp_path):
    before = {path: path.read_bytes() for path in installed.parents[1].rglob("nngrad*/**/*.*") if path.is_file()}

    listed = run(installed, "-m", "nngrad.codegen", "--list", cwd=tmp_path)
    assert listed.returncode == 0 and "softmax(x, axis)" in listed.stdout, listed.stderr

    refused = run(installed, "-m", "nngrad.codegen", cwd=tmp_path)
    assert refused.returncode == 2 and "how to mend it: " in refused.stderr and "--out" in refused.stderr
    assert not list(tmp_path.iterdir())

    (tmp_path / "my_ops.py").write_text(MY_OPS)
    made = run(installed, "-m", "nngrad.codegen", "--spec", "my_ops.py", "--out", "my_package", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    used = run(installed, "-W", "error", "-c", USING_MY_OPS, cwd=tmp_path)
    assert used.stdout == "12.0\n", used.stderr

    made = run(installed, "-m", "nngrad.codegen", "--out", "all_ops", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    generated = {path.name: path.read_bytes() for path in (ROOT / "generated" / "nngrad_ops").glob("*.py")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "all_ops").glob("*.py")} == generated
    assert {path: path.read_bytes() for path in before} == before, "the installed package changed"


def test_an_editable_install(editable, tmp_path):
    python, checkout = editable
    trained = run(python, "-W", "error", "-c", TRAINING, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert all(Path(line).is_relative_to(checkout) for line in trained.stdout.split())
    made = run(python, "-m", "nngrad.codegen", cwd=tmp_path)
    assert made.returncode == 0 and made.stdout.endswith("; nothing changed\n"), made.stdout + made.stderr
    shutil.rmtree(checkout / "generated")
    made = run(python, "-m", "nngrad.codegen", cwd=tmp_path)
    assert made.returncode == 0 and (checkout / "generated" / "nngrad_ops" / "table.py").exists(), made.stderr


def test_the_bare_checkout(checkout, tmp_path):
    outcome = run(sys.executable, "-W", "error", "-c", TRAINING, cwd=tmp_path, path=checkout.path)
    assert outcome.returncode == 0, outcome.stderr
    assert all(Path(line).is_relative_to(checkout.folder) for line in outcome.stdout.split())
