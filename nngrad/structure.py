"""Functions that move, repeat and sort elements, with NumPy's names and arguments.

All are made of a few ops: indexing, whose adjoint adds up what was read twice; reshaping; joining; padding. Where an
index has to be computed, NumPy's own function does it on the places 0, 1, ... of the elements.
"""

import math

import numpy as np

from nngrad.arguments import tells_arguments
from nngrad.engine import apply
from nngrad.functions import CLONE, array_of, matmul, ops, shape_of
from nngrad.graph import wrap
from nngrad.recurrence import RECURRENCE, along


def _axis(name, axis, ndim):
    """An axis counted from 0; AxisError, which is a ValueError, if there is none, TypeError if it is no integer."""
    try:
        return range(ndim)[axis]
    except TypeError:
        raise TypeError(f"{name}: axis must be an integer, got {axis!r}") from None
    except IndexError:
        mend = f"give one from {-ndim} to {ndim - 1}" if ndim else "a single number has none; reshape it to (1,)"
        raise np.exceptions.AxisError(f"{name}: there is no axis {axis} in {ndim} axes; {mend}") from None


def _axes(name, axis, ndim):
    """All axes for None, one or several, counted from 0."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(_axis(name, one, ndim) for one in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def _different_axes(name, axis, ndim):
    """`_axes`, of which none may be named twice."""
    axes = _axes(name, axis, ndim)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: axis {axis} names the same axis twice; name each once")
    return axes


def _copy(x):
    """What a function returns that had nothing to do: never the caller's own Tensor or array."""
    return apply(CLONE, x)


def _gathered(x, places):
    """The elements at places in the order of all elements."""
    return ops.reshape(x, shape=(-1,))[np.asarray(places)]


def _places(x):
    """The place of each element in the order of all elements."""
    shape = shape_of(x)
    return np.arange(math.prod(shape)).reshape(shape)


# --- shapes ----------------------------------------------------------------------------------------------------------


def ravel(a):
    """All elements along one axis."""
    return ops.reshape(a, shape=(-1,))


