"""Exponentials of a part of a row: elements picked from them, masked ones, those of all the others."""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad import Tensor
from nngrad.codegen.language import exp, log, loss, op, prod, sum, take, where

TARGET, MASK = 1, np.array([1.0, 1, 0, 1])
total = mpmath.fsum


@loss
def contrastive(x, target, *, axis=-1, t=0.5):
    s = exp(x / t)
    return -log(take(s, target, axis) / sum(s, axis))


@loss
def focal_of_picked(x, target, *, axis=-1, gamma=2.0):
    p = exp(take(x, target, axis)) / sum(exp(x), axis)
    return -((1 - p) ** gamma) * log(p)


@loss
def margin_loss(x, target, *, axis=-1, s=4.0, m=0.25):
    e = exp(s * x)
    top = exp(s * (take(x, target, axis) - m))
    return -log(top / (top + sum(e, axis) - take(e, target, axis)))


@loss
def log_odds(x, target, *, axis=-1):
    p = take(exp(x) / sum(exp(x), axis), target, axis)
    return log(p / (1 - p))


@loss
def unlikelihood(x, target, *, axis=-1):
    p = take(exp(x) / sum(exp(x), axis), target, axis)
    return -log(1 - p)


@loss
def kept_from_zero(x, target, *, axis=-1):
    p = take(exp(x) / sum(exp(x), axis), target, axis)
    return -log(p + 1e-8)


@loss
def soft_margin(x, target, *, axis=-1, m=0.5):
    z = take(x, target, axis)
    return log(1 + exp(log(sum(exp(x), axis)) - z + m))


@op
def masked_shares(x, mask, *, axis=-1):
    e = where(mask > 0, exp(x), 0)
    return e / sum(e, axis)


@op
def weighted_shares(x, mask, *, axis=-1):
    e = exp(x) * mask
    return e / sum(e, axis)


@op
def masked_entropy(x, mask, *, axis=-1):
    e = where(mask > 0, exp(x), 0)
    p = e / sum(e, axis)
    return -sum(where(mask > 0, p * log(p), 0), axis)


@loss
def positives(x, mask, *, axis=-1):
    e = exp(x)
    return -log(sum(where(mask > 0, e, 0), axis) / sum(e, axis))


@op
def log_chance(x, *, axis=-1):
    return log(prod(1 / (1 + exp(-x)), axis))


def others(x):
    return total(mpmath.exp(one) for place, one in enumerate(x) if place != TARGET)


def share(x):
    return mpmath.exp(x[TARGET]) / total(map(mpmath.exp, x))


def kept(x):
    return [mpmath.exp(one) * int(w) for one, w in zip(x, MASK, strict=True)]


def entropy(x):
    kept = [one for one, w in zip(x, MASK, strict=True) if w]
    logarithms = [one - mpmath.log(total(map(mpmath.exp, kept))) for one in kept]
    return -total(mpmath.exp(one) * one for one in logarithms)


def exact_margin_loss(x):
    return mpmath.log1p(others([4 * one for one in x]) / mpmath.exp(4 * x[TARGET] - 1))


EXACT = {
    contrastive: lambda x: -mpmath.log(share([2 * one for one in x])),
    focal_of_picked: lambda x: -((1 - share(x)) ** 2) * mpmath.log(share(x)),
    margin_loss: exact_margin_loss,
    log_odds: lambda x: x[TARGET] - mpmath.log(others(x)),
    unlikelihood: lambda x: mpmath.log1p(mpmath.exp(x[TARGET]) / others(x)),
    kept_from_zero: lambda x: -mpmath.log(share(x) + mpmath.mpf(10) ** -8),
    soft_margin: lambda x: mpmath.log1p(mpmath.exp(mpmath.mpf(0.5)) / share(x)),
    masked_shares: lambda x: kept(x)[0] / total(kept(x)),
    weighted_shares: lambda x: kept(x)[0] / total(kept(x)),
    masked_entropy: entropy,
    positives: lambda x: mpmath.log(total(map(mpmath.exp, x)) / total(kept(x))),
    log_chance: lambda x: -total(mpmath.log1p(mpmath.exp(-one)) for one in x),
}
NAMES = {declaration.name: declaration for declaration in EXACT}
ROWS = [
    [0.25, -1, 2, 0.5],
    [60, 1, -3, 0],
    [1, 60, -3, 0],
    [1000, 998, 997.5, -20],
    [0, 2000, -3, 1],
    [-5000, -5003, -5001, -5000.5],
]
MASKED = (masked_shares, weighted_shares, masked_entropy, positives)


