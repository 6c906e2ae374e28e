"""The workloads in MyGrad, as its users would write them."""

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu, sigmoid
from mygrad.nnet.losses import softmax_crossentropy

from libraries import functions
from libraries.autograd_library import Adam, sgd
from libraries.steps import ten_products

NAME = "MyGrad"


def numbers(results):
    return [np.asarray(one.data if isinstance(one, mg.Tensor) else one) for one in results]


def pulled(f, arrays, g=None):
    """A step which returns f(*tensors) and the gradients of the tensors, from the cotangent g."""
    tensors = [mg.tensor(array) for array in arrays]

    def step():
        y = f(*tensors)
        y.backward(g)
        return y, *(tensor.grad for tensor in tensors)

    return step


def tiny_graph(case, arrays):
    return pulled(ten_products, [arrays["x"]], np.ones_like(arrays["x"]))


def trained(arrays, activation, update):
    """A step of training which returns the loss and the gradients; `update` changes the parameters in place."""
    flat = [mg.tensor(one) for layer in arrays["layers"] for one in layer]
    layers = list(zip(flat[::2], flat[1::2], strict=True))

    def step():
        loss = softmax_crossentropy(functions.perceptron(mg, activation, layers, arrays["x"]), arrays["labels"])
        loss.backward()
        gradients = [p.grad for p in flat]
        update([p.data for p in flat], gradients)
        return loss, *gradients

    return step


def small_mlp(case, arrays):
    return trained(arrays, mg.tanh, sgd)


def mlp(case, arrays):
    return trained(arrays, relu, Adam())


def elementwise(case, arrays):
    if case == "gelu_erf":
        return None  # MyGrad has no erf
    f = {"sigmoid": sigmoid, "relu": relu}.get(case) or functions.elementwise(mg, erf=None)[case]
    return pulled(f, [arrays["x"]], arrays["g"])


def rows(case, arrays):
    if case == "cross_entropy":
        return pulled(lambda x: softmax_crossentropy(x, arrays["labels"]), [arrays["x"]])
    tensors = [arrays[name] for name in ("x", "weight", "bias") if name in arrays]
    return pulled(lambda *given: functions.ROWS[case](mg, *given), tensors, arrays["g"])


def new_ops(case, arrays):
    tensors = [arrays[name] for name in ("x", "y") if name in arrays]
    return pulled(functions.new_ops(mg)[case], tensors, arrays["g"])
