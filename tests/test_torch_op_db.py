"""Every op that PyTorch has too, on the sample inputs of PyTorch's own op database: values and all gradients, float64.

    pytest -m torch_op_db

`NAMES` maps PyTorch's names to functions with PyTorch's arguments. A sample with an argument that has no counterpart
here says so by `Unlike`; an op of which no sample is left fails.
"""

import inspect
import operator

import numpy as np
import pytest

import nngrad
import nngrad.nn.functional as F
from nngrad import Tensor

pytestmark = [pytest.mark.torch_op_db, pytest.mark.filterwarnings("ignore")]


class Unlike(Exception):
    """A sample uses an argument that has no counterpart here."""


ARGUMENTS = {"dim": "axis", "keepdim": "keepdims", "dims": "axis", "other": "x2"}


def same(name, module=nngrad, **defaults):
    """The function of this name, with PyTorch's names of arguments."""
    function = getattr(module, name)
    parameters = inspect.signature(function).parameters

    def call(*args, **kwargs):
        kwargs = {ARGUMENTS.get(key, key) if key not in parameters else key: value for key, value in kwargs.items()}
        if unknown := kwargs.keys() - parameters.keys():
            raise Unlike(f"{name}: {', '.join(sorted(unknown))}")
        return function(*args, **{**defaults, **kwargs})

    return call


def unlike(condition, reason):
    if condition:
        raise Unlike(reason)


def scaled(name):
    def call(x, y, alpha=1):
        return getattr(nngrad, name)(x, y if alpha == 1 else nngrad.multiply(y, alpha))

    return call


def div(x, y, rounding_mode=None):
    quotient = nngrad.divide(x, y)
    return {None: lambda q: q, "trunc": nngrad.trunc, "floor": nngrad.floor}[rounding_mode](quotient)


def clamp(x, min=None, max=None):
    for bound, limit in ((min, nngrad.maximum), (max, nngrad.minimum)):
        if isinstance(bound, (Tensor, np.ndarray)):
            x = limit(x, bound)
        elif bound is not None:
            x = nngrad.clip(x, **{"min" if limit is nngrad.maximum else "max": bound})
    return x


def where(x, condition, y):
    return nngrad.where(condition, x, y)


def masked_fill(x, mask, value):
    unlike(isinstance(value, Tensor), "masked_fill: a value that is a tensor is where")
    return nngrad.masked_fill(x, mask, value)


def var(name):
    def call(x, dim=None, unbiased=None, keepdim=False, correction=None):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        ddof = (1 if unbiased in (None, True) else 0) if correction is None else correction
        axis = tuple(dim) if isinstance(dim, (list, tuple)) and len(dim) else None if np.ndim(dim) else dim
        return getattr(nngrad, name)(x, axis=axis, ddof=ddof, keepdims=keepdim)

    return call


def extreme(name):
    def call(x, dim=None, keepdim=False):
        unlike(isinstance(dim, (Tensor, np.ndarray)), f"{name}: of two tensors is {name}imum")
        unlike(dim is not None, f"{name}: with dim it gives one index, and the gradient to it alone")
        return getattr(nngrad, name)(x)

    return call


def vector_norm(x, ord=2, dim=None, keepdim=False, dtype=None):
    unlike(dtype is not None, "norm: dtype")
    unlike(ord == 0, "norm: the number of elements that are not 0 has no gradient")
    return nngrad.norm(x, ord, tuple(dim) if isinstance(dim, list) else dim, keepdim)


def norm(x, p="fro", dim=None, keepdim=False, dtype=None):
    unlike(p == "nuc", "norm: nuclear")
    return vector_norm(x, 2 if p in ("fro", None) else p, dim or None if dim != 0 else 0, keepdim, dtype)


def sort(x, dim=-1, descending=False, stable=False):
    unlike(x.ndim == 0, "sort: of a number")
    y = nngrad.sort(x, dim)
    return nngrad.flip(y, dim) if descending else y


def topk(x, k, dim=-1, largest=True, sorted=True):
    unlike(x.ndim == 0, "topk: of a number")
    return nngrad.topk(x, k, dim, largest)[0]


