"""Stage 2: a spec function becomes an `Op`.

The function runs once with symbols in place of tensors. Its source is first rewritten a little, so that the formula
survives the run: every assignment names a stage (SymPy alone would flatten names and order of operations away), and
every number stays exact. A parameter that is a str, a bool or None is static: the function runs once for each value it
is compared with, and each run gives a `Formula`.

Worked example: softmax is `e = exp(x); return e / sum(e, axis)`, and traces to

    Formula(inputs=(x,), output=y, stages=(
        Stage(e, 'map', exp(x)), Stage(sum_e, 'sum', e, axis='axis'), Stage(y, 'map', e / sum_e)))
"""

from __future__ import annotations

import inspect
import itertools
import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import sympy
from sympy.core.relational import Relational

from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import RECORDER, Indexed, Parameter, Pick, SpecError, Test, Value
from nngrad.codegen.algebra.vocabulary import WORDS, Word
from nngrad.codegen.budget import OverBudget, within
from nngrad.codegen.language import FUNCTION_WORDS, Contract, Declaration, affine
from nngrad.codegen.tracing.formula import OTHER as OTHER
from nngrad.codegen.tracing.formula import PRESENT as PRESENT
from nngrad.codegen.tracing.formula import REQUIRED as REQUIRED
from nngrad.codegen.tracing.formula import Formula as Formula
from nngrad.codegen.tracing.formula import Input as Input
from nngrad.codegen.tracing.formula import Op as Op
from nngrad.codegen.tracing.formula import Param as Param
from nngrad.codegen.tracing.formula import Stage as Stage
from nngrad.codegen.tracing.formula import carriers as carriers
from nngrad.codegen.tracing.instrument import instrumented, source_of
from nngrad.codegen.tracing.mistakes import Place, explained, located, place_of_definition, raised_at
from nngrad.codegen.tracing.record import RESERVED_NAMES, name_after, real
from nngrad.codegen.tracing.record import Recorder as Recorder
from nngrad.codegen.tracing.record import alive as alive
from nngrad.codegen.tracing.steps import composite, contraction_alone

TRACING_SECONDS = 10.0  # a formula runs in milliseconds
VARIANT_LIMIT = 64


def trace(declaration: Declaration) -> Op:
    """Trace one declared op.

    Raises:
        SpecError: the function is not a formula of the language, or does not end.
    """
    file, line = place(declaration)
    try:
        return within(TRACING_SECONDS, lambda: _trace(declaration, file, line))
    except SpecError as error:
        found = raised_at(error, {file}) or _place_of_definition(declaration)
        raise located(error, found, declaration.name) from error
    except OverBudget as error:
        wrong = SpecError(
            f"the formula has not come to its end in {TRACING_SECONDS:g} s",
            "does each loop in it end? They run while the formula is read: for _ in range(3)",
        )
        raise located(wrong, raised_at(error, {file}) or _place_of_definition(declaration), declaration.name) from error


def _place_of_definition(declaration: Declaration, argument: str = "") -> Place | None:
    if _is_word(declaration):
        return None
    return place_of_definition(declaration.function, argument)


def _trace(declaration: Declaration, file: str, line: int) -> Op:
    source = "" if _is_word(declaration) else source_of(declaration.function)
    inputs, params = _signature(declaration)
    common = dict(
        name=declaration.name,
        home=declaration.home,
        params=params,
        doc=_doc(declaration),
        source=source,
        file=file,
        line=line,
    )
    if declaration.home == "structural":
        gives = inspect.signature(declaration.function).return_annotation
        return Op(family="structural", inputs=inputs, many=gives is tuple, is_affine=gives is affine, **common)
    runs = list(_runs(declaration, inputs, params))
    alone = contraction_alone(runs, declaration.home)
    if alone is not None:
        if isinstance(alone, Indexed):
            _refuse_unindexed(declaration, inputs, params, alone)
        return Op(family="contraction", inputs=inputs, contraction=alone, **{**common, "home": "contraction"})
    if declaration.home == "contraction":
        raise SpecError(
            "the formula is not a product of indexed tensors",
            "write sum(a[i, k] * b[k, j], k), or another decorator: @op, @activation, @loss or @norm",
        )
    whole = Op(family="composite", inputs=inputs, **common)
    if any(run.recorder.contractions or isinstance(run.result, tuple | Indexed) for run in runs):
        made = composite(whole, runs, _formula_op)
        _refuse_unused(declaration, inputs, params, [one for part in made.parts for one in part.formulas], made)
        return made
    formulas = [run.recorder.formula(run.result, run.static) for run in runs]
    _refuse_unused(declaration, inputs, params, formulas)
    return _formula_op(whole, formulas)


