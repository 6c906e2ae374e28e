"""Cost grows with the size of graph and arrays and no faster, and no result depends on the number of threads.

Nothing is timed here: calls and bytes are counted, the same on every machine. `benchmarks/scaling.py` has the times.
"""

import gc
import hashlib
import statistics
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from nngrad_ops import OPS, tiles

import nngrad
from nngrad import Tensor
from nngrad.functions import function

SMALL, LARGE = 1 << 18, 24 << 18  # float32 of 1 and 24 MiB
MIB = 1 << 20


def leaf(array):
    return Tensor(array, requires_grad=True)


# --- graphs ----------------------------------------------------------------------------------------------------------


def chain(x, length):
    y = x
    for _ in range(length):
        y = y * 0.999 + 0.001
    return y


def fan(x, width):
    """x used many times, so that as many cotangents come together."""
    total = x * 0.5
    for i in range(width):
        total = total + x * (0.1 * i)
    return total


def braid(x, length):
    """Two paths from each value to the next but one."""
    before, y = x, x * 0.5
    for _ in range(length):
        before, y = y, (y * before + x) * 0.5
    return y


def calls(work):
    """How many functions are called while work() runs, of Python's and of C's."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # others have it call them
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.parametrize("graph", [chain, fan, braid])
def test_calls_grow_linearly_with_the_graph(graph):
    def work(size):
        x = leaf([0.3])
        graph(x, size).backward()
        assert np.isfinite(x.grad).all() and x.grad[0] != 0

    work(2)  # names are looked up once
    one, two, three = (calls(lambda n=n: work(n)) for n in (100, 200, 300))
    assert three - two == two - one > 0


@pytest.mark.parametrize(
    "step", [lambda y: y + 1, lambda y: y.tanh(), lambda y: nngrad.maximum(y, 0.5), lambda y: y.mean(keepdims=True)]
)
def test_the_garbage_collector_has_two_objects_to_look_through_for_each_op(step):
    def objects(length):
        y = leaf([0.3])
        for _ in range(length):
            y = step(y)
        gc.collect()
        return len(gc.get_objects())

    objects(1)  # functions are looked up once
    found = [objects(300) - objects(100) for _ in range(3)]
    assert statistics.median(found) == 2 * 200  # other threads may have made some in between, once


def rise(work):
    """What work() holds at most beyond what there was before it, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_cotangents_take_no_more_memory_than_few():
    def peak(width):
        y = fan(leaf(np.ones(SMALL, np.float32)), width)
        g = np.ones(SMALL, np.float32)
        return rise(lambda: y.backward(g))

    few, many = peak(3), peak(30)
    assert SMALL * 4 <= few < 5 * MIB
    assert many < few + MIB / 2


def test_residuals_are_freed_as_backward_consumes_them():
    tracemalloc.start()
    try:
        x = leaf(np.zeros(LARGE, np.float32))
        y = x[:SMALL]  # its derivative is as large as x, and comes last: when all others have been freed
        for _ in range(24):
            y = y.exp()
            y = y * 0.1
        before, _ = tracemalloc.get_traced_memory()
        g = np.ones(SMALL, np.float32)
        tracemalloc.reset_peak()
        y.backward(g)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert x.grad.nbytes == 24 * MIB
    assert before > 48 * MIB  # x, and what the chain saved
    assert peak < before + 6 * MIB


# --- threads ---------------------------------------------------------------------------------------------------------

KINDS = {"elementwise", "reduction"}  # the others compute nothing, or by BLAS, which has threads of its own
COMPUTING = [pytest.param(op, id=op.name) for op in OPS.values() if op.family in KINDS]


def large_inputs(op):
    """Arrays that more than one thread takes part in, of numbers at which every op has a value and a slope."""
    random = np.random.default_rng(0)
    costs = [cost for cost in (op.cost, op.vjp_cost) if cost]
    worth_tiles = max(2 * tiles.TILE, int(tiles.WORTH_TILES / min(costs, default=1))) + 17
    shape = (worth_tiles,) if costs and not op.axis else (4099, 256)
    inputs = []
    for differentiable in op.differentiable:
        if differentiable:
            inputs.append(leaf(random.uniform(0.1, 0.9, shape).astype(np.float32)))
        elif op.family == "reduction":  # labels
            inputs.append(random.integers(0, shape[-1], shape[:-1]))
        else:  # conditions
            inputs.append(random.random(shape) < 0.5)
    return inputs


@pytest.fixture
def set_threads():
    before = nngrad.get_num_threads()
    yield nngrad.set_num_threads
    nngrad.set_num_threads(before)


@pytest.mark.parametrize("op", COMPUTING)
def test_one_thread_gives_the_bits_of_two(op, set_threads, monkeypatch):
    params = {name: 0.4 for name, default in op.params.items() if default is ...}
    if "reduction" in op.params:
        params["reduction"] = "none"
    params |= {op.axis: -1} if op.axis else {}
    inputs, shares = large_inputs(op), []
    run = tiles.threads.run
    monkeypatch.setattr(tiles.threads, "run", lambda work, tiles: (shares.append(len(tiles)), run(work, tiles)))

    def bits(count):
        set_threads(count)
        for x in inputs:
            if isinstance(x, Tensor):
                x.reset_grad()
        with np.errstate(invalid="ignore", divide="ignore"):  # some have no value there
            y = function(op)(*inputs, **params)
            if y.requires_grad:
                y.backward(np.linspace(0.5, 1.5, y.size, dtype=y.dtype).reshape(y.shape))
        results = [y.numpy(), *(x.grad for x in inputs if isinstance(x, Tensor))]
        return [hashlib.sha256(result.tobytes()).hexdigest() for result in results]

    assert bits(1) == bits(2)
    if op.cost:
        assert shares and min(shares) > 1


def test_one_of_two_cores_is_left_to_a_thread_of_blas_that_spins(set_threads, monkeypatch):
    seen, now = [], [0.0]
    monkeypatch.setattr(tiles.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(tiles.threads, "blas_spins_until", 0.0)
    both = threading.Barrier(2)

    def at_work(count, meets):
        """The threads that work on two tiles; each waits for the other if they are to meet."""
        set_threads(count)
        seen.clear()
        tiles.threads.run(lambda _: (seen.append(threading.get_ident()), meets and both.wait(10)), range(2))
        return len(set(seen))

    small, large = (Tensor(np.ones((n, n))) for n in (64, 128))
    assert nngrad.matmul(small, small).shape == (64, 64)
    assert at_work(2, meets=True) == 2
    nngrad.matmul(large, large)
    assert at_work(2, meets=False) == 1
    assert at_work(3, meets=True) == 2
    now[0] += tiles.BLAS_SPINS
    assert at_work(2, meets=True) == 2
