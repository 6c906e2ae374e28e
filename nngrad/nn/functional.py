"""The functions of neural networks, with PyTorch's names and arguments (`axis` for its `dim`).

Every activation, loss and norm of the spec is here by its name: `F.gelu`, `F.mse_loss`. They are made when they are
first asked for, so a new formula in the spec needs no line in this file. Written out are the functions whose arguments
PyTorch arranges in another way, or that are made of others; those of losses and distances, convolutions, pooling and
normalisation stand in files of their own.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from nngrad.arguments import tells_arguments
from nngrad.elsewhere import no_attribute, whereabouts
from nngrad.engine import OPS, apply, apply_two
from nngrad.functions import HOMES, array_of, function, matmul, ops, shape_of, tensor_of
from nngrad.graph import wrap
from nngrad.inputs import as_array
from nngrad.modes import get_default_dtype
from nngrad.nn._class_losses import cross_entropy as cross_entropy
from nngrad.nn._class_losses import multi_margin_loss as multi_margin_loss
from nngrad.nn._class_losses import multilabel_margin_loss as multilabel_margin_loss
from nngrad.nn._class_losses import nll_loss as nll_loss
from nngrad.nn._convolution import conv1d as conv1d
from nngrad.nn._convolution import conv2d as conv2d
from nngrad.nn._convolution import conv_transpose1d as conv_transpose1d
from nngrad.nn._convolution import conv_transpose2d as conv_transpose2d
from nngrad.nn._distances import cosine_embedding_loss as cosine_embedding_loss
from nngrad.nn._distances import cosine_similarity as cosine_similarity
from nngrad.nn._distances import normalize as normalize
from nngrad.nn._distances import pairwise_distance as pairwise_distance
from nngrad.nn._distances import triplet_margin_loss as triplet_margin_loss
from nngrad.nn._losses import binary_cross_entropy as binary_cross_entropy
from nngrad.nn._losses import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from nngrad.nn._losses import gaussian_nll_loss as gaussian_nll_loss
from nngrad.nn._losses import huber_loss as huber_loss
from nngrad.nn._losses import kl_div as kl_div
from nngrad.nn._losses import margin_ranking_loss as margin_ranking_loss
from nngrad.nn._losses import multilabel_soft_margin_loss as multilabel_soft_margin_loss
from nngrad.nn._losses import of_elements
from nngrad.nn._losses import smooth_l1_loss as smooth_l1_loss
from nngrad.nn._losses import soft_margin_loss as soft_margin_loss
from nngrad.nn._normalisation import batch_norm as batch_norm
from nngrad.nn._normalisation import group_norm as group_norm
from nngrad.nn._normalisation import instance_norm as instance_norm
from nngrad.nn._normalisation import local_response_norm as local_response_norm
from nngrad.nn._pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from nngrad.nn._pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from nngrad.nn._pooling import avg_pool1d as avg_pool1d
from nngrad.nn._pooling import avg_pool2d as avg_pool2d
from nngrad.nn._pooling import fold as fold
from nngrad.nn._pooling import max_pool1d as max_pool1d
from nngrad.nn._pooling import max_pool2d as max_pool2d
from nngrad.nn._pooling import unfold as unfold
from nngrad.random import default_generator
from nngrad.structure import swapaxes
from nngrad.tensor import Tensor
from nngrad.utils import number, whole_number

_OPS = {name: op for name, op in OPS.items() if op.home in HOMES}  # the ops whose home is this module

COMPOSED_LOSSES = {
    "cosine_embedding_loss", "gaussian_nll_loss", "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss",
}  # fmt: skip
COMPOSED_LAYERS = {
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "cosine_similarity", "fold", "glu",
    "max_pool1d", "max_pool2d", "pairwise_distance", "softmin", "unfold",
}  # fmt: skip
_OTHERS = {
    "alpha_dropout", "batch_norm", "bilinear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "dropout",
    "dropout1d", "dropout2d", "embedding", "group_norm", "instance_norm", "linear", "local_response_norm", "normalize",
    "one_hot", "rrelu", "scaled_dot_product_attention",
}  # fmt: skip

__all__ = sorted({*_OTHERS, *COMPOSED_LOSSES, *COMPOSED_LAYERS, *_OPS})


@tells_arguments
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
    if not shape:
        as_array(input, "linear: the input")  # TypeError if it is no number either
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
    rows = apply(OPS["expand_dims"], input, axis=0) if len(shape) == 1 else input
    y = apply_two(OPS["matmul_transposed"], rows, weight) if bias is None else apply(OPS["affine"], rows, weight, bias)
    if len(shape) == 1:
        return apply(OPS["squeeze"], y, axis=0)
    return apply(OPS["reshape"], y, shape=(*shape[:-1], outputs)) if len(shape) > 2 else y


@tells_arguments
def dropout(
    input: Any, p: float = 0.5, training: bool = True, generator: "np.random.Generator | None" = None
) -> Tensor:
    """Set elements to zero with probability p and divide the others by 1 - p (Srivastava et al. 2014).

    The mean stays what it was, so that nothing is left to do when `training` is False: the input is returned.

    Args:
        input: x, of any shape.
        p: the probability of a zero, from 0 to 1.
        training: whether to do anything.
        generator: what draws; None for that of `nngrad.manual_seed`.

    Returns:
        A Tensor of the same shape and dtype.

    Raises:
        ValueError: p is not in [0, 1].
    """
    return _dropped(input, p, training, generator, shape_of(input))


@tells_arguments
def dropout1d(
    input: Any, p: float = 0.5, training: bool = True, generator: "np.random.Generator | None" = None
) -> Tensor:
    """`dropout` of whole channels of signals: input of shape (N, C, L) or (C, L)."""
    return _dropped_channels("dropout1d", 1, input, p, training, generator)


@tells_arguments
def dropout2d(
    input: Any, p: float = 0.5, training: bool = True, generator: "np.random.Generator | None" = None
) -> Tensor:
    """`dropout` of whole channels of images (Tompson et al. 2015): input of shape (N, C, H, W) or (C, H, W)."""
    return _dropped_channels("dropout2d", 2, input, p, training, generator)


@tells_arguments
def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, generator: "np.random.Generator | None" = None
) -> Tensor:
    """`dropout` that keeps mean 0 and variance 1, for networks of `selu` (Klambauer et al. 2017).

    Elements become selu(-inf) with probability p; then all are scaled and shifted. Arguments and errors are those of
    `dropout`.
    """
    check_probability(p)
    x = _floating("alpha_dropout", input)
    if not training or p == 0:
        return x
    lowest = -1.7580993408473766  # selu(-inf)
    scale = 0.0 if p == 1 else ((1 - p) * (1 + p * lowest**2)) ** -0.5
    kept = _kept(x.shape, p, generator)
    return ops.where(kept, x, lowest) * scale - scale * p * lowest


def _dropped_channels(name, axes, input, p, training, generator) -> Tensor:
    shape = shape_of(input)
    if len(shape) not in (axes + 1, axes + 2):
        raise ValueError(f"{name}: input must have {axes + 2} axes, or {axes + 1} without examples, got shape {shape}")
    return _dropped(input, p, training, generator, (*shape[:-axes], *(1,) * axes))


def _dropped(input, p, training, generator, shape) -> Tensor:
    check_probability(p)
    x = _floating("dropout", input)
    if not training or p == 0:
        return x
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return x * wrap(np.multiply(_kept(shape, p, generator), scale, dtype=x.dtype, out=...))


def _kept(shape, p, generator) -> np.ndarray:
    return np.asarray((generator or default_generator()).random(shape, dtype=np.float32) >= p)


def _floating(name: str, input: Any) -> Tensor:
    x = tensor_of(input)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: the input must be of floating dtype, got {x.dtype}")
    return x


def check_probability(p: Any) -> None:
    """Raise ValueError unless `p` is a number from 0 to 1."""
    if not (isinstance(p, Real) and 0 <= p <= 1):
        raise ValueError(f"dropout: the probability p must be a number from 0 to 1, got {p!r}")


@tells_arguments
def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Rows of a table.

    Args:
        input: indices, integers of any shape: an array, a list or a Tensor.
        weight: the table, of shape (number, length).
        padding_idx: a row that gets no gradient, or None.

    Returns:
        A Tensor of shape (*input.shape, length).

    Raises:
        TypeError: the indices are no integers.
        ValueError: weight has not two axes.
        IndexError: an index, or padding_idx, is out of range.
    """
    indices = array_of(input)
    if indices.dtype.kind not in "iu" and indices.size:
        hint = "; Tensor(indices, dtype=int) keeps them" if isinstance(input, Tensor) else ""
        raise TypeError(f"embedding: the indices must be integers, got dtype {indices.dtype}{hint}")
    shape = shape_of(weight)
    if len(shape) != 2:
        raise ValueError(f"embedding: weight must have shape (number, length), got {shape}")
    if indices.size and (indices.min() < 0 or indices.max() >= shape[0]):
        wrong = indices[(indices < 0) | (indices >= shape[0])].flat[0]
        raise IndexError(f"embedding: there is no row {wrong}, weight of shape {shape} has 0 to {shape[0] - 1}")
    rows = ops.getitem(weight, index=indices.astype(np.intp, copy=False))
    if padding_idx is None:
        return rows
    if not -shape[0] <= padding_idx < shape[0]:
        raise IndexError(f"embedding: padding_idx {padding_idx} is none of {shape[0]} rows")
    return ops.where((indices == padding_idx % shape[0])[..., None], rows.detach(), rows)


