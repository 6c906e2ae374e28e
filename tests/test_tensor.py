"""Tensor as a value: construction, dtypes, attributes, operators, indexing, Python's protocols; the public face."""

import copy
import inspect
import operator
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

import nngrad
from nngrad import Tensor, elsewhere, no_grad
from nngrad.utils import broadcast_axis

pytestmark = pytest.mark.filterwarnings("error")
F32, F64, I64 = np.float32, np.float64, np.int64


@pytest.fixture
def default_float64():
    nngrad.set_default_dtype(F64)
    yield
    nngrad.set_default_dtype(F32)


# --- construction and dtypes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [1, 2.5, True, [1, 2], np.arange(3), np.float64(2), np.ones(2), [[True]], Tensor([1], I64)]
)
def test_everything_takes_the_default_dtype(data):
    t = Tensor(data)
    assert t.dtype == F32
    np.testing.assert_array_equal(t.data, np.asarray(data, F32))


@pytest.mark.parametrize("dtype", ["float16", F32, F64, I64, np.uint8, bool, ">f4"])
def test_an_explicit_dtype_is_kept(dtype):
    t = Tensor([0, 1], dtype=dtype)
    assert t.dtype == np.dtype(dtype).newbyteorder("=") and t.dtype.isnative


def test_data_are_copied_and_detached():
    array = np.ones(2, F32)
    t = Tensor(array, requires_grad=True)
    u = Tensor(t * 2)
    array[:] = 5
    assert t.tolist() == [1, 1] and u.grad_fn is None and not u.requires_grad
    assert not np.shares_memory(Tensor(t).data, t.data)


def test_default_dtype(default_float64):
    assert nngrad.get_default_dtype() == F64
    assert Tensor(1).dtype == F64 and repr(Tensor(1)) == "Tensor(1.)"
    with pytest.raises(TypeError, match="int64"):
        nngrad.set_default_dtype(I64)


@pytest.mark.parametrize(
    ("data", "dtype", "error"),
    [
        ("abc", None, "str"),
        ([1j], None, "list"),
        (None, None, "NoneType"),
        (1, complex, "complex128"),
        (object(), None, "object"),
    ],
)
def test_only_real_numbers(data, dtype, error):
    with pytest.raises(TypeError, match=error):
        Tensor(data, dtype=dtype)


@pytest.mark.parametrize("dtype", [I64, bool])
def test_only_floating_tensors_require_grad(dtype):
    with pytest.raises(RuntimeError, match=f"{np.dtype(dtype)}.*dtype=np.float32"):
        Tensor([1], dtype=dtype, requires_grad=True)


@pytest.mark.parametrize(
    ("left", "right", "dtype"),
    [
        (Tensor([1.0]), 2, F32),
        (Tensor([1.0]), 2.5, F32),
        (Tensor([1.0]), np.float64(2.5), F32),
        (Tensor([1.0]), np.int64(2), F32),
        (Tensor([1.0]), [2.5], F32),
        (Tensor([1.0]), np.array([2.5]), F64),
        (Tensor([1.0], "float16"), Tensor([1.0]), F32),
        (Tensor([1.0]), Tensor([1.0], F64), F64),
        (Tensor([1.0]), Tensor([True], bool), F32),
        (Tensor([1], I64), 2, I64),
        (Tensor([1], I64), 2.5, F32),
        (Tensor([1], I64), [2.5], F32),
        (Tensor([1], np.int8), Tensor([1], I64), I64),
        (Tensor([True], bool), 2, I64),
    ],
)
def test_promotion(left, right, dtype):
    for y in (left * right, right * left, left + right):
        assert y.dtype == dtype
    np.testing.assert_allclose((left * right).data, np.asarray(left) * np.asarray(right), rtol=1e-6)


def test_a_list_takes_the_other_operands_precision():
    assert (Tensor([1.0], F64) * [0.1]).item() == 0.1


def test_integers_become_floating_where_the_op_needs_it():
    assert (Tensor([1], I64) / Tensor([2], I64)).dtype == F32
    assert Tensor([1], I64).exp().dtype == F32 and Tensor([1], I64).sum().dtype == I64


@pytest.mark.parametrize("operand", ["abc", None, object(), 1j])
def test_operands_that_are_no_numbers(operand):
    with pytest.raises(TypeError):
        Tensor([1.0]) + operand


# --- attributes ------------------------------------------------------------------------------------------------------


def test_attributes_of_a_leaf_and_of_a_result():
    x, w = Tensor([[1, 2, 3]], requires_grad=True), Tensor(2.0)
    y = x * w
    assert (x.shape, x.ndim, x.size, x.dtype) == ((1, 3), 2, 3, F32)
    assert (x.op, x.prev, x.grad_fn) == ("", set(), None)
    assert y.op == "multiply" and y.prev == {x, w} and y.requires_grad
    assert (x * 2).prev == {x}
    assert repr(y.grad_fn) == "<MultiplyBackward shape=(1, 3)>"
    assert (w * 2).op == "" and not (w * 2).requires_grad
    assert x.numpy() is x.data and x.tolist() == [[1, 2, 3]] and w.item() == 2
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        x.item()


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (Tensor([1, 2]), "Tensor([1., 2.])"),
        (Tensor([1, 2], I64), "Tensor([1, 2], dtype=int64)"),
        (Tensor(1.5, requires_grad=True), "Tensor(1.5, requires_grad=True)"),
        (Tensor([0], requires_grad=True).exp(), "Tensor([1.], grad_fn=<ExpBackward shape=(1,)>)"),
        (Tensor([[1], [2]]), "Tensor([[1.],\n        [2.]])"),
    ],
)
def test_repr(tensor, text):
    assert repr(tensor) == text


