"""Likelihoods whose scales are given by their logarithms, as networks give them: exponentials beside other factors."""

from nngrad.codegen.language import abs, exp, log, op

# --- products with exponentials ---------------------------------------------------------------------------------------


@op
def standard_score(x, mu, logs):
    return (x - mu) * exp(-logs)


@op
def weighted_error(e, s):
    return e**2 * exp(-s) + exp(s)


@op
def normal_nll(x, mu, v):
    return ((x - mu) ** 2 * exp(-v) + v) / 2


@op
def laplace_nll(x, mu, logb):
    return abs(x - mu) / exp(logb) + logb


# --- their logarithms and quotients -----------------------------------------------------------------------------------


@op
def lorentz_error(e, s):
    return log(1 + e**2 * exp(-s))


@op
def students_nll(x, mu, logs, *, nu=4.0):
    return (nu + 1) / 2 * log(1 + ((x - mu) / exp(logs)) ** 2 / nu) + logs
