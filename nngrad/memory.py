"""Memory that Tensors share, and changes to it.

A graph saves arrays without copying them, so a change made in place after an op has saved an array must be noticed when
the array is read for a derivative. Everything that shares the memory has the same Memory object, which knows when it
was last written to. Most Tensors share nothing and are never written to: for them no Memory is made.
"""

import math

import numpy as np

from nngrad import graph
from nngrad.graph import Node, tick
from nngrad.modes import this_thread

last_change = 0  # when the newest in-place change happened; Nodes newer than this need no check


class Memory:
    """What is known about memory that several Tensors may share: a Tensor, its views, its detached twins.

    changed: when it was last written to.
    rebased: when `x[i] = v` last gave one of these Tensors a new history. Those of the others, which carry in `_since`
        the time at which they knew all about the memory, are out of date from then on.
    leaf: whether it belongs to a leaf that requires grad.
    """

    __slots__ = ("changed", "leaf", "rebased")

    def __init__(self, rebased=0):
        self.changed = 0
        self.rebased = rebased
        self.leaf = False


OUTDATED = Memory(rebased=math.inf)  # the memory of Tensors that no op shall accept


def memory_of(tensor):
    """The Memory of a Tensor, made when it is first shared or changed."""
    memory, node = tensor._memory, tensor._node
    if memory is None:
        memory = node.memory if node is not None and node.memory is not None else Memory()
        tensor._memory, tensor._since = memory, 0
        if node is not None:
            node.memory, tensor._since = memory, node.number
        elif tensor._requires_grad:
            memory.leaf = True
    return memory


def share_memory(tensor, twin):
    """Note that `twin` uses the memory of `tensor`. Made within no_grad(), it has no history to go out of date."""
    twin._memory = memory_of(tensor)
    twin._since = max(tick(), tensor._since) if this_thread.records else math.inf
    if twin._node is not None:
        twin._node.memory = twin._memory


def share_with_inputs(out, inputs):
    """Note that `out` uses the memory of those inputs of its op of which it is a view."""
    for x in inputs:
        if isinstance(x, graph.Tensor) and np.may_share_memory(out._data, x._data):
            share_memory(x, out)


def note_change(tensor):
    """Note that a Tensor's memory was just written to, and return when."""
    global last_change
    memory = tensor._memory or memory_of(tensor)
    memory.changed = last_change = tick()
    return last_change


def is_changed(memory, node):
    """Whether this memory, if anybody keeps track of it, was written to after `node` was recorded."""
    return memory is not None and memory.changed > node.number


def check_unchanged(node):
    """Raise RuntimeError if a value that the kernels of `node` read was changed since it was recorded."""
    count = len(node.parents)
    for i in range(count) if -1 in node.op.reads_values else node.op.reads_values:
        if is_changed(memory_of_value(node, i), node):
            what = f"its input {i + 1}" if i < count else "its output"
            raise RuntimeError(
                f"{node.op.name}: {what}, of shape {np.shape(node.values[i])}, was changed in place after it "
                "had been saved for backward; change a clone(), or make the change before the forward"
            )


def memory_of_value(node, i):
    """The Memory of one of the values of a Node, an input or the output; None if nobody keeps one."""
    count = len(node.parents)
    if i >= count:
        return node.memory if i == count else None
    x = node.parents[i]
    if type(x) is Node:
        return x.memory
    if x is None and node.given is not None:
        x = node.given[i]
    is_cast = isinstance(x, graph.Tensor) and x.dtype != node.values[i].dtype  # then its memory is not what was read
    return x._memory if isinstance(x, graph.Tensor) and not is_cast else None


def refuse_outdated(name, tensor):
    """Raise RuntimeError if the history of a Tensor does not tell how its memory got its present values."""
    if tensor._memory is not None and tensor._memory.rebased > tensor._since:
        raise RuntimeError(
            f"{name}: a Tensor of shape {tensor.shape} shares memory with one that was changed by x[i] = v, so "
            "that its own history is out of date; take the view again from x, or assign to x.clone()"
        )
