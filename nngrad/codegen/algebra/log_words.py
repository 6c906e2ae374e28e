"""Words for logarithms with two forms, each of which is exact on one side of a number. Only derivations use them.

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
