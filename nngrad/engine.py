"""The engine: records ops while they run, walks the record backwards (VJPs) and forwards (JVPs).

A recorded op is a Node. A Tensor points to the Node that made it, a Node to its parents: the Nodes, or the leaf
Tensors, that its inputs came from. No op's mathematics is known here; an `Op` says how its kernels want to be called.

One clock numbers recorded ops and in-place changes alike, so that two questions become comparisons: a Node is newer
than its parents, hence sorting by number is a topological order; and a value that was changed after a Node had saved it
has a larger number than the Node.
"""

import math
from contextlib import ContextDecorator
from itertools import count
from operator import attrgetter

import numpy as np

try:  # the only door to the generated package, so that its absence is explained once
    from nngrad_ops import OPS
    from nngrad_ops.runtime import Op as Op
    from nngrad_ops.tensor_methods import TensorMethods as TensorMethods
except ModuleNotFoundError as error:
    if error.name != "nngrad_ops":
        raise
    message = "the generated package nngrad_ops is missing; run `python -m nngrad.codegen` to generate it"
    raise ImportError(message) from error

tick = count(1).__next__
last_change = 0  # when the newest in-place change happened; Nodes newer than this need no check

# nngrad.tensor imports this module and binds them, since the engine makes Tensors.
Tensor = None
ops = None


def bind(tensor_class, operations):
    """Tell the engine the class of its Tensors and the namespace of ops which differentiable derivatives call."""
    global Tensor, ops
    Tensor, ops = tensor_class, operations


class Node:
    """One recorded op: what made a Tensor, and what its derivative needs. Tensors show it as `grad_fn`.

    op, params: the op and its parameters.
    inputs: the Tensors, constant arrays and None that it was called with.
    parents: for each input the Node or leaf Tensor to which its gradient goes, or None.
    values: [*input arrays, output, *saved]; residuals are picked from it. None once backward has freed it.
    index: for ops with several outputs, each output has a Node of its own, whose only parent is the op's.
    """

    __slots__ = ("_prev", "index", "inputs", "memory", "number", "op", "params", "parents", "retained", "values")

    def __init__(self, op, params, inputs, parents, values, index=None):
        self.op = op
        self.params = params
        self.inputs = inputs
        self.parents = parents
        self.values = values
        self.index = index
        self.number = tick()
        self.memory = None  # the Memory of the output, as soon as somebody keeps one
        self.retained = None  # a weak reference to the Tensor whose `grad` is wanted though it is no leaf
        self._prev = None

    @property
    def output(self):
        """The array this op returned (a tuple of arrays for an op with several)."""
        return self.values[len(self.inputs)]

    @property
    def arguments(self):
        """What the op was called with, for one of several outputs too."""
        return self.inputs if self.index is None or not self.parents else self.parents[0].inputs

    def free(self):
        """Let go of every array, and of the graph behind."""
        self.values = None
        self.inputs = self.parents = ()

    def __repr__(self):
        name = self.op.name.title().replace("_", "")
        return f"<{name}Backward {'freed' if self.values is None else f'shape={self.output.shape}'}>"


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


# --- dtypes and modes ------------------------------------------------------------------------------------------------

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
        self.before.append(Tensor.grad_is_enabled)
        Tensor.grad_is_enabled = self.enabled

    def __exit__(self, *exception):
        Tensor.grad_is_enabled = self.before.pop()


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


# --- recording -------------------------------------------------------------------------------------------------------


