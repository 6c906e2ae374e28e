"""Formulas for the eye: LaTeX, and two-dimensional unicode text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pretty.pretty import PrettyPrinter
from sympy.printing.pretty.stringpict import prettyForm, stringPict

from nngrad.codegen.algebra import symbols
from nngrad.codegen.algebra.symbols import ALL_AXES, Indexed, Value, Where
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.trace import OTHER, PRESENT, Formula, Op
from nngrad.codegen.writing.plain import author_names, cotangents, definition, is_named, without_guards
from nngrad.codegen.writing.readable import Ordered

WIDTH = 100
GREEK = {"alpha", "beta", "gamma", "delta", "kappa", "lambda", "mu", "nu", "omega", "rho", "sigma", "tau", "theta"}
SPELLED = {"eps": r"\varepsilon", "lambd": r"\lambda"}
WORDS = {  # LaTeX of the words that are not written as functions of their name
    "abs": r"\left|{0}\right|", "floor": r"\left\lfloor{0}\right\rfloor", "ceil": r"\left\lceil{0}\right\rceil",
    "sigmoid": r"\sigma\left({0}\right)", "cbrt": r"\sqrt[3]{{{0}}}", "log2": r"\log_2\left({0}\right)",
    "log10": r"\log_{{10}}\left({0}\right)", "floor_divide": r"\left\lfloor\frac{{{0}}}{{{1}}}\right\rfloor",
    "maximum": r"\max\left({0}, {1}\right)",
    "minimum": r"\min\left({0}, {1}\right)", "power": r"{{{0}}}^{{{1}}}",
}  # fmt: skip
FUNCTIONS = {"sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"}  # LaTeX knows their names


@dataclass(frozen=True)
class Equation:
    """One equation, as LaTeX and as text of one or more lines, which is made when it is asked for."""

    latex: str
    write: Callable[[], str] = field(compare=False)

    @cached_property
    def text(self) -> str:
        return self.write()


# --- equations of an op -----------------------------------------------------------------------------------------------


def formula_equations(op: Op, formula: Formula, result: str = "y") -> Iterator[Equation]:
    """A formula in the author's steps; its result is y, say, and what the author called so before is y1."""
    own, output = author_names(op), Value(result)
    renamed = {stage.value: Value(f"{result}1") for stage in formula.stages if stage.value.name == result}
    renamed[formula.output] = output
    for stage in formula.stages:
        if stage.value == formula.output or is_named(stage.value, own):
            shown = without_guards(definition(stage), formula.stages, own).xreplace(renamed)
            yield _equation(renamed.get(stage.value, stage.value), shown)


def derivative_equations(
    op: Op, formula: Formula, cotangent: Value, vjp: dict[Value, sympy.Expr], result: str = "y"
) -> Iterator[Equation]:
    """The derivative to each input: of elementwise ops the partial one, of others the cotangent for the output's g."""
    for value, expr in cotangents(op, formula, vjp, author_names(op)).items():
        if op.family == "elementwise":
            expr = expr.xreplace({cotangent: sympy.S.One})
            d, d_latex = ("∂", r"\partial") if len(op.inputs) > 1 else ("d", "d")
            left = rf"\frac{{{d_latex} {name_latex(result)}}}{{{d_latex} {name_latex(value.name)}}}"
            name = f"{d}{result}/{d}{value.name}"
        else:
            left, name = rf"\overline{{{name_latex(value.name)}}}", f"d{value.name}"
        shown = expr.xreplace({formula.output: Value(result)})
        yield Equation(f"{left} = {latex(shown)}", partial(_text, name, shown))


