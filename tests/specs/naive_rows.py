"""Formulas over rows as a newcomer writes them: exponentials and squares that would leave the range as they stand."""

from nngrad.codegen.language import abs, exp, log, loss, max, maximum, mean, norm, op, rsqrt, sqrt, sum, take

# --- exponentials -----------------------------------------------------------------------------------------------------


@op
def softmax(x, *, axis=-1):
    return exp(x) / sum(exp(x), axis)


@op
def shifted_by_hand(x, *, axis=-1):
    e = exp(x - max(x, axis))
    return e / sum(e, axis)


@op
def cooled(x, *, axis=-1, temperature=2.0):
    return exp(x / temperature) / sum(exp(x / temperature), axis)


@op
def sharpened(x, *, axis=-1):
    return exp(2 * x) / sum(exp(2 * x), axis)


@op
def lowered(x, *, axis=-1):
    return exp(x - 3) / sum(exp(x - 3), axis)


@op
def log_of_softmax(x, *, axis=-1):
    return log(exp(x) / sum(exp(x), axis))


@op
def surprise(x, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return -log(p)


@op
def log_softmax_by_hand(x, *, axis=-1):
    top = max(x, axis)
    return x - top - log(sum(exp(x - top), axis))


@op
def logsumexp(x, *, axis=-1):
    return log(sum(exp(x), axis))


@op
def logmeanexp(x, *, axis=-1):
    return log(mean(exp(x), axis))


@op
def half_logsumexp(x, *, axis=-1):
    return log(sum(exp(x), axis)) / 2


@op
def logsumexp_of_twice(x, *, axis=-1):
    return log(sum(exp(2 * x), axis)) / 2


@op
def weighted_logsumexp(x, w, *, axis=-1):
    return log(sum(w * exp(x), axis))


@op
def soft_mean(x, *, axis=-1):
    return sum(x * exp(x), axis) / sum(exp(x), axis)


@op
def entropy(x, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return -sum(p * log(p), axis)


@op
def softmax_of_softmax(x, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return exp(p) / sum(exp(p), axis)


@loss
def likelihood(x, target, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return -log(take(p, target, axis))


@op
def softmax_beside_one(x, *, axis=-1):
    return exp(x) / (1 + sum(exp(x), axis))


@op
def softplus_of_row(x, *, axis=-1):
    return log(1 + sum(exp(x), axis))


# --- squares ----------------------------------------------------------------------------------------------------------


@op
def length(x, *, axis=-1):
    return sqrt(sum(x**2, axis))


@op
def length_by_power(x, *, axis=-1):
    return sum(x**2, axis) ** 0.5


@op
def length_of_sizes(x, *, axis=-1):
    return sqrt(sum(abs(x) ** 2, axis))


@op
def length_by_products(x, *, axis=-1):
    return sqrt(sum(x * x, axis))


@op
def smooth_length(x, *, axis=-1, eps=1e-6):
    return sqrt(sum(x**2, axis) + eps)


@norm
def direction(x, *, axis=-1):
    return x / sqrt(sum(x**2, axis))


@norm
def direction_of_long(x, *, axis=-1, eps=1e-12):
    return x / maximum(sqrt(sum(x**2, axis)), eps)


@norm
def rms_norm(x, *, axis=-1, eps=1e-5):
    return x / sqrt(mean(x**2, axis) + eps)


@norm
def standardised(x, *, axis=-1, eps=1e-5):
    m = mean(x, axis)
    return (x - m) * rsqrt(mean((x - m) ** 2, axis) + eps)


@op
def deviation(x, *, axis=-1):
    return sqrt(mean((x - mean(x, axis)) ** 2, axis))


@op
def cosine(x, w, *, axis=-1):
    return sum(x * w, axis) / (sqrt(sum(x**2, axis)) * sqrt(sum(w**2, axis)))


@op
def cosine_of_one_root(x, w, *, axis=-1):
    return sum(x * w, axis) / sqrt(sum(x**2, axis) * sum(w**2, axis))


@op
def flatness(x, *, axis=-1):
    return sum(abs(x), axis) ** 2 / sum(x**2, axis)


@op
def whole_length(x):
    return sqrt(sum(x**2))


@op
def plane_softmax(x, *, axis=(-2, -1)):
    return exp(x) / sum(exp(x), axis)
