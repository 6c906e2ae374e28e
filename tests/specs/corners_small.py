"""Formulas in which a number keeps a logarithm or a divisor from 0, and others whose parts leave the range."""

from nngrad.codegen.language import exp, log, log2, op, sqrt, tanh, where


@op
def log_kept_finite(t):
    return log(t + 1e-8)


@op
def log_kept_finite_by_parameter(t, *, eps=1e-8):
    return log(t + eps)


@op
def log_of_rest(p):
    return log(1 - p + 1e-6)


@op
def capacity(t):
    return log2(1 + t)


@op
def bits(x):
    return log2(1 + exp(x))


@op
def inverse_of_rest(p):
    return 1 / (1 - p + 1e-8)


@op
def log_odds(p):
    return log((p + 1e-6) / (1 - p + 1e-6))


@op
def squashing_correction(x):
    return log(1 - tanh(x) ** 2 + 1e-6)


# --- parts that leave the range ---------------------------------------------------------------------------------------


@op
def inverse_root_unit(x):
    return where(x < 0, x / sqrt(1 + x**2), x)


@op
def utility_of_constant_aversion(c):
    return (c ** (1 - 2.5) - 1) / (1 - 2.5)


@op
def potential(r):  # of Lennard-Jones
    return 4 * ((1 / r) ** 12 - (1 / r) ** 6)
