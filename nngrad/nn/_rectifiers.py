"""Rectified linear units whose slope is learnt, or drawn."""

from typing import Any

import numpy as np

from nngrad.nn import functional
from nngrad.nn.module import Module
from nngrad.tensor import Tensor


class PReLU(Module):
    """Parametric rectified linear unit (He et al. 2015): x where x > 0, weight * x elsewhere.

    Args:
        num_parameters: 1, or the number of channels for a slope of its own for each.
        init: what `weight`, of shape (num_parameters,), starts at.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        self.num_parameters = num_parameters
        self.weight = Tensor(np.full(num_parameters, init), requires_grad=True)

    def forward(self, input: Any) -> Tensor:
        """input of any shape, with the channels on axis 1 -> the same shape."""
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """Randomised leaky rectified linear unit (Xu et al. 2015): x where x > 0, slope * x elsewhere.

    In training a slope is drawn between lower and upper for every element; in evaluation it is their mean.

    Args:
        lower, upper: the least and the largest slope.
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3):
        self.lower = lower
        self.upper = upper

    def forward(self, input: Any) -> Tensor:
        """input of any shape -> the same shape."""
        return functional.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"lower={self.lower}, upper={self.upper}"
