"""Copies of the checkout to break and mend, the command line run in them, packages made of specs, and PyTorch."""

import compileall
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import forked
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SPECS = ROOT / "tests" / "specs"
LONGEST_RUN = 300  # seconds
PARTS = ("nngrad", "templates", "generated", "pyproject.toml")
LONGEST = (
    "test_command", "test_certificate", "test_corners", "test_unseen_specs", "test_naive", "test_new_op",
    "test_naive_rows", "test_gallery", "test_define", "test_docs",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Files that take minutes begin first: a worker that was handed one at the end would leave the others idle."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


def run(*command, cwd, path=(), **environment):
    """A command's outcome, with the given folders in front of Python's path, and no bytecode left behind."""
    command = [str(part) for part in command]
    environment = environment_of(path) | environment
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=LONGEST_RUN
    )


def environment_of(path):
    """That of a process with the given folders in front of Python's path, which leaves no bytecode behind."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(map(str, path))}


def run_module(name, *arguments, cwd, path=(), **environment):
    """The outcome of `python -m name`. What needs no environment of its own need not import SymPy again."""
    if environment or forked.context() is None:
        return run(sys.executable, "-m", name, *arguments, cwd=cwd, path=path, **environment)
    arguments, path = ([str(one) for one in given] for given in (arguments, path))
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / "out", Path(folder) / "err"]
        for file in outputs:
            file.touch()
        process = forked.context().Process(
            target=forked.run_module, args=(name, arguments, cwd, path, environment_of(path), outputs)
        )
        process.start()
        process.join(LONGEST_RUN)
        assert process.exitcode is not None, f"{name} {arguments} takes too long"
        told = [file.read_text(encoding="utf-8") for file in outputs]
    return subprocess.CompletedProcess([name, *arguments], process.exitcode, *told)


@cache
def ops_of(spec):
    """The ops that a spec declares, a file or a folder of files, by their names; traced once for all files of tests."""
    from nngrad.codegen.pipeline import load_spec
    from nngrad.codegen.trace import trace

    return {declaration.name: trace(declaration) for declaration in load_spec(spec)}


class Checkout:
    """A copy of the project, with which nothing else works."""

    def __init__(self, folder, spec=None, source=ROOT):
        self.folder = folder
        folder.mkdir(parents=True)
        for part in PARTS:
            if (source / part).is_dir():
                kept = shutil.ignore_patterns("__pycache__") if source == ROOT else None
                shutil.copytree(source / part, folder / part, ignore=kept)
            else:
                shutil.copy2(source / part, folder / part)
        if source == ROOT:
            compileall.compile_dir(folder / "nngrad", quiet=1)  # once, not by every command that is run in a copy
        self.generated = folder / "generated" / "nngrad_ops"
        if spec is not None:
            for file in self.spec.parent.glob("*.py"):
                file.unlink()
            self.spec.write_text(spec, encoding="utf-8")
            package = '"""The spec."""\n\nfrom nngrad.spec.ops import *\n'
            (self.spec.parent / "__init__.py").write_text(package, encoding="utf-8")

    @property
    def spec(self):
        return self.folder / "nngrad" / "spec" / "ops.py"

    @property
    def path(self):
        return self.folder, self.folder / "generated"

    def codegen(self, *arguments, cwd=None, path=(), **environment):
        """`python -m nngrad.codegen` with this copy's code."""
        path = (*path, *self.path)
        return run_module("nngrad.codegen", *arguments, cwd=cwd or self.folder, path=path, **environment)

    def copy(self, folder):
        return Checkout(folder, source=self.folder)

    def files(self):
        """What generation writes: path -> bytes."""
        paths = [*(self.folder / "generated").rglob("*"), self.folder / "nngrad" / "codegen" / "choices.json"]
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in paths
            if path.is_file() and path.suffix != ".digest"
        }


SMALL_SPEC = '''"""A few ops, which take no time."""

from nngrad.codegen.language import activation, contraction, exp, i, j, k, norm, op, structural, sum

op(exp, sum)


@op
def add(x1, x2):
    """Sum."""
    return x1 + x2


@activation
def softmax(x, *, axis=-1):
    """Normalised exponentials."""
    e = exp(x)
    return e / sum(e, axis)


@contraction
def matmul(a, b):
    """Matrix product."""
    return sum(a[..., i, k] * b[..., k, j], k)


@structural
def reshape(x, *, shape):
    """The same elements in another shape."""
'''


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of the whole checkout, not to be changed."""
    return Checkout(tmp_path_factory.mktemp("whole") / "checkout")


@pytest.fixture(scope="session")
def small_checkout(checkout, tmp_path_factory):
    """A checkout whose spec has a few ops, generated; not to be changed."""
    small = Checkout(tmp_path_factory.mktemp("small") / "checkout", SMALL_SPEC, checkout.folder)
    outcome = small.codegen()
    assert outcome.returncode == 0, outcome.stderr
    return small


@pytest.fixture
def small(small_checkout, tmp_path):
    """A small checkout of one's own."""
    return small_checkout.copy(tmp_path / "checkout")


@pytest.fixture(scope="session")
def package_of(tmp_path_factory):
    """Gives the package generated from one of SPECS, called by the file's name; made when it is first asked for."""
    from nngrad.codegen import command

    folder = tmp_path_factory.mktemp("packages")

    @cache
    def package_of(spec):
        assert command.run(["--spec", str(SPECS / f"{spec}.py"), "--out", str(folder / f"{spec}_package")]) == 0
        importlib.invalidate_caches()
        return importlib.import_module(f"{spec}_package")

    sys.path.insert(0, str(folder))
    yield package_of
    sys.path.remove(str(folder))


@pytest.fixture
def torch():
    """PyTorch; the test is skipped without it."""
    return pytest.importorskip("torch")


def agree(torch, ours, theirs, *arrays, rtol=1e-9):
    """Compare outputs and gradients of two functions of float64 arrays, under a random cotangent."""
    from nngrad import Tensor

    xs = [Tensor(array, dtype=float, requires_grad=True) for array in arrays]
    ts = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, expected = ours(*xs), theirs(*ts)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=rtol, atol=1e-11)
    g = np.random.default_rng(1).normal(size=y.shape)
    y.backward(g)
    expected.backward(torch.tensor(g))
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=rtol, atol=1e-11)
