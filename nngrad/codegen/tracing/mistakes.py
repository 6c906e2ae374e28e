"""What to say of a mistake in a formula: where it is, the expression that is wrong, and what to write in its place.

Names are looked at before a formula runs, so that a function of NumPy is told by its name; what only a run shows, such
as `if` on a tensor, is told from the exception that Python raises.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import inspect
import linecache
import numbers
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module

import sympy

from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import Indexed, SpecError
from nngrad.codegen.algebra.vocabulary import Word
from nngrad.codegen.language import Declaration

LIBRARIES = {
    "numpy": "NumPy", "math": "Python's module math", "cmath": "Python's module cmath",
    "torch": "PyTorch", "jax": "JAX", "scipy": "SciPy", "sympy": "SymPy", "mpmath": "mpmath",
    "autograd": "autograd", "tensorflow": "TensorFlow", "nngrad": "nngrad",
}  # fmt: skip
LENGTH = "sqrt(sum(x**2, axis))"
# What other libraries, and Python, have by another name than the language.
ELSEWHERE = {
    "absolute": "abs(x)", "fabs": "abs(x)", "acos": "arccos(x)", "acosh": "arccosh(x)", "asin": "arcsin(x)",
    "asinh": "arcsinh(x)", "atan": "arctan(x)", "atan2": "arctan2(y, x)", "atanh": "arctanh(x)", "amax": "max(x, axis)",
    "amin": "min(x, axis)", "Abs": "abs(x)", "Max": "maximum(x1, x2)", "Min": "minimum(x1, x2)", "Piecewise": "where",
    "fmaximum": "fmax(x1, x2)", "pow": "x**y", "power": "x**y", "float_power": "x**y", "square": "x**2", "add": "x + y",
    "subtract": "x - y", "multiply": "x * y", "divide": "x / y", "true_divide": "x / y", "negative": "-x",
    "reciprocal": "1 / x", "mod": "remainder(x, y)", "clamp": "clip(x, low, high)", "average": "mean(x, axis)",
    "std": "sqrt(var(x, axis))", "dot": "sum(x * y, axis)", "matmul": "sum(a[..., i, k] * b[..., k, j], k)",
    "mm": "sum(a[i, k] * b[k, j], k)", "bmm": "sum(a[..., i, k] * b[..., k, j], k)",
    "einsum": "sum(a[..., i, k] * b[..., k, j], k)", "tensordot": "sum(a[..., i, k] * b[..., k, j], k)",
    "linalg": LENGTH, "inf": "a large number such as 1e30", "nan": "where, to leave such a case out",
    "isfinite": "~(isnan(x) | isinf(x))", "logical_and": "a & b", "logical_or": "a | b", "logical_not": "~a",
    "greater": "x > y", "less": "x < y", "heaviside": "where(x > 0, 1, 0)", "rsub": "y - x", "round": "rint(x)",
    "divmod": "floor_divide(x, y) and remainder(x, y)", "len": "count(x, axis)", "fsum": "sum(x, axis)",
    "float": "the tensor itself: numbers are exact", "int": "trunc(x)", "shape": "count(x, axis)",
    "size": "count(x)", "T": "the letters in another order, in index notation",
    "sorted": "max(x, axis) or min(x, axis)", "sort": "max(x, axis) or min(x, axis)",
    "argmax": "take(x, index, axis), the index being an input", "float32": "the number itself: numbers are exact",
    "argmin": "take(x, index, axis), the index being an input", "float64": "the number itself: numbers are exact",
    "factorial": "the number itself, 120 for 5", "lgamma": "what it is as an input, or leave out what is constant",
    "gammaln": "what it is as an input, or leave out what is constant", "median": "what it is as an input",
}  # fmt: skip
REDUCTIONS = ("count", "max", "mean", "min", "prod", "sum", "var")
GUARDED = ("abs", "complex", "divmod", "float", "int", "len", "max", "min", "pow", "round", "sorted", "sum")
WORDS = "a formula uses the words of nngrad.codegen.language, and functions of your own that use them"
KNOWN_LATER = "wants a truth that is known only when the op is called, and for each element apart"
KEYWORDS = {
    "keepdims": "leave it out: inside a formula a reduction keeps its axis with length 1",
    "keepdim": "leave it out: inside a formula a reduction keeps its axis with length 1",
    "dim": "it is called axis",
    "dtype": "leave it out: a formula is the same for every dtype",
    "out": "leave it out: generated code has it",
    "where": "write where(condition, x, 0) inside",
    "initial": "leave it out, and add it afterwards",
}


@dataclass(frozen=True)
class Place:
    """Where in a file something stands. Columns are bytes, as in Python's own positions; 0, 0 is the whole line."""

    file: str
    line: int
    end_line: int = 0
    column: int = 0
    end_column: int = 0

    @property
    def excerpt(self) -> str:
        """The line, and under it carets that mark the expression; '' if the file can't be read."""
        text = linecache.getline(self.file, self.line).rstrip("\n")
        if not text.strip():
            return ""
        indent = len(text) - len(text.lstrip())
        if self.end_line != self.line or not self.end_column:
            return text.strip()
        start, end = (len(text.encode()[:column].decode()) for column in (self.column, self.end_column))
        marks = " " * (start - indent) + "^" * max(end - start, 1)
        return text.strip() if marks == "^" * len(text.strip()) else f"{text.strip()}\n{marks}"


