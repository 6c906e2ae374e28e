"""Formulas of rows as papers write them, whose terms nearly cancel or leave the range of floats: value and gradients.

The oracles are the formulas in mpmath, and differences of them.
"""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad import Tensor
from nngrad.codegen.language import abs, arccos, exp, log, maximum, op, sqrt, sum

total = mpmath.fsum


@op
def weighted_variance(x, w, *, axis=-1):
    mu = sum(w * x, axis) / sum(w, axis)
    return sum(w * (x - mu) ** 2, axis) / sum(w, axis)


def weighted_mean(x, w):
    return total(a * b for a, b in zip(x, w, strict=True)) / total(w)


def exact_variance(x, w):
    mean = weighted_mean(x, w)
    return weighted_mean([(one - mean) ** 2 for one in x], w)


@op
def clark(x, y, *, axis=-1):
    return sqrt(sum(((x - y) / (abs(x) + abs(y))) ** 2, axis))


def exact_clark(x, y):
    return mpmath.sqrt(total(((a - b) / (mpmath.fabs(a) + mpmath.fabs(b))) ** 2 for a, b in zip(x, y, strict=True)))


@op
def squared_share_of_lengths(x, y, *, axis=-1):
    a, b = exp(sqrt(sum(x**2, axis))), exp(sqrt(sum(y**2, axis)))
    return (a / (a + b)) ** 2


def exact_share(x, y):
    a, b = (mpmath.exp(mpmath.sqrt(total(one**2 for one in row))) for row in (x, y))
    return (a / (a + b)) ** 2


@op
def log_kept_above_one(x, y, *, axis=-1):
    return log(sum(exp(x), axis) / maximum(sum(exp(x) * y**2, axis), 1))


def exact_kept(x, y):
    return mpmath.log(
        total(map(mpmath.exp, x)) / max(total(mpmath.exp(a) * b**2 for a, b in zip(x, y, strict=True)), 1)
    )


@op
def inverse_of_distance(x, y, *, axis=-1):
    return 1 / (1 + sqrt(sum((x - y) ** 2, axis)))


def exact_inverse(x, y):
    return 1 / (1 + mpmath.sqrt(total((a - b) ** 2 for a, b in zip(x, y, strict=True))))


@op
def angle_between(x, y, *, axis=-1):
    return arccos(sum(x * y, axis) / (sqrt(sum(x**2, axis)) * sqrt(sum(y**2, axis))))


def exact_angle(x, y):
    products = [total(a * b for a, b in zip(one, other, strict=True)) for one, other in ((x, y), (x, x), (y, y))]
    return mpmath.acos(products[0] / mpmath.sqrt(products[1] * products[2]))


