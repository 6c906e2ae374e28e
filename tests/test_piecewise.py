"""Choices made by arithmetic are equal to the choices, edges included, and are only made where they are."""

from fractions import Fraction

import numpy as np
import pytest
from nngrad_ops import OPS

sympy = pytest.importorskip("sympy")

from nngrad.codegen.algebra import piece_words, words  # noqa: E402
from nngrad.codegen.algebra.symbols import IsNan, Parameter, Value, Where  # noqa: E402
from nngrad.codegen.rules import piecewise  # noqa: E402

x, a = Value("x"), Value("a")
ramp = x / 6 + sympy.Rational(1, 2)
steep = x / 3 + sympy.Rational(1, 2)
MADE = {  # choice -> whether none is left
    Where(x > 0, x, words.expm1(x)): True,
    Where(x <= 0, words.expm1(x), x): True,
    Where(x > 0, 1, sympy.exp(x)): True,
    Where(x > 0, 1, 2 * sympy.exp(x)): False,
    Where(x > 0, x, a * x): True,
    Where(x > 1, x, a * x): False,
    Where(3 - 2 * x >= 1, x**2, 2 * x - 1): True,
    Where(x <= 0, 0, 1): False,
    Where(x <= -3, 0, Where(x >= 3, 1, ramp)): True,
    Where(x <= -3, 0, words.clip(ramp, 0, 1)): True,
    Where(x <= -2, 0, words.clip(ramp, 0, 1)): False,
    Where(x <= -3, 0, Where(x >= 3, 1, steep)): True,
    Where(x >= 3, 1, Where(x <= -3, 0, steep)): True,
    Where(x <= -3, 2, Where(x >= 3, -1, 4 - x)): True,
    Where(x < -3, 0, Where(x >= 3, 1, steep)): False,  # at -3 the slope is that of the line
    Where(x <= -3, 0, Where(x > 3, 1, steep)): False,
    Where(x <= -2, 0, Where(x >= 3, 1, steep)): False,
    Where(x <= -3, 0, Where(x >= 3, sympy.Rational(1, 3), steep)): False,  # 1/3 would be rounded more than once
    Where(x <= -3, 0, Where(x >= 3, 1, x**2)): False,
    Where(words.abs(x) <= 1, 0, x): False,
    words.maximum(x, -3) * words.clip(ramp, 0, 1): True,
    words.maximum(x, -2) * words.clip(ramp, 0, 1): True,
    words.minimum(x, 3) * words.clip(ramp, 0, 1): True,
    Where((ramp >= 0) & (ramp <= 1), words.maximum(x, -3) / 6, 0) + words.clip(ramp, 0, 1): False,
}
POINTS = [Fraction(n, 4) for n in range(-24, 25)]


def value_of(expr, at):
    """The expression at a point, by exact arithmetic and the meaning of its words."""
    known = {x: sympy.Rational(at), a: sympy.Rational(3, 7), p: sympy.Rational(5, 7)}
    if expr in known or (expr.is_number and not expr.args):
        return known.get(expr, expr)
    if isinstance(expr, Where):
        return value_of(expr.args[1] if bool(truth_of(expr.args[0], at)) else expr.args[2], at)
    args = [value_of(arg, at) for arg in expr.args]
    meanings = {
        words.maximum.build: lambda u, v: max(u, v),
        words.minimum.build: lambda u, v: min(u, v),
        words.clip.build: lambda u, low, high: min(max(u, low), high),
        words.expm1.build: lambda u: sympy.exp(u) - 1,
        piece_words.bent.build: lambda u, slope: u if u > 0 else slope * u,
        piece_words.held.build: lambda u, limit: sympy.sign(u) * min(abs(u), limit),
        words.abs.build: abs,
        words.sign.build: sympy.sign,
        words.trunc.build: int,
    }
    return meanings.get(expr.func, expr.func)(*args)


def truth_of(condition, at):
    if isinstance(condition, sympy.And):
        return all(truth_of(part, at) for part in condition.args)
    if isinstance(condition, sympy.Or):
        return any(truth_of(part, at) for part in condition.args)
    return condition.func(*(value_of(side, at) for side in condition.args))


@pytest.mark.parametrize("choice", MADE, ids=str)
def test_arithmetic_makes_the_same_choice(choice):
    made = piecewise.by_limits(piecewise.arithmetic(choice))
    assert made.has(Where) != MADE[choice]
    for at in POINTS:
        assert sympy.expand(value_of(made, at) - value_of(choice, at)) == 0, f"x = {at}: {made}"


