"""Formulas of one input over another."""

from nngrad.codegen.language import cosh, exp, op


@op
def hanging_chain(t, a):
    return a * cosh(t / a) - a


@op
def occupation(t, mu, width):
    return 1 / (exp((t - mu) / width) + 1)
