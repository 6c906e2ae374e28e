"""Forms that are differentiated again: how they are written, and that every word has one."""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Decayed, Value, Where
from nngrad.codegen.algebra.vocabulary import WORDS
from nngrad.codegen.language import abs, arctan, exp, op, pi, sqrt
from nngrad.codegen.rules.again import by_sides, has_cancelling_stages, in_ops
from nngrad.codegen.trace import Stage
from nngrad.functions import ops

ONLY_IN_KERNELS = {"normal_cdf_by_density", "times_its_normal_density"}  # which expansions are made of
OF_NUMBERS = {"binade"}  # which rules take of arrays, since nothing changes with it
OPS = {"over": "divide"}  # those of another name
X = Value("x")


@pytest.mark.parametrize(
    "name", [name for name, word in WORDS.items() if not word.smooth and name not in ONLY_IN_KERNELS | OF_NUMBERS]
)
def test_every_word_can_be_differentiated_again(name):
    assert callable(getattr(ops, OPS.get(name, name)))


def test_forms_are_written_in_ops():
    y, factor = X * words.sigmoid(X), X + 1
    assert in_ops(Decayed(y, factor, X)) == y
    right, left = Where(X > 0, X, 0), Where(X > 0, 0, -X)
    size = words.abs(X)
    assert by_sides(Where(X > 0, words.exp(-size), 1 / size)) == Where(X > 0, words.exp(-right), 1 / left)
    assert by_sides(words.exp(-size)) == words.exp(-size)
    cosine = words.over_hypot(X, 2)
    sizes = Where(X > 0, words.abs(cosine), 2 * words.abs(cosine))
    assert by_sides(sizes) == Where(X > 0, cosine, -2 * cosine)
    beside = Where(X > 0, words.exp(-X), 1) / (1 + size)
    assert by_sides(beside) == Where(X > 0, words.exp(-X), 1) / (1 + Where(X > 0, X, -X))


def test_terms_that_stages_cancel_are_found():
    stages = (Stage(Value("y"), "map", words.expm1(X) - X), Stage(Value("s"), "map", words.sigmoid(X)))
    y, s = (stage.value for stage in stages)
    assert has_cancelling_stages(3 * (y + X), stages)
    assert not any(has_cancelling_stages(form, stages) for form in (s * (1 - s), y - X, 2 * y, X + 1))


@pytest.mark.slow
def test_second_derivatives_of_remainders_keep_their_digits(monkeypatch, tmp_path):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))

    @nngrad.define
    @op
    def estimated_divergence(a, b):
        return exp(b - a) - (b - a) - 1

    a, b = np.array([0.5, 20, 700]), np.array([0.75, -30, -2])
    slope = nngrad.grad(lambda b: estimated_divergence(a, b).sum())
    _, bend = nngrad.jvp(slope, (b,), (np.ones(3),))
    np.testing.assert_allclose(bend.data, np.exp(b - a), rtol=1e-15)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*no accurate form was found")  # of slopes that are subnormal
def test_second_derivatives_of_quotients_stay_in_range(monkeypatch, tmp_path):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))

    @nngrad.define
    @op
    def half_planck(x):
        return x**2 / (1 - exp(-x))

    x = np.array([-90, -2, 1e-20, 3, 1e30])
    slope = nngrad.grad(lambda x: half_planck(x).sum())
    _, bend = nngrad.jvp(slope, (nngrad.Tensor(x, dtype=float),), (np.ones(5),))

    def exact(x):
        with mpmath.workdps(150):
            return float(mpmath.diff(lambda x: x**2 / (1 - mpmath.exp(-x)), mpmath.mpf(x), 2, h=mpmath.mpf(10) ** -50))

    np.testing.assert_allclose(bend.data, [*map(exact, x[:-1]), 2], rtol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arctan_gate", "root_gate", "share_gate"])
def test_second_derivatives_far_out_keep_their_digits(monkeypatch, tmp_path, name):
    """Where the slope is a limit and little beside it, or nothing that terms leave that cancel."""
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))

    @op
    def arctan_gate(x):
        return x * (arctan(x) / pi + 1 / 2)

    @op
    def root_gate(x):
        return x * (1 + x / sqrt(1 + x**2)) / 2

    @op
    def share_gate(x):
        return x * (1 + x / (1 + abs(x))) / 2

    exact = {
        "arctan_gate": lambda x: 2 / mpmath.pi / (1 + x**2) ** 2,
        "root_gate": lambda x: (1 - x**2 / 2) / (1 + x**2) ** mpmath.mpf(2.5),
        "share_gate": lambda x: 1 / (1 + abs(x)) ** 3,
    }[name]
    made = nngrad.define({"arctan_gate": arctan_gate, "root_gate": root_gate, "share_gate": share_gate}[name])
    x = np.array([-1e60, -1e5, -3, 0.5, 20, 1e12])
    slope = nngrad.grad(lambda x: made(x).sum())
    _, bend = nngrad.jvp(slope, (nngrad.Tensor(x, dtype=float),), (np.ones(len(x)),))
    with mpmath.workdps(60):
        np.testing.assert_allclose(bend.data, [float(exact(mpmath.mpf(one))) for one in x], rtol=1e-13)
