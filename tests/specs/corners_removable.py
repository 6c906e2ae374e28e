"""Formulas that are 0 / 0 at zero, or infinity over infinity, where the limit is a number."""

from nngrad.codegen.language import exp, log, op, sinh, tanh


@op
def langevin(t):
    return 1 / tanh(t) - 1 / t


@op
def growth(t):
    return (exp(t) - 1) / t


@op
def over_its_tanh(t):
    return t / tanh(t)


@op
def log_sinhc(t):
    return log(sinh(t) / t)


@op
def saturation(s, k):
    return s / (k + s)


@op
def rapidity(e, p):
    return log((e + p) / (e - p)) / 2


@op
def opening(v, *, rate=0.1, half=-40.0, width=10.0):
    """The rate at which a sodium channel's gates open (Hodgkin & Huxley 1952)."""
    return rate * (v - half) / (1 - exp(-(v - half) / width))


@op
def flux(v, *, inside=140.0, outside=5.0):
    """Ions through a membrane in a constant field (Goldman 1943, Hodgkin & Katz 1949)."""
    return v / 25 * (inside - outside * exp(-v / 25)) / (1 - exp(-v / 25))


@op
def soft_share_of(x):
    return log(1 + exp(x)) / x