@op
def cross_entropy_of_mixed(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return -sum(q * log(0.3 * p + 0.7 * q), axis)


def exact_mixed(x, y):
    p, q = ([mpmath.exp(one) / total(map(mpmath.exp, row)) for one in row] for row in (x, y))
    return -total(b * mpmath.log(mpmath.mpf("0.3") * a + mpmath.mpf("0.7") * b) for a, b in zip(p, q, strict=True))


@op
def cross_entropy_between(x, y, *, axis=-1, e=0.25):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return -sum(q * log(q + e * (p - q)), axis)


def exact_between(x, y):
    p, q = ([mpmath.exp(one) / total(map(mpmath.exp, row)) for one in row] for row in (x, y))
    return -total(b * mpmath.log(a / 4 + b * 3 / 4) for a, b in zip(p, q, strict=True))


@op
def cross_entropy_of_noisy(x, t, *, axis=-1, e=0.25):
    return -sum(t * log((1 - e) * exp(x) / sum(exp(x), axis) + e), axis)


def exact_noisy(x, t):
    p = [mpmath.exp(one) / total(map(mpmath.exp, x)) for one in x]
    return -total(b * mpmath.log(a * 3 / 4 + mpmath.mpf(1) / 4) for a, b in zip(p, t, strict=True))


WEIGHTS = [0.7, 0.9, 1.3, 1.2, 0.8, 1.1]
FORMULAS = {
    weighted_variance: (
        exact_variance,
        [
            ([1, -2, 0.5, 3, 2, 0.1], WEIGHTS),
            ([1000.1, 1000.4, 1000.2, 999.7, 1000.9, 1000], WEIGHTS),
            ([3, 1000, -3, 2], [1e-5, 1000, 3e-5, 1e-6]),
        ],
    ),
    clark: (
        exact_clark,
        [([1, -2, 0.5, 3], [2, -1, 0.5, 4]), ([1e30, -3e30], [2e30, 4e29]), ([1e-30, 3e-30], [2e-30, 4e-31])],
    ),
    squared_share_of_lengths: (exact_share, [([1, -2, 0.5], [0.5, 1, -1]), ([90, 2, 91], [88, 90, 20])]),
    inverse_of_distance: (
        exact_inverse,
        [([1, -2], [2, -1]), ([1e-30, 3e-30], [2e-30, 4e-31]), ([3e-41, 0], [1e-41, 1e-41])],
    ),
    angle_between: (
        exact_angle,
        [
            ([1, -2, 3], [2, -1, 0.5]),
            ([1, 2, 3], [1.02, 2, 3.01]),
            ([1, 2, 3], [-1, -2.01, -3.02]),
            ([20, 1e-3], [21, 3e-3]),
        ],
    ),
    cross_entropy_of_mixed: (
        exact_mixed,
        [([1, -2, 3], [2, -1, 0.5]), ([1000, -2000, 1001], [999, -1500, 1001]), ([30, 2, 1], [31, -1, 3])],
    ),
    cross_entropy_between: (
        exact_between,
        [([1, -2, 3], [2, -1, 0.5]), ([1000, -2000, 1001], [999, -1500, 1001]), ([30, 2, 1], [31, -1, 3])],
    ),
    cross_entropy_of_noisy: (
        exact_noisy,
        [([1, -2, 3], [0.2, 0.3, 0.5]), ([1000, -2000, 1001], [0, 0.5, 0.5]), ([30, 2, 1], [1, 0, 0])],
    ),
    log_kept_above_one: (
        exact_kept,
        [([1, -2, 0.5], [0.5, 2, -1]), ([300, 2, 301], [2, 3, 0.5])],
    ),
}
NAMES = {declaration.name: declaration for declaration in FORMULAS}
CASES = [pytest.param(name, n, id=f"{name}-{n}") for name, one in NAMES.items() for n in range(len(FORMULAS[one][1]))]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "number"), CASES)
def test_fresh_rows(name, number, dtype):
    function, (exact, cases) = nngrad.define(NAMES[name]), FORMULAS[NAMES[name]]
    inputs = [Tensor(np.array(row), dtype=dtype, requires_grad=True) for row in cases[number]]
    y = function(*inputs)
    y.backward()
    near = 128 * np.finfo(dtype).eps
    with mpmath.workdps(600):
        rows = [[*map(mpmath.mpf, one.data.tolist())] for one in inputs]
        value = float(exact(*rows))
        slopes = [[float(slope(exact, rows, n, place)) for place in range(len(row))] for n, row in enumerate(rows)]
    np.testing.assert_allclose(y.data, value, rtol=near)
    for one, expected in zip(inputs, slopes, strict=True):
        np.testing.assert_allclose(one.grad, expected, rtol=0, atol=near * np.abs(expected).max())


def slope(exact, rows, n, place):
    step = mpmath.mpf(10) ** -200
    values = []
    for sign in (1, -1):
        moved = [[*row] for row in rows]
        moved[n][place] += sign * step
        values.append(exact(*moved))
    return (values[0] - values[1]) / (2 * step)


@op
def weighted_deviation(x, w, *, axis=-1):
    mu = sum(w * x, axis) / sum(w, axis)
    return sqrt(sum(w * (x - mu) ** 2, axis) / sum(w, axis))


@pytest.mark.slow
def test_weighted_deviation_of_a_constant_row_has_the_gradient_zero():
    x, w = (Tensor(row, requires_grad=True) for row in ([3.0, 3.0, 3.0], [0.5, 2.0, 1.0]))
    nngrad.define(weighted_deviation)(x, w).backward()
    assert (x.grad == 0).all() and (w.grad == 0).all()
    nngrad.check_grads(nngrad.define(weighted_deviation), ([[3.0, 1.0, 2.5]], [[0.5, 2.0, 1.0]]))
