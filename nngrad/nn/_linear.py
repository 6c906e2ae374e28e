"""Layers that are linear in each of their inputs."""

import math
from typing import Any

import numpy as np

from nngrad.nn import functional
from nngrad.nn.module import Module
from nngrad.random import default_generator
from nngrad.tensor import Tensor
from nngrad.utils import whole_number


class Linear(Module):
    """Affine map of the last axis, y = x W^T + b: shape (..., in_features) to (..., out_features).

    `weight`, of shape (out_features, in_features), and `bias`, of shape (out_features,), start uniform in
    (-1/sqrt(in_features), 1/sqrt(in_features)), which is PyTorch's default (He et al. 2015 with a = sqrt(5)), in the
    default dtype.

    Args:
        in_features: length of the last axis of the input.
        out_features: length of the last axis of the output.
        use_bias: whether to add b; otherwise `bias` is None.

    Raises:
        TypeError: a length is no integer.
        ValueError: a length is negative; on the call, the input's last length is not in_features.
    """

    def __init__(self, in_features: int, out_features: int, use_bias: bool = True):
        self.in_features = whole_number("Linear: in_features", in_features, least=0)
        self.out_features = whole_number("Linear: out_features", out_features, least=0)
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        self.weight = uniform(bound, (self.out_features, self.in_features))
        self.bias = uniform(bound, (self.out_features,)) if use_bias else None

    def forward(self, input: Any) -> Tensor:
        """input of shape (..., in_features) -> (..., out_features)."""
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        use_bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, use_bias={use_bias}"


class Bilinear(Module):
    """y = x1^T W x2 + b for each output: shapes (..., in1_features) and (..., in2_features) to (..., out_features).

    `weight`, of shape (out_features, in1_features, in2_features), and `bias`, of shape (out_features,), start uniform
    in (-1/sqrt(in1_features), 1/sqrt(in1_features)).

    Args:
        in1_features, in2_features: lengths of the last axes of the inputs.
        out_features: length of the last axis of the output.
        bias: whether to add b; otherwise it is None.

    Raises:
        TypeError: a length is no integer.
        ValueError: a length is below 1; on the call, the shapes do not fit.
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True):
        self.in1_features = whole_number("Bilinear: in1_features", in1_features, least=1)
        self.in2_features = whole_number("Bilinear: in2_features", in2_features, least=1)
        self.out_features = whole_number("Bilinear: out_features", out_features, least=1)
        bound = 1 / math.sqrt(self.in1_features)
        self.weight = uniform(bound, (self.out_features, self.in1_features, self.in2_features))
        self.bias = uniform(bound, (self.out_features,)) if bias else None

    def forward(self, x1: Any, x2: Any) -> Tensor:
        """x1 of shape (..., in1_features) and x2 of shape (..., in2_features) -> (..., out_features)."""
        return functional.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.in1_features}, {self.in2_features}, {self.out_features}, bias={self.bias is not None}"


def uniform(bound: float, shape: tuple[int, ...]) -> Tensor:
    """A parameter that starts uniform in (-bound, bound), in the default dtype."""
    array = default_generator().uniform(-bound, bound, shape)
    if len(shape) == 2 and shape[0] <= shape[1]:  # as many rows as columns in memory: products with it are faster
        array = np.asfortranarray(array)
    return Tensor(array, requires_grad=True)
