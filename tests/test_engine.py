"""The graph: recording, the walk back, errors that change nothing, shared memory, in-place changes."""

import ast
import gc
import operator
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import nngrad
from nngrad import Tensor, modes, no_grad
from nngrad.engine import OPS, Op, history
from nngrad.nn import functional as F
from nngrad.nn.functional import silu

pytestmark = pytest.mark.filterwarnings("error")


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).uniform(0.5, 2, shape), dtype, requires_grad=True)


# --- gradients -------------------------------------------------------------------------------------------------------

PROGRAMS = {
    "diamond": lambda x, w: ((x * w).exp() + x * w).sum(),
    "broadcasting": lambda x, w: (x / w[0] - w[:, 1:2] * 2).sum(),
    "same tensor twice": lambda x, w: (x * x + x).sum() * w.sum(),
    "powers": lambda x, w: (x**2 + 2**w + x**w).mean(),
    "matmul": lambda x, w: (x @ w.reshape(3, 2)).tanh().sum(),
    "vectors": lambda x, w: (x[0] @ w[1]) * (x @ w[0]).sum() + (w[:, 0] @ x).sum(),
    "split used in part": lambda x, w: x.split(3, 1)[2].sum() * w.sum(),
    "repeated index": lambda x, w: (x[[0, 1, 0, 0]] * w[:1]).sum(),
    "mask": lambda x, w: (x[x > 1] ** 2).sum() + w.sum(),
    "slices": lambda x, w: (x[:, ::-1] * w[..., None, :]).sum(),
    "max": lambda x, w: x.max() * w.max(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_equal_pytorch(name):
    torch = pytest.importorskip("torch")
    x, w = leaf(2, 3), leaf(2, 3, seed=1)
    program = PROGRAMS[name]
    ours = program(x, w)
    ours.backward()
    a, b = (torch.tensor(t.data, requires_grad=True) for t in (x, w))
    if name == "slices":
        theirs = (a.flip(1) * b[..., None, :]).sum()
    elif name == "split used in part":
        theirs = a.split(1, 1)[2].sum() * b.sum()
    else:
        theirs = program(a, b)
    theirs.backward()
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-13)
    for t, expected in ((x, a), (w, b)):
        np.testing.assert_allclose(t.grad, expected.grad.numpy(), rtol=1e-10)


def test_backward_accumulates_and_reset_clears():
    x = leaf(3)
    for expected in (2, 4):
        (x * 2).sum().backward()
        np.testing.assert_array_equal(x.grad, expected)
    x.reset_grad()
    (x * 5).sum().backward()
    np.testing.assert_array_equal(x.grad, 5)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_element_needs_no_grad(shape):
    x = Tensor(np.full(shape, 3.0), requires_grad=True)
    (x * x).backward()
    assert x.grad.shape == shape and x.grad.item() == 6


def test_backward_of_a_leaf():
    x = Tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad == 1


def test_grad_argument_is_cast_and_not_kept():
    x = Tensor([1.0, 2.0], requires_grad=True)
    g = np.array([1, 2])
    (x + 0).backward(g)
    g[:] = 7
    assert x.grad.tolist() == [1, 2] and x.grad.dtype == np.float32
    x.backward(Tensor([1.0, 1.0]))
    x.backward([1, 1])
    assert x.grad.tolist() == [3, 4]


def test_mixed_dtypes_cast_the_gradient_back():
    x, w = Tensor([1.5], requires_grad=True), Tensor([2.0], np.float64, requires_grad=True)
    y = x * w
    y.backward()
    assert y.dtype == np.float64 and x.grad.dtype == np.float32 and w.grad.dtype == np.float64
    assert x.grad.item() == 2 and w.grad.item() == 1.5


def test_prev_holds_the_tensors_that_were_given():
    x, w, constant = Tensor([1.5], requires_grad=True), Tensor([2.0], np.float64, requires_grad=True), Tensor([3.0])
    assert (x * w).prev == {x, w} and (w * constant).prev == {w, constant} and (w * [1]).prev == {w}
    parts = nngrad.concat([x, w]).split(2)
    assert parts[0].prev == parts[1].prev
    assert nngrad.concat([x, w]).prev == {x, w}
    y = x * w
    assert y.prev == {x, w}
    y.backward()
    assert x.grad.item() == 2


def test_prev_shows_the_same_tensor_to_all_where_nobody_has_it_any_more():
    def pair(x):
        y = x * 2
        return y.exp(), y - 1

    x = leaf(2)
    first, second = pair(x)
    (y,) = first.prev
    assert second.prev == {y} and y.prev == {x} and y.op == "multiply" and y.data.tolist() == (2 * x.data).tolist()
    y.retain_grad()
    (first.sum() + second.sum()).backward()
    np.testing.assert_allclose(y.grad, np.exp(y.data) + 1)


def test_prev_of_an_op_whose_input_was_freed_by_another_backward():
    def rest(x):
        y = x * 2
        z = y + 1
        y.sum().backward()
        return z

    (y,) = rest(leaf(2)).prev
    assert y.shape == (2,) and y.prev == set()


def test_a_tensor_seen_in_prev_and_then_assigned_to_makes_no_cycle():
    x = leaf(2)
    h = x * 1
    y = h + 1
    assert y.prev == {h}
    h[0] = y[0]
    h.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_casting_to_integers_ends_the_graph():
    y = leaf(2).astype(np.int64)
    assert not y.requires_grad and y.grad_fn is None


def test_retain_grad():
    x = leaf(2)
    h = x * 2
    h.retain_grad()
    np.testing.assert_array_equal(h.grad, 0)
    (h * h).sum().backward()
    np.testing.assert_allclose(h.grad, 2 * h.data)
    np.testing.assert_allclose(x.grad, 4 * h.data)
    assert not np.shares_memory(h.grad, x.grad)
    with pytest.raises(RuntimeError, match="requires_grad"):
        Tensor(1.0).retain_grad()


def test_conditions_carry_no_gradient():
    c, x, w = Tensor([1.0, 0.0], requires_grad=True), leaf(2), leaf(2)
    nngrad.where(c > 0.5, x, w).sum().backward()
    assert x.grad.tolist() == [1, 0] and w.grad.tolist() == [0, 1] and c.grad.tolist() == [0, 0]


# --- errors, none of which changes anything --------------------------------------------------------------------------


def used_graph():
    x = leaf(2)
    y = (x * x).sum()
    y.backward()
    return x, y


def cyclic(forge):
    x = leaf(2)
    b = x * 2
    c = b * 3
    forge(x, b, c)
    return x, c.sum()


@pytest.mark.parametrize(
    ("make", "grad", "message"),
    [
        (lambda: (Tensor(1.0), Tensor(1.0) * 2), None, "no graph.*requires_grad=True.*`x.data -= step`"),
        (lambda: (x := leaf(2), x * 2), None, r"\(2,\).*sum\(\)"),
        (lambda: (x := leaf(2), x * 2), np.ones(3), r"\(3,\).*\(2,\)"),
        (used_graph, None, "second time.*retain_graph=True"),
        (lambda: cyclic(lambda x, b, c: b.prev.add(c)), None, "cycle"),
        (lambda: cyclic(lambda x, b, c: setattr(x, "prev", {c})), None, "cycle"),
        (lambda: cyclic(lambda x, b, c: b.prev.add(b)), None, "cycle"),
        (lambda: cyclic(lambda x, b, c: x.prev.add(x)), None, "cycle"),
    ],
)
def test_backward_refuses(make, grad, message):
    x, y = make()
    before = None if x.grad is None else x.grad.copy()
    with pytest.raises(RuntimeError, match=message):
        y.backward(grad)
    np.testing.assert_array_equal(x.grad, before)


def test_looking_at_prev_harms_nothing():
    x = leaf(2)
    y = x * x
    z = y.sum()
    assert z.prev == {y} and y.prev == {x} and x.prev == set()
    z.backward()
    np.testing.assert_allclose(x.grad, 2 * x.data)
    assert z.prev == {y}


def test_a_kernel_that_fails_leaves_every_grad_alone():
    a, b = Tensor([0.0], np.float64, requires_grad=True), leaf(1)
    y = (b * 2).sum() + (a.sqrt() * 3).sum()
    with pytest.raises((RuntimeWarning, FloatingPointError)), np.errstate(divide="raise"):
        y.backward()
    assert a.grad.tolist() == [0] and b.grad.tolist() == [0]


def test_retained_graph_can_be_walked_again():
    x = leaf(2)
    y = (x * x).exp().sum()
    y.backward(retain_graph=True)
    first = x.grad.copy()
    y.backward()
    np.testing.assert_allclose(x.grad, 2 * first)
    assert repr(y.grad_fn) == "<SumBackward freed>" and y.prev == set()


def test_backward_frees_what_was_saved():
    x = leaf(2)
    h = x.exp()
    node = h.grad_fn
    (h * h).sum().backward()
    assert node.values is None and node.parents == ()


# --- long and wide graphs --------------------------------------------------------------------------------------------


def chain(length):
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(length):
        y = -y
    return x, y


def test_a_chain_of_a_million_nodes():
    gc.disable()  # it would look through all of them again and again
    try:
        x, y = chain(1_000_000)
        y.backward()
        assert x.grad == 1
    finally:
        gc.enable()


def test_a_long_chain_is_dropped_without_recursion():
    def work():
        _, y = chain(300_000)
        del y
        gc.collect()

    threading.stack_size(1024 * 1024)  # a small C stack, so that recursion would show
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(0)


def test_each_node_is_walked_once():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y  # 2**60 paths
    assert len(history(y.grad_fn)) == 60
    y.backward()
    assert x.grad == 2.0**60


def test_graphs_are_freed_without_the_garbage_collector():
    gc.disable()
    try:
        x = leaf(2)
        h = x * 2
        watch = weakref.ref(h)
        y = h.exp().sum()
        del h, y
        assert watch() is None
    finally:
        gc.enable()


# --- memory is never shared behind one's back ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [lambda a, b: a + b, lambda a, b: a + b.reshape(2, 1).T()[0], lambda a, b: (a + b) + (b - a), lambda a, b: a],
)
def test_gradients_share_memory_with_nothing(program):
    a, b = leaf(2), leaf(2)
    g = np.ones(2)
    program(a, b).backward(g)
    arrays = [a.grad, b.grad, a.data, b.data, g]
    for i, first in enumerate(arrays):
        assert first.flags.writeable
        for second in arrays[:i]:
            assert not np.shares_memory(first, second)


