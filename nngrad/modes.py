"""What holds everywhere: the default dtype, whether ops are recorded, and whether it is noted who leaves the graph."""

from contextlib import ContextDecorator, contextmanager
from functools import wraps
from inspect import isgeneratorfunction

import numpy as np

from nngrad import graph

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


class GradMode(ContextDecorator):
    """Sets `Tensor.grad_is_enabled` within a `with` block or a decorated function, and puts it back in any case."""

    def __init__(self, enabled):
        self.enabled = enabled
        self.before = []  # a stack, because one object may be entered again inside itself

    def __enter__(self):
        self.before.append(graph.Tensor.grad_is_enabled)
        graph.Tensor.grad_is_enabled = self.enabled

    def __exit__(self, *exception):
        graph.Tensor.grad_is_enabled = self.before.pop()

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


readings = None  # a list while somebody wants to know which Tensors' values leave the graph


@contextmanager
def noted_readings():
    """Within the block, the Tensors whose values are read as numbers or arrays, which know nothing of a graph."""
    global readings
    outer, readings = readings, []
    try:
        yield readings
    finally:
        if outer is not None:
            outer += readings
        readings = outer


class no_grad(GradMode):
    """Record nothing: `with no_grad(): ...`, or a decorator, `@no_grad()` and `@no_grad` alike."""

    def __new__(cls, function=None):
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()
        return self(function)

    def __init__(self):
        super().__init__(enabled=False)