def apply(op, *inputs, **params):
    """Run `op` on Tensors, arrays and numbers, and record it if a gradient may be asked for.

    Returns a Tensor (a tuple of Tensors for an op with several outputs). Raises ValueError or IndexError naming the op
    and the shapes where NumPy does, TypeError for inputs that are no numbers, RuntimeError for an outdated view.
    """
    arrays = []
    dtype = None
    for x in inputs:
        if isinstance(x, Tensor):
            array = x._data
            if array.dtype is dtype or dtype is None:
                dtype = array.dtype
                arrays.append(array)
                continue
        dtype = None
        break
    if dtype is None or (dtype.kind != "f" and not op.keeps_integers):
        inputs, arrays = conform(op, inputs)
    for name, value in params.items() if params else ():
        if isinstance(value, Tensor):
            params[name] = plain_number(op, name, value)

    parents = None
    if Tensor.grad_is_enabled:
        edges = []
        for x in inputs:
            if isinstance(x, Tensor):
                if x._memory is not None and x._memory.rebased > x._since:
                    refuse_outdated(op.name, x)
                if x._requires_grad:
                    parents = edges
                    edges.append(x._node or x)
                    continue
            edges.append(None)
        if parents is not None and False in op.differentiable:
            parents = [p if wanted else None for p, wanted in zip(edges, op.differentiable, strict=True)]
            if all(parent is None for parent in parents):
                parents = None

    try:
        result = op.forward(*arrays, **params)
    except (ValueError, IndexError) as error:
        raise misfit(op, arrays, params, error) from error
    if op.saves:
        y = result[0]
        arrays.extend(result)
    else:
        y = result
        arrays.append(y)
    if op.many:
        return several(op, params, inputs, parents, arrays)

    node = None
    if parents is not None and y.dtype.kind == "f":
        if -1 in op.residuals:  # "all inputs", of an op that takes any number of them
            arrays.append(tuple(arrays[: len(inputs)]))
        node = Node(op, params, inputs, parents, arrays)
    out = wrap(y, node)
    if y.base is not None or y is arrays[0]:
        share_with_inputs(out, inputs)
    return out


def several(op, params, inputs, parents, values):
    """The output Tensors of an op with several outputs, each with a Node of its own behind it."""
    outputs = values[len(inputs)]
    if parents is None:
        tensors = tuple(wrap(y) for y in outputs)
    else:
        whole = Node(op, params, inputs, parents, values)
        tensors = tuple(wrap(y, Node(op, params, (), (whole,), [y], i)) for i, y in enumerate(outputs))
    for out in tensors:
        share_with_inputs(out, inputs)
    return tensors


def wrap(array, node=None):
    """A Tensor around an array, which is not copied: a constant, or the output of `node`."""
    out = object.__new__(Tensor)
    out._data = array
    out._node = node
    out._requires_grad = node is not None
    out._grad = out._memory = out._prev = None
    return out


def vertex(tensor):
    """Where the gradient of a Tensor goes: its Node, itself if it is a leaf, or None if it needs none."""
    return tensor._node or (tensor if tensor._requires_grad else None)


def conform(op, inputs):
    """Inputs and their arrays as the kernel wants them: of one dtype where gradients flow.

    Arrays are copied, as by `Tensor(array)`, so that a later change to them can't reach the graph. Numbers and lists of
    numbers take the dtype of the other inputs. A Tensor of another dtype is cast by an op like any other, whose
    derivative casts back.
    """
    variadic = len(op.differentiable) != len(inputs)
    inputs = list(inputs)
    places, strong, weak = [], [], []  # places: of the differentiable inputs
    for i, x in enumerate(inputs):
        declared = 0 if variadic else i
        wanted = op.differentiable[declared]
        if isinstance(x, Tensor):
            if wanted:
                strong.append(x._data.dtype)
        elif wanted and isinstance(x, (bool, int, float, np.floating, np.integer, np.bool)):
            weak.append(x.item() if isinstance(x, np.generic) else x)
        elif x is None and op.defaults[declared] is None:
            continue
        else:
            array = as_array(x, f"{op.name}: input {op.inputs[declared]}")
            if wanted and isinstance(x, (list, tuple)):
                weak.append({"b": False, "f": 0.0}.get(array.dtype.kind, 0))
            elif wanted:
                strong.append(array.dtype)
            inputs[i] = array
        if wanted:
            places.append(i)
    dtype = common_dtype(op, strong, weak)
    for i in places:
        x = inputs[i]
        if not isinstance(x, Tensor):
            inputs[i] = np.asarray(x, dtype)
        elif x._data.dtype != dtype:
            inputs[i] = apply(OPS["astype"], x, dtype=dtype)
    return inputs, [x._data if isinstance(x, Tensor) else x for x in inputs]


def common_dtype(op, strong, weak):
    """The dtype of an op's differentiable inputs: NumPy's promotion, with `weak` numbers that never widen."""
    floating = [dtype for dtype in strong if dtype.kind == "f"]
    if floating and (len(floating) == len(strong) or not op.keeps_integers):
        return np.result_type(*floating) if len(floating) > 1 else floating[0]
    if not strong and not weak:
        return default_dtype
    dtype = np.result_type(*strong, *weak)
    if (dtype.kind == "f" and not floating) or (dtype.kind != "f" and not op.keeps_integers):
        return default_dtype
    return dtype


