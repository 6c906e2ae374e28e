"""Formulas over rows that the generator, or the code it wrote, once failed on, and random ones.

Values are compared with NumPy's of the formula as it stands, derivatives with differences.
"""

import importlib.util
import sys

import numpy as np
import pytest
from random_rows import Formula

pytest.importorskip("sympy")

import nngrad
from nngrad import Tensor
from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.language import (
    cos,
    exp,
    j,
    k,
    l,
    log,
    loss,
    max,
    maximum,
    mean,
    min,
    minimum,
    prod,
    sin,
    softplus,
    sqrt,
    sum,
    take,
    tanh,
    var,
    where,
)  # fmt: skip
from nngrad.spec.activations import log_softmax, softmax

WIDE, NARROW = np.random.default_rng(0).normal(size=(3, 5)), np.random.default_rng(1).normal(size=(1, 5))


def whole_row_in_a_branch(x, w, *, axis=-1):
    return where(w >= 0, x, var(x, axis))


def power_of_a_sum_of_choices(x, *, axis=-1, t=2.0):
    u = minimum(x, var(x, axis)) + t * x
    return prod((u + sum(u, axis)) ** 4 / 100, axis)


def extremum_of_what_is_computed(x, y, *, axis=-1):
    return max(y * var(x, axis), axis)


def extremum_of_shares(x, *, axis=-1):
    return min(log(softmax(softmax(x, axis=axis), axis=axis)), axis)


def extrema_in_branches(x, *, axis=-1):
    return maximum(max(x + 2 * sum(x, axis), axis), tanh(min(x, axis)))


def sum_that_is_one(x, *, axis=-1):
    return sum(softmax(x, axis=axis), axis) * 3


def product_of_sums_of_exponentials(x, y, *, axis=-1, gamma=16.0):
    up, down = maximum(1.25 - x, 0), maximum(y + 0.25, 0)
    left = sum(exp(-gamma * up * (x - 0.75)), axis)
    return log(1 + left * sum(exp(gamma * down * (y - 0.25)), axis))


def focal_cross_entropy(x, target, *, axis=-1, gamma=2.0):
    p = take(softmax(x, axis=axis), target, axis)
    return -((1 - p) ** gamma) * log(p)


def triplet(a, p, w, *, axis=-1, margin=0.2):
    dp = sqrt(sum((a - p) ** 2, axis))  # as the tangent of p is called
    return maximum(dp - sqrt(sum((a - w) ** 2, axis)) + margin, 0)


def overlap(x, t, *, axis=-1, alpha=0.7, eps=1.0):
    p = 1 / (1 + exp(-x))
    missed, wrong = sum((1 - p) * t, axis), sum(p * (1 - t), axis)
    return sum(p * t, axis) / (sum(p * t, axis) + alpha * missed + (1 - alpha) * wrong + eps)


def angular_margin(x, target, *, axis=-1, m=0.5):
    c = take(x, target, axis)
    return c * cos(m) - sqrt(maximum(1 - c**2, 1e-6)) * sin(m)


def rows_of_products(a, b):
    s = sum(a[k] * b[j, k, l], k)
    return s - mean(s, -1)


def product_alone(a, b):
    return sum(a[k] * b[j, k, l], k)


def twice_log_softmax(x, *, axis=-1):
    u = log_softmax(softplus(x) + x, axis=axis)
    return sum(u, axis) + sum(u, axis)


ONE, TWO, CLASS = (WIDE,), (WIDE, NARROW), (WIDE, np.array([4, 0, 2]))
FORMULAS = {
    whole_row_in_a_branch: TWO,
    power_of_a_sum_of_choices: ONE,
    extremum_of_what_is_computed: TWO,
    extremum_of_shares: ONE,
    extrema_in_branches: ONE,
    sum_that_is_one: ONE,
    product_of_sums_of_exponentials: (2 * WIDE - 1, WIDE[::-1]),
    focal_cross_entropy: CLASS,
    triplet: (WIDE, NARROW, 1 - WIDE[::-1]),
    overlap: (WIDE, NARROW[:, :1]),
    angular_margin: CLASS,
    twice_log_softmax: ONE,
}


def check(function, arrays, **params):
    """The derivatives, to the second order, those of what is no index."""
    given = [Tensor(one, dtype=float) if one.dtype == float else one for one in arrays]

    def of_floats(*floats):
        floats = iter(floats)
        return function(*(next(floats) if isinstance(one, Tensor) else one for one in given), **params)

    nngrad.check_grads(of_floats, tuple(one.data for one in given if isinstance(one, Tensor)), rtol=1e-4)


