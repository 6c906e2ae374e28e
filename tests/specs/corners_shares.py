"""Formulas of shares in a sum, and of rows over what their elements add up to, as the literature has them."""

from nngrad.codegen.language import exp, log, loss, sum, take


@loss
def poly_one(x, target, *, axis=-1):
    p = take(exp(x) / sum(exp(x), axis), target, axis)
    return -log(p) + 1 - p


@loss
def unlikelihood(x, target, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return -log(1 - take(p, target, axis))
