"""The heart: `apply` runs an op and records it, `pull_back` walks the record backwards, `push_forward` forwards.

The record itself, Nodes and what points to them, is in `nngrad.graph`. No op's mathematics is known here: an `Op` says
how its kernels want to be called. What is not the main line has rooms of its own: inputs that are not Tensors of one
dtype (`inputs`), memory that is shared or changed in place (`memory`, `assignment`), derivatives that are themselves
differentiated (`differentiable`).
"""

from importlib import import_module
from operator import attrgetter

import numpy as np

from nngrad import graph, memory
from nngrad.graph import Node, output_of, record, refuse_cycle, wrap
from nngrad.inputs import PLAIN, conform, misfit, plain_parameters
from nngrad.memory import check_unchanged, refuse_outdated, share_with_inputs
from nngrad.modes import silent, this_thread

try:  # the only door to the generated package, so that its absence is explained once
    from nngrad_ops import OPS as OPS
    from nngrad_ops.op import Op as Op
    from nngrad_ops.tensor_methods import TensorMethods as TensorMethods
    from nngrad_ops.tiles import WORTH_TILES, by_tiles, listed
    from nngrad_ops.tiles import threads as threads
except ModuleNotFoundError as error:
    if error.name != "nngrad_ops":
        raise
    message = "the generated package nngrad_ops is missing; run `python -m nngrad.codegen` to generate it"
    raise ImportError(message) from error

NEEDS_BOTH, NEEDS_FIRST, NEEDS_SECOND = (True, True), (True, False), (False, True)
NO_PARENTS = None, None, None
NO_PARAMS = {}
SMALL = 4096  # elements of a cotangent: of fewer, neither tiles nor memory that is used again are worth a question
NUMBER = attrgetter("number")

# --- recording -------------------------------------------------------------------------------------------------------


def apply(op, /, *inputs, **params):
    """Run `op` on Tensors, arrays and numbers, and record it if a gradient may be asked for.

    Returns a Tensor, or a tuple of Tensors for an op with several outputs. Raises ValueError, IndexError or TypeError
    where NumPy does, naming the op and the shapes, and RuntimeError for an outdated view.
    """
    arguments = inputs
    inputs, values = conform(op, inputs)
    if values and values[0].dtype.char == "e" and op.by_rows:
        return apply_wider(op, inputs, params)
    if params:
        params = plain_parameters(op, params)
    parents, needs, given = parents_of(op, inputs, arguments) if not silent or this_thread.records else NO_PARENTS
    try:
        forward = op.kernel if parents is None else op.forward
        if op.cost and op.cost * values[0].size > WORTH_TILES:
            if op.by_rows:
                result = rows().forward_by_rows(op, forward, values, **params)
            else:
                result = by_tiles(forward, values, op.cost, **params)
        elif op.by_rows and not values[0].size:
            with np.errstate(divide="ignore", invalid="ignore"):  # rows of nothing have a mean of 0 / 0
                result = forward(*values, **params)
        else:
            result = forward(*values, **params)
    except (ValueError, IndexError, TypeError, ZeroDivisionError) as error:
        raise misfit(op.name, values, params, error) from error
    y = result[0] if op.saves and parents is not None else result
    if parents is None or not (op.many or y.dtype.kind == "f"):
        out = wrap(y)
    else:
        saved = (*values, *result) if op.saves else (*values, y)
        if op.takes_any_number:
            saved += (tuple(values),)
        out = record(y, op, params, parents, needs, saved, given)
    if op.many:
        return several(out, inputs)
    if y.base is not None or y is values[0]:
        share_with_inputs(out, inputs)
    return out


def apply_wider(op, inputs, params):
    """`apply` in float32 for an op that adds up elements of float16: it may not hold their sum, nor their number."""
    wide = [x.astype(np.float32) if getattr(x, "dtype", None) == np.float16 else x for x in inputs]
    return apply(op, *wide, **params).astype(np.float16)


