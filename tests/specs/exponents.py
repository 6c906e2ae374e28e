"""Formulas whose exponents are rounded, if they are computed as they stand."""

from nngrad.codegen.language import exp, op


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