def as_array(data, what="data"):
    """A fresh array of real numbers from an array, a number or a list of them; TypeError, naming `what`, otherwise."""
    array = np.array(data)
    if array.dtype.kind not in "biuf":
        kind = f"an array of dtype {array.dtype}" if isinstance(data, np.ndarray) else f"a {type(data).__name__}"
        raise TypeError(f"{what} must be a Tensor, an array, a list or a number of real dtype, not {kind}")
    return array


def plain_number(op, name, value):
    """The number in a Tensor given as a parameter; parameters carry no gradient, so none may be expected of it."""
    if value._requires_grad:
        raise TypeError(
            f"{op.name}: parameter {name} carries no gradient, but a Tensor that requires grad was given; "
            f"pass {name}.item() if that is meant"
        )
    return value.item()


def misfit(op, arrays, params, error):
    """The error to raise for inputs that a kernel refused, of the type that NumPy chose."""
    shapes = ", ".join(str(np.shape(array)) for array in arrays)
    chosen = "".join(f", {name}={value!r}" for name, value in params.items())
    mend = "reshape or broadcast the inputs so that they fit" + (", or mend the parameters" if params else "")
    reason = str(error).removeprefix(f"{op.name}: ")
    return type(error)(f"{op.name}: {reason} (inputs of shape {shapes}{chosen}); {mend}")


# --- shared memory and in-place changes ------------------------------------------------------------------------------


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
    twin._since = max(tick(), tensor._since) if Tensor.grad_is_enabled else math.inf
    if twin._node is not None:
        twin._node.memory = twin._memory


def share_with_inputs(out, inputs):
    for x in inputs:
        if isinstance(x, Tensor) and np.may_share_memory(out._data, x._data):
            share_memory(x, out)


def note_change(tensor):
    """Note that a Tensor's memory was just written to, and return when."""
    global last_change
    memory_of(tensor).changed = last_change = tick()
    return last_change


def refuse_outdated(name, *tensors):
    """Raise RuntimeError if the history of a Tensor does not tell how its memory got its present values."""
    for tensor in tensors:
        if tensor._memory is not None and tensor._memory.rebased > tensor._since:
            raise RuntimeError(
                f"{name}: a Tensor of shape {tensor.shape} shares memory with one that was changed by x[i] = v, so "
                "that its own history is out of date; take the view again from x, or assign to x.clone()"
            )


def assign(x, index, value):
    """`x[index] = value` in place; where a gradient is involved, x gets a new history that leads to both sides."""
    op = OPS["setitem"]
    if not isinstance(value, Tensor):
        value = as_array(value, "setitem: value")
    elif value.dtype != x.dtype and value._requires_grad:
        value = apply(OPS["astype"], value, dtype=x.dtype)
    tensors = [t for t in (x, value) if isinstance(t, Tensor)]
    recorded = Tensor.grad_is_enabled and any(t._requires_grad for t in tensors)
    if not x._data.flags.writeable:
        raise ValueError(
            f"setitem: a Tensor of shape {x.shape} made by {x.op or 'broadcasting'} is a view in which elements share "
            "memory, and can't be assigned to; assign to x.clone()"
        )
    if recorded:
        if memory_of(x).leaf or (x._requires_grad and x._node is None):
            raise RuntimeError(
                f"setitem: x[i] = v on a leaf of shape {x.shape} that requires grad, or on memory shared with "
                "one, would change it under its own gradient; assign to x.clone(), or within no_grad()"
            )
        refuse_outdated("setitem", *tensors)
    array = tensors[1]._data if len(tensors) == 2 else value
    try:
        x._data[index] = array
    except (ValueError, IndexError) as error:
        raise misfit(op, [x._data, array], {"index": index}, error) from error
    now = note_change(x)
    if not recorded:
        return
    before = wrap(x._data, x._node)  # x as it was; whoever used x before keeps pointing to its old Node
    edges = (x._node, vertex(value) if len(tensors) == 2 else None)
    x._node = Node(op, {"index": index}, (before, value), edges, [x._data, array, x._data])
    x._requires_grad = True
    x._prev = None
    if before._node is not None:
        x._node.retained, before._node.retained = before._node.retained, None
    x._node.memory = x._memory
    x._memory.rebased = x._since = now


def is_changed(memory, node):
    """Whether this memory, if anybody keeps track of it, was written to after `node` was recorded."""
    return memory is not None and memory.changed > node.number