def test_grad_of_leaves():
    x = Tensor([1, 2], requires_grad=True)
    assert x.grad.tolist() == [0, 0] and x.grad.dtype == F32
    x.grad = [3, 4]
    x.grad *= 2
    assert x.grad.tolist() == [6, 8]
    x.reset_grad()
    assert x.grad.tolist() == [0, 0]
    assert Tensor([1]).grad is None and (x * 2).grad is None
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        x.grad = np.ones(3)
    with pytest.raises(RuntimeError, match="requires_grad"):
        Tensor(1).grad = 1


def test_set_requires_grad():
    x = Tensor([1.0])
    x.set_requires_grad(True)
    y = x * 2
    with pytest.raises(RuntimeError, match=r"multiply.*detach"):
        y.set_requires_grad(False)
    x.requires_grad = False
    assert x.grad is None and not (x * 2).requires_grad


def test_assigning_data():
    x = Tensor([1, 2], requires_grad=True)
    array = np.array([3.0, 4.0])
    x.data = array
    array[:] = 0
    assert x.tolist() == [3, 4] and x.dtype == F32
    x.data -= 1
    assert x.tolist() == [2, 3]
    x.data = np.ones((2, 2))
    assert x.grad.shape == (2, 2)
    with pytest.raises(TypeError, match=r"float64.*int64"):
        Tensor([1], I64).data = [1.5]
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 2\)"):
        (x * 2).data = np.ones(3)


def test_detach_shares_and_clone_copies():
    x = Tensor([1, 2], requires_grad=True)
    d, c = x.detach(), x.clone()
    assert np.shares_memory(d.data, x.data) and not d.requires_grad and d.grad_fn is None
    assert not np.shares_memory(c.data, x.data) and c.prev == {x}
    c.backward([1, 2])
    assert x.grad.tolist() == [1, 2]


# --- operators -------------------------------------------------------------------------------------------------------

BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((0, 3), (1, 3)), ((2, 3), ())])
@pytest.mark.parametrize("operator", BINARY)
def test_binary_operators(operator, shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0.5, 2, shape).astype(F32) for shape in shapes)
    expected = BINARY[operator](a, b)
    for left, right in [(Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))]:
        y = BINARY[operator](left, right)
        assert isinstance(y, Tensor) and y.dtype == expected.dtype and y.shape == expected.shape
        np.testing.assert_allclose(y.data, expected, rtol=1e-6)


@pytest.mark.parametrize("operator", BINARY)
def test_operators_with_numbers_on_either_side(operator):
    t = Tensor([1.0, 2.0, 4.0])
    np.testing.assert_allclose(BINARY[operator](t, 2).data, BINARY[operator](t.data, F32(2)))
    np.testing.assert_allclose(BINARY[operator](2, t).data, BINARY[operator](F32(2), t.data))


def test_unary_and_logical_operators():
    t, mask = Tensor([-1, 2]), Tensor([True, False], bool)
    assert (-t).tolist() == [1, -2] and (+t) is t and abs(t).tolist() == [1, 2]
    assert (~mask).tolist() == [False, True]
    assert ((t > 0) & mask).tolist() == [False, False] and ((t > 0) | mask).tolist() == [True, True]
    assert (mask ^ True).dtype == bool


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float32])
def test_quotients_and_remainders(dtype):
    x = np.array([7, 20, 100], dtype)
    for other in (3, np.array([2, 7, 3], dtype)):
        for f in (
            lambda a, b: a // b,
            lambda a, b: a % b,
            lambda a, b: divmod(a, b)[0],
            lambda a, b: divmod(a, b)[1],
        ):
            for a, b in ((x, other), (other, x)):
                y, expected = f(*(Tensor(one, dtype) if one is x else one for one in (a, b))), f(a, b)
                assert y.dtype == expected.dtype
                np.testing.assert_array_equal(y.data, expected)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64])
@pytest.mark.parametrize(
    "name",
    [
        "ceil", "floor", "trunc", "nan_to_num", "nansum", "nanprod", "tril", "triu", "cumprod", "floor_divide", "fmax",
        "fmin", "fmod", "remainder",
    ],
)  # fmt: skip
def test_whole_numbers_stay_whole(name, dtype):
    """float32 holds no integer above 2**24 for certain, so what maps integers to integers computes with them."""
    top = min(2**24 + 1, int(np.iinfo(dtype).max)) if dtype is not bool else 1
    x = np.array([[top, 1], [3 % (top + 1), 1]], dtype)
    args = (np.ones_like(x),) if name in ("floor_divide", "fmax", "fmin", "fmod", "remainder") else ()
    y, expected = getattr(nngrad, name)(Tensor(x, dtype), *args), getattr(np, name)(x, *args)
    assert y.dtype == np.result_type(expected)
    np.testing.assert_array_equal(y.data, expected)


