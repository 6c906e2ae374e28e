"""Ops as functions on Tensors: the public ones, those that derivatives are written in, and NumPy's own.

`function(op)` is all it takes for an op from the generated package. The few functions written out here have arguments
that NumPy arranges in another way. NumPy's functions come to the same functions by their name.
"""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from inspect import signature

import numpy as np

from nngrad import graph
from nngrad.arguments import refuse_arguments, refuse_unknown, tells_arguments
from nngrad.engine import OPS, Op, apply, apply_two
from nngrad.graph import wrap
from nngrad.inputs import as_array, misfit, real_dtype
from nngrad.op_function import op_function

# --- two ops without a formula ---------------------------------------------------------------------------------------


def without_formula(name, forward, vjp, pullback, params):
    """An op whose output is its input, and whose derivative is said rather than derived."""
    op = Op(name, "structural", "structural", ("x",), params=params, keeps_integers=True)
    op.kernel = op.forward = forward
    op.vjp, op.pullback = vjp, pullback
    op.pull = op.compiled_pull()
    op.jvp = lambda t, **params: t
    op.pushforward = lambda ops, tangents, inputs, y, **params: tangents[0]
    return op


CLONE = without_formula(
    "clone",
    np.copy,
    vjp=lambda g: g,
    pullback=lambda ops, g, inputs, y, needs: (g,),
    params={},
)
CLIP_GRADIENT = without_formula(
    "clip_gradient",
    lambda x, min, max: x,
    vjp=lambda g, min, max: np.clip(g, min, max, out=...),
    pullback=lambda ops, g, inputs, y, needs, min, max: (ops.clip(g, min, max),),
    params={"min": ..., "max": ...},
)

# --- functions -------------------------------------------------------------------------------------------------------

HOMES = {"activation": "nngrad.nn.functional", "loss": "nngrad.nn.functional", "norm": "nngrad.nn.functional"}
IN_NNGRAD = {"op", "contraction", "structural"}


@cache
def function(op, first=None):
    """`op` as an OpFunction of Tensors, arrays and numbers: its inputs, then its parameters, by position or by name.

    The first input may be called by another name than the formula has. The function is compiled from its own
    signature, as `dataclasses` does, so that wrong arguments get Python's own TypeError, or one that knows PyTorch's
    names of them.
    """
    import_module("nngrad.tensor")  # without it nothing can run; a user's package may come here before anything else
    names = (first or op.inputs[0], *op.inputs[1:])
    inputs = [name if default is ... else f"{name}=None" for name, default in zip(names, op.defaults, strict=True)]
    params = [name if default is ... else f"{name}=_defaults[{name!r}]" for name, default in op.params.items()]
    if None in op.defaults and ... in op.params.values():
        params.insert(0, "*")  # a required parameter can't follow an optional input by position
    passed = [*names, *(f"{name}={name}" for name in op.params)]
    body = f"    return _apply(_op, {', '.join(passed)})\n"
    params.append("**unknown")
    body = f"    if unknown:\n        _refuse(_op.name, _takes, unknown)\n{body}"
    source = f"def {op.name}({', '.join(inputs + params)}):\n{body}"
    generated = op.kernel.__module__.startswith("nngrad_ops")
    module = HOMES.get(op.home, "nngrad") if generated else op.kernel.__module__.rpartition(".")[0]
    namespace = {"__name__": module, "_apply": apply, "_op": op, "_defaults": op.params}
    namespace.update(_refuse=refuse_arguments, _takes=(*names, *op.params))
    exec(compile(source, f"<nngrad {op.name}>", "exec"), namespace)
    namespace[op.name].__doc__ = op.kernel.__doc__
    return op_function(namespace[op.name], op.kernel, (op,))


class Operations:
    """Every op as a function, by name: `ops.exp(x)`. Derivatives that can be differentiated again are made of them."""

    def __getattr__(self, name):
        if name not in OPS:
            raise AttributeError(f"there is no op {name!r}")
        setattr(self, name, function(OPS[name]))
        return getattr(self, name)

    def unbroadcast(self, x, shape):
        """x itself where it has the shape, as most have of what derivatives ask it for."""
        return x if isinstance(x, graph.Tensor) and x.shape == shape else apply(OPS["unbroadcast"], x, shape=shape)


ops = Operations()


