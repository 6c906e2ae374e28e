"""Divergences of the shares in two rows of logits: finite however far apart these are, where shares are 0 in both, and
exact where the rows are near each other."""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad import Tensor
from nngrad.codegen.language import exp, log, op, sqrt, sum

total = mpmath.fsum


@op
def bhattacharyya(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return -log(sum(sqrt(p * q), axis))


@op
def renyi(x, y, *, axis=-1, order=0.3):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return log(sum(p**order * q ** (1 - order), axis)) / (order - 1)


@op
def jensen_shannon(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    m = (p + q) / 2
    return (sum(p * log(p / m), axis) + sum(q * log(q / m), axis)) / 2


@op
def skewed(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return sum(p * log(p / (0.75 * p + 0.25 * q)), axis)


@op
def log_mixture(x, s, *, axis=-1):
    scale = exp(s)
    return log(sum(exp(-(x**2) / (2 * scale**2)) / scale, axis))


@op
def jeffreys(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return sum((p - q) * (log(p) - log(q)), axis)


@op
def tempered(x, y, *, axis=-1, t=4.0):
    p = exp(y / t) / sum(exp(y / t), axis)
    logq = x / t - log(sum(exp(x / t), axis))
    return t**2 * sum(p * (log(p) - logq), axis)


@op
def triangular(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return sum((p - q) ** 2 / (p + q), axis)


@op
def hellinger(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return sum((sqrt(p) - sqrt(q)) ** 2, axis) / 2


@op
def cauchy_schwarz(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return -log(sum(p * q, axis) / sqrt(sum(p**2, axis) * sum(q**2, axis)))


def shares(x):
    terms = [mpmath.exp(one) for one in x]
    return [one / total(terms) for one in terms]


def divergence(p, q):
    return total(a * mpmath.log(a / b) for a, b in zip(p, q, strict=True))


def mixed(p, q, weight):
    return [(1 - weight) * a + weight * b for a, b in zip(p, q, strict=True)]


def product(x, y, order):
    return total(a**order * b ** (1 - order) for a, b in zip(shares(x), shares(y), strict=True))


def halves(x, y):
    p, q = shares(x), shares(y)
    m = mixed(p, q, mpmath.mpf(0.5))
    return (divergence(p, m) + divergence(q, m)) / 2


def densities(x, s):
    return total(mpmath.exp(-(a**2) / 2 * mpmath.exp(-2 * b) - b) for a, b in zip(x, s, strict=True))


def discrimination(x, y):
    return total((a - b) ** 2 / (a + b) for a, b in zip(shares(x), shares(y), strict=True))


def distance_of_roots(x, y):
    return total((mpmath.sqrt(a) - mpmath.sqrt(b)) ** 2 for a, b in zip(shares(x), shares(y), strict=True)) / 2


def directions_apart(x, y):
    p, q = shares(x), shares(y)
    pq, pp, qq = (total(a * b for a, b in zip(*both, strict=True)) for both in ((p, q), (p, p), (q, q)))
    return -mpmath.log(pq / mpmath.sqrt(pp * qq))


EXACT = {
    jeffreys: lambda x, y: divergence(shares(x), shares(y)) + divergence(shares(y), shares(x)),
    tempered: lambda x, y: 16 * divergence(shares([one / 4 for one in y]), shares([one / 4 for one in x])),
    triangular: discrimination,
    hellinger: distance_of_roots,
    cauchy_schwarz: directions_apart,
    bhattacharyya: lambda x, y: -mpmath.log(product(x, y, mpmath.mpf(0.5))),
    renyi: lambda x, y: mpmath.log(product(x, y, mpmath.mpf("0.3"))) / (mpmath.mpf("0.3") - 1),
    jensen_shannon: halves,
    skewed: lambda x, y: divergence(shares(x), mixed(shares(x), shares(y), mpmath.mpf(0.25))),
    log_mixture: lambda x, s: mpmath.log(densities(x, s)),
}
NAMES = {declaration.name: declaration for declaration in EXACT}
SLOW = {triangular, hellinger, cauchy_schwarz}
FORMULAS = [pytest.param(one.name, marks=[pytest.mark.slow] * (one in SLOW)) for one in EXACT]
LOGITS = [
    ([0.25, -1, 2, 0.5], [1, 0.5, -0.75, 2]),
    ([3, 1, 3, 0], [3, 1, 3, 0]),
    ([1000, 0, -500, 20], [0, 1000, -500, 30]),
    ([-2000, -2003, 5, 4], [-2000.5, 0, 3, 3.5]),
]
SCALES = [([0.25, -1, 2, 0.5], [0, 0.5, -0.75, 1]), ([3, 1, 2, 0.5], [900, 901, 899.5, 905])]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_of_two_rows(name, dtype):
    function, exact = nngrad.define(NAMES[name]), EXACT[NAMES[name]]
    for rows in SCALES if NAMES[name] is log_mixture else LOGITS:
        inputs = [Tensor(np.array(row), dtype=dtype, requires_grad=True) for row in rows]
        y = function(*inputs)
        y.backward()
        near = 16 * np.finfo(dtype).eps * max(np.abs(row).max() for row in (*rows, [1]))  # exponents are rounded
        with mpmath.workdps(1000):
            rows = [[*map(mpmath.mpf, row)] for row in rows]
            value = float(exact(*rows))
            slopes = [[float(slope(exact, rows, n, place)) for place in range(4)] for n in (0, 1)]
        np.testing.assert_allclose(y.data, value, rtol=near, atol=near)
        for one, expected in zip(inputs, slopes, strict=True):
            np.testing.assert_allclose(one.grad, expected, rtol=near, atol=near)


NEAR = [one for one in FORMULAS if NAMES[one.values[0]] in (jeffreys, tempered, triangular, hellinger)]


@pytest.mark.parametrize("apart", [2.0**-10, 2.0**-20, 2.0**-40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NEAR)
def test_of_two_rows_near_each_other(name, dtype, apart):
    formula = NAMES[name]
    function, near = nngrad.define(formula), 32 * np.finfo(dtype).eps
    for row, other in (
        ([0.25, -1, 2, 0.5], [1, 3, 0, -2]),
        ([0.25, 20, 2, 0.5], [1, 0, 3, -2]),
        ([0, 0, 0], [1, 2, 4]),
    ):
        one = np.array(row, dtype)
        rows = [one, (one + np.array(other, dtype) * dtype(apart)).astype(dtype)]
        inputs = [Tensor(array, dtype=dtype, requires_grad=True) for array in rows]
        y = function(*inputs)
        y.backward()
        moves = [np.arange(1, len(row) + 1, dtype=dtype), -np.ones(len(row), dtype)]
        _, tangent = nngrad.jvp(
            function, tuple(one.detach() for one in inputs), tuple(Tensor(move, dtype=dtype) for move in moves)
        )
        with mpmath.workdps(1000):
            rows = [[*map(mpmath.mpf, array.tolist())] for array in rows]
            value = float(EXACT[formula](*rows))
            slopes = [[float(slope(EXACT[formula], rows, n, i)) for i in range(len(row))] for n in (0, 1)]
        np.testing.assert_allclose(y.data, value, rtol=near)
        for array, expected in zip(inputs, slopes, strict=True):
            np.testing.assert_allclose(array.grad, expected, rtol=0, atol=near * np.abs(expected).max())
        terms = np.array(slopes) * moves
        np.testing.assert_allclose(tangent.data, terms.sum(), rtol=0, atol=near * np.abs(terms).max())


@pytest.mark.parametrize("name", NEAR)
def test_of_two_rows_what_a_mask_leaves_out_is_nothing(name):
    function = nngrad.define(NAMES[name])
    grads = []
    for left_out in ([], [-np.inf]):
        inputs = [Tensor([*row, *left_out], requires_grad=True) for row in ([0.25, -1, 2], [1, 0.5, -0.75])]
        y = function(*inputs)
        y.backward()
        grads.append([y.data, *(one.grad[:3] for one in inputs)])
        assert all((one.grad[3:] == 0).all() for one in inputs)
    for plain, masked in zip(*grads, strict=True):
        np.testing.assert_allclose(masked, plain, rtol=1e-6)


def slope(exact, rows, n, place):
    step = mpmath.mpf(10) ** -400
    moved = [[*row] for row in rows]
    moved[n][place] += step
    return (exact(*moved) - exact(*rows)) / step


@pytest.mark.parametrize("name", FORMULAS)
def test_of_two_rows_have_second_derivatives(name):
    rng = np.random.default_rng(0)
    nngrad.check_grads(nngrad.define(NAMES[name]), (rng.normal(size=(2, 4)), rng.normal(size=(2, 4))), rtol=1e-4)
