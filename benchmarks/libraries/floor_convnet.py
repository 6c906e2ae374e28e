"""The convolutional network by hand: rows of the image are batches of one product, whose windows overlap in memory.

Images are (row, channel, column, example), so that every step works on long contiguous pieces. A convolution copies
each row once per kernel column; the kernel's rows then need no copy, as `windows` of successive rows overlap.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from libraries.floor_models import Perceptron, relu, relu_slope


def windows(rows, size):
    """For rows (h, k, n) each `size` successive ones as one matrix (size * k, n), which overlap: no copy."""
    h, k, n = rows.shape
    return as_strided(rows, (h - size + 1, size * k, n), rows.strides)


class Stage:
    """Convolution with a square kernel, max pooling by 2, and relu after it, which commutes with the maximum."""

    def __init__(self, weight, bias):
        self.shape = weight.shape
        self.weight, self.bias = weight.transpose(0, 2, 1, 3).copy(), bias.copy()  # (out, row, in, column)

    def forward(self, x):
        out, channels, size, _ = self.shape
        height, _, width, n = x.shape
        columns = np.empty((height, channels, size, width - size + 1, n), np.float32)
        np.copyto(columns, sliding_window_view(x, width - size + 1, 2).transpose(0, 1, 2, 4, 3))
        self.x_shape, self.windows = x.shape, windows(columns.reshape(height, channels * size, -1), size)
        y = np.matmul(self.weight.reshape(out, -1), self.windows).reshape(height - size + 1, out, -1, n)
        rows = np.maximum(y[::2], y[1::2])
        self.y, self.peak = y, np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
        self.output = self.peak + self.bias[:, None, None]
        relu(self.output)
        return self.output

    def backward(self, g):
        """The gradients of weight and bias, and the cotangent of the convolution's output (row, out, column * n)."""
        out, channels, size, _ = self.shape
        relu_slope(g, self.output)
        padded = np.zeros((len(self.y) + 2 * (size - 1), *self.y.shape[1:]), np.float32)
        inner = padded[size - 1 : 1 - size]
        for i in range(2):
            for j in range(2):
                corner = self.y[i::2, :, j::2]
                np.multiply(g, corner == self.peak, out=inner[i::2, :, j::2])
        self.padded = padded.reshape(len(padded), out, -1)
        slices = inner.reshape(len(inner), out, -1)
        parts = np.matmul(slices, self.windows.swapaxes(1, 2))
        dw = np.add.reduce(parts, 0).reshape(out, size, channels, size)
        return dw, np.add.reduce(g, (0, 2, 3))

    def input_cotangent(self):
        out, channels, size, _ = self.shape
        flipped = self.weight[:, ::-1].transpose(2, 3, 1, 0).reshape(channels * size, size * out)
        columns = np.matmul(flipped, windows(self.padded, size))
        height, _, width, n = self.x_shape
        columns = columns.reshape(height, channels, size, width - size + 1, n)
        dx = np.zeros(self.x_shape, np.float32)
        for j in range(size):
            dx[:, :, j : j + width - size + 1] += columns[:, :, j]
        return dx


def sgd_step(x, labels, parameters, lr):
    first, second = Stage(*parameters[:2]), Stage(*parameters[2:4])
    layers = list(zip(parameters[4::2], parameters[5::2], strict=True))
    n = len(x)
    model = Perceptron(layers, np.zeros((n, 400), np.float32), labels, relu, relu_slope)
    image = np.zeros((32, 1, 32, n), np.float32)

    def step():
        image[2:-2, :, 2:-2] = x.transpose(2, 1, 3, 0)
        features = second.forward(first.forward(image))
        model.inputs[0][:, :-1] = features.transpose(3, 1, 0, 2).reshape(n, 400)
        loss = model.loss_and_gradients()
        g = np.matmul(model.weights[0][:-1], model.cotangents[0].T).reshape(16, 5, 5, n)
        gradients = [second.backward(np.ascontiguousarray(g.transpose(1, 0, 2, 3)))]
        gradients.insert(0, first.backward(second.input_cotangent()))
        for stage, (dw, db) in zip((first, second), gradients, strict=True):
            stage.weight -= lr * dw
            stage.bias -= lr * db
        model.flat -= lr * model.gradient
        loss, *rest = model.numbers(loss)
        return [loss, *(one for dw, db in gradients for one in (dw.transpose(0, 2, 1, 3), db)), *rest]

    return step
