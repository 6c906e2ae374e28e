"""NumPy's own functions on Tensors: with gradients where an op exists, plain answers to questions, clear refusals."""

import operator

import numpy as np
import pytest

import nngrad
from nngrad import Tensor
from nngrad.functions import ANSWERS, NAMES

pytestmark = pytest.mark.filterwarnings("error")

ARRAY = np.array([[0.5, 1.5, 2.5], [3.0, 0.25, 1.0]])


@pytest.mark.parametrize(
    "call",
    [
        np.exp,
        np.log,
        np.tanh,
        np.sqrt,
        np.abs,
        np.negative,
        np.square,
        lambda t: np.add(t, 1),
        lambda t: np.multiply(ARRAY, t),
        lambda t: np.power(t, 2),
        lambda t: np.true_divide(1, t),
        lambda t: np.maximum(t, 1),
        lambda t: ARRAY * t,
        lambda t: ARRAY - t,
        lambda t: ARRAY[0] / t,
        lambda t: ARRAY @ t.T if isinstance(t, np.ndarray) else ARRAY @ t.T(),
        lambda t: np.float64(2) * t,
        lambda t: np.matmul(t, ARRAY[0]),
        np.sum,
        lambda t: np.sum(t, 0),
        lambda t: np.sum(t, axis=1, keepdims=True),
        lambda t: np.mean(t, axis=0, dtype=None, out=None),
        lambda t: np.std(t, axis=1),
        lambda t: np.var(t),
        lambda t: np.max(t, axis=0),
        lambda t: np.amax(t, 1),
        lambda t: np.concatenate([t, ARRAY]),
        lambda t: np.concatenate((t, t), 1),
        lambda t: np.concatenate((t, t), axis=-1),
        lambda t: np.stack([t, t], axis=1),
        lambda t: np.where(ARRAY > 1, t, 0.0),
        lambda t: np.clip(t, 0.5, 2),
        lambda t: np.clip(t, a_min=0.5, a_max=2),
        lambda t: np.clip(t, min=0.5, max=None),
        lambda t: np.reshape(t, (3, 2)),
        lambda t: np.reshape(t, -1),
        np.transpose,
        lambda t: np.transpose(t, (1, 0)),
        lambda t: np.squeeze(np.expand_dims(t, 0), axis=0),
        lambda t: np.broadcast_to(t, (2, 2, 3)),
        lambda t: np.split(t, 3, axis=1)[1],
        lambda t: np.pad(t, 1, constant_values=2),
        lambda t: np.pad(t, ((0, 1), (2, 0)), mode="constant"),
        lambda t: np.einsum("ij,kj->ik", t, ARRAY),
        lambda t: np.prod(t, axis=0),
    ],
)
def test_values_dtypes_and_history(call):
    t = Tensor(ARRAY, np.float64, requires_grad=True)
    y, expected = call(t), call(ARRAY)
    assert isinstance(y, Tensor) and y.requires_grad and y.dtype == expected.dtype
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, strict=True)
    y.backward(np.ones(y.shape))
    assert t.grad.any()


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.greater(t, 1),
        lambda t: t == ARRAY,
        lambda t: t > ARRAY,
        np.isnan,
        np.isfinite,
        lambda t: np.logical_and(t > 1, t < 2),
        lambda t: np.argmax(t, axis=1),
        lambda t: np.argsort(t, axis=0),
        lambda t: np.isclose(t, ARRAY),
        lambda t: np.any(t > 2, axis=0),
        lambda t: np.argwhere(t > 2),
        np.zeros_like,
    ],
)
def test_without_gradient(call):
    y, expected = call(Tensor(ARRAY, np.float64, requires_grad=True)), call(ARRAY)
    assert isinstance(y, Tensor) and not y.requires_grad and y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, expected)


