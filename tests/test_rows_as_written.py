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
from nngrad.codegen.language import cosh, exp, log, max, mean, op, sum

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
