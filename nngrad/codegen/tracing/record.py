"""What happens while a formula runs on symbols: each value it names, each word and each sum becomes a stage."""

from __future__ import annotations

import itertools
import keyword
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import sympy
from sympy.logic.boolalg import And, Not, Or

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import (
    Indexed,
    Pick,
    Reduction,
    SpecError,
    Subgradient,
    Value,
    Where,
    constant_axes,
)
from nngrad.codegen.algebra.vocabulary import WORD_OF, exact
from nngrad.codegen.tracing.formula import Formula, Stage

# What generated code calls its own: not for inputs and parameters, whose names are kept; locals get a `_` appended.
RESERVED_NAMES = {
    "OPS", "Op", "dtype", "function", "inputs", "keepdims", "kernels", "needs", "np", "ops", "out", "pairs", "parts",
    "products", "reduction", "rules", "runtime", "self", "shape", "table", "tangents", "terms",
}  # fmt: skip

INFINITE = (sympy.oo, -sympy.oo, sympy.zoo)


@dataclass
class Recorder:
    """Collects the stages of one run."""

    op: str
    inputs: list[Value] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    known: dict[sympy.Basic, Value] = field(default_factory=dict)
    contractions: dict[Value, Indexed] = field(default_factory=dict)
    renamed: dict[Value, str | None] = field(default_factory=dict)

    def let(self, name: str, value):
        """What `name = value` does in a formula: the value becomes a stage of that name.

        A value that another op's formula has left here has a name already; what the author calls it is in `renamed`.
        """
        if isinstance(value, Value) and self.renamed.get(value, name) is None and name not in self.names:
            self.renamed[value] = name
            self.names.add(name)
        if isinstance(value, Indexed) and value.summed:
            return self.contracted(value, name)
        if not isinstance(value, sympy.Expr) or isinstance(value, Value):
            return value
        value = words.in_words(real(exact(value)))
        return self.stage(self.hoist(value, name), "map", "", name) if value.atoms(Value) else value

    def contracted(self, indexed: Indexed, name: str = "") -> Value:
        """The tensor of a contraction inside the formula: to what follows it is like an input."""
        known = next((value for value, other in self.contractions.items() if other == indexed), None)
        if known is None:
            known = Value(self.fresh(name or "_".join(["sum", *dict.fromkeys(one.name for one, _ in indexed.factors)])))
            self.contractions[known] = indexed
        return known

    def hoist(self, expr, name: str = ""):
        """The expression with every word and reduction in it made a stage of its own. `name` is for the outermost."""
        if expr.is_Atom or isinstance(expr, Pick):
            return expr
        if isinstance(expr, Subgradient):  # it is differentiated as a whole, over reductions
            return expr.replace(lambda part: isinstance(part, Reduction), self.hoist)
        args = [self.hoist(arg) for arg in expr.args]
        if isinstance(expr, sympy.Pow) and args[1].free_symbols and not args[0].is_number:
            expr = words.power(*args)
        elif any(new is not old for new, old in zip(args, expr.args, strict=True)):
            expr = expr.func(*args)
        if isinstance(expr, Reduction):
            return self.stage(expr.args[0], expr.kind, expr.args[1].name, name or name_after(expr.kind, expr))
        is_root = isinstance(expr, sympy.Pow) and not args[1].is_integer  # or another power that costs as much
        if (type(expr) in WORD_OF or is_root) and expr.atoms(Value):
            word = "root" if is_root else WORD_OF[type(expr)].name
            return self.stage(expr, "map", "", name or name_after(word, expr))
        return expr

    def stage(self, expr, kind: str, axis: str, name: str, frozen: bool = False) -> Value:
        if kind == "map" and isinstance(expr, Value):
            return expr
        key = sympy.Tuple(expr, sympy.Symbol(kind), sympy.Symbol(axis), sympy.sympify(frozen))
        if key not in self.known:
            axes = {label for value in expr.atoms(Value) for label in value.constant_along}
            constant = constant_axes(expr, frozenset(axes | ({axis} if axis else set())))
            value = Value(self.fresh(name), constant | ({axis} if axis else frozenset()), **_sign(expr))
            self.stages.append(Stage(value, kind, expr, axis, frozen))
            self.known[key] = value
        return self.known[key]

    def fresh(self, name: str) -> str:
        of_derivatives = {f"d{value.name}" for value in self.inputs}
        if name in RESERVED_NAMES | {"g", "cotangent"} | of_derivatives or keyword.iskeyword(name):
            name += "_"
        candidates = itertools.chain([name], (f"{name}{number}" for number in itertools.count(2)))
        name = next(candidate for candidate in candidates if candidate not in self.names)
        self.names.add(name)
        return name

    def formula(self, result: Value, static: dict) -> Formula:
        """The formula whose output is the value of a stage."""
        stages = with_truths_told_from_numbers(alive(self.stages, result))
        return Formula(tuple(static.items()), tuple(self.inputs), stages, result)

    def output(self, result: sympy.Expr) -> Value:
        """The result as the value of a stage, which is called y where the author gave it no name."""
        value = self.hoist(words.in_words(real(exact(result))), "y")
        if value in self.inputs or value in self.contractions or not value.atoms(Value):
            self.stages.append(Stage(Value(self.fresh("y")), "map", value))
            value = self.stages[-1].value
        return self.stage(value, "map", "", "y")


