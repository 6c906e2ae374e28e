"""Perceptrons and the small graph by hand: arrays made once, biases in the products, one flat array of parameters."""

import numpy as np

from libraries.floor_tiles import aligned, in_tiles


def ten_products(x):
    """y = y*x + 1 ten times from y = x, and the gradient of x."""
    ys, one = [x], np.ones_like(x)
    for _ in range(10):
        y = np.multiply(ys[-1], x)
        ys.append(np.add(y, one, y))
    g, dx, t = one, np.zeros_like(x), np.empty_like(x)
    for y in ys[-2::-1]:
        np.add(dx, np.multiply(g, y, t), dx)
        g = np.multiply(g, x)
    return ys[-1], np.add(dx, g, dx)


class Perceptron:
    """Linear layers with an activation between them, and cross entropy.

    Inputs of layers carry a column of ones, and parameters are (in + 1, out): the bias is a row of the weight, in the
    product and in its gradient. All parameters are views of one flat array, and so are their gradients.

    activate: (z) in place. slope: (g, y) -> g times the slope, in place in g.
    """

    def __init__(self, layers, x, labels, activate, slope):
        shapes = [(weight.shape[1] + 1, weight.shape[0]) for weight, _ in layers]
        self.flat, self.gradient = (aligned(sum(n * m for n, m in shapes)) for _ in range(2))
        self.weights, self.gradients = self.parts(self.flat, shapes), self.parts(self.gradient, shapes)
        for part, (weight, bias) in zip(self.weights, layers, strict=True):
            part[:-1], part[-1] = weight.T, bias
        self.inputs = [np.ones((len(x), n), np.float32) for n, _ in shapes]
        self.inputs[0][:, :-1] = x
        self.y = aligned(len(x), shapes[-1][1])
        self.outputs = [*(one[:, :-1] for one in self.inputs[1:]), self.y]
        self.cotangents = [aligned(*y.shape) for y in self.outputs]
        self.labels, self.everyone = labels, np.arange(len(x))
        self.activate, self.slope = activate, slope

    @staticmethod
    def parts(flat, shapes):
        ends = np.cumsum([n * m for n, m in shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]

    def loss_and_gradients(self):
        for x, weight, y in zip(self.inputs, self.weights, self.outputs, strict=True):
            np.matmul(x, weight, out=y)
            if y is not self.y:
                self.activate(y)
        g = self.cotangents[-1]
        loss = cross_entropy(self.y, self.labels, self.everyone, g)
        for i in range(len(self.weights) - 1, -1, -1):
            np.matmul(self.inputs[i].T, g, out=self.gradients[i])
            if i:
                g = np.matmul(g, self.weights[i][:-1].T, out=self.cotangents[i - 1])
                self.slope(g, self.outputs[i - 1])
        return loss

    def numbers(self, loss):
        return [loss, *(part for g in self.gradients for part in (g[:-1].T, g[-1]))]


def cross_entropy(y, labels, everyone, g):
    """The mean loss; the cotangent of the logits y into g."""
    np.subtract(y, np.maximum.reduce(y, -1, keepdims=True), g)
    picked = g[everyone, labels]
    np.exp(g, g)
    s = np.add.reduce(g, -1)
    np.divide(g, (s * len(y))[:, None], g)
    g[everyone, labels] -= 1 / len(y)
    return np.float32(np.add.reduce(np.log(s) - picked) / len(y))


def tanh_slope(g, y):
    t = y * y
    np.multiply(g, np.subtract(1.0, t, t), g)


def relu(z):
    np.clip(z, 0.0, None, out=z)


def relu_slope(g, y):
    np.multiply(g, y > 0, g)


def sgd_step(model, lr):
    def step():
        loss = model.loss_and_gradients()
        model.flat -= lr * model.gradient
        return model.numbers(loss)

    return step


def adam_step(model, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    t, m, v = 0, np.zeros_like(model.flat), np.zeros_like(model.flat)

    def step():
        nonlocal t
        t += 1
        loss = model.loss_and_gradients()
        rate, root = lr / (1 - beta1**t), 1 / np.sqrt(1 - beta2**t)

        def update(p, g, m, v, a, *_):
            np.multiply(m, beta1, m)
            np.multiply(g, 1 - beta1, a)
            np.add(m, a, m)
            np.multiply(v, beta2, v)
            np.multiply(g, g, a)
            np.multiply(a, 1 - beta2, a)
            np.add(v, a, v)
            np.sqrt(v, a)
            np.multiply(a, root, a)
            np.add(a, eps, a)
            np.divide(m, a, a)
            np.multiply(a, rate, a)
            np.subtract(p, a, p)

        in_tiles(update, model.flat, model.gradient, m, v)
        return model.numbers(loss)

    return step
