"""Sums that cancel by chance: where one of their inputs happens to be near what is made of the others."""

from nngrad.codegen.language import exp, log, op, tanh, where


@op
def log_residual(t, x):
    """How far a logarithm is from what was predicted."""
    return log(t) - x


@op
def exponential_family(x, t):
    """A log partition function less its linear term."""
    return exp(x) - t * x


@op
def step_towards(x, y, w):
    """A part of the way from x to y."""
    return x + w * (y - x)


@op
def slope_below(x, w):
    """A product of inputs in a branch, which leaves the range outside of it."""
    return where(x > 1, x, w * x)


@op
def gated_residual(x, y):
    """One input as it is, whose slope is a number."""
    return x + 0.1 * tanh(y)