def place_of(node: ast.AST, file: str) -> Place:
    """Where a node of a file's tree stands."""
    return Place(file, node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0)


def located(error: SpecError, place: Place | None, op: str = "") -> SpecError:
    """The error with its place, where it has none."""
    if place is None or error.line:
        return SpecError(
            error.problem, error.mend, op=error.op or op, file=error.file, line=error.line, excerpt=error.excerpt
        )
    return SpecError(
        error.problem, error.mend, op=error.op or op, file=place.file, line=place.line, excerpt=place.excerpt
    )


def raised_at(error: BaseException, files: set[str]) -> Place | None:
    """Where in one of these files an exception came from: the innermost such place."""
    found, at = None, error.__traceback__
    while at:
        code = at.tb_frame.f_code
        if code.co_filename in files:
            positions = list(code.co_positions())[at.tb_lasti // 2] if at.tb_lasti >= 0 else (None,) * 4
            line, end_line, column, end_column = positions
            found = Place(code.co_filename, line or at.tb_lineno, end_line or 0, column or 0, end_column or 0)
        at = at.tb_next
    return found


def tree_of_file(file: str) -> ast.Module:
    """The tree of a file, or of a notebook's cell; an empty one if it can't be read."""
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return ast.Module([], [])


def definition(function: types.FunctionType) -> ast.FunctionDef | None:
    """The `def` of a function in its file."""
    code = function.__code__
    for node in ast.walk(tree_of_file(code.co_filename)):
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


def place_of_definition(function: types.FunctionType, argument: str = "") -> Place | None:
    """Where a function, or one of its arguments, is named."""
    node, file = definition(function), function.__code__.co_filename
    if node is None:
        return None
    given = node.args
    for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if one is not None and one.arg == argument:
            return place_of(one, file)
    return Place(file, node.lineno)


# --- names, before a formula runs -------------------------------------------------------------------------------------


def check_names(function: types.FunctionType, tree: ast.FunctionDef, known: dict[str, object]) -> None:
    """Look at each name of a formula, given what it may refer to.

    Raises:
        SpecError: a name is unknown, or belongs to another library.
    """
    file = function.__code__.co_filename
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            own.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.alias):
            own.add((node.asname or node.name).partition(".")[0])
    inside = [node for statement in tree.body for node in _walk(statement)]
    of_attribute = {}
    for node in inside:
        if isinstance(node, ast.Attribute):
            base = node.value
            while isinstance(base, ast.Attribute):
                base = base.value
            of_attribute.setdefault(id(base), node)  # the outermost comes first
    for node in inside:
        if isinstance(node, ast.Call) and len(node.args) == 2 and isinstance(node.args[1], ast.Constant):
            name = ast.unparse(node.func)
            if name in ("max", "min") and known.get(name) is getattr(language, name):
                raise located(_along_or_of_two(name, node), place_of(node, file))
        if not isinstance(node, ast.Name) or node.id in own:
            continue
        whole = of_attribute.get(id(node), node)
        if node.id not in known and not hasattr(builtins, node.id):
            raise located(unknown_name(node.id), place_of(node, file))
        value = known.get(node.id, getattr(builtins, node.id, None))
        wrong = foreign(value, whole, node.id)
        if wrong is not None:
            raise located(wrong, place_of(whole, file))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, but for types, which a formula does not run."""
    yield node
    for name, field in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for one in field if isinstance(field, list) else [field]:
                if isinstance(one, ast.AST):
                    yield from _walk(one)


def _along_or_of_two(name: str, node: ast.Call) -> SpecError:
    """What to say of `max(x, 0)`, which is a maximum along axis 0 and may have been meant otherwise."""
    x, number = map(ast.unparse, node.args)
    may_be_axis = isinstance(node.args[1].value, int) and not node.keywords
    along = f"; along axis {number} write {name}({x}, axis={number})" if may_be_axis else ""
    return SpecError(
        f"{name} goes along an axis, and {number} may be meant as a number here",
        f"of {x} and {number} write {name}imum({x}, {number}){along}",
    )


def foreign(value: object, whole: ast.expr, name: str) -> SpecError | None:
    """What to say of a name that refers to something of another library."""
    if isinstance(value, numbers.Number | sympy.Basic | Word | Declaration):
        return None
    if type(value).__name__ in ("ndarray", "Tensor", "Array"):
        return SpecError(f"{name} is an array", f"make it an input of the formula: def f(x, {name})")
    module = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    module = module or type(value).__module__
    library = module.partition(".")[0]
    if library not in LIBRARIES or module.startswith(("nngrad.codegen", "nngrad.spec")):
        return None
    if isinstance(value, types.ModuleType) and not isinstance(whole, ast.Attribute):
        return SpecError(f"{name} is a module", "a formula uses the words of nngrad.codegen.language")
    called = whole.attr if isinstance(whole, ast.Attribute) else getattr(value, "__name__", name)
    return _belongs(ast.unparse(whole), LIBRARIES[library], called)


def _belongs(text: str, library: str, called: str) -> SpecError:
    mend = f"write {LENGTH}" if called == "norm" else instead(called, or_near=False)  # which here is a decorator
    return SpecError(f"{text} belongs to {library}, which knows nothing of formulas", mend)


def unknown_name(name: str) -> SpecError:
    if name in language.__all__:
        return SpecError(f"{name} is not imported", instead(name))
    mend = instead(name)
    if mend == WORDS:
        mend += f"; what callers choose is a parameter: (x, *, {name}=...)"
    return SpecError(f"{name} is no word of the language", mend)


def instead(name: str, or_near: bool = True) -> str:
    """What to write for a name of another library, or for a misspelt one."""
    if name in language.__all__:
        return f"use the language's {name}: from nngrad.codegen.language import {name}"
    if name in ELSEWHERE:
        return f"write {ELSEWHERE[name]}"
    spec = [one for one in vars(import_module("nngrad.spec")).values() if isinstance(one, Declaration)]
    if name in {one.name for one in spec if one.home == "structural"}:
        return f"formulas have no {name}, but Tensors have: use it before the op is called, or after"
    ops = {one.name for one in spec if one.home != "structural"}
    if name in ops:
        return f"{name} is an op of nngrad, which a formula may call: from nngrad.spec import {name}"
    words = [word for word in language.__all__ if len(word) > 1]
    near = difflib.get_close_matches(name, [*words, *ops], 1) if or_near else []
    if near:
        module = "nngrad.codegen.language" if near[0] in words else "nngrad.spec"
        return f"did you mean {near[0]}? from {module} import {near[0]}"
    return WORDS


def guarded(name: str) -> Callable:
    """Python's function of that name, for numbers only."""
    function = getattr(builtins, name)

    def call(*args, **keywords):
        if any(map(is_symbolic, args)):
            raise SpecError(f"{name} is Python's own, which knows nothing of formulas", instead(name))
        return function(*args, **keywords)

    return call