def test_augmented_assignment_rebinds():
    x = y = Tensor([1.0], requires_grad=True)
    y += 1
    y *= 3
    assert x.tolist() == [1] and y.tolist() == [6] and y.op == "multiply"


@pytest.mark.parametrize("operation", [operator.iadd, operator.isub, operator.imul, operator.itruediv])
def test_a_step_that_would_be_lost_is_refused(operation):
    """Users of PyTorch write `p -= lr * p.grad`, and nothing would be trained."""
    p = Tensor([1.0, 2.0], requires_grad=True)
    with no_grad():
        with pytest.raises(RuntimeError, match=r"another Tensor.*write `x\.data .= step`"):
            operation(p, 2.0)
        p.data = operation(p.data, 2.0)
        assert operation(p.detach(), 2.0).shape == operation(Tensor([1.0, 2.0]), 2.0).shape == (2,)
    assert operation(p, 2.0).requires_grad


@pytest.mark.parametrize(
    "shapes", [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (4, 3, 2)), ((4, 2, 3), (3,)), ((4, 2, 3), (3, 5))]
)
def test_matmul(shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape) for shape in shapes)
    for left, right in [(Tensor(a, F64), Tensor(b, F64)), (Tensor(a, F64), b), (a, Tensor(b, F64))]:
        np.testing.assert_allclose((left @ right).data, a @ b, rtol=1e-12)
    np.testing.assert_allclose(Tensor(a, F64).matmul(b).data, a @ b, rtol=1e-12)


def test_matmul_refuses():
    with pytest.raises(ValueError, match="0-d"):
        Tensor([1.0]) @ 2
    with pytest.raises(ValueError, match=r"^matmul: .*\(2, 3\) and \(2, 3\).*transpose"):
        Tensor(np.ones((2, 3))) @ Tensor(np.ones((2, 3)))


# --- shape and indexing ----------------------------------------------------------------------------------------------


def test_shape_methods():
    x = Tensor(np.arange(6))
    assert x.reshape(2, 3).shape == x.reshape((2, 3)).shape == x.reshape(2, -1).shape == (2, 3)
    assert x.reshape(6).shape == x.reshape([6]).shape == (6,)
    y = x.reshape(1, 2, 3)
    assert y.T().shape == (3, 2, 1) and y.T((1, 0, 2)).shape == (2, 1, 3)
    assert x.broadcast((2, 6)).shape == (2, 6)
    assert x.concat([x, x]).shape == (18,) and y.concat(y, dim=1).shape == (1, 4, 3)
    assert [part.tolist() for part in x.split(3)] == [[0, 1], [2, 3], [4, 5]]
    assert x.masked_fill(x > 3, -1).tolist() == [0, 1, 2, 3, -1, -1]
    with pytest.raises(ValueError, match=r"reshape: .*\(6,\).*shape=4"):
        x.reshape(4)


INDICES = [
    0, -1, slice(1, None), (0, 1), (slice(None), 1), ..., (..., 0), None, (None, 0), (slice(None, None, -1),), [0, 1],
    ([0, 1], [1, 2]), np.array([[0, 1], [1, 0]]), np.array([True, False]), ([True, False], slice(1)), (), [],
    (0, [2, 0]), np.int64(1), Tensor([1, 0], I64), Tensor([False, True], bool), (slice(None), Tensor(1, I64)),
    (Tensor([0, 1], I64), [1, 1]),
]  # fmt: skip


def as_numpy(index):
    if isinstance(index, tuple):
        return tuple(map(as_numpy, index))
    return index.data if isinstance(index, Tensor) else index


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_and_item_assignment(index):
    array = np.arange(6, dtype=F32).reshape(2, 3)
    expected = array[as_numpy(index)]
    t = Tensor(array)
    assert t[index].shape == expected.shape
    np.testing.assert_array_equal(t[index].data, expected)
    t[index] = expected * 2
    array[as_numpy(index)] = expected * 2
    np.testing.assert_array_equal(t.data, array)


def test_bad_indices():
    t = Tensor(np.zeros((2, 3)))
    with pytest.raises(IndexError, match="getitem"):
        t[5]
    with pytest.raises(IndexError):
        t[Tensor([0.0])]
    with pytest.raises(ValueError, match=r"setitem: .*\(2, 3\), \(4,\)"):
        t[0] = np.ones(4)
    with pytest.raises(TypeError, match="setitem"):
        t[0] = "a"
    assert not t.data.any()


def test_clip():
    x = Tensor([-2, 0.5, 3], requires_grad=True)
    assert x.clip(-1, 1).tolist() == [-1, 0.5, 1] and x.clip(max=1).tolist() == [-2, 0.5, 1]
    x.clip(-1, 1).backward([5, 5, 5])
    assert x.grad.tolist() == [0, 5, 0]
    x.reset_grad()
    x.clip(-1, 1, clip_grad=True).backward([5, 5, 5])
    assert x.grad.tolist() == [0, 1, 0]
    x.reset_grad()
    x.clip(-5, 5, clip_grad=True, grad_min=-2, grad_max=3).backward([-5, 1, 5])
    assert x.grad.tolist() == [-2, 1, 3]


