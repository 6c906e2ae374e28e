"""Losses with PyTorch's arguments: what is checked before a loss of the spec runs, and losses that are made of others.

A loss of the spec compares its inputs element by element, or scores with class indices. Weights, smoothed labels and
ignored classes only scale and add up what it gives, so they are written here, in Tensors.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from nngrad_ops.runtime import reduced

from nngrad.engine import OPS, Op, apply
from nngrad.functions import function, norm, ops, shape_of
from nngrad.tensor import Tensor

# ---- element by element


def of_elements(op: Op) -> Callable[..., Tensor]:
    """A loss that compares its inputs element by element: shapes that would only match by broadcasting are refused."""
    loss = function(op)
    names = [name for name, default in zip(op.inputs, op.defaults, strict=True) if default is ...]

    @functools.wraps(loss)
    def checked(*args: Any, **kwargs: Any) -> Tensor:
        given = {**dict(zip(op.inputs, args, strict=False)), **kwargs}
        _check_equal_shapes(op.name, **{name: given[name] for name in names if name in given})
        return loss(*args, **kwargs)

    return checked


def _check_equal_shapes(name: str, **inputs: Any) -> None:
    shapes = {input: shape_of(value) for input, value in inputs.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{input} {shape}" for input, shape in shapes.items())
        raise ValueError(f"{name}: the shapes must be equal, got {listed}; reshape or broadcast them first")


def _check_weight(name: str, parameter: str, weight: Any, shape: tuple[int, ...]) -> None:
    given = shape_of(weight)
    trailing = shape[len(shape) - len(given) :] if len(given) <= len(shape) else ()
    if len(given) > len(shape) or any(own not in (1, other) for own, other in zip(given, trailing, strict=True)):
        raise ValueError(f"{name}: {parameter} of shape {given} must broadcast to the input's shape {shape}")


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Cross entropy -(t log p + (1 - t) log(1 - p)) of probabilities, with logarithms kept above -100 as in PyTorch.

    Args:
        input: probabilities p, of any shape.
        target: probabilities t, of the same shape.
        weight: a factor for each element, of a shape that broadcasts to that of input, or None.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes do not fit, or the reduction is unknown.
    """
    loss = of_elements(OPS["binary_cross_entropy"])
    if weight is None:
        return loss(input, target, reduction=reduction)
    _check_weight("binary_cross_entropy", "weight", weight, shape_of(input))
    return reduced(loss(input, target, reduction="none") * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """Cross entropy of sigmoid(input) and target probabilities, accurate where the sigmoid is 0 or 1 to the last digit.

    Args:
        input: scores, of any shape.
        target: probabilities, of the same shape.
        weight: a factor for each element, of a shape that broadcasts to that of input, or None.
        reduction: 'mean', 'sum' or 'none'.
        pos_weight: a factor for the term of target, of a shape that broadcasts to that of input, or None.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes do not fit, or the reduction is unknown.
    """
    loss = of_elements(OPS["binary_cross_entropy_with_logits"])
    for parameter, value in (("weight", weight), ("pos_weight", pos_weight)):
        if value is not None:
            _check_weight("binary_cross_entropy_with_logits", parameter, value, shape_of(input))
    if weight is None:
        return loss(input, target, pos_weight, reduction=reduction)
    return reduced(loss(input, target, pos_weight, reduction="none") * weight, reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """Squared error (x - t)^2 / (2 beta) below beta, absolute error |x - t| - beta / 2 above (Girshick 2015).

    Args:
        input: x, of any shape.
        target: t, of the same shape.
        reduction: 'mean', 'sum' or 'none'.
        beta: where the two pieces meet; 0 for the absolute error alone.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes are not equal, beta is negative, or the reduction is unknown.
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return of_elements(OPS["l1_loss"])(input, target, reduction=reduction)
    return of_elements(OPS["smooth_l1_loss"])(input, target, beta=beta, reduction=reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Squared error (x - t)^2 / 2 below delta, linear above (Huber 1964).

    Args:
        input: x, of any shape.
        target: t, of the same shape.
        reduction: 'mean', 'sum' or 'none'.
        delta: where the two pieces meet, above 0.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes are not equal, delta is not positive, or the reduction is unknown.
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    return of_elements(OPS["huber_loss"])(input, target, delta=delta, reduction=reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Binary cross entropy with logits, averaged over the classes.

    Args:
        input: scores, of shape (..., C).
        target: 0 or 1 for each class, of the same shape.
        weight: a factor for each class, of shape (C,), or None.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of shape (...).

    Raises:
        ValueError: the shapes do not fit, or the reduction is unknown.
    """
    _check_equal_shapes("multilabel_soft_margin_loss", input=input, target=target)
    labels = binary_cross_entropy_with_logits(input, target, weight, reduction="none")
    return reduced(labels.mean(-1), reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Logistic loss log(1 + exp(-t x)).

    Args:
        input: scores x, of any shape.
        target: t, -1 or 1, of the same shape.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes are not equal, or the reduction is unknown.
    """
    _check_equal_shapes("soft_margin_loss", input=input, target=target)
    return reduced(ops.softplus(-ops.multiply(target, input)), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Tensor:
    """What x1 - x2 lacks of the margin in the direction of the target, max(margin - t (x1 - x2), 0).

    Args:
        input1, input2: scores x1 and x2, of any shape.
        target: t, 1 where the first shall be larger and -1 where the second shall, of the same shape.
        margin: by how much.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of the inputs.

    Raises:
        ValueError: the shapes are not equal, or the reduction is unknown.
    """
    _check_equal_shapes("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return reduced(ops.clip(margin - ops.multiply(target, ops.subtract(input1, input2)), min=0), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Pointwise Kullback-Leibler divergence of exp(input) from target.

    Args:
        input: logarithms of probabilities, of any shape.
        target: probabilities of the same shape, or their logarithms.
        reduction: 'mean', 'sum', 'none', or 'batchmean', the divergence itself: the sum over the length of axis 0.
        log_target: whether target holds logarithms.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes are not equal, or the reduction is unknown.
    """
    loss = of_elements(OPS["kl_div"])
    if reduction != "batchmean":
        return loss(input, target, log_target=log_target, reduction=reduction)
    total = loss(input, target, log_target=log_target, reduction="sum")
    return total / shape_of(input)[0] if shape_of(input) else total


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log likelihood (log v + (x - t)^2 / v) / 2 of a normal distribution (Nix & Weigend 1994).

    Args:
        input: the means x, of any shape.
        target: samples t, of the same shape.
        var: the variances v, of the same shape, of that without the last axis, or with 1 for its length; not negative.
        full: whether to add the constant log(2 pi) / 2.
        eps: what a variance is at least; below it has no gradient.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes do not fit, a variance is negative, or the reduction is unknown.
    """
    _check_equal_shapes("gaussian_nll_loss", input=input, target=target)
    shape, given = shape_of(input), shape_of(var)
    if given not in (shape, shape[:-1], (*shape[:-1], 1)):
        raise ValueError(
            f"gaussian_nll_loss: var of shape {given} does not fit input {shape}; it must be {shape}, {shape[:-1]} or "
            f"{(*shape[:-1], 1)}"
        )
    if np.any(np.asarray(var.data if isinstance(var, Tensor) else var) < 0):
        raise ValueError("gaussian_nll_loss: a variance is negative; give squares of standard deviations")
    if given != shape and given == shape[:-1]:
        var = ops.expand_dims(var, axis=-1)
    variance = ops.maximum(var, eps)
    residual = ops.subtract(input, target)
    y = 0.5 * (ops.log(variance) + residual * (residual / variance))
    return reduced(y + 0.5 * np.log(2 * np.pi).item() if full else y, reduction)


# ---- distances


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> Tensor:
    """Length of x1 - x2 + eps along the last axis, in the p-norm.

    Args:
        x1, x2: of shapes (..., D) that broadcast.
        p: the order of the norm, from 1 to inf.
        eps: added to each difference.
        keepdims: whether the last axis stays, with length 1.

    Returns:
        A Tensor of shape (...).

    Raises:
        ValueError: the shapes do not broadcast.
    """
    return norm(ops.subtract(x1, x2) + eps, p, axis=-1, keepdims=keepdims)


def normalize(input: Any, p: float = 2.0, axis: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """x over its length along an axis, or over eps if that is larger.

    Args:
        input: x, of any shape.
        p: the order of the norm.
        axis: one axis, or several.
        eps: the least divisor.

    Returns:
        A Tensor of the shape of x.
    """
    return ops.divide(input, ops.maximum(norm(input, p, axis=axis, keepdims=True), eps))


def cosine_similarity(x1: Any, x2: Any, axis: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between vectors; a length below eps counts as eps.

    Args:
        x1, x2: of shapes that broadcast.
        axis: the axis along which the vectors lie.
        eps: the least length.

    Returns:
        A Tensor without that axis.

    Raises:
        ValueError: the shapes do not broadcast.
    """
    shape = np.broadcast_shapes(shape_of(x1), shape_of(x2))
    x1, x2 = (x if shape_of(x) == shape else ops.broadcast(x, shape=shape) for x in (x1, x2))
    return (normalize(x1, axis=axis, eps=eps) * normalize(x2, axis=axis, eps=eps)).sum(axis)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos where the target is 1; what cos has above the margin where it is -1.

    Args:
        input1, input2: vectors, of shape (N, D) or (D,).
        target: 1 or -1, of shape (N,) or ().
        margin: from -1 to 1.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of target.

    Raises:
        ValueError: the shapes do not fit, or the reduction is unknown.
    """
    _check_equal_shapes("cosine_embedding_loss", input1=input1, input2=input2)
    labels = _array(target)
    if labels.shape != shape_of(input1)[:-1]:
        raise ValueError(
            f"cosine_embedding_loss: inputs of shape {shape_of(input1)} need a target of shape "
            f"{shape_of(input1)[:-1]}, got {labels.shape}"
        )
    cosine = cosine_similarity(input1, input2, axis=-1)
    return reduced(
        ops.where(labels == 1, 1 - cosine, ops.where(labels == -1, ops.clip(cosine - margin, min=0), 0)), reduction
    )


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(d(a, p) - d(a, n) + margin, 0), with distances of `pairwise_distance` (Balntas et al. 2016).

    Args:
        anchor, positive, negative: vectors, of one shape (..., D).
        margin: how much farther the negative shall be than the positive.
        p, eps: of the distance.
        swap: whether d(p, n) stands for d(a, n) where it is smaller.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of shape (...).

    Raises:
        ValueError: the shapes are not equal, or the reduction is unknown.
    """
    _check_equal_shapes("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(ops.clip(pairwise_distance(anchor, positive, p, eps) - far + margin, min=0), reduction)


# ---- classes


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
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing!r}")
    if _array(target).dtype.kind == "f" and shape_of(target) == shape_of(input) != ():
        return _of_probabilities(input, target, weight, reduction, label_smoothing)
    own = _of_classes("cross_entropy", input, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return own
    axis, indices, ignored = _classes("cross_entropy", input, target, ignore_index)
    factors = _class_weights("cross_entropy", weight, input, axis)
    losses = -ops.log_softmax(input, axis=axis)
    every = _without(ignored, (losses if factors is None else losses * factors).sum(axis))
    counted = _counted(factors, indices, ignored)
    spread = reduced(every, reduction) if reduction != "mean" else _mean(every, counted)
    return (1 - label_smoothing) * own + label_smoothing / shape_of(input)[axis] * spread


def _of_probabilities(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Tensor:
    axis = _axis_of_classes("cross_entropy", input)
    factors = _class_weights("cross_entropy", weight, input, axis)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / shape_of(input)[axis]
    losses = -ops.log_softmax(input, axis=axis) * target
    return reduced((losses if factors is None else losses * factors).sum(axis), reduction)


def _of_classes(name: str, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Tensor:
    axis, indices, ignored = _classes(name, input, target, ignore_index)
    if weight is None and ignored is None:
        return apply(OPS[name], input, indices, axis=axis, reduction=reduction)
    counted = _counted(_class_weights(name, weight, input, axis), indices, ignored)
    losses = apply(OPS[name], input, indices, axis=axis, reduction="none")
    losses = _without(ignored, losses) * counted.astype(losses.dtype)
    return _mean(losses, counted) if reduction == "mean" else reduced(losses, reduction)


def _mean(losses: Tensor, counted: np.ndarray) -> Tensor:
    """The sum over the number of targets, each counted by its weight; NaN if there are none, as in PyTorch."""
    number = counted.sum().item()
    return losses.sum() * (1 / number if number else np.nan)


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
    classes, indices = shape[axis], _array(target)
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
    return _array(weight).reshape((-1,) + (1,) * (len(shape) - axis - 1))


def _array(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else np.asarray(x)


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
        ValueError: the shapes do not fit, p is neither 1 nor 2, or the reduction is unknown.
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
    return reduced(losses if factors is None else losses * factors[indices], reduction)


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
    """
    _check_rows_of_classes("multilabel_margin_loss", input)
    _check_equal_shapes("multilabel_margin_loss", input=input, target=target)
    classes = shape_of(input)[-1]
    indices = _array(target)
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
