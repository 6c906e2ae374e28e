"""Negative log likelihoods of densities whose scales are given by their logarithms: they have roots."""

from nngrad.codegen.language import abs, exp, log, op


@op
def normal_nll(x, mu, v):
    return ((x - mu) ** 2 * exp(-v) + v) / 2


@op
def laplace_nll(x, mu, logb):
    return abs(x - mu) / exp(logb) + logb


@op
def students_nll(x, mu, logs, *, nu=4.0):
    return (nu + 1) / 2 * log(1 + ((x - mu) / exp(logs)) ** 2 / nu) + logs
