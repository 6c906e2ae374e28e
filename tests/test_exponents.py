"""Exponentials magnify the rounding errors of their exponents: multiples of inputs have none, short floats' neither."""

import inspect

import numpy as np
import pytest
from conftest import SPECS

pytest.importorskip("sympy")

import sympy
from nngrad_ops import OPS

from nngrad.codegen import certificate, words
from nngrad.codegen.exponents import as_multiple, exp2_in_float64
from nngrad.codegen.parts import with_exponents_in_float64
from nngrad.codegen.pipeline import load_spec
from nngrad.codegen.symbols import Parameter, Value
from nngrad.codegen.trace import trace

FORMULAS = {declaration.name: trace(declaration) for declaration in load_spec(SPECS / "exponents.py")}
OF_MULTIPLES = ("decay", "growth", "steep")


@pytest.fixture(name="package")
def fixture_package(package_of):
    return package_of("exponents")


@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", FORMULAS)
def test_formula_is_good_everywhere(package, name, dtype):
    if dtype == np.float64 and name not in OF_MULTIPLES:
        pytest.skip("float64 has no wider dtype: sums in exponents are rounded")
    (entry,) = certificate.certify(FORMULAS[name], dtype, thin=4, ops=package.table.OPS)
    assert entry.grade == "good", (entry.forward, entry.gradient, entry.faults)


@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("size", [500, 300_000])
def test_ordinary_inputs_have_their_exponent_in_float64(dtype, size):
    """gelu by tanh has a cubic one."""
    source = inspect.getsource(inspect.getmodule(OPS["gelu"].forward).gelu_tanh_and_residuals)
    assert "runtime.as_float64(x)" in source.partition("dtype = x.dtype")[0]
    x = np.linspace(-9, 9, size).astype(dtype)
    exponent = 2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x.astype(np.longdouble) ** 3)
    y, _ = OPS["gelu"].forward(x, approximate="tanh")
    limit = 4 if dtype == np.float32 else 300  # float64 has no wider dtype here
    np.testing.assert_allclose(y, x / (1 + np.exp(-exponent)), rtol=limit * np.finfo(dtype).eps)


def test_multiples_of_inputs():
    x, y, beta = Value("x"), Value("y"), Parameter("beta")
    log_2 = sympy.log(2)
    assert as_multiple(-3 * x, (x,)) == (-3, x)
    assert as_multiple(-words.abs(log_2 * x), (x,)) == (-log_2, words.abs(x))
    assert as_multiple(-words.abs(beta * x), (x,)) == (-words.abs(beta), words.abs(x))
    assert as_multiple(beta * words.minimum(words.abs(x), 9) / 3, (x,)) == (beta / 3, words.minimum(words.abs(x), 9))
    for other in (x, -x / 4, 3 * (x + 1), 3 * x * y, 3 * y):
        assert as_multiple(other, (x,)) is None


def test_parts_of_rounded_exponents():
    x, e, u = Value("x"), Value("e", positive=True), Value("u")
    parts = {u: x - x**3, e: sympy.exp(u)}
    made = with_exponents_in_float64(parts, (x,))
    assert made[u] == parts[u] and isinstance(made[e], exp2_in_float64.build)
    assert sympy.simplify(made[e].args[0] * sympy.log(2) - parts[u]) == 0
    for exact in (x, -2 * x, 3 * x / 7):  # `runtime.exp_multiple` takes care of the last
        assert with_exponents_in_float64({e: sympy.exp(exact)}, (x,)) == {e: sympy.exp(exact)}
