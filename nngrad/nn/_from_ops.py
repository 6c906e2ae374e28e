"""Activations and losses as classes, made from the functions by one rule: `relu` -> `ReLU`, `nll_loss` -> `NLLLoss`.

A new activation or loss in the spec has its class without a line of code. The class takes what the function takes
besides its inputs, in the same order and with the same defaults, keeps it as attributes, and passes it on.
"""

import re
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any

from nngrad.engine import OPS
from nngrad.nn import functional
from nngrad.nn._convolution import Lengths, lengths
from nngrad.nn.module import Module
from nngrad.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")

# PyTorch's spelling where capitalising the words of the op's name does not give it
_SPELLING = {
    "silu": "SiLU",
    "logsigmoid": "LogSigmoid",
    "mse": "MSE",
    "nll": "NLL",
    "kl": "KL",
    "multilabel": "MultiLabel",
}
_LINEAR_UNIT = re.compile(r"(\w*?)(re)?lu(\d*)")  # relu, relu6, prelu, elu, gelu, celu, glu

# Classes sum by default where this library always did
_DEFAULTS = {"l1_loss": {"reduction": "sum"}, "mse_loss": {"reduction": "sum"}}
_MORE_REDUCTIONS = {"kl_div": ("batchmean",)}


def class_name(function: str, is_loss: bool = False) -> str:
    """The name of the class for a function: ReLU, LeakyReLU, GELU, LogSoftmax, MSELoss, BCEWithLogitsLoss."""
    name = function.replace("binary_cross_entropy", "BCE")
    if is_loss and not name.endswith("_loss"):
        name += "_loss"
    return "".join(map(_spelled, name.split("_")))


def _spelled(word: str) -> str:
    if unit := _LINEAR_UNIT.fullmatch(word):
        prefix, rectified, digits = unit.groups()
        return _SPELLING.get(word) or prefix.upper() + ("ReLU" if rectified else "LU") + digits
    return _SPELLING.get(word) or word[:1].upper() + word[1:]


class OpModule(Module):
    """Base of the classes that run a function of `nngrad.nn.functional` with options fixed at construction."""

    _function: Callable[..., Tensor]
    _option_names: tuple[str, ...]

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """The function of the inputs, by position or by the names that it has for them."""
        return self._function(*inputs, **named, **self._options())

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._option_names}

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


def make_class(class_name: str) -> type[OpModule]:
    """The class of an activation or loss: its constructor takes the function's arguments that are not its inputs."""
    name = FUNCTION_OF_CLASS[class_name]
    function = getattr(functional, name)
    op = OPS.get(name)
    defaults = _DEFAULTS.get(name, {})
    options = [
        option.replace(default=defaults.get(option.name, option.default))
        for option in signature(function).parameters.values()
        if option.default is not Parameter.empty
        or option.annotation not in (Parameter.empty, Any)
        or (op is not None and option.name in op.params)
    ]
    init_signature = Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *options])

    def __init__(self, *args, **kwargs):
        try:
            bound = init_signature.bind(self, *args, **kwargs)
        except TypeError as error:
            takes = ", ".join(self._option_names) or "nothing"
            raise TypeError(f"{class_name}: {error}; it takes {takes}, and the inputs when it is called") from None
        bound.apply_defaults()
        for option in options:
            value = bound.arguments[option.name]
            if option.annotation in (Lengths, Lengths | None) and value is not None:
                axes, least = 1 if class_name.endswith("1d") else 2, 0 if option.name == "padding" else 1
                lengths(class_name, option.name, value, axes, least)
            setattr(self, option.name, value)
        if "reduction" in self._option_names:
            check_reduction(self, (*REDUCTIONS, *_MORE_REDUCTIONS.get(name, ())))

    __init__.__signature__ = init_signature
    members = {
        "__init__": __init__,
        "__doc__": f"`nngrad.nn.functional.{name}` as a module.\n\n{function.__doc__}",
        "__module__": "nngrad.nn",
        "_function": staticmethod(function),
        "_option_names": tuple(option.name for option in options),
    }
    return type(class_name, (OpModule,), members)


def check_reduction(loss: Any, valid: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise ValueError unless the reduction of a loss module is one there is."""
    if loss.reduction not in valid:
        listed = ", ".join(map(repr, valid))
        raise ValueError(f"{type(loss).__name__}: reduction must be one of {listed}, got {loss.reduction!r}")


LOSSES = {name for name, op in OPS.items() if op.home == "loss"} | set(functional.COMPOSED_LOSSES)
# An activation with more inputs than x would need parameters of its own.
ACTIVATIONS = {name for name, op in OPS.items() if op.home == "activation" and len(op.inputs) == 1}
FUNCTION_OF_CLASS = {class_name(name, True): name for name in sorted(LOSSES)} | {
    class_name(name): name for name in sorted(ACTIVATIONS | set(functional.COMPOSED_LAYERS))
}