def _refuse_unindexed(declaration: Declaration, inputs, params, contraction: Indexed) -> None:
    """Refuse what a contraction does not use."""
    used = {value.name for value, _ in contraction.tensors}
    indices = [index for _, own in contraction.tensors for index in own if index is not Ellipsis]
    used |= {symbol.name for index in indices for symbol in index.free_symbols}
    for one in (*inputs, *params):
        if one.name not in used:
            wrong = SpecError(f"{one.name} is not used in the formula", "use it, or take it out of the signature")
            raise located(wrong, _place_of_definition(declaration, one.name))


def _formula_op(op: Op, formulas) -> Op:
    """The op with these formulas."""
    inputs = op.inputs
    exprs = [stage.expr for formula in formulas for stage in formula.stages]
    differentiable = {value.name for expr in exprs for value in carriers(expr)}
    # what has a sign bit is of floats: it gets the dtype of the others, and a gradient of 0
    differentiable |= {value.name for expr in exprs for test in expr.atoms(Test) for value in test.atoms(Value)}
    if not differentiable & {one.name for one in inputs}:  # constant in pieces: its derivative is 0
        differentiable = {one.name for one in inputs}
    inputs = tuple(replace(one, differentiable=one.name in differentiable) for one in inputs)
    family = "reduction" if any(formula.axes for formula in formulas) else "elementwise"
    return replace(op, family=family, inputs=inputs, formulas=tuple(formulas))


def _refuse_unused(declaration: Declaration, inputs, params, formulas, made: Op | None = None) -> None:
    """Refuse what a formula does not use, or can't use as it does."""
    used = {symbol.name for formula in formulas for stage in formula.stages for symbol in stage.expr.free_symbols}
    used |= (axes := {name for formula in formulas for name in formula.axes})
    used |= {name for formula in formulas for name, _ in formula.static}
    used |= {pick.args[1].name for formula in formulas for stage in formula.stages for pick in stage.expr.atoms(Pick)}
    used |= {name for step in (made.steps if made else ()) for name in step.arguments}
    used |= {param.name for part in (made.parts if made else ()) if part.contraction for param in part.params}
    for one in params:
        if one.name in axes and isinstance(one.default, float):
            wrong = SpecError(f"the axis {one.name} has the default {one.default}", f"an axis is an int: {one.name}=-1")
            raise located(wrong, _place_of_definition(declaration, one.name))
    for one in (*inputs, *params):
        if one.name not in used:
            mend = "use it, or take it out of the signature"
            if one.name == "axis":
                mend = "nothing is reduced along it: write sum(x, axis) or the like, or take it out of the signature"
            wrong = SpecError(f"{one.name} is not used in the formula", mend)
            raise located(wrong, _place_of_definition(declaration, one.name))


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