def test_the_gradient_of_a_number_in_a_border_is_an_array():
    x = leaf()
    nngrad.pad(x, 0).backward()
    assert type(x.grad) is np.ndarray


def test_old_gradients_in_hand_stay_as_they_are():
    x = leaf(2)
    (x * 2).sum().backward()
    old = x.grad
    (x * 2).sum().backward()
    assert old.tolist() == [2, 2] and x.grad.tolist() == [4, 4]


def test_array_operands_are_copied():
    x, array = leaf(2), np.ones(2)
    y = x * array
    array[:] = 5
    y.backward([1, 1])
    assert x.grad.tolist() == [1, 1]


def test_index_arrays_are_copied():
    x, index = leaf(3), np.array([0, 1])
    y = x[index]
    index[:] = 2
    y.backward([1, 1])
    assert x.grad.tolist() == [1, 1, 0]


# --- in-place changes ------------------------------------------------------------------------------------------------


def set_item(t):
    with no_grad():
        t[0] = 9.0


def set_data(t):
    t.data = t.data * 2


def change_data(t):
    t.data += 1


@pytest.mark.parametrize("change", [set_item, set_data, change_data])
@pytest.mark.parametrize(
    ("program", "what"),
    [
        (lambda x, h: (h * x, h), "multiply: its input 1"),
        (lambda x, h: (h.exp() + x, h), None),
        (lambda x, h: ((e := h.exp()) + x, e), "exp: its output"),
        (lambda x, h: (h * x, h[:1]), "multiply: its input 1"),
        (lambda x, h: (h[:1] * x, h), "multiply: its input 1"),
        (lambda x, h: (h * x, h.detach()), "multiply: its input 1"),
        (lambda x, h: (h * x, h.reshape(1, 2)[0].T()), "multiply: its input 1"),
        (lambda x, h: (h + x, h), None),
        (lambda x, h: (x * h, x), "multiply: its input 1"),
    ],
)
def test_changes_to_saved_values_are_caught(program, what, change):
    x = leaf(2)
    y, changed = program(x, x + 1)
    change(changed)
    if what is None:
        y.backward(np.ones(2))
        return
    with pytest.raises(RuntimeError, match=f"{what}, of shape.*changed in place"):
        y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, 0)


