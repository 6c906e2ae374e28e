"""Statistics and other reductions along an axis."""

from nngrad.codegen.language import count, exp, log, max, op, prod, sqrt, subgradient, sum

op(sum, prod, max)  # words of the language


@op
def min(x, *, axis=None):
    """Minimum along an axis; ties share the gradient equally."""
    return -max(-x, axis)


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
