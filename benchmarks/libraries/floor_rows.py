"""Functions of rows by hand: tiles of rows stay in cache, on two threads.

Sums along rows are `vecdot`: a product with a vector of ones is faster on one thread, but two threads wait for each
other at the door of BLAS.
"""

import numpy as np

from libraries.floor_tiles import aligned, worker

ROWS = 1024  # of a tile, or 256 Ki elements where a row has 256
EPS = 1e-5


def over_rows(kernel, count):
    """kernel(rows, number) for slices of rows, on two threads, where `number` is that of the thread."""
    worker.share(kernel, [slice(start, min(start + ROWS, count)) for start in range(0, count, ROWS)])


def exponentials(x, e, ones):
    """e = exp(x), or exp(x - max) if a row's sum would leave [1, inf); returns the sums, and what was subtracted."""
    with np.errstate(over="ignore"):
        np.exp(x, e)
        s = np.vecdot(e, ones)
    if s.min() >= 1 and s.max() < np.inf:
        return s, 0.0
    largest = np.maximum.reduce(x, -1)
    np.subtract(x, largest[..., None], e)
    np.exp(e, e)
    return np.vecdot(e, ones), largest


def softmax(x, g):
    y, dx, ones = aligned(*x.shape), aligned(*x.shape), np.ones(x.shape[-1], np.float32)

    def forward(rows, _):
        s, _ = exponentials(x[rows], y[rows], ones)
        np.multiply(y[rows], np.reciprocal(s)[:, None], y[rows])

    def backward(rows, _):
        t = np.vecdot(g[rows], y[rows])
        np.subtract(g[rows], t[:, None], dx[rows])
        np.multiply(dx[rows], y[rows], dx[rows])

    over_rows(forward, len(x))
    over_rows(backward, len(x))
    return y, dx


def log_softmax(x, g):
    y, e, ones = aligned(*x.shape), aligned(*x.shape), np.ones(x.shape[-1], np.float32)
    sums = np.empty(len(x), np.float32)

    def forward(rows, _):
        s, shift = exponentials(x[rows], e[rows], ones)
        sums[rows] = s
        np.subtract(x[rows], (np.log(s) + shift)[:, None], y[rows])

    def backward(rows, _):
        np.multiply(e[rows], (np.vecdot(g[rows], ones) / sums[rows])[:, None], e[rows])
        np.subtract(g[rows], e[rows], e[rows])

    over_rows(forward, len(x))
    over_rows(backward, len(x))
    return y, e


def logsumexp(x, g):
    e, ones = aligned(*x.shape), np.ones(x.shape[-1], np.float32)
    sums, y = np.empty(len(x), np.float32), np.empty(len(x), np.float32)

    def forward(rows, _):
        sums[rows], shift = exponentials(x[rows], e[rows], ones)
        y[rows] = np.log(sums[rows]) + shift

    def backward(rows, _):
        np.multiply(e[rows], (g[rows] / sums[rows])[:, None], e[rows])

    over_rows(forward, len(x))
    over_rows(backward, len(x))
    return y, e


def cross_entropy(x, labels):
    n, m = x.shape
    e, ones = aligned(n, m), np.ones(m, np.float32)
    sums, losses = np.empty(n, np.float32), np.empty(n, np.float32)
    places = np.arange(n) * m + labels

    def forward(rows, _):
        sums[rows], shift = exponentials(x[rows], e[rows], ones)
        losses[rows] = np.log(sums[rows]) + shift

    def backward(rows, _):
        np.multiply(e[rows], (1 / n / sums[rows])[:, None], e[rows])

    over_rows(forward, n)
    loss = (losses - x.reshape(-1)[places]).mean()
    over_rows(backward, n)
    e.reshape(-1)[places] -= 1 / n
    return loss, e


def layer_norm(x, weight, bias, g):
    """x' = (g w - mean(g w) - xhat mean(g w xhat)) / scale, where sums over a row of products with w are products."""
    m = x.shape[-1]
    y, xhat, dx = aligned(*x.shape), aligned(*x.shape), aligned(*x.shape)
    mean_of, rstd = np.full(m, 1 / m, np.float32), np.empty(len(x), np.float32)
    dw, db = np.zeros((2, m), np.float32), np.zeros((2, m), np.float32)
    buffers = [aligned(ROWS, m) for _ in range(2)]

    def forward(rows, _):
        z = np.subtract(x[rows], (np.vecdot(x[rows], mean_of))[:, None], xhat[rows])
        r = rstd[rows] = 1 / np.sqrt(np.vecdot(z, z) / m + EPS)
        np.multiply(z, r[:, None], z)
        np.multiply(z, weight, y[rows])
        np.add(y[rows], bias, y[rows])

    def backward(rows, number):
        z, r, out = xhat[rows], rstd[rows], dx[rows]
        product = np.multiply(g[rows], z, buffers[number][: len(z)])
        dw[number] += np.add.reduce(product, 0)
        db[number] += np.add.reduce(g[rows], 0)
        b = np.vecdot(product, weight) / m
        a = np.vecdot(g[rows], weight) / m
        np.multiply(z, b[:, None], product)
        np.add(product, a[:, None], product)
        np.multiply(g[rows], weight, out)
        np.subtract(out, product, out)
        np.multiply(out, r[:, None], out)

    over_rows(forward, len(x))
    over_rows(backward, len(x))
    return y, dx, dw.sum(0), db.sum(0)


def rms_norm(x, weight, g):
    m = x.shape[-1]
    y, xhat, dx = aligned(*x.shape), aligned(*x.shape), aligned(*x.shape)
    rstd, dw = np.empty(len(x), np.float32), np.zeros((2, m), np.float32)
    buffers = [aligned(ROWS, m) for _ in range(2)]

    def forward(rows, _):
        r = rstd[rows] = 1 / np.sqrt(np.vecdot(x[rows], x[rows]) / m + EPS)
        z = np.multiply(x[rows], r[:, None], xhat[rows])
        np.multiply(z, weight, y[rows])

    def backward(rows, number):
        z, r, out = xhat[rows], rstd[rows], dx[rows]
        product = np.multiply(g[rows], z, buffers[number][: len(z)])
        dw[number] += np.add.reduce(product, 0)
        np.multiply(z, (np.vecdot(product, weight) / m)[:, None], product)
        np.multiply(g[rows], weight, out)
        np.subtract(out, product, out)
        np.multiply(out, r[:, None], out)

    over_rows(forward, len(x))
    over_rows(backward, len(x))
    return y, dx, dw.sum(0)


FUNCTIONS = {f.__name__: f for f in (softmax, log_softmax, logsumexp, layer_norm, rms_norm)}
