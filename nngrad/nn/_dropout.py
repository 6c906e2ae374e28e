"""Dropout."""

from collections.abc import Callable
from typing import Any

from nngrad.nn import functional
from nngrad.nn.module import Module
from nngrad.tensor import Tensor


class Dropout(Module):
    """In training, set elements to zero with probability p and divide the others by 1 - p (Srivastava et al. 2014).

    In evaluation mode (`model.eval()`) it does nothing. The draws come from the generator of `nngrad.manual_seed`.

    Args:
        p: the probability of a zero, from 0 to 1.

    Raises:
        ValueError: p is not in [0, 1].
    """

    _function: Callable[..., Tensor] = staticmethod(functional.dropout)

    def __init__(self, p: float = 0.5):
        functional.check_probability(p)
        self.p = p

    def forward(self, input: Any) -> Tensor:
        """input of any shape -> the same shape and dtype."""
        return self._function(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The constructor's argument."""
        return f"p={self.p}"


class Dropout1d(Dropout):
    """`Dropout` of whole channels, of inputs (N, C, L) or (C, L)."""

    _function = staticmethod(functional.dropout1d)


class Dropout2d(Dropout):
    """`Dropout` of whole channels (Tompson et al. 2015), of inputs (N, C, H, W) or (C, H, W)."""

    _function = staticmethod(functional.dropout2d)


class AlphaDropout(Dropout):
    """`Dropout` that keeps mean 0 and variance 1, for networks of `SELU` (Klambauer et al. 2017)."""

    _function = staticmethod(functional.alpha_dropout)
