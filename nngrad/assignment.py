"""Assignment to items, `x[i] = v`: the one op that changes a Tensor in place."""

from weakref import ref

from nngrad import graph
from nngrad.engine import OPS
from nngrad.graph import record, vertex, wrap
from nngrad.inputs import as_operand, misfit
from nngrad.memory import memory_of, note_change, refuse_outdated
from nngrad.modes import this_thread


def assign(x, index, value):
    """`x[index] = value` in place; where a gradient is involved, x gets a new history that leads to both sides."""
    op = OPS["setitem"]
    if not isinstance(value, graph.Tensor):
        value = as_operand(value, "setitem: value")
    elif value.dtype != x.dtype and value._requires_grad:
        value = value.astype(x.dtype)
    tensors = [t for t in (x, value) if isinstance(t, graph.Tensor)]
    recorded = this_thread.records and any(t._requires_grad for t in tensors)
    refuse_unassignable(x, recorded)
    if recorded:
        for tensor in tensors:
            refuse_outdated("setitem", tensor)
    array = tensors[1]._data if len(tensors) == 2 else value
    try:
        x._data[index] = array
    except (ValueError, IndexError) as error:
        raise misfit("setitem", [x._data, array], {"index": index}, error) from error
    now = note_change(x)
    if not recorded:
        return
    before = wrap(x._data, x._node)  # x as it was; whoever used x before keeps pointing to its old Node
    parents = (x._node, vertex(value) if len(tensors) == 2 else None)
    needs = tuple(parent is not None for parent in parents)
    x._node = record(x._data, op, {"index": index}, parents, needs, (x._data, array, x._data), (before, value))._node
    x._node._twin = ref(x)
    x._requires_grad = True
    x._prev = None
    if before._node is not None:
        x._node.retained, before._node.retained = before._node.retained, None
    x._node.memory = x._memory
    x._memory.rebased = x._since = now


def refuse_unassignable(x, recorded):
    """ValueError if elements of x share memory; RuntimeError, where the assignment is recorded, for a leaf."""
    if not x._data.flags.writeable:
        raise ValueError(
            f"setitem: a Tensor of shape {x.shape} made by {x.op or 'broadcasting'} is a view in which elements share "
            "memory, and can't be assigned to; assign to x.clone()"
        )
    if recorded and (memory_of(x).leaf or (x._requires_grad and x._node is None)):
        raise RuntimeError(
            f"setitem: x[i] = v on a leaf of shape {x.shape} that requires grad, or on memory shared with one, would "
            "change it under its own gradient; assign to x.clone(), or within no_grad()"
        )
