"""Formulas of rows with masks by large numbers, and with words that are exact in another form: value and gradients.

The oracles are the formulas in mpmath, and differences of them.
"""

import builtins

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad import Tensor
from nngrad.codegen.language import cosh, exp, log, max, mean, op, sqrt, sum

total = mpmath.fsum


@op
def masked_softmax(x, mask, *, axis=-1):
    z = x + (1 - mask) * -1e9
    return exp(z) / sum(exp(z), axis)


@op
def masked_log_sum(x, mask, *, axis=-1):
    return log(sum(exp(x - 1e9 * (1 - mask)), axis))


@op
def masked_maximum(x, mask, *, axis=-1):
    return max(x * mask - 1e9 * (1 - mask), axis)


@op
def atkinson(x, mask, *, axis=-1, e=0.5):
    w = (x + 0.5) * (1 + mask)
    return 1 - mean(w ** (1 - e), axis) ** (1 / (1 - e)) / mean(w, axis)


@op
def evidence(x, mask, *, axis=-1):
    a = exp(x) + 1
    s = sum(a, axis)
    p = a / s
    return sum((mask - p) ** 2 + p * (1 - p) / (s + 1), axis)


@op
def log_cosh_of_errors(x, mask, *, axis=-1):
    return mean(log(cosh(x - mask)), axis)


def kept(x, mask):
    return [one for one, is_kept in zip(x, mask, strict=True) if is_kept]


def evenness(x, mask):
    w = [(a + 0.5) * (1 + b) for a, b in zip(x, mask, strict=True)]
    return 1 - (total(map(mpmath.sqrt, w)) / 4) ** 2 / (total(w) / 4)


def exact_evidence(x, mask):
    a = [mpmath.exp(one) + 1 for one in x]
    p = [one / total(a) for one in a]
    return total((b - one) ** 2 + one * (1 - one) / (total(a) + 1) for one, b in zip(p, mask, strict=True))


EXACT = {
    masked_softmax: lambda x, mask: mpmath.exp(x[0]) / total(map(mpmath.exp, kept(x, mask))),
    masked_log_sum: lambda x, mask: mpmath.log(total(map(mpmath.exp, kept(x, mask)))),
    masked_maximum: lambda x, mask: builtins.max(kept(x, mask)),
    atkinson: evenness,
    evidence: exact_evidence,
    log_cosh_of_errors: lambda x, mask: total(mpmath.log(mpmath.cosh(a - b)) for a, b in zip(x, mask, strict=True)) / 4,
}
NAMES = {formula.name: formula for formula in EXACT}
MASK = [1, 1, 0, 1]
ROWS = [[0.25, 1, 3, 0.5], [60.5, 61.25, 90, 59], [1000.5, 1, 3, 2000], [1e-3, 2e-3, 1, 3e-3], [1.001, 1, 0, 1.002]]
SLOW = {masked_softmax, atkinson, evidence}
FORMULAS = [pytest.param(one.name, marks=[pytest.mark.slow] * (one in SLOW)) for one in EXACT]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_rows_as_written(name, dtype):
    function, exact = nngrad.define(NAMES[name]), EXACT[NAMES[name]]
    for row in ROWS:
        x = Tensor(np.array(row), dtype=dtype, requires_grad=True)
        y = function(x, np.array(MASK, dtype))
        first = y if y.ndim == 0 else y[0]
        first.backward()
        with mpmath.workdps(1500):
            exact_row = [mpmath.mpf(float(one)) for one in x.data]
            value, slopes = float(exact(exact_row, MASK)), [float(slope(exact, exact_row, n)) for n in range(4)]
        near = 16 * np.finfo(dtype).eps * (builtins.max(map(abs, row)) if NAMES[name] is masked_softmax else 1)
        least = near if NAMES[name] is atkinson else 0  # it is a difference
        np.testing.assert_allclose(float(first.data), value, rtol=near, atol=least)
        np.testing.assert_allclose(x.grad, slopes, rtol=near, atol=least + near * np.abs(slopes).max())


def slope(exact, row, place):
    step, moved = mpmath.mpf(10) ** -700, [*row]
    moved[place] += step
    return (exact(moved, MASK) - exact(row, MASK)) / step


@op
def kept_shares(x, mask, *, axis=-1, eps=1e-9):
    e = exp(x) * mask
    return e / (sum(e, axis) + eps)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("left_out", [2.0, 3000.0, np.inf, -np.inf])
def test_what_has_no_weight_may_be_anything(dtype, left_out):
    function = nngrad.define(kept_shares)
    x = Tensor([[1.0, 2.0, left_out, 0.5]], dtype=dtype, requires_grad=True)
    y = function(x, np.array([1, 1, 0, 2], dtype))
    (slope,) = nngrad.gradients(y[0, 0], [x], create_graph=True)
    (second,) = nngrad.gradients(slope[0, 0], [x])
    e = np.exp([1, 2, 0.5]) * [1, 1, 2]
    p = e / e.sum()
    near = {"rtol": 16 * np.finfo(dtype).eps, "atol": 4e-9}  # the small number beside their sum
    np.testing.assert_allclose(y.data[0], np.insert(p, 2, 0), **near)
    np.testing.assert_allclose(slope.data[0], np.insert(p[0] * ([1, 0, 0] - p), 2, 0), **near)
    expected = [(1 - p[0]) * (1 - 2 * p[0]), *(-p[1:] * (1 - 2 * p[0]))]
    np.testing.assert_allclose(second.data[0], np.insert(p[0] * np.array(expected), 2, 0), **near)


@pytest.mark.slow
def test_shares_of_weights_have_second_derivatives():
    rng = np.random.default_rng(0)
    nngrad.check_grads(nngrad.define(kept_shares), (rng.normal(size=(2, 4)), rng.uniform(0.5, 2, (2, 4))), rtol=1e-4)


@op
def sharpe_ratio(x, *, axis=-1, rate=0.02):
    r = x - rate
    return mean(r, axis) / sqrt(mean((r - mean(r, axis)) ** 2, axis))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_subtracted_with_its_mean_is_not_lost_beside_a_number(dtype):
    x = Tensor([1e-12, -3e-12, 2e-12], dtype=dtype, requires_grad=True)
    y = nngrad.define(sharpe_ratio)(x)
    y.backward()
    kept = x.data.astype(float)
    deviations, mean_return = kept - kept.mean(), kept.mean() - 0.02
    spread = np.sqrt((deviations**2).mean())
    expected = (1 / spread - mean_return * deviations / spread**3) / 3
    np.testing.assert_allclose(y.data, mean_return / spread, rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_allclose(x.grad, expected, rtol=32 * np.finfo(dtype).eps)


@op
def welsch(x, *, axis=-1):
    return mean((1 - exp(-(x**2) / 2)) / 2, axis)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_exponential_is_not_made_of_what_it_lacks_of_one(dtype):
    x = Tensor([6.0, -0.5], dtype=dtype, requires_grad=True)
    nngrad.define(welsch)(x).backward()
    np.testing.assert_allclose(x.grad, x.data * np.exp(-np.square(x.data) / 2) / 4, rtol=64 * np.finfo(dtype).eps)
