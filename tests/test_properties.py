"""Properties that hold for every shape and index, on examples that hypothesis looks for."""

import numpy as np
import pytest

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nngrad
from nngrad import Tensor
from nngrad.utils import broadcast_axis

settings.register_profile("nngrad", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("nngrad")
PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4, min_side=0)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def leaf(array):
    return Tensor(array, dtype=np.float64, requires_grad=True)


@given(PAIRS)
def test_broadcast_axis_names_the_axes_to_sum(shapes):
    (a, b), common = shapes.input_shapes, shapes.result_shape
    for shape, axes in zip((a, b), broadcast_axis(a, b), strict=True):
        assert np.ones(common).sum(axes, keepdims=True).size == np.ones(shape).size or 0 in common


@given(PAIRS)
def test_a_product_is_linear_in_each_factor(shapes):
    (a, b), common = shapes.input_shapes, shapes.result_shape
    x, y, g = leaf(numbers(a)), leaf(numbers(b, 1)), numbers(common, 2)
    (x * y).backward(g)
    assert x.grad.shape == a and y.grad.shape == b
    value = np.sum(x.data * y.data * g)
    np.testing.assert_allclose([np.vdot(x.grad, x.data), np.vdot(y.grad, y.data)], [value, value], atol=1e-10)


@given(SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), hnp.basic_indices(shape, allow_newaxis=True))))
def test_a_slice_sends_its_gradient_home(case):
    shape, index = case
    check_indexing(numbers(shape), index)


@given(
    SHAPES.flatmap(
        lambda shape: st.tuples(
            st.just(shape), hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_side=3))
        )
    )
)
def test_repeated_indices_add_up(case):
    shape, index = case
    check_indexing(numbers(shape), index)


def check_indexing(array, index):
    x = leaf(array)
    y = x[index]
    np.testing.assert_array_equal(y.data, array[index])
    g = numbers(y.shape, 3)
    y.backward(g)
    expected = np.zeros_like(array)
    np.add.at(expected, index, g)
    np.testing.assert_allclose(x.grad, expected)


@given(SHAPES, st.data())
def test_a_reduction_is_numpys(shape, data):
    axis = data.draw(
        st.none() | hnp.valid_tuple_axes(len(shape), min_size=1) | st.integers(-len(shape), len(shape) - 1)
    )
    keepdims = data.draw(st.booleans())
    array = numbers(shape)
    for name in ("sum", "mean", "max", "min", "prod", "var", "std"):
        y = getattr(leaf(array), name)(axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(y.data, getattr(np, name)(array, axis=axis, keepdims=keepdims), atol=1e-12)


@given(SHAPES)
def test_softmax_gradients_sum_to_zero(shape):
    x = leaf(numbers(shape))
    y = nngrad.nn.functional.softmax(x)
    y.backward(numbers(shape, 4))
    np.testing.assert_allclose(y.data.sum(-1), 1)
    np.testing.assert_allclose(x.grad.sum(-1), 0, atol=1e-12)
