"""Formulas that the library has never seen, written as a newcomer would: naive, with parameters, branches and rows."""

from nngrad.codegen.language import (
    abs,
    activation,
    clip,
    count,
    exp,
    floor,
    log,
    loss,
    max,
    maximum,
    mean,
    min,
    minimum,
    norm,
    op,
    prod,
    rsqrt,
    sign,
    softplus,
    sqrt,
    sum,
    take,
    var,
    where,
)


@activation
def swish(x, *, beta=1.5):
    return x / (1 + exp(-beta * x))


@activation
def celu(x, *, alpha=1.2):
    return maximum(x, 0) + minimum(alpha * (exp(x / alpha) - 1), 0)


@activation
def hardswish(x):
    return x * clip(x + 3, 0, 6) / 6


@activation
def softsign(x):
    return x / (1 + abs(x))


@activation
def softshrink(x, *, lambd=0.5):
    return where(x > lambd, x - lambd, where(x < -lambd, x + lambd, 0))


@activation
def hardtanh(x, *, min_val=-1.0, max_val=1.0):
    return where(x < min_val, min_val, where(x > max_val, max_val, x))


@loss
def huber_loss(input, target, *, delta=1.0):
    r = abs(input - target)
    return where(r < delta, r**2 / 2, delta * (r - delta / 2))


@loss
def poisson_nll(input, target):
    return exp(input) - target * input


@loss
def quantile_loss(input, target, *, q=0.3):
    e = target - input
    return maximum(q * e, (q - 1) * e)


@loss
def smoothed_ce(input, target, *, axis=-1, smoothing=0.1):
    logp = input - log(sum(exp(input), axis))
    return -(1 - smoothing) * take(logp, target, axis) - smoothing * mean(logp, axis)


@norm
def rms_norm(x, weight, *, axis=-1, eps=1e-6):
    return x * rsqrt(mean(x**2, axis) + eps) * weight


@norm
def l2_normalize(x, *, axis=-1, eps=1e-12):
    length = sqrt(sum(x**2, axis))
    return x / maximum(length, eps)


@norm
def standardize(x, *, axis=-1):
    c = x - mean(x, axis)
    return c / sqrt(var(x, axis) + 1e-5)


@norm
def minmax(x, *, axis=-1):
    lo = min(x, axis)
    hi = max(x, axis)
    return (x - lo) / (hi - lo + 1e-3)


@activation
def sparsemaxish(x, *, axis=-1, temperature=2.0):
    z = exp(x / temperature)
    return z / (1 + sum(z, axis))


@op
def entropy(x, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return -sum(p * log(p), axis)


@op
def pnorm(x, *, axis=-1, p=3.0):
    return sum(abs(x) ** p, axis) ** (1 / p)


@op
def prelu(x, weight):
    return where(x >= 0, x, weight * x)


@op
def attention_row(q, v, *, axis=-1):
    a = exp(q - max(q, axis))
    return sum(a * v, axis) / sum(a, axis)


@op
def geometric_mean(x, *, axis=-1):
    return prod(abs(x) + 0.1, axis) ** (1 / count(x, axis))


@op
def xlogy(x, y):
    return where(x == 0, 0, x * log(y))


@op
def masked_mean(x, mask, *, axis=-1):
    return sum(where(mask, x, 0), axis) / sum(where(mask, 1, 0), axis)


@op
def centre(x):
    return x - mean(x)


@op
def total(x):
    return sum(x * x) / 2


@op
def plane_norm(x, *, axis=(-2, -1)):
    m = mean(x, axis)
    return (x - m) / sqrt(mean((x - m) ** 2, axis) + 1e-5)


@activation
def loopy(x):
    y = x
    for _ in range(2):
        y = y - y**3 / 10
    return y


def cube(x):
    return x * x * x


@activation
def helped(x):
    a, b = cube(x), x**2
    return a + b / 3 - 0.5


@activation
def piecewise(x, *, lo=-1.0, hi=2.0):
    return where((x > lo) & (x < hi), x**2, where(x >= hi, log(x), exp(x)))


@activation
def rowgate(x, *, axis=-1):
    return where(x > mean(x, axis), x, x / 10)


@op
def masked(x, mask):
    return where(mask & (x > 0), x**2, 0)


@activation
def rounded(x):
    return x - floor(x) + sign(x) * x


@activation
def nested_clip(x, *, lo=-0.5, hi=0.5):
    return clip(x, lo, hi) * softplus(x)


@op
def extent(x, *, axis=-1):
    return max(x, axis) - min(x, axis)


@op
def logsum(x, *, axis=-1, t=3.0):
    return t * log(mean(exp(x / t), axis))


@norm
def full_norm(x, weight, bias, *, axis=-1, eps=1e-5):
    m = mean(x, axis)
    v = mean((x - m) ** 2, axis)
    y = (x - m) / sqrt(v + eps)
    return y * weight + bias


@norm
def var_norm(x, *, axis=-1, eps=1e-3):
    return (x - mean(x, axis)) * rsqrt(var(x, axis) + eps)


@loss
def charbonnier(input, target, *, eps=1e-3):
    return sqrt((input - target) ** 2 + eps**2)


@loss
def margin(input, target, *, axis=-1, m=0.5):
    correct = take(input, target, axis)
    return sum(maximum(0, m - correct + input), axis) - m


@activation
def smelu(x, *, beta=1.1):
    return where(abs(x) <= beta, (x + beta) ** 2 / (4 * beta), maximum(x, 0))


@op
def softargmax(x, *, axis=-1):
    w = exp(5 * x) / sum(exp(5 * x), axis)
    return sum(w * x, axis)


@op
def moment_ratio(x, *, axis=-1):
    c = x - mean(x, axis)
    v = mean(c**2, axis)
    return mean(c**3, axis) / v**1.5


@norm
def group_scale(x, weight=None, *, axis=-1, p=2.0, eps=1e-6):
    y = x / (mean(abs(x) ** p, axis) + eps) ** (1 / p)
    if weight is not None:
        y = y * weight
    return y
