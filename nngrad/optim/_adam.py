"""Adam and AdamW."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from nngrad.optim._arithmetic import fade_in, fade_in_square, running, with_decay
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
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, {**defaults, "weight_decay": weight_decay, "amsgrad": amsgrad})

    def _update(self, x: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        g = self._decay(x, g, group)
        step = state["step"] = state.get("step", 0) + 1
        t = np.empty_like(x)
        m = running(state, "exp_avg", x)
        fade_in(m, g, beta1, t)
        v = running(state, "exp_avg_sq", x)
        fade_in_square(v, g, beta2, t)
        if group["amsgrad"]:
            largest = running(state, "max_exp_avg_sq", x)
            v = np.maximum(largest, v, out=largest)
        np.sqrt(v, out=t)
        t /= math.sqrt(1 - beta2**step)
        t += group["eps"]
        np.divide(m, t, out=t)
        t *= group["lr"] / (1 - beta1**step)
        x -= t

    def _decay(self, x: np.ndarray, g: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        """Apply the weight decay, and return the gradient to go on with."""
        return with_decay(g, x, group["weight_decay"])


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): x <- (1 - lr * weight_decay) * x before each step.

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        betas: how much of the running means of g and of g**2 is kept.
        eps: added to the denominator.
        weight_decay: how fast parameters shrink, in units of the learning rate.
        amsgrad: divide by the largest v so far.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)

    def _decay(self, x: np.ndarray, g: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        x *= 1 - group["lr"] * group["weight_decay"]
        return g
