"""Losses that compare scores with class indices, with PyTorch's arguments.

Weights, smoothed labels and ignored classes only scale and add up what a loss of the spec gives, so they are written
here, in Tensors.
"""

from typing import Any

import numpy as np
from nngrad_ops.runtime import reduced

from nngrad.arguments import tells_arguments
from nngrad.engine import OPS, apply
from nngrad.functions import array_of, ops, shape_of
from nngrad.nn._losses import check_equal_shapes
from nngrad.tensor import Tensor
from nngrad.utils import number


@tells_arguments
def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """Negative log likelihood: minus the log probability of each row's target class.

    Args:
        input: a log probability per class, of shape (C,), (N, C) or (N, C, d1, ...).
        target: class indices from 0 to C - 1, integers of shape (), (N,) or (N, d1, ...): an array, a list or a Tensor.
        weight: a factor for each class, of shape (C,), or None.
        ignore_index: a target that adds nothing, neither to the sum nor to what the mean divides by.
        reduction: 'mean' (the sum over the sum of the weights), 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of target.

    Raises:
        TypeError: the target does not hold integers.
        ValueError: the shapes do not fit, or the reduction is unknown.
        IndexError: a class index is out of range.
    """
    return _of_classes("nll_loss", input, target, weight, ignore_index, reduction)


@tells_arguments
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Negative log likelihood of softmax(input) at each row's target class, or over its target probabilities.

    Args:
        input: a score per class, of shape (C,), (N, C) or (N, C, d1, ...).
        target: class indices from 0 to C - 1, integers of shape (), (N,) or (N, d1, ...): an array, a list or a Tensor;
            or probabilities, floats of the shape of input.
        weight: a factor for each class, of shape (C,), or None.
        ignore_index: an index that adds nothing, neither to the sum nor to what the mean divides by.
        reduction: 'mean' (over the sum of the weights of the targets; for probabilities over the rows), 'sum', 'none'.
        label_smoothing: the part, from 0 to 1, of the target that is spread over all classes (Szegedy et al. 2016).

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input without its axis of classes.

    Raises:
        TypeError: the target holds neither integers nor probabilities.
        ValueError: the shapes do not fit, label_smoothing is not in [0, 1], or the reduction is unknown.
        IndexError: a class index is out of range.
    """
    if label_smoothing:
        number("cross_entropy: label_smoothing", label_smoothing, most=1)
    if array_of(target).dtype.kind == "f" and shape_of(target) == shape_of(input) != ():
        return _of_probabilities(input, target, weight, reduction, label_smoothing)
    if label_smoothing == 0:
        return _of_classes("cross_entropy", input, target, weight, ignore_index, reduction)
    axis, indices, ignored = _classes("cross_entropy", input, target, ignore_index)
    factors = _class_weights("cross_entropy", weight, input, axis)
    log_p = ops.log_softmax(input, axis=axis)
    every = _without(ignored, -_weighted(log_p, factors).sum(axis))
    counted = _counted(factors, indices, ignored)
    spread = reduced(every, reduction) if reduction != "mean" else _mean(every, counted)
    own = _of_classes("nll_loss", log_p, target, weight, ignore_index, reduction)
    return (1 - label_smoothing) * own + label_smoothing / shape_of(input)[axis] * spread


def _of_probabilities(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Tensor:
    axis = _axis_of_classes("cross_entropy", input)
    factors = _class_weights("cross_entropy", weight, input, axis)
    if label_smoothing:
        target = ops.multiply(target, 1 - label_smoothing) + label_smoothing / shape_of(input)[axis]
    losses = -ops.log_softmax(input, axis=axis) * target
    return reduced(_weighted(losses, factors).sum(axis), reduction)


def _of_classes(name: str, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Tensor:
    axis, indices, ignored = _classes(name, input, target, ignore_index)
    if weight is None and ignored is None:
        return apply(OPS[name], input, indices, axis=axis, reduction=reduction)
    counted = _counted(_class_weights(name, weight, input, axis), indices, ignored)
    losses = apply(OPS[name], input, indices, axis=axis, reduction="none")
    losses = _weighted(_without(ignored, losses), counted)
    return _mean(losses, counted) if reduction == "mean" else reduced(losses, reduction)


def _weighted(losses: Tensor, factors: np.ndarray | None) -> Tensor:
    """The losses times the factors, which do not widen them."""
    return losses if factors is None else losses * factors.astype(losses.dtype)


def _mean(losses: Tensor, counted: np.ndarray) -> Tensor:
    """The sum over the number of targets, each counted by its weight; NaN if there are none, as in PyTorch."""
    count = counted.sum().item()
    return losses.sum() * (1 / count if count else np.nan)


def _without(ignored: np.ndarray | None, losses: Tensor) -> Tensor:
    """The losses, 0 where they are ignored."""
    return losses if ignored is None else ops.where(ignored, 0, losses)


def _counted(factors: np.ndarray | None, indices: np.ndarray, ignored: np.ndarray | None) -> np.ndarray:
    """How much each target counts: the weight of its class, or nothing."""
    counted = np.ones(indices.shape) if factors is None else factors.reshape(-1)[indices]
    return counted if ignored is None else np.where(ignored, 0, counted)


def _classes(name: str, input: Any, target: Any, ignore_index: int) -> tuple[int, np.ndarray, np.ndarray | None]:
    """The axis of classes, the targets' indices with 0 for the ignored ones, and which are ignored; None if none is."""
    axis, shape = _axis_of_classes(name, input), shape_of(input)
    classes, indices = shape[axis], array_of(target)
    expected = shape[:axis] + shape[axis + 1 :]
    if indices.dtype.kind not in "iu" and indices.size:
        hint = "; Tensor(indices, dtype=int) keeps them" if isinstance(target, Tensor) else ""
        raise TypeError(f"{name}: the target must be integer class indices, got dtype {indices.dtype}{hint}")
    if indices.shape != expected:
        raise ValueError(f"{name}: input of shape {shape} needs a target of shape {expected}, got {indices.shape}")
    if not 0 <= ignore_index < classes and indices.dtype == np.intp:
        unsigned = indices.view(np.uintp)  # what is negative is huge
        if not unsigned.size or unsigned.item(unsigned.argmax()) < classes:  # few have their place found sooner
            return axis, indices, None
    ignored = indices == ignore_index
    wrong = ((indices < 0) | (indices >= classes)) & ~ignored
    if wrong.any():
        raise IndexError(
            f"{name}: there is no class {indices[wrong].flat[0]}, input of shape {shape} has 0 to {classes - 1}"
        )
    return axis, np.where(ignored, 0, indices).astype(np.intp, copy=False), ignored if ignored.any() else None