def test_changes_before_the_forward_or_after_backward_are_fine():
    x = leaf(2)
    for _ in range(3):
        x.reset_grad()
        (x * x).sum().backward()
        np.testing.assert_allclose(x.grad, 2 * x.data)
        x.data -= 0.1 * x.grad


ASSIGNMENTS = {
    "number": lambda x, v: (x, 0, 5.0),
    "row": lambda x, v: (x, 1, v[0]),
    "broadcast": lambda x, v: (x, (slice(None), slice(1, 3)), v[:, :1]),
    "all": lambda x, v: (x, ..., v),
    "mask": lambda x, v: (x, np.array([[True, False, True], [False, False, True]]), v[0]),
    "lists": lambda x, v: (x, ([0, 1], [2, 2]), v[0, :2]),
}


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_item_assignment_equals_pytorch(name):
    torch = pytest.importorskip("torch")

    def program(x, v):
        h = x * 2
        before = (h + 1).sum()
        target, index, value = ASSIGNMENTS[name](h, v)
        target[index] = value * 3 if not isinstance(value, float) else value
        return (h * h * v).sum() + before

    x, v = leaf(2, 3), leaf(2, 3, seed=1)
    program(x, v).backward()
    a, b = (torch.tensor(t.data, requires_grad=True) for t in (x, v))
    program(a, b).backward()
    np.testing.assert_allclose(x.grad, a.grad.numpy())
    np.testing.assert_allclose(v.grad, b.grad.numpy())