def flatten(x, start_axis=0, end_axis=-1):
    """The axes from start_axis to end_axis, both included, as one axis."""
    shape = shape_of(x) or (1,)
    start, end = _axis("flatten", start_axis, len(shape)), _axis("flatten", end_axis, len(shape))
    if start > end:
        raise ValueError(f"flatten: start_axis {start_axis} comes after end_axis {end_axis}")
    return ops.reshape(x, shape=(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def atleast_1d(*arys):
    """Each with an axis at least: a number as a vector of one. For several arguments a tuple."""
    return _each_reshaped(arys, lambda shape: shape or (1,))


def atleast_2d(*arys):
    """Each with two axes at least: a vector as a row. For several arguments a tuple."""
    return _each_reshaped(arys, lambda shape: (1,) * (2 - len(shape)) + shape)


def atleast_3d(*arys):
    """Each with three axes at least: a vector as a row, a matrix with a last axis of one. For several a tuple."""
    return _each_reshaped(
        arys, lambda shape: ((1, math.prod(shape)) if len(shape) < 2 else shape) + (1,) * (len(shape) < 3)
    )


def _each_reshaped(arrays, shape):
    """Arrays in the shapes that a function makes of theirs; a single one as it is, several in a tuple."""
    reshaped = tuple(ops.reshape(x, shape=shape(shape_of(x))) for x in arrays)
    return reshaped[0] if len(reshaped) == 1 else reshaped


def permute(x, *axes):
    """The axes in another order."""
    return ops.transpose(x, axes=tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes)


def swapaxes(a, axis1, axis2):
    """Two axes exchanged."""
    order = list(range(len(shape_of(a))))
    first, second = _axis("swapaxes", axis1, len(order)), _axis("swapaxes", axis2, len(order))
    order[first], order[second] = second, first
    return ops.transpose(a, axes=tuple(order))


def moveaxis(a, source, destination):
    """Axes moved to other places; the others stay in their order."""
    ndim = len(shape_of(a))
    sources, destinations = _axes("moveaxis", source, ndim), _axes("moveaxis", destination, ndim)
    if len(set(sources)) != len(set(destinations)) or len(set(sources)) != len(sources):
        raise ValueError(f"moveaxis: source {source} and destination {destination} must name as many axes, none twice")
    left = [axis for axis in range(ndim) if axis not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        left.insert(place, axis)
    return ops.transpose(a, axes=tuple(left))


# --- order -----------------------------------------------------------------------------------------------------------


def flip(m, axis=None):
    """The order of elements reversed along axes."""
    axes = _different_axes("flip", axis, len(shape_of(m)))
    backwards, forwards = slice(None, None, -1), slice(None)
    return ops.getitem(m, index=tuple(backwards if i in axes else forwards for i in range(len(shape_of(m)))))


def fliplr(m):
    """Columns reversed: `flip` along axis 1."""
    return flip(m, 1)


def flipud(m):
    """Rows reversed: `flip` along axis 0."""
    return flip(m, 0)


def roll(a, shift, axis=None):
    """Elements moved along axes; those that leave at the end come in at the start. Without an axis, as if raveled."""
    if axis is None:
        return ops.reshape(roll(ravel(a), shift, 0), shape=shape_of(a))
    axes = _axes("roll", axis, len(shape_of(a)))
    shifts = np.broadcast_to(shift, (len(axes),)).tolist()
    for one, by in zip(axes, shifts, strict=True):
        length = shape_of(a)[one]
        cut = -by % length if length else 0
        if cut:
            parts = [ops.getitem(a, index=along(one, part)) for part in (slice(cut, None), slice(None, cut))]
            a = ops.concat(*parts, axis=one)
    return _copy(a)


def rot90(m, k=1, axes=(0, 1)):
    """A plane turned by 90 degrees k times, from the first axis towards the second."""
    first, second = _axes("rot90", tuple(axes), len(shape_of(m)))
    if first == second:
        raise ValueError(f"rot90: the axes must be different, got {axes}")
    turns = k % 4
    if turns == 2:
        return flip(m, (first, second))
    if turns == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second) if turns == 3 else _copy(m)


def sort(a, axis=-1):
    """Elements in ascending order along an axis; without one, all of them. Equal ones keep their order."""
    if axis is None:
        a, axis = ravel(a), -1
    axis = _axis("sort", axis, len(shape_of(a)))
    return take_along_axis(a, np.argsort(array_of(a), axis, kind="stable"), axis)


def topk(x, k, axis=-1, largest=True):
    """The k largest (or smallest) elements along an axis, in order, and their indices: a pair (values, indices).

    NaN counts as larger than all numbers, as in `sort`.

    Raises ValueError if there are fewer than k.
    """
    length = shape_of(x)[_axis("topk", axis, len(shape_of(x)))]
    if not 0 <= k <= length:
        raise ValueError(f"topk: k must be from 0 to {length}, the length of axis {axis} of {shape_of(x)}, got {k}")
    values = array_of(x)
    places = _places_of_extremes(values, k, axis, largest) if 0 < 8 * k < length else None
    if places is not None:
        values, length = np.take_along_axis(values, places, axis), k
    if largest:  # backwards, so that of equal ones the first is the first in the end
        order = length - 1 - np.flip(np.argsort(np.flip(values, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(values, axis, kind="stable")
    indices = np.take(order, np.arange(k), axis)
    if places is not None:
        indices = np.take_along_axis(places, indices, axis)
    return take_along_axis(x, indices, axis), indices


def _places_of_extremes(values, k, axis, largest):
    """Where the k largest or smallest elements along an axis are, from the first on, found without sorting all.

    None if that is not sure: there are more elements like the last of them, or NaN.
    """
    bound = values.shape[axis] - k if largest else k - 1
    order = np.argpartition(values, bound, axis)
    places = np.sort(np.take(order, np.arange(k) + bound * largest, axis), axis)
    last = np.take_along_axis(values, np.take(order, [bound], axis), axis)
    found = np.count_nonzero(np.take_along_axis(values, places, axis) == last)
    return places if np.count_nonzero(values == last) == found and not np.isnan(last).any() else None


def median(a, axis=None, keepdims=False):
    """The middle element along axes, or the mean of the middle two; NaN where there is one."""
    ndim = len(shape_of(a))
    axes = _different_axes("median", axis, ndim)
    kept = tuple(1 if i in axes else length for i, length in enumerate(shape_of(a)))
    others = [i for i in range(ndim) if i not in axes]
    length = math.prod(shape_of(a)[i] for i in axes)
    rows = ops.reshape(ops.transpose(a, axes=(*others, *axes)), shape=(*(shape_of(a)[i] for i in others), length))
    if not length:
        raise ValueError(f"median: there are no elements along axis {axis} of shape {shape_of(a)}")
    ordered = sort(rows)
    middle = ordered[..., (length - 1) // 2 : length // 2 + 1].mean(-1)
    missing = np.isnan(array_of(ordered)).sum(-1)
    if missing.any():  # NaN comes last; the gradient is that of the first
        first = take_along_axis(ordered, np.minimum(length - missing, length - 1)[..., None])[..., 0]
        middle = ops.where(missing > 0, first, middle)
    return ops.reshape(middle, shape=kept) if keepdims else middle


# --- repetition ------------------------------------------------------------------------------------------------------


def repeat(a, repeats, axis=None):
    """Each element, or each slice along an axis, a number of times, one number for all or one for each."""
    if axis is None:
        a, axis = ravel(a), 0
    axis = _axis("repeat", axis, len(shape_of(a)))
    return ops.getitem(a, index=along(axis, np.repeat(np.arange(shape_of(a)[axis]), repeats)))


def tile(A, reps):
    """The whole array side by side, `reps` times along each axis."""
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    shape = shape_of(A)
    shape, reps = (1,) * (len(reps) - len(shape)) + shape, (1,) * (len(shape) - len(reps)) + reps
    spread = ops.reshape(A, shape=tuple(length for own in shape for length in (1, own)))
    wide = ops.broadcast(spread, shape=tuple(length for pair in zip(reps, shape, strict=True) for length in pair))
    y = ops.reshape(wide, shape=tuple(times * length for times, length in zip(reps, shape, strict=True)))
    return _copy(y) if np.may_share_memory(array_of(y), array_of(A)) else y


def pad(array, pad_width, mode="constant", constant_values=0):
    """An array with a border, `pad_width` as in `numpy.pad`.

    Args:
        array: of any shape.
        pad_width: how wide, for all sides, or (before, after) for all axes, or for each axis.
        mode: 'constant', 'edge', 'reflect', 'symmetric' or 'wrap'.
        constant_values: the number of which a constant border is.

    Raises:
        ValueError: another mode, or a border that the shape does not allow.
    """
    if mode == "constant":
        return ops.pad(array, pad_width=pad_width, value=constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad: mode must be 'constant', 'edge', 'reflect', 'symmetric' or 'wrap', got {mode!r}")
    widths = np.broadcast_to(pad_width, (len(shape_of(array)), 2)).tolist()
    for axis, width in enumerate(widths):
        if any(width):
            places = np.pad(np.arange(shape_of(array)[axis]), width, mode)
            array = ops.getitem(array, index=along(axis, places))
    return _copy(array)


def sliding_window_view(x, window_shape, axis=None):
    """Every window of a shape, its elements along axes at the end."""
    size = (window_shape,) if np.ndim(window_shape) == 0 else tuple(window_shape)
    axes = _axes("sliding_window_view", axis, len(shape_of(x)))
    if len(axes) != len(size):
        raise ValueError(f"sliding_window_view: window_shape {window_shape} must have {len(axes)} lengths")
    ones = (1,) * len(size)
    return ops.windows(x, axes=axes, size=size, step=ones, dilation=ones)


# --- parts -----------------------------------------------------------------------------------------------------------


def tril(m, k=0):
    """The lower triangle of the last two axes, up to the k-th diagonal; zeros elsewhere."""
    return ops.where(_below("tril", m, k), m, False)


def triu(m, k=0):
    """The upper triangle of the last two axes, from the k-th diagonal on; zeros elsewhere."""
    return ops.where(_below("triu", m, k - 1), False, m)


def _below(name, m, k):
    """Where the last two axes are up to the k-th diagonal. A single axis stands for two of its length, as in NumPy."""
    shape = shape_of(m)
    if not shape:
        raise ValueError(f"{name}: a single number has no triangle; give an array of at least one axis")
    return np.tri(*shape[-2:], k=k, dtype=bool)


def diagonal(a, offset=0, axis1=0, axis2=1):
    """The diagonal of two axes, along a last axis in their place."""
    places = np.diagonal(_places(a), offset, *_different_axes("diagonal", (axis1, axis2), len(shape_of(a))))
    return _gathered(a, places)


def diag(v, k=0):
    """The k-th diagonal of a matrix, or the matrix with a vector on its k-th diagonal."""
    shape = shape_of(v)
    if len(shape) == 2:
        return diagonal(v, k)
    if len(shape) != 1:
        raise ValueError(f"diag: the input must have one axis or two, got shape {shape}")
    size = shape[0] + abs(k)
    rows, columns = np.arange(shape[0]) + max(-k, 0), np.arange(shape[0]) + max(k, 0)
    return ops.scatter_add(v, shape=(size, size), index=(rows, columns))


def trace(a, offset=0, axis1=0, axis2=1):
    """The sum of a diagonal."""
    return diagonal(a, offset, axis1, axis2).sum(-1)


def take(a, indices, axis=None):
    """Elements at indices along an axis; without one, of all elements."""
    if axis is None:
        a, axis = ravel(a), 0
    return ops.getitem(a, index=along(_axis("take", axis, len(shape_of(a))), array_of(indices)))


def index_select(x, axis, index):
    """Slices at the indices along an axis: `take` with PyTorch's name and order."""
    return take(x, index, axis)


def take_along_axis(arr, indices, axis=-1):
    """For each element of `indices` the element of its row there; the other axes broadcast."""
    if axis is None:
        arr, axis = ravel(arr), 0
    indices, shape = array_of(indices), shape_of(arr)
    axis = _axis("take_along_axis", axis, len(shape))
    if indices.ndim != len(shape):
        raise ValueError(f"take_along_axis: indices of shape {indices.shape} must have {len(shape)} axes, as {shape}")
    return ops.getitem(arr, index=_places_along(shape, indices, axis))


def gather(x, axis, index):
    """y[i, j] = x[index[i, j], j] for axis 0, and so on: PyTorch's `gather`.

    Raises ValueError if `index` is longer than x along another axis.
    """
    index, shape = array_of(index), shape_of(x)
    axis = _axis("gather", axis, len(shape))
    if index.ndim != len(shape) or any(
        own > length for i, (own, length) in enumerate(zip(index.shape, shape, strict=True)) if i != axis
    ):
        raise ValueError(f"gather: index of shape {index.shape} does not fit {shape} along axis {axis}")
    return ops.getitem(x, index=_places_along(index.shape, index, axis))


def _places_along(shape, indices, axis):
    """The index that reads `indices` along an axis, and each place of the other axes."""
    others = [np.arange(length).reshape(-1, *(1,) * (len(shape) - 1 - i)) for i, length in enumerate(shape)]
    return (*others[:axis], indices, *others[axis + 1 :])


def array_split(ary, indices_or_sections, axis=0):
    """Parts along an axis, as equal as can be, or cut at the given places: a tuple."""
    axis = _axis("array_split", axis, len(shape_of(ary)))
    parts = np.array_split(np.arange(shape_of(ary)[axis]), indices_or_sections)
    return tuple(ops.getitem(ary, index=along(axis, part)) for part in parts)


# --- joining ---------------------------------------------------------------------------------------------------------


def vstack(tup):
    """Rows joined: along axis 0, after a vector is made a row."""
    return ops.concat(*map(atleast_2d, tup), axis=0)


def hstack(tup):
    """Columns joined: along axis 1, vectors along their only axis."""
    tup = [atleast_1d(x) for x in tup]
    return ops.concat(*tup, axis=0 if len(shape_of(tup[0])) == 1 else 1)


def dstack(tup):
    """Joined along axis 2, after a vector or a matrix is given the axes it lacks."""
    return ops.concat(*map(atleast_3d, tup), axis=2)


def column_stack(tup):
    """Columns joined: along axis 1, after a vector is made a column."""
    return ops.concat(*(x if len(shape_of(x)) > 1 else ops.reshape(x, shape=(-1, 1)) for x in tup), axis=1)


def append(arr, values, axis=None):
    """Two arrays joined along an axis; without one, all elements of both."""
    if axis is None:
        arr, values, axis = ravel(arr), ravel(values), 0
    return ops.concat(arr, values, axis=axis)


# --- products --------------------------------------------------------------------------------------------------------


def dot(a, b):
    """The sum over the last axis of a and the last but one of b; with a number, the product."""
    if not shape_of(a) or not shape_of(b):
        return ops.multiply(a, b)
    return _summed_products("dot", a, b, (-1,), (-2 if len(shape_of(b)) > 1 else -1,))


def inner(a, b):
    """The sum over the last axes of both; with a number, the product."""
    if not shape_of(a) or not shape_of(b):
        return ops.multiply(a, b)
    return _summed_products("inner", a, b, (-1,), (-1,))


def outer(a, b):
    """The products of all elements of a, along the rows, with all of b, along the columns."""
    return ops.outer(ops.reshape(a, shape=(-1,)), ops.reshape(b, shape=(-1,)))


def tensordot(a, b, axes=2):
    """The sum of products over axes of a and as many of b; the other axes of a stand before those of b.

    Args:
        a, b: the operands.
        axes: how many, the last of a and the first of b; or the axes of a, and those of b.

    Raises:
        ValueError: the axes do not have the same lengths.
    """
    if np.ndim(axes) == 0 and isinstance(axes, (int, np.integer)):
        last = len(shape_of(a))
        axes = tuple(range(last - axes, last)), tuple(range(axes))
    return _summed_products("tensordot", a, b, *axes)


def _summed_products(name, a, b, of_a, of_b):
    """The sum of products over some axes of a and some of b, for the function of that name."""
    left, right = shape_of(a), shape_of(b)
    of_a, of_b = _axes(name, of_a, len(left)), _axes(name, of_b, len(right))
    if [left[axis] for axis in of_a] != [right[axis] for axis in of_b]:
        raise ValueError(f"{name}: axes {of_a} of {left} and {of_b} of {right} don't have the same lengths")
    rows = [axis for axis in range(len(left)) if axis not in of_a]
    columns = [axis for axis in range(len(right)) if axis not in of_b]
    shared = math.prod(left[axis] for axis in of_a)
    shape = (*(left[axis] for axis in rows), *(right[axis] for axis in columns))
    heights, widths = math.prod(left[axis] for axis in rows), math.prod(right[axis] for axis in columns)
    first = ops.reshape(ops.transpose(a, axes=(*rows, *of_a)), shape=(heights, shared))
    second = ops.reshape(ops.transpose(b, axes=(*of_b, *columns)), shape=(shared, widths))
    return ops.reshape(matmul(first, second), shape=shape)


# --- running sums and products ---------------------------------------------------------------------------------------


def cumsum(a, axis=None):
    """Sums of the elements up to each along an axis; without one, of all elements."""
    return ops.cumsum(ravel(a), axis=0) if axis is None else ops.cumsum(a, axis=axis)


def cumprod(a, axis=None):
    """Products of the elements up to each along an axis; without one, of all elements."""
    if axis is None:
        a, axis = ravel(a), 0
    return apply(RECURRENCE, a, None, axis=_axis("cumprod", axis, len(shape_of(a))))


def diff(a, n=1, axis=-1):
    """Differences of neighbours along an axis, n times; ValueError for a negative n."""
    if n < 0:
        raise ValueError(f"diff: n must be at least 0, got {n}")
    axis = _axis("diff", axis, len(shape_of(a)))
    for _ in range(n):
        later, earlier = along(axis, slice(1, None)), along(axis, slice(None, -1))
        a = ops.subtract(ops.getitem(a, index=later), ops.getitem(a, index=earlier))
    return _copy(a)


# --- rounding --------------------------------------------------------------------------------------------------------


def round(a, decimals=0):
    """The nearest number with so many decimals, in a tie that with the even digit; its derivative is 0."""
    if array_of(a).dtype.kind in "iu":
        return wrap(np.asarray(np.round(array_of(a), decimals)))
    if not decimals:
        return ops.rint(a)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return ops.divide(ops.rint(ops.multiply(a, scale)), scale)
    return ops.multiply(ops.rint(ops.divide(a, scale)), scale)


FUNCTIONS = {
    function.__name__: tells_arguments(function)
    for function in (
        ravel, flatten, atleast_1d, atleast_2d, atleast_3d, permute, swapaxes, moveaxis, flip, fliplr, flipud, roll,
        rot90, sort, topk, median, repeat, tile, pad, sliding_window_view, tril, triu, diagonal, diag, trace, take,
        index_select, take_along_axis, gather, array_split, vstack, hstack, dstack, column_stack, append, dot, inner,
        outer, tensordot, cumsum, cumprod, diff, round,
    )
}  # fmt: skip
globals().update(FUNCTIONS)  # here too they are those that tell their arguments: functions are pickled by name
METHODS = (
    "ravel", "flatten", "permute", "swapaxes", "moveaxis", "flip", "fliplr", "flipud", "roll", "rot90", "sort", "topk",
    "median", "repeat", "tile", "pad", "tril", "triu", "diagonal", "diag", "trace", "take", "index_select", "gather",
    "take_along_axis", "dot", "inner", "outer", "tensordot", "cumsum", "cumprod", "diff",
    "round",
)  # fmt: skip
