"""Kernels that do less for inputs of ordinary size: each element is computed in its own way, whatever is beside it."""

import importlib
import inspect
import itertools
import re

import numpy as np
import pytest
from nngrad_ops import OPS, runtime
from nngrad_ops.tiles import listed

LIMIT = re.compile(r"are_within\((\d+), ")
SHORTER = [
    (op, limit)
    for op in OPS.values()
    if op.family == "elementwise"
    for limit in sorted({int(found) for found in LIMIT.findall(inspect.getsource(inspect.getmodule(op.forward)))})
    if f"are_within({limit}, " in inspect.getsource(op.forward)
]


def points(op, limit, dtype):
    """Inputs up to the limit, and the same with one beyond it at the end."""
    line = np.linspace(-limit, limit, 601)
    corners = np.array(list(itertools.product((limit, -limit), repeat=len(op.inputs)))).T
    columns = [np.append(column, ends) for column, ends in zip((line, line[::-1] * 0.7), corners, strict=False)]
    within = [column.astype(dtype) for column in columns]
    return within, [np.append(column, dtype(2 * limit + 1)) for column in within]


def made_of(formulas, package, folder, monkeypatch):
    """The ops of a package that is generated from the source of a spec."""
    command = pytest.importorskip("nngrad.codegen.command")
    (folder / "own.py").write_text(formulas)
    assert command.run(["--spec", str(folder / "own.py"), "--out", str(folder / package)]) == 0
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module(package).OPS.values()


def in_both_dtypes(op, inputs):
    """What an op's kernel gives for as many of the inputs as it takes, rounded to float32, in that and in float64."""
    rounded = inputs[: len(op.inputs)].astype(np.float32)
    return (op.forward(*rounded.astype(dtype)) for dtype in (np.float32, np.float64))


def test_there_are_some():
    assert {"sigmoid", "silu", "mish", "logsigmoid"} <= {op.name for op, _ in SHORTER}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("op", "limit"), SHORTER, ids=[f"{op.name}-{limit}" for op, limit in SHORTER])
def test_inputs_beyond_the_limit_change_nothing_elsewhere(op, limit, dtype):
    within, beyond = points(op, limit, dtype)
    for alone, among_others in zip(op.forward(*within), op.forward(*beyond), strict=True):
        assert alone.dtype == among_others.dtype == dtype
        np.testing.assert_array_equal(alone, among_others[:-1], strict=True)


@pytest.mark.parametrize(("op", "limit"), SHORTER, ids=[f"{op.name}-{limit}" for op, limit in SHORTER])
def test_nan_stays_where_it_is(op, limit):
    within, _ = points(op, limit, np.float32)
    within[0][7] = np.nan
    with np.errstate(invalid="ignore"):  # NumPy's logaddexp2 warns
        results, alone = op.forward(*within), op.forward(*(x[7:8] for x in within))
    assert np.isnan(results[0][7]) or len(op.inputs) > 1
    for result, expected in zip(results, alone, strict=True):
        np.testing.assert_array_equal(result[7], expected[0])
        assert not np.isnan(np.delete(result, 7)).any()