def test_filling_a_buffer():
    w = leaf(3)
    out = Tensor(np.zeros(3), np.float64)
    memory = out.data
    for i in range(3):
        out[i] = out[i - 1] + w[i]
    assert out.data is memory and out.op == "setitem"
    out.sum().backward()
    assert w.grad.tolist() == [3, 2, 1]


def test_the_last_of_repeated_indices_wins():
    x, v = leaf(2) * 1, leaf(3)
    x[[0, 0, 0]] = v
    assert x.data[0] == v.data[2]
    x.sum().backward()
    assert v.grad.tolist() == [0, 0, 1]


def test_assigned_values_are_cast():
    x, v = Tensor([1.0, 2.0]) * 1, Tensor([3.0], np.float64, requires_grad=True)
    x[:1] = v
    assert x.dtype == np.float32
    (x * x).sum().backward()
    assert v.grad.dtype == np.float64 and v.grad.tolist() == [6]


@pytest.mark.parametrize("view", [lambda w: w, lambda w: w[0], lambda w: w.reshape(-1), lambda w: w.T()])
def test_leaves_and_their_views_refuse_assignment(view):
    w = leaf(2, 2)
    part = view(w)
    with pytest.raises(RuntimeError, match=r"leaf.*clone\(\).*no_grad"):
        part[0] = 1.0
    assert 1.0 not in w
    with no_grad():
        part[0] = 1.0
    assert 1.0 in w


def test_a_view_made_before_an_assignment_is_out_of_date():
    x, v = leaf(2, 2), leaf(2)
    h = x * 2
    row = h[0]
    h[0] = v
    for use in (lambda: row * 2, lambda: row.backward(np.ones(2))):
        with pytest.raises(RuntimeError, match=r"out of date.*clone\(\)"):
            use()
    (h[0] * 2).sum().backward()
    assert v.grad.tolist() == [2, 2] and not x.grad.any()


def test_assigning_to_a_view_leaves_its_base_out_of_date():
    buffer, v = Tensor(np.zeros((2, 2)), np.float64), leaf(2)
    row = buffer[0]
    row[:] = v
    assert buffer.data[0].tolist() == v.tolist()
    with pytest.raises(RuntimeError, match="out of date"):
        buffer * 2
    (row * 3).sum().backward()
    assert v.grad.tolist() == [3, 3]
    with no_grad():
        assert (buffer * 2).data[0].tolist() == (v.data * 2).tolist()


def test_views_of_what_was_assigned_to_have_second_derivatives():
    h, v = leaf(2) * 1, leaf(2)
    h[:] = v * 2
    y = (h.reshape(2, 1).exp() * h.reshape(1, 2)).sum()
    (g,) = nngrad.gradients(y, (v,), create_graph=True)
    nngrad.check_grads(lambda v: nngrad.exp((v * 2).reshape(2, 1)) * (v * 2), (v,))
    (second,) = nngrad.gradients(g, (v,), np.ones(2))
    expected = nngrad.hvp(lambda v: ((v * 2).reshape(2, 1).exp() * (v * 2)).sum(), v, np.ones(2))
    np.testing.assert_allclose(second.data, expected.data)


