"""Convolutions as modules."""

import math
from typing import Any

from nngrad.nn import functional
from nngrad.nn._convolution import Lengths, lengths, lengths_or_word
from nngrad.nn._linear import uniform
from nngrad.nn.module import Module
from nngrad.tensor import Tensor
from nngrad.utils import whole_number


class _Convolution(Module):
    """What all convolutions share: checked lengths, and parameters that start as PyTorch's do."""

    _axes: int
    _is_transposed = False

    def _prepare(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias) -> None:
        name = type(self).__name__
        self.in_channels = whole_number(f"{name}: in_channels", in_channels, least=0)
        self.out_channels = whole_number(f"{name}: out_channels", out_channels, least=0)
        self.groups = whole_number(f"{name}: groups", groups, least=1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{name}: {in_channels} and {out_channels} channels can't be parted in {groups} groups")
        self.kernel_size = lengths(name, "kernel_size", kernel_size, self._axes, least=1)
        self.stride = lengths(name, "stride", stride, self._axes, least=1)
        if self._is_transposed:
            self.padding = lengths(name, "padding", padding, self._axes, least=0)
        else:
            self.padding = lengths_or_word(name, padding, self._axes, self.stride)
        self.dilation = lengths(name, "dilation", dilation, self._axes, least=1)
        first, second = (in_channels, out_channels) if self._is_transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        self.weight = uniform(bound, shape)
        self.bias = uniform(bound, (out_channels,)) if bias else None

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding!r}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class Conv1d(_Convolution):
    """Cross-correlation of signals (N, in_channels, L) or (in_channels, L) with learnt kernels (LeCun 1989).

    `weight`, of shape (out_channels, in_channels / groups, *kernel_size), and `bias`, of shape (out_channels,), start
    uniform in (-b, b) with b = 1 / sqrt(elements of a kernel), PyTorch's default (He et al. 2015 with a = sqrt(5)).

    Args:
        in_channels, out_channels: of input and output.
        kernel_size: a number, or one for each axis, as the next three.
        stride: by how much the kernel moves.
        padding: zeros on both sides; 'valid' for none, 'same' for as many as keep the length.
        dilation: how far apart the kernel's elements are.
        groups: how many groups the channels form.
        bias: whether there is a bias.

    Raises:
        TypeError: in_channels or out_channels is no integer.
        ValueError: an argument is out of range; on the call, the shapes do not fit.
    """

    _axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths | str = 0,
        dilation: Lengths = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        self._prepare(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)

    def forward(self, input: Any) -> Tensor:
        """input of shape (N, in_channels, ...) -> (N, out_channels, ...)."""
        convolve = functional.conv1d if self._axes == 1 else functional.conv2d
        return convolve(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(Conv1d):
    """Cross-correlation of images (N, in_channels, H, W) with learnt kernels; the arguments are those of `Conv1d`."""

    _axes = 2


class ConvTranspose1d(_Convolution):
    """Adjoint of `Conv1d` in its input: every element spreads a learnt kernel, and what overlaps adds up.

    `weight`, of shape (in_channels, out_channels / groups, *kernel_size), and `bias` start as those of `Conv1d`.

    Args:
        in_channels, out_channels: of input and output.
        kernel_size, stride, padding, dilation: a number, or one for each axis.
        output_padding: what is cut off less at the end; below the stride or the dilation.
        groups: how many groups the channels form.
        bias: whether there is a bias.

    Raises:
        ValueError: an argument is out of range; on the call, the shapes do not fit.
    """

    _axes = 1
    _is_transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Lengths = 1,
    ):
        self._prepare(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.output_padding = lengths(type(self).__name__, "output_padding", output_padding, self._axes, least=0)

    def forward(self, input: Any) -> Tensor:
        """input of shape (N, in_channels, ...) -> (N, out_channels, ...)."""
        convolve = functional.conv_transpose1d if self._axes == 1 else functional.conv_transpose2d
        return convolve(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )


class ConvTranspose2d(ConvTranspose1d):
    """Adjoint of `Conv2d` in its input (Zeiler et al. 2010); the arguments are those of `ConvTranspose1d`."""

    _axes = 2