def contraction_equations(
    indexed: Indexed, letters: str, leads: bool, result: str = "y"
) -> tuple[list[Equation], list[Equation]]:
    """A contraction in index notation, and the cotangents of its operands, g being that of its result."""
    outer = (Ellipsis,) * leads + sympy.symbols(tuple(letters), integer=True)
    every = _letters(index for _, own in indexed.factors for index in own)
    summed = [letter.name for letter in indexed.summed]
    formula = _index_equation(result, name_latex(result), outer, indexed.factors, summed, bias=indexed.bias)
    derivative = []
    for value, own in indexed.factors:
        others = [factor for factor in indexed.factors if factor[0] != value]
        mapped = [index for index in own if index is not Ellipsis and not index.is_Symbol]
        places = dict(zip(mapped, sympy.symbols("u v w"), strict=False))
        shown = tuple(places.get(index, index) for index in own)
        summed = ["..."] * (leads and Ellipsis not in own)
        summed += sorted(every - _letters(index for index in shown if index not in places.values()))
        conditions = [sympy.Eq(place, index, evaluate=False) for index, place in places.items()]
        bar = rf"\overline{{{name_latex(value.name)}}}"
        equation = _index_equation(f"d{value.name}", bar, shown, [(Value("g"), outer), *others], summed, conditions)
        derivative.append(equation)
    if indexed.bias:
        value, own = indexed.bias
        bar = rf"\overline{{{name_latex(value.name)}}}"
        summed = ["..."] * leads + sorted(set(letters) - _letters(own))
        derivative.append(_index_equation(f"d{value.name}", bar, own, [(Value("g"), outer)], summed))
    return [formula], derivative


def _letters(indices) -> set[str]:
    return {letter.name for index in indices if index is not Ellipsis for letter in index.free_symbols
            if letter.is_integer}  # fmt: skip


def _index_equation(name: str, left: str, own, factors, summed: list[str], conditions=(), bias=None) -> Equation:
    over = ", ".join(r"\ldots" if letter == "..." else letter for letter in summed)
    total = rf"\sum\limits_{{{over}}} " if summed else ""
    total += "".join(rf"\left[{latex(condition)}\right]\, " for condition in conditions)
    product = r"\, ".join(_with_indices(name_latex(value.name), index) for value, index in factors)
    text = "".join(
        [f"Σ_{''.join(summed)} " if summed else "", *(f"[{one.lhs} = {one.rhs}] " for one in conditions)]
    ) + " ".join(f"{value.name}[{', '.join(map(_plain_index, index))}]" for value, index in factors)
    if bias is not None:
        value, index = bias
        product += f" + {_with_indices(name_latex(value.name), index)}"
        text += f" + {value.name}[{', '.join(map(_plain_index, index))}]"
    text = f"{name}[{', '.join(map(_plain_index, own))}] = {text}"
    return Equation(f"{_with_indices(left, own)} = {total}{product}", lambda: text)


def _with_indices(name: str, index) -> str:
    shown = [r"\ldots" if one is Ellipsis else latex(one) for one in index]
    is_plain = all(one is Ellipsis or one.is_Symbol for one in index)
    base = f"{{{name}}}" if "_" in name else name
    return f"{base}_{{{(' ' if is_plain else ', ').join(shown)}}}"


def _plain_index(index) -> str:
    return "..." if index is Ellipsis else str(index)


def condition_of(op: Op, formula: Formula) -> str:
    """The condition under which an op computes a formula, '' if it has no other."""
    if len(op.formulas) == 1:
        return ""
    parts = []
    for name, value in formula.static:
        if value is None:
            parts.append(f"without {name}")
        elif value == PRESENT:
            parts.append(f"with {name}")
        elif isinstance(value, bool):
            parts.append(f"{name}={value}")
        else:
            parts.append(f"any other {name}" if value == OTHER else f'{name}="{value}"')
    return ", ".join(parts)


def _equation(left: Value, right) -> Equation:
    return Equation(f"{name_latex(left.name)} = {latex(right)}", partial(_text, left.name, right))


def _text(left: str, right) -> str:
    return pretty(sympy.Eq(sympy.Symbol(left), right, evaluate=False))


# --- LaTeX ------------------------------------------------------------------------------------------------------------


