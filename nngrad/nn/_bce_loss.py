"""Binary cross entropy of probabilities."""

from typing import Any

from nngrad.engine import OPS, apply
from nngrad.nn import functional
from nngrad.nn._from_ops import check_reduction
from nngrad.nn.module import Module
from nngrad.tensor import Tensor


class BCELoss(Module):
    """Binary cross entropy -(t log p + (1 - t) log(1 - p)), with the probabilities p clipped to [eps, 1 - eps].

    Clipped elements have no gradient. From scores, `BCEWithLogitsLoss` is more accurate.

    Args:
        eps: how close to 0 and 1 a probability may come.
        reduction: 'mean', 'sum' or 'none'.
        weight: a factor for each element, of a shape that broadcasts to that of the input, or None.

    Raises:
        ValueError: eps is not in [0, 1/2), or the reduction is unknown; on the call, the shapes do not fit.
    """

    def __init__(self, eps: float = 1e-6, reduction: str = "mean", weight: Any = None):
        if not 0 <= eps < 0.5:
            raise ValueError(f"BCELoss: eps must be at least 0 and below 0.5, got {eps!r}")
        self.eps = eps
        self.reduction = reduction
        self.weight = weight
        check_reduction(self)

    def forward(self, input: Any, target: Any) -> Tensor:
        """Probabilities and targets of equal shapes -> the loss."""
        p = apply(OPS["clip"], input, min=self.eps, max=1 - self.eps)
        return functional.binary_cross_entropy(p, target, self.weight, self.reduction)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"eps={self.eps}, reduction={self.reduction!r}"
