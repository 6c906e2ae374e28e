"""Stage 1: a spec function becomes an `Op`.

The function runs once with symbols in place of tensors. Its source is first rewritten a little, so that the formula
survives the run: every assignment names a stage (SymPy alone would flatten names and order of operations away), and
every number stays exact. A parameter that is a str, a bool or None is static: the function runs once for each value it
is compared with, and each run gives a `Formula`.

Worked example: softmax is `e = exp(x); return e / sum(e, axis)`, and traces to

    Formula(inputs=(x,), output=y, stages=(
        Stage(e, 'map', exp(x)), Stage(sum_e, 'sum', e, axis='axis'), Stage(y, 'map', e / sum_e)))
"""

from __future__ import annotations

import ast
import inspect
import itertools
import keyword
import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
from sympy.logic.boolalg import Boolean

from nngrad.codegen import language, words
from nngrad.codegen.language import FUNCTION_WORDS, Contract, Declaration, affine
from nngrad.codegen.symbols import (
    Indexed,
    Indicator,
    Parameter,
    Pick,
    Reduction,
    SpecError,
    Subgradient,
    Value,
    Where,
    constant_axes,
    is_constant_along,
)
from nngrad.codegen.vocabulary import WORD_OF, WORDS, Word

REQUIRED = inspect.Parameter.empty
# What generated code calls its own: not for inputs and parameters, whose names are kept; locals get a `_` appended.
RESERVED_NAMES = {
    "OPS", "Op", "function", "inputs", "keepdims", "kernels", "needs", "np", "ops", "out", "reduction", "rules",
    "runtime", "self", "shape", "table", "tangents", "terms",
}  # fmt: skip
VARIANT_LIMIT = 64


@dataclass(frozen=True)
class Input:
    """A tensor input. `optional` inputs may be None; a `variadic` one stands for any number of tensors."""

    name: str
    optional: bool = False
    differentiable: bool = True
    variadic: bool = False


@dataclass(frozen=True)
class Param:
    """A keyword parameter. `default` is REQUIRED where the spec gives none."""

    name: str
    default: Any


@dataclass(frozen=True)
class Stage:
    """One step of a formula: `value = expr` (kind 'map') or `value = sum | prod | max | min of expr` along `axis`.

    A `frozen` stage is held constant by differentiation: the result does not depend on it (the max of a max-shift).
    `written` is the author's formula where rewriting has found a word of the language for the whole of it: that formula
    is differentiated then, not the word.
    """

    value: Value
    kind: str
    expr: sympy.Expr
    axis: str = ""
    frozen: bool = False
    written: sympy.Expr | None = None


@dataclass(frozen=True)
class Formula:
    """What an op computes for one choice of its static parameters (`static`) and optional inputs."""

    static: tuple[tuple[str, Any], ...]
    inputs: tuple[Value, ...]
    stages: tuple[Stage, ...]
    output: Value

    @property
    def reduced_axis(self) -> str:
        """The axis that the output drops, or ''."""
        axes = {stage.axis for stage in self.stages if stage.axis}
        return next((axis for axis in sorted(axes) if is_constant_along(self.output, axis)), "")

    @property
    def axes(self) -> frozenset[str]:
        return frozenset(stage.axis for stage in self.stages if stage.axis)

    @property
    def indices(self) -> frozenset[str]:
        """The inputs that `take` uses as indices."""
        return frozenset(pick.args[0].name for stage in self.stages for pick in stage.expr.atoms(Pick))

    def definition(self, value: Value) -> Stage | None:
        return next((stage for stage in self.stages if stage.value == value), None)