def test_read_only_views_refuse_assignment():
    y = Tensor([1.0, 2.0]).broadcast((3, 2))
    with pytest.raises(ValueError, match=r"clone\(\)"):
        y[0] = 0


def test_detached_twins_may_be_used_after_an_assignment():
    h, v = leaf(2) * 2, leaf(2)
    values = h.detach()
    h[:] = v
    assert (values * 2).tolist() == (v.data * 2).tolist()


def test_earlier_users_keep_the_old_history():
    x, v = leaf(2), leaf(2)
    h = x * 2
    y = h + 1
    h[0] = v[0]
    y.sum().backward()
    assert x.grad.tolist() == [2, 2] and v.grad.tolist() == [0, 0]


# --- recording -------------------------------------------------------------------------------------------------------


def test_no_grad_in_all_its_forms():
    x = leaf(2)

    @no_grad()
    def with_brackets():
        return x * 2

    @no_grad
    def without():
        """doc"""
        return with_brackets() + x

    assert not with_brackets().requires_grad and not without().requires_grad and without.__doc__ == "doc"
    block = no_grad()
    with block, block:
        assert not Tensor.grad_is_enabled
    assert Tensor.grad_is_enabled and (x * 2).requires_grad
    with pytest.raises(KeyError), no_grad(), no_grad():
        raise KeyError
    assert Tensor.grad_is_enabled
    Tensor.grad_is_enabled = False
    try:
        assert not (x * 2).requires_grad
        with no_grad():
            pass
        assert not Tensor.grad_is_enabled
    finally:
        Tensor.grad_is_enabled = True


def test_the_switch_is_seen_on_tensors_and_can_be_patched(monkeypatch):
    x = leaf(2)
    with monkeypatch.context() as patch:
        patch.setattr(Tensor, "grad_is_enabled", False)
        assert not x.grad_is_enabled and not (x * 2).requires_grad
    assert Tensor.grad_is_enabled and x.grad_is_enabled and (x * 2).requires_grad


def test_no_grad_and_its_switch_hold_in_their_own_thread():
    """The blocks of two threads, and of one object in both, overlap: neither ends the other's, nor outlives it."""
    x, block, seen = leaf(2), no_grad(), {}
    entered, left = threading.Event(), threading.Event()

    def work():
        seen["begins"] = (x * 2).requires_grad
        with block:
            entered.set()
            left.wait(10)
            seen["inside"] = (x * 2).requires_grad or Tensor.grad_is_enabled
        seen["after"] = (x * 2).requires_grad
        Tensor.grad_is_enabled = False

    thread = threading.Thread(target=work)
    with block:
        thread.start()
        assert entered.wait(10) and not (x * 2).requires_grad
    assert Tensor.grad_is_enabled and (x * 2).requires_grad
    left.set()
    thread.join(10)
    assert seen == {"begins": True, "inside": False, "after": True}
    assert Tensor.grad_is_enabled and (x * 2).requires_grad


def test_values_read_in_another_thread_are_not_noted():
    noted, start, read = [], threading.Event(), threading.Event()

    def work():
        with modes.noted_readings() as readings:
            start.set()
            read.wait(10)
            noted.extend(readings)

    thread = threading.Thread(target=work)
    thread.start()
    assert start.wait(10)
    leaf(1).item()
    read.set()
    thread.join(10)
    assert noted == [] and modes.this_thread.readings is None


def test_no_grad_of_a_generator():
    """Between two yields nothing is recorded; what the caller computes meanwhile is."""
    x = leaf(2)

    @no_grad()
    def generate():
        """doc"""
        sent = yield x * 2
        yield sent * 2
        return "end"

    def outer():
        ends.append((yield from generate()))

    ends, steps = [], outer()
    assert not next(steps).requires_grad and (x * 2).requires_grad and generate.__doc__ == "doc"
    assert not steps.send(x).requires_grad and Tensor.grad_is_enabled
    assert list(steps) == [] and ends == ["end"] and Tensor.grad_is_enabled


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.mean(),
        lambda x: x.std(),
        lambda x: F.mse_loss(x, np.float16(2) * np.ones(x.shape, np.float16)),
        lambda x: F.cross_entropy(x.reshape(-1, 2), np.zeros(x.size // 2, int)) / 4,
        lambda x: F.layer_norm(x, x.shape)[:3].sum(),
        lambda x: F.batch_norm(x[:, None], None, None, training=True)[:3].sum(),
    ],
)
def test_many_elements_of_float16(f):
    """There are more of them than float16 can count."""
    values = np.random.default_rng(0).normal(size=70000).astype(np.float16)
    found = []
    for dtype in (np.float16, np.float32):
        x = Tensor(values, dtype=dtype, requires_grad=True)
        y = f(x)
        (y * 64).backward()
        assert y.dtype == x.grad.dtype == dtype
        found.append((y.item(), x.grad))
    np.testing.assert_allclose(*(value for value, _ in found), rtol=2e-3)
    np.testing.assert_allclose(*(grad for _, grad in found), rtol=2e-3, atol=1e-6)


