"""Formulas of one or two numbers as the literature has them: stable forms by hand, pairs, gates, divergences."""

from nngrad.codegen.language import abs, exp, log, maximum, op

# --- what one writes lest exp overflow --------------------------------------------------------------------------------


@op
def soft_relu_by_hand(x):
    return maximum(x, 0) + log(1 + exp(-abs(x)))


# --- pairs ------------------------------------------------------------------------------------------------------------


@op
def ranking_loss(a, b):
    return -log(1 / (1 + exp(-(a - b))))


@op
def log_of_complement(a, b):
    return log(1 - exp(a - b))


@op
def gate_of_exponentials(a, b):
    return (exp(a) - exp(-a)) / (exp(a) + exp(-a)) / (1 + exp(-b))


# --- poles ------------------------------------------------------------------------------------------------------------


@op
def yukawa(r):
    return exp(-r) / r


@op
def log_gamma_density(t, *, a=2.5, b=1.5):
    return (a - 1) * log(t) - b * t
