"""The heart: `apply` runs an op and records it, `pull_back` walks the record backwards, `push_forward` forwards.

The record itself, Nodes and what points to them, is in `nngrad.graph`. No op's mathematics is known here: an `Op` says
how its kernels want to be called. What is not the main line has rooms of its own: inputs that are not Tensors of one
dtype (`inputs`), memory that is shared or changed in place (`memory`, `assignment`), derivatives that are themselves
differentiated (`differentiable`).
"""

from operator import attrgetter

import numpy as np

from nngrad import graph, memory
from nngrad.graph import Node, refuse_cycle, wrap
from nngrad.inputs import conform, misfit, plain_parameters
from nngrad.memory import check_unchanged, refuse_outdated, share_with_inputs

try:  # the only door to the generated package, so that its absence is explained once
    from nngrad_ops import OPS as OPS
    from nngrad_ops.runtime import Op as Op
    from nngrad_ops.tensor_methods import TensorMethods as TensorMethods
    from nngrad_ops.tiles import WORTH_TILES, by_tiles
    from nngrad_ops.tiles import threads as threads
except ModuleNotFoundError as error:
    if error.name != "nngrad_ops":
        raise
    message = "the generated package nngrad_ops is missing; run `python -m nngrad.codegen` to generate it"
    raise ImportError(message) from error

# --- recording -------------------------------------------------------------------------------------------------------


def apply(op, *inputs, **params):
    """Run `op` on Tensors, arrays and numbers, and record it if a gradient may be asked for.

    Returns a Tensor, or a tuple of Tensors for an op with several outputs. Raises ValueError, IndexError or TypeError
    where NumPy does, naming the op and the shapes, and RuntimeError for an outdated view.
    """
    arguments = inputs
    values = arrays_of(op, inputs)
    if values is None:
        inputs, values = conform(op, inputs)
    if params:
        params = plain_parameters(op, params)
    parents = parents_of(op, inputs) if graph.Tensor.grad_is_enabled else None
    try:
        forward = op.kernel if parents is None else op.forward
        large = op.cost and op.cost * values[0].size > WORTH_TILES
        result = by_tiles(forward, values, **params) if large else forward(*values, **params)
    except (ValueError, IndexError, TypeError) as error:
        raise misfit(op.name, values, params, error) from error
    if op.many:
        return several(op, params, inputs, parents, [*values, result], arguments)

    y = result[0] if op.saves and parents is not None else result
    node = None
    if parents is not None and y.dtype.kind == "f":
        values.extend(result if op.saves else (y,))
        node = Node(op, params, inputs, parents, values, arguments)
    out = wrap(y, node)
    if y.base is not None or y is values[0]:
        share_with_inputs(out, inputs)
    return out


def arrays_of(op, inputs):
    """The arrays of inputs that are Tensors of one dtype, one that suits the op; None if they are not."""
    arrays = []
    for x in inputs:
        if not isinstance(x, graph.Tensor):
            return None
        arrays.append(x._data)
        if x._data.dtype is not arrays[0].dtype:
            return None
    return arrays if op.keeps_integers or (arrays and arrays[0].dtype.kind == "f") else None


def parents_of(op, inputs):
    """For each input the vertex to which its gradient goes, or None; no list but None if there is none at all."""
    parents = [None] * len(inputs)
    found = False
    carries = op.differentiable if False in op.differentiable else None  # None: every input does
    for i, x in enumerate(inputs):
        if isinstance(x, graph.Tensor):
            if x._memory is not None:
                refuse_outdated(op.name, x)
            if x._requires_grad and (carries is None or carries[i]):
                parents[i] = x._node or x
                found = True
    return parents if found else None


def several(op, params, inputs, parents, values, arguments):
    """The output Tensors of an op with several outputs, each with a Node of its own behind it."""
    outputs = values[-1]
    if parents is None:
        tensors = tuple(wrap(y) for y in outputs)
    else:
        whole = Node(op, params, inputs, parents, values, arguments)
        tensors = tuple(wrap(y, Node(op, params, (), (whole,), [y], arguments, i)) for i, y in enumerate(outputs))
    for out in tensors:
        share_with_inputs(out, inputs)
    return tensors


# --- walking ---------------------------------------------------------------------------------------------------------


