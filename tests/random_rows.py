"""Random formulas over rows, as source, and the words that evaluate them in NumPy, as they stand."""

import math
import random
import re

import numpy as np

HEADER = """from nngrad.codegen.language import *
from nngrad.codegen.language import abs, max, min, sum
from nngrad.spec.activations import gelu, log_softmax, softmax
from nngrad.spec.norms import layer_norm
from nngrad.spec.reductions import logsumexp, ptp
"""

# What varies along the axis (v), is constant along it (c), and the positive ones of each (p and q).
GRAMMAR = {
    "v": (
        "({v} + {v})", "({v} - {c})", "({v} * {v})", "({v} * {c})", "{v} / {p}", "{v} / {q}", "{v}**2", "-{v}", "{p}",
        "exp({v})", "tanh({v})", "sigmoid({v})", "gelu({v})", "abs({v})", "log({p})", "sqrt({p})", "1 / {p}",
        "where({v} > {c}, {v}, {c})", "where({c} > 0, {v}, {v})", "maximum({v}, {c})", "minimum({v}, 1)",
        "softmax({v}, axis=axis)", "log_softmax({v}, axis=axis)", "layer_norm({v}, axis=axis)",
    ),
    "c": (
        "sum({v}, axis)", "mean({v}, axis)", "var({v}, axis)", "max({v}, axis)", "min({v}, axis)", "prod({v}, axis)",
        "({c} + {c})", "({c} * {c})", "{c} / {q}", "exp({c})", "tanh({c})", "log({q})", "sqrt({q})", "{q}",
        "where({c} > 0, {c}, {c})", "maximum({c}, {c})", "logsumexp({v}, axis=axis)", "ptp({v}, axis=axis)",
    ),
    "p": ("({v}**2 + 1)", "exp({v})", "(abs({v}) + eps)", "(1 + exp({v}))", "softmax({v}, axis=axis)", "({p} + {q})"),
    "q": ("sum(exp({v}), axis)", "(mean({v}**2, axis) + eps)", "sum({p}, axis)", "max({p}, axis)", "(1 + exp({c}))"),
}  # fmt: skip
LEAVES = {
    "v": ("x", "x", "y", "w"),
    "c": ("sum(x, axis)", "mean(y, axis)", "max(x, axis)", "take(x, target, axis)"),
    "p": ("(x**2 + 1)", "exp(y)"),
    "q": ("sum(exp(x), axis)", "(sum(y**2, axis) + eps)"),
}


class Formula:
    """A random formula, the same for a seed: its name, source, inputs, and the function in NumPy."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)
        self.name = f"formula{seed}"
        self.home = self._random.choice(("op", "op", "norm", "loss"))
        lines = [f"u = {self._grown(self._random.choice('vc'), 2)}"] if self._random.random() < 0.6 else []
        result = self._grown(self._random.choice("vvc"), self._random.choice((1, 2, 3)))
        if lines:
            result = f"({result}) * u"
        body = "\n".join(f"    {line}" for line in [*lines, f"return {result} + mean(x, axis)"])
        self.inputs = [one for one in ("x", "y", "w", "target") if re.search(rf"\b{one}\b", body)]
        eps = ["eps=1e-3"] if re.search(r"\beps\b", body) else []
        signature = ", ".join([*self.inputs, "*", "axis=-1", *eps])
        self.source = f"{HEADER}\n\n@{self.home}\ndef {self.name}({signature}):\n{body}\n"

    def _grown(self, kind: str, depth: int) -> str:
        made = self._random.choice(GRAMMAR[kind] if depth > 0 else LEAVES[kind])
        return re.sub(r"\{(\w)\}", lambda found: self._grown(found[1], depth - 1), made)

    def arrays(self, shape, axis, layout="alike") -> list[np.ndarray]:
        """Inputs of the shape; of several, `layout` makes others 'shorter', or all 'strided'."""
        draw = np.random.default_rng(len(self.source))
        shorter = {"y": shape[-1:], "w": (1,) * len(shape)} if layout == "shorter" else {}
        first = next(one for one in self.inputs if one != "target")
        made = []
        for one in self.inputs:
            if one == "target":
                index = draw.integers(0, shape[axis], shape)
                made.append(np.take(index, 0, axis))
            elif layout == "strided":
                made.append(
                    draw.normal(size=[2 * size for size in shape[::-1]]).T[tuple([slice(None, None, 2)] * len(shape))]
                )
            else:
                made.append(draw.normal(size=shape if one == first else shorter.get(one, shape)))
        return made

    def exact(self, arrays, axis):
        """What the formula is, by NumPy, of inputs that are broadcast first; a reduced axis has length 1."""
        plain = "\n".join(line for line in self.source.removeprefix(HEADER).splitlines() if not line.startswith("@"))
        scope = dict(NUMPY)
        exec(plain, scope)
        common = np.broadcast_shapes(
            *(one.shape for name, one in zip(self.inputs, arrays, strict=True) if name != "target")
        )
        wide = [
            one if name == "target" else np.broadcast_to(one, common)
            for name, one in zip(self.inputs, arrays, strict=True)
        ]
        return scope[self.name](*wide, axis=axis)


def _rows(function):
    return lambda x, axis: function(x, axis=axis, keepdims=True)


def _take(x, index, axis):
    return np.take_along_axis(x, np.expand_dims(index, axis), axis)


def _logsumexp(x, axis):
    return np.log(np.exp(x).sum(axis, keepdims=True))


NUMPY = {
    **{name: _rows(getattr(np, name)) for name in ("sum", "mean", "var", "max", "min", "prod")},
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "tanh", "abs", "where", "maximum", "minimum")},
    "take": _take,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "logsumexp": _logsumexp,
    "log_softmax": lambda x, axis: x - _logsumexp(x, axis),
    "softmax": lambda x, axis: np.exp(x - _logsumexp(x, axis)),
    "layer_norm": lambda x, axis: (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5),
    "ptp": _rows(np.ptp),
}
