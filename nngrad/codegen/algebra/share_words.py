"""Words for shares in a sum, which tell what a share and its logarithm know together. Only derivations use them."""

from __future__ import annotations

import builtins

import mpmath
import sympy

from nngrad.codegen.algebra import exact, words
from nngrad.codegen.algebra.symbols import Count, InOtherWords, Where
from nngrad.codegen.algebra.vocabulary import enter


class LogMean(InOtherWords):
    """`LogMean(excess, axis, x, top)`: excess, that of the sum of exp(x) over its largest term exp(top), less the
    logarithm of the number of elements: the mean's, which is nearly 0 where all elements are near each other.
    """

    nargs = 4
    is_row = True
    elsewhere = property(lambda self: self.args[0] - sympy.log(Count(self.args[1])))


class Beyond(InOtherWords):
    """`Beyond(total, axis, whole, weights, p, q)`: total, the sum of weights * p * log(p / q) along the axis, where the
    sums of weights * p and of weights * q are both the whole: it is small where p and q are near each other.
    """

    nargs = 6
    is_row = True


# What the others have of a sum whose share p is large is lost in p but not in log(p); of a small one p tells more.
others_share = enter(
    "others_share",
    "",
    lambda p, log_p: -mpmath.expm1(log_p),
    4,
    "1 - p, for p = exp(log_p).",
    arity=2,
    derivatives=lambda p, log_p: [-1, 0],
    expansion=lambda p, log_p: -words.expm1(log_p),
    smooth=lambda p, log_p: -words.expm1(log_p),
)


def _log_others_share(p, log_p):
    return Where(p > words.half, words.log(-words.expm1(log_p)), words.log1p(-p))


log_others_share = enter(
    "log_others_share",
    "",
    lambda p, log_p: mpmath.log(-mpmath.expm1(log_p)),
    20,
    "log(1 - p), for p = exp(log_p).",
    arity=2,
    derivatives=lambda p, log_p: [-1 / others_share(p, log_p), 0],
    expansion=_log_others_share,
    smooth=_log_others_share,
)
log_share_and = enter(
    "log_share_and",
    "",
    lambda p, number, log_p: mpmath.log1p(number + mpmath.expm1(log_p)),
    20,
    "log(p + number), for p = exp(log_p): a small number is not lost in p.",
    arity=3,
    derivatives=lambda p, number, log_p: [1 / (p + number), 1 / (p + number), 0],
    expansion=lambda p, number, log_p: Where(
        p > words.half, words.log1p(number + words.expm1(log_p)), words.log(p + number)
    ),
    smooth=lambda p, number, log_p: words.log(p + number),
)
share_power = enter(
    "share_power",
    "",
    lambda p, q, log_p: p**q,
    30,
    "p to the power q, for p = exp(log_p), which may be 0: the power need not be, and its slope by log_p is finite.",
    arity=3,
    derivatives=lambda p, q, log_p: [0, 0, q * share_power(p, q, log_p)],
    expansion=lambda p, q, log_p: Where(p > sympy.Rational(2) ** -100, words.power(p, q), words.exp(q * log_p)),
    smooth=lambda p, q, log_p: words.exp(q * log_p),
)
share_difference = enter(
    "share_difference",
    "",
    lambda p, q, log_ratio: p - q,
    30,
    "p - q, for log_ratio = log(p / q), which tells it exactly where they are near each other.",
    arity=3,
    derivatives=lambda p, q, log_ratio: [1, -1, 0],
    expansion=lambda p, q, log_ratio: (
        words.maximum(p, q) * words.copysign(words.expm1(-words.abs(log_ratio)), log_ratio)
    ),
    smooth=lambda p, q, log_ratio: p - q,
)
below_largest = enter(
    "below_largest",
    "runtime.below_largest",
    lambda x, largest: builtins.max(x - largest, mpmath.mpf(-words.FAR_FROM_FLOATS)),
    1,
    "x - largest, for what its exponential is multiplied by: where that is 0, a number will do.",
    arity=2,
    derivatives=lambda x, largest: [1, -1],
    smooth=lambda x, largest: words.maximum(x - largest, -words.FAR_FROM_FLOATS),
)


def _log_mixed(d, weight):
    """With the exponential of -|d|, which is in range: of what it leaves of 1, unless that is most of it."""
    less = -words.abs(d)
    if weight == words.half:
        return words.log1p(words.expm1(less) / 2)
    smaller = Where(d > 0, 1 - weight, weight)
    lost = smaller * words.expm1(less)
    return Where(lost > -words.half, words.log1p(lost), words.log(1 - smaller + smaller * words.exp(less)))


def _exact_log_mixed(d, weight):
    return mpmath.log1p(weight * (exact.exp(d) - 1 if mpmath.fabs(d) > 1 else mpmath.expm1(d)))


def _share_of_mixture(d, weight):
    own, other = weight * words.exp(words.minimum(d, 0)), (1 - weight) * words.exp(words.minimum(-d, 0))
    return own / (own + other)


share_of_mixture = enter(
    "share_of_mixture",
    "",
    lambda d, weight: weight * exact.exp(d) / (1 - weight + weight * exact.exp(d)),
    30,
    "What weight exp(d) is of 1 - weight + weight exp(d): a sigmoid, also where the weight is 0 or 1.",
    arity=2,
    derivatives=lambda d, weight: [share_of_mixture(d, weight) * share_of_mixture(-d, 1 - weight), 0],
    expansion=_share_of_mixture,
    smooth=lambda d, weight: words.sigmoid(d + words.log(weight / (1 - weight))),
)
log_mixed = enter(
    "log_mixed",
    "",
    _exact_log_mixed,
    30,
    "log(1 - weight + weight exp(d)), exact also where d is small.",
    arity=2,
    derivatives=lambda d, weight: [share_of_mixture(d, weight), 0],
    expansion=lambda d, weight: words.maximum(d, 0) + _log_mixed(d, weight),
    smooth=lambda d, weight: words.log1p(weight * words.expm1(d)),
)


def _apart(a, b):
    """b - a, also of two that are minus infinity."""
    return words.finite(b) - words.finite(a)


log_mixture = enter(
    "log_mixture",
    "",
    lambda a, b, weight: a + _exact_log_mixed(b - a, weight),
    40,
    "log((1 - weight) exp(a) + weight exp(b)), exact also where a and b are near 0, and defined where they are -inf.",
    arity=3,
    derivatives=lambda a, b, weight: [
        share_of_mixture(_apart(b, a), 1 - weight),
        share_of_mixture(_apart(a, b), weight),
        0,
    ],
    expansion=lambda a, b, weight: words.maximum(a, b) + _log_mixed(_apart(a, b), weight),
    smooth=lambda a, b, weight: words.log((1 - weight) * words.exp(a) + weight * words.exp(b)),
)
