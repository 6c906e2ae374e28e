"""What the generated kernels call, against NumPy and mpmath."""

import mpmath
import numpy as np
import pytest
from nngrad_ops import runtime

LARGE = runtime.FEW_ELEMENTS + 7


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_where_is_numpys(dtype, size):
    random = np.random.default_rng(0)
    a, b = (random.integers(-9, 9, (2, size)).astype(dtype) for _ in range(2))
    if size and a.dtype.kind == "f":
        a[0, :5] = b[1, :5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    condition = random.random((2, size)) < 0.5
    for x, y in ((a, b), (a, 0), (0, b), (a, 2), (-1, b), (a[:1], b), (a, b[1:]), (a.T.copy().T, b)):
        for mask in (condition, condition[:1]):
            expected, chosen = np.where(mask, x, y), runtime.where(mask, x, y)
            assert chosen.dtype == expected.dtype
            np.testing.assert_array_equal(chosen, expected)
            np.testing.assert_array_equal(np.signbit(chosen), np.signbit(expected))
    np.testing.assert_array_equal(runtime.where(condition.astype(dtype), a, b), np.where(condition, a, b))


@pytest.mark.parametrize(
    "shape, target",
    [((3, 4), (4,)), ((2, 3, 4), (3, 1)), ((3,), ()), ((), (2, 2)), ((3, 1), (1, 1)), ((4,), (2, 4)), ((0, 3), (1, 3))],
)
def test_unbroadcast_is_the_adjoint_of_broadcasting(shape, target):
    random = np.random.default_rng(1)
    x, y = random.normal(size=shape), random.normal(size=target)
    there, back = runtime.unbroadcast(x, target), runtime.unbroadcast(y, shape)
    assert there.shape == target and back.shape == shape
    np.testing.assert_allclose(np.vdot(there, y), np.vdot(x, back), atol=1e-12)


@pytest.mark.parametrize("row", [[2.0, 3.0, 5.0], [2.0, 0.0, 5.0], [0.0, 3.0, 0.0], [7.0]])
def test_product_of_others(row):
    expected = [np.prod(row[:place] + row[place + 1 :]) for place in range(len(row))]
    np.testing.assert_array_equal(runtime.product_of_others(np.array(row), -1), expected)
    np.testing.assert_array_equal(runtime.product_of_others(np.array(row)[:, None], None), np.array(expected)[:, None])


@pytest.mark.parametrize("dtype, ulps", [(np.float32, 5), (np.float64, 5)])
@pytest.mark.parametrize(
    "name, exact",
    [
        ("erf", mpmath.erf),
        ("erfc", mpmath.erfc),
        ("normal_cdf", lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2),
    ],
)
def test_error_functions(name, exact, dtype, ulps):
    """To a few units in the last place, in the tails too, as far as results are not subnormal."""
    tail = {np.float32: 9, np.float64: 26}[dtype]
    x = np.concatenate([np.linspace(-tail, tail, 400), np.geomspace(1e-30, 1, 60), -np.geomspace(1e-30, 1, 60)]).astype(
        dtype
    )
    with mpmath.workdps(50):
        expected = [exact(mpmath.mpf(float(one))) for one in x]
        off = [
            abs(mpmath.mpf(float(y)) - truth) / mpmath.mpf(float(np.spacing(dtype(abs(truth)))))
            for y, truth in zip(getattr(runtime, name)(x), expected, strict=True)
            if abs(truth) > np.finfo(dtype).tiny
        ]
    assert max(off) <= ulps


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_are_shifted_where_exp_leaves_the_range(dtype):
    top = float(np.log(np.finfo(dtype).max))
    usual = np.array([[0, 1, 0.5], [-0.5, -1, -2]], dtype)
    assert not runtime.shift(usual, -1).any(), "a usual row costs no subtraction"
    x = np.array([[0, 1, 0.5], [2 * top, 0, -top], [-2 * top, -3 * top, -2 * top], [1, -2 * top, 0]], dtype)
    np.testing.assert_array_equal(runtime.shift(x, -1), np.array([[0], [2 * top], [-2 * top], [0]], dtype))
    y = runtime.exp_shifted(x, runtime.shift(x, -1))
    assert y.dtype == dtype and np.isfinite(y).all()
    assert runtime.shift(np.array([[np.inf, 0], [-np.inf, -np.inf], [np.nan, 1]], dtype), -1).tolist() == [[0]] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [-1, 0, (0, 1), None])
def test_log_excess_keeps_what_one_term_outweighs(dtype, axis):
    x = np.array([[1, 1e-20, 3e-25], [1e-3, 1, 2e-20]], dtype)
    total = np.add.reduce(x, axis, keepdims=True)
    excess = runtime.log_excess(total, x, axis)
    others = total - np.maximum.reduce(x, axis, keepdims=True)
    assert excess.shape == total.shape and excess.dtype == dtype
    if axis == -1:
        np.testing.assert_allclose(excess, [[1e-20], [1e-3]], rtol=1e-3)
    elif axis == 0:
        np.testing.assert_allclose(excess, [[1e-3, 1e-20, 1.5e-5]], rtol=1e-3)
    else:
        np.testing.assert_allclose(excess, np.log1p(others), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_are_scaled_by_powers_of_two_where_powers_leave_the_range(dtype):
    limits = np.finfo(dtype)
    huge, small = limits.max / 8, limits.tiny * 8
    x = np.array([[1, -2, 0.5], [huge, -1, huge], [small, 0, -small], [0, 0, 0], [np.inf, 1, np.nan]], dtype)
    scale = runtime.scale(x, 2, 0, -1)
    assert scale.dtype == dtype and (np.frexp(scale)[0] == 0.5).all(), "dividing by it is exact"
    assert scale[[0, 3, 4]].tolist() == [[1]] * 3
    largest = np.abs(runtime.scaled(x, scale)[1:3]).max(-1)
    assert ((largest >= 1) & (largest < 2)).all()
    assert (runtime.scale(x[:1], 2, 1e-5, -1) == 1).all() and runtime.scaled(x, np.ones_like(scale)) is x
    assert runtime.scale(x[2:3], 2, 1.0, -1) == 1, "a constant beside the powers is in range already"
