"""Formulas of physics, pharmacology, audio and colour, with scales for parameters, that cancel near zero or far off."""

from nngrad.codegen.language import abs, cosh, erfc, exp, log, op, pi, sign, sin, sqrt, tanh


@op
def hyperbolic_map(t, *, c=1.0):
    return tanh(sqrt(c) * t) / (sqrt(c) * t)


@op
def fall(t, *, v=40.0, g=9.81):
    return v**2 / g * log(cosh(g * t / v))


@op
def rotation(t):
    return (t - sin(t)) / t**3


@op
def curvature_of_yields(t, *, tau=2.0):
    return (1 - exp(-t / tau)) / (t / tau) - exp(-t / tau)


@op
def dose(t, *, amount=100.0, ka=1.2, ke=0.3, v=10.0):
    return amount * ka / (v * (ka - ke)) * (exp(-ke * t) - exp(-ka * t))


@op
def normal_hazard(t):
    return exp(-(t**2) / 2) / sqrt(2 * pi) / (erfc(t / sqrt(2)) / 2)


@op
def expanded(t, *, mu=255.0):
    return sign(t) * ((1 + mu) ** abs(t) - 1) / mu


@op
def compressed(t, *, delta=2.0, r=0.5):
    return (t + delta) ** r - delta**r


@op
def tone(t):
    return t * (2.51 * t + 0.03) / (t * (2.43 * t + 0.59) + 0.14)


@op
def purity_loss(t, *, q=0.7):
    return (1 - (1 / (1 + exp(-t))) ** q) / q
