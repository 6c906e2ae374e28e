"""More formulas as the literature has them, which take the generator longer."""

from nngrad.codegen.language import erf, log, op, sqrt


@op
def log_normal_cdf(x):
    return log((1 + erf(x / sqrt(2))) / 2)