# --- Python's protocols ----------------------------------------------------------------------------------------------


def test_gradients_of_rows_are_joined():
    base = np.arange(12.0).reshape(2, 3, 2)
    x = Tensor(base, dtype=float, requires_grad=True)
    first, _, third = x.transpose((1, 0, 2))
    assert third.shape == (2, 2) and np.shares_memory(third.data, x.data)
    (first * third).sum().backward()
    expected = np.zeros_like(base)
    expected[:, 0], expected[:, 2] = base[:, 2], base[:, 0]
    np.testing.assert_array_equal(x.grad, expected)
    nngrad.check_grads(lambda x: sum((row**3).sum() * i for i, row in enumerate(x)), (base,), order=2)
    assert list(Tensor(np.zeros((0, 3)), requires_grad=True)) == []


def test_python_protocols():
    x = Tensor([[1, 2], [3, 4]])
    assert len(x) == 2 and [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert 3 in x and 5 not in x
    assert len({x, x.clone()}) == 2 and {x: 1}[x] == 1
    one = Tensor([2.5])
    assert float(one) == 2.5 and int(one) == 2 and bool(one) and not Tensor(0)
    assert f"{one:.3f}" == "2.500" and f"{one}" == "Tensor([2.5])"
    assert [10, 20, 30][Tensor(1, I64)] == 20 and list(range(Tensor(2, I64))) == [0, 1]
    assert sum([Tensor(1), Tensor(2)]).item() == 3


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda x: bool(x), ValueError),
        (lambda x: float(x), ValueError),
        (lambda x: [1][x], TypeError),
        (lambda x: len(x.sum()), TypeError),
        (lambda x: iter(x.sum()), TypeError),
        (lambda x: (x == x) and True, ValueError),
    ],
)
def test_python_protocols_refuse(action, error):
    with pytest.raises(error):
        action(Tensor([1.0, 2.0]))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copy_and_pickle(duplicate):
    x = Tensor([1.0, 2.0], F64, requires_grad=True)
    (x * 3).sum().backward()
    y = duplicate(x)
    assert y.tolist() == [1, 2] and y.dtype == F64 and y.requires_grad and y.grad.tolist() == [3, 3]
    assert not np.shares_memory(x.data, y.data) and not np.shares_memory(x.grad, y.grad)
    assert duplicate(Tensor([1], I64)).dtype == I64
    with pytest.raises(RuntimeError, match=r"multiply.*detach"):
        duplicate(x * 3)


class Scaled(Tensor):
    pass


def test_subclasses_are_tensors():
    x = Scaled([1.0], requires_grad=True)
    y = x * 2
    y.backward()
    assert x.grad.tolist() == [2] and type(copy.deepcopy(x)) is Scaled


# --- the package -----------------------------------------------------------------------------------------------------


def test_public_names():
    assert nngrad.__version__ == "0.1.0"
    assert {"Tensor", "grad", "exp", "matmul", "no_grad", "nn"} <= set(dir(nngrad))
    assert nngrad.exp.__name__ == "exp" and nngrad.exp.__doc__
    assert nngrad.add([1, 2], Tensor([1, 2])).tolist() == [2, 4]
    with pytest.raises(AttributeError, match=r"did you mean.*exp"):
        nngrad.expp  # noqa: B018
    with pytest.raises(AttributeError, match=r"in nngrad\.nn\.functional"):
        nngrad.log_softmax  # noqa: B018
    with pytest.raises(AttributeError, match=r"it is in nngrad\.nn$"):
        nngrad.Linear  # noqa: B018
    with pytest.raises(AttributeError, match=r"it is in nngrad\.optim$"):
        nngrad.Adam  # noqa: B018
    with pytest.raises(AttributeError, match=r"it is NumPy's alone, write Tensor\(np\.zeros\(\.\.\.\)\)"):
        nngrad.zeros  # noqa: B018
    with pytest.raises(AttributeError):
        nngrad.zzzzzz  # noqa: B018
    assert pickle.loads(pickle.dumps(nngrad.exp)) is nngrad.exp


