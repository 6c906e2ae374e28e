"""More formulas as the literature has them, which take the generator longer."""

from nngrad.codegen.language import erf, exp, log, op, sqrt


@op
def log_normal_cdf(x):
    return log((1 + erf(x / sqrt(2))) / 2)


@op
def cauchy_of_width(x, *, c=1.5):
    return log(1 + (x / c) ** 2)


@op
def log_of_complement(a, b):
    return log(1 - exp(a - b))


@op
def gate_of_exponentials(a, b):
    return (exp(a) - exp(-a)) / (exp(a) + exp(-a)) / (1 + exp(-b))


@op
def weighted_error(e, s):
    return e**2 * exp(-s) + exp(s)


@op
def lorentz_error(e, s):
    return log(1 + e**2 * exp(-s))
