"""Tensor: an array that remembers how it was computed, and its gradient. It knows no op's mathematics."""

import math
import operator
import sys
import weakref

import numpy as np

from nngrad import graph, modes, structure
from nngrad.arguments import refuse_arguments, tells_arguments
from nngrad.assignment import assign
from nngrad.backward import backward
from nngrad.elsewhere import OF_PYTORCH, WITHOUT_EQUAL, Elsewhere, NoFunction
from nngrad.engine import OPS, TensorMethods, apply, apply_two
from nngrad.functions import (
    CLIP_GRADIENT,
    CLONE,
    WITHOUT_GRADIENT,
    array_of,
    astype,
    call_numpy,
    call_ufunc,
    compare,
    matmul,
    nan_to_num,
    norm,
    public_names,
    without_gradient,
)
from nngrad.graph import wrap
from nngrad.inputs import as_array, plain_index, real_dtype
from nngrad.memory import note_change, share_memory

ADD, SUBTRACT, MULTIPLY, DIVIDE = OPS["add"], OPS["subtract"], OPS["multiply"], OPS["divide"]
FLOOR_DIVIDE, REMAINDER = OPS["floor_divide"], OPS["remainder"]
POWER, GETITEM = OPS["power"], OPS["getitem"]


class GradSwitch(type):
    """The class of the class Tensor, whose attribute `grad_is_enabled` is another one in each thread."""

    @property
    def grad_is_enabled(cls):
        """Whether ops are recorded in this thread. It is the switch itself: assign to it, or use no_grad()."""
        return modes.this_thread.records

    @grad_is_enabled.setter
    def grad_is_enabled(cls, value):
        modes.set_recording(value)


