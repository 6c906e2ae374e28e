"""Formulas whose exponents are rounded, if they are computed as they stand."""

from nngrad.codegen.language import abs, exp, log, op, sqrt


@op
def decay(x):
    return exp(-3 * x)


@op
def growth(x, *, rate=0.3):
    return exp(rate * x)


@op
def steep(x):
    return 1 / (1 + exp(-1.702 * x))


@op
def shifted(x):
    return 1 / (1 + exp(-3 * (x - 1)))


@op
def bell(x, mu, *, rate=0.7):
    return exp(-rate * (x - mu) ** 2)


@op
def morse(r, *, depth=4.7, width=1.9, r0=0.74):
    return depth * (1 - exp(-width * (r - r0))) ** 2


@op
def fermi(energy, level, *, temperature=0.3):
    return 1 / (exp((energy - level) / temperature) + 1)


@op
def gated(x, *, rate=1.702):
    return x / (1 + exp(-rate * x))


@op
def golu(x):
    return x * exp(-exp(-x))


@op
def gompertz(x, *, b=1.7, c=0.3):
    return exp(-b * exp(-c * x))


@op
def stretched(x, *, k=3.0):
    return exp(-k * sqrt(1 + abs(x)))


@op
def bell_of_logarithm(x, *, a=4.0):
    return exp(-a * log(1 + abs(x)) ** 2)