def test_limits_that_do_nothing_are_left_out():
    assert not piecewise.arithmetic(words.maximum(x, -3) * words.clip(ramp, 0, 1)).has(words.maximum.build)
    assert piecewise.arithmetic(words.maximum(x, -2) * words.clip(ramp, 0, 1)).has(words.maximum.build)


p = Parameter("p")
size, within = words.abs(x), words.minimum(words.abs(x), 2)
SIMPLER = {
    Where(x <= -3, 0, Where(x >= 3, 1, ramp)): words.clip(ramp, 0, 1),
    Where(x >= 3, 1, Where(x <= -3, 0, ramp)): words.clip(ramp, 0, 1),
    Where(x >= 3, 0, Where(x <= -3, 1, 1 - ramp)): words.clip(1 - ramp, 0, 1),
    Where(x <= -3, 0, a * (words.maximum(x, -3) + x)): Where(x <= -3, 0, 2 * a * x),
    Where(x <= -3, 0, words.maximum(x, -3)): None,  # which keeps a product with it from overflow
    Where(x <= -3, 0, Where(x >= 3, 2, ramp)): None,
    Where(x >= -3, 0, Where(x >= 3, 1, ramp)): None,
    Where(x > 3, x, words.maximum(x, 3)): None,  # NaN takes the other branch, and stays NaN
    Where(x <= -3, a, Where(x >= 3, 1, ramp)): None,
    Where(size < 2, x**2 / 2, 2 * (size - 1)): within * (size - within / 2),
    Where(size > 2, 2 * size - 2, x**2 / 2): within * (size - within / 2),
    Where(size < 2, x, 2 * words.sign(x)): piece_words.held(x, 2),
    Where(size <= p, 0, x - p * words.sign(x)): x - piece_words.held(x, p),
    Where(size < 2, 0, 3 * size - 6): 3 * (size - within),
    Where(size < 2, 0, size**2 - 4): None,
    words.minimum(words.maximum(x, p), 3): words.clip(x, p, 3),
    words.minimum(words.maximum(x, a), 3): None,
    Where(size < 2, sympy.exp(size), sympy.exp(2)): sympy.exp(within),
    Where(size < 2, x**2 / 2, 3 * size - 4): None,  # which meet with a kink
    Where(x > 0, x, a * x): None,  # which NaN and infinity in the other input would get into
    Where(x > 0, x, words.expm1(x)): words.expm1(words.minimum(x, 0)) + words.maximum(x, 0),
    Where(x <= 0, p * x, x): piece_words.bent(x, p),
    Where(x > 0, 2 * x, p * x): p * words.minimum(x, 0) + 2 * words.maximum(x, 0),
    Where(x > 0, x, 0): None,  # NaN takes the other branch, and is 0
    Where(x > 1, x, p * x): None,
    Where((x > -1) & (x < 0), x, p * x): None,
    Where(words.maximum(x, 0) >= 3, 0, Where(x <= 0, 0, a)): Where((x >= 3) | (x <= 0), 0, a),
    Where(words.maximum(x, 3) >= 2, 0, a): None,  # always
    Where(words.maximum(x, 0) <= 3, 0, a): Where(x <= 3, 0, a),
    Where(words.minimum(x, 3) > 4, 0, a): None,  # never
    Where(words.minimum(x, 3) > 2, 0, a): Where(x > 2, 0, a),
    Where(x <= -3, 0, Where(x > -3, 0, a)): None,  # only NaN is neither
    Where(IsNan(x), 0, Where(x >= 3, 0, Where(x <= 0, 0, a))): Where((x > 0) & (x < 3), a, 0),
    Where(IsNan(x), 0, Where(size <= p, 0, a)): Where(size > p, a, 0),
    Where(IsNan(x), 0, Where(words.maximum(x, p) >= 1, 0, Where(x <= p, 0, a))): Where((x > p) & (x < 1), a, 0),
    Where(IsNan(x), 0, Where(Where(x < p, p, x) > 1, 0, Where(x < p, 0, a))): Where((x >= p) & (x <= 1), a, 0),
    Where(IsNan(x) | (x < a), 0, 1): None,  # NaN in the other input is no smaller
    Where(size < 2, x**2 / 2, 2 * size): None,
    Where(size < 2, x**3, 12 * size - 16): None,
}


