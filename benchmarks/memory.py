"""The peak of extra memory of one step: `python benchmarks/memory.py LIBRARY WORKLOAD` prints it in bytes.

Each library has a process of its own. After some steps to warm up, the memory that the C library holds back for later
is given to the system (`malloc_trim`), so that what is resident is what is in use; the record of the most that ever was
is set back to that (`clear_refs`); one step is made; and the record is read (`VmHWM`). Both NumPy and PyTorch take
their memory from that C library, so the method sees every byte of either that is written to, and none that is kept in
reserve. Gradients of the step before are in use when the step begins. It needs Linux and glibc.
"""

import ctypes
import gc
import importlib
import statistics
import subprocess
import sys
from pathlib import Path

WARM_UP, STEPS = 5, 7
AVAILABLE = sys.platform == "linux" and Path("/proc/self/clear_refs").exists()


def resident(field):
    """VmRSS, the memory in use now, or VmHWM, the most since the record was set back; in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak_of(step):
    """How far the memory in use rises in one step, in bytes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def peaks(library, workload):
    """Peaks of a library's steps, in MiB, measured in a process of its own; None if it lacks library or workload."""
    command = [sys.executable, __file__, library, workload]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{found.stderr}")
    return [int(line) / 2**20 for line in found.stdout.split()] or None


def main(library, name):
    import numpy as np
    from workloads import WORKLOADS

    module = importlib.import_module(f"libraries.{library}_library")
    if not hasattr(module, name):
        return
    workload = next(w for w in WORKLOADS if w.name == name)
    case = workload.cases[0]
    step = getattr(module, name)(case, workload.arrays(case, np.random.default_rng(0)))
    for _ in range(WARM_UP):
        step()
    least = max(statistics.median(peak_of(step) for _ in range(STEPS)), 1)
    print(int(least))


if __name__ == "__main__":
    main(*sys.argv[1:])
