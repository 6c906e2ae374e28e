"""What the generated kernels call, against NumPy and mpmath."""

import contextlib
import inspect
import itertools
import multiprocessing
import os
import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from nngrad_ops import OPS, products, rows, runtime, tiles
from nngrad_ops.runtime import layout, out_of_range, shares

import nngrad
from nngrad.codegen.algebra.vocabulary import WORDS
from nngrad.codegen.emitting import approximate

LARGE = layout.FEW_ELEMENTS + 7


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_where_is_numpys(dtype, size):
    random = np.random.default_rng(0)
    a, b = (random.integers(-9, 9, (2, size)).astype(dtype) for _ in range(2))
    if size and a.dtype.kind == "f":
        a[0, :5] = b[1, :5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    condition = random.random((2, size)) < 0.5
    for x, y in ((a, b), (a, 0), (0, b), (a, 2), (-1, b), (a[:1], b), (a, b[1:]), (a.T.copy().T, b)):
        for mask in (condition, condition[:1], condition[:1] & False):
            expected, chosen = np.where(mask, x, y), runtime.where(mask, x, y)
            assert chosen.dtype == expected.dtype
            np.testing.assert_array_equal(chosen, expected)
            np.testing.assert_array_equal(np.signbit(chosen), np.signbit(expected))
    np.testing.assert_array_equal(runtime.where(condition.astype(dtype), a, b), np.where(condition, a, b))
    for number in (True, False):  # a condition of parameters alone
        np.testing.assert_array_equal(runtime.where(number, a, 1), np.where(number, a, 1))
    for x, y in ((a, 0), (0, a)):
        expected = np.where(condition, x, y)
        for place in (a, a[:]):  # also by another array of the same memory
            np.testing.assert_array_equal(runtime.where(condition, x, y, out=place), expected, "it can be replaced")
            a[...] = b
            expected = np.where(condition, b if x is a else x, b if y is a else y)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 5, 5000])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_slope_of_0_lets_nothing_pass(dtype, size, in_place):
    random = np.random.default_rng(0)
    g, slope = random.standard_normal((2, size)).astype(dtype)
    slope[::2] = 0
    for worst in ([], [np.inf, np.inf, -np.inf, np.nan, np.nan]):
        g[: len(worst)] = worst[:size]
        with np.errstate(invalid="ignore"):
            expected = np.where(slope == 0, 0, g * slope)
        taken = slope.copy()
        found = runtime.passed(g, taken, out=taken) if in_place else runtime.passed(g, taken)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_extrema_with_a_number_are_numpys(dtype, size):
    x = np.random.default_rng(0).integers(-9, 9, (2, size)).astype(dtype)
    if size and x.dtype.kind == "f":
        x[0, :5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    for one in (x, x[:, ::2], x.T):
        for bound in (0, -3, 2.5) if x.dtype.kind == "f" else (0, -3):
            for ours, numpys in ((runtime.maximum, np.maximum), (runtime.minimum, np.minimum)):
                assert ours(one, bound).dtype == dtype
                np.testing.assert_array_equal(ours(one, bound), numpys(one, bound))
                np.testing.assert_array_equal(ours(one, bound, out=np.empty_like(one)), numpys(one, bound))


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


@pytest.mark.parametrize("factor", [0.5, 2.0**30, 2.0**-30])
def test_products_of_others_of_short_floats_may_leave_their_range_on_the_way(factor):
    row = np.array([factor] * 4 + [1 / factor] * 5, np.float32)
    others = runtime.product_of_others(row, -1)
    assert others.dtype == np.float32
    np.testing.assert_array_equal(others, np.float32(1 / factor) / row)


@pytest.mark.parametrize("row", [[2.0, 3.0, 5.0], [2.0, 0.0, 5.0], [0.0, 3.0, 0.0], [7.0]])
def test_product_of_others(row):
    expected = [np.prod(row[:place] + row[place + 1 :]) for place in range(len(row))]
    np.testing.assert_array_equal(runtime.product_of_others(np.array(row), -1), expected)
    np.testing.assert_array_equal(runtime.product_of_others(np.array(row)[:, None], None), np.array(expected)[:, None])


# --- functions that NumPy lacks: units in the last place against mpmath ---

PRECISIONS = {np.float32: (24, -149), np.float64: (53, -1074)}


def ulps(values, truths, dtype):
    """The largest error in units of the exact value's last place, subnormal numbers included."""
    digits, lowest = PRECISIONS[dtype]
    worst = 0
    for value, truth in zip(np.ravel(values), truths, strict=True):
        assert np.isfinite(value), truth
        unit = mpmath.mpf(2) ** max(mpmath.frexp(abs(truth))[1] - digits, lowest)
        worst = max(worst, abs(mpmath.mpf(float(value)) - truth) / unit)
    return float(worst)


def exactly(function, *arrays):
    return [function(*(mpmath.mpf(float(one)) for one in row)) for row in zip(*arrays, strict=True)]


@pytest.fixture(autouse=True)
def many_digits():
    with mpmath.workdps(60):
        yield


def around(limit, dtype, seed=2):
    """Points from -limit to limit, dense near 0 and small to the last."""
    random = np.random.default_rng(seed)
    small = np.geomspace(1e-30, 1, 60)
    return np.concatenate([random.uniform(-limit, limit, 700), random.normal(size=300), small, -small]).astype(dtype)


def in_a_tile(function, x):
    """function(x) as a part of an array that fills a tile, whose elements may be computed otherwise than a few are."""
    return function(np.resize(x, tiles.TILE))[: x.size]


def normal_cdf(x):
    return runtime.normal_cdf(x, runtime.normal_density(x))


def exact_normal_cdf(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def exact_normal_density(x):
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def exact_tail_excess(x):
    size = abs(x)
    with mpmath.workdps(80):
        return mpmath.exp(-size * size) / mpmath.erfc(size) / mpmath.sqrt(mpmath.pi) - size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "function, exact, limits, largest_error",
    [
        (runtime.erf, mpmath.erf, (4, 6), 2),
        (runtime.erfc, mpmath.erfc, (10.06, 27.2), 3.5),
        (normal_cdf, exact_normal_cdf, (14.2, 38.5), 3.5),
        (runtime.normal_density, exact_normal_density, (14.4, 38.6), 2),
        (runtime.tail_excess, exact_tail_excess, (30, 60), 2),
        (lambda x: runtime.exp_square(x, 1), lambda x: mpmath.exp(x * x), (9.4, 26.6), 2.5),
    ],
)
def test_error_functions(function, exact, limits, largest_error, dtype):
    """A few ulp into the subnormal tail, of few, in one tile and in many."""
    x = around(limits[dtype == np.float64], dtype)
    expected = exactly(exact, x)
    for y in (function(x), in_a_tile(function, x)):
        assert ulps(y, expected, dtype) <= largest_error
    many = np.tile(x, 300)[: tiles.TILE + 4096].reshape(8, -1)
    np.testing.assert_array_equal(function(many).ravel()[: x.size], in_a_tile(function, x))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_error_functions_at_the_ends(dtype):
    largest = np.finfo(dtype).max
    x = np.array([-np.inf, -largest, -0.0, 0.0, largest, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(runtime.erf(x), [-1, -1, -0.0, 0, 1, 1, np.nan])
    assert np.signbit(runtime.erf(x))[2]
    np.testing.assert_array_equal(runtime.erfc(x), [2, 2, 1, 1, 0, 0, np.nan])
    density = runtime.normal_density(x)
    np.testing.assert_array_equal(density[[0, 1, 4, 5, 6]], [0, 0, 0, 0, np.nan])
    np.testing.assert_array_equal(runtime.times_normal_density(x, density), [0, 0, 0, 0, 0, 0, np.nan])
    p = runtime.normal_cdf(x, density)
    np.testing.assert_array_equal(p, [0, 0, 0.5, 0.5, 1, 1, np.nan])
    np.testing.assert_array_equal(runtime.times_normal_cdf(x, p), [0, 0, 0, 0, largest, np.inf, np.nan])
    np.testing.assert_array_equal(runtime.tail_excess(x)[[0, 5, 6]], [0, 0, np.nan])
    far = np.array([1e4, 1e9, 1e30])
    if dtype != np.float16:
        np.testing.assert_allclose(runtime.tail_excess(far.astype(dtype)), 0.5 / far, rtol=1e-6)
    np.testing.assert_array_equal(runtime.exp_square(x, -0.5), [0, 0, 1, 1, 0, 0, np.nan])
    np.testing.assert_array_equal(runtime.x_exp_square(x, -0.5), [0, 0, 0, 0, 0, 0, np.nan])
    for function in (runtime.erf, runtime.erfc, normal_cdf):
        assert isinstance(function(x[0:1].reshape(())), np.ndarray) and function(x[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithms_of_quotients_and_what_they_leave(dtype):
    """log(a / b), and d - a log(1 + d / a), near each other, far apart, and where a / b is no float."""
    random, info = np.random.default_rng(6), np.finfo(dtype)
    a = np.concatenate([random.uniform(0.1, 9, 60), [info.tiny * 4, info.max / 2**12, 1.0, 3.0]]).astype(dtype)
    b = (a * (1 + random.normal(size=a.size) * 10.0 ** -random.integers(0, 7, a.size))).astype(dtype)
    b[-4:] = info.max / 2**12, info.tiny * 4, 1.0, -2.0
    b = np.where(np.arange(a.size) < a.size - 1, abs(b), b)
    with np.errstate(invalid="ignore"):
        logarithm = runtime.log_quotient(a, b)
    assert np.isnan(logarithm[-1])
    d = (b - a).astype(dtype)
    rest = runtime.times_log_remainder(a, d, -logarithm)
    for one, other, got, left, by in zip(a[:-1], b[:-1], logarithm, rest, d, strict=False):
        one, other, by = (mpmath.mpf(float(number)) for number in (one, other, by))
        exact = mpmath.log(one / other)
        assert abs(float(got) - exact) <= 2 * abs(exact) * float(info.eps)
        exact = by - one * mpmath.log1p(by / one)
        assert abs(float(left) - exact) <= 4 * abs(exact) * float(info.eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_exponentials_are_right_wherever_the_whole_is_in_range(dtype):
    random = np.random.default_rng(5)
    x = np.concatenate([random.uniform(-3, 3, 30), random.uniform(-1400, 1400, 60)]).astype(dtype)
    a, b = (random.normal(size=x.size) * np.exp(-x.astype(float) / two) for two in (2, 4))
    a[::7], info = 0, np.finfo(dtype)
    for factors in ((a,), (2.5, a), (a, b), (a, 3.0, b)):
        factors = [one if isinstance(one, float) else np.clip(one, -1e30, 1e30).astype(dtype) for one in factors]
        got = runtime.times_exp(*factors, x)
        assert got.dtype == dtype
        for place, one in enumerate(got):
            alone = [mpmath.mpf(float(np.broadcast_to(factor, x.shape)[place])) for factor in factors]
            exact = mpmath.fprod(alone) * mpmath.exp(mpmath.mpf(float(x[place])))
            if abs(exact) < info.max:
                size = max(abs(exact), mpmath.mpf(float(info.smallest_normal)))
                assert abs(float(one) - exact) <= 3 * size * float(info.eps)
            own = [factor if isinstance(factor, float) else factor[place : place + 1] for factor in factors]
            assert runtime.times_exp(*own, x[place : place + 1]) == one or not np.isfinite(one)
    assert runtime.times_exp(np.array([np.inf, 0.0], dtype), np.array([-np.inf, np.inf], dtype)).tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [-0.5, -1, -1 / 3, -1 / 256])
def test_gaussians(c, dtype):
    x = around(float(np.sqrt({np.float32: -103, np.float64: -744}[dtype] / c)), dtype)
    assert ulps(runtime.exp_square(x, c), exactly(lambda x: mpmath.exp(c * x * x), x), dtype) <= 2
    assert ulps(runtime.x_exp_square(x, c), exactly(lambda x: x * mpmath.exp(c * x * x), x), dtype) <= 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "times, factor, exact",
    [
        (runtime.times_normal_cdf, normal_cdf, exact_normal_cdf),
        (runtime.times_normal_density, runtime.normal_density, exact_normal_density),
    ],
)
def test_products_with_small_factors_keep_their_digits(times, factor, exact, dtype):
    """Also where the factor is subnormal, and in the place that is given."""
    low, high = {np.float32: (-14.4, -12.5), np.float64: (-38.6, -37)}[dtype]
    x = np.linspace(low, high, 500).astype(dtype)
    out = np.empty_like(x)
    assert times(x, factor(x), out) is out
    assert ulps(out, exactly(lambda x: x * exact(x), x), dtype) <= 3


@pytest.mark.parametrize("c", [-1e-35, -1e-12, -3e20])
def test_gaussians_of_any_width(c):
    x = (np.linspace(-9, 9, 301) / np.sqrt(-c)).astype(np.float32)
    assert ulps(runtime.exp_square(x, c), exactly(lambda x: mpmath.exp(c * x * x), x), np.float32) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [-1.702, 3, -1 / 3, 0.7e-30, -5e20, 2, -0.125])
def test_exponentials_of_multiples(c, dtype):
    """As if the product were exact; with what the float next to the rate lacks, too, in one tile and in many."""
    limit = {np.float32: 87, np.float64: 708}[dtype] / abs(c)
    x = around(limit, dtype)
    x = x[np.abs(x) <= limit]
    expected = exactly(lambda x: mpmath.exp(c * x), x)
    for y in (runtime.exp_multiple(x, c), in_a_tile(lambda x: runtime.exp_multiple(x, c), x)):
        assert ulps(y, expected, dtype) <= 2
    third = exactly(lambda x: mpmath.exp(mpmath.mpf(c) / 3 * x), x)
    rest = float(mpmath.mpf(c) / 3 - c / 3)
    assert ulps(runtime.exp_multiple(x, c / 3, rest), third, dtype) <= 2
    many = np.tile(x, 300)[: tiles.TILE + 4096]
    np.testing.assert_array_equal(
        runtime.exp_multiple(many, c)[: x.size], in_a_tile(lambda x: runtime.exp_multiple(x, c), x)
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("c", [-1.702, -3, -2.0, -1])
def test_exponentials_of_multiples_at_the_ends(c, dtype):
    """Without a warning but where a finite number has an infinite exponential."""
    x = np.array([0.0, np.finfo(dtype).max, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(runtime.exp_multiple(x, c), [1, 0, 0, np.nan])
    np.testing.assert_array_equal(runtime.exp_multiple(-x[[0, 2, 3]], c), [1, np.inf, np.nan])
    with pytest.warns(RuntimeWarning, match="overflow"):
        np.testing.assert_array_equal(runtime.exp_multiple(-x[1:2], c), np.inf)
    for one in (x[1].reshape(()), x[:0], x):
        assert runtime.exp_multiple(np.asarray(one), c).dtype == dtype
    np.testing.assert_array_equal(runtime.exp_multiple(x, -1e-300)[[0, 2]], [1, 0])
    np.testing.assert_array_equal(runtime.exp_multiple(x[:2], 0), [1, 1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_without_infinity(dtype):
    largest = np.finfo(dtype).max
    x = np.array([-np.inf, -1, np.nan, np.inf], dtype)
    np.testing.assert_array_equal(runtime.without_infinity(x, 1), [-np.inf, -1, np.nan, largest])
    np.testing.assert_array_equal(runtime.without_infinity(x, -1), [-largest, -1, np.nan, np.inf])
    for one in (x[1:2], x[:0], np.asarray(x[1])):
        assert runtime.without_infinity(one, 1) is one and runtime.without_infinity(one, -1) is one


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [1.0, 0.7, -1.702, 2.0])
def test_tails_that_have_decayed(rate, dtype):
    """factor exp(rate x) where that exponential is subnormal, or 0; elsewhere what is given."""
    x = np.linspace(70, {np.float32: 110, np.float64: 760}[dtype], 400).astype(dtype) / dtype(-rate)
    factor = np.full_like(x, 3e4)
    y = runtime.decayed(np.full_like(x, 7), factor, x, rate)
    is_tail = rate * x.astype(np.float64) < out_of_range.TAIL
    exact = exactly(lambda x: 3e4 * mpmath.exp(rate * x), x[is_tail])
    assert is_tail.any() and not is_tail.all()
    assert ulps(y[is_tail], exact, dtype) <= 4 and (y[~is_tail] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_exponentials_and_logarithms_leave(dtype):
    x = np.concatenate([np.linspace(-3, 3, 61), [1e-15, -1e-9, 0.999, 1.001, 40, 70, 85, -50, -1e30]]).astype(dtype)
    assert ulps(runtime.exp_remainder(x), exactly(lambda x: mpmath.exp(x) - 1 - x, x), dtype) <= 4
    numbers = x[x != 0]
    assert ulps(runtime.phi_two(numbers), exactly(lambda x: (mpmath.exp(x) - 1 - x) / x**2, numbers), dtype) <= 4
    v = x[x > -0.99]
    assert ulps(runtime.log_remainder(v, np.log1p(v)), exactly(lambda v: v - mpmath.log1p(v), v), dtype) <= 4
    assert np.isnan(runtime.phi_two(np.array([np.nan, 80], dtype))).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", ["expm1_over", "expm1_over_slope", "over_expm1", "over_expm1_slope"])
def test_quotients_of_exponentials(word, dtype):
    ends = {np.float32: [-90, -1e30, 63, 65, 85], np.float64: [-800, -1e200, 63, 65, 700]}[dtype]
    function, oracle = getattr(runtime, word), WORDS[word].oracle
    x = np.concatenate([np.linspace(-4, 4, 161), [1e-30, -1e-9, *ends]]).astype(dtype)
    assert ulps(function(x), exactly(oracle, x), dtype) <= 4
    near_1 = exactly(oracle, np.array([1e-12, -1e-12]))
    np.testing.assert_allclose(function(np.zeros(2, dtype)), np.array(near_1, float))
    plus, minus, nan = (
        function(np.array(end, dtype)) for end in (90 if word.startswith("over") else 20, -np.inf, np.nan)
    )
    assert np.isfinite(plus) and np.isnan(nan) and minus == {"over_expm1": np.inf, "over_expm1_slope": -1}.get(word, 0)


@pytest.mark.parametrize("degree, below", [(3, 0), (2, 2), (0, 3)])
def test_fits_are_level(degree, below):
    """The best approximation has an error of equal size and alternating sign, degree + below + 2 times (Chebyshev)."""
    dividend, divisor = approximate._minimax(lambda t: (t, mpmath.exp(t), 1 / mpmath.exp(t)), -1, 1, degree, below)
    assert len(dividend) == degree + 1 and len(divisor) == below + 1 and divisor[-1] == 1
    x = np.linspace(-1, 1, 4001)
    errors = np.polyval(dividend, x) / np.polyval(divisor, x) / np.exp(x) - 1
    turns = np.flatnonzero(np.diff(np.sign(np.diff(errors)))) + 1
    extrema = errors[[0, *turns, -1]]
    assert extrema.size == degree + below + 2 and (np.sign(extrema[1:]) == -np.sign(extrema[:-1])).all()
    assert np.abs(extrema).max() < 1.03 * np.abs(extrema).min()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_difference(dtype):
    random = np.random.default_rng(3)
    b = (random.normal(size=1000) * np.exp(random.normal(size=1000) * 2)).astype(dtype)
    a = np.minimum(b, (b - random.uniform(0, {np.float32: 100, np.float64: 740}[dtype], 1000)).astype(dtype))
    exact = exactly(lambda a, b: mpmath.exp(a - b), a, b)
    assert ulps(runtime.exp_difference(a, b), exact, dtype) <= 2
    largest = np.finfo(dtype).max
    a = np.array([-largest, -np.inf, -np.inf, np.inf, largest, 0, largest / 2, np.nan], dtype)
    b = np.array([largest, -np.inf, 1, np.inf, largest, np.inf, largest, 1], dtype)
    np.testing.assert_array_equal(runtime.exp_difference(a, b), [0, 1, 0, 1, 1, 0, 0, np.nan])
    row = np.array([[-np.inf, 2**24 - 64, 2**24], [-np.inf, -(2**24) - 64, -(2**24)]], np.float32)
    expected = [[0, float(np.exp(-64)), 1]] * 2
    np.testing.assert_allclose(runtime.exp_difference(row, row[:, 2:]), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logaddexp(dtype):
    random = np.random.default_rng(4)
    a = (random.normal(size=800) * 10 ** random.uniform(-3, 2, 800)).astype(dtype)
    b = (a - random.uniform(-90, 90, 800)).astype(dtype)
    y, exact = runtime.logaddexp(a, b), exactly(lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)), a, b)
    if dtype == np.float64:  # near its zero, in units of the terms that cancel there
        cancels = np.abs(y) < np.abs(np.maximum(a, b)) / 2
        np.testing.assert_allclose(y[cancels], np.array(exact)[cancels].astype(float), rtol=0, atol=2e-16)
        y, exact = y[~cancels], np.array(exact)[~cancels]
    assert ulps(y, exact, dtype) <= 3
    ends = np.array([-np.inf, np.inf, 0.0], dtype)
    np.testing.assert_array_equal(runtime.logaddexp(ends, ends)[:2], [-np.inf, np.inf])
    np.testing.assert_array_equal(runtime.logaddexp(ends[:1], ends[1:]), [np.inf, 0])
    near = np.array([-0.6], np.float32)  # the sum is nearly 1, its logarithm nearly 0
    other = np.log(-np.expm1(near)) * np.float32(1.0001)
    exact = exactly(lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)), near, other)
    assert ulps(runtime.logaddexp(near, other), exact, np.float32) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sinc_and_its_slope(dtype):
    x = np.concatenate([around(40, dtype), np.arange(1, 9), [1e6 + 0.25, 12345.5]]).astype(dtype)
    assert ulps(runtime.sinc(x), exactly(mpmath.sincpi, x), dtype) <= 3

    def slope(x):
        return (mpmath.cospi(x) - mpmath.sincpi(x)) / x

    with mpmath.workdps(120):
        x = x[(np.abs(x) < 1) | (np.abs(np.abs(np.cos(np.pi * x)) - np.abs(np.sinc(x))) > 0.1)]
        assert ulps(runtime.sinc_slope(x), exactly(slope, x), dtype) <= 4
    ends = np.array([0.0, np.inf, -np.inf, np.finfo(dtype).max], dtype)
    np.testing.assert_array_equal(runtime.sinc(ends), [1, 0, 0, 0])
    np.testing.assert_allclose(runtime.sinc_slope(ends), [0, 0, 0, 0], atol=1e-37)


def test_half_tangents_give_sines_and_cosines():
    random = np.random.default_rng(6)
    x = np.concatenate([random.normal(size=3000) * 10.0 ** random.uniform(-8, 6, 3000), around(40, np.float64)])
    x = np.concatenate([x, np.pi * np.arange(-8, 9) / 2, (np.pi * np.arange(-40, 41)).astype(np.float32)])
    t = runtime.half_tangent(x)
    sine, cosine = 2 * t / (1 + t**2), (1 - t**2) / (1 + t**2)
    for ours, exact in ((sine, exactly(mpmath.sin, x)), (cosine, exactly(mpmath.cos, x))):
        np.testing.assert_allclose(ours, np.array(exact).astype(float), rtol=1e-15, atol=1e-15)
    small = np.abs(x) < 1e-4
    assert ulps(sine[small], exactly(mpmath.sin, x[small]), np.float64) <= 8
    np.testing.assert_array_equal(runtime.half_tangent(np.zeros(2)), [0, 0])


def magnitudes(dtype, size, seed):
    """Numbers of either sign from the smallest subnormal to the largest."""
    limits = np.finfo(dtype)
    random = np.random.default_rng(seed)
    exponents = random.uniform(np.log2(float(limits.smallest_subnormal)), limits.maxexp, size)
    with np.errstate(over="ignore"):
        x = np.exp2(exponents).astype(dtype) * random.choice([-1, 1], size).astype(dtype)
    return x[np.isfinite(x) & (x != 0)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name, exact",
    [
        ("hypot", mpmath.hypot),
        ("over_hypot", lambda a, b: a / mpmath.hypot(a, b)),
        ("over_square", lambda a, b: a / (a * a + b * b)),
        ("over_square_slope", lambda a, b: (b * b - a * a) / (a * a + b * b) ** 2),
    ],
)
def test_functions_of_the_plane(name, exact, dtype):
    a = magnitudes(dtype, 1000, 5)
    b = np.random.default_rng(6).permutation(a)
    b[:300] = a[:300] * dtype(0.37)
    truths = exactly(exact, a, b)
    fits = [abs(truth) < float(np.finfo(dtype).max) / 4 for truth in truths]
    values = getattr(runtime, name)(a[fits], b[fits])
    assert ulps(values, [truth for truth, fit in zip(truths, fits, strict=True) if fit], dtype) <= 4
    assert getattr(runtime, name)(np.zeros(1, dtype), np.zeros(1, dtype)) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_of_powers(dtype):
    random = np.random.default_rng(7)
    base = np.abs(magnitudes(dtype, 900, 8))
    exponent = random.choice([0.01, 0.3, 0.5, 1.5, 2, 4, -0.3, -2.5, 1e-8, 7.3], base.size).astype(dtype)
    largest = float(np.finfo(dtype).max)

    def checked(function, exact):
        truths = exactly(exact, base, exponent)
        fits = np.array([abs(truth) < largest / 4 for truth in truths])
        return ulps(function(base[fits], exponent[fits]), np.array(truths)[fits], dtype)

    assert checked(runtime.power_slope, lambda a, b: b * a ** (b - 1)) <= 4
    for alike in (0.5, 0.75, 1.5, 1.3, 2.5, 0.3, -0.44, -2.5):
        truths = [alike * mpmath.mpf(float(one)) ** (mpmath.mpf(alike) - 1) for one in base]
        fits = np.array([abs(truth) < largest / 4 for truth in truths])
        assert ulps(runtime.power_slope(base[fits], alike), np.array(truths)[fits], dtype) <= 4
    assert runtime.power_slope(np.zeros(1, dtype), np.zeros(1, dtype)) == 0
    ends = np.array([0, np.inf], dtype)
    for alike, expected in ((1.5, [0, np.inf]), (2.5, [0, np.inf]), (0, [0, 0])):
        np.testing.assert_array_equal(runtime.power_slope(ends, alike), expected)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(runtime.power_slope(ends, 0.3), [np.inf, 0])
        np.testing.assert_array_equal(runtime.power_slope(ends, -0.3), [-np.inf, 0])

    y = np.array([float(one) if one < largest else np.inf for one in exactly(mpmath.power, base, exponent)], dtype)
    finite = np.isfinite(y)
    base, exponent, y = base[finite], exponent[finite], y[finite]
    truths = exactly(lambda a, b: a**b * mpmath.log(a), base, exponent)
    fits = np.array([abs(truth) < largest / 4 for truth in truths])
    values = runtime.power_times_log(y[fits], base[fits], exponent[fits])
    assert ulps(values, np.array(truths)[fits], dtype) <= 4


def test_slopes_along_the_exponent_at_0():
    """0**y is 0 for positive y, and falls without bound below 0; -0.0 to an odd power keeps its sign."""
    base, exponent = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -0.0]), np.array([2.0, 0.5, 0.0, -0.5, -2.0, -1.0])
    with np.errstate(divide="ignore"):
        values = runtime.power_times_log(np.power(base, exponent), base, exponent)
    np.testing.assert_array_equal(values, [0, 0, 0, -np.inf, -np.inf, np.inf])


# --- rows ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_are_shifted_where_exp_leaves_the_range(dtype):
    top = float(np.log(np.finfo(dtype).max))
    usual = np.array([[0, 1, 0.5], [-0.5, -1, -2]], dtype)
    assert runtime.shift(usual, -1).shape == (), "usual rows cost no subtraction"
    x = np.array([[0, 1, 0.5], [2 * top, 0, -top], [-2 * top, -3 * top, -2 * top], [1, -2 * top, 0]], dtype)
    np.testing.assert_array_equal(runtime.shift(x, -1), np.array([[0], [2 * top], [-2 * top], [0]], dtype))
    y = runtime.exp_shifted(x, runtime.shift(x, -1))
    assert y.dtype == dtype and np.isfinite(y).all()
    assert runtime.shift(np.array([[np.inf, 0], [-np.inf, -np.inf], [np.nan, 1]], dtype), -1).tolist() == 0
    infinite = np.array([[3, 1, -np.inf], [-np.inf, -np.inf, -np.inf], [np.inf, 0, 1]], dtype)
    np.testing.assert_array_equal(runtime.top(infinite, 1 / 0.07, -1), [[3], [0], [0]])
    assert runtime.top(usual, 0.25, -1).shape == (), "products with powers of 2 are exact"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_logarithms_of_nearly_equal_numbers_leave_of_their_sum(dtype):
    p = np.array([[5, np.nextafter(dtype(5), dtype(0)), 5], [3, 3, 3], [1, 2, 30]], dtype)
    q = np.mean(p, 1, keepdims=True)
    y = runtime.beyond(np.sum(p * np.log(p / q), 1, keepdims=True), np.sum(p, 1, keepdims=True), 1, p, q, -1)
    with mpmath.workdps(60):
        rows = [[*map(mpmath.mpf, row.tolist())] for row in p]
        expected = [float(mpmath.fsum(one * mpmath.log(3 * one / mpmath.fsum(row)) for one in row)) for row in rows]
    np.testing.assert_allclose(y[:, 0], expected, rtol=8 * np.finfo(dtype).eps, atol=1e-50)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithm_of_a_mean_of_nearly_equal_exponentials(dtype):
    x = np.array([[0, -1e-9, -3e-9], [0, 0, 0], [0, -2, -80], [-np.inf] * 3], dtype)
    e, total, shift = runtime.exponentials(x, -1)
    top, rest = runtime.log_sum_parts(x, e, total, shift, -1)
    y = runtime.log_mean(rest, x, top, -1)
    with mpmath.workdps(60):
        expected = [float(mpmath.log(mpmath.fsum(map(mpmath.exp, row.tolist())) / 3)) for row in x[:3]]
    np.testing.assert_allclose(y[:3, 0], expected, rtol=8 * np.finfo(dtype).eps)
    pair = runtime.log_mean(
        np.zeros((1, 1), dtype), np.full((1, 2), -np.inf, dtype), np.full((1, 1), -np.inf, dtype), -1
    )
    assert pair == -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [-1, 0, (0, 1), None])
def test_log_excess_keeps_what_one_term_outweighs(dtype, axis):
    x = np.array([[1, 1e-20, 3e-25], [1e-3, 1, 2e-20]], dtype)
    total = np.add.reduce(x, axis, keepdims=True)
    largest = np.maximum.reduce(x, axis, keepdims=True)
    excess = runtime.log_excess(total, x, largest, axis)
    others = total - largest
    assert excess.shape == total.shape and excess.dtype == dtype
    if axis == -1:
        np.testing.assert_allclose(excess, [[1e-20], [1e-3]], rtol=1e-3)
    elif axis == 0:
        np.testing.assert_allclose(excess, [[1e-3, 1e-20, 1.5e-5]], rtol=1e-3)
    else:
        np.testing.assert_allclose(excess, np.log1p(others), rtol=1e-6)


def logarithmic_rows(dtype):
    """Usual rows, and such as one element outweighs, whose exponentials leave the range, or whose sum is near 1."""
    random = np.random.default_rng(11)
    rows = [random.normal(size=12) * size for size in (1e-3, 1, 4, 20, 90, 800)]
    rows += [row + offset for row in rows[:4] for offset in (-300, -40, 60, 300)]
    rows += [
        np.log(random.dirichlet(np.ones(12))),
        [30, *[0.1] * 11],
        [1e-3, *[-30] * 11],
        [7] * 12,
        [-0.7, 0, *[-50] * 10],
    ]
    return np.array([row for row in rows for _ in range(3)], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("few, tile", [(10**4, 10**5), (10, 10**5), (10, 10)], ids=["few", "some", "many"])
def test_logarithms_of_sums_of_exponentials(dtype, axis, few, tile, monkeypatch):
    for module in filter(inspect.ismodule, vars(runtime).values()):
        if hasattr(module, "FEW_ELEMENTS"):
            monkeypatch.setattr(module, "FEW_ELEMENTS", few)
    monkeypatch.setattr(shares, "CACHED", tile)
    rows = logarithmic_rows(dtype)
    exact = [mpmath.log(mpmath.fsum(map(mpmath.exp, map(float, row)))) for row in rows]
    exact_rows = [[float(one) - total for one in row] for row, total in zip(rows, exact, strict=True)]
    x = np.ascontiguousarray(rows if axis == -1 else rows.T)
    usual = slice(0, 12) if axis == -1 else (slice(None), slice(0, 12))  # alone they are taken the short way
    with warnings.catch_warnings(action="error"):
        short = runtime.log_sum_parts(x[usual].copy(), *runtime.exponentials(x[usual].copy(), axis), axis)
        made = runtime.exponentials(x, axis)
        nearly, rest = runtime.log_sum_parts(x, *made, axis)
        total = runtime.log_sum(x, *made, axis)
    assert {one.dtype for one in (*made, nearly, rest, total)} == {np.dtype(dtype)}
    away = np.array([abs(one) > 1e-2 for one in exact])
    assert ulps(total.ravel()[away], np.array(exact)[away], dtype) <= 2
    y = x - nearly - rest
    alone = x[usual] - short[0] - short[1]
    got = [*y, *alone] if axis == -1 else [*y.T, *alone.T]
    exact_rows += exact_rows[:12]
    assert max(ulps(one, truths, dtype) for one, truths in zip(got, exact_rows, strict=True)) <= 3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_usual_exponentials_are_not_shifted_and_others_are(dtype):
    top = float(np.log(np.finfo(dtype).max))
    usual = np.array([[0, 1, 0.5], [-0.5, -1, -2], [-2, 0.1, -2 * top]], dtype)
    e, total, shift = runtime.exponentials(usual, -1)
    assert not shift.any() and e.dtype == total.dtype == dtype
    np.testing.assert_array_equal(e, np.exp(usual))
    np.testing.assert_array_equal(total, np.add.reduce(e, -1, keepdims=True))
    x = np.array([[2 * top, 0, -top], [-3 * top, -2 * top, -2 * top], [0, -0.5, -9 * top], [np.nan, 0, 1]], dtype)
    with warnings.catch_warnings(action="error"):
        e, total, shift = runtime.exponentials(x, -1)
    np.testing.assert_array_equal(shift, runtime.shift(x, -1))
    np.testing.assert_allclose(total.ravel(), [1, 2, 1 + np.exp(-0.5), np.nan], rtol=2 * np.finfo(dtype).eps)


def test_the_mean_of_subnormal_numbers():
    x = np.array([[3, -5, 1], [2, 2, 2]]) * np.finfo(np.float64).smallest_subnormal
    mean, error = runtime.mean_and_error(x, -1)
    np.testing.assert_array_equal(mean, x[:, 2:] * [[0], [1]])
    np.testing.assert_array_equal(error, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 1e-30, 1e30, 0])
def test_what_comes_together_is_what_it_is_alone(dtype, size):
    x = (size * np.random.default_rng(12).normal(size=(70, 90))).astype(dtype)
    x = np.concatenate([x, x[:1] / 2**60])
    scale, scaled, squares = runtime.scaled_squares(x, 0, -1)
    np.testing.assert_array_equal(scale, runtime.scale(x, 2, 0, -1))
    np.testing.assert_array_equal(scaled, x / scale)
    np.testing.assert_array_equal(squares, runtime.sum_products(scaled, scaled, -1))
    mean, error = runtime.mean_and_error(x, -1)
    np.testing.assert_array_equal(error, runtime.mean_error(x, mean, -1))
    np.testing.assert_allclose(mean, x.mean(-1, keepdims=True, dtype=np.float64), rtol=1e-4, atol=size * 1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [0, 1e-5])
@pytest.mark.parametrize("size, mean", [(1, 0), (1, 1e3), (1e-30, 0), (1e30, 0), (0, 5), (0, 0)])
def test_rows_about_their_mean_and_their_squares(dtype, constant, size, mean):
    x = (size * np.random.default_rng(13).normal(size=(70, 90)) + mean).astype(dtype)
    x = np.concatenate([x, x[:1] / 2**60])
    given = x.copy()
    with warnings.catch_warnings(action="error"):
        scale, centred, squares = runtime.centred_squares(x, constant, -1, out=np.empty_like(x))
    np.testing.assert_array_equal(scale, runtime.scale(x, 2, constant, -1))
    np.testing.assert_array_equal(x, given)
    for row, by, got, total in list(zip(x, scale.ravel(), centred, squares.ravel(), strict=True))[::10]:
        row = [Fraction(float(one)) / Fraction(float(by)) for one in row]
        middle = sum(row) / len(row)
        exact = [one - middle for one in row]
        assert ulps(got, [mpmath.mpf(one.numerator) / one.denominator for one in exact], dtype) <= 2
        assert total == pytest.approx(float(sum(one**2 for one in exact)), rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [-1, 0])
def test_the_log_of_a_share_is_exact_where_it_is_nearly_all_or_nothing(dtype, axis):
    top = float(np.log(np.finfo(dtype).max))
    x = [
        [0, 1, 0.5],
        [top / 8, -top / 2, -top / 4],
        [2 * top, 0, -top],
        [-top, -top, 0.9 - top],
        [-3 * top, 0, -np.inf],
    ]
    x, label = np.array(x, dtype), np.array([0, 0, 2, 2, 0])
    with mpmath.workdps(60):
        exps = [[mpmath.exp(mpmath.mpf(float(one))) for one in row] for row in x]
        truth = [mpmath.log(row[i] / mpmath.fsum(row)) for row, i in zip(exps, label, strict=True)]
    for part in (slice(0, 2), slice(None)):  # the usual ones, and all
        given = x[part] if axis == -1 else np.ascontiguousarray(x[part].T)
        chosen = runtime.places(label[part], given.shape, axis)
        shift = runtime.shift(given, axis)
        exps = runtime.exp_shifted(given, shift)
        before, total = exps.copy(), runtime.sum_rows(exps, axis)
        y = runtime.log_share(total, exps, given, shift, chosen, axis)
        assert y.shape == total.shape and y.dtype == dtype
        assert ulps(y.reshape(-1), np.array(truth)[part], dtype) <= 4
        np.testing.assert_array_equal(exps, before, "the terms are left as they are")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("large", [0, 3, 40], ids="{} large shares".format)
def test_the_log_of_a_share_of_many_rows(dtype, axis, large):
    random = np.random.default_rng(3)
    x = random.normal(size=(100, 60)).astype(dtype)
    label = random.integers(0, 60, 100)
    x[np.arange(large), label[:large]] += np.linspace(4, 30, large).astype(dtype)
    with mpmath.workdps(60):
        exps = [[mpmath.exp(mpmath.mpf(float(one))) for one in row] for row in x]
        truth = [mpmath.log(row[i] / mpmath.fsum(row)) for row, i in zip(exps, label, strict=True)]
    given = x if axis == -1 else np.ascontiguousarray(x.T)
    chosen, exps = runtime.places(label, given.shape, axis), np.exp(given)
    before, total = exps.copy(), runtime.sum_rows(exps, axis)
    y = runtime.log_share(total, exps, given, np.zeros((), dtype), chosen, axis)
    assert y.shape == total.shape and y.dtype == dtype
    assert ulps(y.reshape(-1), np.array(truth), dtype) <= 5
    np.testing.assert_array_equal(exps, before, "the terms are left as they are")


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (2, 3, 0, 4)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_places_are_those_of_take_along_axis(shape, order):
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape).copy(order)
    for axis in range(-len(shape), len(shape)):
        kept = tuple(1 if one == axis % len(shape) else n for one, n in enumerate(shape))
        if x.shape[axis]:
            for index in np.random.default_rng(0).integers(-x.shape[axis], x.shape[axis], (2, *kept)).astype("i2"):
                chosen = runtime.places(np.squeeze(index, axis), shape, axis)
                taken = np.take_along_axis(x, index.astype(np.intp), axis)
                np.testing.assert_array_equal(x.take(chosen), taken)
                np.testing.assert_array_equal(runtime.flattened(x)[chosen], taken)
                less = runtime.minus_one_hot(x.copy(order), chosen, 2.5)
                np.testing.assert_array_equal(x - less, runtime.one_hot(chosen, shape) * 2.5)
            for wrong in (x.shape[axis], -x.shape[axis] - 1):
                index = np.full(np.squeeze(np.empty(kept), axis).shape, wrong)
                with pytest.raises(IndexError, match="must be below") if index.size else contextlib.nullcontext():
                    runtime.places(index, shape, axis)


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
    little = np.array([min(small / limits.eps**2, 0.5)], dtype)
    assert runtime.scale(little, 2, 1.0, -1) == 1, "a constant beside the powers is in range already"
    scale = runtime.scale(x[2:3], 2, 1.0, -1)
    room = dtype != np.float16  # for the constant over the scale's square
    assert not room or limits.tiny / limits.eps < small / scale, "what has too few digits is scaled"
    assert np.isfinite(1 / scale / scale)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axis"), [((5, 40), -1), ((5, 40), 0), ((3, 4, 5), (0, 2)), ((), None)])
def test_the_error_of_a_mean_is_known_to_many_digits(dtype, shape, axis):
    random = np.random.default_rng(3)
    x = (random.normal(size=shape) * 10.0 ** random.integers(-4, 4, shape)).astype(dtype)
    mean = np.add.reduce(x, axis, keepdims=True) / dtype(runtime.count(x.shape, axis))
    error = runtime.mean_error(x, mean, axis)
    assert error.dtype == dtype and error.shape == mean.shape
    axes = runtime.normalized_axes(axis, x.ndim)
    rows = np.moveaxis(x, axes, range(-len(axes), 0))
    digits = 100 if dtype == np.float64 else 48
    for row, rough, got in zip(rows.reshape(mean.size, -1), mean.ravel(), np.ravel(error), strict=True):
        exact = sum(Fraction(float(one)) for one in row) / len(row) - Fraction(float(rough))
        unseen = Fraction(float(np.abs(row).max())) / 2**digits + Fraction(float(np.finfo(dtype).smallest_subnormal))
        assert abs(Fraction(float(got)) - exact) <= abs(exact) * Fraction(float(np.finfo(dtype).eps)) + unseen


def test_threads_give_the_same_bits_and_keep_the_callers_settings():
    x = np.random.default_rng(2).normal(size=5 * tiles.TILE + 3) * 3
    x[-1] = 30
    results = []
    before = nngrad.get_num_threads()
    try:
        for count in (1, 2, 3, 16):
            nngrad.set_num_threads(count)
            assert nngrad.get_num_threads() == count
            results.append(runtime.erfc(x))
            with pytest.raises(FloatingPointError), np.errstate(under="raise"):
                runtime.erfc(x)
    finally:
        nngrad.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    np.testing.assert_array_equal(results[0][tiles.TILE - 3 : tiles.TILE + 3], runtime.erfc(x[tiles.TILE - 3 :][:6]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    x = np.linspace(-3, 3, 3 * tiles.TILE)
    expected = runtime.erfc(x)
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings(), context.Pool(1) as pool:
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, from Python 3.12 on
        np.testing.assert_array_equal(pool.apply_async(runtime.erfc, (x,)).get(timeout=60), expected)


@pytest.mark.parametrize("count", [0, -1])
def test_the_number_of_threads_is_positive(count):
    with pytest.raises(ValueError, match="at least 1"):
        nngrad.set_num_threads(count)


ELEMENTWISE_OPS = [op for op in OPS.values() if op.cost and not op.by_rows and ... not in op.params.values()]


@pytest.mark.parametrize("op", ELEMENTWISE_OPS, ids=lambda op: op.name)
def test_tiles_give_what_whole_arrays_give(op, monkeypatch):
    monkeypatch.setattr(tiles, "CACHED", 64)
    monkeypatch.setattr(tiles, "TILE", 64)
    rng = np.random.default_rng(5)
    arrays = [rng.uniform(0.1, 0.9, (13, 17)) for _ in op.inputs]
    needs = {} if len(arrays) == 1 else {"needs": (True,) * len(arrays)}
    with np.errstate(invalid="ignore"):
        whole, tiled = op.forward(*arrays), tiles.by_tiles(op.forward, arrays)
        values = [*arrays, *(whole if op.saves else [whole])]
        residuals = [np.ones((13, 17)), *(values[i] for i in op.residuals)]
        whole = (whole, op.vjp(*residuals, **needs))
        tiled = (tiled, tiles.by_tiles(op.vjp, residuals, **needs))
    for one, other in zip(whole, tiled, strict=True):
        one, other = (x if isinstance(x, tuple) else (x,) for x in (one, other))
        for x, y in zip(one, other, strict=True):
            assert (x is None and y is None) or (x.shape == y.shape and x.dtype == y.dtype)
            np.testing.assert_allclose(x, y, rtol=1e-14) if x is not None else None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("op", ELEMENTWISE_OPS, ids=lambda op: op.name)
def test_the_sign_of_zero_does_not_depend_on_how_many_there_are(op, dtype, monkeypatch):
    monkeypatch.setattr(tiles, "CACHED", 1 << 13)
    monkeypatch.setattr(tiles, "TILE", 1 << 13)
    signs = set()
    for size in (1, 17, 5000, 3 * tiles.TILE + 17):
        arrays = [np.full(size, one, dtype) for one in (-0.0, 1, 2)[: len(op.inputs)]]
        with np.errstate(all="ignore"):
            results = tiles.by_tiles(op.forward, arrays)
        signs.add(str([np.unique(np.signbit(x)) for x in (results if op.saves else [results]) if x is not None]))
    assert len(signs) == 1


def test_tiles_of_an_array_and_a_number(monkeypatch):
    monkeypatch.setattr(tiles, "CACHED", 64)
    monkeypatch.setattr(tiles, "TILE", 64)
    x, c = np.linspace(0, 1, 221).reshape(13, 17), np.asarray(3.0)
    op = OPS["multiply"]
    dx, dc = tiles.by_tiles(op.vjp, [np.ones_like(x), *([x, c][i] for i in op.residuals)], needs=(True, True))
    assert (dx == 3).all() and dc.shape == ()
    np.testing.assert_allclose(dc, x.sum(), rtol=1e-14)


def listed(results):
    return list(results) if isinstance(results, tuple) else [results]


def check_alike(whole, tiled):
    for one, other in zip(whole, tiled, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.shape == other.shape and one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


ROW_OPS = [op for op in OPS.values() if op.axis]
ROWS = [((23, 9), -1), ((5, 4, 21), 1), ((21, 40), 0), ((3, 7, 11), (1, 2)), ((2, 90), 1)]


@pytest.mark.parametrize("shape, axis", ROWS)
@pytest.mark.parametrize("op", ROW_OPS, ids=lambda op: op.name)
def test_tiles_of_rows_give_what_whole_arrays_give(op, shape, axis, monkeypatch):
    monkeypatch.setattr(rows, "TILE", 32)
    monkeypatch.setattr(rows, "SHORTEST_RUN", 3)
    rng = np.random.default_rng(6)
    arrays = [rng.uniform(0.1, 0.9, shape), *(rng.uniform(0.1, 0.9, shape[-1]) for _ in op.inputs[1:])]
    if not all(op.differentiable):
        if isinstance(axis, tuple):
            pytest.skip("an index has one axis")
        arrays[1] = rng.integers(0, 3, np.delete(shape, axis))
    options = {"needs": op.differentiable} if op.needs else {}

    whole = listed(op.forward(*arrays, axis=axis))
    tiled = listed(rows.forward_by_rows(op, op.forward, arrays, axis=axis))
    values, g = [*arrays, *whole], np.asarray(1 + whole[0])
    whole += listed(op.vjp(g, *op.residuals_of(values), axis=axis, **options))
    tiled += listed(rows.vjp_by_rows(op, g, values, op.differentiable, axis=axis))
    check_alike(whole, tiled)
    if op.spends:
        place, (_, *exact) = values[op.spends], whole[-len(arrays) :]
        dx, *others = listed(rows.vjp_by_rows(op, g, values, op.differentiable, place, axis=axis))
        assert dx is place and all(one is other is None for one, other in zip(exact, others, strict=True))
        np.testing.assert_allclose(dx, whole[-len(arrays)], rtol=1e-12, atol=1e-14)


LOSSES_OF_ELEMENTS = [op for op in OPS.values() if op.by_rows and not op.axis]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(23, 9), (9,), (23, 1), ()])
@pytest.mark.parametrize("op", LOSSES_OF_ELEMENTS, ids=lambda op: op.name)
def test_tiles_of_a_loss_give_what_whole_arrays_give(op, shape, reduction, monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 16)
    monkeypatch.setattr(rows, "SHORTEST_RUN", 3)
    assert op.cost and op.vjp_cost
    rng = np.random.default_rng(6)
    x, *others = (rng.uniform(0.1, 0.9, one) for one in [(23, 9), *[shape] * (len(op.inputs) - 1)])
    values, needs = [x, *others], op.differentiable

    whole = listed(op.forward(*values, reduction=reduction))
    tiled = listed(rows.forward_by_rows(op, op.forward, values, reduction=reduction))
    values, g = [*values, *whole], np.asarray(1 + whole[0])
    whole += op.vjp(g, *op.residuals_of(values), needs=needs, reduction=reduction)
    tiled += rows.vjp_by_rows(op, g, values, needs, reduction=reduction)
    check_alike(whole, tiled)


# --- sums over axes, and counts ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(16, 8, 9, 33), (70, 1, 70), (5000, 3), (3, 2, 3000)])
def test_sums_of_products_over_any_axes(shape, dtype):
    a, b = np.random.default_rng(0).normal(size=(2, *shape)).astype(dtype)
    for count in range(1, len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            exact = (a.astype(np.float64) * b).sum(axes, keepdims=True)
            totals = [
                runtime.sum_products(a, b, axes),
                runtime.sum_rows(a * b, axes),
                runtime.unbroadcast_product(a, b, exact.shape),
            ]
            for total in totals:
                assert total.shape == exact.shape and total.dtype == dtype
                np.testing.assert_allclose(total, exact, rtol=1e-5, atol=3e-4)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 2, 3, 0), (3, 1, 0, 2), (2, 3, 0, 1)])
