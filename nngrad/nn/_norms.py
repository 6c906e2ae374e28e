"""Batch, instance, group, root mean square and local response normalisation as modules."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nngrad.functions import ops, shape_of
from nngrad.nn import functional
from nngrad.nn.module import Module
from nngrad.tensor import Tensor
from nngrad.utils import number, whole_number


class _ChannelNorm(Module):
    """What batch and instance normalisation share: parameters and running statistics for each channel."""

    _axes: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ):
        name = type(self).__name__
        self.num_features = whole_number(f"{name}: num_features", num_features, least=0)
        self.eps = number(f"{name}: eps", eps)
        self.momentum = None if momentum is None else number(f"{name}: momentum", momentum, most=1)
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Tensor(np.ones(num_features), requires_grad=True) if affine else None
        self.bias = Tensor(np.zeros(num_features), requires_grad=True) if affine and bias else None
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(num_features)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(0, dtype=int) if tracked else None)

    def _check(self, x: Any) -> None:
        shape = shape_of(x)
        name = type(self).__name__
        if len(shape) not in self._axes:
            allowed = " or ".join(map(str, self._axes))
            raise ValueError(f"{name}: the input must have {allowed} axes, got shape {shape}")
        if shape[1] != self.num_features:
            raise ValueError(f"{name}: the input must have {self.num_features} channels, got shape {shape}")

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def forward(self, input: Any) -> Tensor:
        """input of shape (N, C) or (N, C, ...) -> the same shape."""
        self._check(input)
        own = self.training or not self.track_running_stats
        moves = self.training and self.track_running_stats
        batches, momentum = 0, 0.0
        if moves:
            batches = self.num_batches_tracked.data + 1
            momentum = 1 / int(batches) if self.momentum is None else self.momentum  # without one, plain averages
        y = functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps
        )
        if moves:  # a batch that was refused does not count
            self.num_batches_tracked.data = batches
        return y


class BatchNorm1d(_BatchNorm):
    """Batch normalisation (Ioffe & Szegedy 2015) of inputs (N, C) or (N, C, L), each channel over all examples.

    In training the batch's mean and variance are used, and `running_mean` and `running_var` move towards them (the
    variance unbiased); in evaluation these are used. `weight`, of shape (num_features,), starts at ones, `bias` at
    zeros.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the part of the way that the running statistics move; None for the average of all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; otherwise the batch's own are always used.
        bias: whether there is a bias beside the weight.

    Raises:
        ValueError: on the call, the shape does not fit, or a channel has one value in training.
    """

    _axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W); everything else is as in `BatchNorm1d`."""

    _axes = (4,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def forward(self, input: Any) -> Tensor:
        """input of shape (N, C, ...), or (C, ...) for a single example -> the same shape."""
        if len(shape_of(input)) + 1 in self._axes:
            return self.forward(ops.expand_dims(input, axis=0))[0]
        self._check(input)
        own = self.training or not self.track_running_stats
        return functional.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, own, self.momentum, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation (Ulyanov et al. 2016) of inputs (N, C, L): each channel of each example by itself.

    A single example, (C, L), is normalised as a batch of one.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the part of the way that the running statistics move.
        affine: whether there are `weight` and `bias`, of shape (num_features,).
        track_running_stats: whether running statistics are kept, and used in evaluation.
        bias: whether there is a bias beside the weight.

    Raises:
        ValueError: on the call, the shape does not fit, or a channel has one value.
    """

    _axes = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images (N, C, H, W); everything else is as in `InstanceNorm1d`."""

    _axes = (4,)


class GroupNorm(Module):
    """Group normalisation (Wu & He 2018) of inputs (N, C, ...), each group of channels by its own mean and variance.

    Args:
        num_groups: how many groups the channels form.
        num_channels: C, a multiple of num_groups.
        eps: added to the variance.
        affine: whether there are `weight` and `bias`, of shape (num_channels,).
        bias: whether there is a bias beside the weight.

    Raises:
        ValueError: num_channels is no multiple of num_groups; on the call, the shape does not fit.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True
    ):
        num_channels = whole_number("GroupNorm: num_channels", num_channels, least=0)
        if num_channels % whole_number("GroupNorm: num_groups", num_groups, least=1):
            raise ValueError(f"GroupNorm: {num_channels} channels can't be parted in {num_groups} groups")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = number("GroupNorm: eps", eps)
        self.affine = affine
        self.weight = Tensor(np.ones(num_channels), requires_grad=True) if affine else None
        self.bias = Tensor(np.zeros(num_channels), requires_grad=True) if affine and bias else None

    def forward(self, input: Any) -> Tensor:
        """input of shape (N, C, ...) -> the same shape."""
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class RMSNorm(Module):
    """Root mean square normalisation (Zhang & Sennrich 2019), y = x / sqrt(mean(x^2) + eps) * weight.

    Args:
        normalized_shape: lengths of the axes over which the mean is taken; an int is one axis.
        eps: added to the mean; None for the machine epsilon of the input's dtype.
        elementwise_affine: whether there is a `weight`, of shape normalized_shape, which starts at ones.

    Raises:
        ValueError: normalized_shape is empty; on the call, the input's shape does not end with it.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ):
        self.normalized_shape = functional.whole_lengths("RMSNorm", normalized_shape)
        self.eps = None if eps is None else number("RMSNorm: eps", eps)
        self.elementwise_affine = elementwise_affine
        self.weight = Tensor(np.ones(self.normalized_shape), requires_grad=True) if elementwise_affine else None

    def forward(self, input: Any) -> Tensor:
        """input of shape (..., *normalized_shape) -> the same shape."""
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """x / (k + alpha m)^beta, with m the mean of x^2 over neighbouring channels (Krizhevsky et al. 2012).

    Args:
        size: how many channels are neighbours.
        alpha, beta, k: of the formula.

    Raises:
        ValueError: on the call, the input has fewer than 3 axes, or size is below 1.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Tensor:
        """input of shape (N, C, ...) -> the same shape."""
        return functional.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
