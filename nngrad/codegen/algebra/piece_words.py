"""Words for functions of straight pieces, cheaper than a choice among these. Only derivations use them."""

from __future__ import annotations

import builtins

import mpmath

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Where
from nngrad.codegen.algebra.vocabulary import enter

bent = enter(
    "bent",
    "runtime.bent",
    lambda x, slope: x if x > 0 else slope * x,
    2.5,
    "x1 where it is above 0, x2 times x1 elsewhere, for a number x2.",
    arity=2,
    derivatives=lambda x, slope: [Where(x > 0, 1, slope), Where(x > 0, 0, x)],
    smooth=lambda x, slope: Where(x > 0, x, slope * x),
)
held = enter(
    "held",
    "runtime.held",
    lambda x, limit: mpmath.sign(x) * builtins.min(abs(x), limit),
    1.25,
    "What is as far from 0 as x1, and at most x2, on the side of x1, for a number x2.",
    arity=2,
    derivatives=lambda x, limit: [Where(words.abs(x) < limit, 1, 0), Where(words.abs(x) < limit, 0, words.sign(x))],
    smooth=lambda x, limit: words.sign(x) * words.minimum(words.abs(x), limit),
)
