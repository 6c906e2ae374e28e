"""What is timed: for each workload the arrays it starts from, by case, and the ratio to PyTorch's time to reach."""

from dataclasses import dataclass

import numpy as np

SHAPES_OF_CONVNET = [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (120, 400), (120,), (84, 120), (84,), (10, 84), (10,)]
WIDTH, HEADS = 128, 4
SHAPES_OF_BLOCK = {
    "norm1": [(WIDTH,), (WIDTH,)],
    "qkv": [(3 * WIDTH, WIDTH), (3 * WIDTH,)],
    "out": [(WIDTH, WIDTH), (WIDTH,)],
    "norm2": [(WIDTH,), (WIDTH,)],
    "up": [(4 * WIDTH, WIDTH), (4 * WIDTH,)],
    "down": [(WIDTH, 4 * WIDTH), (WIDTH,)],
}

ELEMENTWISE = [
    "gelu_tanh",
    "gelu_erf",
    "silu",
    "mish",
    "softplus",
    "elu",
    "sigmoid",
    "tanh",
    "relu",
    "logsigmoid",
    "hardswish",
    "exp",
    "log",
    "sqrt",
]
ROWS = ["softmax", "log_softmax", "layer_norm", "rms_norm", "logsumexp", "cross_entropy"]
NEW_OPS = ["noisy_mish", "gated_bell", "distance_gate"]


@dataclass(frozen=True)
class Workload:
    """A row of the table.

    name: that of the function which builds it in each module of `libraries`: (case, arrays) -> step, where step() does
        the work once and returns its numbers.
    title: in the table.
    cases: what is timed one by one, and enters the row by the geometric mean.
    arrays: (case, generator) -> the arrays to start from.
    bar: the time to reach, divided by PyTorch's.
    steps: calls of step() in one timing.
    """

    name: str
    title: str
    cases: list[str]
    arrays: object
    bar: float
    steps: int


def normal(rng, *shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def layers(rng, *widths):
    """Weights (out, in) and biases of linear layers, scaled as by He et al. 2015."""
    sizes = list(zip(widths[1:], widths[:-1], strict=True))
    return [(normal(rng, n, m, scale=(2 / m) ** 0.5), np.zeros(n, np.float32)) for n, m in sizes]


def tiny(case, rng):
    return {"x": normal(rng, 8, 8, scale=0.1)}


def classifier(batch, *widths):
    def arrays(case, rng):
        return {
            "x": normal(rng, batch, widths[0]),
            "labels": rng.integers(0, widths[-1], batch),
            "layers": layers(rng, *widths),
        }

    return arrays


def elementwise(case, rng):
    x = normal(rng, 1_000_000, scale=2.0)
    return {"x": np.abs(x) + np.float32(0.01) if case in ("log", "sqrt") else x, "g": normal(rng, 1_000_000)}


def rows(case, rng):
    n, m = 4096, 256
    arrays = {"x": normal(rng, n, m, scale=2.0), "g": normal(rng, *((n,) if case == "logsumexp" else (n, m)))}
    if case == "cross_entropy":
        return {"x": arrays["x"], "labels": rng.integers(0, m, n)}
    if case.endswith("norm"):
        arrays["weight"] = normal(rng, m)
        if case == "layer_norm":
            arrays["bias"] = normal(rng, m)
    return arrays


def convnet(case, rng):
    parameters = [
        normal(rng, *shape, scale=(2 / np.prod(shape[1:])) ** 0.5) if len(shape) > 1 else np.zeros(shape, np.float32)
        for shape in SHAPES_OF_CONVNET
    ]
    return {"x": normal(rng, 64, 1, 28, 28), "labels": rng.integers(0, 10, 64), "parameters": parameters}


def block(case, rng):
    arrays = {"x": normal(rng, 8, 64, WIDTH)}
    for name, (weight, bias) in SHAPES_OF_BLOCK.items():
        scale = 1.0 if name.startswith("norm") else WIDTH**-0.5
        arrays[name] = (normal(rng, *weight, scale=scale), normal(rng, *bias, scale=0.1))
    return arrays


def new_ops(case, rng):
    names = ("x", "y", "g") if case == "distance_gate" else ("x", "g")
    return {name: normal(rng, 1_000_000) for name in names}


WORKLOADS = [
    Workload("tiny_graph", "tiny graph: 10 x (y = y*x + 1), 8x8", ["float32"], tiny, 0.5, 50),
    Workload(
        "small_mlp", "MLP 64-64-64-10 tanh, batch 32, SGD step", ["float32"], classifier(32, 64, 64, 64, 10), 0.5, 20
    ),
    Workload(
        "mlp", "MLP 784-256-128-10 relu, batch 128, Adam step", ["float32"], classifier(128, 784, 256, 128, 10), 0.95, 5
    ),
    Workload("elementwise", "elementwise, 1e6 float32", ELEMENTWISE, elementwise, 1.15, 1),
    Workload("rows", "rows 4096x256", ROWS, rows, 1.5, 1),
    Workload("convnet", "ConvNet like LeNet, 1x28x28, batch 64, SGD step", ["float32"], convnet, 1.0, 1),
    Workload("transformer", "transformer block, d 128, 4 heads, 64 tokens, batch 8", ["float32"], block, 1.3, 1),
    Workload("new_ops", "new ops without a kernel of PyTorch's, 1e6 float32", NEW_OPS, new_ops, 0.4, 1),
]

# title, workload, and the peak of extra memory of one step to reach, divided by PyTorch's
MEMORY = [
    ("memory of a step of the MLP 784-256-128-10", "mlp", 1.5),
    ("memory of a step of the transformer block", "transformer", 1.5),
]
IMPORT, IMPORT_IN_USE, IMPORT_BAR = "import / NumPy's", "import of Tensor and a layer / NumPy's", 1.3
