"""The graph that a computation leaves behind: Nodes, and the Tensors that point to them.

A Tensor points to the Node that made it, a Node to its parents: the Nodes, or the leaf Tensors, that its inputs came
from. Nodes and leaf Tensors are the vertices of the graph; gradients flow from vertex to vertex.

One clock numbers recorded ops and in-place changes alike, so that two questions become comparisons: a Node is newer
than its parents, hence sorting by number is a topological order; and a value that was changed after a Node had saved it
has a larger number than the Node.
"""

from itertools import count

tick = count(1).__next__

Tensor = None  # the class; nngrad.tensor, which is built on this module, puts it here


class Node:
    """One recorded op: what made a Tensor, and what its derivative needs. Tensors show it as `grad_fn`.

    op, params: the op and its parameters.
    inputs: the Tensors, constant arrays and None that its kernel was called with.
    parents: for each input the vertex to which its gradient goes, or None.
    needs: for each input whether there is one.
    values: [*input arrays, output, *saved]; residuals are picked from it. None once backward has freed it. An op that
        takes any number of inputs has them once more at the end, as a tuple.
    arguments: what the op was called with, where that is more than `inputs` tells: Tensors that had to be cast.
    index: for ops with several outputs, each output has a Node of its own, whose only parent is the op's.
    number: when it was recorded.
    memory: the Memory of the output, as soon as somebody keeps one.
    retained: a weak reference to the Tensor whose `grad` is wanted though it is no leaf.
    _prev: what `Tensor.prev` gave or was given.
    """

    __slots__ = (
        "_prev", "arguments", "index", "inputs", "memory", "needs", "number", "op", "params", "parents", "retained",
        "values",
    )  # fmt: skip

    @property
    def output(self):
        """The array this op returned (a tuple of arrays for an op with several)."""
        return self.values[len(self.inputs)]

    def __repr__(self):
        name = self.op.name.title().replace("_", "")
        return f"<{name}Backward {'freed' if self.values is None else f'shape={self.output.shape}'}>"


new = object.__new__  # Tensors are made by the thousand: their class, when called, would make much of it


def node_of(op, params, inputs, parents, needs, values, arguments=None, index=None):
    """A new Node; the arguments are its attributes."""
    node = Node()
    node.op = op
    node.params = params
    node.inputs = inputs
    node.parents = parents
    node.needs = needs
    node.values = values
    node.number = tick()
    node.arguments = arguments
    node.index = index
    node.memory = node.retained = node._prev = None
    return node


def wrap(array, node=None):
    """A Tensor around an array, which is not copied: a constant, or the output of `node`."""
    out = new(Tensor)
    out._data = array
    out._node = node
    out._requires_grad = node is not None
    out._grad = out._memory = out._prev = None
    return out


def vertex(tensor):
    """Where the gradient of a Tensor goes: its Node, itself if it is a leaf, or None if it needs none."""
    return tensor._node or (tensor if tensor._requires_grad else None)


def refuse_cycle(root):
    """Raise RuntimeError if the graph behind a vertex has a cycle, which needs a `prev` that was changed by hand."""

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