def name_latex(name: str) -> str:
    """The LaTeX of a name: `x1` has an index, `eps` is a Greek letter, longer ones stand upright."""
    if name in SPELLED:
        return SPELLED[name]
    base, _, index = name.partition("_")
    if not index and (match := re.fullmatch(r"([a-zA-Z]+)(\d+)", base)):
        base, index = match.groups()
    if len(index) > 1 and not index.isdigit():
        base, index = name.replace("_", r"\_"), ""
    shown = rf"\{base}" if base in GREEK else base if len(base) == 1 else rf"\mathrm{{{base}}}"
    return f"{shown}_{{{index}}}" if index else shown


class _Latex(Ordered, LatexPrinter):
    """LaTeX of the language's expressions."""

    def _print_Symbol(self, expr, style="plain"):
        return name_latex(expr.name)

    def _print_Small(self, expr, exp=None):
        return self._raised(self._print(expr.args[0]), exp, False)

    def _print_Count(self, expr, exp=None):
        return self._raised("n", exp, False)

    def _print_Where(self, expr, exp=None):
        rows = []
        for value, condition in branches(expr):
            when = r"\text{otherwise}" if condition is None else rf"\text{{if }} {self._print(condition)}"
            rows.append(rf"{self._print(value)} & {when}")
        listed = r" \\ ".join(rows)
        return self._raised(rf"\begin{{cases}} {listed} \end{{cases}}", exp)

    def _print_Indicator(self, expr, exp=None):
        return self._raised(rf"\left[{self._print(expr.args[0])}\right]", exp, False)

    def _print_Pick(self, expr, exp=None):
        return self._raised(rf"\left[i = {self._print(expr.args[0])}\right]", exp, False)

    def _print_Subgradient(self, expr, exp=None):
        return self._raised(self._print(expr.args[0]), exp)

    def _print_ProductOfOthers(self, expr, exp=None):
        return self._raised(rf"\prod\limits_{{\text{{others}}}} {self._term(expr.args[0])}", exp)

    def _print_AxisSum(self, expr, exp=None):
        return self._raised(rf"\sum{self._under(expr.args[1])} {self._term(expr.args[0])}", exp)

    _print_SumOf = _print_AxisSum

    def _print_ProductOf(self, expr, exp=None):
        return self._raised(rf"\prod{self._under(expr.args[1])} {self._term(expr.args[0])}", exp)

    def _print_MaxOf(self, expr, exp=None):
        return self._raised(rf"\max{self._under(expr.args[1])} {self._term(expr.args[0])}", exp)

    def _print_MinOf(self, expr, exp=None):
        return self._raised(rf"\min{self._under(expr.args[1])} {self._term(expr.args[0])}", exp)

    def _print_Function(self, expr, exp=None):
        word = WORD_OF.get(type(expr))
        name = word.name if word else type(expr).__name__
        args = [self._print(arg) for arg in expr.args]
        if name in WORDS:
            if name == "power":
                args[0] = self.parenthesize(expr.args[0], PRECEDENCE["Pow"], strict=True)
            return self._raised(WORDS[name].format(*args), exp, name == "power")
        head = rf"\{name}" if name in FUNCTIONS else rf"\operatorname{{{name}}}".replace("_", r"\_")
        power = f"^{{{exp}}}" if exp else ""
        return rf"{head}{power}\left({', '.join(args)}\right)"

    def _print_log(self, expr, exp=None):
        power = f"^{{{exp}}}" if exp else ""
        return rf"\log{power}\left({self._print(expr.args[0])}\right)"

    def _print_BooleanFunction(self, expr):
        return rf"\operatorname{{{type(expr).__name__.lower()}}}\left({self._print(expr.args[0])}\right)"

    _print_IsNan = _print_IsInf = _print_SignBit = _print_BooleanFunction

    def _print_ExpBase(self, expr, exp=None):
        return self._raised(rf"\mathrm{{e}}^{{{self._print(expr.args[0])}}}", exp)

    _print_exp = _print_ExpBase

    def _print_Exp1(self, expr, exp=None):
        return self._raised(r"\mathrm{e}", exp, False)

    def _needs_mul_brackets(self, expr, first=False, last=False):
        return (isinstance(expr, SPREADING) and not last) or super()._needs_mul_brackets(expr, first, last)

    def _print_Add(self, expr, order=None):
        *terms, last = self._as_ordered_terms(expr, order=order)
        parts = []
        for term in (*terms, last):
            is_negative = term.could_extract_minus_sign()
            term = -term if is_negative else term
            bracketed = self._needs_add_brackets(term) or (isinstance(term, SPREADING) and term not in (last, -last))
            text = self._print(term)
            sign = ("- " if is_negative else "") if not parts else "- " if is_negative else "+ "
            parts.append(sign + (rf"\left({text}\right)" if bracketed else text))
        return " ".join(parts)

    def _under(self, axis) -> str:
        return "" if axis.name == ALL_AXES else rf"\limits_{{\text{{{axis.name}}}}}"

    def _term(self, expr) -> str:
        text = self._print(expr)
        return rf"\left({text}\right)" if expr.is_Add or expr.could_extract_minus_sign() else text

    def _raised(self, text: str, exp, bracketed: bool = True) -> str:
        if not exp:
            return text
        return rf"\left({text}\right)^{{{exp}}}" if bracketed else f"{text}^{{{exp}}}"


