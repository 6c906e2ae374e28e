"""Sums over rows of functions of their elements keep the digits that these functions keep alone."""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad.codegen.algebra.symbols import Parameter, Value
from nngrad.codegen.language import Declaration, count, exp, log, mean, sqrt, sum
from nngrad.codegen.rules.terms import sum_of_terms
from nngrad.codegen.trace import trace

pytestmark = pytest.mark.slow  # they are generated first


def itakura_saito(x, t, *, axis=-1):
    return sum(t / x - log(t / x) - 1, axis)


def generalised_divergence(x, t, *, axis=-1):
    return mean(t * log(t / x) - t + x, axis)


def divergence_from_the_middle(x, t, *, axis=-1):
    m = (x + t) / 2
    return (sum(x * log(x / m), axis) + sum(t * log(t / m), axis)) / 2


def hellinger(x, t, *, axis=-1):
    return sum((sqrt(x) - sqrt(t)) ** 2, axis) / 2


EXACT = {
    itakura_saito: lambda x, t: t / x - mpmath.log(t / x) - 1,
    generalised_divergence: lambda x, t: (t * mpmath.log(t / x) - t + x) / 5,
    divergence_from_the_middle: lambda x, t: (x * mpmath.log(2 * x / (x + t)) + t * mpmath.log(2 * t / (x + t))) / 2,
    hellinger: lambda x, t: (mpmath.sqrt(x) - mpmath.sqrt(t)) ** 2 / 2,
}
KNOWING_BOTH = (itakura_saito, generalised_divergence)  # of which the difference of the inputs is exact


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", EXACT, ids=lambda function: function.__name__)
def test_divergences_near_equality(function, dtype):
    random, exact, op = np.random.default_rng(0), EXACT[function], nngrad.define(function)
    for distance in (0.5, 1e-2, 1e-4):
        rows = random.uniform(0.1, 100, 5) * (1 + np.array([[0], [distance]]) * random.uniform(-0.9, 0.9, 5))
        xs = [nngrad.Tensor(row, dtype=dtype, requires_grad=True) for row in rows]
        y = op(*xs)
        y.backward()
        with mpmath.workdps(60):
            pairs = [[mpmath.mpf(float(one)) for one in pair] for pair in zip(*(x.data for x in xs), strict=True)]
            value = float(mpmath.fsum(exact(*pair) for pair in pairs))
            slopes = [[float(mpmath.diff(exact, pair, by)) for pair in pairs] for by in ((1, 0), (0, 1))]
        magnified = 1 if function in KNOWING_BOTH else 1 / distance  # what the inputs' last units change
        tolerance = 16 * np.finfo(dtype).eps * magnified
        np.testing.assert_allclose(y.data, value, rtol=tolerance)
        for x, slope in zip(xs, slopes, strict=True):
            np.testing.assert_allclose(x.grad, slope, rtol=tolerance)


@pytest.mark.parametrize("function", EXACT, ids=lambda function: function.__name__)
def test_they_are_differentiated_again(function):
    rows = np.random.default_rng(1).uniform(0.5, 2, (2, 3, 4))
    nngrad.check_grads(nngrad.define(function), tuple(rows), order=2)


def entropy_and_more(x, *, axis=-1, c=2.0):
    return 1 - c * mean(x * log(x), axis) / 3


def of_its_sum(x, *, axis=-1):
    return sum(x / sum(x, axis), axis)


def logarithm(x, *, axis=-1):
    return log(sum(exp(x), axis) / count(x, axis))


def test_what_is_a_sum_of_terms():
    known, *others = (
        sum_of_terms(trace(Declaration(function, "op", __name__)).formulas[0])
        for function in (entropy_and_more, of_its_sum, logarithm)
    )
    assert known.term.stages[0].expr.atoms(Value) == {Value("x")} and known.offset == 1
    assert known.factor.atoms(Parameter) and others == [None, None]
