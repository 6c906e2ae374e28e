"""Words for logarithms that are exact, and in range, in other forms than they are written. Only derivations use them.

Source: Maechler 2012, "Accurately computing log(1 - exp(-|a|))".
"""

from __future__ import annotations

import mpmath

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Where
from nngrad.codegen.algebra.vocabulary import enter

log1mexp = enter(
    "log1mexp",
    "",
    lambda x: mpmath.log(-mpmath.expm1(x)),
    20,
    "log(1 - exp(x)).",
    derivatives=lambda x: [words.exp(x) / words.expm1(x)],
    definition=lambda u: words.log(1 - words.exp(u)),
    expansion=lambda x: Where(x > -words.log(2), words.log(-words.expm1(x)), words.log1p(-words.exp(x))),
    smooth=lambda x: words.log(-words.expm1(x)),
)
log_quotient = enter(
    "log_quotient",
    "runtime.log_quotient",
    lambda a, b: mpmath.log(a / b if b else mpmath.inf if a > 0 else mpmath.nan),
    14,
    "log(x1 / x2), also where the quotient is near 1, or out of range.",
    arity=2,
    derivatives=lambda a, b: [1 / a, -1 / b],
    smooth=lambda a, b: words.log(a / b),
    safe=(1, 1),
)
logit = enter(
    "logit",
    "",
    lambda x: mpmath.log(x / (1 - x)),
    20,
    "log(x / (1 - x)).",
    derivatives=lambda x: [1 / (x * (1 - x))],
    definition=lambda u: words.log(u / (1 - u)),
    expansion=lambda x: Where(
        words.abs(x - words.half) < words.half / 2, words.log1p((2 * x - 1) / (1 - x)), words.log(x / (1 - x))
    ),
    smooth=lambda x: words.log(x) - words.log1p(-x),
)

log_cosh = enter(
    "log_cosh",
    "runtime.log_cosh",
    lambda x: abs(x) + mpmath.log1p(mpmath.expm1(-2 * abs(x)) / 2) if abs(x) > 1 else mpmath.log(mpmath.cosh(x)),
    10,
    "log(cosh(x)).",
    derivatives=lambda x: [words.tanh(x)],
    definition=lambda u: words.log(words.cosh(u)),
    smooth=lambda x: words.logaddexp(x, -x) - words.log(2),
    safe=(0,),
    is_nonnegative=True,
)
