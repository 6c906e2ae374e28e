"""Losses: each gives its elements, and `@loss` adds `reduction`."""

from nngrad.codegen.language import abs, exp, log, log1p, loss, maximum, pi, take, where
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
def binary_cross_entropy_with_logits(input, target, pos_weight=None):
    """Cross entropy of sigmoid(input) and target probabilities; `pos_weight` weighs the positive ones."""
    positive = target * log(1 + exp(-input))
    if pos_weight is not None:
        positive = positive * pos_weight
    return (1 - target) * log(1 + exp(input)) + positive


@loss
def hinge_embedding_loss(input, target, *, margin=1.0):
    """A distance where the target is 1, what it lacks of the margin where it is -1 (Hadsell et al. 2006)."""
    return where(target == -1, 0, input) + where(target == 1, 0, where(input > margin, 0, margin - input))


@loss
def poisson_nll_loss(input, target, *, log_input=True, full=False, eps=1e-8):
    """Negative log likelihood of a Poisson distribution; `full` adds Stirling's approximation of log(target!)."""
    y = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        y = y + where(target > 1, target * log(target) - target + log(2 * pi * target) / 2, 0)
    return y


@loss
def nll_loss(input, target, *, axis=-1):
    """Negative log likelihood: minus the log probability of each row's target class."""
    return -take(input, target, axis)


@loss
def cross_entropy(input, target, *, axis=-1):
    """Negative log likelihood of softmax(input) at each row's target class."""
    return -take(log_softmax(input, axis), target, axis)
