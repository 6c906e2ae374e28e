"""The workloads in PyTorch, eager."""

import torch
import torch.nn.functional as F
from torch import nn

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
    x, g = parameter(arrays["x"]), torch.ones(arrays["x"].shape)

    def step():
        x.grad = None
        y = x
        for _ in range(10):
            y = y * x + 1
        y.backward(g)
        return y, x.grad

    return step


def training(model, optimizer, arrays):
    x, labels = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["labels"])

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
    return training(model, torch.optim.SGD(model.parameters(), lr=0.01), arrays)


def mlp(case, arrays):
    model = perceptron(arrays, nn.ReLU())
    return training(model, torch.optim.Adam(model.parameters(), lr=1e-3), arrays)


def forward_and_backward(f, tensors, g):
    g = None if g is None else torch.from_numpy(g)

    def step():
        for tensor in tensors:
            tensor.grad = None
        y = f(*tensors)
        y.backward(g)
        return (y, *(tensor.grad for tensor in tensors))

    return step


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
    return forward_and_backward(f, [parameter(arrays["x"])], arrays["g"])


def rows(case, arrays):
    tensors = [parameter(arrays[name]) for name in ("x", "weight", "bias") if name in arrays]
    if case == "cross_entropy":
        labels = torch.from_numpy(arrays["labels"])
        return forward_and_backward(lambda x: F.cross_entropy(x, labels), tensors, None)
    if case.endswith("norm"):
        normalise = getattr(F, case)
        return forward_and_backward(lambda x, *more: normalise(x, (256,), *more, eps=1e-5), tensors, arrays["g"])
    f = torch.logsumexp if case == "logsumexp" else getattr(F, case)
    return forward_and_backward(lambda x: f(x, -1), tensors, arrays["g"])


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
    return training(model, torch.optim.SGD(model.parameters(), lr=0.01), arrays)


def transformer(case, arrays):
    x = torch.from_numpy(arrays["x"])
    p = {name: tuple(map(parameter, pair)) for name, pair in arrays.items() if name != "x"}
    flat = [tensor for pair in p.values() for tensor in pair]
    batch, tokens, width = x.shape
    heads = 4

    def block(x):
        h = F.linear(F.layer_norm(x, (width,), *p["norm1"]), *p["qkv"])
        q, k, v = h.reshape(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        x = x + F.linear(mixed, *p["out"])
        h = F.gelu(F.linear(F.layer_norm(x, (width,), *p["norm2"]), *p["up"]))
        return x + F.linear(h, *p["down"])

    def step():
        for tensor in flat:
            tensor.grad = None
        loss = (block(x) ** 2).mean()
        loss.backward()
        return (loss, *(tensor.grad for tensor in flat))

    return step


def new_ops(case, arrays):
    functions = {
        "noisy_mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(x))) + 0.1 * torch.sin(x) ** 2,
        "gated_bell": lambda x: x / (1 + torch.exp(-1.702 * x)) - 0.05 * x**3 * torch.exp(-(x**2)),
        "distance_gate": lambda x, y: torch.sqrt(x**2 + y**2 + 1e-6) * torch.tanh(x * y),
    }
    tensors = [parameter(arrays[name]) for name in ("x", "y") if name in arrays]
    return forward_and_backward(functions[case], tensors, arrays["g"])
