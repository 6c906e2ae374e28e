"""Formulas that no form computes accurately in float32: their exponents are rounded, and exponentials magnify that."""

from nngrad.codegen.language import exp, log, op


@op
def gumbel_distribution(x):
    return exp(-exp(-x))


@op
def logish(x):
    return x * log(1 + 1 / (1 + exp(-x)))


@op
def growth(x, *, rate=0.3):
    return (exp(rate * x) - 1) / rate + rate


@op
def logistic_of_product(x, y):
    return 1 / (1 + exp(-x * y))
