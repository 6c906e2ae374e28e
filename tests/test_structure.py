"""Functions that move elements: NumPy's answers, adjoints by two independent rules, derivatives of every order."""

import copy
import inspect

import numpy as np
import pytest
from nngrad_ops import OPS

import nngrad
import nngrad.nn.functional as F
from nngrad import Tensor, structure
from nngrad.functions import function

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 4))
CUBE = rng.normal(size=(2, 3, 4))
VECTOR = rng.normal(size=5)
INDEX = rng.integers(0, 3, (2, 4))
sliding = np.lib.stride_tricks.sliding_window_view

# name -> samples of (array, further arguments...); those that NumPy has too are compared with it.
LINEAR = {
    "ravel": [(X,), (np.array(2.0),)],
    "flatten": [(CUBE,), (CUBE, 1), (CUBE, 0, 1), (np.array(1.0),)],
    "atleast_1d": [(np.array(2.0),), (VECTOR,), (X,)],
    "atleast_2d": [(np.array(2.0),), (VECTOR,), (CUBE,)],
    "atleast_3d": [(np.array(2.0),), (VECTOR,), (X,), (CUBE,)],
    "permute": [(CUBE, 2, 0, 1), (CUBE, (-1, 0, 1))],
    "swapaxes": [(CUBE, 0, 2), (CUBE, -1, 1)],
    "moveaxis": [(CUBE, 0, -1), (CUBE, (0, 2), (1, 0)), (CUBE, [2], [0])],
    "flip": [(CUBE,), (CUBE, 1), (CUBE, (0, -1)), (np.array(1.0),)],
    "fliplr": [(X,), (CUBE,)],
    "flipud": [(X,), (VECTOR,)],
    "roll": [(X, 1), (X, -6), (X, 2, 1), (CUBE, (1, -2), (0, 2)), (X, 0, 0), (X, 1, (0, 1)), (np.zeros((0, 2)), 1, 0)],
    "rot90": [(X, k) for k in range(-1, 5)] + [(CUBE, 1, (2, 0)), (CUBE, 3, (1, 2))],
    "repeat": [(X, 2), (X, 3, 0), (X, [1, 0, 2], 0), (X, [2, 1, 1, 0], -1)],
    "tile": [(X, 2), (X, (2, 1)), (VECTOR, (2, 3)), (CUBE, (2, 1)), (np.array(3.0), 2), (X, (0, 1))],
    "pad": [(X, ((1, 2), (0, 3))), (X, 1), (VECTOR, (2, 0))]
    + [(X, 2, mode) for mode in ("edge", "reflect", "symmetric", "wrap")]
    + [(VECTOR, (7, 9), mode) for mode in ("edge", "reflect", "symmetric", "wrap")]
    + [(CUBE, ((0, 1), (2, 0), (3, 3)), "reflect")],
    "sliding_window_view": [(VECTOR, 2), (X, (2, 3)), (CUBE, 2, 1), (CUBE, (2, 2), (2, 0))],
    "tril": [(X,), (X, 1), (CUBE, -1)],
    "triu": [(X,), (X, 1), (CUBE, -1)],
    "diagonal": [(X,), (X, 1), (X, -2), (CUBE, 0, 1, 2), (CUBE, 1, -1, 0)],
    "diag": [(X,), (X, 1), (VECTOR,), (VECTOR, 2), (VECTOR, -1)],
    "trace": [(X,), (X, 1), (CUBE, 0, 1, 2)],
    "take": [(X, [5, 0, 0]), (X, [[0, 0], [2, -1]], 0), (CUBE, 1, 1), (X, np.zeros((0,), int), 1)],
    "index_select": [(CUBE, 1, [0, 0, 2])],
    "take_along_axis": [(X, INDEX, 0), (X, rng.integers(0, 4, (3, 2)), 1), (X, np.array([[1], [0], [3]]), -1)],
    "gather": [(X, 0, INDEX), (X, 1, rng.integers(0, 4, (2, 6))), (CUBE, -1, rng.integers(0, 4, (1, 2, 5)))],
    "vstack": [([X, X[:1]],), ([VECTOR, VECTOR],)],
    "hstack": [([X, X[:, :1]],), ([VECTOR, VECTOR[:2]],)],
    "dstack": [([X, X],), ([VECTOR, VECTOR],), ([CUBE, CUBE[..., :1]],)],
    "column_stack": [([X, X[:, :1]],), ([VECTOR, VECTOR],), ([X[:, 0], X],), ([np.array(1.0), np.array(2.0)],)],
    "append": [(X, VECTOR), (X, X[:1], 0), (CUBE, CUBE[:, :0], 1)],
    "cumsum": [(X,), (X, 0), (CUBE, -1), (np.zeros((0, 2)), 0), (np.arange(390.0).reshape(3, 2, 65), 1)],
    "diff": [(X,), (X, 2), (CUBE, 1, 0)],
    "sort": [(X,), (X, 0), (X, None), (CUBE, 1)],
    "median": [(X,), (X, 0), (X, 1), (CUBE, (0, 2)), (VECTOR,)],
}
NOT_LINEAR = {
    "cumprod": [(X,), (X, 0), (CUBE, 1), (CUBE, -1)],
    "dot": [(X, CUBE[0].T), (VECTOR, VECTOR), (CUBE, VECTOR[:4]), (X, CUBE.swapaxes(1, 2)), (X, np.array(2.0))],
    "inner": [(X, CUBE), (VECTOR, VECTOR), (np.array(2.0), X)],
    "outer": [(VECTOR, X), (X, VECTOR)],
    "tensordot": [
        (X, CUBE[0].T, 1),
        (CUBE, X),
        (CUBE, X, ([1, 2], [0, 1])),
        (X, VECTOR, 0),
        (CUBE, CUBE, ((0, 2), (0, 2))),
    ],
}
OTHERWISE = {"topk", "array_split", "round"}  # tested apart: of several outputs, or flat
OF_NUMPY = {name: sliding if name == "sliding_window_view" else getattr(np, name, None) for name in structure.FUNCTIONS}
SAMPLES = [(name, args) for name, samples in LINEAR.items() for args in samples]
EVERY = SAMPLES + [(name, args) for name, samples in NOT_LINEAR.items() for args in samples]


