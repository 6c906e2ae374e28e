"""Three ops that no library has a kernel for, as formulas; `run.py` generates them before it times them."""

from nngrad.codegen.language import activation, exp, log1p, op, sin, sqrt, tanh


@activation
def noisy_mish(x):
    """Mish with a ripple."""
    return x * tanh(log1p(exp(x))) + 0.1 * sin(x) ** 2


@activation
def gated_bell(x):
    """The sigmoid approximation of gelu, minus a bell."""
    return x / (1 + exp(-1.702 * x)) - 0.05 * x**3 * exp(-(x**2))


@op
def distance_gate(x, y):
    """Distance from the origin, gated by the product."""
    return sqrt(x**2 + y**2 + 1e-6) * tanh(x * y)
