"""Docstrings of kernels as a reader takes them: the derivative that is printed there is that of the formula above it.

Both are run as Python on NumPy arrays, and the one is compared with differences of the other.
"""

import ast
import itertools
import math
import re

import numpy as np
import pytest
import sympy
from conftest import ROOT
from nngrad_ops import activations, losses, mathematics, norms
from sympy.core.symbol import Str

from nngrad.codegen import language
from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import SumOf, Value
from nngrad.codegen.algebra.vocabulary import WORDS as WORDS_OF_ALL
from nngrad.codegen.writing import plain
from nngrad.codegen.writing.readable import readable

MODULES = {"activations": activations, "losses": losses, "mathematics": mathematics, "norms": norms}
SECTION = re.compile(r"Derivative(?: where (.*))?:\n((?:    .*\n)+)")
OF_INDICES = {"nll_loss", "cross_entropy"}  # `take` and `one_hot` are no functions of arrays
OF_RESULTS = {"out", "reduction", "keepdims"}
ABOVE = {"arccosh": 1}  # where an op begins to be defined
KEPT = {"where": "condition", "masked_fill": "mask"}  # inputs that hold conditions


def along(reduction):
    """A reduction that keeps its axis, as those of formulas do."""
    return lambda x, axis, *_: reduction(x, axis=axis, keepdims=True)


ROWS = {name: along(getattr(np, name)) for name in ("sum", "prod", "max", "min", "mean", "var", "nansum", "nanmean")}
WORDS = {name: kernel for module in MODULES.values() for name, kernel in vars(module).items() if callable(kernel)} | {
    **ROWS,
    "count": lambda x, axis=None: SHAPE[-1],
    "subgradient": lambda value, condition, slope: value,
    "product_of_others": lambda x, axis: np.prod(x, axis=axis, keepdims=True) / x,
    "signbit": np.signbit, "isnan": np.isnan, "isinf": np.isinf, "where": np.where, "pi": math.pi,
}  # fmt: skip
SHAPE = (3, 4)


def documented():
    """Each function that tells its derivative, with its docstring, a condition and the lines under that."""
    for name in MODULES:
        for node in ast.parse((ROOT / "generated" / "nngrad_ops" / f"{name}.py").read_text()).body:
            doc = (ast.get_docstring(node) or "") if isinstance(node, ast.FunctionDef) else ""
            for condition, lines in SECTION.findall(doc):
                if node.name not in OF_INDICES:
                    yield pytest.param(node, doc, condition, lines, id=f"{node.name} {condition}".strip())


def arguments(function, condition):
    """Inputs of ordinary size, and parameters for which the condition holds."""
    random = np.random.default_rng(3)
    defaults = [ast.literal_eval(one) for one in function.args.defaults]
    names = [one.arg for one in function.args.args]
    required = names[: len(names) - len(defaults)]
    low = ABOVE.get(function.name, 0)
    given = {name: random.uniform(low + 0.1, low + 0.9, SHAPE) for name in required}
    given |= {name: random.random(SHAPE) < 0.5 for name in required if name == KEPT.get(function.name)}
    options = {name: [default] for name, default in zip(names[len(required) :], defaults, strict=True)}
    for name, (default,) in options.items():
        if name == "axis":
            options[name] = [-1]
        elif default is None:
            options[name] = [None, random.uniform(0.1, 0.9, SHAPE)]
        elif isinstance(default, bool):
            options[name] = [False, True]
        elif isinstance(default, str):
            options[name] = re.findall(rf'\b{name} == "(.*?)"', condition) or [default]
    for values in itertools.product(*options.values()):
        chosen = dict(zip(options, values, strict=True))
        if not condition or eval(condition, {}, chosen):
            return given | {
                name: value for name, value in chosen.items() if name not in ("out", "reduction", "keepdims")
            }
    raise AssertionError(f"no arguments where {condition}")


def run(doc, given):
    """The value of the formula in a docstring, and the author's steps by name."""
    body = doc.split("Formula:\n")[1].split("\n\nDerivative")[0]
    body = re.sub(
        r"^( *)return ((?:.|\n)*?)(?=\n *(?:if|return)\b|\Z)", r"\1y = \2\n\1return locals()", body, flags=re.M
    )
    body += "\n    return locals()"  # of a word, which is `y = exp(x)`
    space = dict(WORDS)
    exec(f"def formula({', '.join(given)}):\n{body}", space)
    steps = space["formula"](**given)
    return steps["y"], steps


