"""A word for what sines and cosines are fractions of, by Weierstrass's substitution. Only derivations use it."""

from __future__ import annotations

import mpmath
import sympy

from nngrad.codegen.algebra.vocabulary import enter

half_tangent = enter(
    "half_tangent",
    "runtime.half_tangent",
    lambda x: mpmath.tan(x / 2),
    40,
    "tan(x / 2), for float64 of moderate size.",
    smooth=lambda x: sympy.tan(x / 2),
)


def with_half_tangents(expr):
    """The expression with sines and cosines as fractions of the tangent of half the angle, which they share."""

    def sine(x):
        t = half_tangent(x)
        return 2 * t / (1 + t**2)

    def cosine(x):
        t = half_tangent(x)
        return (1 - t**2) / (1 + t**2)

    return expr.replace(sympy.sin, sine).replace(sympy.cos, cosine)
