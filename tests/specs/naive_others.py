"""Formulas like those of naive.py, another of each kind."""

from nngrad.codegen.language import exp, log, op, sqrt


@op
def logistic_of_exp(x):
    return exp(x) / (1 + exp(x))


@op
def soft_relu_scaled(x):
    return log(1 + exp(2 * x)) / 2


@op
def soft_relu_by_factor(x):
    return x + log(1 + exp(-x))


@op
def soft_relu_twice(x):
    return log(1 + exp(log(1 + exp(x))))


@op
def log_hyperbolic_of_exp(x):
    return log((exp(x) + exp(-x)) / 2)


@op
def bent_identity(x):
    return (sqrt(x**2 + 1) - 1) / 2 + x