def matmul(a, b):
    """Matrix product of the last two axes, the others broadcast; a 1-d operand is a row on the left, a column right.

    Raises ValueError if the shapes don't fit or an operand is 0-d.
    """
    left, right = shape_of(a), shape_of(b)
    if not left or not right:
        for operand in (a, b):
            as_array(operand, "matmul: an operand")  # TypeError if it is no number either
        raise ValueError(f"matmul: an operand is 0-d (shapes {left} and {right}); use * to multiply by a number")
    if left[-1] != right[-2:][0]:
        raise ValueError(
            f"matmul: shapes {left} and {right} don't fit: {left[-1]} columns against {right[-2:][0]} rows; transpose "
            "or reshape one of them"
        )
    row, column = len(left) == 1, len(right) == 1
    if row:
        a = apply(OPS["expand_dims"], a, axis=0)
    if column:
        b = apply(OPS["expand_dims"], b, axis=1)
    y = apply_two(OPS["matmul"], a, b)
    return apply(OPS["squeeze"], y, axis=(-2,) * row + (-1,) * column) if row or column else y


def shape_of(x):
    """np.shape without the detour through `Tensor.__array_function__`; ValueError for rows of different lengths."""
    if isinstance(x, graph.Tensor):
        return x._data.shape
    try:
        return np.shape(x)
    except ValueError:
        return as_array(x).shape  # which tells more of rows that differ in length


def array_of(x):
    """The array of a Tensor, not a copy, or the one that something else is."""
    return x._data if isinstance(x, graph.Tensor) else np.asarray(x)


def tensor_of(x):
    """x if it is a Tensor; else a Tensor of it, in which arrays keep their dtype."""
    return x if isinstance(x, graph.Tensor) else graph.Tensor(x, dtype=getattr(x, "dtype", None))


def astype(x, dtype):
    """x in another real dtype; a gradient flows back between floating ones."""
    return apply(OPS["astype"], x, dtype=real_dtype(dtype))


@tells_arguments
def concat(arrays, axis=0):
    """Join a sequence of Tensors or arrays along an axis that they have; their other axes must be equal."""
    return _joined("concat", arrays, axis)


@tells_arguments
def stack(arrays, axis=0):
    """Join a sequence of Tensors or arrays of one shape along a new axis."""
    return _joined("stack", arrays, axis)


def _joined(name, arrays, axis):
    if not isinstance(arrays, Iterable):
        raise TypeError(f"{name}: what is to be joined must be a sequence, {name}([x, y]), not {type(arrays).__name__}")
    if isinstance(axis, (graph.Tensor, np.ndarray)) and axis.ndim:
        raise TypeError(
            f"{name}: axis must be an integer, not an array of shape {axis.shape}; what is to be joined goes into one "
            f"list, {name}([x, y])"
        )
    return apply(OPS[name], *arrays, axis=axis)


def einsum(subscripts, *operands):
    """Einstein's sum convention, as in `einsum('ij,jk->ik', a, b)`."""
    return apply(OPS["einsum"], *operands, subscripts=subscripts)


@tells_arguments
def norm(x, ord=None, axis=None, keepdims=False):
    """Length of a vector, as `numpy.linalg.norm` has it; its gradient at 0, and by an element that is 0, is 0.

    Args:
        x: of any shape.
        ord: the order p of (sum |x|^p)^(1/p); inf and -inf for the largest and the smallest |x|, None for 2; 0 for the
            number of elements that are not 0, whose gradient is 0.
        axis: the axis of the vectors, or several axes that together make a vector; None for all of them.
        keepdims: whether the axes stay, with length 1.

    Returns:
        A Tensor of the lengths.

    Raises:
        ValueError: ord is a word, such as 'nuc', that says how long a matrix is.
    """
    params = {"axis": axis, "keepdims": keepdims}
    if ord in (None, 2, "fro"):
        return apply(OPS["norm"], x, ord="2", **params)
    if isinstance(ord, str):
        raise ValueError(f"norm: ord must be a number, inf, -inf or None, got {ord!r}")
    if ord == 0:
        return apply(OPS["sum"], apply(OPS["where"], array_of(x) != 0, 1, apply(OPS["sign"], x)), **params)
    if ord == -np.inf:
        return apply(OPS["min"], apply(OPS["abs"], x), **params)
    if ord < 1:  # |x|^ord is infinitely steep at 0, from where nothing is to come back
        is_zero = array_of(x) == 0
        size = apply(OPS["where"], is_zero, 1, apply(OPS["abs"], x))
        terms = apply(OPS["where"], is_zero, 0 if ord > 0 else np.inf, apply(OPS["power"], size, ord))
        return apply(OPS["power"], apply(OPS["sum"], terms, **params), 1 / ord)
    named = {1: "1", np.inf: "inf"}.get(ord)
    return apply(OPS["norm"], x, ord=named, **params) if named else apply(OPS["norm"], x, ord="p", p=ord, **params)


