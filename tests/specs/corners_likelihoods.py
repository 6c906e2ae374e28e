"""Scales given by their logarithms, as networks give them: exponentials beside other factors."""

from nngrad.codegen.language import exp, op


@op
def standard_score(x, mu, logs):
    return (x - mu) * exp(-logs)
