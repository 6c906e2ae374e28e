"""Formulas of the literature, with what is easily lost: the limit at infinity, the slope at 0, a row of zeros."""

from nngrad.codegen.language import abs, exp, log, op, sign, sqrt, sum


@op
def student(x, *, nu=4.0):
    return -(nu + 1) / 2 * log(1 + x**2 / nu)


@op
def pseudo_huber_of_width(x, *, c=1.0):
    return sqrt((x / c) ** 2 + 1) - 1


@op
def geman_mcclure(x):
    return x**2 / (x**2 + 1)


@op
def symlog(x):
    return sign(x) * log(1 + abs(x))


@op
def symexp(x):
    return sign(x) * (exp(abs(x)) - 1)


@op
def size(x):
    return sqrt(x**2)


@op
def unit_vector(x, *, axis=-1):
    return x / (1e-3 + sqrt(sum(x**2, axis)))


@op
def length(x, *, axis=-1):
    return sqrt(sum(x**2, axis))


@op
def logit(p):
    return log(p / (1 - p))


@op
def binary_entropy(p):
    return -p * log(p) - (1 - p) * log(1 - p)


@op
def log_of_difference(x, y):
    return log(exp(x) - exp(y))
