"""Statistics and other reductions along an axis."""

from nngrad.codegen.language import abs, count, exp, isnan, log, max, maximum, op, prod, sqrt, subgradient, sum, where

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
    return sum(centred**2, axis) / maximum(count(x, axis) - ddof, 0)


@op
def std(x, *, axis=None, ddof=0):
    """Standard deviation; its gradient is 0 where the row is constant."""
    variance = var(x, axis, ddof)
    return subgradient(sqrt(variance), variance == 0, 0)


@op
def logsumexp(x, *, axis=None):
    """Logarithm of a sum of exponentials."""
    return log(sum(exp(x), axis))


@op
def nanvar(x, *, axis=None, ddof=0):
    """Variance of what is not NaN, with n - ddof in the denominator."""
    n = sum(where(isnan(x), 0, 1), axis)
    near = where(isnan(x), 0, x - nanmean(x, axis))
    centred = where(isnan(x), 0, near - sum(near, axis) / n)
    return sum(centred**2, axis) / maximum(n - ddof, 0)


@op
def norm(x, *, ord="2", p=2.0, axis=None):
    """Norm of a vector; its gradient at 0 is 0."""
    if ord == "1":
        return sum(abs(x), axis)
    if ord == "inf":
        return max(abs(x), axis)
    if ord == "p":
        total = sum(abs(x) ** p, axis)
        return subgradient(total ** (1 / p), total == 0, 0)
    if ord == "2":
        total = sum(x**2, axis)
        return subgradient(sqrt(total), total == 0, 0)


@op
def ptp(x, *, axis=None):
    """Maximum minus minimum along an axis."""
    largest = max(x, axis)
    return largest - min(x, axis)


@op
def nansum(x, *, axis=None):
    """Sum of what is not NaN."""
    return sum(where(isnan(x), 0, x), axis)


@op
def nanprod(x, *, axis=None):
    """Product of what is not NaN."""
    return prod(where(isnan(x), 1, x), axis)


@op
def nanmean(x, *, axis=None):
    """Arithmetic mean of what is not NaN."""
    n = sum(where(isnan(x), 0, 1), axis)
    return nansum(x, axis) / n