def named(case):
    name, args = case
    return f"{name}-{'-'.join(str(np.shape(arg) if isinstance(arg, np.ndarray) else arg) for arg in args)[:40]}"


def lists(args):
    """The arrays among the arguments that carry gradients, and a function that puts others in their place."""
    moving = [i for i, arg in enumerate(args) if isinstance(arg, np.ndarray) and arg.dtype.kind == "f"]
    if isinstance(args[0], list):
        return list(args[0]), lambda arrays: (list(arrays), *args[1:])

    def put(arrays):
        arrays = iter(arrays)
        return tuple(next(arrays) if i in moving else arg for i, arg in enumerate(args))

    return [args[i] for i in moving], put


def test_every_function_has_samples():
    assert set(LINEAR) | set(NOT_LINEAR) | OTHERWISE == set(structure.FUNCTIONS)
    assert set(structure.METHODS) <= set(structure.FUNCTIONS)


@pytest.mark.parametrize("case", EVERY, ids=named)
def test_answers_are_those_of_numpy(case):
    name, args = case
    arrays, put = lists(args)
    before = [array.copy() for array in arrays]
    tensors = put([Tensor(array, dtype=float) for array in arrays])
    y = getattr(nngrad, name)(*tensors)
    if OF_NUMPY[name] is not None:
        expected = OF_NUMPY[name](*args)
        np.testing.assert_allclose(y.data, expected, rtol=1e-13, atol=1e-15)
        assert y.shape == np.shape(expected)
        np.testing.assert_array_equal(OF_NUMPY[name](*tensors).data, y.data)
    if name in structure.METHODS and isinstance(tensors[0], Tensor):
        np.testing.assert_array_equal(getattr(tensors[0], name)(*tensors[1:]).data, y.data)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)
    for dtype in (np.float16, np.float32, np.float64):
        kept = getattr(nngrad, name)(*put([Tensor(array, dtype=dtype) for array in arrays]))
        assert kept.dtype == dtype and isinstance(kept.data, np.ndarray)


