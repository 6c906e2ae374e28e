"""Convolutions: padding, groups and bias around the cross-correlations of the spec, and their adjoints."""

from collections.abc import Sequence
from typing import Any

from nngrad.arguments import tells_arguments
from nngrad.functions import ops, shape_of, tensor_of
from nngrad.inputs import NUMBERS
from nngrad.tensor import Tensor

Lengths = int | Sequence[int]
SPATIAL = {1: ("length",), 2: ("height", "width")}


@tells_arguments
def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of signals, y[n, o, i] = sum x[n, c, stride i + dilation p] w[o, c, p] + b[o] (LeCun 1989).

    Args:
        input: x, of shape (N, C, L) or (C, L).
        weight: w, of shape (O, C / groups, size).
        bias: b, of shape (O,), or None.
        stride: by how much the kernel moves.
        padding: zeros on both sides; 'valid' for none, 'same' for as many as keep the length.
        dilation: how far apart the kernel's elements are.
        groups: how many groups the channels of x and y form; each group of y sees that of x alone.

    Returns:
        A Tensor of shape (N, O, L') or (O, L').

    Raises:
        ValueError: the shapes do not fit, or an argument is out of range.
    """
    return _convolved("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@tells_arguments
def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images, with a kernel that moves along both axes as that of `conv1d` along one.

    Args:
        input: of shape (N, C, H, W) or (C, H, W).
        weight: of shape (O, C / groups, height, width).
        bias: of shape (O,), or None.
        stride, dilation: a number, or one for each axis.
        padding: zeros on each side: a number, one for each axis, 'valid' for none, 'same' for as many as keep H and W.
        groups: how many groups the channels form.

    Returns:
        A Tensor of shape (N, O, H', W') or (O, H', W').

    Raises:
        ValueError: the shapes do not fit, or an argument is out of range.
    """
    return _convolved("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@tells_arguments
def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Tensor:
    """Adjoint of `conv1d` in its input: every element of x spreads a kernel, and what overlaps adds up.

    Args:
        input: x, of shape (N, C, L) or (C, L).
        weight: of shape (C, O / groups, size).
        bias: of shape (O,), or None.
        stride: how far apart neighbours of x spread their kernels.
        padding: what is cut off on both sides.
        output_padding: what is cut off less at the end; below the stride or the dilation.
        groups: how many groups the channels form.
        dilation: how far apart the kernel's elements are.

    Returns:
        A Tensor of shape (N, O, L') or (O, L'), L' = (L - 1) stride - 2 padding + dilation (size - 1) +
        output_padding + 1.

    Raises:
        ValueError: the shapes do not fit, or an argument is out of range.
    """
    return _spread("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@tells_arguments
def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Tensor:
    """Adjoint of `conv2d` in its input (Zeiler et al. 2010); the arguments are those of `conv_transpose1d`.

    Args:
        input: of shape (N, C, H, W) or (C, H, W).
        weight: of shape (C, O / groups, height, width).
        bias: of shape (O,), or None.
        stride, padding, output_padding, dilation: a number, or one for each axis.
        groups: how many groups the channels form.

    Returns:
        A Tensor of shape (N, O, H', W') or (O, H', W').

    Raises:
        ValueError: the shapes do not fit, or an argument is out of range.
    """
    return _spread("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _convolved(name, axes, input, weight, bias, stride, padding, dilation, groups) -> Tensor:
    stride = lengths(name, "stride", stride, axes, least=1)
    dilation = lengths(name, "dilation", dilation, axes, least=1)
    x, batched = _batched(name, axes, input)
    shape, kernel = x.shape, shape_of(weight)
    _check_kernel(name, axes, kernel, groups, outputs=kernel[0] if kernel else 0, bias=bias)
    if kernel[1] * groups != shape[1]:
        raise ValueError(
            f"{name}: weight of shape {kernel} in {groups} groups needs {kernel[1] * groups} channels, input has shape "
            f"{shape_of(input)}"
        )
    x = _padded(name, _with_examples_last(x), padding, stride, dilation, kernel[2:])
    for place, (size, apart) in enumerate(zip(kernel[2:], dilation, strict=True)):
        if apart * (size - 1) >= x.shape[2 + place]:
            raise ValueError(
                f"{name}: the kernel of {size} elements, {apart} apart, is larger than the padded "
                f"{SPATIAL[axes][place]} {x.shape[2 + place]}; give a larger padding or a smaller kernel"
            )
    numbers = [""] if axes == 1 else range(1, axes + 1)
    steps = {f"step{number}": by for number, by in zip(numbers, stride, strict=True)}
    steps |= {f"dilation{number}": apart for number, apart in zip(numbers, dilation, strict=True)}
    if groups == 1 and bias is not None:
        y = getattr(ops, f"affine_correlate{axes}d")(x, weight, bias, **steps)
        y = ops.transpose(y, axes=(0, 1 + axes, *range(1, 1 + axes)))
    else:
        y = _with_bias(_correlated_in_groups(x, weight, groups, steps), bias)
    return y if batched else ops.squeeze(y, axis=0)


def _correlated_in_groups(x, weight, groups, steps) -> Tensor:
    examples, channels, *lengths = x.shape
    outputs, *kernel = shape_of(weight)
    axes = len(lengths)
    x = ops.reshape(x, shape=(examples, groups, channels // groups, *lengths))
    weight = ops.reshape(weight, shape=(groups, outputs // groups, *kernel))
    y = getattr(ops, f"correlate{axes}d")(x, weight, **steps)
    y = ops.transpose(y, axes=(0, 1, 2 + axes, *range(2, 2 + axes)))
    return ops.reshape(y, shape=(examples, outputs, *y.shape[3:]))


def _with_bias(y, bias) -> Tensor:
    return y if bias is None else y + ops.reshape(bias, shape=(-1,) + (1,) * (len(y.shape) - 2))


def _spread(name, axes, input, weight, bias, stride, padding, output_padding, groups, dilation) -> Tensor:
    stride = lengths(name, "stride", stride, axes, least=1)
    dilation = lengths(name, "dilation", dilation, axes, least=1)
    padding = lengths(name, "padding", padding, axes, least=0)
    more = lengths(name, "output_padding", output_padding, axes, least=0)
    x, batched = _batched(name, axes, input)
    shape, kernel = x.shape, shape_of(weight)
    outputs = kernel[1] * groups if len(kernel) > 1 else 0
    _check_kernel(name, axes, kernel, groups, outputs=outputs, bias=bias)
    if kernel[0] != shape[1] or shape[1] % groups:
        raise ValueError(
            f"{name}: weight of shape {kernel} needs {kernel[0]} channels, a multiple of {groups} groups, input has "
            f"shape {shape_of(input)}"
        )
    for extra, by, apart in zip(more, stride, dilation, strict=True):
        if extra >= max(by, apart):
            raise ValueError(f"{name}: output_padding {extra} must be below the stride {by} or the dilation {apart}")
    x = ops.reshape(_with_examples_last(x), shape=(shape[0], groups, shape[1] // groups, *shape[2:]))
    weight = ops.reshape(weight, shape=(groups, shape[1] // groups, *kernel[1:]))
    y = _overlapped(x, weight, stride, dilation)
    if any(more):
        y = ops.pad(y, pad_width=(*((0, 0),) * 3, *((0, extra) for extra in more)))
    full = y.shape[3:]
    if any(padding):
        y = y[(..., *(slice(cut, length - cut) for cut, length in zip(padding, full, strict=True)))]
    if 0 in y.shape[3:]:
        raise ValueError(f"{name}: padding {padding} cuts everything off, of an output of {full}")
    y = ops.reshape(y, shape=(shape[0], outputs, *y.shape[3:]))
    y = _with_bias(y, bias)
    return y if batched else ops.squeeze(y, axis=0)


def _overlapped(x: Tensor, weight: Tensor, stride, dilation) -> Tensor:
    """The sum of the kernels that the elements of x spread; x: (N, groups, C, ...), weight: (groups, C, O, ...)."""
    axes, size = len(stride), weight.shape[3:]
    places, taps = "ij"[:axes], "pq"[:axes]
    spread = ops.einsum(weight, x, subscripts=f"gco{taps},ngc{places}->ngo{places}{taps}")
    full = [
        (length - 1) * by + apart * (one - 1) + 1
        for length, by, apart, one in zip(x.shape[3:], stride, dilation, size, strict=True)
    ]
    shape = (*spread.shape[:3], *full)
    return ops.add_windows(spread, shape=shape, axes=tuple(range(-axes, 0)), size=size, step=stride, dilation=dilation)


def lengths(name: str, argument: str, value: Lengths, axes: int, least: int) -> tuple[int, ...]:
    """A number for each axis; ValueError if there are not as many, or one is below the least."""
    if type(value) is int and value >= least:
        return (value,) * axes
    found = (value,) * axes if not isinstance(value, Sequence) else tuple(value)
    found = found * axes if len(found) == 1 else found
    if len(found) != axes or any(not isinstance(one, NUMBERS) or one % 1 or one < least for one in found):
        raise ValueError(f"{name}: {argument} must be an integer from {least} on, or {axes} of them, got {value!r}")
    return tuple(map(int, found))


def lengths_or_word(name: str, padding: Lengths | str, axes: int, stride: Sequence[int]) -> tuple[int, ...] | str:
    """A padding for each axis, or 'same' or 'valid'; ValueError if it is neither, or if 'same' has a stride."""
    if not isinstance(padding, str):
        return lengths(name, "padding", padding, axes, least=0)
    if padding not in ("same", "valid"):
        raise ValueError(f"{name}: padding must be 'same', 'valid' or numbers, got {padding!r}")
    if padding == "same" and any(by != 1 for by in stride):
        raise ValueError(f"{name}: padding 'same' needs the stride 1, got {stride}")
    return padding


def _batched(name: str, axes: int, input: Any) -> tuple[Tensor, bool]:
    """The input with an axis of examples, and whether it had one."""
    shape, spatial = shape_of(input), ", ".join(SPATIAL[axes])
    if len(shape) not in (axes + 1, axes + 2):
        raise ValueError(
            f"{name}: input must have shape (examples, channels, {spatial}) or (channels, {spatial}), got {shape}"
        )
    batched = len(shape) == axes + 2
    x = tensor_of(input)
    return x if batched else ops.expand_dims(x, axis=0), batched


def _with_examples_last(x: Tensor) -> Tensor:
    """x as products want it, forward and backward, and with it what it is padded with."""
    return ops.examples_last(x) if len(x.data) > 1 and x.data.strides[0] != x.data.itemsize else x


def _check_kernel(name, axes, kernel, groups, outputs, bias) -> None:
    if len(kernel) != axes + 2 or 0 in kernel:
        raise ValueError(f"{name}: weight must have {axes + 2} axes, none of them empty, got shape {kernel}")
    if groups < 1 or outputs % groups or kernel[0] % groups:
        raise ValueError(f"{name}: weight of shape {kernel} can't be parted in {groups} groups")
    if bias is not None and shape_of(bias) != (outputs,):
        raise ValueError(f"{name}: bias of shape {shape_of(bias)} must be ({outputs},), one number a channel")


def _padded(name, x, padding, stride, dilation, kernel) -> Tensor:
    axes = len(kernel)
    padding = lengths_or_word(name, padding, axes, stride)
    if isinstance(padding, str):
        total = [apart * (size - 1) * (padding == "same") for apart, size in zip(dilation, kernel, strict=True)]
        sides = [(all_ // 2, all_ - all_ // 2) for all_ in total]
    else:
        sides = [(one, one) for one in padding]
    return ops.pad(x, pad_width=((0, 0), (0, 0), *sides)) if any(map(any, sides)) else x
