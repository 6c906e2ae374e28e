"""nngrad: automatic differentiation on NumPy, whose derivatives are generated from formulas.

`nngrad.Tensor`, `nngrad.grad`, every op such as `nngrad.exp`; layers in `nngrad.nn`, optimizers in `nngrad.optim`.

Names are found when they are first asked for, so that `python -m nngrad.codegen` can run without the package it
generates.
"""

from importlib import import_module

__version__ = "0.1.0"

_MODULES = (
    "arguments", "assignment", "autodiff", "backward", "codegen", "differentiable", "drawing", "elsewhere", "engine",
    "functions", "graph", "inputs", "memory", "modes", "nn", "op_function", "optim", "random", "spec", "structure",
    "tensor", "threads", "utils",
)  # fmt: skip
_NAMES = {
    "Tensor": "tensor",
    "check_grads": "autodiff",
    "get_default_dtype": "modes",
    "get_num_threads": "threads",
    "grad": "autodiff",
    "gradients": "autodiff",
    "hessian": "autodiff",
    "hvp": "autodiff",
    "jacobian": "autodiff",
    "jvp": "autodiff",
    "manual_seed": "random",
    "no_grad": "modes",
    "set_default_dtype": "modes",
    "set_num_threads": "threads",
    "value_and_grad": "autodiff",
    "vjp": "autodiff",
}
_TOOLS = {"define": "codegen.define", "explain": "codegen.ask"}  # they need the extra `codegen`

__all__ = [*_NAMES, "__version__"]  # without the ops: `from nngrad import *` shall not replace `sum` and `abs`


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"nngrad.{name}")
    if name.startswith("__"):
        raise AttributeError(f"module 'nngrad' has no attribute {name!r}")
    if name in _NAMES:
        import_module("nngrad.tensor")  # completes the graph, with which all of them work
        value = getattr(import_module(f"nngrad.{_NAMES[name]}"), name)
    elif name in _TOOLS:
        value = _tool(name)
    else:
        value = _op(name)
    globals()[name] = value
    return value


def _tool(name):
    """A function of the generator."""
    try:
        return getattr(import_module(f"nngrad.{_TOOLS[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "nngrad":
            raise
        problem = f"nngrad.{name} needs {error.name}, which is not installed"
        raise ModuleNotFoundError(f'{problem}: pip install "nngrad[codegen]"', name=error.name) from None


def _op(name):
    """The function of an op; AttributeError if there is none, with where the name is, or which ones come close."""
    import_module("nngrad.tensor")
    functions = import_module("nngrad.functions")
    if name in functions.public_names():
        return functions.public(name)
    names = [*_NAMES, *_TOOLS, *_MODULES, *functions.public_names()]
    elsewhere = import_module("nngrad.elsewhere")
    raise elsewhere.no_attribute("module 'nngrad'", name, names, elsewhere.whereabouts(name))


def __dir__():
    import_module("nngrad.tensor")
    return sorted({*globals(), *_NAMES, *_TOOLS, *_MODULES, *import_module("nngrad.functions").public_names()})
