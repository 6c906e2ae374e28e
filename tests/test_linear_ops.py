"""Structural ops and contractions: adjoint pairs by the dot-product test, and derivatives of every order."""

import importlib

import numpy as np
import pytest
from nngrad_ops import OPS

import nngrad
from nngrad import Tensor
from nngrad.functions import function

STRUCTURAL = {
    "reshape": [
        ((2, 6), dict(shape=(3, 4))),
        ((2, 6), dict(shape=(-1,))),
        ((), dict(shape=(1, 1))),
        ((0, 3), dict(shape=(3, 0))),
    ],
    "transpose": [((2, 3, 4), dict(axes=None)), ((2, 3, 4), dict(axes=(1, 2, 0))), ((2, 3, 4), dict(axes=(-1, 0, 1)))],
    "examples_last": [((2, 3, 4), {}), ((1, 3), {}), ((0, 3), {})],
    "broadcast": [((3, 1), dict(shape=(2, 3, 4))), ((), dict(shape=(2, 2))), ((2, 0), dict(shape=(3, 2, 0)))],
    "unbroadcast": [((2, 3, 4), dict(shape=(3, 1))), ((2, 3), dict(shape=())), ((4,), dict(shape=(2, 4)))],
    "squeeze": [((1, 3, 1), dict(axis=None)), ((1, 3, 1), dict(axis=-1)), ((1, 3, 1), dict(axis=(0, 2)))],
    "expand_dims": [((3,), dict(axis=0)), ((3, 2), dict(axis=(0, -1)))],
    "getitem": [
        ((4, 5), dict(index=index))
        for index in (
            2,
            -1,
            slice(1, None, 2),
            (slice(None), 3),
            (..., None),
            (slice(None, None, -1), [0, 0, 3]),
            [1, 1, 1],
            (np.array([[0, 1], [1, 0]]), np.array([2, 2])),
            np.arange(20).reshape(4, 5) % 3 == 0,
            (1, 2),
            slice(0, 0),
        )
    ],
    "scatter_add": [
        ((3,), dict(shape=(5,), index=[1, 1, 4])),
        ((2, 3), dict(shape=(4, 3), index=slice(0, 2))),
        ((2, 2, 3), dict(shape=(4, 3), index=np.array([[0, -1], [3, 3]]))),
        ((3,), dict(shape=(2, 3), index=(np.array([1, -1, 0], np.int8), np.array(2)))),
        ((3, 2), dict(shape=(1000, 2), index=np.array([999, 0, -1]))),
        ((0, 2), dict(shape=(3, 2), index=np.array([], int))),
    ],
    "pad": [
        ((2, 3), dict(pad_width=((1, 2), (0, 3)))),
        ((2, 3), dict(pad_width=1, value=7.0)),
        ((), dict(pad_width=0)),
    ],
    "astype": [((2, 3), dict(dtype=np.float64))],
}
EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("...ij,...jk->...ik", (2, 1, 3, 2), (4, 2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("ijj->i", (2, 3, 3)),
    ("i,i,i->", (4,), (4,), (4,)),
    ("ij->ji", (2, 3)),
    ("b i, b o, o i -> ", (2, 3), (2, 4), (4, 3)),
    ("...,...", (3,), (2, 3)),
    ("iij->ji", (2, 2, 3)),
]


def draw(*shapes, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape) for shape in shapes]


def tensors(arrays, requires_grad=True):
    return [Tensor(array, dtype=np.float64, requires_grad=requires_grad) for array in arrays]


def assert_adjoint(f, shapes):
    """<J v, g> = <v, J* g> with both sides from different kernels; and the same over Tensors, twice differentiated."""
    x, v = draw(*shapes), draw(*shapes, seed=1)
    y, tangent = nngrad.jvp(f, tuple(x), tuple(v))
    (g,) = draw(y.shape, seed=2)
    leaves = tensors(x)
    out = f(*leaves)
    np.testing.assert_array_equal(out.data, y.data)
    out.backward(g)
    expected = np.vdot(tangent.data, g)
    np.testing.assert_allclose(sum(np.vdot(one, leaf.grad) for one, leaf in zip(v, leaves, strict=True)), expected)
    nngrad.check_grads(lambda *args: (f(*(one * one for one in args)) ** 2).sum(), tuple(x), order=2)


@pytest.mark.parametrize("name, shape, params", [(name, *case) for name, cases in STRUCTURAL.items() for case in cases])
def test_structural(name, shape, params):
    assert_adjoint(lambda x: function(OPS[name])(x, **params), [shape])