def history(root):
    """The Nodes behind a vertex, newest first, after every check that can fail: freed, changed, cyclic."""
    nodes, forged, seen, stack = [], False, {root}, [root]
    while stack:
        at = stack.pop()
        forged = forged or at._prev is not None
        if isinstance(at, Node):
            if at.values is None:
                raise RuntimeError(
                    f"trying to go backward through the graph a second time: the values saved by "
                    f"{at.op.name} were freed by the first; use backward(retain_graph=True) there"
                )
            if at.number < memory.last_change and at.index is None:
                check_unchanged(at)
            nodes.append(at)
            for parent in at.parents:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
    if forged:
        refuse_cycle(root)
    nodes.sort(key=attrgetter("number"), reverse=True)
    return nodes


def pull_arrays(node, g, wanted=None):
    """From the cotangent of a Node's output those of its inputs, by its kernel; `wanted`: for which parents, or all."""
    op = node.op
    if op.many:
        g = tuple(g[i] if i in g else np.zeros_like(y) for i, y in enumerate(node.output))
    if len(op.inputs) == 1 and op.inputs[0][0] != "*":
        options = node.params
    else:
        options = {**node.params, "needs": needs(node, wanted)}
    if op.vjp_cost and op.vjp_cost * g.size > WORTH_TILES:
        found = by_tiles(op.vjp, [g, *residuals(node)], **options)
    else:
        found = op.vjp(g, *residuals(node), **options)
    return found if isinstance(found, tuple) else (found,)


def push_arrays(node, tangents):
    """From the tangents of a Node's inputs, None where there is none, that of its output, by its kernel."""
    return node.op.jvp(*tangents, *residuals(node), **node.params)


def residuals(node):
    """What the kernels of a Node's derivatives read; -1 stands for all inputs of an op that takes any number."""
    values = node.values
    return [values[i] if i >= 0 else tuple(values[: len(node.inputs)]) for i in node.op.residuals]


def needs(node, wanted):
    """For each input of a Node whether its cotangent is wanted; `wanted`: the vertices where it is, None for all."""
    if wanted is None:
        return tuple([parent is not None for parent in node.parents])
    return tuple([parent in wanted for parent in node.parents])


def pull_back(root, g, targets=None, pull=pull_arrays, retain_graph=False):
    """Reverse walk from a vertex with cotangent `g`: {vertex: cotangent}, for the leaves and the Nodes retained.

    targets: the set of vertices to return instead; all that does not lead to them is skipped.
    pull: takes a cotangent through one Node: `pull_arrays`, or `pull_tensors` for cotangents with a graph of their own.

    Cotangents may share memory with each other: see `nngrad.backward.unshared`.
    """
    nodes = history(root)
    wanted = None if targets is None else leading_to(targets, nodes)
    cotangents = {root: g}
    sums = set()  # vertices whose cotangent is a sum made here, so nobody else's: it may be added to in place
    for node in nodes:
        g = cotangents.pop(node, None)
        if g is not None:
            if node.retained is not None or (targets is not None and node in targets):
                cotangents[node] = g
            if node.index is not None:
                cotangents.setdefault(node.parents[0], {})[node.index] = g
            elif wanted is None or not wanted.isdisjoint(node.parents):
                for parent, dx in zip(node.parents, pull(node, g, wanted), strict=True):
                    if parent is None or dx is None:
                        continue
                    if parent in cotangents:
                        dx = add(cotangents[parent], dx, in_place=parent in sums)
                        sums.add(parent)
                    cotangents[parent] = dx
        if not retain_graph:
            node.free()
    return cotangents


def leading_to(targets, nodes):
    """The targets, and those of the Nodes, newest first, from which a way back leads to one of them."""
    leading = set(targets)
    for node in reversed(nodes):
        if not leading.isdisjoint(node.parents):
            leading.add(node)
    return leading


def add(total, dx, in_place):
    """The sum of two cotangents, arrays or Tensors."""
    if isinstance(total, np.ndarray):
        return np.add(total, dx, out=total if in_place else ...)  # `...`: an array even if it is 0-d
    return total + dx


def push_forward(root, tangents, push=push_arrays):
    """Forward walk: the tangent at a vertex for {vertex: tangent}, None where it depends on none of them.

    push: takes tangents through one Node: `push_arrays`, or `push_tensors` for tangents with a graph of their own.
    """
    tangents = dict(tangents)
    for node in reversed(history(root)):
        if node in tangents:
            continue
        dxs = [tangents.get(parent) for parent in node.parents]
        if any(dx is not None for dx in dxs):
            tangents[node] = push(node, dxs) if node.index is None else dxs[0][node.index]
    return tangents.get(root)