def _axis_of_classes(name: str, input: Any) -> int:
    shape = shape_of(input)
    if not shape:
        raise ValueError(f"{name}: the input needs an axis of classes, got shape ()")
    return 0 if len(shape) == 1 else 1


def _class_weights(name: str, weight: Any, input: Any, axis: int) -> np.ndarray | None:
    """The weights of classes, along the axis of classes of the input."""
    if weight is None:
        return None
    shape = shape_of(input)
    if shape_of(weight) != (shape[axis],):
        raise ValueError(f"{name}: weight of shape {shape_of(weight)} must be ({shape[axis]},), one number a class")
    return array_of(weight).reshape((-1,) + (1,) * (len(shape) - axis - 1))


@tells_arguments
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Mean over the classes of max(margin - x[y] + x[j], 0)^p of classes j but the target y (Crammer & Singer 2001).

    Args:
        input: a score per class, of shape (C,) or (N, C).
        target: class indices, of shape () or (N,).
        p: 1 or 2.
        margin: by how much the target's score shall lead.
        weight: a factor for each class, of shape (C,), or None.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of target.

    Raises:
        TypeError: the target does not hold integers.
        ValueError: the shapes do not fit, p is neither 1 nor 2, or the reduction is unknown.
        IndexError: a class index is out of range.
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, got {p!r}")
    _check_rows_of_classes("multi_margin_loss", input)
    axis, indices, _ = _classes("multi_margin_loss", input, target, ignore_index=-1 - shape_of(input)[-1])
    factors = _class_weights("multi_margin_loss", weight, input, axis)
    own = apply(OPS["nll_loss"], input, indices, axis=axis, reduction="none")
    lacking = ops.relu(ops.add(input, ops.expand_dims(own, axis=-1) + margin))
    others = np.arange(shape_of(input)[-1]) != indices[..., None]
    losses = ops.where(others, lacking if p == 1 else lacking**2, 0).mean(-1)
    return reduced(_weighted(losses, None if factors is None else factors[indices]), reduction)


@tells_arguments
def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Sum of max(1 - x[y] + x[j], 0) over the target classes y and the other classes j, over the number of classes.

    Args:
        input: a score per class, of shape (C,) or (N, C).
        target: class indices, of the same shape; those of a row end at its first -1.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of shape () or (N,).

    Raises:
        ValueError: the shapes are not equal, or the reduction is unknown.
        IndexError: a class index is out of range.
    """
    _check_rows_of_classes("multilabel_margin_loss", input)
    check_equal_shapes("multilabel_margin_loss", input=input, target=target)
    classes = shape_of(input)[-1]
    indices = array_of(target)
    listed = np.logical_and.accumulate(indices >= 0, axis=-1)
    indices = np.where(listed, indices, 0)
    if (indices >= classes).any():
        raise IndexError(f"multilabel_margin_loss: there is no class {indices.max()}, there are 0 to {classes - 1}")
    one_hot = (indices[..., None] == np.arange(classes)) & listed[..., None]
    counted = listed[..., None] & ~one_hot.any(-2, keepdims=True)
    rows = ops.reshape(input, shape=(-1, classes))
    own = rows[np.arange(rows.shape[0])[:, None], indices.reshape(-1, classes)]
    lacking = ops.relu(1 - ops.expand_dims(own, axis=-1) + ops.expand_dims(rows, axis=-2))
    losses = ops.where(counted.reshape(lacking.shape), lacking, 0).sum((-2, -1)) / classes
    return reduced(ops.reshape(losses, shape=shape_of(input)[:-1]), reduction)


def _check_rows_of_classes(name: str, input: Any) -> None:
    if len(shape_of(input)) not in (1, 2) or not shape_of(input)[-1]:
        raise ValueError(f"{name}: the input must have shape (C,) or (N, C), got {shape_of(input)}")
