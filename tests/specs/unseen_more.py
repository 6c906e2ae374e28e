"""More formulas that the library has never seen, which take the generator longer."""

from nngrad.codegen.language import (
    abs,
    activation,
    arctan,
    arctan2,
    cos,
    cosh,
    e,
    erf,
    exp,
    hypot,
    log,
    logaddexp,
    loss,
    maximum,
    op,
    sigmoid,
    sin,
    sqrt,
    sum,
    tanh,
    where,
)


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


@loss
def log_cosh_loss(input, target):
    return log(cosh(input - target))


@loss
def kl_rows(input, target, *, axis=-1):
    p = exp(target) / sum(exp(target), axis)
    logq = input - log(sum(exp(input), axis))
    return sum(p * (log(p) - logq), axis)


@op
def cosine(x, y, *, axis=-1, eps=1e-8):
    return sum(x * y, axis) / maximum(sqrt(sum(x**2, axis)) * sqrt(sum(y**2, axis)), eps)


@activation
def threeway(x, *, mode="a", flip=False):
    if mode == "a":
        y = sin(x)
    elif mode == "b":
        y = cos(x)
    else:
        y = arctan(x)
    if flip:
        return -y
    return y


@op
def gate(x, g):
    return x * sigmoid(g)


@op
def polar(x, y):
    return arctan2(y, x) * hypot(x, y)


@op
def smoothmax(x, y, *, t=0.5):
    return t * logaddexp(x / t, y / t)


@loss
def wing(input, target, *, w=1.0, k=0.5):
    d = abs(input - target)
    c = w - w * log(1 + w / k)
    return where(d < w, w * log(1 + d / k), d - c)


@loss
def gaussian_nll(input, target, variance, *, eps=1e-6):
    v = maximum(variance, eps)
    return (log(v) + (input - target) ** 2 / v) / 2


@activation
def squareplus(x, *, b=4.0):
    return (x + sqrt(x**2 + b)) / 2


@activation
def tanhshrink(x):
    return x - tanh(x)


@activation
def logcosh(x):
    return log(cosh(x))


@activation
def bent_identity(x):
    return (sqrt(x**2 + 1) - 1) / 2 + x


@activation
def pade(x):
    return x * (27 + x**2) / (27 + 9 * x**2)


@loss
def dice_rows(input, target, *, axis=-1, eps=1.0):
    p = sigmoid(input)
    return 1 - (2 * sum(p * target, axis) + eps) / (sum(p, axis) + sum(target, axis) + eps)


@loss
def cosine_loss(input, target, *, axis=-1):
    return 1 - sum(input * target, axis) / sqrt(sum(input**2, axis) * sum(target**2, axis))


@activation
def gaussian(x):
    return exp(-(x**2))


@loss
def hinge(input, target):
    return maximum(0, 1 - input * target)


@activation
def snake(x, *, a=0.7):
    return x + sin(a * x) ** 2 / a
