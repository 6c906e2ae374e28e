"""Elementwise functions by hand: three-address code in place, in tiles, on two threads; dear slopes are kept.

A function that keeps its slope has a forward kernel (x, y, slope, *buffers) and its backward is one multiplication, in
the slope's own memory. The others have (x, y, *buffers) and (g, x, y, dx, *buffers).
"""

import math

import numpy as np

from libraries.floor_tiles import TILE, aligned, in_tiles

ZEROS = np.zeros(TILE + 16, np.float32)  # the larger of two arrays is found faster than that of an array and a number
MISH_LIMIT = 20.0  # beyond it mish(x) is x
# erf(x / sqrt(2)) is tanh(x p(x**2)) but for 6e-8; p, highest power first, was fitted by least squares, weighted anew
# until the error was even.
ERF = (1.75628068e-9, -1.32266389e-7, 3.96477442e-6, -5.53063229e-5, -3.25947320e-5, 3.63330844e-2, 0.797884941)


def logistic(x, out):
    """1 / (1 + exp(-x)), through tanh: three cheap steps instead of a division."""
    np.multiply(x, 0.5, out)
    np.tanh(out, out)
    np.multiply(out, 0.5, out)
    np.add(out, 0.5, out)


def gelu_erf(x, y, d, u, t, *_):
    np.multiply(x, x, u)
    np.multiply(u, ERF[0], t)
    for c in ERF[1:-1]:
        np.add(t, c, t)
        np.multiply(t, u, t)
    np.add(t, ERF[-1], t)
    np.multiply(t, x, t)
    np.tanh(t, t)
    np.multiply(t, 0.5, t)
    np.add(t, 0.5, t)
    np.multiply(x, t, y)
    np.multiply(u, -0.5, u)
    np.exp(u, u)
    np.multiply(u, 1 / math.sqrt(2 * math.pi), u)
    np.multiply(u, x, u)
    np.add(u, t, d)


def gelu_tanh(x, y, d, u, t, s, *_):
    c, k = math.sqrt(2 / math.pi), 0.044715
    np.multiply(x, x, u)
    np.multiply(u, c * k, t)
    np.add(t, c, t)
    np.multiply(t, x, t)
    np.tanh(t, t)
    np.multiply(u, 1.5 * c * k, u)
    np.add(u, 0.5 * c, u)
    np.multiply(u, x, u)  # x/2 times the slope of tanh's argument
    np.multiply(t, t, s)
    np.subtract(1.0, s, s)
    np.multiply(s, u, s)
    np.multiply(t, 0.5, t)
    np.add(t, 0.5, t)
    np.multiply(x, t, y)
    np.add(s, t, d)


def silu(x, y, d, s, t, *_):
    logistic(x, s)
    np.multiply(x, s, y)
    np.subtract(1.0, s, t)
    np.multiply(t, y, t)
    np.add(t, s, d)


def mish(x, y, d, e, n, r, *_):
    np.minimum(x, MISH_LIMIT, out=e)
    np.exp(e, e)
    np.add(e, 2.0, n)
    np.multiply(n, e, n)  # tanh(log(1 + e)) = n / (n + 2)
    np.add(n, 2.0, r)
    np.reciprocal(r, r)
    np.multiply(n, r, n)
    np.multiply(x, n, y)
    np.multiply(r, r, r)
    np.multiply(r, e, r)
    np.add(e, 1.0, e)
    np.multiply(r, e, r)
    np.multiply(r, x, r)
    np.multiply(r, 4.0, r)
    np.add(r, n, d)


def log_excess(x, e):
    """log(1 + exp(-|x|))."""
    np.abs(x, e)
    np.negative(e, e)
    np.exp(e, e)
    np.log1p(e, e)


def softplus(x, y, d, e, *_):
    log_excess(x, e)
    np.maximum(x, ZEROS[: x.size], out=y)
    np.add(y, e, y)
    logistic(x, d)


def logsigmoid(x, y, d, e, *_):
    log_excess(x, e)
    np.minimum(x, ZEROS[: x.size], out=y)
    np.subtract(y, e, y)
    np.multiply(x, -1.0, e)
    logistic(e, d)


def hardswish(x, y, d, h, m, *_):
    np.multiply(x, 1 / 6, h)
    np.add(h, 0.5, m)
    np.clip(m, 0.0, 1.0, out=m)
    np.multiply(x, m, y)
    inside = np.less(np.abs(x, d), 3.0)
    np.copyto(d, inside)
    np.multiply(d, h, d)
    np.add(d, m, d)


