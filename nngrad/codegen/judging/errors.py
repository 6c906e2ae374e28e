"""How errors are counted, in units in the last place of float32.

These are the units of the exact value, for a derivative near a root those of the values on both sides of it. Where no
form is good by that measure, what counts is the error beyond a part of what the result changes when an input changes
by its own last unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

MANTISSA, SMALLEST_NORMAL = 23, -126
CONDITION_WEIGHT = 0.25  # the part of the change by the inputs' last units that may be forgiven
NO_DIGIT = 2.0 ** (MANTISSA - 4)  # units in the last place
ACCURATE = 3.5  # a good error, with every function correctly rounded
LOST = 32.0  # units in the last place: more than is fair of a derivative's derivative, and of a term that is summed
REACHES = (1.0, 2.0, ACCURATE, 4 * ACCURATE)


def ulp(numbers: np.ndarray) -> np.ndarray:
    """The last unit of numbers, 1's of those that are not finite."""
    exponents = np.frexp(np.where(np.isfinite(numbers), numbers, 1))[1] - 1
    return np.ldexp(1.0, np.maximum(exponents, SMALLEST_NORMAL) - MANTISSA)


def sizes(columns: dict[str, np.ndarray]) -> np.ndarray:
    """The size of the largest input at each point."""
    return np.max([np.abs(column.astype(float)) for column in columns.values()], axis=0)


class WhereAsked:
    """Numbers that are found by `find(mask)` at the points where they are asked for, and kept: it takes long."""

    def __init__(self, find: Callable[[np.ndarray], np.ndarray]):
        self.find, self.numbers, self.known = find, None, None

    def at(self, where: np.ndarray) -> np.ndarray:
        """The numbers at the points that a mask picks, 0 for those that are not finite; anything elsewhere."""
        if self.known is None:
            self.numbers, self.known = np.zeros(where.shape), np.zeros(where.shape, bool)
        if (missing := where & ~self.known).any():
            with np.errstate(all="ignore"):
                found = self.find(missing)[missing]
            self.numbers[missing] = np.where(np.isfinite(found), found, 0)
            self.known |= missing
        return self.numbers


@dataclass(frozen=True)
class Truth:
    """Exact values, the unit that their errors are counted in, and their change by the last unit of the inputs.

    The unit is no less than the last one of the exact value. `limits` holds those at the judge's points at infinity,
    nan where there is none, as of whatever is periodic.
    """

    exact: np.ndarray
    unit: WhereAsked
    change: WhereAsked
    limits: np.ndarray

    def at_infinity(self, got: np.ndarray) -> np.ndarray:
        """The errors of what a form gives at infinity: none or infinite."""
        with np.errstate(all="ignore"):
            right = (got == self.limits) | (np.abs(got - self.limits) <= ACCURATE * ulp(self.limits))
        return np.where(right | np.isnan(self.limits), 0, np.inf)


@dataclass(frozen=True)
class Error:
    """The worst error of a form, in units of the last place, and the point where it occurs.

    `beyond` is the worst where a part of the result's change by the last unit of the inputs is forgiven. `unfair`
    counts the points at which the error is too large, and `bad` those where it is so even then, `wrong` those where
    no digit is right. Each point where the error is infinite has a coordinate of at least `overflow`. `reach` says how
    far from zero there are errors above each of `REACHES` that a series may mend, `far` how many are too large where
    none does. `astray` counts the points at infinity where a form of several inputs is wrong, above all those where it
    gives a number, for a NaN is seen: of forms that are as good elsewhere, those with the least count are better.
    """

    ulp: float
    at: tuple[float, ...]
    beyond: float = 0.0
    unfair: int = 0
    bad: int = 0
    wrong: int = 0
    overflow: float = 0.0
    reach: tuple[float, ...] = ()
    far: int = 0
    astray: int = 0


@dataclass(frozen=True)
class Profile:
    """The errors of a form at every point, those below the least of `REACHES` by the least unit they may have.

    `off` says how far from the truth it is, `counted` the same by the points' weights, infinite where NumPy would warn,
    `distance` how far the argument of the formula is from zero, infinite where no series reaches.
    """

    columns: dict[str, np.ndarray]
    truth: Truth
    off: np.ndarray
    counted: np.ndarray
    at_infinity: np.ndarray
    distance: np.ndarray
    astray: int = 0

    @cached_property
    def errors(self) -> np.ndarray:
        """In units of the last place."""
        return np.append(self.counted / self._unit, self.at_infinity)

    @cached_property
    def _unit(self) -> np.ndarray:
        least = ulp(self.truth.exact)
        where = _matters(self.counted / least)
        return np.where(where, self.truth.unit.at(where), least) if where.any() else least

    @cached_property
    def lenient(self) -> np.ndarray:
        """The same with a part of the change by the inputs' last units forgiven."""
        where = _matters(self.counted / self._unit)
        change = np.where(where, self.truth.change.at(where), 0) if where.any() else 0
        return np.append(self.counted / (self._unit + CONDITION_WEIGHT * change), self.at_infinity)

    @cached_property
    def wrong(self) -> np.ndarray:
        """Where no digit is right."""
        wrong = self.off > NO_DIGIT * ulp(self.truth.exact)
        if (known := wrong & np.isfinite(self.off)).any():  # in the larger unit near a root they may be right
            wrong = wrong & ~(known & (self.off <= NO_DIGIT * self.truth.unit.at(known)))
        return np.append(wrong, self.at_infinity > 0)

    @property
    def lost(self) -> int:
        """At how many points digits are lost, though nothing leaves the range."""
        return int(np.count_nonzero((self.lenient > LOST) & np.isfinite(self.lenient)))

    @cached_property
    def sizes(self) -> np.ndarray:
        """The size of the largest input."""
        return sizes(self.columns)

    def largest(self, limit: float, leniently: bool) -> float:
        """The largest error where no input is larger than the limit."""
        return float(np.where(self.sizes <= limit, self.lenient if leniently else self.errors, 0).max())

    def within(self, limit: float) -> Error:
        """The worst error where no input is larger than the limit."""
        inside = self.sizes <= limit
        errors, lenient = np.where(inside, self.errors, 0), np.where(inside, self.lenient, 0)
        worst = int(np.argmax(errors))
        far = np.isinf(self.distance)
        return Error(
            ulp=float(errors[worst]),
            at=tuple(float(column[worst]) for column in self.columns.values()),
            beyond=float(lenient.max()),
            unfair=int(np.count_nonzero(errors > ACCURATE)),
            bad=int(np.count_nonzero(lenient > ACCURATE)),
            wrong=int(np.count_nonzero(inside & self.wrong)),
            overflow=float(self.sizes[np.isinf(errors)].min(initial=inf)) if np.isinf(errors).any() else 0.0,
            reach=tuple(float(self.distance[~far & (lenient > level)].max(initial=0)) for level in REACHES),
            far=int(np.count_nonzero(far & (lenient > ACCURATE))),
            astray=self.astray,
        )


def _matters(errors: np.ndarray) -> np.ndarray:
    """Where it matters whether errors are counted in a larger unit."""
    return (errors > REACHES[0]) & np.isfinite(errors)
