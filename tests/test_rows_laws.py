"""Sums over rows that cancel: what is left of values, and of the gradients of numbers that rows have in common."""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad import Tensor
from nngrad.codegen.language import Declaration, count, exp, log, max, mean, sqrt, sum, tanh, var
from nngrad.codegen.rewriting.rescale import is_scale_free
from nngrad.codegen.rules.balance import is_shift_free
from nngrad.codegen.trace import trace


def gini(x, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return 1 - sum(p**2, axis)


def renyi(x, *, axis=-1, alpha=2.5):
    p = exp(x) / sum(exp(x), axis)
    return log(sum(p**alpha, axis)) / (1 - alpha)


def relative_spread(x, *, axis=-1):
    m = mean(x, axis)
    return sqrt(mean((x - m) ** 2, axis)) / m


def top_above_mean(x, *, axis=-1):
    return max(x, axis) - mean(x, axis)


def energy(x, *, axis=-1):
    return sum(x**2, axis) / count(x, axis)


def damped_spread(x, *, axis=-1, eps=1e-3):
    m = mean(x, axis)
    return sqrt(mean((x - m) ** 2, axis) + eps) / sqrt(m**2 + eps)


def angle(x, y, *, axis=-1):
    return 1 - sum(x * y, axis) / (sqrt(sum(x**2, axis)) * sqrt(sum(y**2, axis)))


def formula_of(function):
    (formula,) = trace(Declaration(function, "op", __name__)).formulas
    return formula


@pytest.mark.parametrize(
    ("function", "shift", "scale"),
    [
        (gini, True, False),
        (renyi, True, False),
        (relative_spread, False, True),
        (top_above_mean, True, False),
        (energy, False, False),
        (damped_spread, False, False),
        (angle, False, True),
    ],
)
def test_what_leaves_a_formula_as_it_is(function, shift, scale):
    formula = formula_of(function)
    assert is_shift_free(formula, formula.inputs[0]) == shift
    assert is_scale_free(formula, formula.inputs[0], "axis") == scale


def exact_slopes(function, x):
    """Derivatives of a function of exact numbers."""
    x = [mpmath.mpf(float(one)) for one in x]
    with mpmath.workdps(400):
        return [
            float(
                mpmath.diff(lambda u, place=place: function([*x[:place], u, *x[place + 1 :]]), one, h=abs(one) / 10**60)
            )
            for place, one in enumerate(x)
        ]


def exact_gini(x):
    e = [mpmath.exp(one) for one in x]
    return 1 - mpmath.fsum(one**2 for one in e) / mpmath.fsum(e) ** 2


def exact_relative_spread(x):
    m = mpmath.fsum(x) / len(x)
    return mpmath.sqrt(mpmath.fsum((one - m) ** 2 for one in x) / len(x)) / m


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("function", "exact", "row"),
    [(gini, exact_gini, [40, -3, 2, 1]), (relative_spread, exact_relative_spread, [2e7, 3, -5e-3, 40])],
)
def test_one_element_that_outweighs_the_others_keeps_its_slope(function, exact, row, dtype):
    x = Tensor(np.array(row), dtype=dtype, requires_grad=True)
    y = nngrad.define(function)(x)
    y.backward()
    with mpmath.workdps(60):
        np.testing.assert_allclose(float(y.data), float(exact([*map(mpmath.mpf, map(float, x.data))])), rtol=1e-6)
    np.testing.assert_allclose(x.grad, exact_slopes(exact, x.data), rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("alpha", [2.5, 0.5, -1.0])
def test_powers_of_shares_for_any_exponent(alpha):
    x = np.array([[3, -1, 0.5], [2, 2, 2]])
    shares = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    made = nngrad.define(renyi)(Tensor(x, dtype=np.float64), alpha=alpha).data
    np.testing.assert_allclose(made, np.log((shares**alpha).sum(-1)) / (1 - alpha), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cosine_near_1_is_told_from_1(dtype):
    turned = dtype(2.0**-18)
    x, y = np.array([1, 0], dtype), np.array([1, turned], dtype)
    made = nngrad.define(angle)(Tensor(x, dtype=dtype), Tensor(y, dtype=dtype)).data
    np.testing.assert_allclose(made, 2.0**-37, rtol=1e-6)


def log_energy_of_tanh(x, *, axis=-1):
    return log(sum(tanh(x) ** 2, axis))


@pytest.mark.parametrize("count", [3, 20000])
def test_what_is_scaled_may_be_made_of_the_input_and_kept(count):
    x = Tensor(np.random.default_rng(0).normal(size=(count, 40)), dtype=np.float64, requires_grad=True)
    y = nngrad.define(log_energy_of_tanh)(x)
    y.backward(np.ones(y.shape))
    t = np.tanh(x.data)
    squares = (t**2).sum(-1, keepdims=True)
    np.testing.assert_allclose(y.data, np.log(squares[:, 0]), rtol=1e-13)
    np.testing.assert_allclose(x.grad, 2 * t * (1 - t**2) / squares, rtol=1e-11, atol=1e-14)


def log_of_one_and_squares(x, *, axis=-1):
    return log(1 + sum(x**2, axis))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_beside_one_keeps_its_digits(dtype):
    """Whether the squares vanish beside 1, or 1 beside the squares, or they overflow."""
    x = np.array(
        [[3e-4, -1e-4, 2e-4], [1e-9, 2e-9, 0], [0, 0, 0], [0.5, 2, 1], [1e12, 1, 3e11], [1e25, -2e25, 1]], dtype
    )
    with mpmath.workdps(60):
        exact = [float(mpmath.log1p(mpmath.fsum(mpmath.mpf(float(one)) ** 2 for one in row))) for row in x]
    np.testing.assert_allclose(nngrad.define(log_of_one_and_squares)(x).data, exact, rtol=4 * np.finfo(dtype).eps)


def determination(x, y, *, axis=-1):
    return 1 - sum((x - y) ** 2, axis) / sum((y - mean(y, axis)) ** 2, axis)


def welch(x, y, *, axis=-1):
    n = count(x, axis)
    return (mean(x, axis) - mean(y, axis)) / sqrt(var(x, axis) / n + var(y, axis) / n)


def concordance(x, y, *, axis=-1):
    a, b = mean(x, axis), mean(y, axis)
    return 2 * mean((x - a) * (y - b), axis) / (var(x, axis) + var(y, axis) + (a - b) ** 2)


@pytest.mark.parametrize("power", [-100, 100])
@pytest.mark.parametrize("function", [determination, welch, pytest.param(concordance, marks=pytest.mark.slow)])
def test_what_two_rows_have_no_unit_of_is_the_same_in_any_unit(function, power):
    op, unit = nngrad.define(function), np.ldexp(1.0, power)
    x, y = np.array([[1.0, 2.5, -0.5, 4], [3, 0, 1, 2]]), np.array([[1.25, 2, -1, 3.5], [2, 1, 1.5, 2.5]])
    found = []
    for size in (1, unit):
        inputs = [Tensor(array * size, requires_grad=True) for array in (x, y)]
        value = op(*inputs)
        value.backward(np.full(value.shape, min(size, 1), np.float32))
        found.append([value.data, *(one.grad * np.float64(size) / min(size, 1) for one in inputs)])
    for plain, scaled in zip(*found, strict=True):
        np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_of_two_rows_that_are_near_each_other(dtype):
    """What they differ by is not lost beside them, in the value and in slopes."""
    eps = np.finfo(dtype).eps
    x = 1 + 64 * eps * np.array([1, 4, 2, 8, 5], dtype)
    y = 1 + 64 * eps * np.array([2, 3, 2, 6, 4], dtype)
    inputs = [Tensor(array, dtype=dtype, requires_grad=True) for array in (x, y)]
    value = nngrad.define(welch)(*inputs)
    value.backward()
    exact = [
        Tensor(array.astype(np.float64), dtype=float, requires_grad=True) for array in ((x - 1) / eps, (y - 1) / eps)
    ]
    truth = nngrad.define(welch)(*exact)
    truth.backward()
    np.testing.assert_allclose(value.data, truth.data, rtol=16 * eps)
    for one, expected in zip(inputs, exact, strict=True):
        slope = expected.grad / float(eps)
        np.testing.assert_allclose(one.grad, slope, rtol=0, atol=16 * eps * np.abs(slope).max())