def is_symbolic(value) -> bool:
    """Whether something stands for what is known only when the op is called."""
    if isinstance(value, list | tuple):
        return any(map(is_symbolic, value))
    return isinstance(value, Indexed) or (isinstance(value, sympy.Basic) and bool(value.free_symbols))


def check_module(file: str, declared: list[str]) -> None:
    """Look at the names of a spec's ops.

    Raises:
        SpecError: an op has the name of a word that the file imports: a formula might mean the one or the other.
    """
    tree = tree_of_file(file)
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "nngrad.codegen.language"
        for alias in node.names
    }
    words = set(language.__all__) if "*" in imported else imported
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in declared and node.name in words:
            raise located(
                SpecError(
                    f"{node.name} is a word of the language, which this file imports, and an op that it declares",
                    "call the op something else, or import only the words that the file uses",
                ),
                Place(file, node.lineno),
            )


# --- exceptions of a run ----------------------------------------------------------------------------------------------


def explained(error: Exception, files: set[str]) -> SpecError:
    """What to say of an exception that a formula's run ended with."""
    place = raised_at(error, files)
    node = node_at(place) if place else None
    text, wrong = str(error), None
    if isinstance(error, RecursionError):
        wrong = SpecError("the formula calls itself without end", "write a loop instead: for _ in range(3)")
        place = place and replace(place, end_column=0)
    elif isinstance(error, UnboundLocalError):
        name = error.name if getattr(error, "name", None) else re.findall(r"'(\w+)'", text)[0]
        wrong = SpecError(
            f"{name} is assigned to in this function, so Python takes it for a local variable from the start",
            f"give the variable another name than {name}"
            if name in language.__all__
            else f"assign {name} before you use it",
        )
    elif "truth value" in text:
        wrong, place = condition(place)
    elif isinstance(error, AttributeError) and is_symbolic(getattr(error, "obj", None)):
        arguments = "x, axis" if error.name in REDUCTIONS else "x"
        mend = f"write {error.name}({arguments})" if error.name in language.__all__ else instead(error.name)
        wrong = SpecError(f"tensors of a formula have no .{error.name}", mend)
    elif isinstance(error, TypeError):
        wrong = type_error(text, node)
    if wrong is None:
        wrong = SpecError(
            f"{type(error).__name__}: {text}",
            "a formula uses Python's arithmetic and the words of nngrad.codegen.language",
        )
    return located(wrong, place)


