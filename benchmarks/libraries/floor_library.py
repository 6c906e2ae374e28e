"""The floor: the workloads as straight NumPy by hand, with derivatives worked out on paper and no framework.

It is a yardstick: what NumPy itself allows on this machine. Its speed comes from memory that is reused, tiles in
cache, a second thread where that helps, and products instead of sums.
"""

import numpy as np

from libraries import floor_convnet, floor_elementwise, floor_models, floor_rows, floor_transformer

NAME = "floor"


def numbers(results):
    return results


def tiny_graph(case, arrays):
    return lambda: floor_models.ten_products(arrays["x"])


def small_mlp(case, arrays):
    model = floor_models.Perceptron(
        arrays["layers"], arrays["x"], arrays["labels"], lambda z: np.tanh(z, z), floor_models.tanh_slope
    )
    return floor_models.sgd_step(model, 0.01)


def mlp(case, arrays):
    model = floor_models.Perceptron(
        arrays["layers"], arrays["x"], arrays["labels"], floor_models.relu, floor_models.relu_slope
    )
    return floor_models.adam_step(model, 1e-3)


def elementwise(case, arrays):
    return lambda: floor_elementwise.forward_and_backward(case, arrays["x"], arrays["g"])


def new_ops(case, arrays):
    if case == "distance_gate":
        return lambda: floor_elementwise.distance_gate_and_back(arrays["x"], arrays["y"], arrays["g"])
    return elementwise(case, arrays)


def rows(case, arrays):
    if case == "cross_entropy":
        return lambda: floor_rows.cross_entropy(arrays["x"], arrays["labels"])
    function = floor_rows.FUNCTIONS[case]
    tensors = [arrays[name] for name in ("x", "weight", "bias", "g") if name in arrays]
    return lambda: function(*tensors)


def convnet(case, arrays):
    return floor_convnet.sgd_step(arrays["x"], arrays["labels"], arrays["parameters"], 0.01)


def transformer(case, arrays):
    return floor_transformer.block_step(arrays["x"], {name: pair for name, pair in arrays.items() if name != "x"})