ACTIVATIONS = [op for op in OPS.values() if (op.module, op.family, len(op.inputs)) == ("activations", "elementwise", 1)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("op", [op for op in ACTIVATIONS if ... not in op.params.values()], ids=lambda op: op.name)
def test_activations_do_not_warn_at_infinity(op, dtype):
    """Not even of 0 times infinity, on the way to a limit; x times what has decayed is 0 there."""
    for x in (np.inf, -np.inf):
        op.forward(np.array([x, 1], dtype))
        op.kernel(np.array([x, 1], dtype))
    if op.name in ("silu", "mish"):
        np.testing.assert_array_equal(op.kernel(np.array([-np.inf, np.inf], dtype)), [0, np.inf])


OF_ALL_SIZES = np.concatenate([sign * np.array([1e-40, 1e-9, 0.3, 1.25, 4, 20, 50, 1e3, 1e30]) for sign in (1, -1)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", [one for one in OPS.values() if one.family == "elementwise"], ids=lambda one: one.name)
def test_no_element_depends_on_those_beside_it(op, dtype):
    params = {name: 0.4 for name, default in op.params.items() if default is ...}
    params |= {"reduction": "none"} if "reduction" in op.params else {}
    needs = {"needs": (True,) * len(op.inputs)} if op.needs else {}
    random = np.random.default_rng(0)
    values = np.append(OF_ALL_SIZES, [0, np.inf, -np.inf, np.nan])
    columns = [random.permutation(values).astype(dtype) if given else values > 1 for given in op.differentiable]

    def computed(*inputs):
        """The value, and the cotangents that there are."""
        made = listed(op.forward(*inputs, **params))
        cotangents = op.vjp(np.ones_like(made[0]), *op.residuals_of([*inputs, *made]), **needs, **params)
        return [made[0], *(one for one in listed(cotangents) if one is not None)]

    with np.errstate(all="ignore"):
        among_others = computed(*columns)
        alone = [computed(*(column[i : i + 1] for column in columns)) for i in range(len(values))]
    for results, each in zip(among_others, zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(np.broadcast_to(results, values.shape), np.concatenate(each))


def test_what_counts_as_ordinary():
    x = np.array([-3.0, 3.0], np.float32)
    assert runtime.are_within(3, x) and not runtime.are_within(2.5, x)
    assert not runtime.are_within(3, np.array([np.nan], np.float32))
    assert not runtime.are_within(3, x, np.array([-np.inf]))
    assert not runtime.are_within(3, x.astype(np.float16)), "its exponentials would leave the range"
    assert runtime.are_within(3, np.zeros(0))


def test_in_parts_needs_elements_of_both_kinds():
    seen = []

    def kernel(*arrays):
        seen.append([array.tolist() for array in arrays])
        return np.add.reduce(arrays)

    x = np.array([-3.0, 3.0], np.float32)
    assert runtime.in_parts(kernel, 2, [x]) is None and not seen, "all elements are beyond"
    assert runtime.in_parts(kernel, 4, [np.append(x, 5).astype(np.float16)]) is None and not seen
    np.testing.assert_array_equal(runtime.in_parts(kernel, 3, [np.append(x, np.nan)]), [-3, 3, np.nan])
    assert seen == [[[-3.0, 3.0, -3.0]], [[pytest.approx(np.nan, nan_ok=True)]]]
    np.testing.assert_array_equal(runtime.in_parts(kernel, 3, [x[:1], 4 * x / 3 - 1]), [-8, 0])


SPEC = """
from nngrad.codegen.language import exp, op

@op
def one(x, *, rate=1.0):
    return x / (1 + exp(-rate * x))

@op
def half(x, *, rate=0.5):
    return x / (1 + exp(-rate * x))

@op
def recruits(x, *, capacity=10.0):
    return x * exp(1 - x / capacity)

@op
def delayed(x, *, odds=2.5):
    return 1 / (1 + odds * exp(-x))

@op
def repelled(x, *, steepness=3.5):  # its slope has a pole at 0
    return exp(-steepness * x) - 1 / x**6
"""


def test_exponents_stay_within_what_was_judged_for_any_parameter(tmp_path):
    command = pytest.importorskip("nngrad.codegen.command")
    (tmp_path / "own.py").write_text(SPEC)
    assert command.run(["--spec", str(tmp_path / "own.py"), "--out", str(tmp_path / "own_rates")]) == 0
    kernels = (tmp_path / "own_rates" / "kernels.py").read_text()
    bounds = ("-1 <= rate <= 1", "-0.5 <= rate <= 0.5", "abs(capacity) >= 10", "-2.5 <= odds <= 2.5")
    assert all(f"if {bound} and runtime.are_within(" in kernels for bound in bounds)


WIDE = """
from nngrad.codegen.language import *

@op
def tanhexp(x):
    return x * tanh(exp(x))

@op
def smape(x, y):
    return 2 * abs(x - y) / (abs(x) + abs(y) + 1e-8)

@op
def snake(x):
    return x + sin(1.5 * x) ** 2 / 1.5

@op
def wavelet(x):
    return cos(5 * x) * exp(-x**2 / 2)

@op
def barron(x):
    return (x**2 / 0.8 + 1) ** 0.6 - 1

@op
def radial(x, y):
    return exp(-2 * (x - y) ** 2)

@op
def gated(x, y):
    s = 1 / (1 + exp(-y))
    return s * x + (1 - s) * tanh(y)
"""


@pytest.mark.slow
def test_what_is_computed_in_float64_far_out_is_not_for_inputs_of_ordinary_size(tmp_path, monkeypatch):
    inputs = np.random.default_rng(0).normal(0, 2, (2, 4000))
    for op in made_of(WIDE, "own_wide", tmp_path, monkeypatch):
        code = inspect.getsource(op.forward)
        assert code.index("runtime.are_within(") < code.index("x = x.astype(np.float64")
        short, wide = in_both_dtypes(op, inputs)
        np.testing.assert_allclose(short[0], wide[0], rtol=4.2e-7, atol=1e-44)
        for ours, exact in zip(short[1:], wide[1:], strict=True):
            np.testing.assert_allclose(ours, exact, rtol=8e-7, atol=1e-7)


PLAIN = """
from nngrad.codegen.language import *

@op
def distance(x, y):
    return sqrt(x**2 + y**2 + 1)

@op
def cauchy(x):
    return log(1 + x**2 / 4)

@op
def mollified(x):
    return (x + sqrt(x**2 + 4)) / 2
"""


@pytest.mark.slow
def test_what_keeps_roots_and_squares_in_range_is_not_for_inputs_of_ordinary_size(tmp_path, monkeypatch):
    inputs = np.random.default_rng(0).normal(0, 3, (2, 2000))
    for op in made_of(PLAIN, "own_plain", tmp_path, monkeypatch):
        code = inspect.getsource(op.forward)
        short, _, rest = code.partition("runtime.in_parts(")
        assert "runtime.are_within(64, " in short and rest
        assert not any(word in short for word in ("hypot", "clamped", "amended"))
        ours, exact = in_both_dtypes(op, inputs)
        for one, other in zip(ours, exact, strict=True):
            np.testing.assert_allclose(one, other, rtol=5e-7)