def node_at(place: Place) -> ast.AST | None:
    """The smallest node of the file that covers a place."""
    inside = [
        node
        for node in ast.walk(tree_of_file(place.file))
        if hasattr(node, "lineno")
        and (node.lineno, node.col_offset) <= (place.line, place.column)
        and (node.end_lineno, node.end_col_offset) >= (place.end_line, place.end_column)
    ]
    return inside[-1] if inside else None


def condition(place: Place | None) -> tuple[SpecError, Place | None]:
    """What to say of a condition on tensors where Python wants to know it, and where it stands."""
    problem = f"Python {KNOWN_LATER}"
    around = ancestors(place) if place else []
    for one in around:
        if isinstance(one, ast.Compare) and len(one.ops) > 1:
            parts = [ast.unparse(ast.Compare(left, [operator], [right])) for left, operator, right in
                     zip([one.left, *one.comparators], one.ops, one.comparators, strict=False)]  # fmt: skip
            problem = f"a chain of comparisons {KNOWN_LATER}"
            mend = "split it: " + " & ".join(f"({part})" for part in parts)
        elif isinstance(one, ast.BoolOp):
            sign = "&" if isinstance(one.op, ast.And) else "|"
            first, second = (ast.unparse(value) for value in one.values[:2])
            mend = "write " + f" {sign} ".join(f"({ast.unparse(value)})" for value in one.values)
            if any(isinstance(value, ast.Constant) for value in one.values):  # it joins numbers
                results = (second, first) if sign == "&" else (first, second)
                mend = f"write where({', '.join([first, *results])})"
            problem = f"`{'and' if sign == '&' else 'or'}` {KNOWN_LATER}"
        elif isinstance(one, ast.UnaryOp) and isinstance(one.op, ast.Not):
            mend = f"write ~({ast.unparse(one.operand)})"
            problem = f"`not` {KNOWN_LATER}"
        elif isinstance(one, ast.IfExp):
            mend = f"write where({ast.unparse(one.test)}, {ast.unparse(one.body)}, {ast.unparse(one.orelse)})"
            problem = f"`if` {KNOWN_LATER}"
        elif isinstance(one, ast.If | ast.While | ast.Assert):
            mend = f"write where({ast.unparse(one.test)}, a, b), with both results"
            if isinstance(one.test, ast.Name):
                mend += f"; whether it is given is asked by: if {one.test.id} is not None"
            problem = f"`{type(one).__name__.lower()}` {KNOWN_LATER}"
            one = one.test
        else:
            continue
        return SpecError(problem, mend), place_of(one, place.file)
    return SpecError(problem, "use where(condition, a, b) for `if`, & | ~ for `and or not`"), place


