"""The base of the optimizers, and the check of their hyper-parameters."""

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, Self

import numpy as np

from nngrad.arguments import methods_tell_arguments, refuse_unknown
from nngrad.memory import note_change
from nngrad.tensor import Tensor


def _is_nonnegative(value: Any) -> bool:
    return isinstance(value, Real) and 0 <= value < math.inf


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_betas(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(_is_nonnegative(b) and b < 1 for b in value)


_WORKING = np.dtype(np.float32)  # or wider: in float16 the squares of gradients below 2e-4 are 0
_NONNEGATIVE = (_is_nonnegative, "a finite number, at least 0")
_FLAG = (_is_flag, "True or False")
_RULES = {
    "lr": _NONNEGATIVE,
    "momentum": _NONNEGATIVE,
    "dampening": (lambda value: isinstance(value, Real) and math.isfinite(value), "a finite number"),
    "weight_decay": _NONNEGATIVE,
    "eps": _NONNEGATIVE,
    "alpha": (lambda value: _is_nonnegative(value) and value <= 1, "a number from 0 to 1"),
    "betas": (_are_betas, "two numbers, each at least 0 and below 1"),
    "nesterov": _FLAG,
    "centered": _FLAG,
    "amsgrad": _FLAG,
    "maximize": _FLAG,
}


@methods_tell_arguments
class Optimizer:
    """Base of the optimizers: groups of parameters, their hyper-parameters and state. A subclass defines `_update`.

    Args:
        params: the Tensors to optimize, or dicts {"params": Tensors, ...} with hyper-parameters of their own.
        defaults: the hyper-parameters of groups that do not set them.

    Attributes:
        param_groups: a list of dicts, each with "params" and all hyper-parameters; change `group["lr"]` at any time.
        state: for each parameter that was updated, its arrays (momentum and the like) by name.

    Raises:
        TypeError: `params` is not an iterable of Tensors or dicts.
        ValueError: there are no parameters, one comes twice or is not a leaf; a hyper-parameter is out of range.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        refuse_unknown(cls.__name__, cls.__init__, kwargs)
        return super().__new__(cls)

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]):
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        groups = self._listed(params)
        if not groups:
            raise ValueError(
                f"{type(self).__name__} got no parameters: does the model have any that require grad? Those in a "
                "list of modules are the model's if it is a ModuleList"
            )
        if not any(isinstance(group, dict) for group in groups):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _listed(self, params: Any) -> list[Any]:
        # The order must be the same in every run, else a saved state would go to the wrong parameters
        if isinstance(params, Tensor | Mapping | set | frozenset | str) or not isinstance(params, Iterable):
            kind = type(params).__name__
            hint = ": write model.parameters()" if hasattr(params, "parameters") else ""
            hint = ": write [tensor]" if isinstance(params, Tensor) else hint
            if callable(params) and hasattr(params, "__name__"):
                hint = f": did you mean to call it, {params.__name__}()?"
            raise TypeError(
                f"{type(self).__name__} takes a list of Tensors, or of dicts with 'params', not {kind}{hint}"
            )
        return list(params)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Optimize the Tensors group["params"] too; hyper-parameters not in `group` take the defaults."""
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"a parameter group is a dict with the key 'params', got {group!r}")
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else self._listed(params)
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                hint = ""
                if isinstance(p, tuple):
                    hint = ": model.parameters() gives them without names"
                elif hasattr(p, "parameters"):
                    hint = ": write model.parameters()"
                raise TypeError(f"{type(self).__name__} optimizes Tensors, got {type(p).__name__}{hint}")
            if p.grad_fn is not None:
                raise ValueError(
                    f"cannot optimize the result of {p.op!r} with shape {p.shape}: only leaf Tensors are parameters"
                )
            if id(p) in taken:
                raise ValueError(f"the parameter with shape {p.shape} is given twice; shared ones must be listed once")
            taken.add(id(p))
        settings = {**self.defaults, **{name: value for name, value in group.items() if name != "params"}}
        self._check(settings)
        self.param_groups.append({"params": params, **settings})

    def _check(self, settings: Mapping[str, Any]) -> None:
        for name, value in settings.items():
            if name not in self.defaults:
                raise ValueError(
                    f"{type(self).__name__} has no hyper-parameter {name!r}; it has {', '.join(self.defaults)}"
                )
            is_valid, expected = _RULES.get(name, (lambda _: True, ""))
            if not is_valid(value):
                raise ValueError(f"{type(self).__name__}: {name} must be {expected}, got {value!r}")

    def zero_grad(self) -> None:
        """Reset the gradients of all parameters to zeros; until backward reaches one again, it is not updated."""
        for group in self.param_groups:
            for p in group["params"]:
                p.reset_grad()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; one of float16 by arithmetic, and with a state, of float32.

        Args:
            closure: what computes the gradients and returns the loss, to be called before; None where that is done.

        Returns:
            The loss, None without a closure.
        """
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p._has_grad:
                    x, g = p.data, -p.grad if group.get("maximize") else p.grad
                    state = self.state.setdefault(p, {})
                    if x.itemsize < _WORKING.itemsize:
                        wide = x.astype(_WORKING)
                        self._update(wide, g.astype(_WORKING), state, group)
                        x[...] = wide
                    else:
                        self._update(x, g, state, group)
                    note_change(p)  # for graphs that have saved it
        return loss

    def _update(self, x: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change `x` in place, given its gradient `g` (left as it is), its `state` and its hyper-parameters."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state and hyper-parameters, parameters numbered in order, in PyTorch's layout."""
        params = [p for group in self.param_groups for p in group["params"]]
        number = {id(p): i for i, p in enumerate(params)}
        state = {number[id(p)]: {name: _copied(v) for name, v in held.items()} for p, held in self.state.items()}
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copy in what `state_dict()` of an optimizer of the same kind over parameters of the same shapes returned.

        Raises:
            ValueError: it does not fit this optimizer; then nothing is changed.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError("an optimizer's state is a dict with 'state' and 'param_groups', as state_dict() gives")
        groups, saved_groups = self.param_groups, state_dict["param_groups"]
        if not all(isinstance(group, Mapping) and "params" in group for group in saved_groups):
            raise ValueError("each of an optimizer's 'param_groups' is a dict with 'params', as state_dict() gives")
        sizes, saved_sizes = ([len(group["params"]) for group in each] for each in (groups, saved_groups))
        if sizes != saved_sizes:
            raise ValueError(f"the saved state is for groups of {saved_sizes} parameters, the optimizer has {sizes}")
        settings, params = [], {}
        for group, saved in zip(groups, saved_groups, strict=True):
            settings.append({name: value for name, value in {**group, **saved}.items() if name != "params"})
            self._check(settings[-1])
            params.update(zip(saved["params"], group["params"], strict=True))
        state = {}
        for number, saved in state_dict["state"].items():
            if number not in params:
                raise ValueError(f"there is a state of parameter {number!r}, but no group has that parameter")
            p = params[number]
            for name, value in saved.items():
                if isinstance(value, np.ndarray) and value.shape != p.shape:
                    raise ValueError(f"{name} of parameter {number} has shape {value.shape}, the parameter {p.shape}")
            state[p] = {name: _copied(value, np.promote_types(p.dtype, _WORKING)) for name, value in saved.items()}
        self.state = state
        for group, loaded in zip(groups, settings, strict=True):
            group.update(loaded)

    def __repr__(self) -> str:
        groups = [{**group, "params": f"{len(group['params'])} Tensors"} for group in self.param_groups]
        lines = ["  " + ", ".join(f"{name}={value}" for name, value in group.items()) for group in groups]
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def _copied(value: Any, dtype: np.dtype | None = None) -> Any:
    return np.array(value, dtype) if isinstance(value, np.ndarray) else value
