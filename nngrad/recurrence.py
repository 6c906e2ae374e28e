"""The linear recurrence y[i] = a[i] y[i - 1] + b[i] along an axis, whose derivatives are linear recurrences too.

Without b it starts from 1: running products. Nothing is divided by an element, so gradients are right beside zeros too.
"""

import math

import numpy as np

from nngrad.engine import Op, apply

FEW = 32  # steps along an axis that are taken one after the other in any case


def scan(a, b):
    """y[i] = a[i] y[i - 1] + b[i] along the first axis of arrays, from y[0] = b[0] on.

    Where there are more steps than elements in each, the axis is cut into parts that go side by side. How a part
    continues the one before is a recurrence again.
    """
    length = len(b)
    if length <= FEW or b.size >= length**2:
        return _step_by_step(a, b)
    steps = math.isqrt(length)
    parts = -(-length // steps)
    a, own = (_in_parts(x, parts, steps) for x in (a, b))
    with np.errstate(over="ignore", invalid="ignore"):
        products = np.multiply.accumulate(a, 0)
    if not np.isfinite(products[-1]).all():  # times 0 they would be NaN
        return _step_by_step(*(_in_one(x, length) for x in (a, own)))
    y = _step_by_step(a, own)
    y[:, 1:] += products[:, 1:] * scan(products[-1], y[-1])[:-1]
    return _in_one(y, length)


def _step_by_step(a, b):
    y = np.empty(b.shape, np.result_type(a, b))
    y[:1] = b[:1]
    here, factors, terms = y[..., None], a[..., None], b[..., None]  # a step of one number is an array too
    for i in range(1, len(y)):
        np.multiply(factors[i], here[i - 1], out=here[i])
        np.add(here[i], terms[i], out=here[i])
    return y


def _in_parts(x, parts, steps):
    padded = np.zeros((parts * steps, *x.shape[1:]), x.dtype)
    padded[: len(x)] = x
    return np.ascontiguousarray(padded.reshape(parts, steps, *x.shape[1:]).swapaxes(0, 1))


def _in_one(x, length):
    return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])[:length]


def forwards(a, b, axis):
    """`scan` along any axis."""
    first = (np.ascontiguousarray(np.moveaxis(x, axis, 0)) for x in (a, b))
    return np.moveaxis(scan(*first), 0, axis)


def recurrence(a, b, axis):
    """y[i] = a[i] y[i - 1] + b[i] along the axis; without b running products."""
    return np.multiply.accumulate(a, axis) if b is None else np.ascontiguousarray(forwards(a, b, axis))


def recurrence_vjp(g, a, b, y, needs, axis):
    """Cotangents of a and b. What y[i] gets, y[i + 1] gives back a[i + 1] times."""
    backwards = along(axis, slice(None, None, -1))
    later = np.concatenate((a[along(axis, slice(1, None))], a[along(axis, slice(1))]), axis)
    db = forwards(later[backwards], g[backwards], axis)[backwards]
    return _times_before(y, b, db, axis) if needs[0] else None, db if needs[1] else None


def recurrence_jvp(da, db, a, b, y, axis):
    """Tangent of the output."""
    source = db if da is None else _times_before(y, b, da, axis)
    return forwards(a, source if da is None or db is None else source + db, axis)


def _times_before(y, b, x, axis):
    """x[i] y[i - 1], y being what it starts from before it begins."""
    product = np.empty(y.shape, y.dtype)
    rest, first = along(axis, slice(1, None)), along(axis, slice(1))
    np.multiply(y[along(axis, slice(None, -1))], x[rest], out=product[rest])
    product[first] = x[first] if b is None else 0
    return product


def recurrence_pullback(ops, g, inputs, y, needs, axis):
    """The cotangents as Tensors, which can be differentiated again."""
    a, b = inputs
    backwards = along(axis, slice(None, None, -1))
    later = ops.concat(a[along(axis, slice(1, None))], a[along(axis, slice(1))], axis=axis)
    db = apply(RECURRENCE, later[backwards], g[backwards], axis=axis)[backwards]
    return ops.multiply(_before(ops, y, b, axis), db) if needs[0] else None, db if needs[1] else None


def recurrence_pushforward(ops, tangents, inputs, y, axis):
    """The tangent as a Tensor."""
    (a, b), (da, db) = inputs, tangents
    source = db if da is None else ops.multiply(_before(ops, y, b, axis), da)
    return apply(RECURRENCE, a, source if da is None or db is None else source + db, axis=axis)


def _before(ops, y, b, axis):
    first = np.full_like(y.data[along(axis, slice(1))], b is None)
    return ops.concat(first, y[along(axis, slice(None, -1))], axis=axis)


def along(axis, index):
    """The index that reads one axis and leaves those before it."""
    return (slice(None),) * axis + (index,)


RECURRENCE = Op(
    "cumprod", "op", "recurrence", ("a", "b"), defaults=(..., None), params={"axis": ...}, keeps_integers=True,
    residuals=(0, 1, 2), reads_values=(0, 2),
)  # fmt: skip
RECURRENCE.kernel = RECURRENCE.forward = recurrence
RECURRENCE.vjp, RECURRENCE.jvp = recurrence_vjp, recurrence_jvp
RECURRENCE.pullback, RECURRENCE.pushforward = recurrence_pullback, recurrence_pushforward
RECURRENCE.pull = RECURRENCE.compiled_pull()