def check_unchanged(node):
    """Raise RuntimeError if a value that the kernels of `node` read was changed since it was recorded."""
    count = len(node.inputs)
    for i in range(count) if -1 in node.op.reads_values else node.op.reads_values:
        if i < count:
            memory = node.inputs[i]._memory if isinstance(node.inputs[i], Tensor) else None
        else:
            memory = node.memory if i == count else None
        if is_changed(memory, node):
            what = f"its input {i + 1}" if i < count else "its output"
            raise RuntimeError(
                f"{node.op.name}: {what}, of shape {np.shape(node.values[i])}, was changed in place after it "
                "had been saved for backward; change a clone(), or make the change before the forward"
            )


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
            if at.number < last_change and at.index is None:
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


def refuse_cycle(root):
    """Raise RuntimeError if the graph has a cycle, which needs a `prev` that was changed by hand."""

    def children(at):
        yield from at.parents if isinstance(at, Node) else ()
        yield from [tensor._node or tensor for tensor in at._prev or ()]

    on_path = {root: True}
    stack = [(root, children(root))]
    while stack:
        at, rest = stack[-1]
        for child in rest:
            if child is None or on_path.get(child) is False:
                continue
            if on_path.get(child):
                name = child.op.name if isinstance(child, Node) else "a leaf"
                raise RuntimeError(
                    f"the graph has a cycle through {name}; a Tensor can't be its own ancestor: undo the "
                    "change that was made to `prev`"
                )
            on_path[child] = True
            stack.append((child, children(child)))
            break
        else:
            on_path[at] = False
            stack.pop()


def pull_back(root, g, targets=None, create_graph=False, retain_graph=False):
    """Reverse walk from a vertex with cotangent `g`: {vertex: cotangent}.

    With `targets`, for those vertices alone, skipping all that does not lead to them; without, for the leaves and the
    Nodes retained. Cotangents are arrays, or Tensors with a graph of their own under `create_graph`. They may share
    memory with each other: see `unshared`.
    """
    nodes = history(root)
    leading = wanted = None  # the Nodes to walk through, and the vertices whose cotangents they shall give: all
    if targets is not None:
        targets = set(targets)
        leading, wanted = set(), set(targets)
        for node in reversed(nodes):
            if not wanted.isdisjoint(node.parents):
                leading.add(node)
                wanted.add(node)
    pull, add = (pull_tensors, add_tensors) if create_graph else (pull_arrays, add_arrays)
    cotangents = {root: g}
    sums = set()  # vertices whose cotangent is a sum made here, so nobody else's: it may be added to in place
    for node in nodes:
        g = cotangents.pop(node, None)
        if g is not None:
            if node.retained is not None or (targets is not None and node in targets):
                cotangents[node] = g
            parents = node.parents
            if node.index is not None:
                cotangents.setdefault(parents[0], {})[node.index] = g
            elif wanted is None or node in leading:
                for parent, dx in zip(parents, pull(node, g, wanted), strict=True):
                    if parent is None or dx is None:
                        continue
                    if parent not in cotangents:
                        cotangents[parent] = dx
                    else:
                        cotangents[parent] = add(cotangents[parent], dx, parent in sums)
                        sums.add(parent)
        if not retain_graph:
            node.free()
    return cotangents


def needs_of(node, wanted):
    """For each input of a Node whether its cotangent is wanted; `wanted`: the vertices where it is, None for all."""
    if wanted is None:
        return tuple([parent is not None for parent in node.parents])
    return tuple([parent in wanted for parent in node.parents])


def pull_arrays(node, g, wanted):
    """The cotangents of a Node's inputs, by its kernel."""
    op, values = node.op, node.values
    if op.many:
        g = tuple(g[i] if i in g else np.zeros_like(y) for i, y in enumerate(node.output))
    residuals = [values[i] for i in op.residuals]
    if len(op.inputs) == 1 and op.inputs[0][0] != "*":
        return (op.vjp(g, *residuals, **node.params),)
    return op.vjp(g, *residuals, needs=needs_of(node, wanted), **node.params)


def pull_tensors(node, g, wanted):
    """The cotangents of a Node's inputs as Tensors, by the ops that make up its derivative."""
    inputs, y = graph_values(node)
    if node.op.many:
        g = tuple(g[i] if i in g else wrap(np.zeros_like(y)) for i, y in enumerate(node.output))
    return node.op.pullback(ops, g, inputs, y, needs=needs_of(node, wanted), **node.params)


