"""What an op is called with, made into what its kernel wants: arrays of real numbers, of one dtype."""

import numpy as np

from nngrad import graph, modes

NUMBERS = (float, int, bool, np.floating, np.integer, np.bool)
PLAIN = {float, int, bool, str, tuple, type(None)}


def as_array(data, what="data"):
    """A fresh array of real numbers from an array, a number or a list of them; TypeError, naming `what`, otherwise.

    ValueError for nested lists whose lengths differ.
    """
    try:
        array = np.array(data)
    except ValueError as error:
        raise ValueError(f"{what} must be rows of equal lengths: {error}") from error
    if array.dtype.kind not in "biuf":
        kind = f"an array of dtype {array.dtype}" if isinstance(data, np.ndarray) else f"a {type(data).__name__}"
        if isinstance(data, (list, tuple)):
            parts = np.array(data, dtype=object).flat
            odd = [type(x).__name__ for x in parts if not isinstance(x, (*NUMBERS, graph.Tensor))]
            kind += f" with a {odd[0]} in it" if odd else " of numbers too large for NumPy"
        if callable(data) and hasattr(data, "__name__"):
            kind += f"; did you mean to call it, {data.__name__}()?"
        raise TypeError(f"{what} must be a Tensor, an array, a list or a number of real dtype, not {kind}")
    return array


def as_operand(data, what):
    """`as_array` for what gradients are to flow from; TypeError for a list of Tensors, which would lose them."""
    if modes.this_thread.records and isinstance(data, (list, tuple)) and _has_history(data):
        raise TypeError(
            f"{what} is a {type(data).__name__} of Tensors that require grad, and as an array it would lose their "
            "gradients; join them by nngrad.stack or nngrad.concat, or pass their detach()"
        )
    return as_array(data, what)


def _has_history(data):
    if isinstance(data, (list, tuple)):
        return any(map(_has_history, data))
    return isinstance(data, graph.Tensor) and data._requires_grad


def real_dtype(dtype):
    """A dtype as NumPy's object for it, in native byte order; TypeError unless it is one of real numbers."""
    try:
        dtype = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise TypeError(f"{dtype!r} is no dtype; give NumPy's or its name, as np.float32 or 'float32'") from None
    if dtype.kind not in "biuf":
        raise TypeError(f"a Tensor holds real numbers, not {dtype}; use a floating, integer or bool dtype")
    return dtype


def conform(op, inputs):
    """Inputs and their arrays as the kernel wants them: of one dtype where gradients flow.

    Arrays are copied, as by `Tensor(array)`, so that a later change to them can't reach the graph. Numbers and lists of
    numbers take the dtype of the other inputs. A Tensor of another dtype is cast by an op like any other, whose
    derivative casts back.
    """
    arrays, dtype, others = [], None, []
    for x in inputs:
        if isinstance(x, graph.Tensor):
            x = x._data
            if x.dtype is not dtype:
                if dtype is not None:
                    return cast(op, inputs)
                dtype = x.dtype
        else:
            others.append(len(arrays))
        arrays.append(x)
    if dtype is None or not (dtype.kind == "f" or op.keeps_integers):
        return cast(op, inputs)
    if others:
        inputs = list(inputs)
        for i in others:
            x = arrays[i]
            carries = op.all_differentiable or op.differentiable[i]
            if carries and (type(x) is float or type(x) is int) and dtype.kind == "f":
                x = np.asarray(x, dtype)
            elif not carries and isinstance(x, np.ndarray):
                x = as_array(x)
            else:
                return cast(op, inputs)
            inputs[i] = arrays[i] = x
    return inputs, arrays


def cast(op, inputs):
    """The same for inputs of any kind and dtype."""
    inputs = list(inputs)
    several = len(op.inputs) != len(inputs)  # of an op that takes any number of inputs, and declares one
    places, dtypes, numbers = [], [], []  # places: of the differentiable inputs
    for i, x in enumerate(inputs):
        declared = 0 if several else i
        wanted = op.differentiable[declared]
        if isinstance(x, graph.Tensor):
            if wanted:
                dtypes.append(x._data.dtype)
        elif wanted and isinstance(x, NUMBERS):
            numbers.append(x if isinstance(x, (float, int)) else x.item())
        elif x is None and op.defaults[declared] is None:
            continue
        else:
            inputs[i] = array = as_operand(x, f"{op.name}: input {op.inputs[declared]}")
            if wanted and isinstance(x, (list, tuple)):
                numbers.append({"b": False, "f": 0.0}.get(array.dtype.kind, 0))
            elif wanted:
                dtypes.append(array.dtype)
        if wanted:
            places.append(i)
    dtype = common_dtype(dtypes, numbers, op.keeps_integers)
    for i in places:
        x = inputs[i]
        if not isinstance(x, graph.Tensor):
            inputs[i] = np.asarray(x, dtype)
        elif x._data.dtype != dtype:
            inputs[i] = x.astype(dtype)
    return inputs, [x._data if isinstance(x, graph.Tensor) else x for x in inputs]


