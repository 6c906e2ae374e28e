"""One Node's derivative made of ops on Tensors, so that it can be differentiated again.

`pull_tensors` and `push_tensors` take the place of the engine's `pull_arrays` and `push_arrays`.
"""

import numpy as np

from nngrad.engine import has_empty_rows, push_arrays
from nngrad.functions import ops
from nngrad.graph import output_of, tensor_at, vertex, wrap
from nngrad.memory import OUTDATED, is_changed, memory_of, share_memory
from nngrad.tensor import Tensor


def pull_tensors(node, g, needs, retain_graph=True, is_own=False):
    """From the cotangent of a Node's output those of its inputs; `needs`: which of them are wanted.

    Whatever the two other arguments allow to overwrite, stays: it belongs to the graph that is made.
    """
    inputs, y = values_in_graph(node)
    if has_empty_rows(node):
        return [ops.where(np.False_, x, 0) if needed else None for x, needed in zip(inputs, needs, strict=True)]
    if node.op.many:
        g = tuple(g[i] if i in g else wrap(np.zeros_like(y)) for i, y in enumerate(node.output))
    found = node.op.pullback(ops, g, inputs, y, needs=needs, **node.params)
    for dx, x in zip(found, inputs, strict=True):
        if dx is not None and dx._data.dtype is not x._data.dtype:  # numbers that the rule chooses may be wider
            return [dx if dx is None else dx.astype(x.dtype) for dx, x in zip(found, inputs, strict=True)]
    return found


def push_tensors(node, tangents):
    """From the tangents of a Node's inputs, None where there is none, that of its output."""
    if has_empty_rows(node):
        return wrap(push_arrays(node, tangents))
    inputs, y = values_in_graph(node)
    dy = node.op.pushforward(ops, tuple(tangents), inputs, y, **node.params)
    return dy if node.op.many or dy.dtype == y.dtype else dy.astype(y.dtype)


def values_in_graph(node):
    """Inputs and output of a Node as Tensors that stand where they stood in the graph when it was recorded.

    A value that was changed since is none that the kernels read, so its shape alone should matter here too; should it
    not, the op that reads the Tensor refuses it as outdated.
    """
    inputs = []
    for parent, x, array in node.inputs:
        if parent is not None:
            x = tensor_at(parent, array)
        elif not isinstance(x, Tensor) or x.dtype != array.dtype:  # cast, it has memory of its own
            x = array
        if isinstance(x, Tensor) and (vertex(x) is not parent or is_changed(x._memory, node)):
            twin = wrap(x._data, parent)
            if is_changed(x._memory, node):
                twin._memory, twin._since = OUTDATED, 0
            else:
                share_memory(x, twin)
            x = twin
        inputs.append(x if x is None or isinstance(x, Tensor) else wrap(x))
    if node.op.many:
        return tuple(inputs), tuple(output_of(node, i) for i in range(len(node.output)))
    y = wrap(node.output, node)
    memory_of(y)
    if is_changed(node.memory, node):
        y._memory = OUTDATED
    return tuple(inputs), y
