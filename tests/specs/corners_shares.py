"""Formulas of shares in a sum, and of rows over what their elements add up to, as the literature has them."""

from nngrad.codegen.language import abs, exp, log, loss, max, min, op, sum, take


@loss
def poly_one(x, target, *, axis=-1):
    p = take(exp(x) / sum(exp(x), axis), target, axis)
    return -log(p) + 1 - p


@loss
def unlikelihood(x, target, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return -log(1 - take(p, target, axis))


@op
def shares_of_sizes(x, *, axis=-1, eps=1e-3):
    return x / (sum(abs(x), axis) + eps)


@op
def shares_of_largest(x, *, axis=-1):
    return x / max(abs(x), axis)


@op
def between_extremes(x, *, axis=-1):
    lo = min(x, axis)
    return (x - lo) / (max(x, axis) - lo)


@op
def softplus_weights(x, *, axis=-1):
    s = log(1 + exp(x))
    return s / sum(s, axis)


@op
def entropy_of_row(x, *, axis=-1):  # nearly good: where shares are below the smallest normal number
    p = exp(x) / sum(exp(x), axis)
    return -sum(p * log(p), axis)


@loss
def power_loss(x, target, *, axis=-1, q=0.7):  # nearly good: a vanishing share's power is of a rounded logarithm
    p = exp(x) / sum(exp(x), axis)
    return (1 - take(p, target, axis) ** q) / q