def test_functions_check_their_arguments():
    x = Tensor([[1.0, 2.0]])
    assert nngrad.sum(x, 1).tolist() == nngrad.sum(x, axis=1).tolist() == [3]
    assert nngrad.sum(x, 0, True).shape == (1, 2)
    for call in (lambda: nngrad.exp(), lambda: nngrad.exp(x, x), lambda: nngrad.sum(x, axes=1), lambda: nngrad.add(x)):
        with pytest.raises(TypeError, match=r"\(\) (missing|takes|got)"):
            call()
    with pytest.raises(TypeError, match="x2"):
        nngrad.add(x, None)
    with pytest.raises(ValueError, match=r"add: .*\(1, 2\), \(3,\)"):
        nngrad.add(x, [1, 2, 3])
    with pytest.raises(ValueError, match=r"sum: .*axis=5"):
        x.sum(axis=5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x @ Tensor(np.ones(4)), ValueError, r"^matmul: .*\(2, 3\) and \(4,\).*3 columns against 4 rows"),
        (lambda x: Tensor(np.ones(4)) @ x, ValueError, r"^matmul: .*\(4,\) and \(2, 3\)"),
        (lambda x: Tensor(np.ones((4, 3, 2))) @ Tensor(np.ones((5, 2, 3))), ValueError, r"^matmul: .*\(5, 2, 3\)"),
        (lambda x: x.sum(axis=2), np.exceptions.AxisError, r"^sum: axis 2 .*\(2, 3\), axis=2.*axis that the shape has"),
        (lambda x: x.sum(axis="a"), TypeError, r"^sum: 'str'.*\(2, 3\), axis='a'.*type that it takes"),
        (lambda x: x.reshape("a"), TypeError, r"^reshape: 'str'.*\(2, 3\)"),
        (lambda x: x[0, 0, 0], IndexError, r"^getitem: .*\(2, 3\), index=\(0, 0, 0\)"),
        (
            lambda x: x[Tensor([0, 1])],
            IndexError,
            r"; index with integers: .* or Tensor\(data, dtype=int\), which keeps",
        ),
        (lambda x: nngrad.concat([x, x[:, :2]]), ValueError, r"^concat: .*\(2, 3\), \(2, 2\), axis=0.*reshape"),
        (lambda x: nngrad.concat(x, x), TypeError, r"^concat: axis .*\(2, 3\); .* one list, concat\(\[x, y\]\)"),
        (lambda x: nngrad.stack(x.data, x.data), TypeError, r"^stack: axis .*\(2, 3\); .* one list, stack\(\[x, y\]\)"),
        (
            lambda x: nngrad.einsum("ij,jk->ik", x, x[0]),
            ValueError,
            r"^einsum: .*too many subscripts.*\(2, 3\), \(3,\)",
        ),
        (lambda x: nngrad.sort(x[0, 0]), np.exceptions.AxisError, r"^sort: .*a single number has none; reshape"),
        (lambda x: Tensor(1, 2, 3), TypeError, "^2 is no dtype; give NumPy's or its name"),
        (lambda x: x * [1.0, None, 2.0], TypeError, "^multiply: input x2 .* not a list with a NoneType in it"),
        (lambda x: Tensor([[1.0], ["2"]]), TypeError, "^data .* not a list with a str in it"),
        (lambda x: Tensor([10**30]), TypeError, "^data .* not a list of numbers too large for NumPy"),
        (lambda x: x.astype("torch.float32"), TypeError, "'torch.float32' is no dtype"),
        (lambda x: nngrad.tensor([1.0]), TypeError, r"^nngrad.tensor is a module; write Tensor\(data\)"),
        (lambda x: x.clip(np.zeros(3), 1), TypeError, r"^clip: parameter min must be a number.*\(3,\)"),
        (lambda x: x.split(0), ZeroDivisionError, r"^split: .*\(2, 3\), sections=0"),
        (lambda x: x == np.ones(4), ValueError, r"^eq: .*\(2, 3\), \(4,\).*broadcast"),
        (lambda x: x & x, TypeError, r"^and: .*\(2, 3\)"),
        (lambda x: x - [[1], [1, 2]], ValueError, r"^subtract: input x2 must be rows of equal lengths"),
        (
            lambda x: nngrad.exp([x, 1.0]),
            TypeError,
            r"^exp: input x is a list of Tensors that require grad.*nngrad.stack",
        ),
        (lambda x: (x * 1).__setitem__(0, [x[0, 0], 1.0, 2.0]), TypeError, r"^setitem: value is a list of Tensors"),
        (lambda x: x.astype(complex), TypeError, "real numbers, not complex128"),
        (lambda x: nngrad.nn.functional.mse_loss(x, x, "avg"), ValueError, r"^mse_loss: .*'none', not 'avg'.*\(2, 3\)"),
    ],
)
def test_errors_name_op_and_shapes(call, error, message):
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(error, match=message):
        call(x)
    assert not x.grad.any() and (x.data == 1).all()


def test_places_are_tensors_of_integers():
    x = Tensor([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]], requires_grad=True)
    assert x.argmax().item() == 3 and x.argmax(axis=1).tolist() == [1, 0] and x.argmin(0).tolist() == [0, 0, 0]
    assert x.argsort(axis=-1).tolist() == [[0, 2, 1], [2, 1, 0]] and not x.argmax().requires_grad


def test_truths_are_tensors_of_bools():
    x = Tensor([[1.0, 3.0, 2.0], [0.0, 5.0, 4.0]], requires_grad=True)
    assert (x > 4).any() and not (x > 4).all() and (x > 2).any(axis=0).tolist() == [False, True, True]
    assert x.all(axis=1, keepdims=True).tolist() == [[True], [False]] and not x.any().requires_grad


