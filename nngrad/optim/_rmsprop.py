"""RMSprop."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from nngrad.optim._arithmetic import change_by_tiles, fade_in, fade_in_square, running, with_decay
from nngrad.optim._optimizer import Optimizer
from nngrad.tensor import Tensor


class RMSprop(Optimizer):
    """RMSprop (Hinton, lecture 6e, 2012; centred as in Graves 2013): steps in units of the gradient's running size.

        v <- alpha * v + (1 - alpha) * g**2
        x <- x - lr * g / (sqrt(v) + eps)

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        alpha: how much of the running mean of g**2 is kept.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty, g <- g + weight_decay * x.
        momentum: how much of the last step is kept.
        centered: divide by the standard deviation of the gradient: v - m**2, with m its running mean, in place of v.
        maximize: go up the gradient instead of down.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
    ):
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "momentum": momentum, "centered": centered, "maximize": maximize})

    def _update(self, x: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        v = running(state, "square_avg", x)
        m = running(state, "grad_avg", x) if group["centered"] else None
        b = running(state, "momentum_buffer", x) if group["momentum"] else None
        numbers = tuple(group[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum"))
        change_by_tiles(_descend, (x, g, v, m, b), numbers)


def _descend(
    x: np.ndarray, g: np.ndarray, v: np.ndarray, m: np.ndarray | None, b: np.ndarray | None,
    lr: float, alpha: float, eps: float, weight_decay: float, momentum: float,
) -> None:  # fmt: skip
    g = with_decay(g, x, weight_decay)
    t = np.empty_like(x)
    fade_in_square(v, g, alpha, t)
    if m is not None:
        fade_in(m, g, alpha, t)
        np.multiply(m, m, out=t)
        np.subtract(v, t, out=t)
        np.maximum(t, 0, out=t)  # rounding makes the variance of a constant gradient negative
        np.sqrt(t, out=t)
    else:
        np.sqrt(v, out=t)
    t += eps
    np.divide(g, t, out=t)
    if b is not None:
        b *= momentum
        b += t
        np.multiply(b, lr, out=t)
    else:
        t *= lr
    x -= t
