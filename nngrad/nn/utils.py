"""What is done to the gradients of many parameters at once, between `backward()` and an optimizer's `step()`."""

from collections.abc import Iterable, Iterator

import numpy as np

from nngrad.arguments import tells_arguments
from nngrad.functions import norm
from nngrad.tensor import Tensor
from nngrad.utils import number

__all__ = ["clip_grad_norm_", "clip_grad_value_"]

MANY = 1 << 16  # elements, of which a norm takes longer than the steps of Python around it


@tells_arguments
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale gradients in place, all alike, so that their norm is at most `max_norm` (Pascanu et al. 2013).

    The norm is that of all gradients as one vector.

    Args:
        parameters: Tensors, or a single one; those that have no gradient are left out.
        max_norm: the largest norm that stays as it is.
        norm_type: the order p of (sum |g|^p)^(1/p); inf for the largest |g|.
        error_if_nonfinite: whether to refuse a norm that is infinite or NaN, and not to scale by it.

    Returns:
        The norm before, a Tensor of one number in float64.

    Raises:
        TypeError: `parameters` are no Tensors.
        ValueError: `max_norm` is negative, or `norm_type` is 0.
        RuntimeError: the norm is infinite or NaN, with `error_if_nonfinite`.
    """
    number("clip_grad_norm_: max_norm", max_norm)
    gradients = _gradients("clip_grad_norm_", parameters)
    norms = [norm(vector, norm_type).item() for vector in _vectors(gradients)]
    total = norm(Tensor(norms, dtype=np.float64), norm_type) if norms else Tensor(0.0, dtype=np.float64)
    if error_if_nonfinite and not np.isfinite(total.item()):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total.item()}; look for what made it so")
    factor = np.minimum(max_norm / (total.item() + 1e-6), 1.0)  # NaN stays NaN
    if factor != 1:
        for g in gradients:
            g *= factor
    return total


@tells_arguments
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients, in place, to the range from `-clip_value` to `clip_value`.

    Args:
        parameters: Tensors, or a single one; those that have no gradient are left out.
        clip_value: the largest size of an element.

    Raises:
        TypeError: `parameters` are no Tensors.
        ValueError: `clip_value` is negative.
    """
    number("clip_grad_value_: clip_value", clip_value)
    for g in _gradients("clip_grad_value_", parameters):
        np.clip(g, -clip_value, clip_value, out=g)


def _vectors(gradients: list[np.ndarray]) -> Iterator[Tensor]:
    """The gradients as vectors in float64, small ones together."""
    together, size = [], 0
    for place, g in enumerate(gradients, 1):
        together.append(g.reshape(-1))
        size += g.size
        if size >= MANY or (size and place == len(gradients)):
            yield Tensor(np.concatenate(together, dtype=np.float64), dtype=np.float64)
            together, size = [], 0


def _gradients(name: str, parameters: Tensor | Iterable[Tensor]) -> list[np.ndarray]:
    """The gradients that were computed, or given."""
    if not isinstance(parameters, Iterable):
        hint = ": write model.parameters()" if hasattr(parameters, "parameters") else ""
        raise TypeError(f"{name} takes Tensors, not {type(parameters).__name__}{hint}")
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in tensors:
        if not isinstance(p, Tensor):
            raise TypeError(f"{name} takes Tensors, got {type(p).__name__}")
    return [p.grad for p in tensors if p._has_grad]