def test_several_outputs():
    x = leaf(6)
    parts = x.split(3)
    assert [p.op for p in parts] == ["split"] * 3 and parts[0].prev == {x}
    assert repr(parts[0].grad_fn) == "<SplitBackward shape=(2,)>"
    (parts[0] * parts[0] + parts[2]).sum().backward()
    np.testing.assert_allclose(x.grad, [*(2 * x.data[:2]), 0, 0, 1, 1])


ROOMS = (
    "graph", "modes", "memory", "inputs", "engine", "recurrence", "assignment", "backward", "drawing", "op_function",
    "arguments", "functions", "structure", "elsewhere", "tensor", "differentiable", "autodiff",
)  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_earlier_rooms(room):
    tree = ast.parse(Path(nngrad.__file__).with_name(f"{room}.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    used = {node.module.removeprefix("nngrad.") for node in imports if node.module.startswith("nngrad.")}
    used.update(alias.name for node in imports if node.module == "nngrad" for alias in node.names)
    assert used <= set(ROOMS[: ROOMS.index(room)])
    subprocess.run([sys.executable, "-c", f"import nngrad.{room}"], check=True)


def test_functions_work_before_anything_else_is_imported():
    source = "from nngrad.functions import OPS, function; print(function(OPS['exp'])(0.0).item())"
    assert subprocess.run([sys.executable, "-c", source], check=True, capture_output=True).stdout.strip() == b"1.0"


def test_an_op_finds_its_functions_when_one_is_asked_for():
    op = Op("exp", "op", "elementwise", ("x",), "mathematics", residuals=(1,))
    op.look_up_in("nngrad_ops")
    with pytest.raises(AttributeError, match="no attribute 'inverse'"):
        op.inverse()
    assert type(op) is not Op
    assert op.vjp is OPS["exp"].vjp
    assert (op.kernel, op.forward, op.jvp) == (OPS["exp"].kernel, OPS["exp"].forward, OPS["exp"].jvp)
    assert op.pullback(nngrad, 2.0, (None,), 3.0, (True,)) == (6.0,)
    assert type(op) is Op and not hasattr(Op, "__getattr__"), "it would make every attribute slow"


def test_integer_results_are_not_recorded():
    x = Tensor([1, 2], np.int64)
    assert (x + x).grad_fn is None


@pytest.mark.parametrize("size", [1 << 12, 1 << 19])
def test_a_gradient_may_take_the_place_of_a_slope_and_of_nothing_else(size):
    x = leaf(size)
    y = silu(x)
    slope, data, value, g = y.grad_fn.values[2], x.data.copy(), y.data.copy(), np.full(x.shape, 0.5, x.dtype)
    y.backward(g, retain_graph=True)
    assert not np.shares_memory(x.grad, slope)
    first = x.grad
    x.reset_grad()
    y.backward(g)
    assert x.grad is slope, "the memory was there already"
    np.testing.assert_array_equal(x.grad, first)
    np.testing.assert_array_equal(x.data, data)
    np.testing.assert_array_equal(y.data, value)
    assert np.all(g == 0.5)


def test_a_gradient_may_take_the_place_of_what_is_kept_for_it_alone():
    x = Tensor(np.random.default_rng(1).normal(size=(2500, 400)).astype(np.float32), requires_grad=True)
    y = nngrad.logsumexp(x, axis=-1)
    kept, data, g = y.grad_fn.values[OPS["logsumexp"].spends], x.data.copy(), np.full(2500, 0.5, np.float32)
    y.backward(g, retain_graph=True)
    assert not np.shares_memory(x.grad, kept)
    first = x.grad
    x.reset_grad()
    y.backward(g)
    assert x.grad is kept
    np.testing.assert_array_equal(x.grad, first)
    np.testing.assert_array_equal(x.data, data)


def forward_and_vjp(op, x, rng):
    """[x, y, *saved] of an op with one input, a cotangent of y, and vjp(g, **out) for it."""
    params = {name: 0.5 if value is ... else value for name, value in op.params.items()}
    result = op.forward(x, **params)
    values = [x, *(result if op.saves else (result,))]
    g = rng.normal(size=values[1].shape).astype(x.dtype)
    return values, g, lambda g, **out: op.vjp(g, *op.residuals_of(values), **params, **out)


@pytest.mark.parametrize("size", [7, 5000])
@pytest.mark.parametrize("op", [op for op in OPS.values() if op.spends_g], ids=lambda op: op.name)
def test_a_kernel_may_put_a_cotangent_over_the_one_it_is_given(op, size):
    rng = np.random.default_rng(3)
    x = rng.uniform(0.1, 2, size).astype(np.float32)
    x[::2] *= 1 if op.name.startswith(("log", "sqrt")) else -1
    _, g, vjp = forward_and_vjp(op, x, rng)
    expected = vjp(g)
    assert vjp(g, out=g) is g
    np.testing.assert_array_equal(g, expected)


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.makes_array], ids=lambda op: op.name)
def test_the_only_cotangent_is_a_new_array_or_the_one_given(op):
    x = np.linspace(0.25, 0.75, 12, dtype=np.float32).reshape(3, 4) + (op.name == "arccosh")
    values, g, vjp = forward_and_vjp(op, x, np.random.default_rng(3))
    dx = vjp(g)
    assert dx is g or not any(np.may_share_memory(dx, array) for array in [g, *values])