@pytest.mark.parametrize("axes", [(0,), (0, 1), (0, 2, 3), (1, 3), (0, 1, 2, 3)])
def test_sums_over_axes_in_any_layout(order, axes):
    x = np.random.default_rng(1).normal(1, 1, (9, 5, 11, 23)).astype(np.float32)
    x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    for part in (x, x[:, :, :5], x[:1], x[:3, :2, :2, :2]):
        exact = np.add.reduce(part, axes, dtype=np.float64)
        total = runtime.sum_over(part, axes)
        assert total.dtype == np.float32 and total.shape == exact.shape
        np.testing.assert_allclose(total, exact, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("axis", [0, 1, (0, 1), (1, 2)])
@pytest.mark.parametrize("shape", [(40, 31, 8), (3, 1100, 3), (5, 1, 1200), (1, 64, 300)])
def test_sums_and_extrema_along_axes_between_others(shape, axis, order, dtype):
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    x.flat[7], x.flat[-7] = np.nan, -np.inf
    x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    exact = np.add.reduce(x, axis, np.longdouble, keepdims=True)
    np.testing.assert_allclose(runtime.sum_rows(x, axis), exact, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(runtime.max_rows(x, axis), np.maximum.reduce(x, axis, keepdims=True))


def test_long_sums_lose_little_to_rounding():
    x = np.random.default_rng(1).uniform(size=(3, 1 << 20)).astype(np.float32).T
    np.testing.assert_allclose(runtime.sum_over(x, (0,)), np.add.reduce(x, 0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("axis", [-1, (-2, -1), (0, 2), None])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("shape", [(0, 3, 2), (4, 3, 2), (500, 3, 5), (500, 40, 5)])
def test_conditions_are_counted(shape, order, axis, dtype):
    condition = np.random.default_rng(2).random([shape[i] for i in order]) < 0.5
    condition = condition.transpose(np.argsort(order))
    place = np.empty(condition.shape, dtype)
    made, number = runtime.counted(condition, axis, dtype, out=place)
    assert made is place and number.dtype == dtype
    np.testing.assert_array_equal(made, condition)
    expected = np.count_nonzero(condition, axis, keepdims=True)
    if expected.max(initial=0) <= np.finfo(dtype).max / 16:
        np.testing.assert_array_equal(number, np.where(expected, expected, np.nan).astype(dtype))


# --- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows_that_are_copied_once_give_the_products_of_all(monkeypatch, step, dilation):
    monkeypatch.setattr(products, "LONG_RUN", 1)
    rng = np.random.default_rng(7)
    x, weight = rng.normal(size=(3, 2, 2, 9, 8)), rng.normal(size=(2, 3, 2, 3, 2))
    seen = products.windows(products.examples_last(x), (-2, -1), (3, 2), (step, step), (dilation, dilation))
    y = np.einsum("gocpq,ngcijpq->ngijo", weight, seen)
    np.testing.assert_allclose(products.contract("gocpq,ngcijpq->ngijo", weight, seen), y, rtol=1e-12)
    dweight = np.einsum("ngcijpq,ngijo->gocpq", seen, y)
    np.testing.assert_allclose(products.contract("ngcijpq,ngijo->gocpq", seen, y), dweight, rtol=1e-12)


@pytest.mark.parametrize("small", [10, 30, 60, 10_000])
@pytest.mark.parametrize("step", [(1, 1), (1, 2), (2, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2)])
def test_cotangents_of_windows_are_summed_by_products_where_windows_move_by_one(monkeypatch, step, dilation, small):
    monkeypatch.setattr(products, "LONG_RUN", 16)
    monkeypatch.setattr(products, "SMALL", small)
    rng = np.random.default_rng(9)
    g, weight = rng.normal(size=(4, 2, 5, 6, 3)), rng.normal(size=(2, 3, 2, 3, 2))
    shape = (4, 2, 2, 4 * step[0] + 2 * dilation[0] + 1, 5 * step[1] + dilation[1] + 1)
    expected = np.zeros(shape)
    for p, q in np.ndindex(3, 2):
        rows = slice(p * dilation[0], p * dilation[0] + step[0] * 4 + 1, step[0])
        columns = slice(q * dilation[1], q * dilation[1] + step[1] * 5 + 1, step[1])
        expected[..., rows, columns] += np.einsum("ngijo,goc->ngcij", g, weight[..., p, q])
    if (1, 1) in zip(step, dilation, strict=True):
        monkeypatch.setattr(products, "contract", None)  # it is not called
    windowed = dict(axes=(-2, -1), size=(3, 2), step=step, dilation=dilation)
    for laid in (g, products.examples_last(g), np.asfortranarray(g)):
        dx = products.contract_onto_windows("gocpq,ngijo->ngcijpq", weight, laid, shape=shape, **windowed)
        np.testing.assert_allclose(dx, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "shapes", [((2, 3, 19), (2, 19, 4)), ((2, 3, 5), (2, 5, 19)), ((3, 8), (8, 4)), ((2, 30), (30, 9))]
)
def test_products_in_pieces_are_products(monkeypatch, shapes):
    for name, value in (("FEW", 15), ("LONG", 8), ("PIECE", 4)):
        monkeypatch.setattr(products, name, value)
    a, b = (np.random.default_rng(8).normal(size=shape) for shape in shapes)
    np.testing.assert_allclose(products.matrix_product(a, b), np.matmul(a, b), rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (4, 5), (layout.FEW_ELEMENTS,), (70, 80)])
@pytest.mark.parametrize("special", [-3.0, 7.0, np.inf, -np.inf, np.nan])
def test_extremes_are_those_of_all_elements(shape, special):
    x = np.random.default_rng(0).uniform(-2, 2, shape).astype(np.float32)
    for array in (x, -x, x[..., ::2], x.T):
        array[(1,) * array.ndim] = special
        np.testing.assert_equal(float(runtime.highest(array)), float(array.max()))
        np.testing.assert_equal(float(runtime.lowest(array)), float(array.min()))


def test_extremes_of_nothing():
    assert runtime.highest(np.empty((0, 3))) == runtime.lowest(np.empty(0)) == 0


@pytest.mark.parametrize(
    ("shape", "transposed", "laid", "is_copied"),
    [
        ((2, 4, 3), (2, 5, 3), np.asarray, True),
        ((1, 4, 3), (2, 5, 3), np.asarray, True),
        ((4, 3), (2, 5, 3), np.asarray, True),
        ((2, 3, 3), (2, 5, 3), np.asarray, False),  # few rows
        ((2, 4, 3), (2, 3, 3), np.asarray, False),  # few columns
        ((2, 4, 9), (2, 5, 9), np.asarray, False),  # a large product
        ((2, 4, 3), (9, 2, 5, 3), np.asarray, False),  # out of cache
        ((2, 4, 3), (5, 3), np.asarray, False),  # no stack
        ((3,), (2, 5, 3), np.asarray, False),
        ((2, 4, 3), (2, 5, 3), np.asfortranarray, False),
    ],
)
def test_small_matrices_that_lie_transposed_are_copied_where_that_is_sooner(
    monkeypatch, shape, transposed, laid, is_copied
):
    for name, value in (("MANY", 4), ("SMALL", 100), ("CACHED", 200)):
        monkeypatch.setattr(products, name, value)
    rng, copied, copy = np.random.default_rng(10), [], np.ascontiguousarray
    a, b = laid(rng.normal(size=shape)), rng.normal(size=transposed).swapaxes(-1, -2)
    expected = np.einsum("...ik,...kj->...ij", a, b) if len(shape) > 1 else np.einsum("k,...kj->...j", a, b)
    monkeypatch.setattr(np, "ascontiguousarray", lambda x: copied.append(x) or copy(x))
    np.testing.assert_allclose(products.stacked_product(a, b), expected, rtol=1e-12)
    assert bool(copied) == is_copied


@pytest.mark.parametrize(
    "a, b", [((2, 3, 4, 5), (5, 6)), ((4, 5), (2, 5, 6)), ((1, 4, 5), (3, 5, 6)), ((4, 5), (5, 6))]
)
def test_stacked_products_are_summed_over_what_a_shape_lacks(a, b):
    x, y = np.random.default_rng(0).normal(size=a), np.random.default_rng(1).normal(size=b)
    made = x @ y
    np.testing.assert_allclose(products.stacked_product(x, y), made, rtol=1e-12)
    dx, dy = made @ y.swapaxes(-1, -2), x.swapaxes(-1, -2) @ made
    for shape, g, other, whole in (
        (a, made, y.swapaxes(-1, -2), dx),
        (b, x.swapaxes(-1, -2), made, dy),
    ):
        found = products.stacked_product(g, other, shape=shape)
        np.testing.assert_allclose(found, runtime.unbroadcast(whole, shape), rtol=1e-12)


@pytest.mark.parametrize(
    "subscripts, shapes",
    [
        ("...k,...kj->...j", [(2, 3, 4), (4, 5)]),
        ("...k,...kj->...j", [(4,), (3, 4, 5)]),
        ("...k,...kj->...j", [(3, 1, 4), (2, 4, 5)]),
        ("...k,...kj->...j", [(1, 4), (1, 4, 5)]),
        ("...k,...kj->...j", [(0, 4), (4, 5)]),
        ("...k,...kj->...j", [(3, 0), (0, 5)]),
        ("...k,...k->...", [(2, 3, 4), (3, 4)]),
        ("...i,...j->...ij", [(2, 3), (5,)]),
        ("...ik,...k->...i", [(2, 3, 4), (4,)]),
        ("...ik,kj->...ij", [(2, 3, 4), (4, 5)]),
        ("...i,...ij,...j->...", [(2, 3), (2, 3, 4), (4,)]),
        ("...i->...", [(2, 3)]),
    ],
)
def test_contractions_with_leading_axes(subscripts, shapes):
    operands = [np.random.default_rng(place).normal(size=shape) for place, shape in enumerate(shapes)]
    whole = np.einsum(subscripts, *operands)
    for laid in (operands, [np.asfortranarray(one) for one in operands]):
        np.testing.assert_allclose(products.contract(subscripts, *laid), whole, rtol=1e-12, atol=1e-14)
    others = len(subscripts.partition("->...")[2])
    leading, rest = whole.shape[: whole.ndim - others], whole.shape[whole.ndim - others :]
    for shape in (rest, leading + rest, (1,) * len(leading) + rest):
        found = products.contract(subscripts, *operands, shape=shape)
        np.testing.assert_allclose(found, runtime.unbroadcast(whole, shape), rtol=1e-12, atol=1e-14)


def test_contractions_are_summed_over_leading_axes_that_the_result_lacks():
    g, x = np.random.default_rng(0).normal(size=(2, 3, 4)), np.random.default_rng(1).normal(size=(3, 5))
    np.testing.assert_allclose(products.contract("...o,...i->oi", g, x), np.einsum("abo,bi->oi", g, x), rtol=1e-12)
    np.testing.assert_allclose(products.contract("...o->o", g), g.sum((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(products.summed_outer(g, g), np.einsum("abo,abi->oi", g, g), rtol=1e-12)
    np.testing.assert_allclose(products.summed_outer(g[0, 0], x[0]), np.outer(g[0, 0], x[0]), rtol=1e-12)


@pytest.mark.parametrize("subscripts", ["i...,i...->...", "...i,i...->...", "i...,i...", "...,...", "...i,i...->i..."])
def test_contractions_with_dots_elsewhere_are_numpys(subscripts):
    x, y = np.random.default_rng(0).normal(size=(2, 4, 4))
    np.testing.assert_allclose(products.contract(subscripts, x, y), np.einsum(subscripts, x, y), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("axis", [-1, 0, None])
def test_means_are_in_range_where_sums_are_not(dtype, axis):
    top, random = np.finfo(dtype).max, np.random.default_rng(0).normal(size=(3, 40)).astype(dtype)
    huge = np.array([[top, top / 2, -top], [-top, -top / 4, -top], [3, 1, 2]], dtype)
    for x in (huge, random, np.tile(random, (2, 300)), np.asfortranarray(random)):
        exact = np.array([[Fraction(float(one)) for one in row] for row in x])
        mean, size = (one.sum(axis, keepdims=True) / runtime.count(x.shape, axis) for one in (exact, abs(exact)))
        terms = size if dtype == np.float64 else abs(mean)  # of shorter floats, sums are made in wider ones
        error = abs(runtime.mean_rows(x, axis).astype(float) - mean.astype(float))
        assert (error <= np.finfo(dtype).eps * terms.astype(float)).all()
    for special in (np.nan, np.inf, -np.inf):
        huge[0, 0] = special
        with np.errstate(over="ignore", invalid="ignore"):
            np.testing.assert_array_equal(np.isnan(runtime.mean_rows(huge, -1)[0]), np.isnan(special))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "shape, axis", [((3, 6), -1), ((6, 3), 0), ((2, 3, 4), (0, 2)), ((4,), None), ((2, 700), -1), ((3, 1), -1)]
)
@pytest.mark.parametrize("spread", [0.5, 0.1, 0])
def test_products_are_in_range_where_only_a_part_is_not(dtype, shape, axis, spread):
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    powers = rng.uniform(-1, 1, shape) * (spread * (limits.maxexp - 4) + 0.1)
    x = (np.exp2(powers - powers.mean(axis, keepdims=True)) * rng.choice([-1, 1], shape)).astype(dtype)
    exact = np.vectorize(Fraction, otypes=[object])(x.astype(float))
    whole = np.multiply.reduce(exact, axis, keepdims=True)
    with np.errstate(over="ignore", under="ignore"):
        found = (runtime.prod_rows(x, axis), whole, 2), (runtime.product_of_others(x, axis), whole / exact, 3)
    for made, wanted, ulp in found:
        assert made.dtype == dtype and made.shape == wanted.shape
        is_normal = np.vectorize(lambda one: Fraction(float(limits.tiny)) <= abs(one) <= Fraction(float(limits.max)))
        kept = is_normal(wanted)
        ulp = ulp if max(shape) < 100 else 60  # roundings add up
        np.testing.assert_allclose(made[kept].astype(float), wanted[kept].astype(float), rtol=ulp * limits.eps)
        assert kept.any()


def test_products_of_special_numbers_are_numpys():
    x = np.array([[0, 1e300, 1e300], [np.inf, 2, -1], [np.nan, 1e300, 1e300], [-0.0, 1, 2]])
    np.testing.assert_array_equal(runtime.prod_rows(x, -1), [[0], [-np.inf], [np.nan], [-0.0]])
    with np.errstate(over="ignore"):
        others = runtime.product_of_others(x, -1)
    np.testing.assert_array_equal(others[0], [np.inf, 0, 0])
    np.testing.assert_array_equal(others[1], [-2, -np.inf, np.inf])
    integers = np.array([[3, -4], [0, 5]])
    np.testing.assert_array_equal(runtime.prod_rows(integers, 0), [[0, -20]])
    for empty, shape in ((np.ones((0, 3)), (1, 3)), (np.ones((3, 0)), (3, 0))):
        np.testing.assert_array_equal(runtime.prod_rows(empty, 0), np.ones(shape)[:1])
        assert runtime.product_of_others(empty, 0).shape == empty.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_times_exp_is_in_range_where_the_exponential_is_not(dtype):
    top = float(np.log(float(np.finfo(dtype).max)))
    x = np.array([0, -3.5, 20, top + 1, top + 5, -2 * top], dtype)
    factor = np.array([2, -0.7, 1e-3, -1e-2, 1e-4, 3], dtype)
    exact = [mpmath.mpf(float(a)) * mpmath.exp(mpmath.mpf(float(b))) for a, b in zip(factor, x, strict=True)]
    with np.errstate(over="raise"):
        got = runtime.times_exp(factor, x)
    np.testing.assert_allclose(got, np.array(exact, float).astype(dtype), rtol=4 * np.finfo(dtype).eps)
    assert runtime.times_exp(dtype(0.5), dtype(np.inf)) == np.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_products_with_exponentials_are_in_range_whatever_their_factors(dtype):
    """Squares that overflow, factors of 0 and infinity, exponentials without a digit: only the product counts."""
    limits, random = np.finfo(dtype), np.random.default_rng(0)
    u = (random.uniform(1, 2, 300) * 2.0 ** random.integers(limits.minexp, limits.maxexp, 300)).astype(dtype)
    x = (random.uniform(-20, 20, 300) - 2 * np.log(u.astype(float))).astype(dtype)
    exact = [3 * mpmath.mpf(float(a)) ** 2 * mpmath.exp(float(b)) for a, b in zip(u, x, strict=True)]
    logs = [float(mpmath.log1p(one)) for one in exact]
    exact = np.minimum(np.array(exact, float), float(limits.max)).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        got, log = runtime.times_exp(3.0, u, u, x), runtime.log1p_times_exp(3.0, u, u, x)
    assert got.dtype == log.dtype == dtype
    for function in (runtime.times_exp, runtime.log1p_times_exp):  # kernels write over what they get
        assert isinstance(function(u[0, ...], x[0, ...]), np.ndarray)
    tolerance = {"rtol": 3 * limits.eps, "atol": limits.smallest_subnormal}
    np.testing.assert_allclose(np.minimum(got, limits.max), exact, **tolerance)
    np.testing.assert_allclose(log, logs, **tolerance)
    infinity, zero, one = (np.array([number], dtype) for number in (np.inf, 0, 1))
    for factor, exponent, product in ((infinity, -infinity, 0), (zero, infinity, 0), (infinity, -one, np.inf)):
        assert runtime.times_exp(one, factor, exponent) == product
    assert np.isnan(runtime.times_exp(zero / one, one * np.nan)) and np.isnan(
        runtime.times_exp(one * np.nan, -infinity)
    )
    far = np.array([40, 3e4], dtype) * (1 if dtype == np.float16 else 1000)
    np.testing.assert_allclose(runtime.log1p_times_exp(u[:2] * 0 + 1, far), far, rtol=2 * limits.eps)


@pytest.mark.parametrize("x", [np.array([-99, 3, 99]), np.array([True, False])], ids=["integers", "truths"])
def test_what_conditions_are_made_of_is_limited(x):
    """An input that no gradient goes to keeps its dtype."""
    np.testing.assert_array_equal(runtime.clamped(x, 64), np.clip(x, -64, 64) if x.dtype != bool else x)
    for made in (runtime.finite(x), runtime.without_infinity(x, 1), runtime.without_infinity(x, -1)):
        assert made is x


def test_means_of_what_is_not_nan_are_in_range_where_sums_are_not():
    x = np.array([[3e38, np.nan, 2e38, 3e38], [1e30, np.nan, np.nan, 4e30]], np.float32)
    np.testing.assert_allclose(OPS["nanmean"].forward(x, axis=-1)[0], [8e38 / 3, 2.5e30], rtol=1e-6)
    y, *_ = OPS["nanvar"].forward(x / 1e20, axis=-1)
    np.testing.assert_allclose(y, np.nanvar(x.astype(float) / 1e20, -1), rtol=1e-6)


FINEST = 2 * float(np.finfo(np.longdouble).eps)  # of numbers near 1, what the machine's longest floats do not tell


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_that_cancel_by_chance_are_computed_again(dtype):
    t = np.array([2, 3, 5, 0.1, 1e300, np.inf, np.nan])
    x = np.array([0.6931471, 1.09861, -4, -2.3025, 690.8, 0, 1])
    y = runtime.refined(np.log(t) - x, x, np.dtype(dtype), lambda t, x: np.log(t) - x, t, x)
    exact = [float(mpmath.log(a) - b) for a, b in zip(t[:5], map(mpmath.mpf, x), strict=False)]
    np.testing.assert_allclose(y[:5], exact, rtol=2 * np.finfo(dtype).eps, atol=FINEST if dtype == np.float64 else 0)
    assert y[5] == np.inf and np.isnan(y[6])


def test_only_what_is_taken_of_a_sum_and_no_nan_is_computed_again():
    r, s = np.array([3, 3, np.nan]), np.array([1e-9, 1e-9, 1])
    seen = []

    def formula(r, s):
        seen.append(r.size)
        return r - np.sqrt(r**2 - s**2)

    y = runtime.refined(np.zeros(3), r, np.dtype(np.float64), formula, r, s, where=np.array([True, False, True]))
    assert seen == [1] and y[1] == 0


def test_sums_without_a_value_are_what_they_tend_to():
    x, t = np.array([np.inf, 711, 800, np.inf, -np.inf, 1]), np.array([2, 1e308, -1, np.inf, 3, 1])
    with np.errstate(all="ignore"):
        y = np.exp(x) - t * x
        term = t * x
    made = runtime.refined(y, term, np.dtype(np.float64), lambda x, t: np.exp(x) - t * x, x, t)
    assert np.isnan(made[3]) and made[4] == np.inf and made[5] == np.e - 1
    if np.longdouble != np.float64:
        np.testing.assert_array_equal(made[:3], [np.inf, -np.inf, np.inf])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logaddexp_is_exact_beside_its_roots(dtype):
    a = np.array([-0.31818027601759202, -1, -0.1, -3, 2, -np.inf, np.inf], dtype)
    b = np.array([-1.3146085110265979, -0.45867514538708, -2.352168461, -0.0511, 3, 1, np.inf], dtype)
    for function, base in ((runtime.logaddexp, mpmath.e), (runtime.logaddexp2, mpmath.mpf(2))):
        with mpmath.workdps(50):
            exact = [float(mpmath.log(base ** float(x) + base ** float(y), base)) for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(function(a, b), exact, rtol=4 * np.finfo(dtype).eps, atol=FINEST)


def test_rows_of_nothing_are_balanced():
    assert runtime.balanced(np.zeros((3, 0)), np.zeros((3, 0)), 1, -1).shape == (3, 0)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (3, 4), (40, 1024), (40, 3072), (70, 2500), (1, 4096)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_transposed_copy_is_one_however_far_apart_rows_begin(shape, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    y = layout.transposed(x)
    np.testing.assert_array_equal(y, x.T)
    assert y.flags.c_contiguous and y.dtype == dtype and not np.shares_memory(x, y)
