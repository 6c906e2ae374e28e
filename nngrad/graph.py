"""The graph that a computation leaves behind: Nodes, and the Tensors that point to them.

A Tensor points to the Node that made it, a Node to its parents: the Nodes, or the leaf Tensors, that its inputs came
from. Nodes and leaf Tensors are the vertices of the graph; gradients flow from vertex to vertex. Tensors in between are
not kept, and all else that a Node holds is of kinds that Python's garbage collector need not look through: it takes its
time for each object of a long graph again and again.

One clock numbers recorded ops and in-place changes alike, so that two questions become comparisons: a Node is newer
than its parents, hence sorting by number is a topological order; and a value that was changed after a Node had saved it
has a larger number than the Node.
"""

from itertools import count
from weakref import ref

tick = count(1).__next__

Tensor = None  # the class; nngrad.tensor, which is built on this module, puts it here


class Node(ref):
    """One recorded op: what made a Tensor, and what its derivative needs. Tensors show it as `grad_fn`.

    It is a weak reference to the Tensor that it made: `node()` is that Tensor, or None if nobody has it any more.

    op, params: the op and its parameters.
    parents: for each input the vertex to which its gradient goes, or None.
    needs: for each input whether there is one.
    values: (*input arrays, output, *saved); residuals are picked from it. None once backward has freed it. An op that
        takes any number of inputs has them once more at the end, as a tuple.
    given: what the op was called with. None, as a whole or in places, where the parents tell as much, as they do not of
        constants and of Tensors that had to be cast.
    index: for ops with several outputs, each output has a Node of its own, whose only parent is the op's.
    number: when it was recorded.
    memory: the Memory of the output, as soon as somebody keeps one.
    retained: a weak reference to the Tensor whose `grad` is wanted though it is no leaf.
    _prev: what `Tensor.prev` gave or was given.
    _twin: a weak reference to the Tensor that stands there instead of the one that it made.
    """

    __slots__ = (
        "_prev", "_twin", "given", "index", "memory", "needs", "number", "op", "params", "parents", "retained",
        "values",
    )  # fmt: skip
    __hash__, __eq__, __ne__ = object.__hash__, object.__eq__, object.__ne__  # a Node is equal to itself alone

    @property
    def output(self):
        """The array this op returned (a tuple of arrays for an op with several)."""
        return self.values[len(self.parents)]

    @property
    def inputs(self):
        """For each input its parent, what it was given as if the parent does not tell, and its array."""
        return zip(self.parents, self.given or (None,) * len(self.parents), self.values, strict=False)

    def __repr__(self):
        name = self.op.name.title().replace("_", "")
        return f"<{name}Backward {'freed' if self.values is None else f'shape={self.output.shape}'}>"


new = object.__new__  # Tensors are made by the thousand: their class, when called, would make much of it


def record(array, op, params, parents, needs, values, given=None, index=None):
    """A Tensor around an array that an op made, and its Node, of which the other arguments are the attributes."""
    out = new(Tensor)
    out._data = array
    out._requires_grad = True
    out._grad = out._memory = out._prev = None
    out._node = node = Node(out)
    node.op = op
    node.params = params
    node.parents = parents
    node.needs = needs
    node.values = values
    node.number = tick()
    node.given = given
    node.index = index
    node.memory = node.retained = node._prev = node._twin = None
    return out


def output_of(whole, index):
    """One of the outputs, a Tensor with a Node of its own, of the Node of an op with several."""
    y = whole.output[index]
    return record(y, whole.op, whole.params, (whole,), (True,), (None, y), index=index)


def wrap(array, node=None):
    """A Tensor around an array, which is not copied: a constant, or what stands at `node`."""
    out = new(Tensor)
    out._data = array
    out._node = node
    out._requires_grad = node is not None
    out._grad = out._memory = out._prev = None
    return out


def vertex(tensor):
    """Where the gradient of a Tensor goes: its Node, itself if it is a leaf, or None if it needs none."""
    return tensor._node or (tensor if tensor._requires_grad else None)


def tensor_at(vertex, array):
    """The Tensor that stands at a vertex; another one around its array where nobody has it any more."""
    if type(vertex) is not Node:  # a leaf, or None
        return vertex
    tensor = vertex()
    if tensor is None and vertex._twin is not None:
        tensor = vertex._twin()
    if tensor is None:
        tensor = wrap(array, vertex)
        tensor._memory, tensor._since = vertex.memory, vertex.number
        vertex._twin = ref(tensor)
    return tensor


def given_to(node):
    """The set of Tensors that the op of a Node was called with; empty once backward has freed it."""
    if node.index is not None and node.parents:
        (node,) = node.parents
    if node.values is None:
        return set()
    found = [tensor_at(parent, array) if x is None else x for parent, x, array in node.inputs]
    return {x for x in found if isinstance(x, Tensor)}


def refuse_cycle(root):
    """Raise RuntimeError if the graph behind a vertex has a cycle, which needs a `prev` that was changed by hand."""

    def children(at):
        yield from at.parents if isinstance(at, Node) else ()
        forged = (at._prev or set()) - (given_to(at) if isinstance(at, Node) else set())
        yield from [tensor._node or tensor for tensor in forged]

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