@pytest.mark.parametrize("name, shape, params", [(name, *case) for name, cases in STRUCTURAL.items() for case in cases])
def test_adjoint_is_that_of_the_index_map(name, shape, params):
    """Unit vectors tell the whole matrix of the map; the adjoint is its transpose."""
    call = function(OPS[name])
    size = int(np.prod(shape))
    zero = call(np.zeros(shape), **params).data
    units = np.eye(size).reshape(size, *shape)
    matrix = np.array([(call(unit, **params).data - zero).ravel() for unit in units]).reshape(size, zero.size)
    x = tensors(draw(shape))[0]
    y = call(x, **params)
    (g,) = draw(y.shape, seed=2)
    y.backward(g)
    np.testing.assert_allclose(x.grad.ravel(), matrix @ g.ravel(), rtol=1e-12, atol=1e-14)


def test_every_structural_op_has_samples():
    of_several = {"concat", "stack", "split", "setitem"}
    elsewhere = {"windows", "add_windows", "cumsum"}  # in test_structure.py
    assert set(STRUCTURAL) | of_several | elsewhere == {op.name for op in OPS.values() if op.family == "structural"}


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["concat", "stack"])
def test_joining(name, axis):
    assert_adjoint(lambda *xs: function(OPS[name])(*xs, axis=axis), [(2, 3), (2, 3), (2, 3)])


@pytest.mark.parametrize("sections, axis", [(3, 0), ([1, 4], 0), (2, 1), ([0, 2, 2], -1)])
def test_split(sections, axis):
    x = Tensor(draw((6, 4))[0], dtype=np.float64, requires_grad=True)
    parts = nngrad.split(x, sections, axis)
    for part, expected in zip(parts, np.split(x.data, sections, axis), strict=True):
        np.testing.assert_array_equal(part.data, expected)

    def weighted(x):
        parts = nngrad.split(x * x, sections, axis)
        return sum(
            ((position + 1) * (part * part).sum() for position, part in enumerate(parts) if position != 1), x.sum()
        )

    nngrad.check_grads(weighted, (x.data,), order=2)


@pytest.mark.parametrize(
    "index, shape",
    [
        (slice(1, 3), (2, 3)),
        (slice(1, 3), (3,)),
        (slice(1, 3), ()),
        ((..., 0), (4,)),
        ([0, 2], (2, 3)),
        ([1, 1, 1], (3, 3)),
    ],
)
def test_setitem(index, shape):
    assert_adjoint(lambda x, value: function(OPS["setitem"])(x, value, index=index), [(4, 3), shape])


def test_setitem_where_an_index_repeats_the_last_value_stays():
    x, value = tensors([np.zeros(3), np.array([1.0, 2.0, 3.0])])
    y = function(OPS["setitem"])(x, value, index=[0, 0, 2])
    np.testing.assert_array_equal(y.data, [2, 0, 3])
    y.backward(np.array([10.0, 20.0, 30.0]))
    np.testing.assert_array_equal(value.grad, [0, 10, 30])
    np.testing.assert_array_equal(x.grad, [0, 20, 0])


def test_an_index_that_is_an_array_of_one_number_gives_an_array():
    for shape in ((3,), (3, 4), (100, 200)):
        y = Tensor(np.zeros(shape))[tuple(np.array(1) for _ in shape)]
        assert isinstance(y.data, np.ndarray) and y.shape == ()


@pytest.mark.parametrize("shape", [(90, 200), (30, 20, 40), (4, 5)])
@pytest.mark.parametrize("kind", ["all axes", "all but one", "beside a slice", "short integers"])
def test_elements_at_arrays_of_integers_are_those_of_numpy(shape, kind):
    random = np.random.default_rng(0)
    index = tuple(random.integers(-n, n, size) for n, size in zip(shape, [(50, 1), (7,), (50, 7)], strict=False))
    index = {"all but one": index[:-1], "beside a slice": (*index[:-1], slice(1, None))}.get(kind, index)
    if kind == "short integers":
        index = tuple(part.astype(np.int16) for part in index)
    x = Tensor(random.normal(size=shape), dtype=np.float64, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.data, x.data[index])
    g, expected = random.normal(size=y.shape), np.zeros(shape)
    np.add.at(expected, index, g)
    y.backward(g)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12, atol=1e-12)
    if kind == "all axes":
        for wrong in ((index[0] + shape[0], *index[1:]), (index[0].ravel()[:2], index[1][:3], *index[2:])):
            with pytest.raises(IndexError, match=r"out of bounds|could not be broadcast"):
                x[wrong]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "rows",
    [
        np.random.default_rng(0).permutation(90),
        np.random.default_rng(0).integers(-90, 90, (3, 40)),
        np.minimum(np.random.default_rng(0).zipf(1.3, 300), 90) - 1,
        np.zeros(200, int),
    ],
    ids=["each once", "some again, in two axes", "a few often", "one always"],
)
def test_rows_that_are_read_again_are_summed_as_in_float64(rows, dtype):
    x = Tensor(np.zeros((90, 2, 70)), dtype=dtype, requires_grad=True)
    g = np.random.default_rng(1).normal(size=(*rows.shape, 2, 70)).astype(dtype)
    expected = np.zeros(x.shape)
    np.add.at(expected, rows, g)
    x[rows].backward(g)
    np.testing.assert_allclose(x.grad, expected, rtol=np.finfo(dtype).eps, atol=1e-13)
    np.testing.assert_array_equal(nngrad.scatter_add(g, x.shape, rows).data, x.grad)
    with pytest.raises(IndexError, match="out of bounds"):
        nngrad.scatter_add(g, x.shape, rows + 90)


