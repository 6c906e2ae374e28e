"""Ops as functions that can show what they are made of: LaTeX, and the code of value and derivatives."""

import ast
import functools
import inspect
import sys
from importlib import import_module


class OpFunction:
    """An op as a function of Tensors, arrays and numbers.

    Attributes, made when they are first asked for:
        latex: the formula and its derivative.
        source: the code that computes the value, on arrays.
        vjp_source: the code of the derivative in reverse mode.
        jvp_source: the code of the derivative in forward mode.
        ops: what the engine knows of the op; of a composite op, of those that it runs in a row.
    """

    def __repr__(self):
        return f"<op {self.__module__}.{self.__name__}{inspect.signature(self)}>"

    def __reduce__(self):
        return self.__qualname__  # by name, as functions are pickled and copied

    @property
    def __signature__(self):
        """The arguments, without those that are taken only to be refused."""
        called = inspect.signature(self.__wrapped__)
        return called.replace(parameters=[one for one in called.parameters.values() if one.kind is not one.VAR_KEYWORD])

    @property
    def latex(self):
        known = import_module(f"{self._package}.latex").LATEX
        if self._kernel.__name__ not in known:
            raise AttributeError(f"{self.__name__} has no formula that LaTeX could show")
        return known[self._kernel.__name__]

    @property
    def source(self):
        return self._written(self._kernel.__name__, *(op.forward.__name__ for op in self.ops))

    @property
    def vjp_source(self):
        return self._written(*(f"{op.name}_vjp" for op in self.ops))

    @property
    def jvp_source(self):
        return self._written(*(f"{op.name}_jvp" for op in self.ops))

    @property
    def _package(self):
        return self._kernel.__module__.rpartition(".")[0]

    def _written(self, *names):
        """The functions of those names in the module of the op's kernels, with all in it that they call."""
        text = inspect.getsource(sys.modules[self._kernel.__module__])
        found = {name: node for node in ast.parse(text).body for name in _defined(node)}
        wanted, waiting = {}, [name for name in names if name in found]
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted[name] = found[name]
                waiting += [one.id for one in ast.walk(found[name]) if isinstance(one, ast.Name) and one.id in found]
        lines = text.splitlines()
        nodes = sorted(wanted.values(), key=lambda node: node.lineno)
        return "\n\n\n".join("\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in nodes)


def _defined(node):
    """The names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def op_function(call, kernel, ops):
    """`call`, as an OpFunction: what runs is `call` itself, without a step between."""
    made = type("OpFunction", (OpFunction,), {"__call__": staticmethod(call)})()
    functools.update_wrapper(made, call)
    made._kernel, made.ops = kernel, tuple(ops)
    return made


def made_of(kernel, *ops):
    """A decorator: the function runs these ops, functions themselves, and `kernel` is the same on arrays."""
    return lambda call: op_function(call, kernel, [op for function in ops for op in function.ops])
