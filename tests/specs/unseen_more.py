"""More formulas that the library has never seen, which take the generator longer."""

from nngrad.codegen.language import abs, activation, e, erf, exp, log, loss, op, sigmoid, sin, sqrt, tanh


@activation
def powers(x):
    u = abs(x) + 0.5
    return u**1.5 + u**-2 + 2**x + u**0.5 + u ** (1 / 3) + e**x


@activation
def phish(x):
    return x * tanh(x * (1 + erf(x / sqrt(2))) / 2)


@activation
def sinlu(x, *, a=1.0, b=1.0):
    return (x + a * sin(b * x)) * sigmoid(x)


@activation
def gelu_quick(x):
    return x * sigmoid(1.702 * x)


@activation
def serf(x):
    return x * erf(log(1 + exp(x)))


@activation
def mish(x):
    return x * tanh(log(1 + exp(x)))


@op
def gated(x, y):
    return sqrt(x**2 + y**2 + 1e-6) * tanh(x * y)


@op
def bilinear_gate(x, gate):
    return x * sigmoid(gate) + (1 - sigmoid(gate)) * tanh(x)


@loss
def focal(input, target, *, gamma=2.0):
    p = 1 / (1 + exp(-input))
    return -(target * (1 - p) ** gamma * log(p) + (1 - target) * p**gamma * log(1 - p))


@loss
def bce_naive(input, target):
    p = 1 / (1 + exp(-input))
    return -target * log(p) - (1 - target) * log(1 - p)
