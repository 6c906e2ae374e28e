"""The workloads in PyTorch, eager."""

import torch
import torch.nn.functional as F
from torch import nn
from workloads import HEADS

from libraries.steps import forward_and_backward, lenet, perceptron, ten_products, training

NAME = "PyTorch"


def numbers(results):
    return [result.detach().numpy() for result in results]


def parameter(array):
    return torch.tensor(array, requires_grad=True)


def loaded(layer, arrays):
    with torch.no_grad():
        for p, array in zip(layer.parameters(), arrays, strict=True):
            p.copy_(torch.from_numpy(array))
    return layer


def tiny_graph(case, arrays):
    return forward_and_backward(ten_products, [parameter(arrays["x"])], torch.ones(arrays["x"].shape))


def trained(model, optimizer, arrays):
    return training(
        F.cross_entropy, model, optimizer, torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["labels"])
    )


def small_mlp(case, arrays):
    model = perceptron(nn, loaded, arrays["layers"], nn.Tanh())
    return trained(model, torch.optim.SGD(model.parameters(), lr=0.01), arrays)


def mlp(case, arrays):
    model = perceptron(nn, loaded, arrays["layers"], nn.ReLU())
    return trained(model, torch.optim.Adam(model.parameters(), lr=1e-3), arrays)


def elementwise(case, arrays):
    functions = {
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "gelu_erf": F.gelu,
        "exp": torch.exp,
        "log": torch.log,
        "sqrt": torch.sqrt,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
    }
    f = functions.get(case) or getattr(F, case)
    return forward_and_backward(f, [parameter(arrays["x"])], torch.from_numpy(arrays["g"]))


def rows(case, arrays):
    tensors = [parameter(arrays[name]) for name in ("x", "weight", "bias") if name in arrays]
    if case == "cross_entropy":
        labels = torch.from_numpy(arrays["labels"])
        return forward_and_backward(lambda x: F.cross_entropy(x, labels), tensors)
    if case.endswith("norm"):
        normalise = getattr(F, case)
        return forward_and_backward(
            lambda x, *more: normalise(x, (256,), *more, eps=1e-5), tensors, torch.from_numpy(arrays["g"])
        )
    f = torch.logsumexp if case == "logsumexp" else getattr(F, case)
    return forward_and_backward(lambda x: f(x, -1), tensors, torch.from_numpy(arrays["g"]))


def convnet(case, arrays):
    model = lenet(nn, loaded, arrays["parameters"])
    return trained(model, torch.optim.SGD(model.parameters(), lr=0.01), arrays)


def transformer(case, arrays):
    x = torch.from_numpy(arrays["x"])
    p = {name: tuple(map(parameter, pair)) for name, pair in arrays.items() if name != "x"}
    flat = [tensor for pair in p.values() for tensor in pair]
    batch, tokens, width = x.shape

    def block(x):
        h = F.linear(F.layer_norm(x, (width,), *p["norm1"]), *p["qkv"])
        q, k, v = h.reshape(batch, tokens, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        x = x + F.linear(mixed, *p["out"])
        h = F.gelu(F.linear(F.layer_norm(x, (width,), *p["norm2"]), *p["up"]))
        return x + F.linear(h, *p["down"])

    return forward_and_backward(lambda *_: (block(x) ** 2).mean(), flat)


def new_ops(case, arrays):
    functions = {
        "noisy_mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(x))) + 0.1 * torch.sin(x) ** 2,
        "gated_bell": lambda x: x / (1 + torch.exp(-1.702 * x)) - 0.05 * x**3 * torch.exp(-(x**2)),
        "distance_gate": lambda x, y: torch.sqrt(x**2 + y**2 + 1e-6) * torch.tanh(x * y),
    }
    tensors = [parameter(arrays[name]) for name in ("x", "y") if name in arrays]
    return forward_and_backward(functions[case], tensors, torch.from_numpy(arrays["g"]))
