"""Comments in kernels: run as Python, they give the results of the lines below them."""

import inspect
import itertools
import re
import sys

import numpy as np
import pytest
from nngrad_ops import OPS, runtime
from nngrad_ops.tiles import listed
from test_ordinary import SHORTER, points


@pytest.mark.parametrize(("op", "limit"), SHORTER, ids=[f"{op.name}-{limit}" for op, limit in SHORTER])
def test_short_forms(op, limit):
    source = inspect.getsource(op.forward)
    lines = (line.strip() for line in source.partition(f"are_within({limit}, ")[2].splitlines()[1:])
    comments = [line.removeprefix("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines)]
    within = [np.float64(x) for x in points(op, limit, np.float64)[0]]
    names = {**vars(np), **op.params, **dict(zip(op.inputs, within, strict=True))}
    exec("\n".join(comments), names)
    results = op.forward(*within)
    labels = re.findall(r"return (.*)", source)[0].split(", ")
    assert "y" in labels and len(labels) > 1
    for label, result in zip(labels, results, strict=True):
        np.testing.assert_allclose(result, names[label], rtol=1e-12, atol=1e-15)


def sum_rows(x, axis):
    return np.sum(x, axis, keepdims=True)


WORDS = {
    **vars(runtime),
    **vars(np),
    "where": np.where,
    "sum": sum_rows,
    "count": lambda axis: 4,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sigmoid_slope": lambda x: np.exp(x) / (1 + np.exp(x)) ** 2,
    "semicircle": lambda x: np.sqrt(1 - x**2),
}
WHOLE = re.compile(r"^    # (\w+) = (.*(?:\n    #     .*)*)$", re.MULTILINE)  # a kernel's, not one of a part of it
OF_MORE = {"near_zero", "normal_cdf", "times_normal_density"}  # what the runtime has under these names takes more
ROWS_AS_THEY_ARE = {"axis": -1, "keepdims": True, "reduction": "none"}
FORMULA = re.compile(r"^ *# (d\w+) = (.*(?:\n *#     .*)*)$", re.MULTILINE)


def names_in(formula):
    return set(re.findall(r"[a-z]\w*", formula))


def values():
    """The comments that say what forward kernels compute for all inputs, of names that they are called with."""
    for op in OPS.values():
        for label, formula in WHOLE.findall(inspect.getsource(op.forward)):
            formula = re.sub(r"\n *#     ", " ", formula)
            if names_in(formula) <= {*op.inputs, *op.params, *WORDS} - OF_MORE:
                yield pytest.param(op, label, formula, id=f"{op.name}-{label}")


def test_there_are_values():
    assert len(list(values())) > 8


@pytest.mark.parametrize(("op", "label", "formula"), list(values()))
def test_values(op, label, formula):
    inputs = [np.linspace(-9, 7, 33), np.linspace(-4, 11, 33)][: len(op.inputs)]
    params = {name: value for name, value in ROWS_AS_THEY_ARE.items() if name in op.params}
    made = listed(op.forward(*inputs, **params))
    returned = re.findall(r"return (.*)", inspect.getsource(op.forward))[-1]
    labels = re.sub(r"runtime\.shortened\((\w+), dtype\)", r"\1", returned).split(", ")
    expected = eval(formula, {**WORDS, **op.params, **dict(zip(op.inputs, inputs, strict=True))})
    np.testing.assert_allclose(made[0 if label == "y" else labels.index(label)], expected, rtol=1e-12, atol=1e-300)


def test_series_come_first_as_in_the_code_below():
    source = inspect.getsource(sys.modules[OPS["tanhshrink"].forward.__module__])
    first = re.findall(r"near_zero\((\w+), x\)", source)
    assert len(first) == 2 and set(first) == {"TANHSHRINK_Y_NEAR_ZERO"}  # once in a comment, once in code


def formulas():
    """The comments that say what cotangents are, of names that their kernel is called with."""
    for op in OPS.values():
        given = inspect.signature(op.vjp).parameters
        for label, formula in FORMULA.findall(inspect.getsource(op.vjp)):
            formula = re.sub(r"\n *#     ", " ", formula)
            names = names_in(formula)
            if names <= given.keys() | WORDS.keys() and "one_hot" not in names:  # whose index is a row's
                yield pytest.param(op, label, formula, id=f"{op.name}-{label}")


def test_there_are_formulas():
    assert len(list(formulas())) > 60


@pytest.mark.parametrize(("op", "label", "formula"), list(formulas()))
def test_cotangents(op, label, formula):
    random = np.random.default_rng(3)
    inputs = [
        random.uniform(1.1, 1.9, (3, 4)) if op.name == "arccosh" else random.uniform(0.1, 0.9, (3, 4))
        for _ in op.inputs
    ]
    params = {name: 0.4 if value is ... else value for name, value in op.params.items()}
    params |= {name: value for name, value in ROWS_AS_THEY_ARE.items() if name in params}
    made = listed(op.forward(*inputs, **params))
    values = [*inputs, *made]
    g = random.normal(size=made[0].shape)
    needs = {"needs": (True,) * len(op.inputs)} if op.needs else {}
    found = listed(op.vjp(g.copy(), *op.residuals_of(values), **needs, **params))
    arguments = inspect.signature(op.vjp).bind(g, *op.residuals_of(values), **needs, **params).arguments
    position = list(op.inputs).index(label[1:])
    expected = eval(formula, {**WORDS, **params, **arguments})
    np.testing.assert_allclose(found[position], expected, rtol=1e-12, atol=1e-14)
