"""A formula's source, rewritten a little so that the formula survives its run on symbols.

Every assignment names a stage (SymPy alone would flatten names and order of operations away), every number stays exact,
`==` builds a condition, and a condition in arithmetic is 1 or 0. Functions that the formula calls, and numbers that it
refers to, are taken the same way.
"""

from __future__ import annotations

import ast
import inspect
import math
import numbers
import textwrap
import types
from collections.abc import Callable

import sympy

from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import RECORDER, SpecError, Value
from nngrad.codegen.algebra.vocabulary import Word, as_number, is_condition
from nngrad.codegen.tracing.mistakes import GUARDED, check_names, guarded, is_symbolic, located, place_of

LARGE = 64  # a number that must not be added to what it does not belong to
KNOWN = {math.pi: sympy.pi, math.e: sympy.E}  # what these floats stand for, when a formula refers to them by name


def source_of(function: Callable) -> str:
    """A function's source, without the indentation it has where it stands.

    Raises:
        SpecError: there is none: the function was typed in a place that keeps no source.
    """
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise SpecError(
            f"the source of {function.__name__} can't be read, and a formula is its source",
            "write it in a file, or in a cell of a notebook; `python -c` and the plain prompt keep no source",
            op=function.__name__,
        ) from error


def instrumented(function: types.FunctionType, returned: Callable | None = None) -> Callable:
    """The function, rewritten to record its stages; places stay true. `returned` is told of what it returns.

    Raises:
        SpecError: it names what a formula can't use, or does what a formula can't do.
    """
    return _instrumented(function, returned, {})


