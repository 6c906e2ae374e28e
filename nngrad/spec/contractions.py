"""Products of tensors, in index notation."""

from nngrad.codegen.language import c, contract, contraction, g, i, j, k, n, o, p, q, sum


@contraction
def matmul(a, b):
    """Matrix product of the last two axes; leading axes broadcast."""
    return sum(a[..., i, k] * b[..., k, j], k)


@contraction
def matmul_transposed(a, b):
    """Matrix product of a and the transpose of b: every row of one with every row of the other."""
    return sum(a[i, k] * b[j, k], k)


@contraction
def affine(x, weight, bias):
    """Affine map of the rows of x by the rows of weight, as of a linear layer."""
    return sum(x[n, i] * weight[o, i], i) + bias[o]


@contraction
def vecdot(x1, x2):
    """Sum of products along the last axis; leading axes broadcast."""
    return sum(x1[..., k] * x2[..., k], k)


@contraction
def matvec(x1, x2):
    """Product of matrices, in the last two axes, and vectors, in the last one; leading axes broadcast."""
    return sum(x1[..., i, k] * x2[..., k], k)


@contraction
def vecmat(x1, x2):
    """Product of vectors, in the last axis, and matrices, in the last two; leading axes broadcast."""
    return sum(x1[..., k] * x2[..., k, j], k)


@contraction
def outer(a, b):
    """Products of all elements of one vector with all of another."""
    return a[i] * b[j]


@contraction
def correlate1d(x, weight, *, step=1, dilation=1):
    """Cross-correlation of signals with kernels, in groups of channels; the channels of the result stand last."""
    return sum(x[n, g, c, step * i + dilation * p] * weight[g, o, c, p], (c, p))


@contraction
def correlate2d(x, weight, *, step1=1, step2=1, dilation1=1, dilation2=1):
    """Cross-correlation of images with kernels, in groups of channels; the channels of the result stand last."""
    return sum(x[n, g, c, step1 * i + dilation1 * p, step2 * j + dilation2 * q] * weight[g, o, c, p, q], (c, p, q))


@contraction
def affine_correlate1d(x, weight, bias, *, step=1, dilation=1):
    """Cross-correlation of signals with kernels, and a bias for each channel of the result; these stand last."""
    return sum(x[n, c, step * i + dilation * p] * weight[o, c, p], (c, p)) + bias[o]


@contraction
def affine_correlate2d(x, weight, bias, *, step1=1, step2=1, dilation1=1, dilation2=1):
    """Cross-correlation of images with kernels, and a bias for each channel of the result; these stand last."""
    return sum(x[n, c, step1 * i + dilation1 * p, step2 * j + dilation2 * q] * weight[o, c, p, q], (c, p, q)) + bias[o]


@contraction
def einsum(*operands, subscripts):
    """Einstein summation in NumPy's notation: letters, ellipsis, repeated and implicit indices."""
    return contract(subscripts, *operands)
