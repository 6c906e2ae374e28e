"""A new op of nngrad itself: README's diff is applied to a copy, the command is run, and everything follows."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytest.importorskip("sympy")

from conftest import ROOT, ops_of, run

from nngrad.codegen import command
from nngrad.codegen.documents import ROW, with_counts

README = (ROOT / "README.md").read_text(encoding="utf-8")
DIFF, = re.findall(r"^```diff\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)  # fmt: skip
USE = """
import numpy as np
import nngrad.nn as nn
import nngrad.nn.functional as F
from nngrad import Tensor, check_grads

x = np.array([-1.0, 0.0, 2.0])
np.testing.assert_allclose(F.gaussian(x).data, np.exp(-(x**2) / 2), rtol=1e-14)
assert (nn.Gaussian()(Tensor(x)).data == Tensor(x).gaussian().data).all()
check_grads(F.gaussian, (x,))
"""


@pytest.fixture(scope="module")
def grown(checkout, tmp_path_factory):
    """A copy of the project with the op of README's diff, after the command."""
    copy = checkout.copy(tmp_path_factory.mktemp("grown") / "checkout")
    for name in ("README.md", "docs", "tests"):
        where = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        where(ROOT / name, copy.folder / name)
    (copy.folder / "docs" / "make_conventions.py").write_text("print('made')\n")  # it takes a while, and has own tests
    applied = subprocess.run(["git", "apply", "-"], input=DIFF, text=True, cwd=copy.folder, capture_output=True)
    assert applied.returncode == 0, applied.stderr
    outcome = copy.codegen()
    assert outcome.returncode == 0, outcome.stderr
    _, certificate, conventions, *made = outcome.stdout.splitlines()
    assert certificate == "python docs/make_certificate.py gaussian"
    assert "python docs/make_conventions.py" in conventions
    assert made == (["made"] if find_spec("torch") else [])  # which the table compares with
    return copy


def test_the_op_is_everywhere(grown):
    used = run(sys.executable, "-W", "error", "-c", USE, cwd=grown.folder, path=grown.path)
    assert used.returncode == 0, used.stderr


def test_tests_and_documents_follow(grown):
    readme = (grown.folder / "README.md").read_text(encoding="utf-8")
    counted = [int(number) for number in re.search(r"^\| all \| (\d+) \| (\d+) ", README, re.MULTILINE).groups()]
    assert f"| all | {counted[0] + 1} | {counted[1] + 1} " in readme
    page = (grown.folder / "docs" / "certificate.md").read_text(encoding="utf-8")
    before = (ROOT / "docs" / "certificate.md").read_text(encoding="utf-8")
    added = [line for line in page.splitlines() if line not in before.splitlines()]
    assert [ROW.findall(line) for line in added] == [["gaussian"], ["gaussian"]], added
    files = [f"tests/test_{name}.py" for name in ("ops", "certificate", "second_order")]
    tested = run(
        sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "gaussian", *files, cwd=grown.folder, path=grown.path
    )
    assert re.search(r"\d+ passed", tested.stdout), tested.stdout


def test_readme_is_counted_by_the_generator():
    assert with_counts(README, [*ops_of(command.SPEC).values()]) == README


def test_the_error_in_readme_is_the_one_that_is_given(tmp_path, capsys, monkeypatch):
    formula = "import numpy as np\nfrom nngrad.codegen.language import activation\n\n@activation\ndef swish(x):\n"
    (tmp_path / "my_ops.py").write_text(formula + "    return x / (1 + np.exp(-x))\n")
    monkeypatch.chdir(tmp_path)
    assert command.run(["--spec", "my_ops.py", "--out", "my_package"]) == 2
    (shown,) = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert capsys.readouterr().err.replace(f"{tmp_path}{os.sep}", "") == shown


def test_check_finds_all_as_generated_but_the_counts_that_were_changed(grown):
    readme = grown.folder / "README.md"
    generated = readme.read_text(encoding="utf-8")
    readme.write_text(generated.replace("| all | ", "| all | 9"), encoding="utf-8")
    outcome = grown.codegen("--check")
    readme.write_text(generated, encoding="utf-8")
    assert outcome.returncode == 1
    assert re.findall(r"^\+\+\+ (.*)$", outcome.stdout, re.MULTILINE) == ["regenerated/README.md"], outcome.stdout
