"""Exponentials magnify the rounding errors of their exponents: multiples of inputs have none, short floats' neither."""

import importlib
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sympy")

from nngrad.codegen import certificate
from nngrad.codegen.command import run
from nngrad.codegen.pipeline import load_spec
from nngrad.codegen.trace import trace

SPEC = Path(__file__).parent / "specs" / "exponents.py"
OPS = {declaration.name: trace(declaration) for declaration in load_spec(SPEC)}
OF_MULTIPLES = ("decay", "growth", "steep")


@pytest.fixture(scope="module", name="package")
def fixture_package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exponents")
    assert run(["--spec", str(SPEC), "--out", str(folder / "exponent_ops")]) == 0
    sys.path.insert(0, str(folder))
    yield importlib.import_module("exponent_ops")
    sys.path.remove(str(folder))


@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if len(op.inputs) == 1])
def test_formula_is_good_everywhere(package, name, dtype):
    if dtype == np.float64 and name not in OF_MULTIPLES:
        pytest.skip("float64 has no wider dtype: sums in exponents are rounded")
    (entry,) = certificate.certify(OPS[name], dtype, thin=4, ops=package.table.OPS)
    assert entry.grade == "good", (entry.forward, entry.gradient, entry.faults)


@pytest.mark.parametrize("name", ["product", "gelu_by_tanh"])
def test_ordinary_inputs_have_their_exponent_in_float64(package, name):
    short, _, full = inspect.getsource(package.table.OPS[name].forward).partition("dtype = x.dtype")
    assert "runtime.as_float64(x)" in short and "are_within" in short and full


def test_a_product_in_an_exponent_is_as_if_it_were_exact(package):
    random = np.random.default_rng(0)
    x, y = random.uniform(-6, 6, (2, 4000)).astype(np.float32)
    got, slope_x, slope_y = package.table.OPS["product"].forward(x, y)
    exact = 1 / (1 + np.exp(-x.astype(np.float64) * y))
    bend = exact * (1 / (1 + np.exp(x.astype(np.float64) * y)))
    for values, expected in ((got, exact), (slope_x, bend * y), (slope_y, bend * x)):
        np.testing.assert_allclose(values, expected, rtol=4 * np.finfo(np.float32).eps)