def test_numpy_scalars_as_parameters_do_not_widen():
    x = Tensor([-1.0, 2.0])
    half = np.float64(0.5)
    for y in (
        x.clip(half, np.array(1.0)),
        np.clip(x, half, 1),
        x.masked_fill(x > 0, half),
        x.pad(1, constant_values=half),
    ):
        assert y.dtype == F32
    assert nngrad.nn.functional.leaky_relu(x, half).dtype == F32


def test_tensors_as_parameters():
    x = Tensor([-1.0, 2.0])
    assert x.clip(Tensor(0.0), 1).tolist() == [0, 1]
    assert nngrad.getitem(x, index=Tensor([1, 0], I64)).tolist() == [2, -1]
    with pytest.raises(TypeError, match=r"clip: parameter min carries no gradient.*min.detach\(\)"):
        x.clip(Tensor(0.0, requires_grad=True))


def test_sequences():
    x = Tensor([1.0, 2.0])
    assert nngrad.concat([x, x], 0).tolist() == [1, 2, 1, 2]
    assert nngrad.stack((x, [3, 4]), axis=1).tolist() == [[1, 3], [2, 4]]


def test_manual_seed():
    from nngrad.random import default_generator

    generator = default_generator()
    nngrad.manual_seed(3)
    first = generator.random(4)
    nngrad.manual_seed(3)
    np.testing.assert_array_equal(generator.random(4), first)
    np.testing.assert_array_equal(np.random.default_rng(3).random(4), first)


@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [
        ((3, 1), (1, 4), ((1,), (0,))),
        ((2, 3), (3,), ((), (0,))),
        ((), (2, 3), ((0, 1), ())),
        ((2, 3), (2, 3), ((), ())),
        ((5, 1, 1), (4, 1), ((1,), (0,))),
        ((1,), (0,), ((0,), ())),
        ((1, 3), (3,), ((), (0,))),
    ],
)
def test_broadcast_axis(a, b, axes):
    assert broadcast_axis(a, b) == axes and broadcast_axis(b, a) == axes[::-1]


def test_broadcast_axis_refuses():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2,\)"):
        broadcast_axis((2, 3), (2,))


def test_missing_generated_package_says_what_to_run():
    source = "import nngrad; assert nngrad.__version__\ntry: nngrad.Tensor\nexcept ImportError as e: print(e)"
    blocked = f"import sys; sys.modules['nngrad_ops'] = None\n{source}"
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, cwd=nngrad.__path__[0] + "/.."
    )
    assert "python -m nngrad.codegen" in done.stdout, done.stderr


@pytest.mark.parametrize("order", ["C", "F"])
def test_assigned_data_lie_as_those_before(order):
    x = Tensor(np.zeros((3, 4), order=order), requires_grad=True)
    for values in (np.arange(12.0).reshape(3, 4), np.asfortranarray(np.arange(12.0).reshape(3, 4))):
        x.data = values
        assert x.data.flags[f"{order}_CONTIGUOUS"] and x.data is not values
        np.testing.assert_array_equal(x.data, values)


@pytest.mark.parametrize(
    ("name", "told"),
    {
        "view": "write x.reshape(shape)",
        "unsqueeze": "write x.expand_dims(axis)",
        "mul": "write x * y",
        "count_nonzero": "write np.count_nonzero(...)",
        "nbytes": "write x.data.nbytes",
        "isnan": "write nngrad.isnan(...)",
        "sigmoid_": "write x[...] = x.sigmoid(...)",
        "mul_": "write x[...] = x * y",
        "cuda": "write nothing: all arrays are in main memory",
    }.items(),
)
def test_a_name_that_is_not_there_is_told_where_it_is(name, told):
    x = Tensor([1.0, 2.0])
    with pytest.raises(AttributeError) as caught:
        getattr(x, name)
    assert str(caught.value).startswith(f"a Tensor has no attribute {name!r}; {told}")
    assert not hasattr(x, name) and not hasattr(Tensor, name) and name not in dir(x)
    assert not hasattr(Tensor, "__getattr__"), "it would make all attributes slow"


@pytest.mark.parametrize(
    ("module", "name", "told"),
    [
        (nngrad, "batch_norm", "it is in nngrad.nn.functional"),
        (nngrad, "percentile", "it is NumPy's alone, write Tensor(np.percentile(...)), without gradients"),
        (nngrad, "randn", "it is NumPy's alone, write Tensor(np.random.randn(...))"),
        (nngrad, "allclose", "write np.allclose(...)"),
        (nngrad, "reshap", "did you mean reshape"),
        (nngrad.nn, "Parameter", "write Tensor(data, requires_grad=True)"),
        (nngrad.nn, "SGD", "it is in nngrad.optim"),
        (nngrad, "autograd", "write nngrad.gradients(y, xs)"),
        (nngrad, "save", "write np.savez(file, **model.state_dict())"),
        (nngrad.optim, "lr_scheduler", "write optim.StepLR, optim.CosineAnnealingLR or optim.LambdaLR"),
        (nngrad.optim, "clip_grad_norm_", "it is in nngrad.nn.utils"),
        (nngrad.nn, "init", "write layer.weight.data = "),
        (nngrad.nn, "Unflatten", "write x.reshape(shape) in forward()"),
        (nngrad.nn.functional, "adaptive_max_pool2d", "write x.max((-2, -1), keepdims=True) for a single window"),
        (nngrad.nn, "Conv3d", "layers are for signals and images, and none for volumes"),
        (nngrad.optim, "Adamax", "there are SGD, RMSprop, Adam and AdamW; another is a subclass of Optimizer"),
        (nngrad, "svd", "of linear algebra there are products and norms; np.linalg has the rest"),
        (nngrad.optim, "ExponentialLR", "write LambdaLR(optimizer, lambda epoch: gamma**epoch)"),
        (nngrad, "clone", "it is a Tensor's, write x.clone"),
    ],
)
def test_a_name_that_a_module_has_not_is_told_where_it_is(module, name, told):
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    assert str(caught.value).startswith(f"module {module.__name__!r} has no attribute {name!r}; {told}")


