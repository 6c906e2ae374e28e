"""The workloads as functions of arrays, for libraries that differentiate functions written in NumPy's names."""

from functools import partial

from workloads import HEADS


def cross_entropy(xp, logits, labels):
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    excess = xp.log(xp.sum(xp.exp(shifted), axis=-1))
    return xp.mean(excess - shifted[xp.arange(len(labels)), labels])


def softmax(xp, x):
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def log_softmax(xp, x):
    x = x - xp.max(x, axis=-1, keepdims=True)
    return x - xp.log(xp.sum(xp.exp(x), axis=-1, keepdims=True))


def logsumexp(xp, x):
    largest = xp.max(x, axis=-1, keepdims=True)
    return xp.log(xp.sum(xp.exp(x - largest), axis=-1)) + largest[..., 0]


def layer_norm(xp, x, weight, bias):
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    return weight * centred / xp.sqrt(xp.mean(centred**2, axis=-1, keepdims=True) + 1e-5) + bias


def rms_norm(xp, x, weight):
    return weight * x / xp.sqrt(xp.mean(x**2, axis=-1, keepdims=True) + 1e-5)


ROWS = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
}


def softplus(xp, x):
    return xp.logaddexp(x, 0.0)


def elementwise(xp, erf):
    """The elementwise functions by case."""
    return {
        "gelu_tanh": lambda x: 0.5 * x * (1 + xp.tanh(0.7978845608 * (x + 0.044715 * x**3))),
        "gelu_erf": lambda x: 0.5 * x * (1 + erf(x * 0.7071067812)),
        "silu": lambda x: x / (1 + xp.exp(-x)),
        "mish": lambda x: x * xp.tanh(softplus(xp, x)),
        "softplus": partial(softplus, xp),
        "elu": lambda x: xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0.0))),
        "sigmoid": lambda x: 1 / (1 + xp.exp(-x)),
        "tanh": xp.tanh,
        "relu": lambda x: xp.where(x > 0, x, 0.0),
        "logsigmoid": lambda x: -softplus(xp, -x),
        "hardswish": lambda x: x * xp.clip(x + 3, 0.0, 6.0) / 6,
        "exp": xp.exp,
        "log": xp.log,
        "sqrt": xp.sqrt,
    }


def perceptron(xp, activation, layers, x):
    for weight, bias in layers[:-1]:
        x = activation(x @ weight.T + bias)
    weight, bias = layers[-1]
    return x @ weight.T + bias


def block(xp, erf, x, p):
    batch, tokens, width = x.shape
    h = layer_norm(xp, x, *p["norm1"]) @ p["qkv"][0].T + p["qkv"][1]
    q, k, v = xp.transpose(xp.reshape(h, (batch, tokens, 3, HEADS, width // HEADS)), (2, 0, 3, 1, 4))
    scores = q @ xp.swapaxes(k, -1, -2) * (width // HEADS) ** -0.5
    mixed = xp.reshape(xp.transpose(softmax(xp, scores) @ v, (0, 2, 1, 3)), (batch, tokens, width))
    x = x + mixed @ p["out"][0].T + p["out"][1]
    h = layer_norm(xp, x, *p["norm2"]) @ p["up"][0].T + p["up"][1]
    h = 0.5 * h * (1 + erf(h * 0.7071067812))
    return xp.mean((x + h @ p["down"][0].T + p["down"][1]) ** 2)


def new_ops(xp):
    return {
        "noisy_mish": lambda x: x * xp.tanh(xp.log1p(xp.exp(x))) + 0.1 * xp.sin(x) ** 2,
        "gated_bell": lambda x: x / (1 + xp.exp(-1.702 * x)) - 0.05 * x**3 * xp.exp(-(x**2)),
        "distance_gate": lambda x, y: xp.sqrt(x**2 + y**2 + 1e-6) * xp.tanh(x * y),
    }