def _signature(declaration: Declaration) -> tuple[tuple[Input, ...], tuple[Param, ...]]:
    if isinstance(declaration.function, Word):
        arity = declaration.function.arity
        names = ("x",) if arity == 1 else tuple(f"x{position + 1}" for position in range(arity))
        return tuple(Input(name) for name in names), ()
    if declaration.function in FUNCTION_WORDS:
        names = inspect.signature(declaration.function).parameters
        return tuple(Input(name) for name in names if name != "axis"), (Param("axis", None),) * ("axis" in names)
    inputs, params = [], []

    def refuse(parameter, problem: str, mend: str):
        raise located(SpecError(problem, mend), _place_of_definition(declaration, parameter.name))

    for parameter in inspect.signature(declaration.function).parameters.values():
        name, default = parameter.name, parameter.default
        if name in RESERVED_NAMES and declaration.home != "structural":
            refuse(parameter, f"the name {name} is taken by the generated code", f"call it {name}_ or the like")
        if parameter.kind is parameter.VAR_KEYWORD:
            refuse(parameter, f"**{name} stands for parameters without names", "name each: def f(x, *, alpha=1.0)")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            params.append(_param(declaration, name, default, refuse, parameter))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            if declaration.home not in ("structural", "contraction"):
                refuse(parameter, f"*{name} stands for any number of inputs", "name each: def f(x, y)")
            inputs.append(Input(name, variadic=True))
        elif default not in (REQUIRED, None):
            refuse(
                parameter,
                f"the input {name} has the default {default!r}",
                f"inputs are tensors; make it a parameter by a star before it: (x, *, {name}={default!r})",
            )
        else:
            inputs.append(Input(name, optional=default is None))
    tangents = {f"d{one.name}": one.name for one in inputs}
    for parameter in inspect.signature(declaration.function).parameters.values():
        if of := tangents.get(parameter.name):
            problem = f"the name {parameter.name} is that of the tangent of {of} in the generated code"
            refuse(parameter, problem, f"call it {parameter.name}_ or the like")
    if declaration.name in RESERVED_NAMES and declaration.home != "structural":
        raise SpecError(f"the name {declaration.name} is taken by the generated code", f"call it {declaration.name}_")
    if not inputs:
        raise SpecError("the op has no input", "give it a positional argument, as in def f(x)")
    params.sort(key=lambda param: param.default is not REQUIRED)  # emitted functions take them by position too
    return tuple(inputs), tuple(params)


def _param(declaration: Declaration, name: str, default, refuse: Callable, parameter) -> Param:
    """A parameter. `...` as its default says that the caller must give it."""
    if declaration.home in ("structural", "contraction"):
        return Param(name, REQUIRED if default is ... else default)
    if default is REQUIRED:
        refuse(
            parameter,
            f"the parameter {name} has no default",
            f"give it one, by which the formula is judged: {name}=1.0; or {name}=... for one that callers must give",
        )
    if default is ...:
        return Param(name, REQUIRED)
    if isinstance(default, numbers.Real) and not isinstance(default, int | float):  # one of NumPy's
        default = int(default) if isinstance(default, numbers.Integral) else float(default)
    if isinstance(default, float) and default != default:
        refuse(parameter, f"the parameter {name} has the default NaN", "give it a number, to judge the formula by")
    is_axis = isinstance(default, tuple) and all(isinstance(one, int) for one in default)
    if default is not None and not isinstance(default, int | float | str) and not is_axis:
        refuse(
            parameter,
            f"the parameter {name} has the default {type(default).__name__} {default!r}",
            "a parameter is a number, a str, a bool or None, or the ints of an axis; an array is an input",
        )
    return Param(name, default)


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


@dataclass(frozen=True)
class Run:
    """One run of a formula: its result and what was recorded, for one choice of the static parameters."""

    static: dict[str, Any]
    result: Any
    recorder: Recorder


class Tracer(Recorder):
    """A recorder that can run ops inside the formula."""

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
        if isinstance(result, sympy.Expr):
            value = self.let(name_after(declaration.name, sympy.Tuple(*args)), result)
            if isinstance(value, Value) and value not in self.inputs:
                self.renamed.setdefault(value, None)
            return value
        return result


