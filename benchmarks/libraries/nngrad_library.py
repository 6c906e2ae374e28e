"""The workloads in nngrad, as its users would write them."""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import nngrad
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
    x, g = parameter(arrays["x"]), np.ones_like(arrays["x"])

    def step():
        x.reset_grad()
        y = x
        for _ in range(10):
            y = y * x + 1
        y.backward(g)
        return y, x.grad

    return step


def training(model, optimizer, arrays):
    x, labels = Tensor(arrays["x"]), arrays["labels"]

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return (loss, *(p.grad for p in model.parameters()))

    return step


def perceptron(arrays, activation):
    linears = [loaded(nn.Linear(*weight.shape[::-1]), (weight, bias)) for weight, bias in arrays["layers"]]
    between = [layer for linear in linears for layer in (linear, activation)]
    return nn.Sequential(*between[:-1])


def small_mlp(case, arrays):
    model = perceptron(arrays, nn.Tanh())
    return training(model, optim.SGD(model.parameters(), lr=0.01), arrays)


def mlp(case, arrays):
    model = perceptron(arrays, nn.ReLU())
    return training(model, optim.Adam(model.parameters(), lr=1e-3), arrays)


def forward_and_backward(f, tensors, g):
    def step():
        for tensor in tensors:
            tensor.reset_grad()
        y = f(*tensors)
        y.backward(g)
        return (y, *(tensor.grad for tensor in tensors))

    return step


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
        return forward_and_backward(lambda x: F.cross_entropy(x, arrays["labels"]), tensors, None)
    if case.endswith("norm"):
        normalise = getattr(F, case)
        return forward_and_backward(lambda x, *more: normalise(x, (256,), *more, eps=1e-5), tensors, arrays["g"])
    f = nngrad.logsumexp if case == "logsumexp" else getattr(F, case)
    return forward_and_backward(lambda x: f(x, axis=-1), tensors, arrays["g"])


def convnet(case, arrays):
    p = arrays["parameters"]
    model = nn.Sequential(
        loaded(nn.Conv2d(1, 6, 5, padding=2), p[:2]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        loaded(nn.Conv2d(6, 16, 5), p[2:4]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        loaded(nn.Linear(400, 120), p[4:6]),
        nn.ReLU(),
        loaded(nn.Linear(120, 84), p[6:8]),
        nn.ReLU(),
        loaded(nn.Linear(84, 10), p[8:]),
    )
    return training(model, optim.SGD(model.parameters(), lr=0.01), arrays)


def transformer(case, arrays):
    x = Tensor(arrays["x"])
    p = {name: tuple(map(parameter, pair)) for name, pair in arrays.items() if name != "x"}
    flat = [tensor for pair in p.values() for tensor in pair]
    batch, tokens, width = x.shape
    heads = 4

    def block(x):
        h = F.linear(F.layer_norm(x, (width,), *p["norm1"]), *p["qkv"])
        q, k, v = h.reshape(batch, tokens, 3, heads, width // heads).transpose((2, 0, 3, 1, 4))
        scores = q @ k.transpose((0, 1, 3, 2)) * (width // heads) ** -0.5
        mixed = (F.softmax(scores, axis=-1) @ v).transpose((0, 2, 1, 3)).reshape(batch, tokens, width)
        x = x + F.linear(mixed, *p["out"])
        h = F.gelu(F.linear(F.layer_norm(x, (width,), *p["norm2"]), *p["up"]))
        return x + F.linear(h, *p["down"])

    def step():
        for tensor in flat:
            tensor.reset_grad()
        loss = (block(x) ** 2).mean()
        loss.backward()
        return (loss, *(tensor.grad for tensor in flat))

    return step


def new_ops(case, arrays):
    f = getattr(generated_new_ops(), case)
    tensors = [parameter(arrays[name]) for name in ("x", "y") if name in arrays]
    return forward_and_backward(f, tensors, arrays["g"])


def generated_new_ops():
    """The package made of `new_ops.py`, in a temporary folder, once per process."""
    if "generated_new_ops" not in sys.modules:
        spec = Path(__file__).resolve().parents[1] / "new_ops.py"
        folder = tempfile.mkdtemp()
        out = Path(folder) / "generated_new_ops"
        subprocess.run([sys.executable, "-m", "nngrad.codegen", "--spec", spec, "--out", out], check=True)
        sys.path.append(folder)
    return importlib.import_module("generated_new_ops")
