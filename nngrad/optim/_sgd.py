"""Stochastic gradient descent."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nngrad.optim._arithmetic import change_by_tiles, running, with_decay
from nngrad.optim._optimizer import Optimizer
from nngrad.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's variant (Sutskever et al. 2013).

        b <- momentum * b + (1 - dampening) * g        (b <- g in the first step)
        x <- x - lr * b                                (Nesterov: x <- x - lr * (g + momentum * b))

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        momentum: how much of the last step is kept.
        dampening: how much of the gradient is left out of the momentum.
        weight_decay: factor of the L2 penalty, g <- g + weight_decay * x.
        nesterov: look ahead by the momentum; needs momentum > 0 and dampening = 0.
        maximize: go up the gradient instead of down.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ):
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "nesterov": nesterov, "maximize": maximize})

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"] != 0):
            raise ValueError("SGD: nesterov needs momentum above 0 and dampening 0")

    def _update(self, x: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        momentum, fresh, b = group["momentum"], 1 - group["dampening"], None
        if momentum:
            if "momentum_buffer" not in state:
                fresh = 1
            b = running(state, "momentum_buffer", x)
        numbers = (group["lr"], momentum, fresh, group["weight_decay"], group["nesterov"])
        change_by_tiles(_descend, (x, g, b), numbers)


def _descend(
    x: np.ndarray, g: np.ndarray, b: np.ndarray | None,
    lr: float, momentum: float, fresh: float, weight_decay: float, nesterov: bool,
) -> None:  # fmt: skip
    g = with_decay(g, x, weight_decay)
    if b is not None:
        b *= momentum
        b += g if fresh == 1 else fresh * g
        g = g + momentum * b if nesterov else b
    x -= lr * g
