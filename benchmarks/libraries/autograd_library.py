"""The workloads in autograd, the library whose way of differentiating NumPy code JAX took over."""

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from autograd.scipy.special import erf

from libraries import functions
from libraries.steps import ten_products

NAME = "autograd"


def numbers(results):
    return [np.asarray(one) for one in results]


def pulled(f, tensors, g=None):
    """A step which returns f(*tensors) and its gradients, from the cotangent g."""

    def step():
        pull, y = make_vjp(lambda all_: f(*all_))(tuple(tensors))
        return y, *pull(np.ones_like(y) if g is None else g)

    return step


def tiny_graph(case, arrays):
    return pulled(ten_products, [arrays["x"]])


def trained(arrays, activation, update):
    """A step of training which returns the loss and the gradients; `update` changes the parameters in place."""
    flat = [one.copy() for layer in arrays["layers"] for one in layer]

    def loss(*flat):
        layers = list(zip(flat[::2], flat[1::2], strict=True))
        y = functions.perceptron(anp, activation, layers, arrays["x"])
        return functions.cross_entropy(anp, y, arrays["labels"])

    find = pulled(loss, flat)

    def step():
        found = find()
        update(flat, found[1:])
        return found

    return step


def sgd(parameters, gradients):
    for p, g in zip(parameters, gradients, strict=True):
        p -= 0.01 * g


class Adam:
    def __init__(self):
        self.t, self.moments = 0, None

    def __call__(self, parameters, gradients):
        self.t += 1
        self.moments = self.moments or [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
        for p, g, (m, v) in zip(parameters, gradients, self.moments, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= 1e-3 / (1 - 0.9**self.t) * m / (np.sqrt(v / (1 - 0.999**self.t)) + 1e-8)


def small_mlp(case, arrays):
    return trained(arrays, anp.tanh, sgd)


def mlp(case, arrays):
    return trained(arrays, lambda x: anp.where(x > 0, x, 0.0), Adam())


def elementwise(case, arrays):
    return pulled(functions.elementwise(anp, erf)[case], [arrays["x"]], arrays["g"])


def rows(case, arrays):
    if case == "cross_entropy":
        return pulled(lambda x: functions.cross_entropy(anp, x, arrays["labels"]), [arrays["x"]])
    tensors = [arrays[name] for name in ("x", "weight", "bias") if name in arrays]
    return pulled(lambda *given: functions.ROWS[case](anp, *given), tensors, arrays["g"])


def transformer(case, arrays):
    names = [name for name in arrays if name != "x"]

    def loss(*flat):
        p = dict(zip(names, zip(flat[::2], flat[1::2], strict=True), strict=True))
        return functions.block(anp, erf, arrays["x"], p)

    return pulled(loss, [one for name in names for one in arrays[name]])


def new_ops(case, arrays):
    tensors = [arrays[name] for name in ("x", "y") if name in arrays]
    return pulled(functions.new_ops(anp)[case], tensors, arrays["g"])
