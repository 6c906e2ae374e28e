"""The language of specs: all that a spec file imports.

A spec function is called with symbols; the words build SymPy expressions from them. The elementwise words come from
`words` and `gaussians`; here stand reductions, `where`, index notation and the decorators that declare ops. Everything
symbolic is exact: decimal numbers in a spec are rationals, and `pi` is pi.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import sympy
from sympy.core.symbol import Str

from nngrad.codegen.algebra.gaussians import erf, erfc
from nngrad.codegen.algebra.symbols import (
    RECORDER,
    Count,
    Indexed,
    IsInf,
    IsNan,
    MaxOf,
    MinOf,
    Parameter,
    Pick,
    ProductOf,
    SignBit,
    SpecError,
    Subgradient,
    SumOf,
    Where,
)
from nngrad.codegen.algebra.vocabulary import Word, as_condition, expression
from nngrad.codegen.algebra.words import (
    abs,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cbrt,
    ceil,
    clip,
    copysign,
    cos,
    cosh,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmax,
    fmin,
    fmod,
    hypot,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    maximum,
    minimum,
    remainder,
    rint,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinc,
    sinh,
    softplus,
    sqrt,
    tan,
    tanh,
    trunc,
)

# Not for formulas: the derivatives of words, which nngrad's own spec makes ops of.
from nngrad.codegen.algebra.words import over_hypot as over_hypot
from nngrad.codegen.algebra.words import over_square as over_square
from nngrad.codegen.algebra.words import power_slope as power_slope
from nngrad.codegen.algebra.words import sinc_slope as sinc_slope

__all__ = [
    "abs",
    "activation",
    "affine",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "c",
    "cbrt",
    "ceil",
    "clip",
    "contract",
    "contraction",
    "copysign",
    "cos",
    "cosh",
    "count",
    "e",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "g",
    "hypot",
    "i",
    "isinf",
    "isnan",
    "j",
    "k",
    "l",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "loss",
    "m",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "n",
    "norm",
    "o",
    "op",
    "p",
    "pi",
    "prod",
    "q",
    "remainder",
    "rint",
    "rsqrt",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "slope",
    "softplus",
    "sqrt",
    "structural",
    "subgradient",
    "sum",
    "take",
    "tan",
    "tanh",
    "trunc",
    "var",
    "where",
]

# --- where, reductions, index notation --------------------------------------------------------------------------------


def is_axis(axis) -> bool:
    """Whether this names an axis in a formula."""
    if isinstance(axis, tuple | list):
        return all(is_axis(one) for one in axis)
    return axis is None or isinstance(axis, int | sympy.Integer | Parameter)


# The words that are Python functions, not `Word`s: with their documentation.
FUNCTION_WORDS: dict[Callable, str] = {}


def axis_label(axis) -> Str:
    """The name of an axis inside formulas: the parameter's name, or the literal as Python writes it."""
    if isinstance(axis, tuple | list):
        return Str("(" + ", ".join(axis_label(one).name for one in axis) + ("," if len(axis) == 1 else "") + ")")
    return Str(str(axis))


def check_axis(axis, name: str) -> None:
    """Raise SpecError where what stands in the place of an axis is none."""
    if not is_axis(axis):
        of_two = {"max": "maximum(x, y)", "min": "minimum(x, y)", "prod": "x * y"}.get(name, "x + y")
        raise SpecError(
            f"{axis} is no axis: an axis is an int, a tuple of ints, None or a parameter",
            f"write {name}(x, axis), with axis=-1 for example; of two tensors {of_two}",
        )


def _reduction(head: type, doc: str):
    name = head.kind

    def reduce(x, axis=None):
        if isinstance(x, Indexed) and head is SumOf and not is_axis(axis):
            return x.summed_over(axis)
        check_axis(axis, name)
        return head(expression(x, name), axis_label(axis))

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = doc
    FUNCTION_WORDS[reduce] = doc
    return reduce


sum = _reduction(SumOf, "Sum along an axis; all axes when none is given. The axis is kept with length 1.")
prod = _reduction(ProductOf, "Product along an axis.")
max = _reduction(MaxOf, "Maximum along an axis; ties share the gradient equally.")
min = _reduction(MinOf, "Minimum along an axis; ties share the gradient equally.")


def count(x, axis=None):
    """The number of elements along an axis."""
    check_axis(axis, "count")
    return Count(axis_label(axis))


def mean(x, axis=None):
    """Arithmetic mean along an axis."""
    check_axis(axis, "mean")
    return sum(x, axis) / count(x, axis)


def var(x, axis=None):
    """Population variance along an axis, centred first."""
    check_axis(axis, "var")
    return mean((x - mean(x, axis)) ** 2, axis)


def take(x, index, axis):
    """The element of each row at the row's integer index."""
    check_axis(axis, "take")
    return SumOf(Pick(index, axis_label(axis)) * x, axis_label(axis))


def where(condition, a, b):
    """a where the condition holds, b elsewhere. The branch not taken leaks neither NaN nor warning."""
    if isinstance(condition, bool):
        return a if condition else b
    return Where(as_condition(condition), expression(a, "where"), expression(b, "where"))


