"""Schedules of the learning rate."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from nngrad.arguments import refuse_unknown
from nngrad.optim._optimizer import Optimizer
from nngrad.utils import number


class Schedule:
    """Base of the schedules: the learning rate of every group as a function of the epoch.

    Call `step()` at the end of each epoch. The rates which the groups have at the start are the base rates.

    Args:
        optimizer: the optimizer whose learning rates follow the schedule.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        refuse_unknown(cls.__name__, cls.__init__, kwargs)
        return super().__new__(cls)

    def __init__(self, optimizer: Optimizer):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__} schedules an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0

    def _rate(self, base: float) -> float:
        """The learning rate in epoch `last_epoch`."""
        raise NotImplementedError

    def step(self) -> None:
        """Begin the next epoch."""
        self.last_epoch += 1
        self._set_rates()

    def _set_rates(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self._rate(base)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but functions, and the optimizer, which saves its own state, the current rates among it."""
        return {name: value for name, value in vars(self).items() if name != "optimizer" and not callable(value)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict()` of a schedule of the same kind returned; ValueError for anything else."""
        own = self.state_dict().keys()
        if not isinstance(state_dict, Mapping) or state_dict.keys() != own:
            raise ValueError(
                f"the state of a {type(self).__name__} is a dict with {', '.join(own)}, got {state_dict!r}"
            )
        vars(self).update(state_dict)


class StepLR(Schedule):
    """lr = base * gamma**(epoch // step_size): multiply the rate by `gamma` every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        super().__init__(optimizer)
        self.step_size = _at_least_one(step_size, "StepLR: step_size")
        self.gamma = number("StepLR: gamma", gamma)

    def _rate(self, base: float) -> float:
        return base * self.gamma ** (self.last_epoch // self.step_size)


class CosineAnnealingLR(Schedule):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * epoch / T_max)) / 2 (SGDR, Loshchilov and Hutter 2017).

    The rate falls to `eta_min` in `T_max` epochs; after that it rises again.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        super().__init__(optimizer)
        self.T_max = _at_least_one(T_max, "CosineAnnealingLR: T_max")
        self.eta_min = number("CosineAnnealingLR: eta_min", eta_min)

    def _rate(self, base: float) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


class LambdaLR(Schedule):
    """lr = base * lr_lambda(epoch), from epoch 0 on: for a warm-up, a function that rises to 1.

    The function is not part of `state_dict()`.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]):
        super().__init__(optimizer)
        if not callable(lr_lambda):
            raise TypeError(f"LambdaLR: lr_lambda must be a function of the epoch, got {lr_lambda!r}")
        self.lr_lambda = lr_lambda
        self._set_rates()

    def _rate(self, base: float) -> float:
        return base * self.lr_lambda(self.last_epoch)


def _at_least_one(value: Any, name: str) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer, at least 1, got {value!r}")
    return int(value)
