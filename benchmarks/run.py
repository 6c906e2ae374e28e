"""Time nngrad beside other libraries, all in one process and in turns, and print the ratios to PyTorch's time.

    python benchmarks/run.py                      every workload, every library that is installed
    python benchmarks/run.py mlp rows.softmax     some workloads, or single cases of them
    python benchmarks/run.py --help

All libraries must compute the same numbers before any of them is timed.
"""

import argparse
import importlib
import itertools
import math
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from workloads import WORKLOADS

LIBRARIES = ["nngrad", "floor", "torch", "jax", "autograd", "mygrad"]
REFERENCE = "PyTorch"
PAUSE = 0.12  # seconds until idle threads of the one before have stopped to spin: OpenBLAS gives up after 0.105
TURN = 0.03  # seconds of each turn


def available(names):
    """The modules of the libraries that are installed."""
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
            worst = np.abs(one.astype(np.float64) - other).max(initial=0) / scale
            if one.shape != other.shape or not worst < 1e-3:
                raise SystemExit(f"{module.NAME} computes other numbers for {workload.name} ({case}): {worst:.1e} off")
        steps[module.NAME] = step
    return steps


def timings(steps, repeats, rounds, seconds):
    """Seconds per step of each library, one figure a round; the libraries take turns in each round."""
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
                found[name].append((time.perf_counter() - start) / repeats)


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help="names of workloads, or workload.case; all if there are none")
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--rounds", type=int, default=7, help="the least number of turns each library takes")
    parser.add_argument("--seconds", type=float, default=1.0, help="the least time for a case")
    options = parser.parse_args()
    modules = available(options.libraries)
    for workload in WORKLOADS:
        wanted = [n.partition(".")[2] for n in options.workloads if n.partition(".")[0] == workload.name]
        if options.workloads and not wanted:
            continue
        cases = [c for c in workload.cases if not wanted or "" in wanted or c in wanted]
        ratios = {}
        for case in cases:
            found = timings(steps_of(workload, case, modules), workload.steps, options.rounds, options.seconds)
            base = min(found.get(REFERENCE) or [math.nan])
            line = "  ".join(f"{n} {min(t) * 1e3:.3f} ({min(t) / base:.2f})" for n, t in found.items())
            print(f"    {case}: {line}", flush=True)
            for name, times in found.items():
                ratios.setdefault(name, []).append(min(times) / base)
        means = "  ".join(f"{name} {geometric_mean(r):.2f}" for name, r in ratios.items())
        print(f"{workload.title}: {means}   (bar {workload.bar})", flush=True)


if __name__ == "__main__":
    main()