class Tensor(TensorMethods, metaclass=GradSwitch):
    """An n-dimensional array of real numbers with a gradient.

    data: array, nested list, number or Tensor; it is copied, and a Tensor's history is left behind.
    dtype: any real dtype; without it everything becomes the default dtype, float32 unless changed.
    requires_grad: whether backward() shall compute a gradient; only for floating dtypes.

    Raises TypeError for data that are no real numbers, RuntimeError for `requires_grad` with another dtype.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_memory", "_node", "_prev", "_requires_grad", "_since")
    __array_priority__ = 1000
    __hash__ = object.__hash__

    _apply = staticmethod(apply)

    @staticmethod
    def _refuse(op, unknown):
        refuse_arguments(op.name, (*op.inputs[1:], *op.params), unknown)

    def __init__(self, data, dtype=None, requires_grad=False, **unknown):
        if unknown:
            refuse_arguments("Tensor", ("data", "dtype", "requires_grad"), unknown)
        dtype = modes.default_dtype if dtype is None else real_dtype(dtype)
        self._data = as_array(data._data if isinstance(data, Tensor) else data).astype(dtype, copy=False)
        self._node = self._grad = self._memory = self._prev = None
        self._requires_grad = False
        if requires_grad:
            self.set_requires_grad(True)

    # --- values ---

    @property
    def data(self):
        """The array itself, not a copy. Assigning copies the new values, cast to this Tensor's dtype, in its order.

        Backward raises an error where it needs the values that were replaced. A Tensor with a graph keeps its shape.
        Changes to elements of the array, `x.data[i] = v`, go unnoticed: use `x[i] = v` within `no_grad()`.
        """
        return self._data

    @data.setter
    def data(self, value):
        if value is not self._data:  # x.data += v has already changed it in place
            array = as_array(value._data if isinstance(value, Tensor) else value)
            if not np.can_cast(array.dtype, self.dtype, "same_kind"):
                raise TypeError(
                    f"data of dtype {array.dtype} can't replace data of dtype {self.dtype}; make a new Tensor"
                )
            if array.shape != self.shape:
                if self._node is not None:
                    raise ValueError(
                        f"data of shape {array.shape} can't replace data of shape {self.shape} in a Tensor that has "
                        "a graph; make a new Tensor, or give data of the same shape"
                    )
                self._grad = None
            self._data = array.astype(self.dtype, order="F" if self._data.flags.fnc else "C", copy=False)
        note_change(self)

    @property
    def shape(self):
        """The length of each axis."""
        return self._data.shape

    @property
    def ndim(self):
        """The number of axes."""
        return self._data.ndim

    @property
    def dtype(self):
        """The NumPy dtype of the data."""
        return self._data.dtype

    @property
    def size(self):
        """The number of elements."""
        return self._data.size

    def numpy(self):
        """The data as an ndarray: the array itself, not a copy. What is done to it goes unnoticed, as with `data`."""
        return self._read()

    def item(self):
        """The only element as a Python number; ValueError if there is more than one."""
        if self.size != 1:
            raise ValueError(
                f"item() is for Tensors of one element, this one has shape {self.shape}; use tolist() or an index"
            )
        return self._read().item()

    def tolist(self):
        """The data as nested lists of Python numbers."""
        return self._read().tolist()

    def _read(self):
        """The array, for what is no Tensor."""
        readings = modes.this_thread.readings
        if readings is not None:
            readings.append(self)
        return self._data

    # --- graph and gradient ---

    @property
    def grad(self):
        """The gradient, an ndarray of the data's shape and dtype, zeros before the first backward, which adds to it.

        None where `requires_grad` is False, and on a Tensor that is no leaf unless `retain_grad()` was called.
        """
        node = self._node
        if self._grad is None and self._requires_grad and (node is None or node.retained is not None):
            self._grad = np.zeros(self.shape, self.dtype)[...]  # a view: gradients have memory of their own
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is None:
            self._grad = None
        elif self.grad is None:
            raise RuntimeError(
                f"a Tensor of shape {self.shape} that keeps no gradient can't be given one; it needs requires_grad, "
                "and retain_grad() if it is no leaf"
            )
        elif value is not self._grad:
            array = as_array(value._data if isinstance(value, Tensor) else value, "grad").astype(self.dtype)
            if array.shape != self.shape:
                raise ValueError(
                    f"grad has shape {array.shape}, but the Tensor has shape {self.shape}; they must be the same"
                )
            self._grad = array

    @property
    def _has_grad(self):
        """Whether there is a gradient, computed or given; zeros that were only looked at are none."""
        g = self._grad
        return g is not None and (g.base is None or bool(g.any()))

    @property
    def grad_is_enabled(self):
        """Whether ops are recorded in this thread: `Tensor.grad_is_enabled`, which is also where to change it."""
        return modes.this_thread.records

    def reset_grad(self):
        """Make the gradient zeros again."""
        self._grad = None  # they are made when somebody looks

    @property
    def requires_grad(self):
        """Whether a gradient flows to or through this Tensor. It can be set on leaves."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self.set_requires_grad(value)

    def set_requires_grad(self, val):
        """Say whether this leaf requires a gradient; RuntimeError if it is no leaf or its dtype is not floating."""
        if val == self._requires_grad:
            return
        if self._node is not None:
            raise RuntimeError(
                f"requires_grad can be changed on leaves only, and this Tensor of shape {self.shape} was computed by "
                f"{self.op}; use detach()"
            )
        if val and self.dtype.kind != "f":
            raise RuntimeError(
                f"only Tensors of floating dtype can require grad, this one is {self.dtype}; "
                "make it Tensor(data, dtype=np.float32, requires_grad=True)"
            )
        self._requires_grad = bool(val)
        if self._memory is not None:
            self._memory.leaf = self._requires_grad
        self._grad = None

    @property
    def grad_fn(self):
        """The record of the op that made this Tensor, with its saved values; None at leaves."""
        return self._node

    @property
    def op(self):
        """The name of the op that made this Tensor, '' at leaves."""
        return "" if self._node is None else self._node.op.name

    @property
    def prev(self):
        """The set of parent Tensors, made again where nobody has them any more; empty once backward has freed them."""
        at = self if self._node is None else self._node
        if at._prev is None:
            at._prev = set() if self._node is None else graph.given_to(self._node)
        return at._prev

    @prev.setter
    def prev(self, parents):
        at = self if self._node is None else self._node
        at._prev = set(parents)

    @tells_arguments
    def backward(self, grad=None, retain_graph=False):
        """Add the gradient of this Tensor to the `grad` of every leaf it was computed from.

        grad: the cotangent, an array of this Tensor's shape; a single element needs none.
        retain_graph: keep what the graph has saved, so that backward can be called again.

        Raises RuntimeError if there is no graph, if it was freed, has a cycle or needs a value that was changed in
        place, and if `grad` is missing or has another shape. Then no gradient has changed.
        """
        backward(self, grad, retain_graph)

    def retain_grad(self):
        """Keep the gradient of this Tensor in `grad` though it is no leaf."""
        if not self._requires_grad:
            raise RuntimeError(
                f"retain_grad() on a Tensor of shape {self.shape} that does not require grad; set requires_grad=True"
            )
        if self._node is not None:
            self._node.retained = weakref.ref(self)

    def graph(self, *others, names=None, grad=None, limit=200, rankdir="LR"):
        """A picture of the graph: a `graphviz.Digraph`, which shows itself in a notebook; `render()` writes a file.

        Blue boxes are leaves, grey ones constants, yellow ones ops, green ones what is drawn. Each tells its shape, the
        dtype where it is not the default, the value if it is a single number. After backward leaves tell the norm of
        `grad`, and where the graph is kept (`retain_graph=True`) a walk back from a single number finds that of every
        op's output.

        others: more Tensors to draw in the same picture; then gradients are those that leaves hold.
        names: {name: Tensor or array}, or pairs of them as from `model.named_parameters()`.
        grad: the cotangent as `backward` takes it; gradients are then shown without or before `backward`.
        limit: how many boxes to draw at most, those nearest to this Tensor.
        rankdir: the direction in which data flow: "LR", "RL", "TB" or "BT".

        Raises ImportError without the package graphviz; to render, it needs Graphviz's program `dot` as well.
        """
        from nngrad.drawing import draw

        return draw([self, *others], names, grad, limit, rankdir)

    def detach(self):
        """The same data without history; the memory is shared."""
        out = wrap(self._data)
        share_memory(self, out)
        out._since = math.inf  # its history does not tell how it was computed, and never did
        return out

    def clone(self):
        """A copy of the data with this Tensor as parent."""
        return apply(CLONE, self)

    # --- operators ---

    def __add__(self, other):
        return apply_two(ADD, self, other)

    def __radd__(self, other):
        return apply_two(ADD, other, self)

    def __sub__(self, other):
        return apply_two(SUBTRACT, self, other)

    def __rsub__(self, other):
        return apply_two(SUBTRACT, other, self)

    def __mul__(self, other):
        return apply_two(MULTIPLY, self, other)

    def __rmul__(self, other):
        return apply_two(MULTIPLY, other, self)

    def __truediv__(self, other):
        return apply_two(DIVIDE, self, other)

    def __rtruediv__(self, other):
        return apply_two(DIVIDE, other, self)

    def __floordiv__(self, other):
        return apply_two(FLOOR_DIVIDE, self, other)

    def __rfloordiv__(self, other):
        return apply_two(FLOOR_DIVIDE, other, self)

    def __mod__(self, other):
        return apply_two(REMAINDER, self, other)

    def __rmod__(self, other):
        return apply_two(REMAINDER, other, self)

    def __divmod__(self, other):
        return self // other, self % other

    def __rdivmod__(self, other):
        return other // self, other % self

    def __pow__(self, other):
        return apply_two(POWER, self, other)

    def __rpow__(self, other):
        return apply_two(POWER, other, self)

    def __matmul__(self, other):
        return matmul(self, other)

    def __rmatmul__(self, other):
        return matmul(other, self)

    def __neg__(self):
        return self.negative()

    def __pos__(self):
        return self

    def __abs__(self):
        return self.abs()

    def __eq__(self, other):
        return compare(operator.eq, self, other)

    def __ne__(self, other):
        return compare(operator.ne, self, other)

    def __lt__(self, other):
        return compare(operator.lt, self, other)

    def __le__(self, other):
        return compare(operator.le, self, other)

    def __gt__(self, other):
        return compare(operator.gt, self, other)

    def __ge__(self, other):
        return compare(operator.ge, self, other)

    def __and__(self, other):
        return compare(operator.and_, self, other)

    def __or__(self, other):
        return compare(operator.or_, self, other)

    def __xor__(self, other):
        return compare(operator.xor, self, other)

    def __invert__(self):
        return compare(operator.invert, self)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # --- shape and indexing ---

    def __getitem__(self, index):
        return apply(GETITEM, self, index=index)

    def __setitem__(self, index, value):
        """`x[index] = value` in place, cast to x's dtype; gradients reach both sides.

        Raises RuntimeError on a leaf that requires grad, except within `no_grad()`. Where gradients are involved, other
        Tensors that share x's memory have an outdated history afterwards, and using them raises RuntimeError.
        """
        assign(self, plain_index(index), value)

    def reshape(self, *shape):
        """The same elements in another shape, one length of which may be -1: `reshape(2, 3)` or `reshape((2, 3))`."""
        return apply(OPS["reshape"], self, shape=shape[0] if len(shape) == 1 else shape)

    def transpose(self, *order, axes=None):
        """The axes in another order, which is one tuple or as many numbers as there are axes; reversed without.

        Raises TypeError for two numbers that would mean one thing in NumPy and another in PyTorch, which swaps these.
        """
        if len(order) == 2 and order != (1, 0):
            raise TypeError(
                f"transpose: two numbers are an order of axes in NumPy, and axes to swap in PyTorch; write "
                f"swapaxes{order} to swap them, transpose({order}) for an order"
            )
        if order:
            axes = order[0] if len(order) == 1 else order
        return apply(OPS["transpose"], self, axes=axes)

    def T(self, axes=None):
        """The axes in another order, reversed if none is given."""
        return apply(OPS["transpose"], self, axes=axes)

    def astype(self, dtype):
        """This Tensor in another real dtype; a gradient flows back between floating ones."""
        return astype(self, dtype)

    def concat(self, others, dim=0):
        """This Tensor and others, one or a sequence of them, joined along the axis `dim`."""
        others = [others] if isinstance(others, (Tensor, np.ndarray)) else others
        return apply(OPS["concat"], self, *others, axis=dim)

    def matmul(self, other):
        """Matrix product, `self @ other`, with NumPy's rules for 1-d operands."""
        return matmul(self, other)

    @tells_arguments
    def norm(self, ord=None, axis=None, keepdims=False):
        """Length of the vectors along an axis, or of all elements as one vector, as `nngrad.norm` has it."""
        return norm(self, ord, axis, keepdims)

    def clip(self, min=None, max=None, clip_grad=False, grad_min=None, grad_max=None):
        """Limit the elements to [min, max]; None is no limit. The gradient passes inside and at the bounds, 0 outside.

        clip_grad: also limit the elements of the gradient that flows back to [grad_min, grad_max].
        grad_min, grad_max: by default min and max.
        """
        x = self
        if clip_grad:
            grad_min, grad_max = (min if grad_min is None else grad_min), (max if grad_max is None else grad_max)
            x = apply(CLIP_GRADIENT, x, min=grad_min, max=grad_max)
        return apply(OPS["clip"], x, min=min, max=max)

    def nan_to_num(self, nan=0.0, posinf=None, neginf=None):
        """This Tensor with numbers in place of NaN and of infinities, which are the largest there are for None."""
        return nan_to_num(self, nan=nan, posinf=posinf, neginf=neginf)

    def where(self, condition, other):
        """This Tensor where the condition, of truth values, holds, and `other` elsewhere, as in PyTorch and pandas.

        Raises TypeError for a condition that is no bool: in `nngrad.where(condition, a, b)` it comes first.
        """
        dtype = array_of(condition).dtype
        if dtype.kind != "b":
            raise TypeError(
                f"where: the condition in x.where(condition, other) must be bool, not {dtype}; compare it with a "
                "number, or write nngrad.where(condition, a, b)"
            )
        return apply(OPS["where"], condition, self, other)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("a 0-d Tensor has no len(); use size or item()")
        return len(self._data)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("a 0-d Tensor can't be iterated over; use item()")
        if not (self._requires_grad and len(self)):
            return (self[i] for i in range(len(self)))
        # Cut apart at once, rows have their gradients joined; by index each would have one with zeros for all others
        rows = apply(OPS["split"], self, sections=len(self), axis=0)
        return (apply(OPS["squeeze"], row, axis=0) for row in rows)

    def __contains__(self, value):
        return bool(np.any((self == value)._data))

    # --- Python and NumPy ---

    def __dir__(self):
        return [name for name in super().__dir__() if name not in NO_METHODS]

    def __bool__(self):
        if self.size != 1:
            raise ValueError(
                f"the truth value of a Tensor of shape {self.shape} is ambiguous; use np.any(t) or np.all(t)"
            )
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return operator.index(self._read())

    def __format__(self, spec):
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self):
        parts = [np.array2string(self._data, separator=", ", prefix="Tensor(")]
        if self.dtype != modes.default_dtype:
            parts.append(f"dtype={self.dtype}")
        if self._node is not None:
            parts.append(f"grad_fn={self._node!r}")
        elif self._requires_grad:
            parts.append("requires_grad=True")
        return f"Tensor({', '.join(parts)})"

    def __reduce__(self):
        """For copy, deepcopy and pickle: leaves only, since a copy would silently lose its history."""
        if self._node is not None:
            raise RuntimeError(
                f"only leaves can be copied or pickled, and this Tensor of shape {self.shape} was computed by "
                f"{self.op}; use detach() for its values or clone() for a copy with its history"
            )
        return restore, (type(self), self._data, self._requires_grad, self._grad if self._has_grad else None)

    def __array__(self, dtype=None, copy=None):
        return np.array(self._read(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        return call_numpy(func, args, kwargs)


graph.Tensor = Tensor


def in_place(name, operation):
    """`x += y` and the like: another Tensor, but for a leaf that would be left as it was where its change is meant."""

    def update(self, other):
        if self._requires_grad and self._node is None and not modes.this_thread.records:
            raise RuntimeError(
                f"`x {name}= step` makes another Tensor, and within no_grad() would leave x, of shape {self.shape}, "
                f"without its step; write `x.data {name}= step`"
            )
        return operation(self, other)

    return update


for name, operation in {"+": "add", "-": "sub", "*": "mul", "/": "truediv"}.items():
    setattr(Tensor, f"__i{operation}__", in_place(name, getattr(Tensor, f"__{operation}__")))


def restore(tensor_class, data, requires_grad, grad):
    """A leaf from what `Tensor.__reduce__` gave."""
    tensor = tensor_class(data, dtype=data.dtype, requires_grad=requires_grad)
    tensor._grad = None if grad is None else grad.copy()
    return tensor


for name in structure.METHODS:
    setattr(Tensor, name, structure.FUNCTIONS[name])
for name in ("all", "any", "argmax", "argmin", "argsort"):
    setattr(Tensor, name, without_gradient(name))
NO_METHODS = {f"{name}_": f"x[...] = x.{name}(...)" for name in vars(TensorMethods) if not name.startswith("_")}
ELSEWHERE = {*OF_PYTORCH, *WITHOUT_EQUAL, *WITHOUT_GRADIENT, *public_names()}
NO_METHODS |= {name: None for name in ELSEWHERE if not hasattr(Tensor, name)}
for name, instead in NO_METHODS.items():
    setattr(Tensor, name, Elsewhere(name, instead))
sys.modules[__name__].__class__ = NoFunction  # `nngrad.tensor(data)` is what users of PyTorch write
