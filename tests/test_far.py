"""Naive formulas, those of the benchmarks, are right up to the largest floats, and nobody is told that they are not."""

import contextlib
import importlib
import io
import sys

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("sympy")

from nngrad import Tensor
from nngrad.codegen import command

pytestmark = pytest.mark.slow

LARGEST = float(np.finfo(np.float32).max)


@pytest.fixture(name="generated", scope="module")
def fixture_generated(tmp_path_factory):
    """The package made of the formulas, and what was said meanwhile."""
    folder, said = tmp_path_factory.mktemp("far"), io.StringIO()
    with contextlib.redirect_stderr(said), pytest.MonkeyPatch.context() as patch:
        spec = ROOT / "benchmarks" / "new_ops.py"
        assert command.run(["--spec", str(spec), "--out", str(folder / "far_package")]) == 0
        patch.setattr(sys, "path", [str(folder), *sys.path])
        importlib.invalidate_caches()
        package = importlib.import_module("far_package")
    return package, said.getvalue()


def slopes(function, *numbers):
    """The slopes of a function of float32 numbers, and these as float64."""
    xs = [Tensor(number, dtype=np.float32, requires_grad=True) for number in numbers]
    function(*xs).backward()
    return [x.grad for x in xs], [np.float64(x.data) for x in xs]


@pytest.mark.parametrize("x", [LARGEST, LARGEST / 3, -LARGEST])
def test_what_tends_to_a_line(generated, x):
    package, _ = generated
    (slope,), (x,) = slopes(package.noisy_mish, x)
    np.testing.assert_allclose(slope, (x > 0) + np.sin(2 * x) / 10, rtol=1e-6)


@pytest.mark.parametrize("numbers", [(-4.2e27, -2.9e20), (1e30, 1e36), (LARGEST, 2.0**80), (3.0, -1e30)], ids=str)
def test_a_distance(generated, numbers):
    package, _ = generated
    found, (x, y) = slopes(package.distance_gate, *numbers)
    np.testing.assert_allclose(found, np.sign(x * y) * np.array([x, y]) / np.hypot(x, y), rtol=5e-7)


def test_no_warnings(generated):
    """Float32 is computed in float64 where no form is accurate, and that is enough."""
    _, said = generated
    assert "warning" not in said
