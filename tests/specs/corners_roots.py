"""Formulas whose terms cancel: a root, |x| or an arctan and what it approaches; and squares of quotients."""

from nngrad.codegen.language import arctan, cos, exp, op, pi, sqrt


@op
def conjugate_root(x):
    return sqrt(1 + x**2) - x


@op
def root_difference(p):
    return sqrt(p + 1) - sqrt(p)


@op
def cauchy_cdf(x):
    return arctan(x) / pi + 1 / 2


@op
def one_minus_cos_over(x):
    return (1 - cos(x)) / x**2


@op
def mean_exp(t):  # 0 / 0 at 0, as it is written
    return (1 - exp(-t)) / t


@op
def smooth_minimum(x, y):
    return (x + y - sqrt((x - y) ** 2 + 1)) / 2
