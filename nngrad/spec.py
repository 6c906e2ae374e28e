"""Every op of nngrad: its forward formula, once, and nothing else.

`python -m nngrad.codegen` derives the rest. The words are those of `nngrad.codegen.language`; inside a formula a
reduction keeps its axis with length 1, and numbers are exact.
"""

from nngrad.codegen.language import (
    abs,
    activation,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cbrt,
    contract,
    contraction,
    cos,
    cosh,
    count,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    hypot,
    i,
    j,
    k,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    loss,
    max,
    maximum,
    min,
    minimum,
    norm,
    op,
    over_hypot,
    over_square,
    pi,
    power_slope,
    prod,
    rsqrt,
    semicircle,
    sigmoid,
    sigmoid_slope,
    sign,
    sin,
    sinc,
    sinc_slope,
    sinh,
    slope,
    sqrt,
    structural,
    subgradient,
    sum,
    take,
    tan,
    tanh,
    where,
)

# Words of the language that are ops as they stand: their derivatives are the language's, not derived here.
op(abs, sign, floor, sqrt, rsqrt, cbrt, exp, exp2, expm1, log, log2, log10, log1p, logaddexp)
op(sin, cos, tan, arcsin, arccos, arctan, arctan2, sinh, cosh, arcsinh, arccosh, arctanh, hypot, sinc, erf, erfc)
op(maximum, minimum, where, sum, prod, max, min)
activation(sigmoid, tanh)

# Their derivatives, ops too so that second derivatives are as exact as first ones.
slope(sigmoid_slope, semicircle, over_hypot, over_square, sinc_slope, power_slope)


# --- arithmetic -------------------------------------------------------------------------------------------------------


@op
def add(x1, x2):
    """Sum, elementwise."""
    return x1 + x2


@op
def subtract(x1, x2):
    """Difference, elementwise."""
    return x1 - x2


@op
def multiply(x1, x2):
    """Product, elementwise."""
    return x1 * x2


@op
def divide(x1, x2):
    """Quotient, elementwise."""
    return x1 / x2


@op
def negative(x):
    """Minus x."""
    return -x


@op
def power(x1, x2):
    """x1 to the power x2, elementwise. x**0 is constant in x, and 0**y in y."""
    return x1**x2


@op
def square(x):
    """x times x."""
    return x**2


@op
def reciprocal(x):
    """One over x."""
    return 1 / x


@op
def xlogy(x1, x2):
    """x1 times log(x2), and 0 where x1 is 0 and the logarithm is infinite or none."""
    return x1 * log(where((x1 == 0) & (x2 <= 0), 1, x2))


@op
def clip(x, *, min=None, max=None):
    """x limited to [min, max]; the gradient passes at the bounds."""
    if min is not None:
        x = where(x < min, min, x)
    if max is not None:
        x = where(x > max, max, x)
    return x


@op
def masked_fill(x, mask, *, value):
    """x with `value` where the mask is true; no gradient reaches filled elements."""
    return where(mask, value, x)


# --- reductions -------------------------------------------------------------------------------------------------------


@op
def mean(x, *, axis=None):
    """Arithmetic mean."""
    return sum(x, axis) / count(x, axis)


@op
def var(x, *, axis=None, ddof=0):
    """Variance with n - ddof in the denominator, by the two-pass formula."""
    centred = x - mean(x, axis)
    return sum(centred**2, axis) / (count(x, axis) - ddof)


@op
def std(x, *, axis=None, ddof=0):
    """Standard deviation; its gradient is 0 where the row is constant."""
    variance = var(x, axis, ddof)
    return subgradient(sqrt(variance), variance == 0, 0)


@op
def logsumexp(x, *, axis=None):
    """Logarithm of a sum of exponentials."""
    return log(sum(exp(x), axis))


# --- contractions -----------------------------------------------------------------------------------------------------


@contraction
def matmul(a, b):
    """Matrix product of the last two axes; leading axes broadcast."""
    return sum(a[..., i, k] * b[..., k, j], k)


@contraction
def einsum(*operands, subscripts):
    """Einstein summation in NumPy's notation: letters, ellipsis, repeated and implicit indices."""
    return contract(subscripts, *operands)


# --- activations ------------------------------------------------------------------------------------------------------


@activation
def relu(x):
    """Rectified linear unit (Nair & Hinton 2010); its derivative at 0 is 0."""
    return maximum(x, 0)


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
    """x between min_val and max_val, constant outside (Collobert 2004); its derivative at the bounds is 0."""
    return where(x <= min_val, min_val, where(x >= max_val, max_val, x))


@activation
def hardsigmoid(x):
    """Piecewise linear logistic function (Courbariaux et al. 2015); its derivative at -3 and 3 is 0."""
    return where(x <= -3, 0, where(x >= 3, 1, x / 6 + 1 / 2))


