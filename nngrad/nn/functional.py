"""The functions of neural networks, with PyTorch's names and arguments (`axis` for its `dim`).

Every activation, loss and norm of the spec is here by its name: `F.gelu`, `F.mse_loss`. They are made when they are
first asked for, so a new formula in the spec needs no line in this file. Written out are the functions whose arguments
PyTorch arranges in another way, or that are made of others; those of losses and distances stand in `_losses.py`.
"""

import math
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from numbers import Real
from typing import Any

import numpy as np

from nngrad.engine import OPS, apply
from nngrad.functions import HOMES, function, matmul, ops, shape_of
from nngrad.graph import wrap
from nngrad.modes import get_default_dtype
from nngrad.nn._losses import binary_cross_entropy as binary_cross_entropy
from nngrad.nn._losses import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from nngrad.nn._losses import cosine_embedding_loss as cosine_embedding_loss
from nngrad.nn._losses import cosine_similarity as cosine_similarity
from nngrad.nn._losses import cross_entropy as cross_entropy
from nngrad.nn._losses import gaussian_nll_loss as gaussian_nll_loss
from nngrad.nn._losses import kl_div as kl_div
from nngrad.nn._losses import multi_margin_loss as multi_margin_loss
from nngrad.nn._losses import multilabel_margin_loss as multilabel_margin_loss
from nngrad.nn._losses import multilabel_soft_margin_loss as multilabel_soft_margin_loss
from nngrad.nn._losses import nll_loss as nll_loss
from nngrad.nn._losses import normalize as normalize
from nngrad.nn._losses import of_elements
from nngrad.nn._losses import pairwise_distance as pairwise_distance
from nngrad.nn._losses import triplet_margin_loss as triplet_margin_loss
from nngrad.random import generator
from nngrad.tensor import Tensor

_OPS = {name: op for name, op in OPS.items() if op.home in HOMES}  # the ops whose home is this module

COMPOSED_LOSSES = {
    "cosine_embedding_loss", "gaussian_nll_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "triplet_margin_loss",
}  # fmt: skip
COMPOSED_ACTIVATIONS = {"cosine_similarity", "pairwise_distance", "softmin"}  # those that have a class

