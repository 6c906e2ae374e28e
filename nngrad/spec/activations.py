"""Activations."""

from nngrad.codegen.language import (
    abs,
    activation,
    erf,
    exp,
    expm1,
    isnan,
    log,
    maximum,
    minimum,
    pi,
    sigmoid,
    sign,
    sqrt,
    subgradient,
    sum,
    tanh,
    where,
)


@activation
def relu(x):
    """Rectified linear unit (Nair & Hinton 2010); its derivative at 0 is 0."""
    return maximum(x, 0)


@activation
def relu6(x):
    """Rectified linear unit, at most 6 (Krizhevsky 2010); its derivative at NaN is 0."""
    return subgradient(minimum(maximum(x, 0), 6), isnan(x), 0)


@activation
def prelu(x, weight):
    """Parametric rectified linear unit (He et al. 2015)."""
    return where(x > 0, x, weight * x)


@activation
def gate(x1, x2):
    """x1 sigmoid(x2): what `glu` does to the halves of its input (Dauphin et al. 2017)."""
    return x1 * sigmoid(x2)


@activation
def threshold(x, *, threshold=..., value=...):
    """x above the threshold, the value elsewhere."""
    return where(x <= threshold, value, x)


@activation
def leaky_relu(x, *, negative_slope=0.01):
    """Leaky rectified linear unit (Maas et al. 2013)."""
    return where(x > 0, x, negative_slope * x)


@activation
def elu(x, *, alpha=1.0):
    """Exponential linear unit (Clevert et al. 2016)."""
    return where(x > 0, x, alpha * expm1(x))


@activation
def selu(x):
    """Self-normalising linear unit (Klambauer et al. 2017)."""
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return scale * where(x > 0, x, alpha * expm1(x))


@activation
def celu(x, *, alpha=1.0):
    """Continuously differentiable exponential linear unit (Barron 2017)."""
    return where(x > 0, x, alpha * expm1(x / alpha))


@activation
def gelu(x, *, approximate="none"):
    """Gaussian error linear unit (Hendrycks & Gimpel 2016), exact or by tanh."""
    if approximate == "tanh":
        inner = sqrt(2 / pi) * (x + 0.044715 * x**3)
        return x * (1 + tanh(inner)) / 2
    if approximate == "none":
        return x * (1 + erf(x / sqrt(2))) / 2


@activation
def silu(x):
    """Sigmoid linear unit (Elfwing et al. 2017)."""
    return x * sigmoid(x)


@activation
def mish(x):
    """Self-regularised non-monotonic unit (Misra 2019)."""
    return x * tanh(log(1 + exp(x)))


@activation
def logsigmoid(x):
    """Logarithm of the logistic function."""
    return -log(1 + exp(-x))


@activation
def softsign(x):
    """x / (1 + |x|) (Bergstra et al. 2009)."""
    return x / (1 + abs(x))


@activation
def tanhshrink(x):
    """x - tanh(x)."""
    return x - tanh(x)


@activation
def hardtanh(x, *, min_val=-1.0, max_val=1.0):
    """x between min_val and max_val, constant outside (Collobert 2004); its derivative at bounds and NaN is 0."""
    return subgradient(minimum(maximum(x, min_val), max_val), isnan(x), 0)


@activation
def hardsigmoid(x):
    """Piecewise linear logistic function (Courbariaux et al. 2015); its derivative at -3, 3 and NaN is 0."""
    return subgradient(where(x <= -3, 0, where(x >= 3, 1, x / 6 + 1 / 2)), isnan(x), 0)


@activation
def hardswish(x):
    """x times hardsigmoid(x), and 0 at minus infinity (Howard et al. 2019); its derivative is 0 at -3, 1 at 3."""
    return maximum(x, -3) * where(x <= -3, 0, where(x >= 3, 1, (x + 3) / 6))


@activation
def hardshrink(x, *, lambd=0.5):
    """x outside [-lambd, lambd], 0 inside; its derivative at NaN is 0."""
    return subgradient(where(abs(x) <= lambd, 0, x), isnan(x), 0)


@activation
def softshrink(x, *, lambd=0.5):
    """x moved towards 0 by lambd, 0 inside [-lambd, lambd]; its derivative at NaN is 0."""
    return subgradient(where(abs(x) <= lambd, 0, x - lambd * sign(x)), isnan(x), 0)


@activation
def softplus(x, *, beta=1.0, threshold=None):
    """Smooth relu (Dugas et al. 2001). Exact by default; with a threshold, linear where beta * x exceeds it."""
    smooth = log(1 + exp(beta * x)) / beta
    if threshold is None:
        return smooth
    return where(beta * x > threshold, x, smooth)


@activation
def softmax(x, *, axis=-1):
    """Normalised exponentials (Bridle 1990)."""
    e = exp(x)
    return e / sum(e, axis)


@activation
def log_softmax(x, *, axis=-1):
    """Logarithm of softmax."""
    return x - log(sum(exp(x), axis))