@pytest.mark.parametrize("case", EVERY, ids=named)
def test_derivatives(case):
    name, args = case
    arrays, put = lists(args)
    f = getattr(nngrad, name)
    tangents = [np.random.default_rng(i).normal(size=array.shape) for i, array in enumerate(arrays)]
    y, tangent = nngrad.jvp(lambda *xs: f(*put(xs)), tuple(arrays), tuple(tangents))
    g = rng.normal(size=y.shape)
    leaves = [Tensor(array, dtype=float, requires_grad=True) for array in arrays]
    f(*put(leaves)).backward(g)
    pulled = sum(np.vdot(v, leaf.grad) for v, leaf in zip(tangents, leaves, strict=True))
    np.testing.assert_allclose(pulled, np.vdot(tangent.data, g), rtol=1e-11, atol=1e-12)
    nngrad.check_grads(lambda *xs: (f(*put(xs)) ** 2).sum(), tuple(arrays), order=2)


MAPS = [case for case in SAMPLES if case[0] not in ("trace", "cumsum", "diff", "median")]


@pytest.mark.parametrize("case", MAPS, ids=named)
def test_adjoint_is_that_of_the_index_map(case):
    """What the op does to the places 1, 2, ... tells where every element goes: the adjoint adds up along that map."""
    name, args = case
    arrays, put = lists(args)
    count = sum(array.size for array in arrays)
    places = 1 + np.arange(count)  # 0 stands for no element
    if name == "sort":  # in the order of the values
        places = 1 + np.argsort(np.argsort(arrays[0], axis=None))
    own = np.split(places, np.cumsum([array.size for array in arrays])[:-1])
    leaves = [
        Tensor(one.reshape(array.shape), dtype=float, requires_grad=True)
        for one, array in zip(own, arrays, strict=True)
    ]
    y = getattr(nngrad, name)(*put(leaves))
    g = rng.normal(size=y.shape)
    y.backward(g)
    expected = np.bincount(y.data.astype(int).ravel(), g.ravel(), minlength=count + 1)
    found = np.concatenate([leaf.grad.ravel() for leaf in leaves])
    np.testing.assert_allclose(found, expected[places], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("largest", [True, False])
def test_topk(axis, largest):
    torch = pytest.importorskip("torch")
    t, r = Tensor(X, dtype=float, requires_grad=True), torch.tensor(X, requires_grad=True)
    values, indices = t.topk(2, axis, largest)
    expected, places = torch.topk(r, 2, axis, largest)
    np.testing.assert_array_equal(values.data, expected.detach().numpy())
    np.testing.assert_array_equal(indices, places.numpy())
    g = rng.normal(size=values.shape)
    values.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_array_equal(t.grad, r.grad.numpy())


@pytest.mark.parametrize("sections, axis", [(3, 1), ([1, 3], 1), (2, 0), ([2, 9], 1), (5, 1)])
def test_array_split(sections, axis):
    parts = nngrad.array_split(Tensor(X, dtype=float), sections, axis)
    for part, expected in zip(parts, np.array_split(X, sections, axis), strict=True):
        np.testing.assert_array_equal(part.data, expected)
    nngrad.check_grads(lambda x: sum((p * p).sum() for p in nngrad.array_split(x, sections, axis)), (X,), order=2)


@pytest.mark.parametrize(
    ("shape", "axis"), [((5,), 0), ((200,), 0), ((70, 3), 0), ((2, 90), 1), ((3, 0), 1), ((0, 3), 1)]
)
def test_the_gradient_of_cumprod_is_that_of_each_product(shape, axis):
    random = np.random.default_rng(0)
    x = Tensor(random.normal(size=shape), dtype=np.float64, requires_grad=True)
    g = random.normal(size=shape)
    (nngrad.cumprod(x, axis) * g).sum().backward()
    rows, cotangents = (np.moveaxis(one, axis, -1) for one in (x.data, g))
    without = np.where(np.eye(shape[axis], dtype=bool), 1, rows[..., None, :])  # row i has a 1 in place of x[i]
    is_reached = np.triu(np.ones((shape[axis], shape[axis])))
    expected = (np.cumprod(without, -1) * is_reached * cotangents[..., None, :]).sum(-1)
    np.testing.assert_allclose(np.moveaxis(x.grad, axis, -1), expected, rtol=1e-9, atol=1e-12)


def test_where_parts_of_a_product_overflow_the_gradient_of_cumprod_does_not():
    x = Tensor(np.full(200, 1e15), requires_grad=True)
    x.data[0] = 0
    nngrad.cumprod(x)[:3].sum().backward()
    np.testing.assert_allclose(x.grad[:3], [1e30, 0, 0], rtol=1e-6)
    assert not x.grad[3:].any()


def test_cumprod_beside_zeros():
    x = np.array([2.0, 0.0, 3.0, 0.0, -1.0])
    nngrad.check_grads(lambda x: (nngrad.cumprod(x) * np.arange(1.0, 6)).sum(), (x,), order=2)


def test_median_of_nan_is_nan():
    x = np.array([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]])
    np.testing.assert_array_equal(nngrad.median(x, 1).data, [np.nan, 2.0])