def apply_two(op, a, b):
    """`apply(op, a, b)` in a straight line, for operators: a Tensor and another, or a number, and nothing special.

    Small graphs are made of these, and there a step of Python takes as long as a hundred elements.
    """
    if silent and not this_thread.records:
        return apply(op, a, b)
    Tensor = graph.Tensor
    x1 = x2 = parent1 = parent2 = given = None
    if type(a) is Tensor:
        x1 = a._data
        if a._memory is not None:
            refuse_outdated(op.name, a)
        if a._requires_grad:
            parent1 = a._node or a
    if type(b) is Tensor:
        x2 = b._data
        if b._memory is not None:
            refuse_outdated(op.name, b)
        if b._requires_grad:
            parent2 = b._node or b
    if parent1 is None and parent2 is None:
        return apply(op, a, b)
    if x1 is None:
        if type(a) is not float and type(a) is not int:
            return apply(op, a, b)
        x1 = np.asarray(a, x2.dtype)
        needs = NEEDS_SECOND
    elif x2 is None:
        if type(b) is not float and type(b) is not int:
            return apply(op, a, b)
        x2 = np.asarray(b, x1.dtype)
        needs = NEEDS_FIRST
    elif parent1 is None:
        needs, given = NEEDS_SECOND, (a, None)
    elif parent2 is None:
        needs, given = NEEDS_FIRST, (None, b)
    else:
        needs = NEEDS_BOTH
    if x1.dtype is not x2.dtype or op.cost * x1.size > WORTH_TILES:
        return apply(op, a, b)
    try:
        forward = op.ufunc or op.forward
        y = forward(x1, x2)
    except ValueError as error:
        raise misfit(op.name, [x1, x2], {}, error) from error
    if type(y) is not np.ndarray:  # what a ufunc gives for 0-d arrays
        y = np.asarray(y)
    return record(y, op, NO_PARAMS, (parent1, parent2), needs, (x1, x2, y), given)


def rows():
    """The module that takes large arrays row by row; it is imported with the first of them."""
    return import_module("nngrad_ops.rows")


def parents_of(op, inputs, arguments):
    """`parents`, `needs` and `given` of the Node to be, None for each of them if no gradient goes anywhere.

    inputs: the arguments as the kernel takes them, cast where they had to be.

    Raises RuntimeError for an outdated view.
    """
    parents, needs, given = [], [], None
    for i, x in enumerate(inputs):
        parent = None
        if isinstance(x, graph.Tensor):
            if x._memory is not None:
                refuse_outdated(op.name, x)
            if x._requires_grad and (op.all_differentiable or op.differentiable[i]):
                parent = x._node or x
        if (parent is None or x is not arguments[i]) and type(arguments[i]) not in PLAIN:
            given = arguments
        parents.append(parent)
        needs.append(parent is not None)
    return (tuple(parents), tuple(needs), given) if True in needs else NO_PARENTS


def several(whole, inputs):
    """The outputs of an op with several, whose arrays `whole` holds, each with a Node of its own below the op's."""
    outputs = []
    for i, y in enumerate(whole._data):
        out = wrap(y) if whole._node is None else output_of(whole._node, i)
        share_with_inputs(out, inputs)
        outputs.append(out)
    return tuple(outputs)


# --- walking ---------------------------------------------------------------------------------------------------------


def history(root):
    """The Nodes behind a vertex, newest first, after every check that can fail: freed, changed, cyclic."""
    nodes, forged, seen, stack = [], False, {None, root}, [root]
    while stack:
        at = stack.pop()
        if at._prev is not None:
            forged = True
        if type(at) is not Node:
            continue
        if at.values is None:
            raise RuntimeError(
                f"trying to go backward through the graph a second time: the values saved by "
                f"{at.op.name} were freed by the first; use backward(retain_graph=True) there"
            )
        nodes.append(at)
        for parent in at.parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    if forged:
        refuse_cycle(root)
    nodes.sort(key=NUMBER, reverse=True)
    for node in reversed(nodes):
        if node.number > memory.last_change:
            break
        if node.index is None:
            check_unchanged(node)
    return nodes


def pull_arrays(node, g, needs, retain_graph=True, is_own=False):
    """From the cotangent of a Node's output those of its inputs, by its kernel.

    needs: which of them are wanted.
    retain_graph: whether what the Node keeps must stay as it is.
    is_own: whether the array g is nobody else's, so that a cotangent may take its place.
    """
    op = node.op
    if op.many:
        g = tuple(g[i] if i in g else np.zeros_like(y) for i, y in enumerate(node.output))
    elif has_empty_rows(node):
        return tuple(np.zeros_like(x) if needed else None for x, needed in zip(node.values, needs, strict=False))
    elif op.vjp_cost and op.vjp_cost * (node.values[0] if op.by_rows else g).size > WORTH_TILES:
        place = place_for_cotangent(node, g, retain_graph, is_own)
        if op.by_rows:
            found = rows().vjp_by_rows(op, g, node.values, needs, place, **node.params)
        else:
            options = {"needs": needs, **node.params} if op.needs else node.params
            found = by_tiles(op.vjp, [g, *op.residuals_of(node.values)], op.vjp_cost, place, **options)
        return listed(found)
    elif (op.spends or (is_own and op.spends_g)) and not op.by_rows:
        place = place_for_cotangent(node, g, retain_graph, is_own)
        if place is not None:
            return (op.vjp(g, *op.residuals_of(node.values), out=place, **node.params),)
    pull = op.pull  # called as `op.pull(...)`, Python would look for a method first
    return pull(g, node.values, needs, node.params)