def add_arrays(total, g, own):
    return np.add(total, g, out=total if own else ...)  # `...`: an array even if it is 0-d


def add_tensors(total, g, own):
    return total + g


def push_forward(root, tangents, create_graph=False):
    """Forward walk: the tangent at a vertex for {vertex: tangent}, None where it depends on none of them."""
    tangents = dict(tangents)
    for node in reversed(history(root)):
        if node in tangents:
            continue
        dxs = [tangents.get(parent) for parent in node.parents]
        if all(dx is None for dx in dxs):
            continue
        if node.index is not None:
            tangents[node] = dxs[0][node.index]
        elif create_graph:
            tangents[node] = node.op.pushforward(ops, tuple(dxs), *graph_values(node), **node.params)
        else:
            residuals = [node.values[i] for i in node.op.residuals]
            tangents[node] = node.op.jvp(*dxs, *residuals, **node.params)
    return tangents.get(root)


def graph_values(node):
    """Inputs and output of a Node as Tensors that stand where they stood in the graph when it was recorded.

    A value that was changed since is none that the kernels read, so its shape alone should matter here too; should it
    not, the op that reads the Tensor refuses it as outdated.
    """
    inputs = []
    for x, parent in zip(node.inputs, node.parents, strict=True):
        if isinstance(x, Tensor) and (vertex(x) is not parent or is_changed(x._memory, node)):
            twin = wrap(x._data, parent)
            if is_changed(x._memory, node):
                twin._memory, twin._since = OUTDATED, 0
            else:
                share_memory(x, twin)
            x = twin
        inputs.append(x if x is None or isinstance(x, Tensor) else wrap(x))
    if node.op.many:
        return tuple(inputs), tuple(wrap(y, Node(node.op, {}, (), (node,), [y], i)) for i, y in enumerate(node.output))
    y = wrap(node.output, node)
    memory_of(y)
    if is_changed(node.memory, node):
        y._memory = OUTDATED
    return tuple(inputs), y


# --- gradients of leaves ---------------------------------------------------------------------------------------------


def backward(y, grad=None, retain_graph=False):
    """Add to the `grad` of every leaf that y depends on; see Tensor.backward. On any error no `grad` has changed."""
    if not y._requires_grad:
        raise RuntimeError(
            f"backward() on a Tensor of shape {y.shape} that has no graph: nothing it was computed from "
            "requires grad, or it was computed within no_grad(); set requires_grad=True on the leaves"
        )
    refuse_outdated("backward", y)
    cotangents = pull_back(vertex(y), starting_cotangent(y, grad), retain_graph=retain_graph)
    found = []
    for at, g in zip(cotangents, unshared(cotangents.values()), strict=True):
        tensor = at.retained() if isinstance(at, Node) else at
        if tensor is None or not tensor._requires_grad:
            continue
        if g.shape != tensor.shape:
            raise RuntimeError(
                f"the gradient has shape {g.shape}, but the leaf now has shape {tensor.shape}: its data was "
                "replaced after the forward; run the forward again"
            )
        if g.dtype != tensor.dtype:
            g = g.astype(tensor.dtype)
        found.append((tensor, g if tensor._grad is None else np.add(tensor._grad, g, out=...)))
    for tensor, g in found:
        tensor._grad = g


def starting_cotangent(y, grad):
    """A cotangent for y as an array of its own: ones for a single element, otherwise `grad`, checked and cast."""
    if grad is None:
        if y.size != 1:
            raise RuntimeError(
                f"grad can be left out only for a single element, but this Tensor has shape {y.shape}; give "
                "a grad of that shape, or reduce it first, as with sum() or mean()"
            )
        return np.ones(y.shape, y.dtype)
    g = np.array(grad._data if isinstance(grad, Tensor) else as_array(grad, "grad"), dtype=y.dtype)
    if g.shape != y.shape:
        raise RuntimeError(f"grad has shape {g.shape}, but the Tensor has shape {y.shape}; they must be the same")
    return g


def unshared(arrays):
    """The same arrays, copied where they are views or occur twice, so that no two of them share memory."""
    seen = set()
    for array in arrays:
        if array.base is not None or id(array) in seen:
            array = array.copy()
        seen.add(id(array))
        yield array
