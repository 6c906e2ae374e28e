"""Formulas over rows as the literature has them: textbook variances, logarithms of sums of powers, kernels."""

from nngrad.codegen.language import abs, count, exp, log, log10, mean, op, sqrt, sum


@op
def variance_by_squares(x, *, axis=-1):
    return mean(x**2, axis) - mean(x, axis) ** 2


@op
def spread_by_sums(x, *, axis=-1):
    n = count(x, axis)
    return sqrt((sum(x**2, axis) - sum(x, axis) ** 2 / n) / n)


@op
def layer_norm_by_squares(x, *, axis=-1, eps=1e-5):
    m = mean(x, axis)
    return (x - m) / sqrt(mean(x**2, axis) - m**2 + eps)


@op
def log_energy(x, *, axis=-1):
    return log(sum(x**2, axis))


@op
def decibels(x, *, axis=-1):
    return 10 * log10(mean(x**2, axis))


@op
def log_fourth(x, *, axis=-1):
    return log(mean(x**4, axis))


@op
def gaussian_kernel(x, y, *, axis=-1):
    return exp(-sum((x - y) ** 2, axis) / 2)


@op
def laplace_kernel(x, y, *, axis=-1, width=1.5):
    return exp(-sum(abs(x - y), axis) / width)
