"""Losses that compare their inputs element by element, with PyTorch's arguments.

Here are what is checked before a loss of the spec runs, weights, which only scale what it gives, and losses that are
made of others. Losses of class indices are in `_class_losses`, those of distances in `_distances`.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from nngrad_ops.runtime import reduced

from nngrad.arguments import tells_arguments
from nngrad.engine import OPS, Op
from nngrad.functions import array_of, function, ops, shape_of, tensor_of
from nngrad.inputs import as_array
from nngrad.tensor import Tensor
from nngrad.utils import number


@functools.cache
def of_elements(op: Op) -> Callable[..., Tensor]:
    """A loss that compares its inputs element by element: shapes that would only match by broadcasting are refused."""
    loss = function(op)
    names = [name for name, default in zip(op.inputs, op.defaults, strict=True) if default is ...]

    @functools.wraps(loss)
    def checked(*args: Any, **kwargs: Any) -> Tensor:
        given = {**dict(zip(op.inputs, args, strict=False)), **kwargs}
        check_equal_shapes(op.name, **{name: given[name] for name in names if name in given})
        return loss(*args, **kwargs)

    return checked


def check_equal_shapes(name: str, **inputs: Any) -> None:
    """Raise ValueError unless all inputs have the same shape; `name` is that of the loss."""
    shapes = {input: shape_of(value) for input, value in inputs.items()}
    if len(set(shapes.values())) > 1:
        for input, value in inputs.items():
            as_array(value, f"{name}: {input}")  # TypeError for what has no shape that could be mended
        listed = ", ".join(f"{input} {shape}" for input, shape in shapes.items())
        raise ValueError(f"{name}: the shapes must be equal, got {listed}; reshape or broadcast them first")


def in_dtype_of(value: Any, input: Any) -> Any:
    """`value` with integers and truth values in the dtype of input, which they shall not widen."""
    array, dtype = array_of(value), getattr(input, "dtype", None)
    return array.astype(dtype) if array.dtype.kind in "biu" and dtype is not None and dtype.kind == "f" else value


def _check_weight(name: str, parameter: str, weight: Any, shape: tuple[int, ...]) -> None:
    given = shape_of(weight)
    trailing = shape[len(shape) - len(given) :] if len(given) <= len(shape) else ()
    if len(given) > len(shape) or any(own not in (1, other) for own, other in zip(given, trailing, strict=True)):
        raise ValueError(f"{name}: {parameter} of shape {given} must broadcast to the input's shape {shape}")


@tells_arguments
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
        ValueError: the shapes do not fit, an element of input is below 0 or above 1, or the reduction is unknown.
    """
    loss = of_elements(OPS["binary_cross_entropy"])
    p = array_of(input)
    if p.dtype.kind in "biuf" and p.size and (p.min() < 0 or p.max() > 1):
        raise ValueError(
            f"binary_cross_entropy: the input must be probabilities, from 0 to 1, got {p.min()} to {p.max()}; write "
            "sigmoid(input), or binary_cross_entropy_with_logits, which takes scores"
        )
    if weight is None:
        return loss(input, target, reduction=reduction)
    _check_weight("binary_cross_entropy", "weight", weight, shape_of(input))
    return reduced(loss(input, target, reduction="none") * in_dtype_of(weight, input), reduction)


@tells_arguments
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
    return reduced(loss(input, target, pos_weight, reduction="none") * in_dtype_of(weight, input), reduction)


@tells_arguments
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
    if number("smooth_l1_loss: beta", beta) == 0:
        return of_elements(OPS["l1_loss"])(input, target, reduction=reduction)
    return of_elements(OPS["smooth_l1_loss"])(input, target, beta=beta, reduction=reduction)


@tells_arguments
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
    if number("huber_loss: delta", delta) == 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    return of_elements(OPS["huber_loss"])(input, target, delta=delta, reduction=reduction)


@tells_arguments
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
    check_equal_shapes("multilabel_soft_margin_loss", input=input, target=target)
    labels = binary_cross_entropy_with_logits(input, target, weight, reduction="none")
    return reduced(labels.mean(-1), reduction)


@tells_arguments
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
    check_equal_shapes("soft_margin_loss", input=input, target=target)
    return reduced(ops.softplus(-ops.multiply(in_dtype_of(target, input), input)), reduction)


@tells_arguments
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
    check_equal_shapes("margin_ranking_loss", input1=input1, input2=input2, target=target)
    difference = ops.subtract(input1, input2)
    return reduced(ops.clip(margin - ops.multiply(in_dtype_of(target, difference), difference), min=0), reduction)


@tells_arguments
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


@tells_arguments
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log likelihood (log v + (x - t)^2 / v) / 2 of a normal distribution (Nix & Weigend 1994).

    Args:
        input: the means x, of any shape.
        target: samples t, of the same shape.
        var: the variances v, of the same shape, of that without the last axis, or with 1 for the length of one axis, or
            a number for all; not negative.
        full: whether to add the constant log(2 pi) / 2.
        eps: what a variance is at least; one below it has the gradient of eps, as in PyTorch.
        reduction: 'mean', 'sum' or 'none'.

    Returns:
        A 0-d Tensor, or with 'none' a Tensor of the shape of input.

    Raises:
        ValueError: the shapes do not fit, a variance is negative, or the reduction is unknown.
    """
    check_equal_shapes("gaussian_nll_loss", input=input, target=target)
    shape, given = shape_of(input), shape_of(var)
    others = [own for own, length in zip(given, shape, strict=False) if own != length]
    if given not in (shape, shape[:-1], ()) and (len(given) != len(shape) or others != [1]):
        raise ValueError(
            f"gaussian_nll_loss: var of shape {given} does not fit input {shape}; it must be {shape}, {shape[:-1]}, or "
            f"{shape} with a 1 for one length"
        )
    if np.any(array_of(var) < 0):
        raise ValueError("gaussian_nll_loss: a variance is negative; give squares of standard deviations")
    if given != shape and given == shape[:-1]:
        var = ops.expand_dims(var, axis=-1)
    var = tensor_of(in_dtype_of(var, input))
    variance = ops.add(var, np.maximum(eps - var.data, 0).astype(var.dtype))
    residual = ops.subtract(input, in_dtype_of(target, input))
    y = 0.5 * (ops.log(variance) + residual * (residual / variance))
    return reduced(y + 0.5 * np.log(2 * np.pi).item() if full else y, reduction)
