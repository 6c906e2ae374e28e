"""Formulas whose forms overflow, or whose clamped inputs mislead, only where inputs are very large."""

from nngrad.codegen.language import exp, log1p, op, sin, sqrt, tanh


@op
def noisy_mish(x):
    return x * tanh(log1p(exp(x))) + 0.1 * sin(x) ** 2


@op
def gated_bell(x):
    return x / (1 + exp(-1.702 * x)) - 0.05 * x**3 * exp(-(x**2))


@op
def distance_gate(x, y):
    return sqrt(x**2 + y**2 + 1e-6) * tanh(x * y)