def _runs(declaration: Declaration, inputs, params) -> Iterator[Run]:
    """One run for every choice of the static parameters and optional inputs that the function tells apart."""
    optional = [
        one.name for one in (*inputs, *params) if getattr(one, "optional", False) or getattr(one, "default", 0) is None
    ]
    choices = {name: {None, PRESENT} for name in optional}
    choices |= {one.name: {one.default} for one in params if isinstance(one.default, bool)}
    choices |= {one.name: {one.default, OTHER} for one in params if isinstance(one.default, str)}
    compared: set[str] = set()
    done: dict[tuple, Run | None] = {}
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
        static = dict(todo[0])
        seen: dict[str, set] = {}
        try:
            done[todo[0]] = _run(declaration, inputs, params, static, seen)
        except SpecError:
            if OTHER not in static.values():
                raise
            done[todo[0]] = None  # the function has no formula for other strings: the op will refuse them
        for name, values in seen.items():
            choices[name] |= values
            compared |= {name} if values else set()
        axis_names = {stage.axis for one in done.values() if one for stage in one.recorder.stages if stage.axis}
        for name in [name for name in choices if name in axis_names]:
            del choices[name]
            done = {tuple(pair for pair in key if pair[0] != name): one for key, one in done.items() if dict(key)[name]}
    for name in [one.name for one in params if isinstance(one.default, str | bool) and one.name not in compared]:
        wrong = SpecError(
            f"{name} is not used in the formula", "compare it with a value, or take it out of the signature"
        )
        raise located(wrong, _place_of_definition(declaration, name))
    for key, run in sorted(done.items(), key=lambda item: OTHER in dict(item[0]).values()):
        if run is not None:
            yield replace(run, static=dict(key))


def _run(declaration: Declaration, inputs, params, static: dict, seen: dict[str, set]) -> Run:
    """Run the function on symbols. `seen` gets, for each static parameter, the values it was compared with."""
    recorder = Tracer(declaration.name)
    arguments, keywords = [], {}
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
    token = RECORDER.set(recorder)
    try:
        if _is_word(declaration):
            result = declaration.function(*arguments, **keywords)
        else:
            result = instrumented(declaration.function, _refuse_unfit)(*arguments, **keywords)
            _refuse_unfit(result)
        result = _with_stages(recorder, result)
    except SpecError:
        raise
    except Exception as error:
        raise explained(error, {place(declaration)[0]}) from error
    finally:
        RECORDER.reset(token)
    return Run(static, result, recorder)


def _with_stages(recorder: Recorder, result):
    """A formula's result, with expressions made values of stages."""
    if isinstance(result, tuple):
        return tuple(_with_stages(recorder, one) for one in result)
    if isinstance(result, Indexed | Contract) or result in recorder.contractions:
        return result
    return recorder.output(result)


def _refuse_unfit(result):
    """What a formula returns, if it may.

    Raises:
        SpecError: it is neither an expression, or index notation, nor a tuple of these.
    """
    several = result if isinstance(result, tuple) and result else (result,)
    if all(isinstance(one, sympy.Expr | Indexed | Contract) for one in several):
        for one in several:
            if isinstance(one, sympy.Expr):
                real(one)
        return result
    if result is None:
        raise SpecError("the formula returns nothing", "end it with `return` and an expression in its inputs")
    if isinstance(result, tuple | list) and all(isinstance(one, sympy.Expr | Indexed) for one in result):
        raise SpecError(
            f"the formula returns a {type(result).__name__}", "return several outputs as a tuple: return a, b"
        )
    if isinstance(result, sympy.logic.boolalg.Boolean):
        is_relation = isinstance(result, Relational)
        written = f"{result.lhs} {result.rel_op} {result.rhs}" if is_relation else result
        raise SpecError("the formula returns a condition", f"for 1 and 0, return where({written}, 1, 0)")
    kind = "str" if isinstance(result, Static) else type(result).__name__
    raise SpecError(
        f"the formula returns {_article(kind)}, not an expression",
        "end it with `return` and an expression in its inputs",
    )


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
