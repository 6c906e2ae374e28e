"""Names that PyTorch or NumPy has and nngrad has not, and what to write for them: the end of an AttributeError."""

from importlib import import_module
from types import ModuleType

import numpy as np

ARITHMETIC = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "pow": "**", "mm": "@", "bmm": "@", "mv": "@",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
OF_PYTORCH = {name: f"x {sign} y" for name, sign in ARITHMETIC.items()} | {
    "add_": "x[...] = x + y", "as_tensor": "Tensor(data)", "autograd": "nngrad.gradients(y, xs)",
    "cat": "nngrad.concat([x, y], axis)", "chunk": "x.split(sections, axis)", "clamp": "x.clip(min, max)",
    "clamp_max": "x.clip(max=max)", "clamp_min": "x.clip(min)", "copy": "x.clone()", "copy_": "x[...] = y",
    "dim": "x.ndim", "double": "x.astype(np.float64)", "enable_grad": "Tensor.grad_is_enabled = True",
    "expand": "x.broadcast(shape)", "expand_as": "x.broadcast(y.shape)", "fill_": "x[...] = value",
    "flat": "x.reshape(-1)", "float": "x.astype(np.float32)", "from_numpy": "Tensor(array)",
    "half": "x.astype(np.float16)", "inference_mode": "no_grad()",
    "init": "layer.weight.data = np.random.normal(size=layer.weight.shape), say", "int": "x.astype(int)",
    "is_floating_point": "x.dtype.kind == 'f'", "is_grad_enabled": "Tensor.grad_is_enabled",
    "is_leaf": "x.grad_fn is None", "is_tensor": "isinstance(x, Tensor)",
    "load": "dict(np.load(file)), for load_state_dict", "long": "x.astype(int)",
    "lr_scheduler": "optim.StepLR, optim.CosineAnnealingLR or optim.LambdaLR", "masked_fill_": "x[mask] = value",
    "masked_select": "x[mask]", "movedim": "x.moveaxis(source, destination)", "mT": "x.swapaxes(-1, -2)",
    "mul_": "x[...] = x * y", "nbytes": "x.data.nbytes", "ndimension": "x.ndim", "neg": "-x", "nelement": "x.size",
    "normal_": "x[...] = np.random.normal(size=x.shape)", "numel": "x.size",
    "Parameter": "Tensor(data, requires_grad=True)",
    "register_hook": "x.retain_grad(), and read x.grad after backward(); there are no hooks",
    "repeat_interleave": "x.repeat(repeats, axis)", "requires_grad_": "x.set_requires_grad(True)",
    "save": "np.savez(file, **model.state_dict())", "seed": "nngrad.manual_seed(n)",
    "set_grad_enabled": "Tensor.grad_is_enabled = False", "sub_": "x[...] = x - y",
    "swapdims": "x.swapaxes(axis1, axis2)", "t": "x.T()", "tensor": "Tensor(data)",
    "to": "x.astype(dtype); there are no devices", "type": "x.astype(dtype)", "unbind": "tuple(x)",
    "uniform_": "x[...] = np.random.uniform(size=x.shape)", "unsqueeze": "x.expand_dims(axis)",
    "view": "x.reshape(shape)", "view_as": "x.reshape(y.shape)", "zero_": "x[...] = 0", "zero_grad": "x.reset_grad()",
    **dict.fromkeys(
        ("contiguous", "cpu", "cuda", "device", "is_cuda", "pin_memory"), "nothing: all arrays are in main memory"
    ),
}  # fmt: skip


OF_MODULES = {
    **dict.fromkeys(("cpu", "cuda", "to"), OF_PYTORCH["cpu"]),
    **{
        name: f"nngrad.set_default_dtype(np.{dtype}) before the model is made"
        for name, dtype in {"double": "float64", "float": "float32", "half": "float16"}.items()
    },
    **dict.fromkeys(
        ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"),
        "a subclass whose forward() does it; there are no hooks",
    ),
    "add_module": "self.name = module",
    "get_parameter": "dict(model.named_parameters())[name]",
    "get_submodule": "dict(model.named_modules())[name]",
    "register_parameter": "self.name = Tensor(data, requires_grad=True)",
    "requires_grad_": "for p in model.parameters(): p.set_requires_grad(False)",
}


class Elsewhere:
    """In place of a method that is not there: asked for, it says what to write instead.

    `__getattr__` would do so for every name, and make all attributes of its class slow.
    """

    def __init__(self, name, instead=None):
        self.name = name
        self.instead = instead

    def __get__(self, instance, owner):
        hint = f"; write {self.instead}" if self.instead else whereabouts(self.name)
        raise no_attribute(f"a {owner.__name__}", self.name, (), hint)


class NoFunction(ModuleType):
    """A module with the name of a function that PyTorch has: called, it says what to write instead."""

    def __call__(self, *args, **kwargs):
        raise TypeError(f"{self.__name__} is a module; write {OF_PYTORCH[self.__name__.rpartition('.')[2]]}")


def no_attribute(owner, name, names, hint=""):
    """The AttributeError for an owner, which says which of its `names` come close, or gives a hint of its own."""
    from difflib import get_close_matches  # only here, where time is of no account

    close = [own for own in names if own.lower() == name.lower()] or get_close_matches(name, names, n=2)
    if close and not hint:
        hint = f"; did you mean {' or '.join(close)}?"
    elif not hint and 0 < len(names) < 10:
        hint = f"; it has {', '.join(names)}"
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
    for home in ("nngrad.nn.functional", "nngrad.nn", "nngrad.optim", "nngrad.nn.utils"):
        if name in import_module(home).__all__:
            return f"; it is in {home}"
    for path, module in (("np", np), ("np.random", np.random)):
        theirs = getattr(module, name, None)
        if theirs is not None:
            is_function = callable(theirs) and not isinstance(theirs, type)
            return f"; it is NumPy's alone, write {f'Tensor({path}.{name}(...))' if is_function else f'{path}.{name}'}"
    return ""
