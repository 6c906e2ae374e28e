"""The functions of neural networks, with PyTorch's names and arguments (`axis` for its `dim`).

Every activation, loss and norm of the spec is here by its name: `F.gelu`, `F.mse_loss`. They are made when they are
first asked for, so a new formula in the spec needs no line in this file. Written out are the functions whose arguments
PyTorch arranges in another way, and the two rules by which losses check what they are given.
"""

import functools
import math
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from numbers import Real
from typing import Any

import numpy as np

from nngrad.engine import OPS, Op, apply
from nngrad.functions import HOMES, function, matmul, shape_of
from nngrad.graph import wrap
from nngrad.modes import get_default_dtype
from nngrad.random import generator
from nngrad.tensor import Tensor

_OPS = {name: op for name, op in OPS.items() if op.home in HOMES}  # the ops whose home is this module

__all__ = sorted({"dropout", "linear", *_OPS})


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


# ---- losses


def _of_equal_shapes(op: Op) -> Callable[..., Tensor]:
    """A loss that compares its inputs element by element: shapes that would only match by broadcasting are refused."""
    loss = function(op)
    names = [name for name, default in zip(op.inputs, op.defaults, strict=True) if default is ...]

    @functools.wraps(loss)
    def checked(*args: Any, **kwargs: Any) -> Tensor:
        given = {**dict(zip(op.inputs, args, strict=False)), **kwargs}
        shapes = {name: shape_of(given[name]) for name in names if name in given}
        if len(set(shapes.values())) > 1:
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ValueError(f"{op.name}: the shapes must be equal, got {listed}; reshape or broadcast them first")
        return loss(*args, **kwargs)

    return checked


def _of_classes(op: Op) -> Callable[..., Tensor]:
    """A loss of scores (C,), (N, C) or (N, C, d1, ...) and class indices (), (N,) or (N, d1, ...)."""

    def loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
        shape = shape_of(input)
        if not shape:
            raise ValueError(f"{op.name}: the input needs an axis of classes, got shape ()")
        axis = 0 if len(shape) == 1 else 1
        indices = _class_indices(op, target, shape, axis)
        return apply(op, input, indices, axis=axis, reduction=reduction)

    loss.__name__ = loss.__qualname__ = op.name
    loss.__doc__ = f"""{function(op).__doc__.splitlines()[0]}

    Args:
        input: one score per class, of shape (C,), (N, C) or (N, C, d1, ...).
        target: class indices from 0 to C - 1, integers of shape (), (N,) or (N, d1, ...): an array, a list or a Tensor.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of target.

    Raises:
        TypeError: the target does not hold integers.
        ValueError: the shapes do not fit, or the reduction is unknown.
        IndexError: a class index is out of range.
    """
    return loss


def _class_indices(op: Op, target: Any, shape: tuple[int, ...], axis: int) -> np.ndarray:
    indices = target.data if isinstance(target, Tensor) else np.asarray(target)
    expected = shape[:axis] + shape[axis + 1 :]
    if indices.dtype.kind not in "iu" and indices.size:
        hint = "; Tensor(indices, dtype=int) keeps them" if isinstance(target, Tensor) else ""
        raise TypeError(f"{op.name}: the target must be integer class indices, got dtype {indices.dtype}{hint}")
    if indices.shape != expected:
        raise ValueError(f"{op.name}: input of shape {shape} needs a target of shape {expected}, got {indices.shape}")
    if indices.size and (indices.min() < 0 or indices.max() >= shape[axis]):
        wrong = indices[(indices < 0) | (indices >= shape[axis])].flat[0]
        raise IndexError(f"{op.name}: there is no class {wrong}, input of shape {shape} has 0 to {shape[axis] - 1}")
    return indices.astype(np.intp, copy=False)


# ---- everything else, by name


def __getattr__(name: str) -> Callable[..., Tensor]:
    op = _OPS.get(name)
    if op is None:
        close = get_close_matches(name, __all__, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    if op.home != "loss":
        made = function(op)
    elif op.differentiable[1]:
        made = _of_equal_shapes(op)
    else:
        made = _of_classes(op)
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
