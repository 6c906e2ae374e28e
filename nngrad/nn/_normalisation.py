"""Normalisations over other axes than the last, all made of the one derived formula of `layer_norm`."""

import math
from typing import Any

import numpy as np
from nngrad_ops.runtime import sum_products, sum_rows

from nngrad.arguments import tells_arguments
from nngrad.functions import array_of, ops, shape_of
from nngrad.tensor import Tensor


@tells_arguments
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation (Ioffe & Szegedy 2015): each channel by its mean and variance over all examples.

    Args:
        input: x, of shape (N, C) or (N, C, ...).
        running_mean, running_var: arrays or Tensors of shape (C,), used unless training. In training they move towards
            the batch's mean and unbiased variance, in place. None for both if they are not wanted.
        weight, bias: of shape (C,), or None.
        training: whether the batch's own mean and variance are used.
        momentum: the part of the way that the running statistics move.
        eps: added to the variance.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: the shapes do not fit, a channel has one value in training, or running statistics are missing.
    """
    shape = _check_channels("batch_norm", input, 2, running_mean=running_mean, running_var=running_var)
    _check_channels("batch_norm", input, 2, weight=weight, bias=bias)
    axes = (0, *range(2, len(shape)))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: running_mean and running_var are needed where training is False")
        return _standardised(input, running_mean, running_var, weight, bias, eps)
    if np.prod([shape[axis] for axis in axes]) == 1:
        raise ValueError(f"batch_norm: in training there must be more than 1 value per channel, got input {shape}")
    _move(running_mean, running_var, array_of(input), axes, momentum)
    return ops.layer_norm(input, _by_channel(weight, shape), _by_channel(bias, shape), axis=axes, eps=eps)


@tells_arguments
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Instance normalisation (Ulyanov et al. 2016): each channel of each example by its own mean and variance.

    Args:
        input: x, of shape (N, C, ...).
        running_mean, running_var, momentum: as in `batch_norm`, of the means over the examples.
        weight, bias: of shape (C,), or None.
        use_input_stats: whether the input's own mean and variance are used rather than the running ones.
        eps: added to the variance.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: the shapes do not fit, a channel has one value, or running statistics are missing.
    """
    shape = _check_channels("instance_norm", input, 3, running_mean=running_mean, running_var=running_var)
    _check_channels("instance_norm", input, 3, weight=weight, bias=bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: running_mean and running_var are needed without the input's statistics")
        return _standardised(input, running_mean, running_var, weight, bias, eps)
    axes = tuple(range(2, len(shape)))
    if np.prod(shape[2:]) == 1:
        raise ValueError(f"instance_norm: there must be more than 1 value per channel, got input {shape}")
    _move(running_mean, running_var, array_of(input), axes, momentum)
    return ops.layer_norm(input, _by_channel(weight, shape), _by_channel(bias, shape), axis=axes, eps=eps)


@tells_arguments
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Group normalisation (Wu & He 2018): each group of channels of each example by its own mean and variance.

    Args:
        input: x, of shape (N, C, ...).
        num_groups: how many groups the channels form.
        weight, bias: of shape (C,), or None.
        eps: added to the variance.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: the shapes do not fit, C is no multiple of num_groups, or one example has one value per group.
    """
    shape = _check_channels("group_norm", input, 2, weight=weight, bias=bias)
    if num_groups < 1 or shape[1] % num_groups:
        raise ValueError(f"group_norm: {shape[1]} channels can't be parted in {num_groups} groups")
    if math.prod(shape) == num_groups:
        raise ValueError(f"group_norm: there must be more than 1 value per group, got input {shape}")
    grouped = (shape[0], num_groups, shape[1] // num_groups, *shape[2:])
    channels = (*grouped[1:3], *(1,) * len(shape[2:]))
    weight, bias = (None if one is None else ops.reshape(one, shape=channels) for one in (weight, bias))
    x = ops.reshape(input, shape=grouped)
    y = ops.layer_norm(x, weight, bias, axis=tuple(range(2, len(grouped))), eps=eps)
    return ops.reshape(y, shape=shape)


@tells_arguments
def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha m)^beta, with m the mean of x^2 over `size` neighbouring channels (Krizhevsky et al. 2012).

    Args:
        input: x, of shape (N, C, ...).
        size: how many channels are neighbours; those beyond the first and the last count as zeros.
        alpha, beta, k: of the formula.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: the input has fewer than 3 axes, or size is below 1.
    """
    shape = _check_channels("local_response_norm", input, 3)
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    around = ((0, 0), (size // 2, (size - 1) // 2), *((0, 0),) * (len(shape) - 2))
    squares = ops.pad(ops.square(input), pad_width=around)
    mean = ops.windows(squares, axes=(1,), size=(size,), step=(1,), dilation=(1,)).mean(-1)
    return ops.divide(input, (mean * alpha + k) ** beta)


def _standardised(input, mean, var, weight, bias, eps) -> Tensor:
    shape = shape_of(input)
    scale = ops.rsqrt(ops.add(var, eps))
    if weight is not None:
        scale = scale * weight
    y = ops.subtract(input, _by_channel(mean, shape)) * _by_channel(scale, shape)
    return y if bias is None else y + _by_channel(bias, shape)


def _by_channel(channels: Any, shape: tuple[int, ...]) -> Any:
    """A number for each channel, as an array that broadcasts along axis 1."""
    return None if channels is None else ops.reshape(channels, shape=(-1,) + (1,) * (len(shape) - 2))


def _check_channels(name: str, input: Any, least: int, **channels: Any) -> tuple[int, ...]:
    shape = shape_of(input)
    if len(shape) < least:
        raise ValueError(f"{name}: the input must have at least {least} axes, (N, C, ...), got shape {shape}")
    for parameter, value in channels.items():
        if value is not None and shape_of(value) != (shape[1],):
            raise ValueError(
                f"{name}: {parameter} of shape {shape_of(value)} must be ({shape[1]},), one for each channel"
            )
    return shape


def _move(running_mean: Any, running_var: Any, x: np.ndarray, axes: tuple[int, ...], momentum: float) -> None:
    """Running statistics, if there are any, moved towards those along the axes, which are averaged where each example
    has its own. An input without elements moves nothing.
    """
    if running_mean is None or running_var is None or not x.size:
        return
    x, n = x.astype(np.result_type(x, np.float32), copy=False), math.prod(x.shape[axis] for axis in axes)
    mean = sum_rows(x, axes) / n
    centred = x - mean
    var = sum_products(centred, centred, axes) / (n - 1)
    for running, found in ((running_mean, mean), (running_var, var)):
        array = running.data if isinstance(running, Tensor) else running
        array[...] = (1 - momentum) * array + momentum * found.reshape(-1, x.shape[1]).mean(0)
