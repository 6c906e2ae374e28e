"""Formulas of one input over another, of several exponentials, and of sines with a parameter."""

from nngrad.codegen.language import abs, cosh, exp, log, op, pi, sigmoid, sin, where


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


@op
def log_odds_of_both(a, b):
    return log(sigmoid(a) * sigmoid(b) / (1 - sigmoid(a) * sigmoid(b)))


@op
def window(t, *, a=3.0):
    return where(abs(t) < a, a * sin(pi * t) * sin(pi * t / a) / (pi * t) ** 2, 0)
