"""Distances and similarities of vectors, and losses that compare them."""

from typing import Any

import numpy as np
from nngrad_ops.runtime import reduced

from nngrad.arguments import tells_arguments
from nngrad.functions import array_of, norm, ops, shape_of
from nngrad.nn._losses import check_equal_shapes
from nngrad.tensor import Tensor
from nngrad.utils import number


@tells_arguments
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


@tells_arguments
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


@tells_arguments
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


@tells_arguments
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
    check_equal_shapes("cosine_embedding_loss", input1=input1, input2=input2)
    labels = array_of(target)
    if labels.shape != shape_of(input1)[:-1]:
        raise ValueError(
            f"cosine_embedding_loss: inputs of shape {shape_of(input1)} need a target of shape "
            f"{shape_of(input1)[:-1]}, got {labels.shape}"
        )
    cosine = cosine_similarity(input1, input2, axis=-1)
    return reduced(
        ops.where(labels == 1, 1 - cosine, ops.where(labels == -1, ops.clip(cosine - margin, min=0), 0)), reduction
    )


@tells_arguments
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
        margin: how much farther the negative shall be than the positive, above 0.
        p, eps: of the distance.
        swap: whether d(p, n) stands for d(a, n) where it is smaller.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of shape (...).

    Raises:
        ValueError: the shapes are not equal, margin is not above 0, or the reduction is unknown.
    """
    if number("triplet_margin_loss: margin", margin) == 0:
        raise ValueError(f"triplet_margin_loss: margin must be above 0, got {margin}")
    check_equal_shapes("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(ops.clip(pairwise_distance(anchor, positive, p, eps) - far + margin, min=0), reduction)
