"""Losses: each gives its elements, and `@loss` adds `reduction`."""

from nngrad.codegen.language import abs, exp, log, log1p, loss, maximum, take, where
from nngrad.spec.activations import log_softmax


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