def test_a_name_far_from_all_others_is_likened_to_none():
    with pytest.raises(AttributeError, match=r"has no attribute 'lgamma'$"):
        nngrad.lgamma  # noqa: B018


@pytest.mark.parametrize("shuffle", ["pixel_shuffle", "pixel_unshuffle"])
def test_what_is_to_be_written_for_shuffled_pixels_is_right(shuffle):
    functional = pytest.importorskip("torch.nn.functional")
    n, c, r, h, w = 2, 3, 2, 4, 5
    shape = (n, c * r * r, h, w) if shuffle == "pixel_shuffle" else (n, c, h * r, w * r)
    x = Tensor(np.arange(float(n * c * r * r * h * w)).reshape(shape))
    y = eval(elsewhere.OF_LAYERS_AND_SCHEDULES[shuffle])
    theirs = getattr(functional, shuffle)(__import__("torch").tensor(x.numpy()), r)
    np.testing.assert_array_equal(y.numpy(), theirs.numpy())


def test_the_method_where_keeps_its_tensor_where_the_condition_holds():
    """As in PyTorch and pandas; of NumPy's arrays it is no method."""
    x = Tensor([1.0, -2.0], requires_grad=True)
    y = x.where(x > 0, 0.5)
    y.sum().backward()
    assert y.tolist() == [1.0, 0.5] and x.grad.tolist() == [1.0, 0.0]
    with pytest.raises(TypeError, match=r"must be bool, not float32; .* write nngrad\.where\(condition, a, b\)"):
        (x > 0).where(x, 0.5)


@pytest.mark.parametrize(("name", "told"), elsewhere.OF_PYTORCH.items())
def test_what_is_to_be_written_is_there(name, told):
    x = Tensor([1.0])
    assert not hasattr(x, name) or name == "add"
    for attribute in re.findall(r"\bx\.(\w+)", told):
        getattr(x, attribute)


def test_a_method_that_was_not_called_is_named():
    x = Tensor([[1.0, 2.0]])
    for call in (lambda: x @ x.T, lambda: x + x.T, lambda: Tensor(x.T)):
        with pytest.raises(TypeError, match=r"not a method; did you mean to call it, T\(\)\?"):
            call()


@pytest.mark.parametrize("decimals", [0, 1, 2, -1, -3])
def test_round_is_that_of_numpy_and_is_flat(decimals):
    array = np.array([0.5, 1.5, 2.6, -0.125, 0.005, -1250.0, np.inf, np.nan], np.float32)
    x = Tensor(array, requires_grad=True)
    for y in (np.round(x, decimals), np.around(x, decimals=decimals), x.round(decimals), nngrad.round(x, decimals)):
        np.testing.assert_array_equal(y.numpy(), np.round(array, decimals))
    y.sum().backward()
    assert not x.grad.any() and y.dtype == np.float32
    assert np.round(Tensor([3, 15], dtype=int), decimals).tolist() == np.round([3, 15], decimals).tolist()


class Square(nngrad.nn.Module):
    def __init__(self, size, *, bias=True):
        self.layer = nngrad.nn.Linear(size, size, use_bias=bias)