@tells_arguments
def one_hot(input: Any, num_classes: int = -1) -> Tensor:
    """Integers as rows with a single 1.

    Args:
        input: integers from 0 on, of any shape.
        num_classes: the length of a row; -1 for the largest integer plus 1.

    Returns:
        A Tensor of integers of shape (*input.shape, num_classes).

    Raises:
        TypeError: the input holds no integers.
        ValueError: one is negative or not below num_classes.
    """
    indices = array_of(input)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"one_hot: the input must be integers, got dtype {indices.dtype}")
    classes = int(indices.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    if indices.size and (indices.min() < 0 or indices.max() >= classes):
        raise ValueError(f"one_hot: the input must be from 0 to {classes - 1}, got {indices.min()} to {indices.max()}")
    return Tensor(indices[..., None] == np.arange(classes), dtype=int)


@tells_arguments
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """y[..., k] = sum x1[..., i] w[k, i, j] x2[..., j] + b[k].

    Args:
        input1: x1, of shape (..., in1).
        input2: x2, of shape (..., in2).
        weight: w, of shape (out, in1, in2).
        bias: b, of shape (out,), or None.

    Returns:
        A Tensor of shape (..., out).

    Raises:
        ValueError: the shapes do not fit.
    """
    first, second, kernel = shape_of(input1), shape_of(input2), shape_of(weight)
    if len(kernel) != 3 or first[-1:] != kernel[1:2] or second[-1:] != kernel[2:] or first[:-1] != second[:-1]:
        raise ValueError(
            f"bilinear: inputs of shape {first} and {second} do not fit weight {kernel}; they must be (..., in1), "
            "(..., in2) and (out, in1, in2)"
        )
    y = ops.einsum(ops.einsum(input1, weight, subscripts="...i,kij->...kj"), input2, subscripts="...kj,...j->...k")
    return y if bias is None else y + bias


@tells_arguments
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    generator: "np.random.Generator | None" = None,
) -> Tensor:
    """softmax(scale q k^T + mask) v (Vaswani et al. 2017). A query to which all keys are masked gets zeros.

    Args:
        query: q, of shape (..., L, E).
        key: k, of shape (..., S, E).
        value: v, of shape (..., S, V).
        attn_mask: of a shape that broadcasts to (..., L, S): bool, True where a query sees a key, or numbers that are
            added to the scores; None for neither.
        dropout_p: the probability with which a weight is set to zero, as by `dropout`.
        is_causal: whether query i sees only the keys up to i.
        scale: None for 1 / sqrt(E).
        generator: what draws for dropout; None for that of `nngrad.manual_seed`.

    Returns:
        A Tensor of shape (..., L, V).

    Raises:
        TypeError: the mask is neither bool nor floating.
        ValueError: the shapes do not fit, or there are both a mask and is_causal.
    """
    if is_causal and attn_mask is not None:
        raise ValueError("scaled_dot_product_attention: is_causal is a mask of its own; leave attn_mask out")
    shapes = [shape_of(one) for one in (query, key, value)]
    if any(len(shape) < 2 for shape in shapes) or shapes[0][-1] != shapes[1][-1] or shapes[1][-2] != shapes[2][-2]:
        raise ValueError(
            f"scaled_dot_product_attention: query, key and value of shapes {', '.join(map(str, shapes))} must be "
            "(..., L, E), (..., S, E) and (..., S, V)"
        )
    scale = 1 / math.sqrt(max(1, shapes[0][-1])) if scale is None else scale
    scores = matmul(ops.multiply(query, scale), swapaxes(key, -1, -2))
    mask = np.tri(*scores.shape[-2:], dtype=bool) if is_causal else attn_mask
    if mask is None:
        return matmul(dropout(ops.softmax(scores), dropout_p, generator=generator), value)
    seen = array_of(mask)
    if seen.dtype.kind not in "bf":
        raise TypeError(
            f"scaled_dot_product_attention: attn_mask must be bool, or floating for what is added, got {seen.dtype}"
        )
    if seen.dtype.kind == "f":
        seen = seen != -np.inf
        scores = scores + ops.where(seen, mask, 0)
    any_seen = seen.any(-1, keepdims=True)
    weights = ops.where(any_seen, ops.softmax(ops.where(seen | ~any_seen, scores, -np.inf)), 0)
    return matmul(dropout(weights, dropout_p, generator=generator), value)


