"""Normalisations."""

from nngrad.codegen.language import norm, rsqrt
from nngrad.spec.reductions import mean


@norm
def layer_norm(x, weight=None, bias=None, *, axis=-1, eps=1e-5):
    """Layer normalisation (Ba et al. 2016)."""
    centred = x - mean(x, axis)
    scale = rsqrt(mean(centred**2, axis) + eps)
    y = centred * scale
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y


@norm
def rms_norm(x, weight=None, *, axis=-1, eps=1e-5):
    """Root mean square normalisation (Zhang & Sennrich 2019)."""
    scale = rsqrt(mean(x**2, axis) + eps)
    y = x * scale
    if weight is not None:
        y = y * weight
    return y
