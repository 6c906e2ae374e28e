"""Short floats are computed in float64 where no form is accurate in float32, as far as inputs are not ordinary."""

import numpy as np
import pytest
from conftest import SPECS, ops_of

pytest.importorskip("sympy")

from nngrad import Tensor, autodiff
from nngrad.codegen.judging import certificate

pytestmark = pytest.mark.slow

OPS = ops_of(SPECS / "wide.py")


@pytest.fixture(name="package")
def fixture_package(package_of):
    return package_of("wide")


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if len(op.inputs) == 1])
def test_float32_is_exact_everywhere(package, name):
    (entry,) = certificate.certify(OPS[name], np.float32, thin=4, ops=package.table.OPS)
    assert entry.grade == "good", (entry.forward, entry.gradient, entry.faults)


@pytest.mark.parametrize("name", OPS)
def test_it_says_so(package, name):
    assert "float64" in package.table.OPS[name].kernel.__doc__


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (400, 500)], ids=str)
@pytest.mark.parametrize("name", OPS)
def test_dtypes_and_shapes_stay(package, name, dtype, shape):
    random = np.random.default_rng(0)
    inputs = [Tensor(random.normal(size=shape) * 9, dtype=dtype, requires_grad=True) for _ in OPS[name].inputs]
    y = getattr(package, name)(*inputs)
    y.backward(np.ones(shape, dtype))
    assert y.dtype == dtype and y.shape == shape
    assert all(x.grad.dtype == dtype and x.grad.shape == shape for x in inputs)
    wide = [Tensor(x.data, dtype=np.float64, requires_grad=True) for x in inputs]
    exact = getattr(package, name)(*wide)
    exact.backward(np.ones(shape))
    tolerance = {"rtol": 20 * np.finfo(dtype).eps, "atol": np.finfo(dtype).smallest_subnormal}
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(y.data, exact.data.astype(dtype), **tolerance)
        for x, other in zip(inputs, wide, strict=True):
            np.testing.assert_allclose(x.grad, other.grad.astype(dtype), **tolerance)


@pytest.mark.parametrize("name", OPS)
def test_derivatives_of_derivatives(package, name):
    inputs = [np.array([-3.0, -0.5, 0.25, 2.0]) * (1 - 1.5 * place) for place in range(len(OPS[name].inputs))]
    autodiff.check_grads(getattr(package, name), tuple(inputs))
