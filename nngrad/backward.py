"""The gradients of leaves: what `Tensor.backward` does around the walk back."""

import numpy as np

from nngrad import graph
from nngrad.engine import pull_back
from nngrad.graph import Node, vertex
from nngrad.inputs import as_array
from nngrad.memory import refuse_outdated


def backward(y, grad=None, retain_graph=False):
    """Add to the `grad` of every leaf that y depends on; see Tensor.backward. On any error no `grad` has changed."""
    if not y._requires_grad:
        raise RuntimeError(
            f"backward() on a Tensor of shape {y.shape} that has no graph: nothing it was computed from "
            "requires grad, or it was computed within no_grad(); set requires_grad=True on the leaves, and change them "
            "by `x.data -= step`, since `x -= step` makes another Tensor"
        )
    refuse_outdated("backward", y)
    start = starting_cotangent(y, grad)
    cotangents = pull_back(vertex(y), start, retain_graph=retain_graph)
    found, seen = [], {id(start)}
    for at, g in cotangents.items():
        tensor = at.retained() if type(at) is Node else at
        if tensor is None or not tensor._requires_grad:
            continue
        x = tensor._data
        if g.shape != x.shape:
            raise RuntimeError(
                f"the gradient has shape {g.shape}, but the leaf now has shape {tensor.shape}: its data was "
                "replaced after the forward; run the forward again"
            )
        if g.dtype is not x.dtype:
            g = g.astype(x.dtype)
        g = unshared(g, seen) if tensor._grad is None else np.add(tensor._grad, g, out=...)
        found.append((tensor, g))
    for tensor, g in found:
        tensor._grad = g


def starting_cotangent(y, grad):
    """A cotangent for y: ones for a single element, otherwise `grad`, checked, and cast only where it must be."""
    if grad is None:
        if y.size != 1:
            raise RuntimeError(
                f"grad can be left out only for a single element, but this Tensor has shape {y.shape}; give "
                "a grad of that shape, or reduce it first, as with sum() or mean()"
            )
        return np.array(1, y.dtype, ndmin=y.ndim)
    g = grad._data if isinstance(grad, graph.Tensor) else grad
    if type(g) is not np.ndarray or g.dtype != y.dtype:
        g = as_array(g, "grad").astype(y.dtype, copy=False)
    if g.shape != y.shape:
        raise RuntimeError(f"grad has shape {g.shape}, but the Tensor has shape {y.shape}; they must be the same")
    return g


def unshared(array, seen):
    """The array, or a copy if it is a view or was seen before: its memory is nobody else's. `seen` holds ids."""
    if array.base is not None or id(array) in seen:
        array = array.copy()
    seen.add(id(array))
    return array
