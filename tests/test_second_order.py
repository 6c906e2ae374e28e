"""Second derivatives over the whole range of floats, against differences of the formula itself.

Where the true one is an ordinary number, the library's is no NaN, inf or zero and no rough guess, and nothing warns.
"""

import warnings

import numpy as np
import pytest

pytest.importorskip("sympy")

from test_ops import CASES, arguments

import nngrad
from nngrad import Tensor, nn
from nngrad.codegen.certify import Oracle
from nngrad.functions import OPS, function

SIZES = np.array([7e-45, 1e-20, 1e-4, 0.3, 0.499, 1 - 2**-24, 2.3, 20, 90, 800, 6e37])
FLOAT64_ALONE = np.array([1e-290, 1e160])
PAIRED = np.array([1e-25, 0.3, 60, 3e12])

ONE_INPUT = [case for case in CASES if len(case.values[0][1].inputs) == 1 and not case.values[0][1].axes]
TWO_INPUTS = [
    case for case in CASES
    if case.values[0][0].name in {
        "arctan2", "binary_cross_entropy", "divide", "huber_loss", "hypot", "logaddexp", "multiply", "power",
        "smooth_l1_loss", "xlogy",
    }
]  # fmt: skip
ROWS = [case for case in CASES if case.values[0][1].axes and case.values[0][0].name not in {"max", "min", "sum"}]

# Where the oracle's central differences are no second derivative of ours: op -> (inputs, reason).
EXCEPT = {
    "elu": (lambda x: abs(x) < 1e-100, "it jumps at 0, and differences across give the mean of both sides"),
    "celu": (lambda x: abs(x) < 1e-100, "as elu"),
    "xlogy": (lambda x1, x2: x1 == 0, "the formula says 0 there, of which the slopes are 0"),
    "cbrt": (lambda x: x == 0, "infinite, but odd: differences across cancel"),
}
TINY_ERROR, ROUGH = 4, 1e-3  # in units of the smallest normal number, and relative


def floats(numbers):
    return np.array([float(number) for number in numbers.flat]).reshape(numbers.shape)


def within(numbers, dtype):
    """Which numbers are known, and finite in the dtype."""
    return np.isfinite(numbers) & (np.abs(numbers) <= float(np.finfo(dtype).max))


def is_right(got, truth, size, dtype):
    tiny = TINY_ERROR * float(np.finfo(dtype).tiny)
    with np.errstate(invalid="ignore"):
        near = np.abs(got - truth) <= ROUGH * size + tiny
    return near & ((got != 0) | (np.abs(truth) <= tiny))


def hessian_of_elements(op, called, columns, dtype):
    """Every second derivative of an elementwise op, by reverse mode twice: a row for each pair of inputs."""
    xs = [Tensor(column, dtype=dtype, requires_grad=True) for column in columns]
    ones = np.ones(columns[0].shape, dtype)
    y = function(OPS[op.name])(*xs, **called)
    rows = []
    for g in nngrad.gradients(y, xs, ones, create_graph=True):
        found = nngrad.gradients(g, xs, ones) if g.requires_grad else [np.zeros_like(ones)] * len(xs)
        rows += [np.asarray(one, dtype=float) for one in found]
    return rows


def truths(oracle, names, columns):
    """The second derivatives, in the order of `hessian_of_elements`, as float64."""
    inputs = dict(zip(names, columns, strict=True))
    ones = [{name: np.ones_like(columns[0])} for name in names]
    found = {}
    for i in range(len(names)):
        for j in range(i + 1):
            found[i, j] = found[j, i] = floats(oracle.curvature(ones[i], ones[j], inputs))
    return [found[i, j] for i in range(len(names)) for j in range(len(names))]


def is_calm(op, called, columns):
    """Where value and slopes are finite."""
    xs = [Tensor(column, dtype=column.dtype, requires_grad=True) for column in columns]
    y = function(OPS[op.name])(*xs, **called)
    y.backward(np.ones(y.shape, y.dtype))
    return np.isfinite(y.data) & np.all([np.isfinite(x.grad) for x in xs], axis=0)