@tells_arguments
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


@tells_arguments
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
    """normalized_shape as a tuple; TypeError if it is no integer and none of several, ValueError if it is empty."""
    try:
        lengths = (normalized_shape,) if isinstance(normalized_shape, int | np.integer) else tuple(normalized_shape)
    except TypeError:
        problem = f"{name}: normalized_shape must be an integer, or several of them, got {normalized_shape!r}"
        raise TypeError(problem) from None
    if not lengths:
        raise ValueError(f"{name}: normalized_shape must name at least one axis, got ()")
    return lengths


def whole_lengths(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """`as_lengths`, each of them a whole number; TypeError or ValueError otherwise."""
    lengths = as_lengths(name, normalized_shape)
    return tuple(whole_number(f"{name}: normalized_shape", length, least=0) for length in lengths)


# --- activations -----------------------------------------------------------------------------------------------------


@tells_arguments
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


@tells_arguments
def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]; the gradient is 0 at these: a Tensor of the shape of x.

    Raises ValueError if min_val is above max_val.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not be above max_val, got {min_val} and {max_val}")
    return apply(OPS["hardtanh"], input, min_val=min_val, max_val=max_val)


@tells_arguments
def softshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, 0 inside [-lambd, lambd]: a Tensor of the shape of x.

    Raises ValueError if lambd is negative.
    """
    return apply(OPS["softshrink"], input, lambd=number("softshrink: lambd", lambd))


@tells_arguments
def softmin(input: Any, axis: int | tuple[int, ...] = -1) -> Tensor:
    """Softmax of -x along an axis: a Tensor of the shape of x."""
    return ops.softmax(ops.negative(input), axis=axis)


@tells_arguments
def glu(input: Any, axis: int = -1) -> Tensor:
    """Gated linear unit (Dauphin et al. 2017): a sigmoid(b), where a and b are the halves of the input along an axis.

    Raises ValueError if the axis has an odd length.
    """
    shape = shape_of(input)
    if not -len(shape) <= axis < len(shape) or shape[axis] % 2:
        raise ValueError(f"glu: input of shape {shape} must have an even length along axis {axis}")
    return apply(OPS["gate"], *ops.split(input, sections=2, axis=axis))


@tells_arguments
def rrelu(
    input: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: "np.random.Generator | None" = None,
) -> Tensor:
    """Randomised leaky rectified linear unit (Xu et al. 2015): x where x > 0, slope * x elsewhere.

    Args:
        input: x, of any shape.
        lower, upper: in training a slope is drawn between them for every element; else it is their mean.
        training: whether slopes are drawn.
        generator: what draws; None for that of `nngrad.manual_seed`.

    Returns:
        A Tensor of the shape of x.

    Raises:
        ValueError: lower is above upper.
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    if not training:
        return apply(OPS["leaky_relu"], input, negative_slope=(lower + upper) / 2)
    x = _floating("rrelu", input)
    slopes = (generator or default_generator()).uniform(lower, upper, x.shape).astype(x.dtype)
    return apply(OPS["prelu"], x, slopes)


# --- everything else, by name ----------------------------------------------------------------------------------------


def __getattr__(name: str) -> Callable[..., Tensor]:
    op = _OPS.get(name)
    if op is None:
        raise no_attribute(f"module {__name__!r}", name, __all__, whereabouts(name))
    first = "input" if op.inputs[0] == "x" else None  # as PyTorch calls it
    made = of_elements(op) if op.home == "loss" else function(op, first)
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