def noisy_mish(x, y, d, a, b, c, s, t):
    mish(x, y, d, a, b, c)
    np.sin(x, s)
    np.cos(x, t)
    np.multiply(t, s, t)
    np.multiply(t, 0.2, t)
    np.add(d, t, d)
    np.multiply(s, s, s)
    np.multiply(s, 0.1, s)
    np.add(y, s, y)


def gated_bell(x, y, d, s, e, u, t, _):
    np.multiply(x, 1.702, t)
    logistic(t, s)
    np.multiply(x, x, u)
    np.negative(u, e)
    np.exp(e, e)
    np.multiply(e, u, e)
    np.multiply(e, 0.05, e)  # x**2 exp(-x**2) / 20
    np.multiply(u, -2.0, u)
    np.add(u, 3.0, u)
    np.multiply(u, e, u)
    np.multiply(e, x, e)
    np.multiply(x, s, y)
    np.subtract(1.0, s, t)
    np.multiply(t, y, t)
    np.multiply(t, 1.702, t)
    np.subtract(y, e, y)
    np.add(t, s, t)
    np.subtract(t, u, d)


KEEPS_SLOPE = {
    f.__name__: f for f in (gelu_erf, gelu_tanh, silu, mish, softplus, logsigmoid, hardswish, noisy_mish, gated_bell)
}


def elu(x, y, t, *_):
    np.minimum(x, ZEROS[: x.size], out=t)
    np.expm1(t, t)
    np.maximum(x, ZEROS[: x.size], out=y)
    np.add(y, t, y)


def elu_back(g, x, y, dx, t, *_):
    np.minimum(y, ZEROS[: x.size], out=t)
    np.add(t, 1.0, t)
    np.multiply(g, t, dx)


def relu(x, y, *_):
    np.maximum(x, ZEROS[: x.size], out=y)


def relu_back(g, x, y, dx, t, *_):
    np.copyto(t, np.greater(x, 0.0))  # 0.0 and 1.0: a product with booleans takes longer
    np.multiply(g, t, dx)


def sigmoid_back(g, x, y, dx, t, *_):
    np.subtract(1.0, y, t)
    np.multiply(t, y, t)
    np.multiply(t, g, dx)


def tanh_back(g, x, y, dx, t, *_):
    np.multiply(y, y, t)
    np.subtract(1.0, t, t)
    np.multiply(t, g, dx)


def sqrt_back(g, x, y, dx, t, *_):
    np.multiply(g, 0.5, t)
    np.divide(t, y, dx)


PAIRS = {
    "elu": (elu, elu_back),
    "relu": (relu, relu_back),
    "sigmoid": (lambda x, y, *_: logistic(x, y), sigmoid_back),
    "tanh": (lambda x, y, *_: np.tanh(x, y), tanh_back),
    "exp": (lambda x, y, *_: np.exp(x, y), lambda g, x, y, dx, *_: np.multiply(g, y, dx)),
    "log": (lambda x, y, *_: np.log(x, y), lambda g, x, y, dx, *_: np.divide(g, x, dx)),
    "sqrt": (lambda x, y, *_: np.sqrt(x, y), sqrt_back),
}


def forward_and_backward(case, x, g):
    """The value of the function named `case`, and the cotangent of x."""
    y, dx = aligned(*x.shape), aligned(*x.shape)
    if case in KEEPS_SLOPE:
        in_tiles(KEEPS_SLOPE[case], x, y, dx)
        in_tiles(lambda g, dx, *_: np.multiply(dx, g, dx), g, dx)
    else:
        forward, backward = PAIRS[case]
        in_tiles(forward, x, y)
        in_tiles(backward, g, x, y, dx)
    return y, dx


def distance_gate(a, b, y, slope_a, slope_b, r, t, s, *_):
    np.multiply(a, a, r)
    np.multiply(b, b, t)
    np.add(r, t, r)
    np.add(r, 1e-6, r)
    np.sqrt(r, r)
    np.multiply(a, b, t)
    np.tanh(t, t)
    np.multiply(r, t, y)
    np.multiply(t, t, s)
    np.subtract(1.0, s, s)
    np.multiply(s, r, s)
    np.divide(t, r, t)
    np.multiply(t, a, slope_a)
    np.multiply(s, b, r)
    np.add(slope_a, r, slope_a)
    np.multiply(t, b, slope_b)
    np.multiply(s, a, r)
    np.add(slope_b, r, slope_b)


def times_both(g, da, db, *_):
    np.multiply(da, g, da)
    np.multiply(db, g, db)


def distance_gate_and_back(a, b, g):
    """The value of distance_gate, and the cotangents of its inputs."""
    y, da, db = (aligned(*a.shape) for _ in range(3))
    in_tiles(distance_gate, a, b, y, da, db)
    in_tiles(times_both, g, da, db)
    return y, da, db