def common_dtype(dtypes, numbers, keeps_integers):
    """What NumPy promotes `dtypes` to, with `numbers` that never widen; the default dtype for floats made of integers.

    keeps_integers: whether the op computes with integers; if not, they count for nothing beside floats.
    """
    floating = [dtype for dtype in dtypes if dtype.kind == "f"]
    if floating and (len(floating) == len(dtypes) or not keeps_integers):
        return floating[0] if len(floating) == 1 else np.result_type(*floating)
    if not keeps_integers or not (dtypes or numbers):
        return modes.default_dtype
    dtype = np.result_type(*dtypes, *numbers)
    return modes.default_dtype if dtype.kind == "f" and not floating else dtype


def plain_parameters(op, params):
    """Parameters with plain numbers for NumPy's scalars, which would widen the result, and for Tensors and arrays.

    Structural ops keep arrays, copied as lists are, since the graph reads them later. Raises TypeError for other arrays
    of more than one element, for an axis that is a float, and for a Tensor that requires grad: parameters carry no
    gradient, so none may be expected of it.
    """
    for name, value in params.items():
        kind = type(value)
        if name == "index":
            params[name] = plain_index(value)
            continue
        if kind in PLAIN:
            if kind is float and name == "axis":
                refuse_axis(op, value)
            continue
        if isinstance(value, list):
            params[name] = as_tuple(value)
            continue
        if isinstance(value, graph.Tensor):
            if value._requires_grad:
                raise TypeError(
                    f"{op.name}: parameter {name} carries no gradient, but a Tensor of shape {value.shape} that "
                    f"requires grad was given; pass {name}.detach() if that is meant"
                )
            value = value._data
        if isinstance(value, np.ndarray) and op.family != "structural":
            if value.size != 1:
                hint = "; what takes two arrays has another name, as maximum(x, y)" if name == "axis" else ""
                raise TypeError(
                    f"{op.name}: parameter {name} must be a number, not an array of shape {value.shape}{hint}"
                )
            params[name] = value.item()
        elif isinstance(value, (np.generic, np.ndarray)):
            params[name] = value.copy() if value.ndim else value.item()
        if name == "axis" and type(params[name]) is float:
            refuse_axis(op, params[name])
    return params


def refuse_axis(op, axis):
    """Raise the TypeError for an axis that is a floating number."""
    raise TypeError(f"{op.name}: axis must be an integer, a tuple of them or None, got {axis}")


def plain_index(index):
    """An index in NumPy's terms, with arrays for Tensors and lists, copied since the graph keeps it."""
    if isinstance(index, tuple):
        return tuple(map(plain_index, index))
    if isinstance(index, graph.Tensor):
        return index._data.copy()
    if isinstance(index, (list, np.ndarray)):
        array = np.array(index)
        return array.astype(np.intp) if array.size == 0 and isinstance(index, list) else array
    return index


def as_tuple(value):
    """A list as a tuple, and so are the lists in it: nobody can change them."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


def misfit(name, arrays, params, error):
    """The error to raise for inputs that the kernel of the op `name` refused, of the type that NumPy chose."""
    shapes = ", ".join(str(np.shape(array)) for array in arrays)
    chosen = "".join(f", {key}={value!r}" for key, value in params.items())
    reason = str(error).removeprefix(f"{name}: ").strip()
    if "must be of integer" in reason:
        mend = "; index with integers: a list, an array, or Tensor(data, dtype=int), which keeps them"
    elif "must be" in reason:
        mend = ""  # a kernel of ours has said it already
    elif isinstance(error, TypeError):
        mend = "; give values of a type that it takes"
    elif isinstance(error, IndexError):
        mend = "; give an index or axis that the shape has"
    else:
        mend = "; reshape or broadcast the inputs so that they fit" + (", or change the parameters" if params else "")
    kind = TypeError if isinstance(error, TypeError) else type(error)  # NumPy's own kinds of it take other arguments
    return kind(f"{name}: {reason} (inputs of shape {shapes}{chosen}){mend}")