@dataclass(frozen=True)
class Op:
    """An op of the spec, traced.

    `formulas` is empty for structural ops and contractions, `contraction` set for contractions alone. `many` says
    whether the op has several outputs; a structural op says so by `-> tuple`. One that is linear but for a constant
    says `-> affine`; the others are linear.
    """

    name: str
    home: str
    family: str
    inputs: tuple[Input, ...]
    params: tuple[Param, ...]
    doc: str
    source: str
    file: str
    line: int
    many: bool = False
    is_affine: bool = False
    formulas: tuple[Formula, ...] = ()
    contraction: Indexed | Contract | None = None

    @property
    def maps_elements(self) -> bool:
        """Whether an element of the output is made of the inputs' elements at its place alone."""
        return self.family == "elementwise" and self.home != "loss"

    @property
    def row_axis(self) -> str:
        """The parameter that says along which axis rows lie, if all formulas reduce along that one."""
        axes = frozenset().union(*(formula.axes for formula in self.formulas))
        own = [param.name for param in self.params if param.name in axes]
        return own[0] if len(axes) == len(own) == 1 and all(formula.axes for formula in self.formulas) else ""

    @property
    def is_word(self) -> bool:
        """Whether the op is no more than a word of the language, so that its derivative was written, not derived."""
        if self.family == "contraction":
            return isinstance(self.contraction, Contract)
        return bool(self.formulas) and (not self.source or all(_is_one_word(formula) for formula in self.formulas))


def _is_one_word(formula: Formula) -> bool:
    """Whether a formula is one word of just its inputs, as `x1**x2` is."""
    expr = formula.stages[-1].expr
    return len(formula.stages) == 1 and type(expr) in WORD_OF and expr.args == formula.inputs


def trace(declaration: Declaration) -> Op:
    """Trace one declared op.

    Raises:
        SpecError: the function is not a formula of the language.
    """
    file, line = place(declaration)
    try:
        return _trace(declaration, file, line)
    except SpecError as error:
        raise SpecError(
            error.problem,
            error.mend,
            op=error.op or declaration.name,
            file=error.file or file,
            line=error.line or _line_of(error, file) or line,
        ) from error


def _trace(declaration: Declaration, file: str, line: int) -> Op:
    inputs, params = _signature(declaration)
    doc = _doc(declaration)
    source = "" if _is_word(declaration) else _source(declaration.function)
    common = dict(
        name=declaration.name, home=declaration.home, params=params, doc=doc, source=source, file=file, line=line
    )
    if declaration.home == "structural":
        gives = inspect.signature(declaration.function).return_annotation
        return Op(family="structural", inputs=inputs, many=gives is tuple, is_affine=gives is affine, **common)
    if declaration.home == "contraction":
        result, _ = _run(declaration, inputs, params, {}, Recorder(declaration.name))
        if not isinstance(result, Indexed | Contract):
            raise SpecError("the formula is not a product of indexed tensors", "write sum(a[i, k] * b[k, j], k)")
        return Op(family="contraction", inputs=inputs, contraction=result, **common)
    formulas = tuple(_formulas(declaration, inputs, params))
    differentiable = {value.name for formula in formulas for stage in formula.stages for value in carriers(stage.expr)}
    if not differentiable & {one.name for one in inputs}:  # constant in pieces: its derivative is 0
        differentiable = {one.name for one in inputs}
    inputs = tuple(replace(one, differentiable=one.name in differentiable) for one in inputs)
    _refuse_unused(inputs, params, formulas)
    family = "reduction" if any(formula.axes for formula in formulas) else "elementwise"
    return Op(family=family, inputs=inputs, formulas=formulas, **common)


def carriers(expr) -> set[Value]:
    """The tensors that an expression can carry a gradient to: those outside conditions and indices."""
    if isinstance(expr, Value):
        return {expr}
    if isinstance(expr, Boolean | Pick | Indicator):
        return set()
    if isinstance(expr, Where):
        return carriers(expr.args[1]) | carriers(expr.args[2])
    return {value for arg in expr.args for value in carriers(arg)}


def _refuse_unused(inputs, params, formulas) -> None:
    used = {symbol.name for formula in formulas for stage in formula.stages for symbol in stage.expr.free_symbols}
    used |= {name for formula in formulas for name in formula.axes}
    used |= {name for formula in formulas for name, _ in formula.static}
    used |= {pick.args[1].name for formula in formulas for stage in formula.stages for pick in stage.expr.atoms(Pick)}
    for one in (*inputs, *params):
        if one.name not in used:
            raise SpecError(f"{one.name} is not used in the formula", "use it or take it out of the signature")