@pytest.mark.parametrize(("shape", "reps"), [((3,), 1), ((1,), 3), ((2, 1), (1, 1))])
def test_tiles_have_memory_of_their_own(shape, reps):
    x = Tensor(np.ones(shape))
    y = nngrad.tile(x, reps)
    y[0] = 5
    assert (x.data == 1).all()
    assert y.data.ravel()[0] == 5
    assert y.data.size == 1 or y.data.ravel()[-1] == (1 if y.shape[0] > 1 else 5)


def test_where_the_median_is_nan_the_first_nan_gets_its_gradient():
    x = Tensor([[1.0, np.nan, np.nan, 4.0], [3.0, 1.0, 2.0, 5.0]], requires_grad=True)
    nngrad.median(x, 1).sum().backward()
    np.testing.assert_array_equal(x.grad, [[0, 1, 0, 0], [0.5, 0, 0.5, 0]])


def test_sorting_passes_ties_and_non_contiguous_arrays():
    x = Tensor(np.array([[2.0, 1.0, 2.0], [1.0, 1.0, 0.0]]), dtype=float, requires_grad=True)
    y = nngrad.sort(x.T(), axis=0)
    y.backward(np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(x.grad, [[2, 0, 4], [3, 5, 1]])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nngrad.flip(X, 2), "flip: there is no axis 2 in 2 axes; give one from -2 to 1"),
        (lambda: nngrad.sort(X, 2), "sort: there is no axis 2"),
        (lambda: nngrad.topk(X, 1, 2), "topk: there is no axis 2"),
        (lambda: nngrad.moveaxis(X, (0, 0), (1, 0)), "moveaxis: source"),
        (lambda: nngrad.rot90(X, 1, (0, 0)), "rot90: the axes must be different"),
        (lambda: nngrad.topk(X, 5), "topk: k must be from 0 to 4"),
        (lambda: nngrad.diff(X, -1), "diff: n must be at least 0"),
        (lambda: nngrad.pad(X, 1, "linear_ramp"), "pad: mode must be 'constant'"),
        (lambda: nngrad.diag(CUBE), "diag: the input must have one axis or two"),
        (lambda: nngrad.tensordot(X, X, 1), r"tensordot: axes \(1,\) of \(3, 4\) and \(0,\) of \(3, 4\)"),
        (lambda: nngrad.dot(X, X), r"dot: axes \(1,\) of \(3, 4\) and \(0,\) of \(3, 4\)"),
        (lambda: nngrad.gather(X, 0, np.zeros((1, 5), int)), r"gather: index of shape \(1, 5\) does not fit"),
        (lambda: nngrad.tril(1.0), "tril: a single number has no triangle"),
        (lambda: nngrad.moveaxis([[1.0, 2.0], [3.0]], 0, 1), "data must be rows of equal lengths"),
        (lambda: nngrad.trace(VECTOR), "diagonal: there is no axis 1 in 1 axes"),
        (lambda: nngrad.flatten(CUBE, 2, 1), "flatten: start_axis 2 comes after end_axis 1"),
        (lambda: nngrad.sliding_window_view(X, (2, 2, 2)), "window_shape"),
        (lambda: nngrad.sliding_window_view(X, (4, 2)), "fit"),
        (lambda: nngrad.median(np.zeros((0,))), "there are no elements"),
        (lambda: nngrad.take_along_axis(X, [0], 0), "must have 2 axes"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("function", [nngrad.sum, nngrad.logsumexp, F.softmax, nngrad.std, nngrad.flip, nngrad.sort])
@pytest.mark.parametrize("axis", [1.0, -1.0, np.float64(1.0), np.float32(1.0), np.array(1.0)])
def test_an_axis_is_an_integer(function, axis):
    with pytest.raises(TypeError, match=rf"^{function.__name__}: axis must be an integer.*, got .*1\."):
        function(X, axis=axis)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("kind", ["numbers", "ties", "NaN", "infinities", "integers"])
def test_topk_of_long_rows_is_the_end_of_a_stable_sort(kind, axis, largest):
    random = np.random.default_rng(0)
    x, some = random.normal(size=(60, 70)), random.random((60, 70)) < 0.1
    x = {
        "ties": np.round(x),
        "NaN": np.where(some, np.nan, x),
        "infinities": np.where(some, np.inf, x),
        "integers": random.permutation(60 * 70).reshape(60, 70),
    }.get(kind, x)
    upwards = np.argsort(-x if largest and kind != "NaN" else x, axis, kind="stable")
    if largest and kind == "NaN":
        upwards = np.argsort(np.where(np.isnan(x), -np.inf, -x), axis, kind="stable")
    values, indices = nngrad.topk(x, 4, axis, largest)
    np.testing.assert_array_equal(indices, np.take(upwards, range(4), axis))
    np.testing.assert_array_equal(values.data, np.take_along_axis(x, indices, axis))


def test_topk_takes_nan_for_the_largest_and_the_first_of_equal_ones():
    x = np.array([2.0, np.nan, 3.0, 2.0, 2.0])
    values, indices = nngrad.topk(x, 3)
    assert indices.tolist() == [1, 2, 0] and np.isnan(values.data[0]) and values.tolist()[1:] == [3, 2]
    assert nngrad.topk(x, 3, largest=False)[1].tolist() == [0, 3, 4]
    assert nngrad.topk(np.array([3, 200, 5], np.uint8), 2)[0].tolist() == [200, 5]


def test_several_are_given_axes_at_once():
    first, second = nngrad.atleast_2d(Tensor(VECTOR), np.ones((2, 3)))
    assert first.shape == (1, VECTOR.size) and second.shape == (2, 3)


def test_functions_are_documented_and_have_numpys_arguments():
    for name, own in structure.FUNCTIONS.items():
        assert own.__doc__
        if OF_NUMPY[name] is None:
            continue
        ours = list(inspect.signature(own).parameters)
        try:
            theirs = list(inspect.signature(OF_NUMPY[name]).parameters)
        except ValueError:
            continue
        shared = [one for one in theirs if one in ours]
        assert [one for one in ours if one not in ("keepdims", "constant_values")] == [
            one for one in shared if one not in ("keepdims", "constant_values")
        ], name


WINDOWS = [
    ((9,), dict(axes=(0,), size=(3,), step=(2,), dilation=(2,))),
    ((2, 7, 6), dict(axes=(1, 2), size=(3, 2), step=(1, 3), dilation=(2, 1))),
    ((2, 7, 6), dict(axes=(-2, -1), size=(1, 6), step=(2, 1), dilation=(1, 1))),
]


@pytest.mark.parametrize("shape, params", WINDOWS)
def test_windows_and_their_adjoint(shape, params):
    x, v = rng.normal(size=(2, *shape))
    windows, add_windows = function(OPS["windows"]), function(OPS["add_windows"])
    y = windows(x, **params)
    u = rng.normal(size=y.shape)
    back = add_windows(u, shape=shape, **params)
    np.testing.assert_allclose(np.vdot(y.data, u), np.vdot(x, back.data), rtol=1e-5)
    places = windows(np.arange(x.size).reshape(shape), **params).data
    expected = np.bincount(places.ravel(), u.ravel(), minlength=x.size).reshape(shape)
    np.testing.assert_allclose(add_windows(Tensor(u, dtype=float), shape=shape, **params).data, expected, atol=1e-13)
    nngrad.check_grads(lambda x: (windows(x * x, **params) ** 2).sum(), (v,), order=2)
    nngrad.check_grads(lambda u: (add_windows(u * u, shape=shape, **params) ** 2).sum(), (u,), order=2)


def test_padding_lies_in_memory_as_what_it_surrounds():
    x = np.arange(24.0).reshape(3, 2, 4).transpose(1, 2, 0)
    y = nngrad.pad(Tensor(x, dtype=float), ((0, 0), (1, 2), (0, 0)), constant_values=-1).data
    assert np.argsort(y.strides).tolist() == np.argsort(x.strides).tolist()
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (1, 2), (0, 0)), constant_values=-1))