@pytest.mark.parametrize(
    "subscripts, shapes", [(case[0], case[1:]) for case in EINSUM], ids=[case[0] for case in EINSUM]
)
def test_einsum(subscripts, shapes):
    x = draw(*shapes)
    np.testing.assert_allclose(nngrad.einsum(subscripts, *x).data, np.einsum(subscripts, *x), rtol=1e-6)
    assert_adjoint(lambda *xs: function(OPS["einsum"])(*xs, subscripts=subscripts), shapes)


@pytest.mark.parametrize(
    "a, b",
    [
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((4, 1, 2, 3), (2, 3, 2)),
        ((3,), (3,)),
        ((3,), (2, 3, 4)),
        ((2, 3), (3,)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
    ],
)
def test_matmul(a, b):
    x, y = draw(a, b)
    np.testing.assert_allclose((tensors([x])[0] @ y).data, x @ y, rtol=1e-12)
    assert_adjoint(lambda x, y: x @ y, [a, b])


@pytest.mark.parametrize("n, i, o", [(5, 3, 2), (1, 3, 2), (0, 3, 2), (5, 3, 1)])
def test_affine(n, i, o):
    x, weight, bias = draw((n, i), (o, i), (o,))
    np.testing.assert_allclose(nngrad.affine(*tensors([x, weight, bias])).data, x @ weight.T + bias, rtol=1e-12)
    assert_adjoint(nngrad.affine, [(n, i), (o, i), (o,)])
    _, tangent = nngrad.jvp(lambda bias: nngrad.affine(x, weight, bias), (bias,), (np.arange(1.0, o + 1),))
    np.testing.assert_array_equal(tangent.data, np.broadcast_to(np.arange(1.0, o + 1), (n, o)))


OWN = "from nngrad.codegen.language import contraction, i, n, o, sum", "", "@contraction", "def own(x, w, b):"


@pytest.mark.parametrize("name", ["b", "y"])  # y is what results are called
def test_a_bias_may_have_any_letters_of_the_result_and_any_name(name, tmp_path, monkeypatch):
    command = pytest.importorskip("nngrad.codegen.command")
    lines = [*OWN, '    """An affine map."""', "    return sum(x[n, i] * w[o, i], i) + b[n]", ""]
    (tmp_path / "own.py").write_text("\n".join(lines).replace(" b):", f" {name}):").replace("+ b[n]", f"+ {name}[n]"))
    assert command.run(["--spec", str(tmp_path / "own.py"), "--out", str(tmp_path / f"own_rows_{name}")]) == 0
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module(f"own_rows_{name}").own

    x, weight, bias = draw((4, 3), (2, 3), (4,))
    np.testing.assert_allclose(own(*tensors([x, weight, bias])).data, x @ weight.T + bias[:, None], rtol=1e-12)
    assert_adjoint(own, [(4, 3), (2, 3), (4,)])
    _, tangent = nngrad.jvp(lambda bias: own(x, weight, bias), (bias,), (bias,))
    np.testing.assert_array_equal(tangent.data, np.broadcast_to(bias[:, None], (4, 2)))
    nngrad.check_grads(own, (x, weight, bias), modes=("fwd",))


@pytest.mark.parametrize("term, shape", [("b[o]", (2,)), ("b[n]", (4,)), ("b[n, o]", (4, 2))])
@pytest.mark.parametrize("leading", [(), (3,), (1,), (2, 3), (0,)])
def test_a_bias_is_added_whatever_the_leading_axes(leading, term, shape, own_with_leading_axes):
    own = own_with_leading_axes[term]
    x, weight, bias = draw((*leading, 4, 3), (2, 3), shape)
    spread = bias[:, None] if term == "b[n]" else bias
    np.testing.assert_allclose(own(*tensors([x, weight, bias])).data, x @ weight.T + spread, rtol=1e-12)
    assert_adjoint(own, [(*leading, 4, 3), (2, 3), shape])
    nngrad.check_grads(own, (x, weight, bias), order=2)
    _, tangent = nngrad.jvp(lambda bias: own(x, weight, bias), (bias,), (bias,))
    np.testing.assert_array_equal(tangent.data, np.broadcast_to(spread, (*leading, 4, 2)))


@pytest.fixture(scope="module")
def own_with_leading_axes(tmp_path_factory):
    """Affine maps of the last axis, each with another bias."""
    command = pytest.importorskip("nngrad.codegen.command")
    folder, terms = tmp_path_factory.mktemp("leading"), {"b[o]": "first", "b[n]": "second", "b[n, o]": "third"}
    lines = [OWN[0]]
    for term, name in terms.items():
        lines += ["", "", OWN[2], OWN[3].replace("own", name), '    """An affine map."""']
        lines.append(f"    return sum(x[..., n, i] * w[o, i], i) + {term}")
    (folder / "own.py").write_text("\n".join([*lines, ""]))
    assert command.run(["--spec", str(folder / "own.py"), "--out", str(folder / "own_leading")]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        package = importlib.import_module("own_leading")
    return {term: getattr(package, name) for term, name in terms.items()}


@pytest.mark.parametrize(
    "formula, problem",
    [
        ("sum(x[n, i] * w[o, i] + b[o], i)", "are not the same"),
        ("sum(x[n, i] * w[o, i], i) + b[i]", "are not the same"),
        ("sum(x[n, i] * w[o, i], i) + b[o, n]", "are not the same"),
        ("sum(x[n, i] * w[o, i], i) + w[o]", "are not the same"),
        ("b[o] + sum(x[n, i] * w[o, i], i)", "are not the same"),
        ("(sum(x[n, i] * w[o, i], i) + b[o]) * x[n, i]", "inside a contraction"),
        ("sum(sum(x[n, i] * w[o, i], i) + b[o], o)", "inside a contraction"),
    ],
)
def test_what_may_be_added_to_a_contraction(tmp_path, capsys, formula, problem):
    command = pytest.importorskip("nngrad.codegen.command")
    (tmp_path / "own.py").write_text("\n".join([*OWN, '    """An affine map."""', f"    return {formula}", ""]))
    assert command.run(["--spec", str(tmp_path / "own.py"), "--out", str(tmp_path / "own_affine")]) == 2
    told = capsys.readouterr().err
    assert "own.py:" in told and problem in told and not (tmp_path / "own_affine").exists()


def test_scattered_rows_add_up_in_float64():
    x, index = np.full((4096, 2), 0.1, np.float32), np.zeros(4096, int)
    total = nngrad.scatter_add(x, shape=(3, 2), index=index).data
    assert total.dtype == np.float32 and (total == [[np.float32(4096 * 0.1)] * 2, [0, 0], [0, 0]]).all()
    for wrong in (3, -4):
        with pytest.raises(IndexError, match=f"index {wrong} is out of bounds"):
            nngrad.scatter_add(x, shape=(3, 2), index=np.full(4096, wrong))


@pytest.mark.parametrize(
    ("name", "left", "right", "told"),
    [
        ("vecdot", (2, 3), (2, 1), "axes of length 3 and 1 do not fit, both of index k"),
        ("vecdot", (3,), (), r"an input of shape \(\) needs 1 axes at least"),
        ("matvec", (2, 1), (3,), "axes of length 1 and 3 do not fit, both of index k"),
        ("vecmat", (3,), (1, 4), "axes of length 3 and 1 do not fit, both of index k"),
    ],
)
def test_axes_that_are_summed_together_are_never_repeated(name, left, right, told):
    """As in NumPy; those of `einsum` are, in NumPy too, and their gradients are sums."""
    with pytest.raises(ValueError, match=f"{name}: {told}"):
        getattr(nngrad, name)(np.ones(left), np.ones(right))
    short = Tensor(np.ones(1), requires_grad=True)
    nngrad.einsum("i,i->", np.arange(3.0), short).backward()
    assert short.grad.tolist() == [3.0]
