"""Logarithms of what leaves the range, as the literature writes them."""

from nngrad.codegen.language import exp, log, op


@op
def exp_of_square(x):
    return exp(x**2)


@op
def log_ratio_next(p):
    return log(p + 1) - log(p)