def float_power(x1, x2):
    """x1 to the power x2 in float64, elementwise."""
    return apply(OPS["power"], astype(tensor_of(x1), np.float64), astype(tensor_of(x2), np.float64))


def positive(x):
    """A copy of x: +x."""
    return apply(CLONE, x)


def ldexp(x1, x2):
    """x1 times 2 to the power x2, elementwise: in two steps, since that power may be out of range beside a small x1."""
    x2 = ops.multiply(x2, 1.0)  # an integer in the default dtype
    half = ops.floor(x2 * 0.5)
    return ops.multiply(x1, ops.exp2(half)) * ops.exp2(x2 - half)


def modf(x):
    """x as a fraction and a whole number, both with its sign: a pair."""
    return ops.frac(x), ops.trunc(x)


def divmod(x1, x2):
    """The quotient's floor, and the remainder: a pair."""
    return ops.floor_divide(x1, x2), ops.remainder(x1, x2)


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """x with a number in place of NaN, and the largest and the lowest number, or others, in place of infinity."""
    x = tensor_of(x)
    if x.dtype.kind != "f":
        return positive(x)
    limits = np.finfo(x.dtype)
    largest = float(limits.max) if posinf is None else posinf
    lowest = float(limits.min) if neginf is None else neginf
    return apply(OPS["nan_to_num"], x, nan=nan, posinf=largest, neginf=lowest)


@cache
def with_op(call):
    """A function written out here as an OpFunction of `nngrad`, with the op that is its name's."""
    op = OPS[call.__name__]
    made = op_function(call, op.kernel, (op,))
    made.__module__ = "nngrad"
    return made


def without_gradient(name):
    """A function of NumPy whose results are places or truths: it gives a Tensor that carries no gradient."""

    theirs = getattr(np, name)

    def call(*args, **kwargs):
        if kwargs and not isinstance(theirs, np.ufunc):
            refuse_unknown(name, theirs, kwargs)
        return wrap(np.asarray(theirs(*without_tensors(args), **without_tensors(kwargs))))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`numpy.{name}` of Tensors: a Tensor without gradient."
    return call


ANSWERS = (
    "argmax", "argmin", "argsort", "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less",
    "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "not_equal", "signbit",
)  # fmt: skip
WRITTEN_OUT = {
    **{name: without_gradient(name) for name in ANSWERS},
    "float_power": float_power, "positive": positive, "ldexp": ldexp, "modf": modf, "divmod": divmod,
    "nan_to_num": nan_to_num, "astype": astype, "concat": concat, "stack": stack, "matmul": matmul, "einsum": einsum,
    "norm": norm,
}  # fmt: skip
OF_ONE_OP = {matmul, einsum, norm}


NAMES = {
    "absolute": "abs", "acos": "arccos", "acosh": "arccosh", "amax": "max", "amin": "min", "asin": "arcsin",
    "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2", "atanh": "arctanh", "broadcast_to": "broadcast",
    "concatenate": "concat", "conj": "positive", "conjugate": "positive", "degrees": "rad2deg", "fabs": "abs",
    "pow": "power", "radians": "deg2rad",
    "copy": "positive", "around": "round",
}  # fmt: skip


def public_names():
    """The names of the functions in `nngrad`."""
    own = {name for name, op in OPS.items() if op.home in IN_NNGRAD} | {"sigmoid", "tanh"}
    return own.union(WRITTEN_OUT, NAMES, import_module("nngrad.structure").FUNCTIONS)


def public(name):
    """The public function of a name, by NumPy's other names too; None if there is no such op."""
    name = NAMES.get(name, name)
    written = WRITTEN_OUT.get(name) or import_module("nngrad.structure").FUNCTIONS.get(name)
    if written is None:
        return function(OPS[name]) if name in OPS else None
    return with_op(written) if written in OF_ONE_OP else written


# --- NumPy's functions -----------------------------------------------------------------------------------------------

