"""Simulated rounding of many forms in one graph: each is what it is alone, and what they share is computed once."""

import pytest

pytest.importorskip("sympy")

import numpy as np
import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.judging.simulation import Simulation
from nngrad.codegen.tracing.formula import Formula, Stage

X, Y = Value("x"), Value("y")
FORMULA = Formula((), (X,), (Stage(Y, "map", sympy.exp(X)),), Y)
COLUMNS = {"x": np.array([-200.0, -1.5, 0.0, 0.25, 80.0, 120.0])}
FORMS = [
    sympy.exp(X) / (1 + sympy.exp(X)),
    Where(X > 1, 1 / (1 + sympy.exp(-X)), sympy.exp(X) / (1 + sympy.exp(X))),
    Where(X <= 1, sympy.exp(X), words.log1p(sympy.exp(X))),
    1 + sympy.exp(X),
]


def simulation(**options):
    return Simulation(FORMULA, COLUMNS, {}, {}, **options)


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_a_form_among_others_is_what_it_is_alone(order, is_wide):
    together = simulation(is_wide=is_wide)
    for form in FORMS[::order]:
        for found, alone in zip(together.evaluated(form), simulation(is_wide=is_wide).evaluated(form), strict=True):
            np.testing.assert_array_equal(found, alone)


def test_a_warning_is_that_of_the_forms_own_operations():
    together = simulation()
    assert together.evaluated(FORMS[0])[1].tolist() == [False] * 5 + [True]
    assert not together.evaluated(words.tanh(X))[1].any()


def test_what_forms_share_is_evaluated_once():
    together = simulation()
    together.evaluated(FORMS[0])
    count = len(together.values)
    together.evaluated(FORMS[3])  # the denominator
    assert len(together.values) == count
