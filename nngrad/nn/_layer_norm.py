"""Layer normalisation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nngrad.nn import functional
from nngrad.nn.module import Module
from nngrad.tensor import Tensor
from nngrad.utils import number


class LayerNorm(Module):
    """Layer normalisation (Ba et al. 2016), y = (x - mean) / sqrt(var + eps) * weight + bias, over the last axes.

    `weight` starts at ones and `bias` at zeros, both of shape normalized_shape and of the default dtype.

    Args:
        normalized_shape: lengths of the axes over which mean and variance are taken; an int is one axis.
        eps: added to the variance.
        elementwise_affine: whether there are weight and bias; otherwise both are None.
        bias: whether there is a bias beside the weight.

    Raises:
        ValueError: normalized_shape is empty; on the call, the input's shape does not end with it.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        self.normalized_shape = functional.whole_lengths("LayerNorm", normalized_shape)
        self.eps = number("LayerNorm: eps", eps)
        self.elementwise_affine = elementwise_affine
        affine = elementwise_affine
        self.weight = Tensor(np.ones(self.normalized_shape), requires_grad=True) if affine else None
        self.bias = Tensor(np.zeros(self.normalized_shape), requires_grad=True) if affine and bias else None

    def forward(self, input: Any) -> Tensor:
        """input of shape (..., *normalized_shape) -> the same shape."""
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