def check_elements(op, formula, columns, dtypes):
    """The second derivatives at points, given as one column for each input, in each dtype that holds them."""
    numeric, called = arguments(op, formula)
    names = [value.name for value in formula.inputs]
    second = truths(Oracle(formula, numeric), names, columns)
    usual = ~EXCEPT[op.name][0](*columns) if op.name in EXCEPT else np.ones(columns[0].shape, bool)
    for dtype, held in dtypes:
        judged = usual & held & np.all([within(one, dtype) for one in second], axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            points = [column.astype(dtype) for column in columns]
            calm = judged & is_calm(op, called, points)
        for where, action in ((calm, "error"), (judged & ~calm, "ignore")):
            chosen = [column[where] for column in points]
            with warnings.catch_warnings():
                warnings.simplefilter(action)
                found = hessian_of_elements(op, called, chosen, dtype)
            for got, truth in zip(found, second, strict=True):
                wrong = ~is_right(got, truth[where], np.abs(truth[where]), dtype)
                told = [(*(float(one[i]) for one in chosen), truth[where][i], got[i]) for i in np.flatnonzero(wrong)]
                assert not told, f"{np.dtype(dtype).name}: (inputs, true, found) {told}"


@pytest.mark.parametrize("case", ONE_INPUT)
def test_one_input(case):
    op, formula = case
    small = SIZES.astype(np.float32).astype(np.float64)
    sizes = np.concatenate([small, FLOAT64_ALONE])
    x = np.concatenate([sizes, -sizes, [0.0]])
    in_float32 = np.isin(np.abs(x), [0, *small])
    check_elements(op, formula, [x], [(np.float32, in_float32), (np.float64, np.ones(x.shape, bool))])


@pytest.mark.parametrize("case", TWO_INPUTS)
def test_two_inputs(case):
    op, formula = case
    sizes = PAIRED.astype(np.float32).astype(np.float64)
    column = np.concatenate([sizes, -sizes[::2], [0.0]])
    x1, x2 = (one.ravel() for one in np.meshgrid(column, column))
    near = np.append(x1, sizes), np.append(x2, (sizes * 1.001).astype(np.float32))
    everywhere = np.ones(near[0].shape, bool)
    check_elements(op, formula, near, [(np.float32, everywhere), (np.float64, everywhere)])


RANDOM = np.random.default_rng(0).normal(size=4)
ROW = {
    "usual": RANDOM,
    "far": np.array([80, -80, 79.5, 0.3]),
    "saturated": np.array([800, -800, 3, 799]),
    "close": 1 + 1e-3 * RANDOM,
    "constant": np.full(4, 1.5),
    "large": RANDOM * 1e20,
    "small": RANDOM * 1e-25,
    "zero": np.zeros(4),
}


@pytest.mark.parametrize("case", ROWS)
@pytest.mark.parametrize("row", ROW)
def test_rows(case, row):
    """The second derivative of a weighted sum of the outputs along a random direction, for each element of a row."""
    op, formula = case
    numeric, called = arguments(op, formula)
    params = {**numeric, **{name: -1 for name in formula.axes}}
    called |= {name: -1 for name in formula.axes}
    random = np.random.default_rng(1)
    data, *others = (value.name for value in formula.inputs)
    inputs = {data: ROW[row][None].astype(np.float32)}
    for name in others:
        inputs[name] = np.array([2]) if name in formula.indices else random.normal(size=4).astype(np.float32)
    moving = [name for name in inputs if name not in formula.indices]
    along = {name: random.normal(size=inputs[name].shape).astype(np.float32) for name in moving}
    oracle = Oracle(formula, params)
    value, slope = (floats(np.atleast_1d(one)) for one in (oracle(**inputs), oracle.slope(along, inputs)))
    weights = random.normal(size=value.shape).astype(np.float32)
    terms = []
    for place in range(4):
        unit = np.zeros((1, 4))
        unit[0, place] = 1
        terms.append(weights * np.atleast_1d(oracle.curvature(along, {data: unit}, inputs)))
    truth = floats(np.array([term.sum() for term in terms]))
    size = floats(np.array([np.abs(term).sum() for term in terms]))
    for dtype in (np.float32, np.float64):
        if not within(np.concatenate([value.ravel(), slope.ravel(), truth]), dtype).all():
            continue
        tensors = {name: Tensor(inputs[name], dtype=dtype, requires_grad=True) for name in moving}
        call = [{**inputs, **tensors}.get(one.name) for one in op.inputs]
        y = function(OPS[op.name])(*call, **called)
        sent = weights.astype(dtype).reshape(y.shape)
        gradients = nngrad.gradients(y, list(tensors.values()), sent, create_graph=True)
        total = sum((g * along[name].astype(dtype)).sum() for name, g in zip(moving, gradients, strict=True))
        got = np.asarray(nngrad.gradients(total, tensors[data]), dtype=float)[0] if total.requires_grad else np.zeros(4)
        assert is_right(got, truth, size, dtype).all(), (dtype, truth, got)


@pytest.mark.parametrize("mode", ["forward over reverse", "forward twice"])
@pytest.mark.parametrize("name", ["arcsin", "gelu", "mish", "sinc", "tanh"])
def test_modes_agree(name, mode):
    x = np.array([-0.9, -1e-20, 0, 3e-7, 0.4])
    f, ones = function(OPS[name]), np.ones(5)
    twice = nngrad.grad(lambda x: nngrad.grad(lambda x: f(x).sum())(x).sum())(x).data
    if mode == "forward over reverse":
        found = nngrad.hvp(lambda x: f(x).sum(), x, ones)
    else:
        found = nngrad.jvp(lambda x: nngrad.jvp(f, (x,), (ones,))[1], (x,), (ones,))[1]
    np.testing.assert_allclose(found.data, twice, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("f", [nngrad.max, nngrad.ptp, lambda x: nn.functional.hinge_embedding_loss(x, [1, -1, 1])])
def test_gradients_with_a_graph_have_the_dtype_of_their_input(f, dtype):
    x = Tensor([0.5, 0.25, -1.0], dtype, requires_grad=True)
    g = nngrad.gradients(f(x), x, create_graph=True)
    np.testing.assert_array_equal(g.data, nngrad.gradients(f(x), x).data)
    assert g.dtype == dtype
    assert nngrad.jvp(nngrad.grad(lambda x: f(x) ** 2), (x,), (x,))[1].dtype == dtype
    assert nngrad.grad(lambda v: nngrad.jvp(f, (x,), (v,))[1])(x).dtype == dtype
