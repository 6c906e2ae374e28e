"""Stage 5 in its parts: the rules that make equal forms for `nngrad.codegen.forms`.

What overflows or cancels: `exponentials`, `settled`, `logarithms`, `roots`, `factors`, `far`, `remainders`, `several`,
`units`, `balance`. Approximations near a zero: `series`. For inputs of ordinary size: `ordinary`, `parts`, `wide`.
Choices: `piecewise`. Sums over rows: `terms`. For second derivatives: `again`. `equal` goes through those that need to
see an expression whole, and `poles` says of slopes where they may warn.
"""