FUNCTION_WORDS[where] = where.__doc__


def subgradient(expr, condition, value):
    """`expr`, with its derivative stated where it is singular: `value` where `condition` holds."""
    return Subgradient(expression(expr, "subgradient"), condition, expression(value, "subgradient"))


def isnan(x):
    """Whether x is not a number: a condition."""
    return IsNan(expression(x, "isnan"))


def isinf(x):
    """Whether x is infinite: a condition."""
    return IsInf(expression(x, "isinf"))


def signbit(x):
    """Whether x is negative, or -0: a condition."""
    return SignBit(expression(x, "signbit"))


def equal(a, b):
    """What `==` means in a formula: a condition between symbols, Python's own answer between plain values."""
    return sympy.Eq(a, b) if isinstance(a, sympy.Basic) or isinstance(b, sympy.Basic) else a == b


def unequal(a, b):
    """What `!=` means in a formula."""
    return sympy.Ne(a, b) if isinstance(a, sympy.Basic) or isinstance(b, sympy.Basic) else a != b


def python_remainder(a, b):
    """What `%` means in a formula."""
    return remainder(a, b) if _is_symbolic(a) or _is_symbolic(b) else a % b


def python_floor_divide(a, b):
    """What `//` means in a formula."""
    return floor_divide(a, b) if _is_symbolic(a) or _is_symbolic(b) else a // b


def _is_symbolic(value) -> bool:
    return isinstance(value, Indexed) or (isinstance(value, sympy.Basic) and value.free_symbols != set())


@dataclass(frozen=True)
class Contract:
    """A contraction whose index notation is a parameter, known only when the op is called."""

    subscripts: Any
    operands: Any


def contract(subscripts, *operands) -> Contract:
    """The contraction that `subscripts` (NumPy's einsum notation) describes."""
    return Contract(subscripts, operands)


c, g, i, j, k, l, m, n, o, p, q = sympy.symbols("c g i j k l m n o p q", integer=True)  # noqa: E741
pi, e = sympy.pi, sympy.E


# --- declarations -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declaration:
    """A spec function, where its op belongs, and the module that declares it.

    Called inside another formula, it is traced into that formula.
    """

    function: Callable
    home: str
    module: str

    @property
    def name(self) -> str:
        return self.function.name if isinstance(self.function, Word) else self.function.__name__

    def __call__(self, *args, **kwargs):
        return RECORDER.get().inline(self, args, kwargs)


DECLARED: ContextVar[list[Declaration]] = ContextVar("declared")


def is_formula(function) -> bool:
    """Whether this is a function with a name, whose source can be read and run on symbols."""
    is_plain = inspect.isfunction(function) and not inspect.iscoroutinefunction(function)
    return is_plain and not inspect.isgeneratorfunction(function) and function.__name__ != "<lambda>"


def described(value) -> str:
    """What something is that should have been a function."""
    if inspect.iscoroutinefunction(value):
        return f"the coroutine {value.__name__}"
    if inspect.isgeneratorfunction(value):
        return f"{value.__name__}, which has a `yield`"
    if inspect.isfunction(value):
        return "a lambda, which has no name"
    if isinstance(value, Declaration):
        return f"{value.name}, which is an @{value.home} already"
    kind = "the class" if inspect.isclass(value) else f"the {type(value).__name__}"
    return f"{kind} {getattr(value, '__name__', repr(value))}"


def _decorator(home: str, doc: str):
    def declare(*functions, **options):
        if options or not functions:
            raise SpecError(f"@{home} takes no arguments", f"write @{home} above the function, without brackets")
        if any(isinstance(one, sympy.Basic) for one in functions):
            length = "; the length of a row is sqrt(sum(x**2, axis))" if home == "norm" else ""
            raise SpecError(f"{home} is a decorator, not a function of tensors", f"it stands above a formula{length}")
        for function in functions:
            if not isinstance(function, Word) and function not in FUNCTION_WORDS and not is_formula(function):
                raise SpecError(
                    f"@{home} is given {described(function)}",
                    f"a formula is a function: @{home}, then def f(x): return ...",
                )
        module = sys._getframe(1).f_globals.get("__name__", "")
        declarations = [Declaration(function, home, module) for function in functions]
        DECLARED.get([]).extend(declarations)
        return declarations[0] if len(functions) == 1 else tuple(declarations)

    declare.__name__, declare.__doc__ = home, doc
    return declare


op = _decorator("op", "Plain mathematics: a function of `nngrad` and a Tensor method. Words become ops as they stand.")
activation = _decorator("activation", "An activation: a function of `nngrad.nn.functional` and a Tensor method.")
loss = _decorator("loss", "A loss: a function of `nngrad.nn.functional` with `reduction='mean' | 'sum' | 'none'`.")
slope = _decorator("slope", "The derivative of words, an op of its own for rules to be made of: it is not public.")
norm = _decorator("norm", "A normalisation: a function of `nngrad.nn.functional`.")
contraction = _decorator("contraction", "A product of indexed tensors, summed over indices.")


class affine:
    """What a structural op returns, in its signature, that is linear but for a constant."""


structural = _decorator("structural", "An index map, declared in a table together with its adjoint.")
