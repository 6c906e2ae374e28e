"""`Module`, the base of every layer: a tree of named Tensors and other modules."""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from reprlib import recursive_repr
from textwrap import indent
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from nngrad.arguments import methods_tell_arguments, refuse_unknown
from nngrad.elsewhere import OF_MODULES, Elsewhere
from nngrad.functions import array_of, tensor_of
from nngrad.tensor import Tensor

IncompatibleKeys = namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])


@methods_tell_arguments
class Module:
    """Base class of layers and models: write `__init__` and `forward`, the rest is here.

    What a module holds is read from its attributes, so assigning, replacing and deleting them is all there is to do:

    - a leaf Tensor that requires grad is a *parameter*; frozen by `set_requires_grad(False)` it remains one, and only
      another one, None or a Module takes its place
    - a Tensor given to `register_buffer` is a *buffer*: state that is saved, but not trained
    - a Module is a *child*

    Everything else, also a Tensor without grad or the result of a computation, is an ordinary attribute. The state that
    `Module` itself needs has defaults on the class: a subclass that forgets `super().__init__()` works all the same.

        class Residual(Module):
            def __init__(self, features):
                self.inner = Linear(features, features)
                self.scale = Tensor(1.0, requires_grad=True)

            def forward(self, x):
                return x + self.scale * relu(self.inner(x))
    """

    training = True
    _parameter_names: frozenset[str] = frozenset()
    _buffers: Mapping[str, bool] = MappingProxyType({})  # name -> persistent; replaced, never changed in place

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls.__init__ is object.__init__:
            if args or kwargs:
                raise TypeError(f"{cls.__name__}() takes no arguments; write an __init__ for them")
        elif kwargs:
            refuse_unknown(cls.__name__, cls.__init__, kwargs)
        return super().__new__(cls)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output of the module; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): define it, __call__ runs it")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    # --- what a module holds ---

    def __setattr__(self, name: str, value: Any) -> None:
        if _is_trainable(value):
            self._forget(name)
            super().__setattr__("_parameter_names", self._parameter_names | {name})
        elif name in self._parameter_names:
            if not isinstance(value, Module | None):
                kind = type(value).__name__
                if isinstance(value, Tensor):
                    kind = f"the result of {value.op}" if value.grad_fn else "one that requires none"
                raise TypeError(
                    f"the parameter {name!r} of {type(self).__name__} would be lost to its optimizer and its state: "
                    f"give it new values by `{name}.data = ...`, or assign a leaf Tensor that requires grad, not "
                    f"{kind}; what shall be no parameter any more is deleted first"
                )
            self._forget(name)
        elif name in self._buffers and not isinstance(value, Tensor | None):
            raise TypeError(f"the buffer {name!r} takes a Tensor or None, got {type(value).__name__}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        if name in self._parameter_names:
            super().__setattr__("_parameter_names", self._parameter_names - {name})
        if name in self._buffers:
            super().__setattr__("_buffers", {key: kept for key, kept in self._buffers.items() if key != name})

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Make `self.<name>` a buffer: part of the state (running statistics, masks, tables), but never trained.

        Args:
            name: the attribute's name; it stays a buffer when another Tensor is assigned to it.
            tensor: a Tensor that needs no grad, an array (wrapped, its dtype kept) or None for a place to fill later.
            persistent: whether `state_dict` holds it.

        Raises:
            KeyError: the name is empty, has a dot in it, or belongs to another attribute.
            ValueError: the Tensor requires grad, which would make it a parameter.
        """
        if not name or "." in name:
            raise KeyError(f"a buffer's name must be non-empty and without dots, got {name!r}")
        if hasattr(self, name) and name not in self._buffers:
            raise KeyError(f"{type(self).__name__} has another attribute {name!r}: choose another name for the buffer")
        tensor = None if tensor is None else tensor_of(tensor)
        if tensor is not None and tensor.requires_grad:
            raise ValueError(f"buffer {name!r} requires grad: assign it as an attribute to make it a parameter")
        super().__setattr__("_buffers", {**self._buffers, name: persistent})
        setattr(self, name, tensor)

    def _own_parameters(self) -> Iterator[tuple[str, Tensor]]:
        for name, value in vars(self).items():
            if name not in self._buffers and (name in self._parameter_names or _is_trainable(value)):
                yield name, value

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, vars(self)[name]) for name in self._buffers if vars(self)[name] is not None)

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Pairs (name, module) of the modules directly inside this one; a module with two names appears under both."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator["Module"]:
        """The modules directly inside this one, each once."""
        return (child for _, child in _each_once(self.named_children()))

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, "Module"]]:
        """Pairs (dotted name, module) of this module and all below it, parents first.

        Args:
            prefix: put before every name.
            remove_duplicate: list a module that has several names under the first alone.
        """
        return self._walk(prefix, set(), remove_duplicate)

    def _walk(self, path: str, seen: set[int], remove_duplicate: bool) -> Iterator[tuple[str, "Module"]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield path, self
        for name, child in self.named_children():
            yield from child._walk(_join(path, name), seen, remove_duplicate)
        if not remove_duplicate:
            seen.remove(id(self))  # so that what is left out is only a module inside itself

    def modules(self) -> Iterator["Module"]:
        """This module and all below it, parents first, each once."""
        return (module for _, module in self.named_modules())

    def _reachable(self, prefix: str, recurse: bool) -> Iterable[tuple[str, "Module"]]:
        return self.named_modules(prefix) if recurse else [(prefix, self)]

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Pairs (dotted name, Tensor) of the parameters here and, with `recurse`, below; a shared one once."""
        reached = self._reachable(prefix, recurse)
        return _each_once((_join(path, name), tensor) for path, m in reached for name, tensor in m._own_parameters())

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """The parameters of this module and, with `recurse`, of those below it; a shared one once."""
        return (tensor for _, tensor in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Pairs (dotted name, Tensor) of the buffers here and, with `recurse`, below; a shared one once."""
        reached = self._reachable(prefix, recurse)
        return _each_once((_join(path, name), tensor) for path, m in reached for name, tensor in m._own_buffers())

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and, with `recurse`, of those below it; a shared one once."""
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    # --- what is done to all of it ---

    def apply(self, fn: Callable[["Module"], Any]) -> Self:
        """Call `fn` with every module, children before parents (to initialise weights, say), and return self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode (Dropout acts) or, with False, evaluation mode here and below; return self."""
        if not isinstance(mode, bool):
            raise ValueError(f"train(mode) takes True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode (Dropout does nothing) here and below; return self."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Reset the gradient of every parameter to zeros."""
        for parameter in self.parameters():
            parameter.reset_grad()

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that is saved, under every name it has: both names of a tied weight must load."""
        for path, module in self.named_modules(remove_duplicate=False):
            for name, tensor in module._own_parameters():
                yield _join(path, name), tensor
            for name, tensor in module._own_buffers():
                if module._buffers[name]:
                    yield _join(path, name), tensor

    def state_dict(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent buffers as arrays, by dotted name (for `np.savez(file, **state)`).

        Args:
            prefix: put before every name as it is, say "encoder.".
        """
        return {prefix + name: tensor.data.copy() for name, tensor in self._named_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the values of `state_dict` into the parameters and buffers, which keep their dtype and identity.

        Args:
            state_dict: arrays (or Tensors) by dotted name, as `state_dict()` returns them or `np.load` reads them.
            strict: whether the names must match exactly; otherwise only the common ones are loaded.

        Returns:
            The named tuple (missing_keys, unexpected_keys).

        Raises:
            TypeError: state_dict is no mapping.
            RuntimeError: names (if strict), shapes or dtypes do not fit. It lists all that is wrong; nothing is loaded.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"a state is a mapping of names to arrays, as state_dict() gives and np.load('model.npz') reads, "
                f"not {type(state_dict).__name__}"
            )
        own = dict(self._named_state())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems = []
        if strict and missing:
            problems.append(f"missing: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected: {', '.join(map(str, unexpected))}")
        loaded = []
        for name, tensor in own.items():
            if name in missing:
                continue
            value = state_dict[name]
            array = array_of(value)
            if array.shape != tensor.shape:
                problems.append(f"{name}: shape {array.shape} does not fit {tensor.shape}")
            elif not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
                problems.append(f"{name}: {array.dtype} cannot become {tensor.dtype}")
            else:
                loaded.append((tensor, array))
        if problems:
            lines = "\n  ".join(problems)
            raise RuntimeError(f"cannot load this state into {type(self).__name__}, nothing was changed:\n  {lines}")
        for tensor, array in loaded:
            tensor.data = array
        return IncompatibleKeys(missing, unexpected)

    # --- how it looks ---

    def extra_repr(self) -> str:
        """What stands in the brackets of the `repr` of a module, its settings usually."""
        return ""

    def _shown(self) -> Iterable[tuple[str, Any]]:
        """Pairs (name, object) that `repr` lists below the module."""
        return self.named_children()

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in OF_MODULES or hasattr(self, name)]

    @recursive_repr()
    def __repr__(self) -> str:
        name, settings = type(self).__name__, self.extra_repr()
        # A plain function shows its name, a module its own repr
        below = [f"({key}): {getattr(value, '__name__', None) or repr(value)}" for key, value in self._shown()]
        if not below:
            return f"{name}({settings})"
        lines = "\n".join([settings, *below] if settings else below)
        return f"{name}(\n{indent(lines, '  ')}\n)"


for _name, _instead in OF_MODULES.items():
    setattr(Module, _name, Elsewhere(_name, _instead))


def _is_trainable(value: Any) -> bool:
    """Whether it is a Tensor to train: one that requires grad, and is not the result of a computation."""
    return isinstance(value, Tensor) and value.requires_grad and value.grad_fn is None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _each_once(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Drop pairs whose object came before, by identity."""
    seen: set[int] = set()
    for name, value in pairs:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value
