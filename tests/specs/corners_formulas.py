"""Formulas of one or two numbers as the literature has them: stable forms by hand, pairs, gates, poles, divergences."""

from nngrad.codegen.language import abs, exp, log, maximum, op

# --- what one writes lest exp overflow --------------------------------------------------------------------------------


@op
def soft_relu_by_hand(x):
    return maximum(x, 0) + log(1 + exp(-abs(x)))


@op
def soft_relu_inverse(t):
    return log(exp(t) - 1)


# --- pairs ------------------------------------------------------------------------------------------------------------


@op
def ranking_loss(a, b):
    return -log(1 / (1 + exp(-(a - b))))


# --- poles, powers ----------------------------------------------------------------------------------------------------


@op
def yukawa(r):
    return exp(-r) / r


@op
def power_transform(t, *, lam=0.3):
    return (t**lam - 1) / lam


# --- divergences ------------------------------------------------------------------------------------------------------


@op
def normal_divergence(mu, logvar):
    return -(1 + logvar - mu**2 - exp(logvar)) / 2


@op
def generalised_divergence(a, b):
    return a * log(a / b) - a + b