@pytest.mark.parametrize(
    "program",
    [
        lambda x: F.relu(x * 2),
        lambda x: F.relu(F.relu(x * 2).reshape((4, 3)).T() + 1),
        lambda x: F.relu(nngrad.broadcast(F.relu((x * 2)[:1]), (3, 4))),
        lambda x: nngrad.exp(F.relu(x * 2).clip()),
        lambda x: (lambda y: F.relu(y) + nngrad.exp(y) + y)(F.relu(nngrad.exp(x))),
        lambda x: (lambda y: nngrad.concat([F.relu(y), F.relu(y.reshape((12,))).reshape((3, 4))], axis=0))(x * 2),
        lambda x: nngrad.concat([F.relu(part) for part in nngrad.split(nngrad.exp(x), 2, axis=1)], axis=1),
        lambda x: F.relu(nngrad.max(nngrad.exp(x), axis=1).reshape((3, 1)) * x),
        lambda x: F.max_pool2d(F.relu(x.reshape((1, 1, 3, 4)) * 2), 2),
    ],
)
def test_cotangents_that_others_have_are_not_overwritten(program):
    """Gradients with a graph of their own, which are compared with, are never put over each other."""
    x = leaf(3, 4, seed=5)
    middle = x + 0
    middle.retain_grad()
    y = program(middle)
    g = np.random.default_rng(6).normal(size=y.shape)
    given, value = g.copy(), y.data.copy()
    (expected,) = nngrad.gradients(y, [x], g, create_graph=True)
    y.backward(g)
    np.testing.assert_array_equal(x.grad, expected.data)
    np.testing.assert_array_equal(middle.grad, expected.data)
    np.testing.assert_array_equal(g, given)
    np.testing.assert_array_equal(y.data, value)


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.ufunc is not None], ids=lambda op: op.name)
def test_an_op_that_is_one_ufunc_is_that_ufunc(op):
    arrays = [np.linspace(0.25, 0.75, 4, dtype=np.float32)] * len(op.inputs)
    if op.name == "arccosh":
        arrays = [array + 1 for array in arrays]
    np.testing.assert_array_equal(op.ufunc(*arrays), op.kernel(*arrays))


@pytest.mark.parametrize("combine", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_operators_give_arrays_for_numbers_too(combine):
    x = Tensor(3.0, requires_grad=True)
    for y in (combine(x, x), combine(x, 2), combine(2, x)):
        assert type(y.data) is np.ndarray and y.shape == () and y.dtype == np.float32
