"""Powers of inputs that leave the range before what is made of their sums does."""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

from nngrad_ops import runtime

import nngrad
from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.algebra.vocabulary import WORDS
from nngrad.codegen.judging.simulation import _HELPERS
from nngrad.codegen.rules.units import in_units_of_largest


def distance(x, y, *, p=3.0):
    return (language.abs(x) ** p + language.abs(y) ** p) ** (1 / p)


def saturation(x, k):
    return x**4 / (k**4 + x**4)


def low_pass(x, k, *, n=4):
    return 1 / (1 + (x / k) ** (2 * n))


def contraharmonic(x, k):
    return (x**4 + k**4) / (x**3 + k**3)


FORMULAS = {
    "distance": (distance, lambda x, y: (x**3 + y**3) ** (mpmath.mpf(1) / 3)),
    "saturation": (saturation, saturation),
    "low_pass": (low_pass, low_pass),
    "contraharmonic": (contraharmonic, contraharmonic),
}
POINTS = [(3e20, 2e20), (1e-25, 3e-25), (1e30, 2.5), (0.5, 1e-30), (2.0, 3.0), (1e38, 2e38)]


@pytest.mark.slow  # they are generated first
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.filterwarnings("ignore:.*no accurate form")  # where both are tiny
def test_slopes_are_right_wherever_they_are_in_range(name, dtype):
    function, written = FORMULAS[name]
    op = nngrad.define(function)
    info, reach = np.finfo(dtype), (1 if dtype == np.float32 else 7)
    for point in np.array(POINTS, dtype) ** reach:
        xs = [nngrad.Tensor(one, dtype=dtype, requires_grad=True) for one in point]
        y = op(*xs)
        y.backward()
        with mpmath.workdps(3000):
            exact = [mpmath.mpf(float(one)) for one in point]
            slopes = [mpmath.diff(written, exact, order, h=min(exact) / 10**100) for order in ((1, 0), (0, 1))]
            wanted = [written(*exact), *slopes]
        for got, one in zip((y.data, *(x.grad for x in xs)), wanted, strict=True):
            within = pytest.approx(float(one), rel=16 * float(info.eps), abs=8 * float(info.smallest_subnormal))
            assert abs(one) > info.max or float(got) == within


def test_the_unit_leaves_what_has_one_degree():
    x, y = Value("x"), Value("y")
    first, *_ = in_units_of_largest(x**3 / (x**4 + y**4), float)
    unit = next(part for part in first.atoms(WORDS["binade"].build))
    counted = {part: part.args[0] for part in first.atoms(WORDS["over"].build)}
    assert first.xreplace(counted) == x**3 / (x**4 + y**4) / unit
    assert not list(in_units_of_largest(x * y, float))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_binade(dtype):
    info = np.finfo(dtype)
    x = np.array([0, 1, -1.99, 2, 1000, info.max, -np.inf, info.tiny, info.smallest_subnormal], dtype)
    x = np.append(x, 9 * info.smallest_subnormal)
    largest = 2.0 ** (info.maxexp - 1)
    smallest = info.smallest_subnormal
    wanted = [smallest, 1, 1, 2, 512, largest, largest, info.tiny, smallest, 8 * smallest]
    np.testing.assert_array_equal(runtime.binade(x), wanted)
    assert runtime.binade(x).dtype == dtype and isinstance(runtime.binade(np.asarray(x[2])), np.ndarray)
    if dtype == np.float32:
        with np.errstate(divide="ignore"):
            np.testing.assert_array_equal(_HELPERS["runtime.binade"](x.astype(float)), wanted)