SPREADING = (  # what has no bracket to end it
    symbols.AxisSum, symbols.SumOf, symbols.ProductOf, symbols.ProductOfOthers, symbols.MaxOf, symbols.MinOf, Where
)  # fmt: skip


def latex(expr) -> str:
    """An expression as LaTeX."""
    return _Latex({"full_prec": False, "mul_symbol": r"\, "}).doprint(_with_decimals(expr))


def branches(expr) -> list[tuple[sympy.Expr, object]]:
    """The values of nested `where`, each with its condition; None is the condition of what is left."""
    if not isinstance(expr, Where):
        return [(expr, None)]
    condition, value, rest = expr.args
    return [(value, condition), *branches(rest)]


def _with_decimals(expr):
    """The expression with decimals for fractions that nobody would read."""
    fractions = {number: sympy.Float(number, 8) for number in expr.atoms(sympy.Rational) if number.q >= 1000}
    return expr.xreplace(fractions)


# --- unicode text -----------------------------------------------------------------------------------------------------


class _Pretty(Ordered, PrettyPrinter):
    """Formulas in two dimensions, names as they are."""

    def _print_Symbol(self, expr, bold_name=False):
        return prettyForm(expr.name)

    def _print_Small(self, expr):
        return self._print(expr.args[0])

    def _print_Count(self, expr):
        return prettyForm("n")

    def _print_Where(self, expr):
        pairs = [(value, sympy.true if condition is None else condition) for value, condition in branches(expr)]
        return self._print_Piecewise(sympy.Piecewise(*pairs, evaluate=False))

    def _print_Indicator(self, expr):
        return prettyForm(*self._print(expr.args[0]).parens("[", "]"))

    def _print_Pick(self, expr):
        return prettyForm(*stringPict(f"i = {expr.args[0].name}").parens("[", "]"))

    def _print_Subgradient(self, expr):
        return self._print(expr.args[0])

    def _print_SumOf(self, expr):
        return self._called({"SumOf": "Σ", "AxisSum": "Σ", "ProductOf": "Π", "MaxOf": "max", "MinOf": "min"}[
            type(expr).__name__], expr.args[0])  # fmt: skip

    _print_AxisSum = _print_ProductOf = _print_MaxOf = _print_MinOf = _print_SumOf

    def _print_ProductOfOthers(self, expr):
        return self._called("Π others", expr.args[0])

    def _print_Function(self, expr, **options):
        word = WORD_OF.get(type(expr))
        return self._called(word.name if word else type(expr).__name__, *expr.args)

    def _called(self, name: str, *args):
        return self._helper_print_function(None, args, func_name=name)


def pretty(expr) -> str:
    """An expression as text, in two dimensions where it needs them."""
    return _Pretty({"num_columns": WIDTH, "wrap_line": True, "use_unicode": True, "full_prec": False}).doprint(
        _with_decimals(expr)
    )
