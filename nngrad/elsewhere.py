"""Names that PyTorch or NumPy has and nngrad has not, and what to write for them: the end of an AttributeError."""

from importlib import import_module

import numpy as np

ARITHMETIC = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "pow": "**", "mm": "@", "bmm": "@", "mv": "@",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
OF_PYTORCH = {name: f"x {sign} y" for name, sign in ARITHMETIC.items()} | {
    "as_tensor": "Tensor(data)", "cat": "nngrad.concat([x, y], axis)", "chunk": "x.split(sections, axis)",
    "clamp": "x.clip(min, max)", "copy": "x.clone()", "dim": "x.ndim", "double": "x.astype(np.float64)",
    "expand": "x.broadcast(shape)", "fill_": "x[...] = value", "float": "x.astype(np.float32)",
    "from_numpy": "Tensor(array)", "half": "x.astype(np.float16)", "int": "x.astype(int)",
    "is_leaf": "x.grad_fn is None", "is_tensor": "isinstance(x, Tensor)", "long": "x.astype(int)",
    "mT": "x.swapaxes(-1, -2)", "neg": "-x", "numel": "x.size",
    "Parameter": "Tensor(data, requires_grad=True)", "requires_grad_": "x.set_requires_grad(True)",
    "t": "x.T()", "to": "x.astype(dtype)", "type": "x.astype(dtype)", "unbind": "tuple(x)",
    "unsqueeze": "x.expand_dims(axis)", "view": "x.reshape(shape)", "zero_": "x[...] = 0",
    "zero_grad": "x.reset_grad()",
    **dict.fromkeys(("contiguous", "cpu", "cuda", "device"), "nothing: all arrays are in main memory"),
}  # fmt: skip


class Elsewhere:
    """In place of a method that is not there: asked for, it says what to write instead.

    `__getattr__` would do so for every name, and make all attributes of its class slow.
    """

    def __init__(self, name):
        self.name = name

    def __get__(self, instance, owner):
        raise no_attribute(f"a {owner.__name__}", self.name, (), whereabouts(self.name))


def no_attribute(owner, name, names, hint=""):
    """The AttributeError for an owner, which says which of its `names` come close, or gives a hint of its own."""
    from difflib import get_close_matches  # only here, where time is of no account

    close = [own for own in names if own.lower() == name.lower()] or get_close_matches(name, names, n=2)
    if close and not hint:
        hint = f"; did you mean {' or '.join(close)}?"
    error = AttributeError(f"{owner} has no attribute {name!r}{hint}")
    if hint:
        error.name, error.obj = name, None  # else Python looks in the owner, and adds a guess of its own
    return error


def whereabouts(name):
    """Where a name is that `nngrad`, or a Tensor, has not, or what to write for it; '' if it is known nowhere."""
    functions = import_module("nngrad.functions")
    if name in OF_PYTORCH:
        return f"; write {OF_PYTORCH[name]}"
    if name in functions.public_names():
        return f"; write nngrad.{name}(...)"
    if name in functions.WITHOUT_GRADIENT:
        return f"; write np.{name}(...)"
    for home in ("nngrad.nn.functional", "nngrad.nn", "nngrad.optim"):
        if name in import_module(home).__all__:
            return f"; it is in {home}"
    for path, module in (("np", np), ("np.random", np.random)):
        theirs = getattr(module, name, None)
        if theirs is not None:
            is_function = callable(theirs) and not isinstance(theirs, type)
            return f"; it is NumPy's alone, write {f'Tensor({path}.{name}(...))' if is_function else f'{path}.{name}'}"
    return ""