# --- signature, source, place -----------------------------------------------------------------------------------------


def _is_word(declaration: Declaration) -> bool:
    return isinstance(declaration.function, Word) or declaration.function in FUNCTION_WORDS


def place(declaration: Declaration) -> tuple[str, int]:
    """The file and line where an op is declared."""
    if _is_word(declaration):
        return language.__file__, 0
    code = declaration.function.__code__
    return code.co_filename, code.co_firstlineno


def _doc(declaration: Declaration) -> str:
    if isinstance(declaration.function, Word):
        return declaration.function.doc
    if declaration.function in FUNCTION_WORDS:
        return FUNCTION_WORDS[declaration.function]
    return inspect.getdoc(declaration.function) or ""


def _source(function: Callable) -> str:
    return textwrap.dedent(inspect.getsource(function))


def _signature(declaration: Declaration) -> tuple[tuple[Input, ...], tuple[Param, ...]]:
    if isinstance(declaration.function, Word):
        arity = declaration.function.arity
        names = ("x",) if arity == 1 else tuple(f"x{position + 1}" for position in range(arity))
        return tuple(Input(name) for name in names), ()
    if declaration.function in FUNCTION_WORDS:
        names = inspect.signature(declaration.function).parameters
        return tuple(Input(name) for name in names if name != "axis"), (Param("axis", None),) * ("axis" in names)
    inputs, params = [], []
    for parameter in inspect.signature(declaration.function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            params.append(Param(parameter.name, parameter.default))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            inputs.append(Input(parameter.name, variadic=True))
        elif parameter.default not in (REQUIRED, None):
            raise SpecError(
                f"the input {parameter.name} has the default {parameter.default!r}",
                f"inputs are tensors; make it a parameter by a star before it: (x, *, {parameter.name}=...)",
            )
        else:
            inputs.append(Input(parameter.name, optional=parameter.default is None))
    for name in (declaration.name, *(one.name for one in (*inputs, *params))):
        if name in RESERVED_NAMES and declaration.home not in ("structural", "contraction"):
            raise SpecError(f"the name {name} is taken by the generated code", f"call it {name}_ or the like")
    if not inputs:
        raise SpecError("the op has no input", "give it a positional argument, as in def f(x)")
    params.sort(key=lambda param: param.default is not REQUIRED)  # emitted functions take them by position too
    return tuple(inputs), tuple(params)


def _line_of(error: BaseException, file: str) -> int:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return frames[-1].lineno if frames else 0


# --- running a spec function ------------------------------------------------------------------------------------------


class Static:
    """A static parameter during a run: it answers comparisons with its value, and remembers what it was compared
    with.
    """

    def __init__(self, name: str, value: Any, seen: set):
        self.name, self.value, self.seen = name, value, seen

    def __eq__(self, other) -> bool:
        self.seen.add(other)
        return self.value == other

    def __hash__(self):
        return hash(self.value)

    def __bool__(self) -> bool:
        if not isinstance(self.value, bool):
            raise SpecError(f"{self.name} is used as a condition", f"compare it: if {self.name} == {self.value!r}")
        self.seen.update((True, False))
        return self.value


PRESENT = "present"  # a static value: any but None
OTHER = "other"  # a static value: any string that the function does not compare with


def _formulas(declaration: Declaration, inputs, params) -> Iterator[Formula]:
    """One formula for every choice of the static parameters and optional inputs that the function tells apart."""
    optional = [
        one.name for one in (*inputs, *params) if getattr(one, "optional", False) or getattr(one, "default", 0) is None
    ]
    choices = {name: {None, PRESENT} for name in optional}
    choices |= {one.name: {one.default} for one in params if isinstance(one.default, bool)}
    choices |= {one.name: {one.default, OTHER} for one in params if isinstance(one.default, str)}
    compared: set[str] = set()
    done: dict[tuple, Formula | None] = {}
    while True:
        todo = [
            key
            for values in itertools.product(*(sorted(choices[name], key=repr) for name in choices))
            if (key := tuple(zip(choices, values, strict=True))) not in done
        ]
        if not todo:
            break
        if len(done) + len(todo) > VARIANT_LIMIT:
            raise SpecError(f"more than {VARIANT_LIMIT} combinations of static parameters", "split the op")
        recorder = Recorder(declaration.name)
        static = dict(todo[0])
        try:
            result, seen = _run(declaration, inputs, params, static, recorder)
            done[todo[0]] = recorder.formula(result, static)
        except SpecError:
            if OTHER not in static.values():
                raise
            done[todo[0]] = None  # the function has no formula for other strings: the op will refuse them
            continue
        for name, values in seen.items():
            choices[name] |= values
            compared |= {name} if values else set()
        axis_names = {label for formula in done.values() if formula for label in formula.axes}
        for name in [name for name in choices if name in axis_names]:
            del choices[name]
            done = {
                tuple(pair for pair in key if pair[0] != name): formula
                for key, formula in done.items()
                if dict(key)[name]
            }
    for name in [one.name for one in params if isinstance(one.default, str | bool) and one.name not in compared]:
        raise SpecError(
            f"{name} is not used in the formula", "compare it with a value, or take it out of the signature"
        )
    for key, formula in sorted(done.items(), key=lambda item: OTHER in dict(item[0]).values()):
        if formula is not None:
            yield Formula(key, formula.inputs, formula.stages, formula.output)


def _run(declaration: Declaration, inputs, params, static: dict, recorder: Recorder):
    """Run the function on symbols. Returns its result and, for each static parameter, the values it was compared
    with.
    """
    arguments, keywords, seen = [], {}, {}
    for one in inputs:
        recorder.names.add(one.name)
        if static.get(one.name, PRESENT) is None:
            arguments.append(None)
        else:
            arguments.append(Value(one.name))
            recorder.inputs.append(arguments[-1])
    for one in params:
        recorder.names.add(one.name)
        value = static.get(one.name, PRESENT)
        if value is None or value == PRESENT:
            keywords[one.name] = None if value is None else Parameter(one.name)
        else:
            seen[one.name] = set()
            keywords[one.name] = Static(one.name, value, seen[one.name])
    token = language.RECORDER.set(recorder)
    try:
        return recorder.inline(declaration, arguments, keywords), seen
    except SpecError:
        raise
    except Exception as error:
        raise _explained(error, declaration) from error
    finally:
        language.RECORDER.reset(token)


def _explained(error: Exception, declaration: Declaration) -> SpecError:
    file, _ = place(declaration)
    line = _line_of(error, file)
    if "truth value" in str(error):
        problem, mend = (
            "a condition on tensors is used where Python needs a plain bool",
            "use where(condition, a, b) for `if`, & | ~ for `and or not`, and split chained comparisons",
        )
    elif isinstance(error, NameError):
        problem, mend = str(error), "import it from nngrad.codegen.language"
    else:
        problem, mend = f"{type(error).__name__}: {error}", "a formula uses the words of nngrad.codegen.language only"
    return SpecError(problem, mend, op=declaration.name, file=file, line=line)


@dataclass
class Recorder:
    """Collects the stages of one run."""

    op: str
    inputs: list[Value] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    known: dict[sympy.Basic, Value] = field(default_factory=dict)

    def inline(self, declaration: Declaration, args, kwargs):
        """Run an op's function inside this formula; its result becomes a stage named after the op."""
        if declaration.home == "structural":
            raise SpecError(f"{declaration.name} is structural", "a formula may call formulas, not index maps")
        if _is_word(declaration):
            return declaration.function(*args, **kwargs)
        if declaration.name in WORDS and declaration.module.startswith("nngrad.spec."):
            return WORDS[declaration.name](*args, **kwargs)  # whose formula in nngrad's spec is one of many equal ones
        inputs, params = _signature(declaration)
        if not any(one.variadic for one in inputs):
            kwargs = {**dict(zip((one.name for one in params), args[len(inputs) :], strict=False)), **kwargs}
            args = args[: len(inputs)]
        result = instrumented(declaration.function)(*args, **kwargs)
        if declaration.name != self.op and isinstance(result, sympy.Expr):
            return self.let(_name_after(declaration.name, sympy.Tuple(*args)), result)
        return result

    def let(self, name: str, value):
        """What `name = value` does in a formula: the value becomes a stage of that name."""
        if not isinstance(value, sympy.Expr) or not value.atoms(Value) or isinstance(value, Value):
            return value
        return self.stage(self.hoist(value, name), "map", "", name)

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
            return self.stage(expr.args[0], expr.kind, expr.args[1].name, name or _name_after(expr.kind, expr))
        is_root = isinstance(expr, sympy.Pow) and not args[1].is_integer  # or another power that costs as much
        if (type(expr) in WORD_OF or is_root) and expr.atoms(Value):
            word = "root" if is_root else WORD_OF[type(expr)].name
            return self.stage(expr, "map", "", name or _name_after(word, expr))
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
        if name in RESERVED_NAMES | {"g"} or keyword.iskeyword(name):
            name += "_"
        candidates = itertools.chain([name], (f"{name}{number}" for number in itertools.count(2)))
        name = next(candidate for candidate in candidates if candidate not in self.names)
        self.names.add(name)
        return name

    def formula(self, result, static: dict) -> Formula:
        if not isinstance(result, sympy.Expr):
            raise SpecError(
                f"the function returns {type(result).__name__}, not an expression",
                "end it with `return` and an expression in its inputs",
            )
        value = self.hoist(result, "y")
        if value in self.inputs or not value.atoms(Value):
            self.stages.append(Stage(Value(self.fresh("y")), "map", value))
            value = self.stages[-1].value
        value = self.stage(value, "map", "", "y")
        return Formula(tuple(static.items()), tuple(self.inputs), alive(self.stages, value), value)


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


def _name_after(word: str, expr) -> str:
    values = sorted(value.name for value in expr.atoms(Value))
    return f"{word}_{values[0]}" if len(values) == 1 and len(values[0]) < 20 else word + "_"


# --- rewriting the source ---------------------------------------------------------------------------------------------


class _Instrument(ast.NodeTransformer):
    """`a = expr` becomes `a = __let__('a', expr)`, numbers become exact, `==` builds a condition."""

    def visit_FunctionDef(self, node):
        node.decorator_list = []
        node.returns = None
        for argument in (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs):
            argument.annotation = None
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_Assign(self, node):
        self.generic_visit(node)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            node.value = _call("__let__", node.value, ast.Constant(node.targets[0].id), node.value)
        return node

    def visit_AnnAssign(self, node):
        if node.value is None:
            return node
        return self.visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_AugAssign(self, node):
        operand = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        value = ast.copy_location(ast.BinOp(operand, node.op, node.value), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], value), node))

    def visit_Constant(self, node):
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return _call("__number__", node, ast.Constant(repr(node.value)))
        return node

    def visit_Compare(self, node):
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            name = "__equal__" if isinstance(node.ops[0], ast.Eq) else "__unequal__"
            return _call(name, node, node.left, node.comparators[0])
        return node


def _call(name: str, place, *args):
    call = ast.Call(ast.Name(name, ast.Load()), list(args), [])
    return ast.fix_missing_locations(ast.copy_location(call, place))


def instrumented(function: Callable) -> Callable:
    """The function, rewritten to record its stages; line numbers stay true."""
    tree = ast.parse(_source(function))
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    _Instrument().visit(tree)
    ast.fix_missing_locations(tree)
    closure = inspect.getclosurevars(function)
    namespace = {
        **function.__globals__,
        **closure.nonlocals,
        "__let__": lambda name, value: language.RECORDER.get().let(name, value),
        "__number__": lambda text: sympy.Rational(text) if "." in text or "e" in text else sympy.Integer(text),
        "__equal__": language.equal,
        "__unequal__": language.unequal,
    }
    exec(compile(tree, function.__code__.co_filename, "exec", dont_inherit=True), namespace)
    return namespace[function.__name__]