@pytest.mark.parametrize(
    "idle",
    [
        lambda x: nngrad.roll(x, 0, 0),
        lambda x: nngrad.roll(x, 4, 1),
        lambda x: nngrad.diff(x, 0),
        lambda x: nngrad.pad(x, 0, "edge"),
        lambda x: nngrad.rot90(x, 0),
        lambda x: nngrad.flip(x, ()),
        lambda x: nngrad.tile(x, 1),
        lambda x: nngrad.array_split(x, 1)[0],
    ],
)
def test_what_has_nothing_to_do_gives_a_tensor_of_its_own(idle):
    x = X.copy()
    y = idle(x)
    x[:] = 0
    assert isinstance(y, Tensor)
    np.testing.assert_array_equal(y.data, X)


@pytest.mark.parametrize("idle", [lambda x: x.roll(0), lambda x: x.pad(0, "wrap"), lambda x: x.diff(0)])
def test_what_is_done_to_a_result_does_not_reach_the_input(idle):
    x = Tensor(X)
    y = idle(x)
    y[...] = 0
    np.testing.assert_array_equal(x.data, Tensor(X).data)


@pytest.mark.parametrize("name", ["flip", "median"])
def test_an_axis_is_named_once(name):
    with pytest.raises(ValueError, match=f"{name}: axis .* twice"):
        getattr(nngrad, name)(X, (0, -2))


