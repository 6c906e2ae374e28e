"""Reductions that pass over NaN, and norms of every order, against NumPy and PyTorch's conventions."""

import numpy as np
import pytest

import nngrad
from nngrad import Tensor
from nngrad.engine import OPS, apply

X = np.array([[1.0, np.nan, -3.0, 3.0], [np.nan, 0.5, 0.5, -2.0]])
ORDERS = [None, 1, 2, 3, 0.5, 1.5, -1, np.inf, -np.inf]


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean"])
def test_nan_is_passed_over(name, axis):
    x = Tensor(X, dtype=float, requires_grad=True)
    y = getattr(nngrad, name)(x, axis)
    np.testing.assert_allclose(y.data, getattr(np, name)(X, axis), rtol=1e-14)
    np.testing.assert_array_equal(getattr(np, name)(x, axis=axis).data, y.data)
    y.sum().backward()
    assert (x.grad[np.isnan(X)] == 0).all() and np.isfinite(x.grad).all()

    def f(x):
        return getattr(nngrad, name)(nngrad.where(np.isnan(X), np.nan, x), axis).sum()

    nngrad.check_grads(f, (np.nan_to_num(X),))


def test_ptp():
    x = np.random.default_rng(0).normal(size=(3, 4))
    t = Tensor(x, dtype=float, requires_grad=True)
    np.testing.assert_array_equal(np.ptp(t, axis=1).data, np.ptp(x, axis=1))
    nngrad.check_grads(lambda x: nngrad.ptp(x, 0).sum(), (x,))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("ord", ORDERS)
def test_norm(ord, axis):
    x = np.random.default_rng(0).normal(size=(3, 4))
    y = nngrad.norm(Tensor(x, dtype=float), ord, axis)
    rows, along = (x, axis) if isinstance(axis, int) else (x.ravel(), 0)  # NumPy takes two axes for a matrix
    expected = np.linalg.norm(rows, ord, along)
    np.testing.assert_allclose(y.data, expected, rtol=1e-13)
    assert nngrad.norm(x, ord, axis, keepdims=True).ndim == 2
    nngrad.check_grads(lambda x: nngrad.norm(x, ord, axis).sum(), (x,), order=2)


@pytest.mark.parametrize("ord", [1, 2, 3, np.inf])
def test_norm_at_zero_has_gradient_zero(ord):
    x = Tensor(np.zeros((2, 3)), requires_grad=True)
    nngrad.norm(x, ord, axis=1).sum().backward()
    assert (x.grad == 0).all()


def test_norm_neither_overflows_nor_underflows():
    for size in (1e-30, 1e30):
        x = Tensor(np.array([3.0, 4.0]) * size, requires_grad=True)
        y = x.norm()
        y.backward()
        np.testing.assert_allclose(y.data, 5 * size, rtol=1e-6)
        np.testing.assert_allclose(x.grad, [0.6, 0.8], rtol=1e-6)


def test_norm_like_numpy():
    x = np.random.default_rng(0).normal(size=(3, 4))
    t = Tensor(x, dtype=float)
    np.testing.assert_allclose(np.linalg.norm(t, axis=1).data, np.linalg.norm(x, axis=1))
    np.testing.assert_allclose(np.linalg.norm(t, 1, axis=0, keepdims=True).data, np.linalg.norm(x, 1, 0, True))
    with pytest.raises(ValueError, match="got 'nuc'"):
        nngrad.norm(t, "nuc")


@pytest.mark.parametrize("order", [0, 0.5, 0.9, 1, 1.5, 2, 3, -0.5, -2, np.inf, -np.inf])
def test_norm_has_no_slope_by_what_is_zero(order):
    x = Tensor(np.array([[0.0, -2, 3], [0, 0, 0]]), dtype=float, requires_grad=True)
    y = nngrad.norm(x, order, axis=1)
    y.sum().backward()
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(y.data, np.linalg.norm(x.data, order, axis=1))
    assert not x.grad[x.data == 0].any() and np.isfinite(x.grad).all()
    assert x.grad[0].any() == (order > 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize(("count", "ddof"), [(1, 1), (1, 2), (2, 2), (2, 3), (3, 5), (0, 0), (0, 1)])
def test_without_degrees_of_freedom(name, count, ddof):
    """As in NumPy and PyTorch none are left, rather than less than none: infinite, or NaN where all are equal."""
    x = np.arange(count, dtype=float)
    np.testing.assert_array_equal(getattr(nngrad, name)(x, ddof=ddof).data, getattr(np, name)(x, ddof=ddof))
    y, gradient = nngrad.value_and_grad(lambda x: getattr(nngrad, name)(x, ddof=ddof))(x)
    assert not (y.data < 0).any() and not np.isfinite(gradient.data).any()


@pytest.mark.filterwarnings("ignore:.* encountered in divide")
@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (2, 0, 3), (0, 0), (0,)])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prod", np.prod),
        ("nanprod", np.nanprod),
        ("logsumexp", lambda x, axis: np.log(np.exp(x).sum(axis))),
        ("log_softmax", lambda x, axis: x),
    ],
)
def test_rows_of_nothing(name, expected, shape, axis):
    """The product of nothing is 1, its sum is 0, and derivatives of every order have its shape."""
    f = lambda x: getattr(nngrad.nn.functional if name == "log_softmax" else nngrad, name)(x, axis=axis)  # noqa: E731
    x = Tensor(np.ones(shape), dtype=float, requires_grad=True)
    y = f(x)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(y.data, expected(x.data, axis=axis))
    (slope,) = nngrad.gradients(y, (x,), np.ones(y.shape), create_graph=True)
    (slope * slope).sum().backward()
    y.backward(np.ones(y.shape))
    assert slope.shape == x.grad.shape == shape


def test_median_of_rows_beside_none():
    assert nngrad.median(np.zeros((0, 3)), -1).shape == (0,)
    with pytest.raises(ValueError, match="no elements along axis 0"):
        nngrad.median(np.zeros((0, 3)), 0)


def test_xlogy_at_0():
    x = np.array([0.0, np.inf, -np.inf, -1.0, 2.0])
    y, pull = nngrad.vjp(lambda t: nngrad.xlogy(0.0, t), x)
    (slope,) = pull(np.ones(5))
    assert y.tolist() == slope.tolist() == [0] * 5
    assert np.isnan(nngrad.xlogy(0.0, np.nan).item())


@pytest.mark.parametrize("axis", [-1, 0, None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", [op for op in OPS.values() if op.family == "reduction" and op.home != "loss"])
def test_a_number_is_a_row_of_one(op, dtype, axis):
    no_others = [None] * (len(op.inputs) - 1)
    for number in (1, -2.5, 0, 300):
        found = []
        for data in (number, [number]):
            x = Tensor(data, dtype, requires_grad=True)
            y = apply(op, x, *no_others, axis=axis)
            g = nngrad.gradients(y, x, np.ones(y.shape), create_graph=True)
            found.append((y.item(), g.item(), nngrad.gradients(g, x, np.ones(g.shape)).item() if g.op else 0))
        np.testing.assert_array_equal(*found)