@pytest.mark.parametrize(("function", "doc", "condition", "lines"), list(documented()))
def test_the_derivative_is_that_of_the_formula(function, doc, condition, lines):
    given = arguments(function, condition)
    direction, step = np.random.default_rng(5).uniform(-1, 1, SHAPE), 1e-6
    with np.errstate(all="ignore"):
        y, steps = run(doc, given)
        g = np.random.default_rng(6).uniform(-1, 1, np.shape(y))
        for name, line in re.findall(r"^    d(\w+) = ((?:.|\n     )*)", lines, re.MULTILINE):
            told = eval(line, WORDS | steps | given | {"g": g})
            above, below = (run(doc, given | {name: given[name] + sign * step * direction})[0] for sign in (1, -1))
            moved = np.sum(g * (above - below)) / (2 * step)
            assert np.sum(told * direction * np.ones(SHAPE)) == pytest.approx(moved, rel=1e-6, abs=1e-7)


def test_derivatives_are_in_words_that_formulas_have():
    """What guards a kernel at infinity, or keeps its digits, is no part of the mathematics."""
    also = {"one_hot", "product_of_others", "isnan", "isinf", "signbit"}
    for case in documented():
        *_, lines = case.values
        assert set(re.findall(r"(\w+)\(", lines)) <= {*language.__all__, *also}, case.id


@pytest.mark.parametrize("name", sorted(WORDS_OF_ALL.keys() - {*language.__all__, "sinc_slope"}))
def test_a_word_of_kernels_alone_is_written_out(name):
    """In words that formulas have, and without a choice of forms, but for words that are a choice."""
    choices = set() if name in ("bent", "held") else {"where", "maximum", "minimum", "clip"}
    word = WORDS_OF_ALL[name]
    shown = readable(plain.without_guards(word(*map(Value, "abc"[: word.arity])), (), set()))
    used = set(re.findall(r"(\w+)\(", shown))
    assert used <= {*language.__all__} - choices, shown


@pytest.mark.parametrize("head", plain.MEANINGS)
def test_what_keeps_rows_within_range_is_left_out(head):
    x, axis = Value("x"), Str("axis")
    e = language.exp(x)
    total = SumOf(e, axis)
    given = {
        "LogExcess": (total, axis, e), "LogShare": (total, axis, e, Value("i"), x), "RowShift": (x, axis),
        "RowTop": (x, axis, e), "LogMean": (x, axis, x, e),
        "Subgradient": (x, x > 0, 0), "RowScale": (x, axis, total, e), "MeanError": (x, axis, total),
        "Divergence": (total, axis, x, e), "Beyond": (total, axis, 1, 1, x, e),
        "LogRatio": (e, x, axis, total, x, e, 1), "Weighed": (x, axis, e),
    }  # fmt: skip
    shown = readable(plain.without_guards(x + head(*given[head.__name__]), (), set()))
    assert shown == {
        "LogExcess": "x + log(sum(exp(x), axis)) - max(x, axis)", "LogShare": "2*x - log(sum(exp(x), axis))",
        "RowShift": "x", "RowTop": "x", "LogMean": "2*x - log(count(axis))",
        "Subgradient": "2*x", "RowScale": "x + 1", "MeanError": "x",
        "Divergence": "x + sum(exp(x), axis)", "Beyond": "x + sum(exp(x), axis)",
        "LogRatio": "exp(x)", "Weighed": "2*x",
    }[head.__name__]  # fmt: skip


def test_guards_are_dropped_and_functions_are_few():
    x = Value("x")
    for guarded, line in {
        words.clamped(x, 1024) * words.sigmoid(words.finite(x)): "x*sigmoid(x)",
        words.exp(words.minimum(x, words.clamped(x, 64))) * words.maximum(words.clamped(x, 2), x): "x*exp(x)",
        words.minimum(x, 3): "minimum(x, 3)",
        4 * words.sigmoid_slope(2 * x): "1 - tanh(x)**2",
        words.sigmoid_slope(x): "(1 - sigmoid(x))*sigmoid(x)",
        words.passed(x, words.over_hypot(x, 3)): "x**2/sqrt(x**2 + 9)",
        1 - (x - 3): "4 - x",
        -x * (x - 3): "x*(3 - x)",
        sympy.Mul(-1, x - 3, evaluate=False): "-(x - 3)",
    }.items():
        assert readable(plain.without_guards(guarded, (), set())) == line


def test_decimals_are_those_of_the_formula():
    assert readable(language.erf(sympy.Rational("1.0507009873554804934193349852946") * Value("x"))) == (
        "erf(1.0507009873554805*x)"
    )
