"""The workloads in nngrad, as its users would write them."""

import hashlib
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from workloads import HEADS

import nngrad
from libraries.steps import forward_and_backward, lenet, perceptron, ten_products, training
from nngrad import Tensor, nn, optim
from nngrad.nn import functional as F

NAME = "nngrad"


def numbers(results):
    return [result.numpy() if isinstance(result, Tensor) else result for result in results]


def parameter(array):
    return Tensor(array, requires_grad=True)


def loaded(layer, arrays):
    layer.load_state_dict(dict(zip(layer.state_dict(), arrays, strict=True)))
    return layer


def tiny_graph(case, arrays):
    return forward_and_backward(ten_products, [parameter(arrays["x"])], np.ones_like(arrays["x"]))


def trained(model, optimizer, arrays):
    return training(F.cross_entropy, model, optimizer, Tensor(arrays["x"]), arrays["labels"])


def small_mlp(case, arrays):
    model = perceptron(nn, loaded, arrays["layers"], nn.Tanh())
    return trained(model, optim.SGD(model.parameters(), lr=0.01), arrays)


def mlp(case, arrays):
    model = perceptron(nn, loaded, arrays["layers"], nn.ReLU())
    return trained(model, optim.Adam(model.parameters(), lr=1e-3), arrays)


def elementwise(case, arrays):
    functions = {
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "gelu_erf": F.gelu,
        "exp": nngrad.exp,
        "log": nngrad.log,
        "sqrt": nngrad.sqrt,
    }
    f = functions.get(case) or getattr(F, case)
    return forward_and_backward(f, [parameter(arrays["x"])], arrays["g"])


def rows(case, arrays):
    tensors = [parameter(arrays[name]) for name in ("x", "weight", "bias") if name in arrays]
    if case == "cross_entropy":
        return forward_and_backward(lambda x: F.cross_entropy(x, arrays["labels"]), tensors)
    if case.endswith("norm"):
        normalise = getattr(F, case)
        return forward_and_backward(lambda x, *more: normalise(x, (256,), *more, eps=1e-5), tensors, arrays["g"])
    f = nngrad.logsumexp if case == "logsumexp" else getattr(F, case)
    return forward_and_backward(lambda x: f(x, axis=-1), tensors, arrays["g"])


def convnet(case, arrays):
    model = lenet(nn, loaded, arrays["parameters"])
    return trained(model, optim.SGD(model.parameters(), lr=0.01), arrays)


def transformer(case, arrays):
    x = Tensor(arrays["x"])
    p = {name: tuple(map(parameter, pair)) for name, pair in arrays.items() if name != "x"}
    flat = [tensor for pair in p.values() for tensor in pair]
    batch, tokens, width = x.shape

    def block(x):
        h = F.linear(F.layer_norm(x, (width,), *p["norm1"]), *p["qkv"])
        q, k, v = h.reshape(batch, tokens, 3, HEADS, width // HEADS).transpose((2, 0, 3, 1, 4))
        scores = q @ k.transpose((0, 1, 3, 2)) * (width // HEADS) ** -0.5
        mixed = (F.softmax(scores, axis=-1) @ v).transpose((0, 2, 1, 3)).reshape(batch, tokens, width)
        x = x + F.linear(mixed, *p["out"])
        h = F.gelu(F.linear(F.layer_norm(x, (width,), *p["norm2"]), *p["up"]))
        return x + F.linear(h, *p["down"])

    return forward_and_backward(lambda *_: (block(x) ** 2).mean(), flat)


def new_ops(case, arrays):
    f = getattr(generated_new_ops(), case)
    tensors = [parameter(arrays[name]) for name in ("x", "y") if name in arrays]
    return forward_and_backward(f, tensors, arrays["g"])


def generated_new_ops():
    """The package made of `new_ops.py`, in a temporary folder; kept there until the spec or the generator changes."""
    spec = Path(__file__).resolve().parents[1] / "new_ops.py"
    checkout = spec.parents[1]
    sources = [spec, *sorted(checkout.glob("nngrad/codegen/**/*.*")), *sorted(checkout.glob("templates/**/*.j2"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources if path.is_file())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"nngrad_benchmarks_{digest}"
    if not (folder / "generated_new_ops").exists():
        command = [sys.executable, "-m", "nngrad.codegen", "--spec", spec, "--out", folder / "generated_new_ops"]
        outcome = subprocess.run(command, capture_output=True, text=True)
        if outcome.returncode:
            raise RuntimeError(f"{spec} could not be generated:\n{outcome.stderr}")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return importlib.import_module("generated_new_ops")
