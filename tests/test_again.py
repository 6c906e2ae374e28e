"""Second derivatives of formulas as naive as their authors write them, against differences in many digits."""

import warnings

import mpmath
import numpy as np
import pytest
from conftest import SPECS

pytest.importorskip("sympy")

from nngrad import Tensor
from nngrad.autodiff import gradients
from nngrad.codegen import words
from nngrad.codegen.again import by_sides, in_ops
from nngrad.codegen.certify import Oracle
from nngrad.codegen.pipeline import load_spec, numbers_to_try
from nngrad.codegen.samples import points
from nngrad.codegen.symbols import Decayed, Value, Where
from nngrad.codegen.trace import trace
from nngrad.codegen.vocabulary import WORDS
from nngrad.functions import ops

NAIVE = {declaration.name: trace(declaration) for declaration in load_spec(SPECS / "naive.py")}
ONE_INPUT = [name for name, op in NAIVE.items() if len(op.inputs) == 1 and not op.formulas[0].axes]
ONLY_IN_KERNELS = {"normal_cdf_by_density", "times_its_normal_density"}  # which expansions are made of
ORDINARY = 30
X = Value("x")


def second(function, *arrays):
    """For each pair of the arrays the second derivative of an elementwise function."""
    tensors = [Tensor(array, requires_grad=True, dtype=array.dtype) for array in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = function(*tensors)
        ones = np.ones(y.shape, y.dtype)
        return [
            [h.numpy() for h in gradients(g, tensors, ones)] for g in gradients(y, tensors, ones, create_graph=True)
        ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ONE_INPUT)
def test_second_derivatives_of_naive_formulas(package_of, name, dtype):
    op = NAIVE[name]
    x = points(dtype, thin=24)
    x = x[(np.abs(x) > 1e-6) | (x == 0)]
    size = np.where(x == 0, 1, np.minimum(np.abs(x), 1)).astype(float)
    oracle = Oracle(op.formulas[0], numbers_to_try(op))
    argument = op.inputs[0].name
    exact = oracle.curvature({argument: size}, {argument: size}, {argument: x})
    exact = np.array([float(one) for one in exact]) / size**2
    ((got,),) = second(getattr(package_of("naive"), name), x)
    representable = np.abs(exact) <= np.finfo(dtype).max  # and known
    assert not np.isnan(got[representable]).any(), x[representable & np.isnan(got)]
    judged = representable & (np.abs(x) <= ORDINARY) & (x != 0)
    unit = np.maximum(np.abs(exact[judged]), np.finfo(dtype).tiny) * np.finfo(dtype).eps
    assert (np.abs(got[judged] - exact[judged]) / unit).max() < 200


def test_at_zero_the_slope_is_that_of_the_side(package_of):
    ((got,),) = second(package_of("naive").soft_relu_twice, np.zeros(1))
    assert got == pytest.approx(2 / 9)  # of exp(x) / (exp(x) + 2)


def test_far_out_several_inputs_have_second_derivatives(package_of):
    def share(a, b, c):
        return mpmath.exp(a) / (mpmath.exp(a) + mpmath.exp(b) + mpmath.exp(c))

    at = [np.array([one]) for one in (-101.0, -88.0, -77.0)]
    for first, row in enumerate(second(package_of("corners_several").share_of_three, *at)):
        for other, got in enumerate(row):
            order = [0, 0, 0]
            order[first] += 1
            order[other] += 1
            with mpmath.workdps(60):
                exact = mpmath.diff(share, tuple(float(one[0]) for one in at), tuple(order))
            assert got == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("name", ["unlikelihood", "power_loss"])
def test_shares_have_second_derivatives(package_of, name):
    loss = getattr(package_of("corners_shares"), name)
    random = np.random.default_rng(3)
    x, along, target = random.normal(size=(3, 5)), random.normal(size=(3, 5)), np.array([0, 4, 2])

    def slope(at, create_graph=False):
        at = at if isinstance(at, Tensor) else Tensor(at, requires_grad=True, dtype=np.float64)
        return gradients(loss(at, target), at, create_graph=create_graph)

    at = Tensor(x, requires_grad=True, dtype=np.float64)
    got = gradients((slope(at, create_graph=True) * along).sum(), at).numpy()
    step = 1e-6
    expected = (slope(x + step * along).numpy() - slope(x - step * along).numpy()) / (2 * step)
    np.testing.assert_allclose(got, expected, atol=1e-8)


@pytest.mark.parametrize(
    "word", [word for word in WORDS.values() if not word.smooth and word.name not in ONLY_IN_KERNELS]
)
def test_every_word_can_be_differentiated_again(word):
    assert callable(getattr(ops, word.name))


def test_forms_are_written_in_ops():
    y, factor = X * words.sigmoid(X), X + 1
    assert in_ops(Decayed(y, factor, X)) == y
    right, left = Where(X > 0, X, 0), Where(X > 0, 0, -X)
    size = words.abs(X)
    assert by_sides(Where(X > 0, words.exp(-size), 1 / size)) == Where(X > 0, words.exp(-right), 1 / left)
    assert by_sides(words.exp(-size)) == words.exp(-size)
