"""Random formulas: the generator makes code of each, which runs on all kinds of arrays and is right where it is smooth.

To judge forms takes seconds. So a few formulas are tried with forms that are taken by chance: they are equal, but for
the root of a product of two negative numbers. `pytest -m slow` has more formulas, as they are generated for authors.
"""

import itertools
import random
import warnings

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

from random_formulas import formula

import nngrad
from nngrad import Tensor
from nngrad.codegen.certify import Oracle
from nngrad.codegen.judging import errors, rounding
from nngrad.codegen.pipeline import numbers_to_try
from nngrad.codegen.rules import ordinary
from nngrad.codegen.rules.again import SecondOrder

POINTS = 5
SHAPES = {"0-d": [()] * 3, "empty": [(0, 2)] * 3, "broadcasting": [(3, 1), (1, 2), (2,)]}
QUICK, WIDE = range(8), range(100, 200)


@pytest.fixture
def unjudged(monkeypatch):
    """Takes a seed, by which from then on forms are found to be good or bad."""
    chance = random.Random()

    def error(self, *_, **__):
        """Of a form: it is accurate, or it is not, or it overflows far out or not so far."""
        is_bad, far = chance.random() < 0.6, chance.choice([0.0, 1e3, np.inf])
        ulp = (np.inf if far else 10.0) if is_bad else 1.0
        bad = int(is_bad)
        return errors.Error(ulp, (1.0,) * len(self.inputs), ulp, bad, bad, bad, far * bad, (0.0, 0.0, 0.0))

    def best(self, forms):
        """One of the first three forms."""
        return chance.choice([form for form, _ in itertools.islice(forms, 3)])

    nothing = errors.Truth(np.zeros(1), *[errors.WhereAsked(np.zeros_like)] * 2, np.zeros(0))
    monkeypatch.setattr(rounding.Judge, "error", error)
    monkeypatch.setattr(rounding.Judge, "value", lambda self: nothing)
    monkeypatch.setattr(rounding.Judge, "derivative", lambda self, name: nothing)
    monkeypatch.setattr(rounding.Judge, "fitted", lambda *_: None)
    monkeypatch.setattr(SecondOrder, "__init__", lambda *_: None)
    monkeypatch.setattr(SecondOrder, "best", best)
    monkeypatch.setattr(SecondOrder, "losses", lambda *_: (chance.randrange(3), chance.choice([0.0, 0.1])))
    monkeypatch.setattr(SecondOrder, "distance_of_losses", lambda *_: chance.choice([0.0, 1e3]))
    monkeypatch.setattr(rounding.Judge, "fitted_far", lambda *_: (None, None))
    monkeypatch.setattr(ordinary.Ordinariness, "found", lambda self: None)
    return chance.seed


def arrays_for(op, shapes, dtype):
    random = np.random.default_rng(0)
    return [random.normal(0, 1.5, shape).astype(dtype) for _, shape in zip(op.inputs, shapes, strict=False)]


def derivatives(function, arrays):
    """Value, gradient, tangents by each input alone, and second derivatives by it, as arrays."""
    xs = [Tensor(array, dtype=array.dtype, requires_grad=True) for array in arrays]
    y = function(*xs)
    y.backward(np.ones(y.shape, y.dtype))
    yield "value", y.data
    for place, x in enumerate(xs):
        ones = Tensor(np.ones(x.shape), dtype=x.dtype)

        def of_one(one, place=place):
            return function(*xs[:place], one, *xs[place + 1 :])

        def slope(one, of_one=of_one):
            return nngrad.grad(lambda one: of_one(one).sum())(one)

        yield f"d{place}", x.grad
        yield f"t{place}", nngrad.jvp(of_one, (x.detach(),), (ones,))[1].data
        yield f"dd{place}", nngrad.jvp(slope, (x.detach(),), (ones,))[1].data


def exact(op, arrays):
    """The same by the oracle, each as it stands and as the size that its error is relative to."""
    oracle = Oracle(op.formulas[0], numbers_to_try(op))
    inputs = dict(zip((one.name for one in op.inputs), arrays, strict=True))
    value = oracle(**inputs)
    yield "value", value, 0 * value
    for place, name in enumerate(inputs):
        direction = {name: np.ones(POINTS)}
        slope, bend = oracle.slope(direction, inputs), oracle.curvature(direction, direction, inputs)
        yield f"d{place}", slope, abs(value)
        yield f"t{place}", slope, abs(value)
        yield f"dd{place}", bend, abs(value) + abs(slope)


def check(op, function):
    for dtype in (np.float16, np.float32, np.float64):
        for shapes in SHAPES.values():
            arrays = arrays_for(op, shapes, dtype)
            full = np.broadcast_shapes(*(array.shape for array in arrays))
            for of, got in derivatives(function, arrays):
                place = int(of.lstrip("dt")) if of != "value" else 0
                assert got.dtype == dtype, of
                assert got.shape == (full if of[0] in "vt" else arrays[place].shape), of
    arrays = arrays_for(op, [(POINTS,)] * 3, float)
    got = dict(derivatives(function, arrays))
    for of, truth, size in exact(op, arrays):
        for at, (a, b, scale) in enumerate(zip(got[of], truth, size, strict=True)):
            if not mpmath.isfinite(b) or not mpmath.isfinite(scale) or abs(b) > 1e100:
                continue  # it has no value here, or a kink
            bound = 1e-8 * max(abs(b), scale, 1e-3)
            assert abs(mpmath.mpf(float(a)) - b) <= bound, (of, a, float(b), [float(array[at]) for array in arrays])


@pytest.mark.parametrize("seed", QUICK)
def test_any_form_will_do(unjudged, monkeypatch, tmp_path, seed):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))
    unjudged(seed)
    defined(tmp_path, seed, depth=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", WIDE)
def test_random_formulas(monkeypatch, tmp_path, seed):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))
    defined(tmp_path, seed, depth=3)


def defined(folder, seed, depth):
    """Define the formula, and check the op; it may leave its domain, and exceed the range of floats."""
    op, function = formula(seed, folder, depth)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no accurate form was found
        check(op, nngrad.define(function))
