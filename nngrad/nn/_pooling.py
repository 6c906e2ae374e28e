"""Pooling: windows over the last axes, and a reduction over the taps of each. Ties in a window share the gradient."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nngrad.arguments import tells_arguments
from nngrad.functions import ops, shape_of, tensor_of
from nngrad.nn._convolution import Lengths, lengths
from nngrad.tensor import Tensor

Parts = int | None | Sequence[int | None]


@tells_arguments
def max_pool1d(
    input: Any,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Maximum over windows of the last axis; the arguments are those of `max_pool2d`."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)


@tells_arguments
def max_pool2d(
    input: Any,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Maximum over windows of the last two axes.

    Args:
        input: of shape (N, C, H, W) or (C, H, W).
        kernel_size: of a window: a number, or one for each axis, as the arguments below.
        stride: by how much the window moves; None for its size.
        padding: -inf on each side, at most half the window.
        dilation: how far apart the window's elements are.
        ceil_mode: whether a last window may reach over the end, if it starts before it.

    Returns:
        A Tensor of shape (N, C, H', W') or (C, H', W').

    Raises:
        ValueError: an argument is out of range, or no window fits.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)


@tells_arguments
def avg_pool1d(
    input: Any,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean over windows of the last axis; the arguments are those of `avg_pool2d`."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@tells_arguments
def avg_pool2d(
    input: Any,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean over windows of the last two axes.

    Args:
        input: of shape (N, C, H, W) or (C, H, W).
        kernel_size: of a window: a number, or one for each axis, as the arguments below.
        stride: by how much the window moves; None for its size.
        padding: zeros on each side, at most half the window.
        ceil_mode: whether a last window may reach over the end, if it starts before it.
        count_include_pad: whether the zeros of the padding count as elements.
        divisor_override: what the sum is divided by instead of the number of elements.

    Returns:
        A Tensor of shape (N, C, H', W') or (C, H', W').

    Raises:
        ValueError: an argument is out of range, or no window fits.
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@tells_arguments
def adaptive_avg_pool1d(input: Any, output_size: Parts) -> Tensor:
    """Mean over as many parts of the last axis as asked for, of shapes as `adaptive_avg_pool2d` has them."""
    return _adaptive("adaptive_avg_pool1d", 1, input, output_size)


@tells_arguments
def adaptive_avg_pool2d(input: Any, output_size: Parts) -> Tensor:
    """Means over H' by W' parts of the last two axes; part i of H' goes from floor(i H / H') to ceil((i + 1) H / H').

    Args:
        input: of shape (N, C, H, W) or (C, H, W).
        output_size: H' and W', or one number for both; None for the length that the axis has.

    Returns:
        A Tensor of shape (N, C, H', W') or (C, H', W').

    Raises:
        ValueError: output_size does not fit.
    """
    return _adaptive("adaptive_avg_pool2d", 2, input, output_size)


@tells_arguments
def unfold(
    input: Any, kernel_size: Lengths, dilation: Lengths = 1, padding: Lengths = 0, stride: Lengths = 1
) -> Tensor:
    """The windows of images as columns.

    Args:
        input: of shape (N, C, H, W) or (C, H, W).
        kernel_size, dilation, padding, stride: of the windows: a number, or one for each axis.

    Returns:
        A Tensor of shape (N, C * height * width, places) or without N.

    Raises:
        ValueError: an argument is out of range, or no window fits.
    """
    size = lengths("unfold", "kernel_size", kernel_size, 2, least=1)
    padding = lengths("unfold", "padding", padding, 2, least=0)
    shape = _check_input("unfold", 2, input)
    x = ops.pad(input, pad_width=((0, 0),) * (len(shape) - 2) + tuple((one, one) for one in padding))
    u = ops.windows(
        x,
        axes=(-2, -1),
        size=size,
        step=lengths("unfold", "stride", stride, 2, least=1),
        dilation=lengths("unfold", "dilation", dilation, 2, least=1),
    )
    u = ops.transpose(u, axes=(*range(len(shape) - 2), -2, -1, -4, -3))
    return ops.reshape(u, shape=(*shape[:-3], shape[-3] * size[0] * size[1], u.shape[-2] * u.shape[-1]))


@tells_arguments
def fold(
    input: Any,
    output_size: Lengths,
    kernel_size: Lengths,
    dilation: Lengths = 1,
    padding: Lengths = 0,
    stride: Lengths = 1,
) -> Tensor:
    """Adjoint of `unfold`: columns as windows of images, added up where they overlap.

    Args:
        input: of shape (N, C * height * width, places) or without N.
        output_size: H and W of the images.
        kernel_size, dilation, padding, stride: of the windows: a number, or one for each axis.

    Returns:
        A Tensor of shape (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: an argument is out of range, or the shapes do not fit.
    """
    output = lengths("fold", "output_size", output_size, 2, least=1)
    size = lengths("fold", "kernel_size", kernel_size, 2, least=1)
    padding = lengths("fold", "padding", padding, 2, least=0)
    step = lengths("fold", "stride", stride, 2, least=1)
    dilation = lengths("fold", "dilation", dilation, 2, least=1)
    shape = shape_of(input)
    padded = tuple(length + 2 * one for length, one in zip(output, padding, strict=True))
    places = tuple(
        (length - apart * (taps - 1) - 1) // by + 1
        for length, apart, taps, by in zip(padded, dilation, size, step, strict=True)
    )
    if len(shape) not in (2, 3) or shape[-2] % (size[0] * size[1]) or shape[-1] != places[0] * places[1]:
        raise ValueError(
            f"fold: for output_size {output} the input must have shape (..., channels * {size[0]} * {size[1]}, "
            f"{places[0]} * {places[1]}), got {shape}"
        )
    u = ops.reshape(input, shape=(*shape[:-2], shape[-2] // (size[0] * size[1]), *size, *places))
    leading = len(shape) - 1
    u = ops.transpose(u, axes=(*range(leading), -2, -1, -4, -3))
    x = ops.add_windows(u, shape=(*u.shape[:leading], *padded), axes=(-2, -1), size=size, step=step, dilation=dilation)
    return x[(..., *(slice(one, one + length) for one, length in zip(padding, output, strict=True)))]


def _max_pool(name, axes, input, kernel_size, stride, padding, dilation, ceil_mode) -> Tensor:
    size, step, padding = _window(name, axes, kernel_size, stride, padding)
    dilation = lengths(name, "dilation", dilation, axes, least=1)
    shape = _check_input(name, axes, input)
    sides = _sides(name, shape[-axes:], size, step, padding, dilation, ceil_mode)
    u = _windows(input, size, step, dilation, sides, -np.inf)
    return ops.max(u, axis=tuple(range(-axes, 0)))


def _avg_pool(name, axes, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor) -> Tensor:
    if divisor == 0:
        raise ValueError(f"{name}: divisor_override must not be 0")
    size, step, padding = _window(name, axes, kernel_size, stride, padding)
    shape = _check_input(name, axes, input)
    ones = (1,) * axes
    sides = _sides(name, shape[-axes:], size, step, padding, ones, ceil_mode)
    taps = tuple(range(-axes, 0))
    total = ops.sum(_windows(input, size, step, ones, sides, 0.0), axis=taps)
    reach_over = any(after > one for (_, after), one in zip(sides, padding, strict=True))
    if divisor is None and not reach_over and (count_include_pad or not any(padding)):
        divisor = math.prod(size)
    if divisor is None:
        counted = np.ones(shape[-axes:])
        if count_include_pad:  # what a last window reaches over the end never counts
            counted = np.pad(counted, [(one, one) for one in padding], constant_values=1)
            sides = [(0, after - one) for (_, after), one in zip(sides, padding, strict=True)]
        divisor = _windows(counted, size, step, ones, sides, 0.0).sum(taps).data.astype(total.dtype)
    return total / divisor


def _adaptive(name, axes, input, output_size) -> Tensor:
    shape = _check_input(name, axes, input)
    asked = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * axes
    if len(asked) != axes or not all(one is None or (isinstance(one, int | np.integer) and one >= 1) for one in asked):
        raise ValueError(f"{name}: output_size must be an integer from 1 on, or {axes} of them, got {output_size!r}")
    whole = tuple(axis for axis, parts in zip(range(-axes, 0), asked, strict=True) if parts == 1 < shape[axis])
    x = ops.mean(input, axis=whole, keepdims=True) if whole else tensor_of(input)
    for axis, parts in zip(range(-axes, 0), asked, strict=True):
        length = x.shape[axis]
        if parts is None or parts == length:
            continue
        bounds = [(part * length // parts, -(-(part + 1) * length // parts)) for part in range(parts)]
        slices = [(..., slice(*bound), *(slice(None),) * (-1 - axis)) for bound in bounds]
        x = ops.concat(*(ops.mean(x[one], axis=axis, keepdims=True) for one in slices), axis=axis)
    return x


def _check_input(name: str, axes: int, input: Any) -> tuple[int, ...]:
    shape = shape_of(input)
    if len(shape) not in (axes + 1, axes + 2):
        raise ValueError(f"{name}: input must have {axes + 2} axes, or {axes + 1} without examples, got shape {shape}")
    return shape


def _window(name, axes, kernel_size, stride, padding):
    size = lengths(name, "kernel_size", kernel_size, axes, least=1)
    step = size if stride is None or stride == () else lengths(name, "stride", stride, axes, least=1)
    padding = lengths(name, "padding", padding, axes, least=0)
    if any(2 * one > taps for one, taps in zip(padding, size, strict=True)):
        raise ValueError(f"{name}: padding {padding} must be at most half the kernel_size {size}")
    return size, step, padding


def _sides(name, shape, size, step, padding, dilation, ceil_mode) -> list[tuple[int, int]]:
    """How far each axis is padded on both sides, for windows that reach over the end too."""
    sides = []
    for length, taps, by, one, apart in zip(shape, size, step, padding, dilation, strict=True):
        span = apart * (taps - 1) + 1
        free = length + 2 * one - span
        places = (-(-free // by) if ceil_mode else free // by) + 1
        if ceil_mode and (places - 1) * by >= length + one:
            places -= 1
        if places < 1 or length == 0:
            raise ValueError(
                f"{name}: a window over {span} elements does not fit in {length}, padded by {one}; give a smaller "
                "kernel or a larger input"
            )
        sides.append((one, max(one, (places - 1) * by + span - length - one)))
    return sides


def _windows(x, size, step, dilation, sides, value) -> Tensor:
    if any(map(any, sides)):
        x = ops.pad(x, pad_width=((0, 0),) * (len(shape_of(x)) - len(size)) + tuple(sides), value=value)
    return ops.windows(x, axes=tuple(range(-len(size), 0)), size=size, step=step, dilation=dilation)
