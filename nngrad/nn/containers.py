"""Modules made of modules: `Sequential`, `ModuleList`, `ModuleDict`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from types import MappingProxyType
from typing import Any, Self

from nngrad.nn.module import Module


class ModuleList(Module, MutableSequence):
    """A list of modules whose parameters count as those of the module that holds it. It has no `forward`.

    It does what a list does: indexing, slicing (the slice is a ModuleList of the same modules), `append`, `insert`,
    `extend`, `pop`, `del`, `+`, iteration, `in`.

    Args:
        modules: the modules, none by default.

    Raises:
        TypeError: an element is not a Module.
    """

    _items: tuple = ()  # replaced, never changed in place, so that the class can hold the default

    def __init__(self, modules: Iterable[Module] = ()):
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList takes a list of Modules, got {modules!r}; write ModuleList([...])")
        self.extend(modules)

    def _checked(self, item: Any) -> Any:
        if not isinstance(item, Module):
            raise TypeError(f"ModuleList takes Modules, got {type(item).__name__}: {item!r}")
        return item

    def _change(self, edit: Callable[[list], Any]) -> None:
        items = list(self._items)
        edit(items)
        self._items = tuple(items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice):
            return self._items[index]
        part = type(self).__new__(type(self))  # not type(self)(...): a subclass may build itself from other arguments
        part._items = self._items[index]
        part.training = self.training
        return part

    def __setitem__(self, index: int | slice, item: Any) -> None:
        new = [self._checked(each) for each in item] if isinstance(index, slice) else self._checked(item)
        self._change(lambda items: items.__setitem__(index, new))

    def __delitem__(self, index: int | slice) -> None:
        self._change(lambda items: items.__delitem__(index))

    def insert(self, index: int, item: Any) -> None:
        """Put `item` before position `index`."""
        self._checked(item)
        self._change(lambda items: items.insert(index, item))

    def append(self, item: Any) -> Self:
        """Put `item` at the end; returns self, as in PyTorch."""
        self.insert(len(self), item)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Put all `values` at the end; returns self, as in PyTorch."""
        for item in list(values):
            self.append(item)
        return self

    def __add__(self, other: Any) -> Self:
        return self[:].extend(other) if isinstance(other, ModuleList) else NotImplemented

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs (position or attribute name, module)."""
        yield from super().named_children()
        yield from ((str(i), item) for i, item in enumerate(self._items) if isinstance(item, Module))


class Sequential(ModuleList):
    """Run modules and plain functions one after another: `Sequential(Linear(2, 8), relu, Linear(8, 1))`.

    It indexes, slices, iterates and grows like a list; names in the `state_dict` are positions (`0.weight`).

    Args:
        layers: Modules, or functions of one argument.

    Raises:
        TypeError: a layer cannot be called.
    """

    def __init__(self, *layers: Callable[[Any], Any]):
        super().__init__(layers)

    def _checked(self, item: Any) -> Any:
        if not callable(item) or (isinstance(item, type) and issubclass(item, Module)):
            hint = f"; write {item.__name__}()" if isinstance(item, type) else ""
            hint = "; write Sequential(*layers)" if isinstance(item, list | tuple) else hint
            hint = "; write Sequential(*layers.values()), names are positions" if isinstance(item, Mapping) else hint
            raise TypeError(f"Sequential takes Modules and functions, got {item!r}{hint}")
        return item

    def forward(self, input: Any) -> Any:
        """Give `input` to the first layer, its output to the second, and so on."""
        for layer in self._items:
            input = layer(input)
        return input

    def _shown(self) -> Iterable[tuple[str, Any]]:
        return [*Module.named_children(self), *((str(i), item) for i, item in enumerate(self._items))]


class ModuleDict(Module, MutableMapping):
    """A dict of modules whose parameters count as those of the module that holds it. It has no `forward`.

    Args:
        modules: a mapping or pairs from name to module.

    Raises:
        TypeError: a value is not a Module, or a name not a string.
        KeyError: a name is empty or has a dot in it.
    """

    _items: Mapping[str, Module] = MappingProxyType({})  # replaced, never changed in place

    # Mapping compares by content and so has no hash; modules are told apart by identity
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()):
        pairs = list(modules.items() if isinstance(modules, Mapping) else modules)
        if wrong := [pair for pair in pairs if not isinstance(pair, tuple | list) or len(pair) != 2]:
            raise TypeError(f"ModuleDict takes a dict of Modules, or pairs (name, Module), got {wrong[0]!r}")
        self.update(pairs)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __getitem__(self, name: str) -> Module:
        return self._items[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(name, str) or not isinstance(module, Module):
            raise TypeError(f"ModuleDict maps strings to Modules, got {name!r}: {module!r}")
        if not name or "." in name:
            raise KeyError(f"a module's name must be non-empty and without dots, got {name!r}")
        self._items = {**self._items, name: module}

    def __delitem__(self, name: str) -> None:
        if name not in self._items:
            raise KeyError(name)
        self._items = {key: module for key, module in self._items.items() if key != name}

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs (key or attribute name, module)."""
        yield from super().named_children()
        yield from self._items.items()
