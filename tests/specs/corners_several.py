"""Formulas of several exponentials or logarithms as the literature has them: link functions, likelihoods, contrasts."""

from nngrad.codegen.language import exp, log, op, sum

# --- powers and shifts of exponentials --------------------------------------------------------------------------------


@op
def link_of_power(x, *, lam=2.0):
    return 1 - (1 + lam * exp(x)) ** (-1 / lam)


@op
def logistic_to_a_power(x, *, nu=0.5):
    return 1 / (1 + exp(-x)) ** nu


@op
def smooth_step(x):
    return log((1 + exp(x + 1)) / (1 + exp(x - 1)))


# --- sums of logarithms -----------------------------------------------------------------------------------------------


@op
def counts_of_logits(x, y, *, r=3.0):
    return -y * log(exp(x) / (exp(x) + r)) - r * log(r / (exp(x) + r))


@op
def counts_of_means(m, y, *, r=3.0):
    return (y + r) * log(1 + m / r) - y * log(m / r)


# --- several exponentials ---------------------------------------------------------------------------------------------


@op
def share_of_three(a, b, c):
    return exp(a) / (exp(a) + exp(b) + exp(c))


@op
def log_of_three(a, b):
    return log(1 + exp(a) + exp(b))


@op
def contrast(x, y, *, axis=-1, t=0.5):
    return -log(exp(x / t) / (exp(x / t) + sum(exp(y / t), axis)))
