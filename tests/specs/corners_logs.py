"""Logarithms of what leaves the range, as the literature writes them."""

from nngrad.codegen.language import erf, exp, log, op, sqrt


@op
def log_normal_cdf(x):
    return log((1 + erf(x / sqrt(2))) / 2)


@op
def exp_of_square(x):
    return exp(x**2)


@op
def log_ratio_next(p):
    return log(p + 1) - log(p)