ROWS = Tensor([[1.0, 2.0], [3.0, 4.0]])
F = nngrad.nn.functional


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: ROWS.sum(dim=0), r"sum\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: ROWS.mean(0, keepdim=True), r"mean\(\) got an unexpected keyword argument 'keepdim'; write keepdims"),
        (lambda: ROWS.var(unbiased=True), "'unbiased'; write ddof=1 for True"),
        (lambda: nngrad.gradients(outputs=ROWS, inputs=ROWS), "'outputs'; write y"),
        (lambda: nngrad.gradients(ROWS, ROWS, grad_outputs=ROWS), "'grad_outputs'; write cotangent"),
        (lambda: nngrad.gradients(ROWS, ROWS, retain_graph=True), "'retain_graph'; leave it out, the graph is kept"),
        (lambda: ROWS.norm(p=1), r"norm\(\) got an unexpected keyword argument 'p'; write ord"),
        (lambda: ROWS.permute(dims=(1, 0)), r"permute\(\) got an unexpected keyword argument 'dims'; write axes"),
        (lambda: ROWS.argmax(dim=1), r"argmax\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: ROWS.flip(axs=0), r"flip\(\) got an unexpected keyword argument 'axs'; did you mean axis?"),
        (lambda: nngrad.max(ROWS, dim=0), r"max\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: nngrad.concat(None), r"^concat: .* must be a sequence, concat\(\[x, y\]\), not NoneType"),
        (lambda: nngrad.stack([ROWS], dim=0), r"stack\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: nngrad.topk(ROWS, 1, dim=0), r"topk\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: F.softmax(ROWS, dim=1), r"softmax\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: F.glu(ROWS, dim=1), r"glu\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: F.elu(ROWS, inplace=True), r"elu\(\) got an unexpected keyword argument 'inplace'; leave it out"),
        (lambda: F.mse_loss(ROWS, ROWS, size_average=True), "'size_average'; write reduction='mean'"),
        (
            lambda: nngrad.nn.Linear(1, 1, bias=False),
            r"Linear\(\) got an unexpected keyword argument 'bias'; write use_bias",
        ),
        (lambda: nngrad.nn.Softmax(dim=1), r"Softmax\(\) got an unexpected keyword argument 'dim'; write axis"),
        (lambda: nngrad.nn.Embedding(3, 4, sparsity=True), "'sparsity'; it takes num_embeddings, embedding_dim"),
        (lambda: nngrad.nn.Embedding(3, 4, sparse=True), "'sparse'; leave it out, gradients are dense"),
        (lambda: nngrad.nn.Conv1d(1, 1, 1, padding_mode="reflect"), "'padding_mode'; pad the input before"),
        (lambda: nngrad.tril(ROWS, diagonal=1), "'diagonal'; write k"),
        (lambda: nngrad.max(ROWS, ROWS), r"^max: .* not an array of shape \(2, 2\); .* as maximum\(x, y\)"),
        (
            lambda: Square(2, use_bias=True),
            r"Square\(\) got an unexpected keyword argument 'use_bias'; did you mean bias?",
        ),
        (lambda: nngrad.optim.SGD([ROWS], learning_rate=1), "SGD.* 'learning_rate'; write lr"),
        (
            lambda: nngrad.optim.SGD([ROWS]).zero_grad(set_to_none=True),
            r"^zero_grad\(\) .* 'set_to_none'; leave it out",
        ),
        (
            lambda: nngrad.optim.StepLR(nngrad.optim.SGD([ROWS]), 1, last_epoch=3),
            r"^StepLR\(\) .* 'last_epoch'; leave it out, load_state_dict\(\) resumes",
        ),
        (lambda: nngrad.nn.Identity().zero_grad(set_to_none=True), r"^zero_grad\(\) .* 'set_to_none'; leave it out"),
        (lambda: nngrad.nn.Identity().load_state_dict({}, strick=True), "'strick'; did you mean strict?"),
        (lambda: ROWS.backward(create_graph=True), r"^backward\(\) .* 'create_graph'; write nngrad.gradients"),
        (lambda: ROWS.backward(gradient=1), r"^backward\(\) .* 'gradient'; write grad"),
        (lambda: Tensor(1, device="cuda"), r"^Tensor\(\) .* 'device'; leave it out, all arrays are in main memory"),
        (lambda: Tensor(1, require_grad=True), r"^Tensor\(\) .* 'require_grad'; did you mean requires_grad?"),
        (lambda: F.relu(ROWS, inplace=True), r"^relu\(\) .* 'inplace'; leave it out"),
        (lambda: nngrad.exp(ROWS, out=ROWS), r"^exp\(\) .* 'out'; leave it out"),
        (lambda: F.max_pool1d(ROWS, 1, return_indices=True), "'return_indices'; leave it out"),
        (lambda: ROWS.transpose(0, 1), r"transpose: .* write swapaxes\(0, 1\) to swap them, transpose\(\(0, 1\)\) for"),
    ],
)
def test_an_argument_of_another_name_is_told_its_own(call, told):
    with pytest.raises(TypeError, match=told):
        call()


def test_other_wrong_arguments_are_pythons_to_tell():
    class Plain(nngrad.nn.Module):
        pass

    for call in (lambda: ROWS.take(), lambda: ROWS.flip(0, 1, 2), lambda: nngrad.nn.Linear(1), lambda: Plain(1)):
        with pytest.raises(TypeError, match="argument"):
            call()
    with pytest.raises(TypeError, match=r"^(?!.*keyword)"):
        ROWS.roll(None)  # raised within
    assert Square(2, bias=False).layer.bias is None and isinstance(Plain(), nngrad.nn.Module)
    assert str(inspect.signature(nngrad.sum)) == "(x, axis=None, keepdims=False)"
    assert all(pickle.loads(pickle.dumps(function)) is function for function in (nngrad.flip, nngrad.stack, F.glu))


def test_transpose_takes_an_order_as_numpy_does():
    x = Tensor(np.zeros((2, 3, 4)))
    for order in ((0, 2, 1), (-1, 0, 1)):
        assert x.transpose(*order).shape == x.transpose(order).shape == np.zeros((2, 3, 4)).transpose(order).shape
    assert x.transpose().shape == (4, 3, 2) and x[0].transpose(1, 0).shape == x[0].transpose(axes=(1, 0)).shape == (
        4,
        3,
    )
