"""Formulas of one input over another."""

from nngrad.codegen.language import cosh, exp, log, op


@op
def hanging_chain(t, a):
    return a * cosh(t / a) - a


@op
def occupation(t, mu, width):
    return 1 / (exp((t - mu) / width) + 1)


@op
def deviance(y, mu):
    return y * log(y / mu) - (y - mu)


@op
def entropy_beyond_tangent(x):
    return x * log(x) - x + 1
