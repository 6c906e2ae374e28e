"""Formulas whose exponents are rounded, if they are computed as they stand."""

from nngrad.codegen.language import activation, exp, op, pi, sqrt, tanh


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


@op
def product(x, y):
    return 1 / (1 + exp(-x * y))


@activation
def gelu_by_tanh(x):
    inner = sqrt(2 / pi) * (x + 0.044715 * x**3)
    return x * (1 + tanh(inner)) / 2