ARGUMENTS = {"a_min": "min", "a_max": "max", "constant_values": "value", "indices_or_sections": "sections"}
PLACES = (np, np.linalg, np.lib.stride_tricks)
WITHOUT_GRADIENT = {
    "all", "allclose", "any", "argmax", "argmin", "argsort", "argwhere", "array_equal", "array_equiv", "bincount",
    "count_nonzero", "empty_like", "flatnonzero", "full_like", "isclose", "iscomplexobj", "isrealobj",
    "may_share_memory", "ndim", "nonzero", "ones_like", "result_type", "searchsorted", "shape", "shares_memory", "size",
    "zeros_like",
}  # fmt: skip


def compare(operation, *operands):
    """A NumPy operation without gradient: a Tensor of its result."""
    arrays = [
        x._data if isinstance(x, graph.Tensor) else x.item() if isinstance(x, np.generic) else x for x in operands
    ]
    try:
        return wrap(np.asarray(operation(*arrays)))
    except (ValueError, TypeError) as error:
        raise misfit(operation.__name__.strip("_"), arrays, {}, error) from error


def call_ufunc(ufunc, method, inputs, kwargs):
    """`Tensor.__array_ufunc__`: np.exp(t), np.add(array, t), array * t."""
    name = NAMES.get(ufunc.__name__, ufunc.__name__)
    if method != "__call__":
        raise TypeError(
            f"np.{ufunc.__name__}.{method} does not work on Tensors; use a method of Tensor such as sum(), or call "
            f"np.{ufunc.__name__}.{method} on t.numpy()"
        )
    if kwargs:
        example = ", as in `array += t.numpy()`" if "out" in kwargs else ""
        raise TypeError(
            f"np.{ufunc.__name__} takes no {', '.join(kwargs)}= with Tensors, which are never written into; leave "
            f"it out, or use t.numpy(){example}"
        )
    if name not in ANSWERS and (call := public(name)) is not None:
        return call(*inputs)
    no_floats = all(x.dtype.kind != "f" for x in inputs if isinstance(x, graph.Tensor))
    if no_floats or any(types.endswith("d->?") for types in ufunc.types):
        return compare(ufunc, *inputs)
    raise unsupported(f"np.{ufunc.__name__}")


def call_numpy(func, args, kwargs):
    """`Tensor.__array_function__`: np.sum(t, axis=0), np.concatenate([t, u])."""
    name = NAMES.get(func.__name__, func.__name__)
    path = f"{func.__module__.replace('numpy', 'np', 1)}.{func.__name__}"
    if name in WITHOUT_GRADIENT or (func is np.where and len(args) == 1):  # with one argument it is nonzero
        result = func(*map(without_tensors, args), **{key: without_tensors(value) for key, value in kwargs.items()})
        return wrap(result) if isinstance(result, np.ndarray) else result
    if all(getattr(place, func.__name__, None) is not func for place in PLACES) or (call := public(name)) is None:
        raise unsupported(path)
    if call is import_module("nngrad.structure").FUNCTIONS.get(name):  # it has NumPy's own arguments
        return call(*args, **kwargs)
    parameters = signature(func).parameters
    given = signature(func).bind(*args, **kwargs).arguments
    if func is np.linalg.norm:
        refuse_matrix_norm(**given)
    count = 1 if name in WRITTEN_OUT else len(OPS[name].inputs)
    inputs = given.pop("operands", None) or [given.pop(argument) for argument in list(given)[:count]]
    given.update(given.pop("kwargs", {}))
    params = {}
    for argument, value in given.items():
        ours = ARGUMENTS.get(argument, argument)
        default = parameters[argument].default if argument in parameters else ...
        if value is default or (isinstance(value, str) and value == default):
            continue
        if ours not in OPS[name].params:
            raise TypeError(f"{path} takes no {argument}= with Tensors; leave it out, or use t.numpy()")
        params[ours] = value
    return call(*inputs, **params)


def refuse_matrix_norm(x, ord=None, axis=None, keepdims=False):
    """TypeError where `numpy.linalg.norm` takes a matrix: apart from Frobenius's, its norms are not its elements'."""
    axes = x.ndim if axis is None else len(axis) if isinstance(axis, (tuple, list)) else 1
    if axes != 1 and ord not in (None, "fro"):
        raise TypeError(
            f"np.linalg.norm with ord={ord!r} is a norm of matrices, which has no counterpart with a gradient; "
            "nngrad.norm is that of their elements as one vector"
        )


def without_tensors(value):
    """An argument with arrays for Tensors, in lists and tuples too."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(without_tensors, value))
    return value._data if isinstance(value, graph.Tensor) else value


def unsupported(path):
    return TypeError(f"{path} has no counterpart with a gradient; use {path}(t.numpy()) for the value")
