"""How long `import` takes, in a fresh process each time, the statements in turns, with their bytecode cached."""

import os
import subprocess
import sys

STATEMENTS = {
    "NumPy": "import numpy",
    "nngrad": "import nngrad",
    "nngrad in use": "import nngrad; from nngrad import Tensor; from nngrad.nn import Linear",
    "PyTorch": "import torch",
    "JAX jit": "import jax",
    "autograd": "import autograd.numpy",
    "MyGrad": "import mygrad",
}
CLOCK = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def times(rounds):
    """Milliseconds of each statement that works here, by round."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    found = {}
    for _ in range(rounds):
        for name, statement in STATEMENTS.items():
            command = [sys.executable, "-c", CLOCK.format(statement)]
            outcome = subprocess.run(command, env=environment, capture_output=True, text=True)
            if outcome.returncode == 0:
                found.setdefault(name, []).append(float(outcome.stdout) * 1e3)
    return found
