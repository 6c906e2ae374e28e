"""Formulas that are 0 / 0 at zero, or infinity over infinity, where the limit is a number."""

from nngrad.codegen.language import exp, log, op, sinh, tanh


@op
def langevin(t):
    return 1 / tanh(t) - 1 / t


@op
def growth(t):
    return (exp(t) - 1) / t


@op
def over_its_tanh(t):
    return t / tanh(t)


@op
def log_sinhc(t):
    return log(sinh(t) / t)


@op
def saturation(s, k):
    return s / (k + s)


@op
def rapidity(e, p):
    return log((e + p) / (e - p)) / 2
