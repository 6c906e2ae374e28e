"""Exponentials and logarithms of float32 where NumPy has no vector instructions for them, whatever this machine has."""

import numpy as np
import pytest
from nngrad_ops import OPS, runtime
from nngrad_ops.runtime import simd

from nngrad import Tensor
from nngrad.nn import functional as F

MANY = 4 * simd.ENOUGH
UFUNCS = {"log1p": np.log1p, "expm1": np.expm1}


@pytest.fixture(autouse=True)
def without_vector_loops(monkeypatch):
    monkeypatch.setattr(simd, "has_vector_loop", lambda name: False)


def exponents(low, high):
    return np.exp(np.random.default_rng(0).uniform(low, high, MANY))


RANGES = {
    "log1p": {
        "tiny": exponents(-80, -20),
        "small": exponents(-20, 0),
        "large": exponents(0, 88),
        "negative": -exponents(-20, 0) * (1 - 2.0**-24),
        "of both signs": np.random.default_rng(0).uniform(-1, 9, MANY),
        "near powers of 2": np.ldexp(1 + np.arange(-MANY / 2, MANY / 2) * 2.0**-23, np.arange(MANY) % 9) - 1,
    },
    "expm1": {
        "tiny": exponents(-80, -20),
        "small": exponents(-20, 0),
        "positive": exponents(0, 4.47),
        "negative": -exponents(-20, 4.46),
        "of both signs": np.random.default_rng(0).uniform(-9, 9, MANY),
        "near halves of log(2)": (np.arange(MANY) % 201 - 100 + 0.5) * np.log(2) + np.arange(MANY) * 2.0**-40,
    },
}


def ulps(y, exact):
    """The largest error, in units in the last place of the exact values."""
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(float)
    return np.max(np.abs(y.astype(float) - exact) / unit)


@pytest.mark.parametrize("name, numbers", [(name, numbers) for name in RANGES for numbers in RANGES[name]])
def test_versions_are_exact_to_2_units(name, numbers):
    x = RANGES[name][numbers].astype(np.float32)
    y = getattr(runtime, name)(x)
    assert y.dtype == np.float32
    assert ulps(y, UFUNCS[name](x.astype(float))) < 2
    assert not np.array_equal(y, UFUNCS[name](x)) or numbers == "tiny", "it is NumPy's own function that was measured"


@pytest.mark.parametrize("limit", [1, 126])
def test_powers_of_two_are_exact_to_2_units(limit):
    x = np.random.default_rng(0).uniform(-limit, limit, MANY)
    for scratch in (..., x.copy()):
        y = runtime.exp2_narrowed(x if scratch is ... else scratch, np.dtype(np.float32), scratch)
        assert y.dtype == np.float32
        assert ulps(y, np.exp2(x)) < 2


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("in_place", [False, True])
def test_numbers_elsewhere_are_numpys_and_change_no_others(name, in_place):
    x = np.random.default_rng(0).uniform(-0.5, 1, (2, MANY // 2)).astype(np.float32)
    expected = getattr(runtime, name)(x)
    specials = np.array([np.nan, np.inf, -np.inf, -1, -2, 3e38, -3e38, -1e-45, -0.0, 0.0, 89, -120], np.float32)
    places = np.arange(len(specials)) * 7
    x.flat[places] = specials
    with np.errstate(all="ignore"):
        y = getattr(runtime, name)(x, out=x if in_place else ...)
        expected.flat[places] = UFUNCS[name](specials)
    assert (y is x) == in_place
    usual = np.ones(x.shape, bool)
    usual.flat[places] = False
    np.testing.assert_array_equal(y[usual], expected[usual], "as without special numbers")
    np.testing.assert_array_equal(y.flat[places], expected.flat[places])
    np.testing.assert_array_equal(np.signbit(y), np.signbit(expected))


@pytest.mark.parametrize("name", UFUNCS)
def test_warnings_are_numpys(name):
    usual = np.random.default_rng(0).uniform(-0.5, 1, MANY).astype(np.float32)
    with np.errstate(all="raise", under="ignore"):
        getattr(runtime, name)(usual)
        usual[3] = {"log1p": -1, "expm1": 100}[name]
        with pytest.raises(FloatingPointError):
            getattr(runtime, name)(usual)


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 1)])
def test_few_numbers_and_other_dtypes_are_numpys(name, dtype, shape):
    x = np.random.default_rng(0).uniform(-0.5, 1, shape).astype(dtype)
    for one in (np.asarray(x), np.resize(x, MANY) if x.size and dtype != np.float32 else np.asarray(x)):
        y = getattr(runtime, name)(one, out=...)
        assert isinstance(y, np.ndarray)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, UFUNCS[name](one))


@pytest.mark.parametrize("name", UFUNCS)
def test_arrays_may_lie_in_any_order(name):
    x = np.random.default_rng(0).uniform(-0.5, 4, (64, MANY // 16)).astype(np.float32)
    expected = getattr(runtime, name)(np.ascontiguousarray(x[::2, ::2]))
    for other in (x[::2, ::2], np.asfortranarray(x[::2, ::2]), x[::2, ::2][::-1][::-1]):
        np.testing.assert_array_equal(getattr(runtime, name)(other), expected)


ACTIVATIONS = [F.softplus, F.logsigmoid, F.elu, F.selu, F.celu, F.mish, F.gelu, lambda x: F.gelu(x, approximate="tanh")]


@pytest.mark.parametrize("f", [*ACTIVATIONS, Tensor.log1p, Tensor.expm1, Tensor.erf])
def test_ops_are_as_exact_as_of_float64(f):
    x = np.random.default_rng(0).uniform(0, 6, MANY).astype(np.float32)
    x = x if f in (Tensor.log1p, Tensor.expm1) else np.concatenate([x, -x])
    of_32, of_64 = (Tensor(x.astype(dtype), requires_grad=True) for dtype in (np.float32, float))
    y, exact = f(of_32), f(of_64)
    y.sum().backward()
    exact.sum().backward()
    assert ulps(y.numpy(), exact.numpy()) < 8
    scale = np.maximum(np.abs(of_64.grad), 0.1)  # slopes have roots
    assert np.max(np.abs(of_32.grad - of_64.grad) / scale) < 8 * 2.0**-23


def test_vector_loops_are_as_numpy_says(monkeypatch):
    monkeypatch.undo()
    loops = np.lib.introspect.opt_func_info(func_name="^exp$", signature="float32")["exp"]
    (current,) = (loop["current"] for loop in loops.values())
    assert simd.has_vector_loop("exp") != current.startswith("baseline")
    assert not simd.has_vector_loop("no_function_of_numpys")
    assert OPS["expm1"].forward(np.ones(3, np.float32)).tolist() == np.expm1(np.ones(3, np.float32)).tolist()
