"""Adam and AdamW."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from nngrad.optim._arithmetic import change_by_tiles, fade_in, fade_in_square, running, with_decay
from nngrad.optim._optimizer import Optimizer
from nngrad.tensor import Tensor


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with its variant AMSGrad (Reddi et al. 2018).

        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g**2
        x <- x - lr * m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps)        in step t = 1, 2, ...

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        betas: how much of the running means of g and of g**2 is kept.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty, g <- g + weight_decay * x.
        amsgrad: divide by the largest v so far.
        maximize: go up the gradient instead of down.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "amsgrad": amsgrad, "maximize": maximize})

    def _update(self, x: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = state["step"] = state.get("step", 0) + 1
        m, v = running(state, "exp_avg", x), running(state, "exp_avg_sq", x)
        largest = running(state, "max_exp_avg_sq", x) if group["amsgrad"] else None
        beta1, beta2 = group["betas"]
        lr, correction = group["lr"] / (1 - beta1**step), math.sqrt(1 - beta2**step)
        numbers = (lr, beta1, beta2, correction, group["eps"], *self._decays(group))
        change_by_tiles(_descend, (x, g, m, v, largest), numbers)

    def _decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """The factor of the L2 penalty, and that by which parameters shrink before the step."""
        return group["weight_decay"], 1.0


def _descend(
    x: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, largest: np.ndarray | None,
    lr: float, beta1: float, beta2: float, correction: float, eps: float, penalty: float, shrinkage: float,
) -> None:  # fmt: skip
    g = with_decay(g, x, penalty)
    if shrinkage != 1:
        x *= shrinkage
    t = np.empty_like(x)
    fade_in(m, g, beta1, t)
    fade_in_square(v, g, beta2, t)
    if largest is not None:
        v = np.maximum(largest, v, out=largest)
    if lr:  # lr * m / (sqrt(v) / correction + eps), with numbers multiplied first
        np.sqrt(v, out=t)
        t *= 1 / (lr * correction)
        t += eps / lr
        np.divide(m, t, out=t)
        x -= t


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): x <- (1 - lr * weight_decay) * x before each step.

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        betas: how much of the running means of g and of g**2 is kept.
        eps: added to the denominator.
        weight_decay: how fast parameters shrink, in units of the learning rate.
        amsgrad: divide by the largest v so far.
        maximize: go up the gradient instead of down.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize)

    def _decays(self, group: dict[str, Any]) -> tuple[float, float]:
        return 0.0, 1 - group["lr"] * group["weight_decay"]
