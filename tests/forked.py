"""Commands of Python in processes that are forked from one that has imported what takes long to import."""

import multiprocessing
import os
import runpy
import sys
from functools import cache

COMMON = ["jinja2", "mpmath", "numpy", "sympy", "tqdm"]  # what every command of the generator imports, nngrad but for


@cache
def context():
    """The processes' origin, which has nothing of nngrad; None where the system has no such thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(COMMON)
    return made


def run_module(name, arguments, cwd, path, environment, outputs):
    """`python -m name`, in a process of its own that has begun as another: its folder, path, environment, outputs."""
    for descriptor, file in enumerate(outputs, 1):
        os.dup2(os.open(file, os.O_WRONLY), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [str(cwd), *path]
    sys.argv = [name, *arguments]
    sys.dont_write_bytecode = True
    runpy.run_module(name, run_name="__main__", alter_sys=True)
