"""Formulas whose exponents are rounded, if they are computed as they stand."""

from nngrad.codegen.language import exp, op


@op
def decay(x):
    return exp(-3 * x)


@op
def growth(x, *, rate=0.3):
    return exp(rate * x)


@op
def steep(x):
    return 1 / (1 + exp(-1.702 * x))


@op
def shifted(x):
    return 1 / (1 + exp(-3 * (x - 1)))
