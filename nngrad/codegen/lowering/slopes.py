"""Stage 6: the slopes of an elementwise formula, where forward had better keep them.

A slope shares its dear parts with the value: sigmoid's e / (1 + e)**2 its exponential. Where computing both in one go
and keeping the slope costs less than computing those parts twice, a cotangent has to be multiplied by it, no more.
"""

from __future__ import annotations

from dataclasses import replace
from operator import mul

import sympy

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.chosen import Chosen
from nngrad.codegen.lowering.cost import apart_and_together
from nngrad.codegen.rules.poles import drops, may_warn, slopes_of


def with_slopes(op, chosen: Chosen) -> tuple[Chosen, dict[Value, sympy.Expr]]:
    """The forms with the slopes that are worth keeping as values of their own, and the forms of these slopes.

    Where there are ordinary forms, these compute the slopes with the value, so they are kept; and where short floats
    are computed in float64, so that it is done once.
    """
    derivatives, formula = chosen.derivatives, chosen.derivatives.formula
    cotangent = derivatives.cotangent
    slopes = slopes_of(chosen.vjp, cotangent)
    if not op.maps_elements or not slopes:
        return replace(chosen, ordinary=None), {}
    apart, together = apart_and_together(formula, chosen.value, slopes.values())
    warns = any(may_warn(form, chosen.value) for form in chosen.vjp.values())
    if chosen.ordinary is None or not chosen.ordinary.slopes:
        if warns or (together >= apart and not chosen.is_wide):
            return chosen, {}
        chosen = replace(chosen, ordinary=None)
    kept = {value: Value("slope" if len(slopes) == 1 else f"slope_{value.name}") for value in slopes}
    products = {value: words.passed if drops(form) else mul for value, form in chosen.vjp.items()}
    vjp = {value: products[value](cotangent, slope) for value, slope in kept.items()}
    jvp = {value: products[value](derivatives.tangents[value], slope) for value, slope in kept.items()}
    made = {formula.output: chosen.value}
    return replace(chosen, vjp=vjp, jvp=jvp), {kept[value]: form.xreplace(made) for value, form in slopes.items()}
