"""Every op with a formula, against an oracle that never saw its derivative.

The oracle is mpmath on the formula as the spec states it, and central differences of it in 60 digits. Parametrised
over the
spec: a new op is tested the day it is written. Inputs are drawn where the formula is finite and away from its kinks.
"""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sympy")

from conftest import ops_of
from nngrad_ops import OPS

import nngrad
from nngrad import Tensor
from nngrad.codegen.certify import Oracle
from nngrad.codegen.trace import PRESENT, REQUIRED
from nngrad.functions import function

SPEC = Path(nngrad.__file__).parent / "spec"
TRACED = ops_of(SPEC)
CASES = [
    pytest.param((op, formula), id="-".join([op.name, *(f"{name}={value}" for name, value in formula.static)]))
    for op in TRACED.values()
    for formula in op.formulas
]
NUMBERS = {"min": -0.6, "max": 0.7, "threshold": 0.9, "value": 0.25, "ddof": 1, "posinf": 3.5, "neginf": -2.5}
SHAPES = [(3, 4), (2, 1)]


def arguments(op, formula):
    """(params as the formula has them, params to call with)."""
    static = dict(formula.static)
    numeric, called = {}, {}
    for param in op.params:
        choice = static.get(param.name, PRESENT)
        if choice != PRESENT:
            called[param.name] = choice
            continue
        value = NUMBERS.get(param.name, param.default)
        assert value is not REQUIRED, f"add a sample number for {param.name}"
        numeric[param.name] = called[param.name] = value
    if op.home == "loss":
        called["reduction"] = "none"
    return numeric, called


def sample(op, formula, oracle, seed=0):
    """Inputs at which the formula and its slope are finite, by trying again element by element."""
    random = np.random.default_rng(seed)
    names = [value.name for value in formula.inputs]
    shapes = {name: (3, 4) if place == 0 or op.family == "reduction" else (4,) for place, name in enumerate(names)}
    inputs = {name: random.normal(0, 1.2, shapes[name]) for name in names}
    for one in op.inputs:
        if not one.differentiable and one.name in inputs:
            if one.name in formula.indices:
                inputs[one.name] = random.integers(0, 4, 3)
            else:
                inputs[one.name] = random.random(shapes[one.name]) < 0.5
    if op.family == "reduction":
        return inputs
    for _ in range(40):
        value = oracle(**inputs).astype(float)
        direction = {name: np.ones(inputs[name].shape) for name in names if inputs[name].dtype != bool}
        slope = oracle.slope(direction, inputs).astype(float)
        bad = ~np.isfinite(value) | ~(np.abs(slope) < 100)
        if not bad.any():
            return inputs
        for name in direction:
            own = bad if inputs[name].shape == bad.shape else bad.any(0)
            inputs[name] = np.where(own, random.normal(0.5, 1.5, inputs[name].shape), inputs[name])
    raise AssertionError(f"no inputs found for {op.name}")


def directions(op, inputs, seed):
    random = np.random.default_rng(seed)
    moving = [one.name for one in op.inputs if one.differentiable and one.name in inputs]
    return {name: random.normal(size=inputs[name].shape) for name in moving}


def as_tensors(op, inputs, requires_grad=True, dtype=np.float64):
    moving = {one.name for one in op.inputs if one.differentiable}
    return [
        None if one.name not in inputs
        else Tensor(inputs[one.name], dtype=dtype, requires_grad=requires_grad) if one.name in moving
        else inputs[one.name]
        for one in op.inputs
    ]  # fmt: skip


@pytest.fixture(params=CASES, name="case")
def fixture_case(request):
    op, formula = request.param
    numeric, called = arguments(op, formula)
    oracle = Oracle(formula, numeric)
    inputs = sample(op, formula, oracle)
    return op, oracle, inputs, called


def close(actual, expected, rtol=1e-9, atol=1e-11):
    np.testing.assert_allclose(np.asarray(actual, dtype=float), np.asarray(expected, dtype=float), rtol=rtol, atol=atol)


def test_forward(case):
    op, oracle, inputs, called = case
    y = function(OPS[op.name])(*as_tensors(op, inputs, False), **called)
    expected = oracle(**inputs)
    assert y.shape == expected.shape
    close(y.data, expected, 1e-12, 1e-13)