def take_along_dim(x, indices, dim=None):
    return nngrad.take_along_axis(x, indices.ravel() if dim is None else indices, dim)


def expand(x, *shape):
    shape = tuple(shape[0]) if np.ndim(shape[0]) else shape
    shape = tuple(
        own if one == -1 else one for one, own in zip(shape, (1,) * (len(shape) - x.ndim) + x.shape, strict=True)
    )
    return nngrad.broadcast(x, shape=shape)


def split(x, size, dim=0):
    places = np.cumsum(size)[:-1] if np.ndim(size) else np.arange(size, x.shape[dim], size)
    return nngrad.split(x, [int(place) for place in places], dim)


def chunk(x, chunks, dim=0):
    return split(x, max(1, -(-x.shape[dim] // chunks)), dim)


def tensordot(x, y, dims=2):
    return nngrad.tensordot(x, y, dims)


def unfold(x, dimension, size, step):
    unlike(x.ndim == 0, "unfold: of a number")
    return nngrad.windows(x, axes=(dimension,), size=(size,), step=(step,), dilation=(1,))


def pad(x, widths, mode="constant", value=None):
    pairs = [(0, 0)] * (x.ndim - len(widths) // 2) + [tuple(widths[i : i + 2]) for i in range(0, len(widths), 2)][::-1]
    unlike(any(width < 0 for pair in pairs for width in pair), "pad: negative widths cut")
    mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    return nngrad.pad(x, pairs, mode, **({} if value is None or mode != "constant" else {"constant_values": value}))


def repeat_interleave(x, repeats, dim=None, output_size=None):
    unlike(x.ndim == 0 and dim is not None, "repeat: an axis of a number")
    return nngrad.repeat(x, repeats, dim)


def diff(x, n=1, dim=-1, prepend=None, append=None):
    unlike(prepend is not None or append is not None, "diff: prepend, append")
    return nngrad.diff(x, n, dim)


def of(name):
    """An op of F with PyTorch's arguments."""
    return same(name, F)


def softmax(name):
    def call(x, dim=None, dtype=None, **_):
        unlike(dtype is not None, f"{name}: dtype")
        unlike(x.ndim == 0, f"{name}: of a number")
        return getattr(F, name)(x, axis=dim)

    return call


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    return F.layer_norm(x, tuple(shape), weight, bias, eps)


def rms_norm(x, shape, weight=None, eps=None):
    return F.rms_norm(x, tuple(shape), weight, eps)


def embedding(weight, indices, padding_idx=None, **more):
    unlike(any(value not in (None, False, 2.0) for value in more.values()), "embedding: max_norm, scale_grad_by_freq")
    return F.embedding(indices, weight, padding_idx)


def leaky(name):
    def call(x, *args, inplace=False, **kwargs):
        return getattr(F, name)(x, *args, **kwargs)

    return call


def max_pool(name):
    def call(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        unlike(return_indices, f"{name}: return_indices")
        return getattr(F, name)(x, kernel_size, stride or None, padding, dilation, ceil_mode)

    return call


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    unlike(dropout_p or enable_gqa, "attention: dropout_p, enable_gqa")
    return F.scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal, scale)


def rrelu(x, lower=1 / 8, upper=1 / 3, training=False, inplace=False):
    unlike(training, "rrelu: its own draws")
    return F.rrelu(x, lower, upper)


def batch_norm(x, mean, variance, *args, **kwargs):
    return F.batch_norm(x, *(None if one is None else np.array(one.data) for one in (mean, variance)), *args, **kwargs)


def instance_norm(x, *args, **kwargs):
    args = [None if one is None else np.array(one.data) for one in args]
    kwargs = {
        key: np.array(value.data) if key.startswith("running") and value is not None else value
        for key, value in kwargs.items()
    }
    return F.instance_norm(x, *args, **kwargs)


def median(x, dim=None, keepdim=False):
    unlike(x.ndim == 0, "median: of a number")
    unlike((x.size if dim is None else x.shape[dim]) % 2 == 0, "median: of an even number, the mean of two in NumPy")
    return nngrad.median(x, dim, keepdim)


def matrix_norm(x, ord=None, dim=None, keepdim=False, dtype=None):
    unlike(x.ndim > 1 and ord is not None, "linalg.norm: of a matrix")
    unlike(ord is not None and ord < 0, "norm: orders below 0 have no gradient at 0")
    return vector_norm(x, 2 if ord is None else ord, dim, keepdim, dtype)


def index_put(x, indices, values, accumulate=False):
    unlike(accumulate, "index_put: accumulate")
    x = x.clone()
    x[tuple(indices)] = values
    return x


def each(name):
    def call(*arrays):
        return getattr(nngrad, name)(*(arrays[0] if isinstance(arrays[0], (list, tuple)) else arrays))

    return call


def place_of(name):
    def call(x, dim=None, keepdim=False):
        return getattr(nngrad, name)(x, axis=dim, keepdims=keepdim)

    return call


def sum_of_product(product):
    """beta * b + alpha * (the product of x and y)."""

    def call(b, x, y, beta=1, alpha=1):
        return b * beta + product(x, y) * alpha

    return call


def undropped(name):
    def call(x, p=0.5, training=True, inplace=False):
        unlike(training and p not in (0, 1), f"{name}: its own draws")
        return getattr(F, name)(x, p, training)

    return call


SAME = [
    "abs", "ceil", "cos", "cosh", "deg2rad", "erf", "erfc", "exp", "exp2", "expm1", "floor", "frac", "log", "log10",
    "log1p", "log2", "rad2deg", "reciprocal", "rsqrt", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt", "square",
    "tan", "tanh", "trunc", "copysign", "fmax", "fmin", "fmod", "floor_divide", "hypot", "logaddexp", "logaddexp2",
    "maximum", "minimum", "xlogy", "heaviside", "lerp", "sum", "mean", "prod", "logsumexp", "cumsum", "cumprod",
    "flip", "fliplr", "flipud", "roll", "rot90", "tile", "tril", "triu", "diag", "diagonal", "trace", "ravel",
    "flatten", "permute", "vstack", "hstack", "dstack", "gather", "index_select", "dot", "inner", "outer", "matmul",
    "nansum", "nanmean", "column_stack", "conj", "float_power", "isfinite", "isinf", "isnan", "ldexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "positive", "signbit",
]  # fmt: skip
FUNCTIONAL = [
    "relu6", "selu", "celu", "elu", "silu", "mish", "hardswish", "hardtanh", "leaky_relu", "relu", "hardsigmoid",
]  # fmt: skip
PLAIN = [
    "gelu", "softplus", "softshrink", "hardshrink", "logsigmoid", "softsign", "tanhshrink", "threshold", "prelu",
    "glu", "linear", "bilinear", "normalize", "cosine_similarity", "pairwise_distance", "group_norm",
    "local_response_norm", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "unfold", "avg_pool1d", "avg_pool2d",
    "one_hot", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss",
    "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss",
]  # fmt: skip
CONVOLUTIONS = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]
NAMES = {
    **{name: same(name) for name in SAME},
    **{f"nn.functional.{name}": leaky(name) for name in FUNCTIONAL},
    **{f"nn.functional.{name}": of(name) for name in PLAIN},
    **{f"nn.functional.{name}": getattr(F, name) for name in CONVOLUTIONS},
    **{f"nn.functional.{name}": max_pool(name) for name in ("max_pool1d", "max_pool2d")},
    **{
        theirs: same(ours)
        for theirs, ours in {
            "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
            "atanh": "arctanh", "neg": "negative", "atan2": "arctan2", "mul": "multiply", "true_divide": "divide",
            "pow": "power", "amax": "max", "amin": "min", "transpose": "swapaxes",
            "movedim": "moveaxis", "unsqueeze": "expand_dims", "mm": "matmul", "bmm": "matmul", "mv": "matvec",
            "linalg.vecdot": "vecdot", "vdot": "vecdot", "special.ndtr": "ndtr", "linalg.diagonal": "diagonal",
        }.items()
    },
    "add": scaled("add"), "sub": scaled("subtract"), "div": div, "clamp": clamp,
    "remainder": same("remainder"), "where": where, "masked_fill": masked_fill,
    "var": var("var"), "std": var("std"), "max": extreme("max"), "min": extreme("min"),
    "norm": norm, "linalg.vector_norm": vector_norm, "sort": sort, "topk": topk,
    "take_along_dim": take_along_dim, "expand": expand, "broadcast_to": expand, "split": split, "chunk": chunk,
    "tensordot": tensordot, "unfold": unfold, "nn.functional.pad": pad, "repeat_interleave": repeat_interleave,
    "diff": diff, "softmax": softmax("softmax"), "log_softmax": softmax("log_softmax"),
    "nn.functional.softmin": softmax("softmin"), "nn.functional.layer_norm": layer_norm,
    "nn.functional.rms_norm": rms_norm, "nn.functional.embedding": embedding,
    "nn.functional.scaled_dot_product_attention": attention,
    "nn.functional.rrelu": rrelu, "nn.functional.batch_norm": batch_norm, "nn.functional.instance_norm": instance_norm,
    "cat": lambda tensors, dim=0: nngrad.concat(list(tensors), dim),
    "stack": lambda tensors, dim=0: nngrad.stack(list(tensors), dim),
    "reshape": lambda x, shape: nngrad.reshape(x, tuple(shape)),
    "view": lambda x, *shape: nngrad.reshape(x, tuple(shape[0]) if np.ndim(shape[0]) else shape),
    "squeeze": lambda x, dim=None: nngrad.squeeze(x, None if dim is None else tuple(
        i for i in np.atleast_1d(dim) if x.ndim and x.shape[i] == 1)),
    "take": lambda x, index: nngrad.take(x, index),
    "repeat": lambda x, *reps: nngrad.tile(x, tuple(reps[0]) if np.ndim(reps[0]) else reps),
    "einsum": lambda operands, equation: nngrad.einsum(equation, *operands),
    "nan_to_num": same("nan_to_num"), "median": median, "linalg.norm": matrix_norm, "index_put": index_put,
    "__getitem__": lambda x, *index: x[index[0] if len(index) == 1 else index],
    "__radd__": lambda x, y: y + x, "__rsub__": lambda x, y: y - x, "__rmul__": lambda x, y: y * x,
    "__rdiv__": lambda x, y: y / x, "__rmod__": lambda x, y: y % x, "__rpow__": lambda x, y: y**x,
    "__rmatmul__": lambda x, y: y @ x, "rsub": lambda x, y, alpha=1: y - x * alpha,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    **{name: place_of(name) for name in ("argmax", "argmin")},
    **{name: each(name) for name in ("atleast_1d", "atleast_2d")},
    **{f"nn.functional.{name}": undropped(name) for name in ("dropout", "dropout2d", "alpha_dropout")},
    **{name: sum_of_product(operator.matmul) for name in ("addmm", "addmv", "baddbmm")},
    "addr": sum_of_product(nngrad.outer), "clone": lambda x, memory_format=None: x.clone(), "T": lambda x: x.T(),
    "round": lambda x, decimals=0: unlike(decimals, "round: decimals") or nngrad.round(x),
    "unbind": lambda x, dim=0: tuple(nngrad.moveaxis(x, dim, 0)), "msort": lambda x: nngrad.sort(x, 0),
    "addcmul": lambda x, a, b, value=1: x + value * a * b, "addcdiv": lambda x, a, b, value=1: x + value * a / b,
    "clamp_min": nngrad.maximum, "clamp_max": nngrad.minimum, "dist": lambda x, y, p=2: vector_norm(x - y, p),
    "tensor_split": lambda x, parts, dim=0: nngrad.array_split(x, np.array(parts).tolist(), dim),
}  # fmt: skip


def operands(value, torch):
    """The tensors of an argument, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [one for each in value for one in operands(each, torch)]
    if isinstance(value, dict):
        return operands(list(value.values()), torch)
    return []


def ours(value, torch, made):
    """An argument with Tensors, arrays and NumPy's dtypes in place of PyTorch's."""
    if isinstance(value, torch.Tensor):
        array = value.detach().numpy().copy()
        if array.dtype.kind != "f":
            return array
        made.append(Tensor(array, dtype=array.dtype, requires_grad=value.requires_grad))
        return made[-1]
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        return type(value)(ours(one, torch, made) for one in value)
    if isinstance(value, dict):
        return {key: ours(one, torch, made) for key, one in value.items()}
    return value


def outputs(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


# What is refused here on purpose: how the error begins or ends, and why.
REFUSED = {
    "out of bounds for array of dimension 0": "a number has no axis 0, as in NumPy",
    "in 0 axes": "a number has no axis 0, as in NumPy",
    "cannot accumulate on a scalar": "a number has no axis 0, as in NumPy",
    "the shapes must be equal": "losses do not broadcast",
    "zero-size array to reduction operation maximum": "an empty row has no largest element",
    "got ()": "a number has no axis of classes",
    "needs a target of shape (), got (1,)": "one row has one target, a number",
    "don't have the same lengths": "tensordot does not broadcast, as in NumPy",
    "must have at least 2 axes": "an axis of channels is needed",
    "(inputs of shape (0,), (5, 5), axis=1)": "arrays to join have as many axes, as in NumPy",
    "no '...' ellipsis provided": "axes of the ellipsis are not summed, as in NumPy",
    "index of shape (2, 0) does not fit": "an index has as many axes as what it reads",
}


def run(function, args, kwargs):
    try:
        return outputs(function(*args, **kwargs))
    except (ValueError, IndexError, TypeError) as error:
        for text, reason in REFUSED.items():
            if text in str(error):
                raise Unlike(reason) from error
        raise


def check(torch, op, function, sample):
    made = []
    args = ours((sample.input, *sample.args), torch, made)
    kwargs = ours(sample.kwargs, torch, made)
    found = run(function, args, kwargs)
    expected = outputs(op(sample.input, *sample.args, **sample.kwargs))
    expected = [one for one in expected if isinstance(one, torch.Tensor)][: len(found)]
    assert len(found) == len(expected)
    random = np.random.default_rng(0)
    total, reference = 0, 0
    for y, other in zip(found, expected, strict=True):
        assert y.shape == tuple(other.shape)
        np.testing.assert_allclose(y.data, other.detach().numpy(), rtol=1e-7, atol=1e-12)
        if other.requires_grad:
            g = random.normal(size=y.shape)
            total, reference = total + (y * g).sum(), reference + (other * torch.tensor(g)).sum()
    moving = [one for one in operands((sample.input, sample.args, sample.kwargs), torch) if one.is_floating_point()]
    leaves = [(own, other) for own, other in zip(made, moving, strict=True) if other.requires_grad]
    if not leaves or isinstance(reference, int):
        return
    theirs = torch.autograd.grad(reference, [other for _, other in leaves], allow_unused=True)
    total.backward()
    for (own, _), gradient in zip(leaves, theirs, strict=True):
        gradient = np.zeros(own.shape) if gradient is None else gradient.numpy()
        np.testing.assert_allclose(own.grad, gradient, rtol=1e-7, atol=1e-10)


@pytest.fixture(scope="module")
def database():
    pytest.importorskip("torch")
    pytest.importorskip("expecttest")  # PyTorch's database imports it
    from torch.testing._internal.common_methods_invocations import op_db

    found = {}
    for op in op_db:
        found.setdefault(op.name, []).append(op)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_op(database, name):
    import torch

    checked, skipped, wrong = 0, [], []
    floating = [op for op in database[name] if op.supports_dtype(torch.float64, "cpu")]
    for op in floating or database[name]:
        torch.manual_seed(0)
        dtype = torch.float64 if floating else torch.int64
        for sample in op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd and dtype.is_floating_point):
            try:
                check(torch, op, NAMES[name], sample)
                checked += 1
            except Unlike as reason:
                skipped.append(str(reason))
            except Exception as error:
                wrong.append(f"{sample.summary()[:600]}\n{type(error).__name__}: {str(error)[:600]}")
    assert not wrong, f"{len(wrong)} of {checked + len(wrong)} samples differ:\n" + "\n\n".join(wrong[:3])
    assert checked, f"every sample is skipped: {set(skipped)}"
