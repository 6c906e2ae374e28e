"""Neural network modules: `Module`, containers, layers, activations, losses; functions are in `nn.functional`.

Besides the names imported here, every activation of the spec is here as a function and as a class (`relu`, `ReLU`), and
every loss as a class (`MSELoss`), made when first asked for.
"""

from typing import Any

from nngrad.engine import OPS
from nngrad.nn import functional as functional
from nngrad.nn._bce_loss import BCELoss as BCELoss
from nngrad.nn._dropout import Dropout as Dropout
from nngrad.nn._from_ops import FUNCTION_OF_CLASS, make_class
from nngrad.nn._layer_norm import LayerNorm as LayerNorm
from nngrad.nn._linear import Linear as Linear
from nngrad.nn.containers import ModuleDict as ModuleDict
from nngrad.nn.containers import ModuleList as ModuleList
from nngrad.nn.containers import Sequential as Sequential
from nngrad.nn.module import Module as Module

_ACTIVATIONS = [name for name, op in OPS.items() if op.home == "activation"]
_MODULES = ["BCELoss", "Dropout", "LayerNorm", "Linear", "Module", "ModuleDict", "ModuleList", "Sequential"]

__all__ = sorted({*_MODULES, *FUNCTION_OF_CLASS, *_ACTIVATIONS, "functional"})


def __getattr__(name: str) -> Any:
    if name in FUNCTION_OF_CLASS:
        value = make_class(name)
    elif name in _ACTIVATIONS:
        value = getattr(functional, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
