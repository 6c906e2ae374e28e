"""The default dtype; and in each thread whether ops are recorded, and whether it is noted who leaves the graph."""

from contextlib import ContextDecorator, contextmanager
from functools import wraps
from inspect import isgeneratorfunction
from threading import get_ident, local

import numpy as np

default_dtype = np.dtype(np.float32)


def get_default_dtype():
    """The dtype that data take when no other is asked for: float32 unless changed."""
    return default_dtype


def set_default_dtype(dtype):
    """Set the dtype that data take when no other is asked for; TypeError unless it is a floating dtype."""
    global default_dtype
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"the default dtype must be a floating one, got {dtype}; use np.float32 or np.float64")
    default_dtype = dtype


class ThisThread(local):
    """What holds in one thread, whatever others do.

    records: whether ops are recorded; `Tensor.grad_is_enabled` is this.
    before: what `records` was outside the blocks that it is in, the outermost first.
    readings: a list while somebody wants to know which Tensors' values leave the graph.
    """

    def __init__(self):
        self.records = True
        self.before = []
        self.readings = None


this_thread = ThisThread()
silent = set()  # the threads that record nothing; while there are none, nobody need ask `this_thread`


def set_recording(enabled):
    """Say whether ops are recorded in this thread."""
    this_thread.records = bool(enabled)
    if enabled:
        silent.discard(get_ident())
    else:
        silent.add(get_ident())


class GradMode(ContextDecorator):
    """Sets `Tensor.grad_is_enabled` within a `with` block or a decorated function, and puts it back in any case."""

    def __init__(self, enabled):
        self.enabled = enabled

    def __enter__(self):
        this_thread.before.append(this_thread.records)
        set_recording(self.enabled)

    def __exit__(self, *exception):
        set_recording(this_thread.before.pop())

    def __call__(self, function):
        if not isgeneratorfunction(function):
            return super().__call__(function)

        @wraps(function)
        def generate(*args, **kwargs):
            """What runs between two `yield`s is within the block; what the caller does meanwhile is not."""
            steps = function(*args, **kwargs)
            try:
                with self:
                    item = next(steps)
                while True:
                    sent = yield item
                    with self:
                        item = steps.send(sent)
            except StopIteration as end:
                return end.value

        return generate


@contextmanager
def noted_readings():
    """Within the block, the Tensors whose values are read as numbers or arrays, which know nothing of a graph."""
    outer, this_thread.readings = this_thread.readings, []
    try:
        yield this_thread.readings
    finally:
        if outer is not None:
            outer += this_thread.readings
        this_thread.readings = outer


class no_grad(GradMode):
    """Record nothing in this thread: `with no_grad(): ...`, or a decorator, `@no_grad()` and `@no_grad` alike."""

    def __new__(cls, function=None):
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()
        return self(function)

    def __init__(self):
        super().__init__(enabled=False)