@pytest.mark.parametrize("choice", SIMPLER, ids=str)
def test_simpler_choices_are_the_same(choice):
    made = piecewise.simplified(choice)
    assert made == (SIMPLER[choice] or choice)
    for at in POINTS:
        assert value_of(made, at) == value_of(choice, at), f"x = {at}: {made}"


@pytest.mark.parametrize("size", [7, 10_000])
def test_hardswish_has_the_slopes_of_its_outer_branches_at_the_edges(size):
    x = np.resize(np.array([-5, -3, -1, 0, 1, 3, 5], np.float32), size)
    op = OPS["hardswish"]
    np.testing.assert_allclose(op.kernel(x), x * np.clip((x + 3) / 6, 0, 1), rtol=3e-7)
    slopes = np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5))
    y, slope = op.forward(x)
    np.testing.assert_allclose(y, op.kernel(x), rtol=3e-7)
    np.testing.assert_allclose(op.vjp(np.ones(size, np.float32), slope), slopes, rtol=3e-7)
    infinite = op.vjp(np.full(size, np.inf, np.float32), slope)
    np.testing.assert_array_equal(infinite, np.where(x <= -3, 0, np.copysign(np.inf, slopes)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [1.0, 100.0])  # of another input, which makes the kernel take the form for all inputs
def test_hardswish_jumps_where_its_edges_are(dtype, far):
    """Beside an edge the slope is that of the line, on it and beyond that of the outer branch."""
    edge = dtype(3)
    x = np.array([-edge, np.nextafter(-edge, dtype(0)), np.nextafter(edge, dtype(0)), edge, far], dtype)
    slope = OPS["hardswish"].forward(x)[1]
    np.testing.assert_allclose(slope[:4], [0, -0.5, 1.5, 1], atol=4 * np.finfo(dtype).eps)
    assert slope[0] == 0
    assert slope[3] == 1


@pytest.mark.parametrize(("name", "params"), [("elu", {}), ("elu", {"alpha": 0.5}), ("celu", {})])
@pytest.mark.parametrize("size", [7, 10_000])
def test_edges_and_cotangents_that_are_not_finite(name, params, size):
    """The values that conventions give: at an edge the branch that the forward takes."""
    op = OPS[name]
    x = np.resize(np.array([-5, -3, -1, 0, 1, 3, 5], np.float32), size)
    y, slope = op.forward(x, **params)
    alpha = params.get("alpha", 1.0)
    inner = x / alpha if name == "celu" else x
    expected = np.where(x > 0, x, alpha * np.expm1(np.minimum(inner, 0)))
    slopes = np.where(x > 0, 1, (alpha if name == "elu" else 1) * np.exp(np.minimum(inner, 0)))
    np.testing.assert_allclose(y, expected, rtol=5e-7)
    np.testing.assert_allclose(slope, slopes, rtol=5e-7)
    assert np.all(np.isposinf(op.vjp(np.full(size, np.inf, np.float32), slope, **params)))
    assert np.all(np.isnan(op.vjp(np.full(size, np.nan, np.float32), slope, **params)))


@pytest.mark.parametrize("size", [7, 10_000])
@pytest.mark.parametrize("slope", [0.01, 0.0, 1.0, 2.5, -0.5])
def test_a_bent_line_has_each_slope_on_its_side(slope, size):
    x = np.resize(np.array([-np.inf, -3, -1e-30, -0.0, 0, 2, np.inf], np.float32), size)
    with np.errstate(invalid="ignore"):  # 0 times infinity
        expected = np.where(x > 0, x, np.float32(slope) * x)
        np.testing.assert_array_equal(OPS["leaky_relu"].kernel(x, slope), expected)


@pytest.mark.parametrize("size", [7, 10_000])
@pytest.mark.parametrize("limit", [0.5, 0.0, -0.5])
def test_shrinking_moves_every_element_by_the_limit_also_by_one_below_0(limit, size):
    x = np.resize(np.array([-np.inf, -3, -0.5, 0, 0.25, 2, np.nan], np.float32), size)
    expected = np.where(abs(x) <= limit, 0, x - limit * np.sign(x))
    np.testing.assert_array_equal(OPS["softshrink"].kernel(x, limit), expected)