def has_empty_rows(node):
    """Whether an op on rows was given no elements, so that its derivative is zeros, though formulas divide 0 by 0."""
    return node.op.by_rows and not node.values[0].size


def place_for_cotangent(node, g, retain_graph, is_own):
    """An array that nobody needs once the first input's cotangent is known, so that it may go there; None if none."""
    place = None if retain_graph else spent(node)
    if place is None and is_own and node.op.spends_g and g.dtype == node.values[0].dtype:
        return g
    return place


def is_nobody_elses(dx, op, g, is_own):
    """Whether the cotangent of an op's only input is an array nobody else has, as g, the output's, is if `is_own`.

    Those of index maps are a part of g or new; where elements are repeated, NumPy lets nobody write.
    """
    if type(dx) is not np.ndarray:
        return False
    if op.makes_array and dx is not g:
        return True
    return is_own and (dx is g or op.family == "structural") and dx.flags.writeable


def spent(node):
    """What forward kept for backward alone, where a cotangent may take its place; None if there is nothing."""
    position, values = node.op.spends, node.values
    kept = values[position] if position else None
    if kept is None or kept.base is not None or kept.dtype != values[0].dtype:
        return None
    return None if any(kept is value for value in values[:position]) else kept


def push_arrays(node, tangents):
    """From the tangents of a Node's inputs, None where there is none, that of its output, by its kernel."""
    if has_empty_rows(node):
        return np.zeros_like(node.output)
    return node.op.jvp(*tangents, *node.op.residuals_of(node.values), **node.params)


def pull_back(root, g, targets=None, pull=pull_arrays, retain_graph=False):
    """Reverse walk from a vertex with cotangent `g`: {vertex: cotangent}, for the leaves and the Nodes retained.

    targets: the set of vertices to return instead; all that does not lead to them is skipped.
    pull: takes a cotangent through one Node: `pull_arrays`, or `pull_tensors` for cotangents with a graph of their own.

    Cotangents may share memory with each other: `nngrad.backward.unshared` parts them.
    """
    nodes = history(root)
    wanted = None if targets is None else leading_to(targets, nodes)
    by_kernels = pull is pull_arrays
    cotangents = {root: g}
    own = set()  # vertices whose cotangent is an array that is nobody else's: it is added to in place, or overwritten
    for node in nodes:
        g = cotangents.pop(node, None)
        if g is not None:
            parents, needs, is_own = node.parents, node.needs, node in own
            if node.retained is not None or (targets is not None and node in targets):
                cotangents[node], is_own = g, False
            if wanted is not None:
                needs = tuple([parent in wanted for parent in parents])
            if node.index is not None:
                cotangents.setdefault(parents[0], {})[node.index] = g
            elif wanted is None or True in needs:
                op = node.op
                may_give_own = not op.needs and (is_own or op.makes_array)
                if by_kernels and not (op.many or op.by_rows) and g.size < SMALL:  # as `pull_arrays`, a call sooner
                    found = op.pull(g, node.values, needs, node.params)
                else:
                    found = pull(node, g, needs, retain_graph, is_own)
                for i, dx in enumerate(found):
                    if dx is not None and (parent := parents[i]) is not None:
                        total = cotangents.get(parent)
                        if total is None:
                            cotangents[parent] = dx
                            if may_give_own and is_nobody_elses(dx, op, g, is_own):
                                own.add(parent)
                        elif parent in own:
                            total += dx
                        else:
                            cotangents[parent] = sum_of(total, dx)
                            if type(dx) is np.ndarray:
                                own.add(parent)
        if not retain_graph:  # let go of every array, and of the graph behind
            node.values = node.given = None
            node.parents = ()
    return cotangents


def leading_to(targets, nodes):
    """The targets, and those of the Nodes, newest first, from which a way back leads to one of them."""
    leading = set(targets)
    for node in reversed(nodes):
        if not leading.isdisjoint(node.parents):
            leading.add(node)
    return leading


def sum_of(total, dx):
    """The sum of two cotangents, arrays or Tensors."""
    return np.add(total, dx, out=...) if isinstance(dx, np.ndarray) else total + dx  # `...`: an array even if 0-d


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
