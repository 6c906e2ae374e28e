"""A condition in arithmetic is the number 1 or 0, and a number in the place of a condition holds where it is not 0."""

import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad.codegen.language import exp, op, where
from nngrad.codegen.pipeline import load_spec
from nngrad.codegen.rewrite import rewrite
from nngrad.codegen.rewriting.restage import inlined
from nngrad.codegen.trace import trace

SAME = {  # with conditions as numbers: with choices
    "(x > 0) * x * y": "where(x > 0, x, 0) * y",
    "x * (x > 0) + (exp(x) - y) * (x <= 0)": "where(x > 0, x, exp(x) - y)",
    "(y > 0) * 0.1 * x + x * (y <= 0)": "where(y > 0, 0.1 * x, x)",
    "(y > 1) * log(y) - (1 - (y > 1)) * x": "where(y <= 1, -x, log(y))",
    "(0.3 - (x < 0)) * x * y": "where(x < 0, -0.7, 0.3) * x * y",
    "x / (1 + (y != 0))": "x / where(y != 0, 2, 1)",
    "2 ** (x > y) - +(y > x)": "2 ** where(x > y, 1, 0) - where(y > x, 1, 0)",
    "x * y // (1 + (x > 0) % 2)": "x * y // (1 + where(x > 0, 1, 0) % 2)",
    "-(x > y) * (y > 0)": "where(y > 0, -where(x > y, 1, 0), 0)",
    "((x > 0) == 1) * x * y": "where(where(x > 0, 1, 0) == 1, x, 0) * y",
    "where((x > 0) * (y > 0), x, y)": "where((x > 0) & (y > 0), x, y)",
    "where(x - y, x, 0)": "where(x - y != 0, x, 0)",
    "sum(x > y, -1) * x": "sum(where(x > y, 1, 0), -1) * x",
    "mean((x == max(x, -1)) * y)": "mean(where(x == max(x, -1), y, 0))",
    "abs(x > 1) * y": "abs(where(x > 1, 1, 0)) * y",
}


@pytest.mark.parametrize("masks", SAME)
def test_conditions_are_numbers(tmp_path, masks):
    spec = tmp_path / "spec.py"
    lines = (f"@op\ndef f{place}(x, y):\n    return {text}\n" for place, text in enumerate((masks, SAME[masks])))
    spec.write_text("\n".join(["from nngrad.codegen.language import *", "", *lines]))
    formulas = [rewrite(trace(one).formulas[0]) for one in load_spec(spec)]
    first, second = (inlined(formula.output, formula.stages) for formula in formulas)
    assert str(first) == str(second)


def test_a_condition_keeps_out_what_is_no_number(monkeypatch, tmp_path):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))

    @nngrad.define
    @op
    def kept(x):
        return (x <= 3) * exp(x**2)

    x = nngrad.Tensor([1.5, 4, 1e30, np.inf], dtype=np.float64, requires_grad=True)
    y = kept(x)
    y.backward(np.ones(4))
    np.testing.assert_allclose(y.data, [np.exp(2.25), 0, 0, 0], rtol=1e-15)
    np.testing.assert_allclose(x.grad, [3 * np.exp(2.25), 0, 0, 0], rtol=1e-15)


def branch(x):
    return where(x, x + 2, 1)


def joined(x):
    return (x & (x > 1)) * x


def factor(x):
    return where(x, 2, 3) * x


@pytest.mark.parametrize(
    ("formula", "value", "slope"),
    [(branch, [1, 5, 1], [1, 1, 0]), (joined, [0, 3, 0], [0, 1, 0]), (factor, [-2, 6, 0], [2, 2, 3])],
)
def test_an_input_that_is_a_number_elsewhere_holds_where_it_is_not_0(formula, value, slope, monkeypatch, tmp_path):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))
    x = nngrad.Tensor([-1.0, 3.0, 0.0], requires_grad=True)
    y = nngrad.define(formula)(x)
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), value)
    np.testing.assert_array_equal(x.grad, slope)
