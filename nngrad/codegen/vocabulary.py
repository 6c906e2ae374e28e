"""What a word of the language is, and the table that words are entered into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy

from nngrad.codegen.symbols import Value


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
        safe: an argument at which the function is finite and silent, for words that are not so everywhere.
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
    safe: float | None = None
    definition: Callable | None = None

    def __call__(self, *args):
        return self.build(*(sympy.sympify(arg) for arg in args))


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
    safe=None,
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

        head = type(name, (sympy.Function,), {"nargs": arity, "fdiff": fdiff, "is_real": True, **traits})
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