def rest_of(formula):
    """What else the formula is of."""
    return () if formula is log_chance else (MASK,) if formula in MASKED else (np.array(TARGET),)


def slopes(exact, x):
    def along(place):
        return mpmath.diff(lambda u: exact([*x[:place], u, *x[place + 1 :]]), x[place], h=mpmath.mpf(10) ** -40)

    return [float(along(place)) for place in range(len(x))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_parts_of_rows_are_exact(name, dtype):
    function, exact = nngrad.define(NAMES[name]), EXACT[NAMES[name]]
    for row in ROWS:
        x = Tensor(np.array(row), dtype=dtype, requires_grad=True)
        rest = [one.astype(dtype) if one.dtype == float else one for one in rest_of(NAMES[name])]
        y = function(x, *rest)
        first = y if y.ndim == 0 else y[0]
        first.backward()
        near = 16 * np.finfo(dtype).eps * max(1, np.abs(row).max())  # exponents are rounded
        least = near if NAMES[name] is positives else np.finfo(dtype).tiny  # it is a difference of two logarithms
        with mpmath.workdps(250):
            row = [*map(mpmath.mpf, row)]
            value, slope = float(exact(row)), slopes(exact, row)
        np.testing.assert_allclose(float(first.data), value, rtol=near, atol=least)
        np.testing.assert_allclose(x.grad, slope, rtol=near, atol=least + near * np.abs(slope).max())


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_rows_have_second_derivatives(name):
    function, rng = nngrad.define(NAMES[name]), np.random.default_rng(0)
    rest = {(): (), (MASK.shape,): (rng.integers(0, 2, (3, 4)) + np.eye(3, 4),)}.get(
        tuple(one.shape for one in rest_of(NAMES[name])), (rng.integers(0, 4, 3),)
    )
    nngrad.check_grads(lambda x: function(x, *rest), (rng.normal(size=(3, 4)),), rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_a_mask_leaves_out_may_be_anything(dtype):
    """It has no weight, however large, and no gradient; what is left is as if it were not there."""
    function = nngrad.define(masked_shares)
    x = Tensor(np.array([[1.0, 2, 3000, 0], [1, 2, np.inf, 0], [1, 2, -np.inf, 0]]), dtype=dtype, requires_grad=True)
    y = function(x, np.broadcast_to(MASK, x.shape).astype(dtype))
    y[:, 0].sum().backward()
    e = np.exp(np.array([1.0, 2, 0]))
    p = e / e.sum()
    np.testing.assert_allclose(y.data, [[p[0], p[1], 0, p[2]]] * 3, rtol=8 * np.finfo(dtype).eps)
    slope = p[0] * (np.array([1, 0, 0]) - p)
    np.testing.assert_allclose(x.grad, [[slope[0], slope[1], 0, slope[2]]] * 3, rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entropy_of_nothing_is_nothing(dtype):
    """Its mask leaves nothing of one row, of which the shares are no numbers; the rest is as if it were not there."""
    function = nngrad.define(masked_entropy)
    x = Tensor(np.array([[0.5, -1, 900, 2], [1, 2, 3, 4]]), dtype=dtype, requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = function(x, np.array([MASK, 0 * MASK], dtype=dtype))
        y.sum().backward()
    p = np.exp([0.5, -1, 2]) / np.exp([0.5, -1, 2]).sum()
    entropy = -(p * np.log(p)).sum()
    slope = np.insert(-p * (np.log(p) + entropy), 2, 0)
    np.testing.assert_allclose(y.data, [entropy, 0], rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_allclose(x.grad, [slope, 0 * slope], rtol=32 * np.finfo(dtype).eps)
