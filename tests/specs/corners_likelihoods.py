"""Likelihoods whose scales are given by their logarithms, as networks give them: exponentials beside other factors."""

from nngrad.codegen.language import exp, log, op

# --- products with exponentials ---------------------------------------------------------------------------------------


@op
def standard_score(x, mu, logs):
    return (x - mu) * exp(-logs)


@op
def weighted_error(e, s):
    return e**2 * exp(-s) + exp(s)


# --- their logarithms and quotients -----------------------------------------------------------------------------------


@op
def lorentz_error(e, s):
    return log(1 + e**2 * exp(-s))
