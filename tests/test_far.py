"""Naive formulas are right up to the largest floats, and nobody is told that they are not."""

import numpy as np
import pytest
from conftest import SPECS

pytest.importorskip("sympy")

from nngrad import Tensor
from nngrad.codegen import command

pytestmark = pytest.mark.slow

LARGEST = float(np.finfo(np.float32).max)


def slopes(function, *numbers):
    """The slopes of a function of float32 numbers, and these as float64."""
    xs = [Tensor(number, dtype=np.float32, requires_grad=True) for number in numbers]
    function(*xs).backward()
    return [x.grad for x in xs], [np.float64(x.data) for x in xs]


@pytest.mark.parametrize("x", [LARGEST, LARGEST / 3, -LARGEST])
def test_what_tends_to_a_line(package_of, x):
    (slope,), (x,) = slopes(package_of("far").noisy_mish, x)
    np.testing.assert_allclose(slope, (x > 0) + np.sin(2 * x) / 10, rtol=1e-6)


@pytest.mark.parametrize("numbers", [(-4.2e27, -2.9e20), (1e30, 1e36), (LARGEST, 2.0**80), (3.0, -1e30)], ids=str)
def test_a_distance(package_of, numbers):
    found, (x, y) = slopes(package_of("far").distance_gate, *numbers)
    np.testing.assert_allclose(found, np.sign(x * y) * np.array([x, y]) / np.hypot(x, y), rtol=5e-7)


def test_no_warnings(tmp_path, capsys):
    """Float32 is computed in float64 where no form is accurate, and that is enough."""
    assert command.run(["--spec", str(SPECS / "far.py"), "--out", str(tmp_path / "far_ops")]) == 0
    assert "warning" not in capsys.readouterr().err
