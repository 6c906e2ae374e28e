"""Products of tensors, in index notation."""

from nngrad.codegen.language import contract, contraction, i, j, k, sum


@contraction
def matmul(a, b):
    """Matrix product of the last two axes; leading axes broadcast."""
    return sum(a[..., i, k] * b[..., k, j], k)


@contraction
def einsum(*operands, subscripts):
    """Einstein summation in NumPy's notation: letters, ellipsis, repeated and implicit indices."""
    return contract(subscripts, *operands)