def real(expr: sympy.Expr) -> sympy.Expr:
    """The expression itself.

    Raises:
        SpecError: it is complex, infinite or not a number.
    """
    numbers = [part for part in sympy.postorder_traversal(expr) if _is_computed(part)]
    values = [*map(_value, numbers)]
    if expr.has(sympy.nan) or sympy.nan in values:
        raise SpecError("the formula is NaN here", "NaN is no number of the language: leave such a case out with where")
    if expr.has(*INFINITE) or any(value.has(*INFINITE) for value in values):
        raise SpecError(
            "the formula is infinite here", "write a finite number, such as 1e30, and divide by none that is 0"
        )
    if expr.has(sympy.I) or not all(value.is_Float for value in values):
        raise SpecError(
            "the formula is complex here", "formulas are real: no 1j, no root or logarithm of a negative number"
        )
    return expr


def _is_computed(part) -> bool:
    """Whether this is a number that a word or a power makes."""
    return isinstance(part, sympy.Function | sympy.Pow) and bool(part.is_number)


def _value(number: sympy.Expr) -> sympy.Expr:
    try:
        return number.evalf()
    except (ZeroDivisionError, TypeError):  # TypeError: of mpmath, for what is made of infinity
        return sympy.zoo


def _sign(expr) -> dict[str, bool]:
    """What is known of the sign of a real expression; a real even root is never negative."""
    even_root = expr.is_Pow and expr.exp.is_Rational and expr.exp.q % 2 == 0
    if expr.is_positive or isinstance(expr, sympy.exp) or (even_root and expr.exp.is_negative):
        return {"positive": True}
    return {"nonnegative": True} if expr.is_nonnegative or even_root else {}


def alive(stages, output: Value) -> tuple[Stage, ...]:
    """The stages that the output depends on."""
    needed, alive = {output}, []
    for stage in reversed(stages):
        if stage.value in needed:
            needed |= stage.expr.atoms(Value)
            alive.append(stage)
    return tuple(reversed(alive))


def with_truths_told_from_numbers(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Stages in which a value that is a condition somewhere and a number elsewhere holds where it is not 0."""
    used = {use for stage in stages for use in _uses(stage.expr)}
    both = {value for value, is_truth in used if is_truth and (value, False) in used}
    return tuple(replace(stage, expr=_compared(stage.expr, both)) for stage in stages) if both else stages


def _uses(expr, is_truth=False) -> Iterator[tuple[Value, bool]]:
    """The values in an expression, each with whether it stands in the place of a condition."""
    if isinstance(expr, Value):
        yield expr, is_truth
    for place, arg in enumerate(expr.args):
        yield from _uses(arg, _is_place_of_truth(expr, place))


def _compared(expr, numbers: set[Value], is_truth=False):
    """The expression with these numbers compared to 0 where they stand in the place of a condition."""
    if expr in numbers:
        return sympy.Ne(expr, 0) if is_truth else expr
    args = [_compared(arg, numbers, _is_place_of_truth(expr, place)) for place, arg in enumerate(expr.args)]
    return expr.func(*args) if args != list(expr.args) else expr


def _is_place_of_truth(expr, place: int) -> bool:
    return isinstance(expr, And | Or | Not) or (isinstance(expr, Where) and place == 0)


def name_after(word: str, expr) -> str:
    """What a stage without a name is called: by its word and the only value in it, `sum_x`, `sum_square_x` of x**2."""
    values = list(expr.atoms(Value))
    if len(values) != 1 or len(values[0].name) >= 20:
        return word + "_"
    of_square = "square_" if expr.args[:1] == (values[0] ** 2,) else ""
    return f"{word}_{of_square}{values[0].name}"