@activation
def hardswish(x):
    """x times hardsigmoid(x) (Howard et al. 2019)."""
    return where(x < -3, 0, where(x <= 3, x * ((x + 3) / 6), x))


@activation
def hardshrink(x, *, lambd=0.5):
    """x outside [-lambd, lambd], 0 inside."""
    return where(abs(x) <= lambd, 0, x)


@activation
def softshrink(x, *, lambd=0.5):
    """x moved towards 0 by lambd, 0 inside [-lambd, lambd]."""
    return where(abs(x) <= lambd, 0, x - lambd * sign(x))


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


# --- losses -----------------------------------------------------------------------------------------------------------


@loss
def l1_loss(input, target):
    """Absolute error."""
    return abs(input - target)


@loss
def mse_loss(input, target):
    """Squared error."""
    return (input - target) ** 2


@loss
def smooth_l1_loss(input, target, *, beta=1.0):
    """Squared error below beta, absolute error above (Girshick 2015)."""
    r = abs(input - target)
    return where(r < beta, r**2 / (2 * beta), r - beta / 2)


@loss
def huber_loss(input, target, *, delta=1.0):
    """Squared error below delta, linear above (Huber 1964)."""
    r = abs(input - target)
    return where(r < delta, r**2 / 2, delta * (r - delta / 2))


@loss
def kl_div(input, target, *, log_target=False):
    """Pointwise Kullback-Leibler divergence of exp(input) from target; `input` holds log probabilities."""
    if log_target:
        return exp(target) * (target - input)
    return where(target == 0, 0, target * (log(target) - input))


@loss
def binary_cross_entropy(input, target):
    """Cross entropy of probabilities and target probabilities. Logarithms are kept above -100, as in PyTorch."""
    log_p = where(input <= 0, -100, maximum(log(input), -100))
    log_q = where(input >= 1, -100, maximum(log1p(-input), -100))
    return -(target * log_p + (1 - target) * log_q)


@loss
def binary_cross_entropy_with_logits(input, target):
    """Cross entropy of sigmoid(input) and target probabilities."""
    return (1 - target) * log(1 + exp(input)) + target * log(1 + exp(-input))


@loss
def nll_loss(input, target, *, axis=-1):
    """Negative log likelihood: minus the log probability of each row's target class."""
    return -take(input, target, axis)


@loss
def cross_entropy(input, target, *, axis=-1):
    """Negative log likelihood of softmax(input) at each row's target class."""
    return -take(log_softmax(input, axis), target, axis)


# --- normalisations ---------------------------------------------------------------------------------------------------


@norm
def layer_norm(x, weight=None, bias=None, *, axis=-1, eps=1e-5):
    """Layer normalisation (Ba et al. 2016)."""
    centred = x - mean(x, axis)
    scale = rsqrt(mean(centred**2, axis) + eps)
    y = centred * scale
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y


@norm
def rms_norm(x, weight=None, *, axis=-1, eps=1e-5):
    """Root mean square normalisation (Zhang & Sennrich 2019)."""
    y = x * rsqrt(mean(x**2, axis) + eps)
    if weight is not None:
        y = y * weight
    return y


# --- structural ops: index maps, each with its adjoint in templates/structural.py.j2
# -----------------------------------


@structural
def reshape(x, *, shape):
    """The same elements in another shape; one size may be -1."""


@structural
def transpose(x, *, axes=None):
    """Axes permuted; reversed when `axes` is None."""


@structural
def broadcast(x, *, shape):
    """x repeated to a larger shape."""


@structural
def unbroadcast(x, *, shape):
    """x summed to the shape it was broadcast from."""


@structural
def squeeze(x, *, axis=None):
    """Axes of length 1 removed."""


@structural
def expand_dims(x, *, axis):
    """Axes of length 1 inserted."""


@structural
def getitem(x, *, index):
    """x[index], for anything NumPy indexes with."""


@structural
def scatter_add(x, *, shape, index):
    """Zeros with x added at an index."""


@structural
def setitem(x, value, *, index):
    """x with x[index] = value; where an index repeats, the last value stays."""


@structural
def concat(*xs, axis=0):
    """Tensors joined along an axis."""


@structural
def stack(*xs, axis=0):
    """Tensors joined along a new axis."""


@structural
def split(x, *, sections, axis=0) -> tuple:
    """x cut along an axis: into equal parts, or at the given positions."""


@structural
def pad(x, *, pad_width, value=0.0):
    """x surrounded by a constant; `pad_width` as in numpy.pad."""


@structural
def astype(x, *, dtype):
    """x in another floating dtype."""