def test_plain_answers():
    t = Tensor(ARRAY, np.float64)
    assert np.shape(t) == (2, 3) and np.ndim(t) == 2 and np.size(t) == 6
    assert np.result_type(t, 1.0) == np.float64 and not np.iscomplexobj(t)
    assert np.allclose(t, ARRAY) is True and np.array_equal(ARRAY, t)
    for ours, theirs in zip(np.where(t > 1), np.where(ARRAY > 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(t, ARRAY)


def test_integer_tensors_take_numpys_integer_functions():
    t = Tensor([7, 8], np.int64)
    assert np.floor_divide(t, 2).tolist() == [3, 4] and np.bitwise_and(t, 1).tolist() == [1, 0]


def test_conversion():
    t = Tensor(ARRAY, np.float64)
    assert np.asarray(t) is t.data or np.shares_memory(np.asarray(t), t.data)
    assert not np.shares_memory(np.array(t), t.data)
    assert np.asarray(t, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "mend"),
    [
        (lambda t: np.add(t, 1, out=np.zeros((2, 3))), "out="),
        (lambda t: operator.iadd(np.zeros((2, 3)), t), r"as in `array \+= t.numpy\(\)`"),
        (lambda t: np.exp(t, where=ARRAY > 1), "where="),
        (lambda t: np.add.reduce(t), r"sum\(\)"),
        (lambda t: np.multiply.outer(t, t), r"t.numpy\(\)"),
        (lambda t: np.linalg.det(t), r"np.linalg.det\(t.numpy\(\)"),
        (lambda t: np.sum(t, initial=3), "initial="),
        (lambda t: np.sum(t, dtype=np.float32), "dtype="),
        (lambda t: np.nextafter(t, 1), r"t.numpy\(\)"),
        (lambda t: np.pad(t, 1, stat_length=2), "stat_length"),
        (lambda t: np.fft.fft(t), r"t.numpy\(\)"),
        (lambda t: np.percentile(t, 5), r"t.numpy\(\)"),
        (lambda t: np.einsum("ij->i", t, optimize=True), "optimize="),
        (lambda t: np.linalg.norm(t, 1), "ord=1 is a norm of matrices.*nngrad.norm"),
        (lambda t: np.linalg.norm(t, 2), "norm of matrices"),
        (lambda t: np.linalg.norm(t, np.inf, axis=(0, 1)), "norm of matrices"),
    ],
)
def test_refusals_say_what_to_do(call, mend):
    with pytest.raises(TypeError, match=mend):
        call(Tensor(ARRAY, requires_grad=True))


def test_in_place_on_an_array_is_refused():
    array = ARRAY.copy()
    with pytest.raises(TypeError, match="out="):
        array += Tensor(ARRAY)
    np.testing.assert_array_equal(array, ARRAY)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_numpys_other_names(name):
    assert getattr(nngrad, name) is getattr(nngrad, NAMES[name])


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_without_gradient(name):
    t = Tensor(ARRAY, np.float64, requires_grad=True)
    operands = [t] * (getattr(np, name).nin if isinstance(getattr(np, name), np.ufunc) else 1)
    y = getattr(nngrad, name)(*operands)
    assert isinstance(y, Tensor) and not y.requires_grad
    np.testing.assert_array_equal(y.data, getattr(np, name)(*[ARRAY] * len(operands)))


def test_every_differentiable_ufunc_has_its_gradient():
    """All that NumPy has for floats, but for truths and for neighbours among floats."""
    without = {*ANSWERS, "frexp", "nextafter", "spacing"}
    names = {u.__name__ for u in vars(np).values() if isinstance(u, np.ufunc) and any("d" in t for t in u.types)}
    for name in sorted(names - without):
        ufunc = getattr(np, name)
        operands = [Tensor(np.full((2, 2), 0.6), np.float64, requires_grad=True) for _ in range(ufunc.nin)]
        if name == "arccosh":
            operands = [operands[0] + 1]
        arrays = [x.data.astype(int) if name == "ldexp" and i else x.data for i, x in enumerate(operands)]
        expected = ufunc(*arrays)
        found = ufunc(*([operands[0], arrays[1]] if name == "ldexp" else operands))
        for y, other in zip(
            found if isinstance(found, tuple) else (found,), expected if isinstance(expected, tuple) else (expected,),
            strict=True,
        ):  # fmt: skip
            assert y.requires_grad, name
            np.testing.assert_allclose(y.data, other, rtol=1e-14, err_msg=name)


def test_a_power_of_two_may_be_out_of_range():
    x, powers = np.array([0.25, 1e-40, 3e38, 1.5], np.float32), np.array([129, 150, -200, -140])
    np.testing.assert_array_equal(np.ldexp(Tensor(x), powers).data, np.ldexp(x, powers))


def test_functions_with_numpys_own_defaults():
    x = np.array([np.nan, np.inf, -np.inf, 2.0], np.float32)
    t = Tensor(x, np.float32, requires_grad=True)
    np.testing.assert_array_equal(nngrad.nan_to_num(t).data, np.nan_to_num(x))
    np.testing.assert_array_equal(np.nan_to_num(t, nan=1.0, posinf=5.0).data, np.nan_to_num(x, nan=1.0, posinf=5.0))
    np.testing.assert_array_equal(t.nan_to_num(1.0, 5.0).data, np.nan_to_num(x, nan=1.0, posinf=5.0))
    nngrad.nan_to_num(t).sum().backward()
    np.testing.assert_array_equal(t.grad, [0, 0, 0, 1])
    assert np.float_power(t, 2).dtype == np.float64 and nngrad.float_power(2, 3).item() == 8
    assert np.positive(t).data is not t.data and nngrad.positive(t).requires_grad