def ancestors(place: Place) -> list[ast.AST]:
    """The nodes around a place, up to the statement, the innermost first."""
    tree = tree_of_file(place.file)
    statements = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt)
        and not isinstance(node, ast.FunctionDef)
        and node.lineno <= place.line <= (node.end_lineno or 0)
    ]
    if not statements:
        return []
    start, end = (place.line, place.column), (place.end_line, place.end_column)
    nodes = [statements[-1], *(node for node in ast.walk(statements[-1]) if hasattr(node, "lineno"))]
    covering = [
        node
        for node in nodes
        if (node.lineno, node.col_offset) <= start and (node.end_lineno, node.end_col_offset) >= end
    ]
    return [*reversed(covering), statements[-1]]


def type_error(text: str, node: ast.AST | None) -> SpecError | None:
    """What to say of a TypeError; None where there is nothing to add."""
    call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    if keyword := re.search(r"unexpected keyword argument '(\w+)'", text):
        return SpecError(
            f"{call or 'the function'} takes no {keyword[1]}=", KEYWORDS.get(keyword[1], f"write {usage(call)}")
        )
    if re.search(r"missing \d+ required|takes .* positional argument", text):
        return SpecError(f"{call or 'it'} is called with too few or too many arguments", f"write {usage(call)}")
    if "is not iterable" in text or "has no len()" in text or "non-iterable" in text:
        return SpecError(
            "a tensor of a formula has no elements that Python could go through",
            "write the formula of one element; sums, means and the like go along an axis: sum(x, axis)",
        )
    if "cannot be interpreted as an integer" in text:
        return SpecError(
            "a parameter is known only when the op is called, so it can't count a loop",
            "write the number, as in range(3), or make it a constant above the function",
        )
    if "not callable" in text:
        return SpecError(f"{call} is no function", f"to multiply write {call} * (...)")
    if "ufunc" in text:
        return _belongs(call or "this", "NumPy", call.rpartition(".")[2])
    if isinstance(node, ast.BinOp):
        left, right = ast.unparse(node.left), ast.unparse(node.right)
        if isinstance(node.op, ast.MatMult):
            return SpecError("@ is not for formulas", f"write sum({left}[..., i, k] * {right}[..., k, j], k)")
        if isinstance(node.op, ast.BitXor):
            return SpecError("^ is not a power", f"write {left}**{right}")
        if isinstance(node.op, ast.LShift | ast.RShift):
            return SpecError("numbers of a formula have no bits", f"write {left} * 2**{right}, or / for >>")
        if found := re.search(r"'(\w+)' and '(\w+)'", text):
            sides = {kind: side for side, kind in zip((left, right), found.groups(), strict=True)}
            if static := sides.get("Static"):
                mend = f"compare it: if {static} == value, or if {static}:"
                return SpecError(f"{static} is a str, a bool or None, and no number", mend)
            if truth := sides.get("bool"):
                return SpecError(f"{truth} is no number", f"write {int(truth == 'True')}, or where(condition, 1, 0)")
            if absent := sides.get("NoneType"):
                return SpecError(f"{absent} is None here", f"ask first: if {absent} is None")
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            sign = "&" if isinstance(node.op, ast.BitAnd) else "|"
            return SpecError(
                f"{sign} joins conditions, and binds more tightly than comparisons do",
                f"put brackets around what it joins: (x > 0) {sign} (x < 1)",
            )
        if "sequence" in text:
            return SpecError("a str, a list or a tuple is no number", "use numbers; what holds many is an input")
    if isinstance(node, ast.Subscript) or "not subscriptable" in text:
        return SpecError(
            "only tensors that have a name are indexed",
            "give it a name first: e = exp(x), then e[i, k]; a parameter is one number and has no elements",
        )
    return None


def usage(call: str) -> str:
    """How a word is called."""
    word = getattr(language, call, None)
    if not callable(word) or not call:
        return "its arguments as its definition has them"
    return f"{call}{inspect.signature(word)}"