def test_reverse_forward_and_second_order(case):
    op, oracle, inputs, called = case
    v, u = directions(op, inputs, 1), directions(op, inputs, 2)
    slope, curvature = oracle.slope(v, inputs), oracle.curvature(v, u, inputs)
    g = np.random.default_rng(3).normal(size=slope.shape)
    tensors = as_tensors(op, inputs)
    moving = [one for one in tensors if isinstance(one, Tensor)]
    along = {name: Tensor(value, dtype=np.float64) for name, value in v.items()}
    names = [one.name for one in op.inputs if one.name in along]

    y = function(OPS[op.name])(*tensors, **called)
    y.backward(g, retain_graph=True)
    reverse = sum(float(np.vdot(v[name], x.grad)) for name, x in zip(names, moving, strict=True))
    close(reverse, np.sum(slope * g))

    gradients = nngrad.gradients(y, moving, Tensor(g, dtype=np.float64), create_graph=True)
    for x, twice in zip(moving, gradients, strict=True):
        close(twice.data, x.grad)
    inner = sum(
        (((one * along[name]).sum()) for name, one in zip(names, gradients, strict=True)), Tensor(0.0, dtype=np.float64)
    )
    if inner.requires_grad:
        second = nngrad.gradients(inner, moving)
        total = sum(float(np.vdot(u[name], one.data)) for name, one in zip(names, second, strict=True))
    else:
        total = 0.0
    close(total, np.sum(curvature * g), 1e-7, 1e-9)

    def f(*moved):
        fill = iter(moved)
        call = [next(fill) if isinstance(one, Tensor) else one for one in tensors]
        return function(OPS[op.name])(*call, **called)

    value, tangent = nngrad.jvp(f, tuple(x.data for x in moving), tuple(v[name] for name in names))
    close(value.data, oracle(**inputs))
    close(tangent.data, slope)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_kept(case, dtype):
    op, oracle, inputs, called = case
    tensors = as_tensors(op, inputs, dtype=dtype)
    y = function(OPS[op.name])(*tensors, **called)
    assert y.dtype == dtype
    y.sum().backward()
    for x in tensors:
        if isinstance(x, Tensor):
            assert x.grad.dtype == dtype and x.grad.shape == x.shape
    tolerance = {np.float16: 3e-2, np.float32: 2e-5, np.float64: 1e-12}[dtype]
    close(y.data, oracle(**inputs), tolerance, tolerance)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3), (2, 3, 4)])
def test_shapes(case, shape):
    op, _, inputs, called = case
    if op.family == "reduction" and ((shape == () and op.formulas[0].indices) or 0 in shape or op.home == "norm"):
        pytest.skip("rows need elements")
    if "axis" in called and called["axis"] is not None and shape == ():
        pytest.skip("0-d has no axis")
    if called.get("ddof") and shape in ((), (1,)):
        called = {**called, "ddof": 0}
    tensors = []
    for one in op.inputs:
        if one.name not in inputs:
            tensors.append(None)
        elif one.name in op.formulas[0].indices:
            tensors.append(np.zeros(shape[:-1], int))
        else:
            value = np.broadcast_to(inputs[one.name].reshape(-1)[0], shape)
            tensors.append(Tensor(value, dtype=np.float64, requires_grad=True) if one.differentiable else value.copy())
    y = function(OPS[op.name])(*tensors, **called)
    assert isinstance(y.data, np.ndarray)
    y.backward(np.ones(y.shape))
    for x in tensors:
        if isinstance(x, Tensor):
            assert isinstance(x.grad, np.ndarray) and x.grad.shape == shape


SEVERAL_INPUTS = [one for one in CASES if one.values[0][0].family == "elementwise" and len(one.values[0][0].inputs) > 1]


@pytest.mark.parametrize("case", SEVERAL_INPUTS, indirect=True)
@pytest.mark.parametrize("shapes", [((2, 3, 1), (4,), (3, 1)), ((1,), (2, 1, 4), ()), ((), (3,), (2, 1))])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_broadcasting(case, shapes, reduction):
    """Inputs of different shapes give what the same inputs give when they are repeated beforehand."""
    op, _, inputs, called = case
    called = {**called, "reduction": reduction} if op.home == "loss" else called
    names = [one.name for one in op.inputs]
    small = {name: np.resize(inputs[name], shape) for name, shape in zip(inputs, shapes, strict=False)}
    common = np.broadcast_shapes(*(array.shape for array in small.values()))
    large = {name: np.broadcast_to(array, common).copy() for name, array in small.items()}
    results = []
    for given in (small, large):
        tensors = as_tensors(op, given)
        y = function(OPS[op.name])(*tensors, **called)
        y.backward(np.random.default_rng(4).normal(size=y.shape))
        moving = tuple(x.data for x in tensors if isinstance(x, Tensor))

        def f(*moved, tensors=tensors):
            fill = iter(moved)
            return function(OPS[op.name])(*(next(fill) if isinstance(x, Tensor) else x for x in tensors), **called)

        _, tangent = nngrad.jvp(f, moving, tuple(np.ones(x.shape) for x in moving))
        results.append((y, tangent, {n: x.grad for n, x in zip(names, tensors, strict=True) if isinstance(x, Tensor)}))
    (y, tangent, gradients), (expected, expected_tangent, expected_gradients) = results
    close(y.data, expected.data)
    close(tangent.data, expected_tangent.data)
    for name, gradient in gradients.items():
        whole = expected_gradients[name]
        extra = tuple(range(whole.ndim - gradient.ndim))
        repeated = tuple(axis + len(extra) for axis, size in enumerate(gradient.shape) if size == 1)
        close(gradient, whole.sum((*extra, *repeated)).reshape(gradient.shape))
