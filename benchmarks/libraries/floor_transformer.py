"""The transformer block by hand. BLAS has both threads and leaves none, so the rest is in place on one."""

import numpy as np
from workloads import HEADS

from libraries.floor_elementwise import gelu_erf
from libraries.floor_rows import exponentials
from libraries.floor_tiles import aligned

EPS = 1e-5
ROWS = 128  # of the hidden layer, 64 Ki elements, which stay in cache


def normalise(x, weight, bias):
    """Layer normalisation: the result, the rows before the scale, and what they were multiplied by."""
    z = x - np.vecdot(x, np.full(x.shape[-1], 1 / x.shape[-1], np.float32))[:, None]
    r = 1 / np.sqrt(np.vecdot(z, z) / x.shape[-1] + EPS)
    z *= r[:, None]
    y = z * weight
    y += bias
    return y, z, r


def linear(x, weight, bias):
    y = np.matmul(x, weight.T)
    y += bias
    return y


def block_step(x, p):
    batch, tokens, width = x.shape
    n, size = batch * tokens, width // HEADS
    x = x.reshape(n, width)
    ones, scale = np.ones(n, np.float32), size**-0.5
    hidden = p["up"][0].shape[0]
    buffers = [aligned(ROWS * hidden) for _ in range(2)]
    u, a, slope, mixed, dqkv = (aligned(n, m) for m in (hidden, hidden, hidden, width, 3 * width))

    def split(qkv):
        return qkv.reshape(batch, tokens, 3, HEADS, size).transpose(2, 0, 3, 1, 4)

    def apart(flat):
        """A view of an array (n, width) with the heads apart."""
        return flat.reshape(batch, tokens, HEADS, size).transpose(0, 2, 1, 3)

    def activate(start):
        rows = slice(start, start + ROWS)
        gelu_erf(*[one[rows].reshape(-1) for one in (u, a, slope)], *buffers)

    def step():
        y1, z1, _ = normalise(x, *p["norm1"])
        qkv = linear(y1, *p["qkv"])
        q, k, v = split(qkv)
        q *= scale
        scores = np.matmul(q, np.ascontiguousarray(k.swapaxes(-1, -2)))
        s = np.empty_like(scores)
        sums, _ = exponentials(scores, s, ones[:tokens])
        s *= 1 / sums[..., None]
        np.matmul(s, v, out=apart(mixed))
        h = linear(mixed, *p["out"])
        h += x
        y2, z2, r2 = normalise(h, *p["norm2"])
        np.matmul(y2, p["up"][0].T, out=u)
        np.add(u, p["up"][1], u)
        for start in range(0, n, ROWS):
            activate(start)
        out = linear(a, *p["down"])
        out += h
        loss = np.dot(out.reshape(-1), out.reshape(-1)) / out.size

        out *= 2 / out.size
        found = {"down": (out.T @ a, ones @ out)}
        du = out @ p["down"][0]
        du *= slope
        found["up"] = (du.T @ y2, ones @ du)
        dy = du @ p["up"][0]
        product = dy * z2
        found["norm2"] = (ones @ product, ones @ dy)
        weight = p["norm2"][0]
        z2 *= (product @ weight / width)[:, None]
        z2 += (dy @ weight / width)[:, None]
        dy *= weight
        dy -= z2
        dy *= r2[:, None]
        dy += out  # the cotangent of h
        found["out"] = (dy.T @ mixed, ones @ dy)
        dmixed = apart(dy @ p["out"][0])
        dq, dk, dv = split(dqkv)
        np.matmul(s.swapaxes(-1, -2), dmixed, out=dv)
        ds = np.matmul(dmixed, np.ascontiguousarray(v.swapaxes(-1, -2)))
        ds -= np.vecdot(ds, s)[..., None]
        ds *= s
        np.matmul(ds, k, out=dq)
        dq *= scale
        np.matmul(ds.swapaxes(-1, -2), q, out=dk)
        found["qkv"] = (dqkv.T @ y1, ones @ dqkv)
        dy = dqkv @ p["qkv"][0]
        found["norm1"] = (ones @ np.multiply(dy, z1, z1), ones @ dy)
        return [np.float32(loss), *(one for name in p for one in found[name])]

    return step
