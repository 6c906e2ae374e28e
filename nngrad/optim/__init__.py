"""Optimizers and learning rate schedules, with PyTorch's names, defaults and arithmetic.

    optimizer = Adam(model.parameters(), lr=1e-3)
    schedule = CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
        schedule.step()

Between `backward()` and `step()`, gradients that may be too large are clipped by `nngrad.nn.utils.clip_grad_norm_`.
Parameters are updated in place and keep their dtype; what an optimizer keeps of one in float16 is in float32. A
parameter that no backward has reached since `zero_grad()` is left alone, by momentum and weight decay too, and so is
one that is frozen by `set_requires_grad(False)`. A gradient of zeros that was computed, or assigned to `grad`, counts.
"""

from nngrad.elsewhere import no_attribute, whereabouts
from nngrad.optim._adam import Adam as Adam
from nngrad.optim._adam import AdamW as AdamW
from nngrad.optim._optimizer import Optimizer as Optimizer
from nngrad.optim._rmsprop import RMSprop as RMSprop
from nngrad.optim._schedules import CosineAnnealingLR as CosineAnnealingLR
from nngrad.optim._schedules import LambdaLR as LambdaLR
from nngrad.optim._schedules import Schedule as Schedule
from nngrad.optim._schedules import StepLR as StepLR
from nngrad.optim._sgd import SGD as SGD

__all__ = [own for own in globals() if own[0].isupper()]


def __getattr__(name: str) -> None:
    raise no_attribute(f"module {__name__!r}", name, __all__, whereabouts(name))