ARGUMENTS = {
    "transpose": (lambda x, axes: x.T(axes), [1, 0]),
    "pad": (nngrad.pad, [[1, 0], [0, 2]]),
    "pad by an array": (nngrad.pad, np.array([[1, 0], [0, 2]])),
    "split": (lambda x, places: nngrad.concat(x.split(places, 1)[::-1], 1), [1, 3]),
    "getitem": (nngrad.getitem, [1, 1, 0]),
    "take": (lambda x, index: x.take(index, 0), np.array([1, 1, 0])),
    "take of a Tensor": (lambda x, index: x.take(index, 0), Tensor([1, 1, 0], dtype=int)),
    "take_along_axis": (nngrad.take_along_axis, np.array([[2, 0], [1, 1]])),
    "gather": (lambda x, index: x.gather(1, index), np.array([[2, 0], [1, 1]])),
    "embedding": (lambda x, index: F.embedding(index, x), np.array([[1, 0], [1, 1]])),
    "where": (lambda x, mask: nngrad.where(mask, x, 2 * x), np.array([True, False, False])),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_change_after_the_forward_change_no_gradient(name):
    call, argument = ARGUMENTS[name]
    leaves = [Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True) for _ in range(2)]
    for x, changes in zip(leaves, (False, True), strict=True):
        given = copy.deepcopy(argument)
        y = call(x, given)
        if changes:
            array = given.numpy() if isinstance(given, Tensor) else given
            array[:] = [[0, 0], [0, 0]] if np.ndim(given) == 2 else [0] * len(given)
        (y * np.arange(y.size).reshape(y.shape)).sum().backward()
    np.testing.assert_array_equal(leaves[0].grad, leaves[1].grad)


PICKED = np.array([[0, 1], [-1, 1]])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "index",
    [
        PICKED,
        (slice(None), PICKED),
        (slice(None), slice(None), PICKED[0]),
        (..., PICKED),
        (None, PICKED),
        (slice(0, 1), PICKED),
        (0, PICKED),
        (PICKED, PICKED),
        (PICKED.astype(np.uint8) % 2,),
        np.array(1),
        np.array([], int),
        (slice(None), np.array([True, False, True])),
    ],
    ids=repr,
)
def test_picked_elements_are_those_of_numpy(index, order):
    x = np.arange(24.0).reshape(2, 3, 4).copy(order)
    y = nngrad.getitem(Tensor(x), index=index)
    assert y.shape == x[index].shape
    np.testing.assert_array_equal(y.numpy(), x[index])


@pytest.mark.parametrize(
    "index", [np.array([0, 2]), (slice(None), np.array([-4])), (slice(None),) * 3 + (np.array([0]),)]
)
def test_picks_out_of_range_are_named(index):
    with pytest.raises(IndexError, match="getitem"):
        nngrad.getitem(Tensor(np.ones((2, 3, 4))), index=index)