__all__ = sorted({"dropout", "linear", "normalize", *COMPOSED_LOSSES, *COMPOSED_ACTIVATIONS, *_OPS})


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """Affine map of the last axis, y = x W^T + b.

    Args:
        input: x, of shape (..., in).
        weight: W, of shape (out, in).
        bias: b, of shape (out,), or None.

    Returns:
        A Tensor of shape (..., out).

    Raises:
        ValueError: the shapes do not fit.
    """
    shape, weight_shape = shape_of(input), shape_of(weight)
    if len(weight_shape) != 2:
        raise ValueError(f"linear: weight must have shape (out, in), got {weight_shape}")
    outputs, inputs = weight_shape
    if not shape or shape[-1] != inputs:
        raise ValueError(
            f"linear: input of shape {shape} does not fit weight {weight_shape}; it must be (..., {inputs})"
        )
    if bias is not None and shape_of(bias) != (outputs,):
        raise ValueError(f"linear: bias {shape_of(bias)} does not fit weight {weight_shape}; it must be ({outputs},)")
    if len(shape) > 2:  # one large product is faster than many small ones, and so is the gradient of the weight
        input = apply(OPS["reshape"], input, shape=(math.prod(shape[:-1]), inputs))
    y = matmul(input, apply(OPS["transpose"], weight))
    if bias is not None:
        y = apply(OPS["add"], y, bias)
    return apply(OPS["reshape"], y, shape=(*shape[:-1], outputs)) if len(shape) > 2 else y


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Set elements to zero with probability p and divide the others by 1 - p (Srivastava et al. 2014).

    The mean stays what it was, so that nothing is left to do when `training` is False: the input is returned.

    Args:
        input: x, of any shape.
        p: the probability of a zero, from 0 to 1.
        training: whether to do anything.

    Returns:
        A Tensor of the same shape and dtype.

    Raises:
        ValueError: p is not in [0, 1].
    """
    check_probability(p)
    x = input if isinstance(input, Tensor) else Tensor(input, dtype=getattr(input, "dtype", None))
    if not training or p == 0:
        return x
    if x.dtype.kind != "f":
        raise TypeError(f"dropout: the input must be of floating dtype, got {x.dtype}")
    kept = np.asarray(generator.random(x.shape, dtype=np.float32) >= p)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return x * wrap(np.multiply(kept, scale, dtype=x.dtype, out=...))


def check_probability(p: Any) -> None:
    """Raise ValueError unless `p` is a number from 0 to 1."""
    if not (isinstance(p, Real) and 0 <= p <= 1):
        raise ValueError(f"dropout: the probability p must be a number from 0 to 1, got {p!r}")


def layer_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Layer normalisation (Ba et al. 2016), y = (x - mean) / sqrt(var + eps) * weight + bias, over the last axes.

    Args:
        input: x, of shape (..., *normalized_shape).
        normalized_shape: lengths of the axes over which mean and variance are taken; an int is one axis.
        weight, bias: of shape normalized_shape, or None.
        eps: added to the variance.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: the shapes do not fit.
    """
    axis = normalized_axes("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return apply(OPS["layer_norm"], input, weight, bias, axis=axis, eps=eps)


def rms_norm(input: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None) -> Tensor:
    """Root mean square normalisation (Zhang & Sennrich 2019), y = x / sqrt(mean(x^2) + eps) * weight, over the last
    axes.

    Args:
        input: x, of shape (..., *normalized_shape).
        normalized_shape: lengths of the axes over which the mean is taken; an int is one axis.
        weight: of shape normalized_shape, or None.
        eps: added to the mean; None for the machine epsilon of x's dtype.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: the shapes do not fit.
    """
    axis = normalized_axes("rms_norm", input, normalized_shape, weight=weight)
    if eps is None:
        dtype = getattr(input, "dtype", None)
        eps = float(np.finfo(dtype if dtype is not None and dtype.kind == "f" else get_default_dtype()).eps)
    return apply(OPS["rms_norm"], input, weight, axis=axis, eps=eps)


def normalized_axes(
    name: str, input: Any, normalized_shape: int | Sequence[int], **affine: Any
) -> int | tuple[int, ...]:
    """The last axes, those of normalized_shape; ValueError where the input or the affine parameters have another
    shape.
    """
    normalized = as_lengths(name, normalized_shape)
    shape, axes = shape_of(input), len(normalized)
    if shape[len(shape) - axes :] != normalized:
        raise ValueError(f"{name}: input of shape {shape} does not end with normalized_shape {normalized}")
    for parameter, value in affine.items():
        if value is not None and shape_of(value) != normalized:
            raise ValueError(f"{name}: {parameter} of shape {shape_of(value)} is not of normalized_shape {normalized}")
    return -1 if axes == 1 else tuple(range(-axes, 0))


def as_lengths(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """normalized_shape as a tuple; ValueError if it is empty."""
    lengths = (normalized_shape,) if isinstance(normalized_shape, int | np.integer) else tuple(normalized_shape)
    if not lengths:
        raise ValueError(f"{name}: normalized_shape must name at least one axis, got ()")
    return lengths


# ---- activations


def prelu(input: Any, weight: Any) -> Tensor:
    """Parametric rectified linear unit (He et al. 2015): x where x > 0, weight * x elsewhere.

    Args:
        input: x, of any shape.
        weight: the slope, of shape () or (1,), or (C,) with one for each channel of axis 1.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: the shapes do not fit.
    """
    shape, given = shape_of(input), shape_of(weight)
    if given not in ((), (1,)):
        channels = shape[1] if len(shape) > 1 else None
        if given != (channels,):
            raise ValueError(
                f"prelu: weight of shape {given} does not fit input {shape}; it must be (1,) or (channels,)"
            )
        weight = apply(OPS["reshape"], weight, shape=(-1,) + (1,) * (len(shape) - 2))
    elif not shape and given:
        weight = apply(OPS["reshape"], weight, shape=())
    return apply(OPS["prelu"], input, weight)


def softmin(input: Any, axis: int | tuple[int, ...] = -1) -> Tensor:
    """Softmax of -x along an axis: a Tensor of the shape of x."""
    return ops.softmax(ops.negative(input), axis=axis)


# ---- everything else, by name


def __getattr__(name: str) -> Callable[..., Tensor]:
    op = _OPS.get(name)
    if op is None:
        close = get_close_matches(name, __all__, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    made = of_elements(op) if op.home == "loss" else function(op)
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
