"""What is measured: libraries in turns, after a check that all of them compute the same numbers."""

import importlib
import itertools
import math
import statistics
import sys
import time
from dataclasses import dataclass, field

import numpy as np

LIBRARIES = ["nngrad", "floor", "torch", "jax", "autograd", "mygrad"]
PAUSE = 0.12  # seconds until idle threads of the one before have stopped to spin: OpenBLAS gives up after 0.105
TURN = 0.03  # seconds of each turn


@dataclass
class Row:
    """A row of the table: what each library took, and the ratio to the reference that nngrad is to reach.

    cases: name of a case -> name of a library -> its measurements, in the row's unit.
    """

    name: str
    title: str
    unit: str
    reference: str
    bar: float
    cases: dict = field(default_factory=dict)

    def ratios(self):
        """For each library its least measurement divided by the reference's, by the geometric mean over cases."""
        found = {}
        for case in self.cases.values():
            for library, measured in case.items():
                if self.reference in case:
                    found.setdefault(library, []).append(min(measured) / min(case[self.reference]))
        return {library: math.exp(statistics.fmean(map(math.log, ratios))) for library, ratios in found.items()}

    def lacks(self, library):
        """How many of the cases a library has no word for, so that its ratio is one of the others."""
        return sum(library not in case for case in self.cases.values())

    def lines(self):
        """The row in words: each case as `least ~median (ratio of the least)`, then the ratios over all cases."""
        for case, libraries in self.cases.items():
            base = min(libraries.get(self.reference, [0]))  # 0: the reference is not installed
            found = [
                f"{name} {min(m):.4g} ~{statistics.median(m):.4g}" + (f" ({min(m) / base:.2f})" if base else "")
                for name, m in libraries.items()
            ]
            yield f"    {case}, {self.unit}: {'  '.join(found)}"
        ratios = [f"{n} {r:.2f}{f' (without {k})' if (k := self.lacks(n)) else ''}" for n, r in self.ratios().items()]
        yield f"{self.title}: {'  '.join(ratios) or f'{self.reference} was not measured'}   (bar {self.bar})"


def available(names):
    """The modules of the libraries that are installed; a notice for each of the others."""
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(f"libraries.{name}_library"))
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {error}", file=sys.stderr)
    return modules


def steps_of(workload, case, modules):
    """For each library that has the workload its step, all of them checked to compute the same numbers."""
    steps, expected = {}, None
    for module in modules:
        build = getattr(module, workload.name, None)
        step = build and build(case, workload.arrays(case, np.random.default_rng(0)))
        if step is None:
            continue
        found = [np.array(array) for array in module.numbers(step())]
        if expected is None:
            expected = found
        for one, other in zip(found, expected, strict=True):
            scale = np.abs(other).max(initial=1e-30)
            worst = (
                np.abs(one.astype(np.float64) - other).max(initial=0) / scale if one.shape == other.shape else math.inf
            )
            if not worst < 1e-3:
                raise SystemExit(f"{module.NAME} computes other numbers for {workload.name} ({case}): {worst:.1e} off")
        steps[module.NAME] = step
    return steps


def timings(steps, repeats, rounds, seconds):
    """Milliseconds per step of each library; the libraries take turns in each round."""
    found = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    for turn in itertools.count():
        if turn >= rounds and time.perf_counter() > end:
            return found
        for name, step in steps.items():
            time.sleep(PAUSE)
            step()
            over = time.perf_counter() + TURN
            while time.perf_counter() < over:
                start = time.perf_counter()
                for _ in range(repeats):
                    step()
                found[name].append((time.perf_counter() - start) / repeats * 1e3)
