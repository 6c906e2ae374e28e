"""What a choice keeps in range far from zero is computed for the elements there alone, and near it costs nothing."""

import importlib
import inspect
import sys

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

from nngrad import Tensor, jvp
from nngrad.codegen import command

pytestmark = pytest.mark.slow

SPEC = """
from nngrad.codegen.language import abs, op, sqrt

@op
def retention(x, *, a=0.5, n=1.8):
    return (1 + (a * abs(x)) ** n) ** (1 / n - 1)

@op
def image(x, *, e=1.2):
    return (x + sqrt(x**2 + 4 * e**2)) / 2
"""
EXACT = {
    "retention": lambda x: (1 + (abs(x) / 2) ** mpmath.mpf(1.8)) ** (1 / mpmath.mpf(1.8) - 1),
    "image": lambda x: (x + mpmath.sqrt(x**2 + 4 * mpmath.mpf(1.2) ** 2)) / 2,
}
NEAR = [0.03, 1.7, -2.6, 60.0, -300.0, 4e4, -65535.0]
FAR = [7e4, -1e6, 3e9, -1e20, 1e30, -3e38]


@pytest.fixture(name="package", scope="module")
def fixture_package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("branches")
    (folder / "own.py").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        assert command.run(["--spec", str(folder / "own.py"), "--out", str(folder / "branches_package")]) == 0
        patch.setattr(sys, "path", [str(folder), *sys.path])
        importlib.invalidate_caches()
        yield importlib.import_module("branches_package")


def exactly(name, numbers, dtype):
    """Value and slope, in as many digits as it takes."""
    with mpmath.workdps(200):
        xs = [mpmath.mpf(float(dtype(x))) for x in numbers]
        return [
            [EXACT[name](x) for x in xs],
            [mpmath.diff(EXACT[name], x, h=abs(x) * mpmath.mpf(10) ** -60) for x in xs],
        ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("numbers", [NEAR, FAR, NEAR + FAR], ids=["near", "far", "both"])
def test_either_form(package, name, numbers, dtype):
    op, limits = getattr(package, name), np.finfo(dtype)
    x = Tensor(np.array(numbers), dtype=dtype, requires_grad=True)
    y = op(x)
    y.backward(np.ones_like(y.data))
    _, along = jvp(op, (x.detach(),), (Tensor(np.ones_like(y.data)),))
    least = float(limits.tiny * limits.eps)
    value, slope = np.array(exactly(name, numbers, dtype), float)
    np.testing.assert_allclose(y.data, value, rtol=4 * limits.eps, atol=least)
    np.testing.assert_allclose(x.grad, slope, rtol=40 * limits.eps, atol=least)  # float32 rounds the exponents
    np.testing.assert_array_equal(along.data, x.grad)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("x", [*NEAR, *FAR, np.nan])
def test_an_element_is_what_it_is_alone(package, name, x):
    op = getattr(package.kernels, name)
    many = np.array([*NEAR, x, *FAR])
    np.testing.assert_array_equal(op(many)[len(NEAR)], op(np.array(x)))


@pytest.mark.parametrize(("name", "choices"), [("retention_vjp", 0), ("image", 4)])
def test_the_far_form_is_of_few(package, name, choices):
    of_all = inspect.getsource(getattr(package.kernels, name))
    source = of_all.rpartition("runtime.in_parts(")[2]  # for inputs that are not ordinary
    assert "[mask" in source and "runtime.amended(" in source
    assert source.count("runtime.where(") <= choices