@pytest.mark.parametrize(
    "formula",
    [pytest.param(one, marks=[pytest.mark.slow] * (one is overlap), id=one.__name__) for one in FORMULAS],
)
def test_derivatives_of_rows(formula):
    function = nngrad.define(formula)
    check(function, FORMULAS[formula])
    if len({one.shape for one in FORMULAS[formula]}) > 1 and FORMULAS[formula] is not CLASS:
        check(function, FORMULAS[formula], axis=0)


def test_values_of_rows():
    made = nngrad.define(whole_row_in_a_branch)(Tensor(WIDE, dtype=float), Tensor(NARROW, dtype=float)).data
    np.testing.assert_allclose(made, np.where(NARROW >= 0, WIDE, WIDE.var(-1, keepdims=True)), rtol=1e-14)
    made = nngrad.define(angular_margin)(Tensor([[3.0, 0.5]], dtype=float), np.array([0])).data
    np.testing.assert_allclose(made, 3 * np.cos(0.5) - 1e-3 * np.sin(0.5), rtol=1e-14)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_losses_of_rows_beside_shorter_inputs(reduction):
    function = nngrad.define(loss(shorter))
    check(function, (WIDE, NARROW), axis=0, reduction=reduction)
    y = NARROW - WIDE.mean(0, keepdims=True)
    expected = {"none": np.broadcast_to(y, (3, 5)), "mean": y.mean(), "sum": 3 * y.sum()}[reduction]
    made = function(Tensor(WIDE, dtype=float), Tensor(NARROW, dtype=float), axis=0, reduction=reduction)
    np.testing.assert_allclose(made.data, expected, rtol=1e-14)


def shorter(x, y, *, axis=-1):
    return y - mean(x, axis)


@pytest.mark.parametrize("formula", [rows_of_products, product_alone], ids=lambda formula: formula.__name__)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_losses_of_products(formula, reduction):
    function, a, b = nngrad.define(loss(formula)), WIDE[0], np.random.default_rng(2).normal(size=(2, 5, 3))
    check(function, (a, b), reduction=reduction)
    y = np.einsum("k,jkl->jl", a, b)
    y = y - y.mean(-1, keepdims=True) if formula is rows_of_products else y
    expected = {"none": y, "mean": y.mean(), "sum": y.sum()}[reduction]
    made = function(Tensor(a, dtype=float), Tensor(b, dtype=float), reduction=reduction).data
    np.testing.assert_allclose(made, expected, rtol=1e-13, atol=1e-14)


def test_large_exponents_in_forward_mode():
    function = nngrad.define(loss(product_of_sums_of_exponentials))
    x = tuple(Tensor([value], dtype=float, requires_grad=True) for value in (-2.6, 1.0))
    (dx, dy), (_, tangent) = nngrad.gradients(function(*x), x), nngrad.jvp(function, x, ([1.5], [-0.5]))
    np.testing.assert_allclose(tangent.data, 1.5 * dx.data[0] - 0.5 * dy.data[0], rtol=1e-12)


# --- random ones ------------------------------------------------------------------------------------------------------

CALLS = [((3, 5), -1, "alike"), ((3, 5), 0, "shorter"), ((2, 3, 4), -2, "strided"), ((3, 1), -1, "alike")]


@pytest.fixture(name="defined")
def fixture_defined(tmp_path, monkeypatch):
    """Makes an op of a random formula."""

    def defined(formula):
        file = tmp_path / f"{formula.name}.py"
        file.write_text(formula.source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(formula.name, file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, formula.name, module)
        spec.loader.exec_module(module)
        try:
            return nngrad.define(getattr(module, formula.name))
        except SpecError as error:
            if "is not used in the formula" not in str(error):
                raise
            pytest.skip("an input cancels")

    return defined


QUICK = (3, 7, 8, 11, 15, 16, 20)


@pytest.mark.parametrize("seed", [*QUICK, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(100, 140))])
def test_random_formulas(defined, seed):
    formula = Formula(seed)
    function = defined(formula)
    params = {"reduction": "none"} if formula.home == "loss" else {}
    for shape, axis, layout in CALLS:
        arrays = formula.arrays(shape, axis, layout)
        exact = formula.exact(arrays, axis)
        made = function(
            *(one if one.dtype != float else Tensor(one, dtype=float) for one in arrays), axis=axis, **params
        )
        np.testing.assert_allclose(made.data, exact.reshape(made.shape), rtol=1e-9, atol=1e-9 * np.abs(exact).max())
    shape, axis, layout = CALLS[seed % len(CALLS)]
    check(function, formula.arrays(shape, axis, layout), axis=axis, **params)
