"""The workloads in JAX: each step is one function, compiled by `jax.jit`."""

import jax
import jax.numpy as jnp
from jax import lax

from libraries import functions
from libraries.steps import ten_products

NAME = "JAX jit"


def numbers(results):
    return jax.tree.leaves(results)


def pulled(f, tensors, g=None):
    """A step which returns f(*tensors) and its gradients, from the cotangent g."""
    tensors = tuple(map(jnp.asarray, tensors))

    @jax.jit
    def value_and_gradients(tensors):
        y, pull = jax.vjp(f, *tensors)
        return y, *pull(jnp.ones_like(y) if g is None else jnp.asarray(g))

    return lambda: jax.block_until_ready(value_and_gradients(tensors))


def trained(loss, parameters, update, state=None):
    """A step of training which returns the loss and the gradients."""
    held = [jax.tree.map(jnp.asarray, parameters), state]

    @jax.jit
    def training_step(parameters, state):
        y, gradients = jax.value_and_grad(loss)(parameters)
        return y, gradients, *update(parameters, gradients, state)

    def step():
        y, gradients, *held[:] = jax.block_until_ready(training_step(*held))
        return y, gradients

    return step


def sgd(parameters, gradients, state):
    return jax.tree.map(lambda p, g: p - 0.01 * g, parameters, gradients), state


def adam(parameters, gradients, state):
    t, m, v = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)

    def moved(p, m, v):
        return p - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)

    return jax.tree.map(moved, parameters, m, v), (t, m, v)


def tiny_graph(case, arrays):
    return pulled(ten_products, [arrays["x"]])


def classified(arrays, activation):
    x, labels = jnp.asarray(arrays["x"]), jnp.asarray(arrays["labels"])
    return lambda layers: functions.cross_entropy(jnp, functions.perceptron(jnp, activation, layers, x), labels)


def small_mlp(case, arrays):
    return trained(classified(arrays, jnp.tanh), arrays["layers"], sgd)


def mlp(case, arrays):
    layers = arrays["layers"]
    zeros = jax.tree.map(jnp.zeros_like, layers)
    return trained(classified(arrays, jax.nn.relu), layers, adam, (0.0, zeros, zeros))


def elementwise(case, arrays):
    return pulled(functions.elementwise(jnp, lax.erf)[case], [arrays["x"]], arrays["g"])


def rows(case, arrays):
    if case == "cross_entropy":
        return pulled(lambda x: functions.cross_entropy(jnp, x, jnp.asarray(arrays["labels"])), [arrays["x"]])
    tensors = [arrays[name] for name in ("x", "weight", "bias") if name in arrays]
    return pulled(lambda *given: functions.ROWS[case](jnp, *given), tensors, arrays["g"])


def convnet(case, arrays):
    x, labels = jnp.asarray(arrays["x"]), jnp.asarray(arrays["labels"])

    def stage(x, weight, bias, padding):
        y = lax.conv_general_dilated(x, weight, (1, 1), [(padding, padding)] * 2) + bias[:, None, None]
        return lax.reduce_window(jax.nn.relu(y), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss(p):
        y = stage(stage(x, p[0], p[1], 2), p[2], p[3], 0).reshape(len(x), -1)
        layers = list(zip(p[4::2], p[5::2], strict=True))
        return functions.cross_entropy(jnp, functions.perceptron(jnp, jax.nn.relu, layers, y), labels)

    return trained(loss, arrays["parameters"], sgd)


def transformer(case, arrays):
    x = jnp.asarray(arrays["x"])
    p = {name: tuple(map(jnp.asarray, pair)) for name, pair in arrays.items() if name != "x"}
    gradients = jax.jit(jax.value_and_grad(lambda p: functions.block(jnp, lax.erf, x, p)))

    def step():
        y, found = jax.block_until_ready(gradients(p))
        return y, *(one for name in p for one in found[name])

    return step


def new_ops(case, arrays):
    tensors = [arrays[name] for name in ("x", "y") if name in arrays]
    return pulled(functions.new_ops(jnp)[case], tensors, arrays["g"])
