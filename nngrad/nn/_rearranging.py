"""Modules that only change the shape."""

from typing import Any

from nngrad.functions import tensor_of
from nngrad.nn.module import Module
from nngrad.tensor import Tensor


class Flatten(Module):
    """Make one axis of the axes from start_axis to end_axis, both included; the first axis, of examples, stays.

    Args:
        start_axis, end_axis: the first and the last axis that become one.

    Raises:
        ValueError: on the call, an axis does not exist or they are in the wrong order.
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1):
        self.start_axis = start_axis
        self.end_axis = end_axis

    def forward(self, input: Any) -> Tensor:
        """input of any shape -> the same elements with fewer axes."""
        return tensor_of(input).flatten(self.start_axis, self.end_axis)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"start_axis={self.start_axis}, end_axis={self.end_axis}"


class Identity(Module):
    """Its input; whatever it is constructed with is ignored."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def forward(self, input: Any) -> Any:
        """The input."""
        return input
