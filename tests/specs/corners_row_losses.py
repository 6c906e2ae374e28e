"""Losses of rows as they are written: differences of sums and logarithms that cancel, and distances."""

from nngrad.codegen.language import exp, log, loss, op, sqrt, sum, take


@loss
def logits_loss(x, target, *, axis=-1, t=2.0):
    return log(sum(exp(x / t), axis)) - take(x, target, axis) / t


@loss
def logits_loss_with_penalty(x, target, *, axis=-1, coef=1e-4):
    z = log(sum(exp(x), axis))
    return z - take(x, target, axis) + coef * z**2


@loss
def brier_score(x, target, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    return sum(p**2, axis) - 2 * take(p, target, axis) + 1


@loss
def distillation(s, t, *, axis=-1, temperature=2.0):  # nearly good where both are near each other
    p = exp(t / temperature) / sum(exp(t / temperature), axis)
    q = exp(s / temperature) / sum(exp(s / temperature), axis)
    return temperature**2 * sum(p * log(p / q), axis)


@op
def distance(x, y, *, axis=-1):
    return sqrt(sum((x - y) ** 2, axis))


@op
def distance_by_products(x, y, *, axis=-1):
    return sqrt(sum(x * x, axis) - 2 * sum(x * y, axis) + sum(y * y, axis))


@op
def divergence_of_normals(m, logv, *, axis=-1):
    return -sum(1 + logv - m**2 - exp(logv), axis) / 2


@op
def tsallis_entropy(x, *, axis=-1, q=1.5):  # nearly good: its slopes nearly cancel where all shares are alike
    p = exp(x) / sum(exp(x), axis)
    return (1 - sum(p**q, axis)) / (q - 1)
