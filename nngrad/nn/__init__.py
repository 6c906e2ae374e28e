"""Neural network modules: `Module`, containers, layers, activations, losses; functions are in `nn.functional`.

Gradients are clipped by functions in `nn.utils`.

Besides the names imported here, every activation of the spec is here as a function and as a class (`relu`, `ReLU`), and
every loss as a class (`MSELoss`), made when first asked for.
"""

from typing import Any

from nngrad.elsewhere import no_attribute, whereabouts
from nngrad.engine import OPS
from nngrad.nn import functional as functional
from nngrad.nn import utils as utils
from nngrad.nn._bce_loss import BCELoss as BCELoss
from nngrad.nn._conv import Conv1d as Conv1d
from nngrad.nn._conv import Conv2d as Conv2d
from nngrad.nn._conv import ConvTranspose1d as ConvTranspose1d
from nngrad.nn._conv import ConvTranspose2d as ConvTranspose2d
from nngrad.nn._dropout import AlphaDropout as AlphaDropout
from nngrad.nn._dropout import Dropout as Dropout
from nngrad.nn._dropout import Dropout1d as Dropout1d
from nngrad.nn._dropout import Dropout2d as Dropout2d
from nngrad.nn._embedding import Embedding as Embedding
from nngrad.nn._from_ops import FUNCTION_OF_CLASS, make_class
from nngrad.nn._layer_norm import LayerNorm as LayerNorm
from nngrad.nn._linear import Bilinear as Bilinear
from nngrad.nn._linear import Linear as Linear
from nngrad.nn._norms import BatchNorm1d as BatchNorm1d
from nngrad.nn._norms import BatchNorm2d as BatchNorm2d
from nngrad.nn._norms import GroupNorm as GroupNorm
from nngrad.nn._norms import InstanceNorm1d as InstanceNorm1d
from nngrad.nn._norms import InstanceNorm2d as InstanceNorm2d
from nngrad.nn._norms import LocalResponseNorm as LocalResponseNorm
from nngrad.nn._norms import RMSNorm as RMSNorm
from nngrad.nn._rearranging import Flatten as Flatten
from nngrad.nn._rearranging import Identity as Identity
from nngrad.nn._rectifiers import PReLU as PReLU
from nngrad.nn._rectifiers import RReLU as RReLU
from nngrad.nn.containers import ModuleDict as ModuleDict
from nngrad.nn.containers import ModuleList as ModuleList
from nngrad.nn.containers import Sequential as Sequential
from nngrad.nn.module import Module as Module

_ACTIVATIONS = [name for name, op in OPS.items() if op.home == "activation"]
_LAYERS = [name for name, value in globals().items() if isinstance(value, type) and issubclass(value, Module)]

__all__ = sorted({*_LAYERS, *FUNCTION_OF_CLASS, *_ACTIVATIONS, "functional", "utils"})


def __getattr__(name: str) -> Any:
    if name in FUNCTION_OF_CLASS:
        value = make_class(name)
    elif name in _ACTIVATIONS:
        value = getattr(functional, name)
    else:
        raise no_attribute(f"module {__name__!r}", name, __all__, whereabouts(name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
