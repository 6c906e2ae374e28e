"""What a word of the language is, and the table that words are entered into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import sympy
from sympy.logic.boolalg import Boolean

from nngrad.codegen.algebra.symbols import Parameter, SpecError, Value, Where


@dataclass(frozen=True)
class Word:
    """An elementwise function that a spec may name.

    Attributes:
        name: as a spec writes it.
        build: from SymPy arguments to the SymPy expression.
        numpy: the NumPy ufunc, or helper of `nngrad_ops.runtime`, that computes it; '' where `expansion` does.
        oracle: the same function for mpmath.
        cost: time per element in multiplications (the fixed table that choices are made by).
        doc: one line.
        arity: how many arguments it takes.
        expansion: the word in terms of others, written so that it neither overflows nor cancels.
        smooth: for a word that is no op of its own: what it is in differentiable words.
        safe: arguments at which the function is finite and silent, for words that are not so everywhere; None in the
            place of one that may be anything.
        definition: the word in simpler ones: a formula that spells it out is that word.
    """

    name: str
    build: Callable
    numpy: str
    oracle: Callable
    cost: float
    doc: str
    arity: int = 1
    expansion: Callable | None = None
    smooth: Callable | None = None
    safe: tuple[int | None, ...] = ()
    definition: Callable | None = None

    def __call__(self, *args, **keywords):
        names = ("x",) if self.arity == 1 else tuple(f"x{place + 1}" for place in range(self.arity))
        call = f"{self.name}({', '.join(names)})"
        last = args[-1] if len(args) == self.arity + 1 else None
        if "axis" in keywords or (self.arity == 1 and isinstance(last, int | sympy.Integer | Parameter)):
            raise SpecError(
                f"{self.name} works elementwise and takes no axis",
                f"write {call}; a reduction takes one, as in sum({call}, axis)",
            )
        if keywords:
            raise SpecError(f"{self.name} takes no {min(keywords)}=", f"write {call}")
        if len(args) != self.arity:
            number = "one argument" if self.arity == 1 else f"{self.arity} arguments"
            nested = f", or {self.name}({self.name}(x1, x2), x3) for more" if self.arity == 2 < len(args) else ""
            raise SpecError(f"{self.name} takes {number}, not {len(args)}", f"write {call}{nested}")
        return self.build(*(expression(arg, self.name) for arg in args))


def expression(value, word: str) -> sympy.Basic:
    """What a formula gives to a word, as SymPy has it: numbers are exact, and a condition is one, 1 or 0.

    Raises:
        SpecError: it is a list or something else that is not an expression.
    """
    try:
        return exact(sympy.sympify(as_number(value), strict=True))
    except sympy.SympifyError as error:
        kind = type(value).__name__.lower()
        mend = (
            "in a formula a str, bool or None is compared: if name == value"
            if kind == "static"
            else (
                "to add or multiply the items of a list, write a loop: total = total + item"
                if kind in ("list", "tuple")
                else f"give {word} an expression in the inputs"
            )
        )
        what = f"the parameter {value.name}, which is no number" if kind == "static" else f"a {kind}"
        raise SpecError(f"{word} is given {what}", mend) from error


def is_condition(value) -> bool:
    """Whether this is a condition between symbols."""
    return isinstance(value, Boolean) and not isinstance(value, sympy.Expr)


def as_number(value):
    """A condition between symbols as the number that it is in arithmetic, 1 or 0; what else there is as it is."""
    return Where(value, 1, 0) if is_condition(value) else value


def as_condition(value):
    """What stands in the place of a condition as one: a number holds where it is not 0, an input of truths as it is."""
    if isinstance(value, Where):
        condition, a, b = value.args
        return condition & as_condition(a) | ~condition & as_condition(b)
    return sympy.Ne(value, 0) if isinstance(value, sympy.Expr) and not isinstance(value, Value) else value


def exact(value: sympy.Basic) -> sympy.Basic:
    """The expression with the decimal number that Python shows for each float in it: 0.1 is 1/10."""
    floats = value.atoms(sympy.Float)
    return value.xreplace({one: sympy.Rational(repr(float(one))) for one in floats}) if floats else value


WORDS: dict[str, Word] = {}
WORD_OF: dict[type, Word] = {}


def enter(
    name: str,
    numpy: str,
    oracle: Callable,
    cost: float,
    doc: str,
    *,
    head=None,
    derivatives=None,
    arity=1,
    expansion=None,
    smooth=None,
    safe=(),
    definition=None,
    **traits,
) -> Word:
    """Enter a word into the table. Without a `head` known to SymPy, a class is made whose `fdiff` is `derivatives`, or
    else comes from the definition.
    """
    if head is None:

        def fdiff(self, argindex=1):
            if derivatives is None:
                return _derivative_of_definition(definition, self.args, argindex - 1)
            return sympy.sympify(derivatives(*self.args)[argindex - 1])

        def _eval_evalf(self, prec):
            if not all(arg.is_number for arg in self.args):
                return None
            with mpmath.workprec(prec + 10):
                value = oracle(*(mpmath.mpmathify(arg.evalf(mpmath.mp.dps)) for arg in self.args))
            return sympy.Float(value, precision=prec) if isinstance(value, mpmath.mpf) else None

        own = {"nargs": arity, "fdiff": fdiff, "_eval_evalf": _eval_evalf, "is_real": True}
        head = type(name, (sympy.Function,), {**own, **traits})
    word = Word(name, head, numpy, oracle, cost, doc, arity, expansion, smooth, safe, definition)
    WORDS[name] = word
    if isinstance(head, type):
        WORD_OF[head] = word
    return word


def _derivative_of_definition(definition: Callable, args: tuple, position: int):
    symbols = [Value(f"u{place}") if is_tensor(arg) else sympy.Dummy(real=True) for place, arg in enumerate(args)]
    return definition(*symbols).diff(symbols[position]).xreplace(dict(zip(symbols, args, strict=True)))


def is_tensor(expr) -> bool:
    return bool(expr.atoms(Value))