def _instrumented(function, returned, done: dict) -> Callable:
    text, code = source_of(function), function.__code__
    try:
        tree = ast.parse(text)
    except SyntaxError:  # part of a larger expression
        return function
    ast.increment_lineno(tree, code.co_firstlineno - 1)
    definition = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    if definition is None:
        return function
    _indent(tree, function)
    closure = inspect.getclosurevars(function)
    known = {**function.__globals__, **closure.nonlocals, function.__name__: function, "__language__": language}
    if function.__name__ in function.__globals__:
        known[function.__name__] = function.__globals__[function.__name__]
    _Numbers(known).visit(tree)
    check_names(function, definition, known)
    _Instrument(code.co_filename).visit(tree)
    ast.fix_missing_locations(tree)
    namespace = {
        **{name: guarded(name) for name in GUARDED},
        **known,
        "__let__": lambda name, value: RECORDER.get().let(name, value),
        "__let_each__": let_each,
        "__number__": number,
        "__equal__": language.equal,
        "__unequal__": language.unequal,
        "__remainder__": language.python_remainder,
        "__floor_divide__": language.python_floor_divide,
        "__product__": product,
        "__as_number__": as_number,
        "__truth__": truth,
        "__return__": returned or (lambda value: value),
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    own_name = function.__name__
    for name in used & known.keys():
        namespace[name] = known[name] if name == own_name else _taken(known[name], done)
    done[function] = lambda *args, **keywords: namespace[own_name](*args, **keywords)
    exec(compile(tree, code.co_filename, "exec", dont_inherit=True), namespace)
    made = namespace[own_name]
    if own_name in function.__globals__ and function.__globals__[own_name] is not function:
        namespace[own_name] = function.__globals__[own_name]  # inside it the name means what it means in its module
    done[function] = made
    return made


def _taken(value, done: dict):
    """What a formula refers to, as it takes it: a number exact, a helper function rewritten in its turn."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool | sympy.Basic):
        if value in KNOWN:
            return KNOWN[value]
        return sympy.Integer(int(value)) if isinstance(value, numbers.Integral) else number(repr(float(value)))
    is_own = isinstance(value, types.FunctionType) and not value.__module__.startswith("nngrad.")
    if not is_own or value.__name__ == "<lambda>":
        return value
    if value not in done:
        done[value] = value
        try:
            done[value] = _instrumented(value, None, done)
        except SpecError as error:
            if not error.line:  # it has no source
                return value
            raise
    return done[value]


def let_each(names: tuple[str, ...], values):
    """What `a, b = values` does in a formula: each of the values becomes a stage."""
    if not isinstance(values, tuple | list) or len(values) != len(names):
        return values  # Python says what is wrong
    return tuple(RECORDER.get().let(name, value) for name, value in zip(names, values, strict=True))


def truth(value):
    """What Python asks for a truth, if that is known while the formula is read."""
    if is_symbolic(value):
        raise TypeError("the truth value of a tensor is not known yet")
    return value


def product(left, right):
    """What `left * right` does in a formula. SymPy multiplies a number into a sum, and in `x - 1e9 * (1 - mask)` would
    add x to 1e9, which swallows it: so the sum beside a large number becomes a stage. Where a condition is a factor and
    does not hold there is 0, whatever the other one is.
    """
    for condition, other in ((left, right), (right, left)):
        if is_condition(condition):
            return language.where(condition, other, 0)
    for number, total in ((left, right), (right, left)):
        if isinstance(number, sympy.Rational) and isinstance(total, sympy.Add) and total.atoms(Value):
            constant = total.as_coeff_Add()[0]
            if abs(number * constant) >= LARGE:
                return number * RECORDER.get().let("difference", total)
    return left * right


def number(text: str) -> sympy.Expr:
    """The exact number of a literal."""
    if text in ("inf", "-inf", "nan"):
        return sympy.sympify(float(text))
    return sympy.Rational(text) if "." in text or "e" in text else sympy.Integer(text)


def _indent(tree: ast.Module, function) -> None:
    """Move the columns to where they are in the file, in which the function may be indented."""
    lines = inspect.getsourcelines(function)[0]
    indent = len(lines[0].encode()) - len(lines[0].lstrip().encode())
    for node in ast.walk(tree) if indent else ():
        if hasattr(node, "col_offset"):
            node.col_offset += indent
            node.end_col_offset += indent


class _Numbers(ast.NodeTransformer):
    """`math.sqrt(2 * np.pi)`, a number that another library names, becomes the language's, which is exact."""

    def __init__(self, known: dict[str, object]):
        self.known = known

    def visit_Attribute(self, node):
        return self._word(node) if self._is_of_numbers(node) and node.attr in ("pi", "e") else node

    def visit_Call(self, node):
        self.generic_visit(node)
        word = getattr(language, node.func.attr, None) if self._is_of_numbers(node.func) else None
        is_taken = isinstance(word, Word) and word.arity == len(node.args) and not node.keywords
        if is_taken and all(self._is_number(argument) for argument in node.args):
            node.func = self._word(node.func)
        return node

    def _is_of_numbers(self, node) -> bool:
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            return False
        return getattr(self.known.get(node.value.id), "__name__", "") in ("math", "numpy")

    def _is_number(self, node) -> bool:
        return all(one.id == "__language__" for one in ast.walk(node) if isinstance(one, ast.Name))

    def _word(self, node):
        return _at(node, ast.Attribute(ast.Name("__language__", ast.Load()), node.attr, ast.Load()))


class _Instrument(ast.NodeTransformer):
    """`a = expr` becomes `a = __let__('a', expr)`, numbers become exact, `==` builds a condition."""

    def __init__(self, file: str):
        self.file, self.depth = file, 0

    def refuse(self, node, problem: str, mend: str):
        raise located(SpecError(problem, mend), place_of(node, self.file))

    def visit_FunctionDef(self, node):
        node.decorator_list = []
        node.returns = None
        for argument in (
            *node.args.args,
            *node.args.kwonlyargs,
            *node.args.posonlyargs,
            node.args.vararg,
            node.args.kwarg,
        ):
            if argument is not None:
                argument.annotation = None
        self.depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self.depth -= 1
        return node

    def visit_Return(self, node):
        self.generic_visit(node)
        if self.depth == 1:
            node.value = _call("__return__", node, node.value or ast.copy_location(ast.Constant(None), node))
        return node

    def visit_Assign(self, node):
        for target in node.targets:
            for one in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                self._check_target(one)
        self.generic_visit(node)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            node.value = _call("__let__", node.value, ast.Constant(node.targets[0].id), node.value)
        elif isinstance(node.targets[0], ast.Tuple) and all(isinstance(one, ast.Name) for one in node.targets[0].elts):
            names = ast.Constant(tuple(one.id for one in node.targets[0].elts))
            node.value = _call("__let_each__", node.value, names, node.value)
        return node

    def _check_target(self, target):
        if isinstance(target, ast.Subscript | ast.Attribute):
            self.refuse(
                target,
                f"{ast.unparse(target)} is assigned to, but the tensors of a formula don't change",
                "give the new value a name; for some of the elements, y = where(condition, new, x)",
            )

    def visit_AnnAssign(self, node):
        if node.value is None:
            return node
        return self.visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_AugAssign(self, node):
        self._check_target(node.target)
        operand = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
        value = ast.copy_location(ast.BinOp(operand, node.op, node.value), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], value), node))

    def visit_NamedExpr(self, node):
        self.generic_visit(node)
        node.value = _call("__let__", node.value, ast.Constant(node.target.id), node.value)
        return node

    def visit_If(self, node):
        self.generic_visit(node)
        node.test = _call("__truth__", node.test, node.test)
        return node

    visit_IfExp = visit_While = visit_Assert = visit_If

    def visit_BoolOp(self, node):
        self.generic_visit(node)
        node.values = [_call("__truth__", one, one) for one in node.values]
        return node

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Mult):
            return _call("__product__", node, node.left, node.right)
        if not isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor):
            node.left, node.right = (_call("__as_number__", side, side) for side in (node.left, node.right))
        name = {ast.Mod: "__remainder__", ast.FloorDiv: "__floor_divide__"}.get(type(node.op))
        return _call(name, node, node.left, node.right) if name else node

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.Invert):
            name = "__truth__" if isinstance(node.op, ast.Not) else "__as_number__"
            node.operand = _call(name, node.operand, node.operand)
        return node

    def visit_Constant(self, node):
        if isinstance(node.value, complex):
            self.refuse(node, f"{node.value} is complex", "formulas are real: use real numbers only")
        if isinstance(node.value, float) and node.value in (float("inf"), float("-inf")):
            self.refuse(node, "this number is infinite", "write a finite number, such as 1e30")
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return _call("__number__", node, ast.Constant(repr(node.value)))
        return node

    def visit_Compare(self, node):
        self.generic_visit(node)
        if not any(isinstance(one, ast.Is | ast.IsNot | ast.In | ast.NotIn) for one in node.ops):
            node.left, *node.comparators = (_call("__as_number__", one, one) for one in (node.left, *node.comparators))
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            name = "__equal__" if isinstance(node.ops[0], ast.Eq) else "__unequal__"
            return _call(name, node, node.left, node.comparators[0])
        return node


def _call(name: str, place, *args):
    return _at(place, ast.Call(ast.Name(name, ast.Load()), list(args), []))


def _at(place, node):
    return ast.fix_missing_locations(ast.copy_location(node, place))
