"""Cost by size, which must be linear: a chain of so many nodes, forward and backward; an array of so many elements.

python benchmarks/scaling.py
"""

import gc
import time

import numpy as np

import nngrad
from nngrad import Tensor

NODES = [10**3, 10**4, 10**5, 10**6]
ELEMENTS = [10**3, 10**4, 10**5, 10**6, 10**7]
ROUNDS = 3


def chain(count):
    """A chain of `count` additions to an array of one element, forward and backward."""
    x = y = Tensor([1.0], requires_grad=True)
    for _ in range(count):
        y = y + 1.0
    y.backward()
    assert x.grad[0] == 1


def elementwise(size):
    x, g = Tensor(np.ones(size, np.float32), requires_grad=True), np.ones(size, np.float32)
    return lambda: nngrad.tanh(x).backward(g)


def least(function, repeats):
    found = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.perf_counter()
        for _ in range(repeats):
            function()
        found.append((time.perf_counter() - start) / repeats)
    return min(found)


def per_node():
    """{nodes: microseconds per node}."""
    return {n: least(lambda n=n: chain(n), max(1, 10**5 // n)) / n * 1e6 for n in NODES}


def per_element():
    """{elements: nanoseconds per element}."""
    return {n: least(elementwise(n), max(1, 10**7 // n // 4)) / n * 1e9 for n in ELEMENTS}


def table(nodes, elements):
    """Both in Markdown."""

    def line(cells):
        return "| " + " | ".join(map(str, cells)) + " |"

    def power(n):
        return f"10^{len(str(n)) - 1}"

    return "\n".join(
        [
            line(["chain of so many nodes", *map(power, nodes)]),
            line(["---", *["--:"] * len(nodes)]),
            line(["us per node, forward and backward", *(f"{t:.2f}" for t in nodes.values())]),
            "",
            line(["tanh of so many elements", *map(power, elements)]),
            line(["---", *["--:"] * len(elements)]),
            line(["ns per element, forward and backward", *(f"{t:.2f}" for t in elements.values())]),
        ]
    )


if __name__ == "__main__":
    print(table(per_node(), per_element()))
