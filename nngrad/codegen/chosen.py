"""Stage 5: what the choice among forms comes to, and what was tried for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy

from nngrad.codegen.algebra.symbols import Value
from nngrad.codegen.derive import Derivatives
from nngrad.codegen.judging.errors import ACCURATE, Error
from nngrad.codegen.rules.ordinary import Ordinary
from nngrad.codegen.rules.series import Series

TOO_LARGE = 5.0  # units in the last place, for float32 to be computed in


@dataclass(frozen=True)
class Tried:
    """A form that was tried: of what ('y', 'dx'), its cost in multiplications, its worst error if it was judged."""

    of: str
    form: sympy.Expr
    cost: float
    error: Error | None


@dataclass(frozen=True)
class Chosen:
    """An op's formula with its derivatives, in the forms that its kernels compute.

    `derivatives` holds the forms that are differentiated again. `errors` are the worst ones, in simulated rounding, by
    what is computed; where that is in float64, `beyond` is what is left of them there. `series` are the polynomials, by
    the names that forms call them by, `ordinary` shorter forms for inputs of ordinary size.
    """

    derivatives: Derivatives
    value: sympy.Expr
    vjp: dict[Value, sympy.Expr]
    jvp: dict[Value, sympy.Expr]
    errors: dict[str, Error] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    ordinary: Ordinary | None = None

    @property
    def is_wide(self) -> bool:
        """Whether short floats are computed in float64, since their own rounding errors would be too large."""
        return any(error.ulp > TOO_LARGE for error in self.errors.values())

    @property
    def is_exact(self) -> bool:
        """Whether rounding errors are known to be small, those of exponents too."""
        return bool(self.errors) and all(error.ulp <= ACCURATE for error in self.errors.values())
