"""Formulas of rows as papers write them, whose terms nearly cancel or leave the range of floats: value and gradients.

The oracles are the formulas in mpmath, and differences of them.
"""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad import Tensor
from nngrad.codegen.language import (
    abs,
    activation,
    arccos,
    exp,
    log,
    loss,
    maximum,
    mean,
    minimum,
    op,
    pi,
    sqrt,
    sum,
    take,
)

total = mpmath.fsum


@op
def weighted_variance(x, w, *, axis=-1):
    mu = sum(w * x, axis) / sum(w, axis)
    return sum(w * (x - mu) ** 2, axis) / sum(w, axis)


def weighted_mean(x, w):
    return total(a * b for a, b in zip(x, w, strict=True)) / total(w)


def exact_variance(x, w):
    mean = weighted_mean(x, w)
    return weighted_mean([(one - mean) ** 2 for one in x], w)


@op
def clark(x, y, *, axis=-1):
    return sqrt(sum(((x - y) / (abs(x) + abs(y))) ** 2, axis))


def exact_clark(x, y):
    return mpmath.sqrt(total(((a - b) / (mpmath.fabs(a) + mpmath.fabs(b))) ** 2 for a, b in zip(x, y, strict=True)))


@op
def squared_share_of_lengths(x, y, *, axis=-1):
    a, b = exp(sqrt(sum(x**2, axis))), exp(sqrt(sum(y**2, axis)))
    return (a / (a + b)) ** 2


def exact_share(x, y):
    a, b = (mpmath.exp(mpmath.sqrt(total(one**2 for one in row))) for row in (x, y))
    return (a / (a + b)) ** 2


@op
def log_kept_above_one(x, y, *, axis=-1):
    return log(sum(exp(x), axis) / maximum(sum(exp(x) * y**2, axis), 1))


def exact_kept(x, y):
    return mpmath.log(
        total(map(mpmath.exp, x)) / max(total(mpmath.exp(a) * b**2 for a, b in zip(x, y, strict=True)), 1)
    )


@op
def inverse_of_distance(x, y, *, axis=-1):
    return 1 / (1 + sqrt(sum((x - y) ** 2, axis)))


def exact_inverse(x, y):
    return 1 / (1 + mpmath.sqrt(total((a - b) ** 2 for a, b in zip(x, y, strict=True))))


@op
def angle_between(x, y, *, axis=-1):
    return arccos(sum(x * y, axis) / (sqrt(sum(x**2, axis)) * sqrt(sum(y**2, axis))))


def exact_angle(x, y):
    products = [total(a * b for a, b in zip(one, other, strict=True)) for one, other in ((x, y), (x, x), (y, y))]
    return mpmath.acos(products[0] / mpmath.sqrt(products[1] * products[2]))


@op
def cross_entropy_of_mixed(x, y, *, axis=-1):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return -sum(q * log(0.3 * p + 0.7 * q), axis)


def exact_mixed(x, y):
    p, q = exact_shares(x), exact_shares(y)
    return -total(b * mpmath.log(mpmath.mpf("0.3") * a + mpmath.mpf("0.7") * b) for a, b in zip(p, q, strict=True))


@op
def cross_entropy_between(x, y, *, axis=-1, e=0.25):
    p = exp(x) / sum(exp(x), axis)
    q = exp(y) / sum(exp(y), axis)
    return -sum(q * log(q + e * (p - q)), axis)


def exact_between(x, y):
    p, q = exact_shares(x), exact_shares(y)
    return -total(b * mpmath.log(a / 4 + b * 3 / 4) for a, b in zip(p, q, strict=True))


@op
def cross_entropy_of_noisy(x, t, *, axis=-1, e=0.25):
    return -sum(t * log((1 - e) * exp(x) / sum(exp(x), axis) + e), axis)


def exact_noisy(x, t):
    p = exact_shares(x)
    return -total(b * mpmath.log(a * 3 / 4 + mpmath.mpf(1) / 4) for a, b in zip(p, t, strict=True))


@op
def mixture_density(x, m, s, w, *, axis=-1):
    p = exp(w) / sum(exp(w), axis)
    return -log(sum(p * exp(-(((x - m) / exp(s)) ** 2) / 2) / exp(s), axis))


def exact_density(x, m, s, w):
    p = exact_shares(w)
    z = [(a - b) / mpmath.exp(c) for a, b, c in zip(x, m, s, strict=True)]
    return -mpmath.log(total(a * mpmath.exp(-(b**2) / 2 - c) for a, b, c in zip(p, z, s, strict=True)))


@op
def mixture_with_scale(x, m, w, *, axis=-1, b=0.5):
    p = exp(w) / sum(exp(w), axis)
    return -log(sum(p * exp(-abs(x - m) / b) / (2 * b), axis))


def exact_with_scale(x, m, w):
    z = [2 * mpmath.fabs(a - b) for a, b in zip(x, m, strict=True)]
    return -mpmath.log(total(p * mpmath.exp(-one) for p, one in zip(exact_shares(w), z, strict=True)))


@op
def soft_maximum(x, *, axis=-1, rate=3.0):
    return sum(x * exp(rate * x), axis) / sum(exp(rate * x), axis)


def exact_maximum(x):
    return weighted_mean(x, [mpmath.exp(3 * one) for one in x])


def exact_shares(x):
    return [mpmath.exp(one) / total(map(mpmath.exp, x)) for one in x]


@op
def impurity(x, *, axis=-1):
    return 1 - sum((exp(x) / sum(exp(x), axis)) ** 2, axis)


@op
def tsallis_entropy(x, *, axis=-1, q=1.5):
    return (1 - sum((exp(x) / sum(exp(x), axis)) ** q, axis)) / (q - 1)


@op
def effective_number(x, *, axis=-1):
    return sum(exp(x), axis) ** 2 / sum(exp(x) ** 2, axis)


@op
def distance_of_roots(x, y, *, axis=-1):
    return sum((sqrt(exp(x) / sum(exp(x), axis)) - sqrt(exp(y) / sum(exp(y), axis))) ** 2, axis)


def exact_roots(x, y):
    return total((mpmath.sqrt(a) - mpmath.sqrt(b)) ** 2 for a, b in zip(exact_shares(x), exact_shares(y), strict=True))


@op
def maximum_beside_sink(x, *, axis=-1, b=0.5):
    return sum(x * exp(x), axis) / (exp(b) + sum(exp(x), axis))


def exact_sink(x):
    return total(one * mpmath.exp(one) for one in x) / (mpmath.exp(0.5) + total(map(mpmath.exp, x)))


@op
def attention_beside_sink(x, v, b, *, axis=-1):
    return sum(exp(x) * v, axis) / (1 + exp(mean(b, axis)) + sum(exp(x), axis))


def exact_attention(x, v, b):
    e = [mpmath.exp(one) for one in x]
    return total(p * one for p, one in zip(e, v, strict=True)) / (1 + mpmath.exp(total(b) / len(b)) + total(e))


LOGITS = [([1, -2, 0.5],), ([300, 2, 301],), ([-1e4, -9990, -9999],)]
WEIGHTS = [0.7, 0.9, 1.3, 1.2, 0.8, 1.1]
FORMULAS = {
    weighted_variance: (
        exact_variance,
        [
            ([1, -2, 0.5, 3, 2, 0.1], WEIGHTS),
            ([1000.1, 1000.4, 1000.2, 999.7, 1000.9, 1000], WEIGHTS),
            ([3, 1000, -3, 2], [1e-5, 1000, 3e-5, 1e-6]),
        ],
    ),
    clark: (
        exact_clark,
        [([1, -2, 0.5, 3], [2, -1, 0.5, 4]), ([1e30, -3e30], [2e30, 4e29]), ([1e-30, 3e-30], [2e-30, 4e-31])],
    ),
    squared_share_of_lengths: (exact_share, [([1, -2, 0.5], [0.5, 1, -1]), ([90, 2, 91], [88, 90, 20])]),
    inverse_of_distance: (
        exact_inverse,
        [([1, -2], [2, -1]), ([1e-30, 3e-30], [2e-30, 4e-31]), ([3e-41, 0], [1e-41, 1e-41])],
    ),
    angle_between: (
        exact_angle,
        [
            ([1, -2, 3], [2, -1, 0.5]),
            ([1, 2, 3], [1.02, 2, 3.01]),
            ([1, 2, 3], [-1, -2.01, -3.02]),
            ([20, 1e-3], [21, 3e-3]),
        ],
    ),
    cross_entropy_of_mixed: (
        exact_mixed,
        [([1, -2, 3], [2, -1, 0.5]), ([1000, -2000, 1001], [999, -1500, 1001]), ([30, 2, 1], [31, -1, 3])],
    ),
    cross_entropy_between: (
        exact_between,
        [([1, -2, 3], [2, -1, 0.5]), ([1000, -2000, 1001], [999, -1500, 1001]), ([30, 2, 1], [31, -1, 3])],
    ),
    cross_entropy_of_noisy: (
        exact_noisy,
        [([1, -2, 3], [0.2, 0.3, 0.5]), ([1000, -2000, 1001], [0, 0.5, 0.5]), ([30, 2, 1], [1, 0, 0])],
    ),
    mixture_density: (
        exact_density,
        [
            ([1, -2, 3], [2, -1, 0.5], [0.5, 0.1, -1], [0.3, 2, -1]),
            ([1, 2, 3], [1.5, 2.5, 3.5], [20, 21, -30], [300, 2, 250]),
            ([40, 50, 3e3], [1, 2, 3], [-1, 1, 2], [-500, 40, 0]),
        ],
    ),
    mixture_with_scale: (
        exact_with_scale,
        [([1, -2, 3], [2, -1, 0.5], [0.3, 2, -1]), ([60, 70, 80], [1, 2, 3], [-50, 0, 40])],
    ),
    soft_maximum: (exact_maximum, [([1, -2, 0.5],), ([10000, 10000],), ([1e18, -3e17, 2e16],)]),
    impurity: (lambda x: 1 - total(p**2 for p in exact_shares(x)), LOGITS),
    tsallis_entropy: (lambda x: 2 - 2 * total(p**1.5 for p in exact_shares(x)), LOGITS),
    effective_number: (lambda x: 1 / total(p**2 for p in exact_shares(x)), LOGITS),
    distance_of_roots: (exact_roots, [(x, [0.5, 1, -1]) for (x,) in LOGITS]),
    maximum_beside_sink: (exact_sink, LOGITS[:2]),
    attention_beside_sink: (
        exact_attention,
        [
            ([1, -2, 0.5], [0.5, 2, -1], [0.1, 0.7, -3]),
            ([900, -2, 899], [0.5, 2, -1], [901, 900, 899]),
            ([30, -2, 0.5], [0.5, 2, -1], [-1e4, 0.7, -3]),
        ],
    ),
    log_kept_above_one: (
        exact_kept,
        [([1, -2, 0.5], [0.5, 2, -1]), ([300, 2, 301], [2, 3, 0.5])],
    ),
}
NAMES = {declaration.name: declaration for declaration in FORMULAS}
CASES = [pytest.param(name, n, id=f"{name}-{n}") for name, one in NAMES.items() for n in range(len(FORMULAS[one][1]))]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "number"), CASES)
def test_fresh_rows(name, number, dtype):
    function, (exact, cases) = nngrad.define(NAMES[name]), FORMULAS[NAMES[name]]
    inputs = [Tensor(np.array(row), dtype=dtype, requires_grad=True) for row in cases[number]]
    y = function(*inputs)
    y.backward()
    near = 128 * np.finfo(dtype).eps
    with mpmath.workdps(600):
        rows = [[*map(mpmath.mpf, one.data.tolist())] for one in inputs]
        value = float(exact(*rows))
        slopes = [[float(slope(exact, rows, n, place)) for place in range(len(row))] for n, row in enumerate(rows)]
    np.testing.assert_allclose(y.data, value, rtol=near)
    for one, expected in zip(inputs, slopes, strict=True):
        np.testing.assert_allclose(one.grad, expected, rtol=0, atol=near * np.abs(expected).max())


def slope(exact, rows, n, place):
    step = mpmath.mpf(10) ** -200
    values = []
    for sign in (1, -1):
        moved = [[*row] for row in rows]
        moved[n][place] += sign * step
        values.append(exact(*moved))
    return (values[0] - values[1]) / (2 * step)


@loss
def cross_entropy_of_cosines(q, k, target, *, axis=-1, t=0.07):
    nq = q / sqrt(sum(q**2, axis))
    nk = k / sqrt(sum(k**2, axis))
    return -log(take(exp(nq * nk / t), target, axis) / sum(exp(nq * nk / t), axis))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_picked_of_an_exponent_is_rounded_like_the_others(dtype):
    q, k = [-6.5, -4.9], [-0.5, 0.75]
    value = nngrad.define(cross_entropy_of_cosines)(Tensor(q, dtype=dtype), Tensor(k, dtype=dtype), 0).item()
    products = [a * b / (np.hypot(*q) * np.hypot(*k)) / 0.07 for a, b in zip(q, k, strict=True)]
    assert value == pytest.approx(np.log1p(np.exp(products[1] - products[0])), rel=64 * float(np.finfo(dtype).eps))


@op
def quiet_softmax(x, *, axis=-1):
    return exp(x) / (1 + sum(exp(x), axis))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_of_a_share_of_nearly_one_beside_a_sink(dtype):
    x = Tensor([30, -1.5, 0.25], dtype=dtype, requires_grad=True)
    nngrad.define(quiet_softmax)(x)[0].backward()
    e = np.exp([30, -1.5, 0.25])
    others = (1 + e[1] + e[2]) / (1 + e.sum())
    p = e / (1 + e.sum())
    np.testing.assert_allclose(x.grad, [p[0] * others, -p[0] * p[1], -p[0] * p[2]], rtol=8 * np.finfo(dtype).eps)


@op
def over_length(x, *, axis=-1, p=3.0, eps=0.5):
    return x / (sum(abs(x) ** p, axis) ** (1 / p) + eps)


@op
def length_of_fourths(x, *, axis=-1):
    return sum(x**4, axis) ** 0.25


@pytest.mark.slow
def test_lengths_by_any_power_have_the_slope_0_at_0():
    x = Tensor([[0.0, 0.0], [3.0, 0.0]], requires_grad=True)
    nngrad.define(over_length)(x).sum().backward()
    np.testing.assert_allclose(x.grad, [[2, 2], [0.5 / 3.5**2, 1 / 3.5]], rtol=1e-6)
    x.reset_grad()
    nngrad.define(length_of_fourths)(x).sum().backward()
    np.testing.assert_allclose(x.grad, [[0, 0], [1, 0]], rtol=1e-6)


@loss
def squared_error_of_shares(x, t, *, axis=-1):
    return sum((exp(x) / sum(exp(x), axis) - t) ** 2, axis)


@pytest.mark.slow
def test_a_small_share_is_not_what_is_left_of_a_difference():
    x = Tensor([1.0, -24.0], dtype=np.float64, requires_grad=True)
    nngrad.define(squared_error_of_shares)(x, [0.0, 1.0]).backward()
    share = np.exp(-25) / (1 + np.exp(-25))
    np.testing.assert_allclose(x.grad, [4 * share * (1 - share) ** 2, -4 * share * (1 - share) ** 2], rtol=1e-14)


@op
def weighted_deviation(x, w, *, axis=-1):
    mu = sum(w * x, axis) / sum(w, axis)
    return sqrt(sum(w * (x - mu) ** 2, axis) / sum(w, axis))


@pytest.mark.slow
def test_weighted_deviation_of_a_constant_row_has_the_gradient_zero():
    x, w = (Tensor(row, requires_grad=True) for row in ([3.0, 3.0, 3.0], [0.5, 2.0, 1.0]))
    nngrad.define(weighted_deviation)(x, w).backward()
    assert (x.grad == 0).all() and (w.grad == 0).all()
    nngrad.check_grads(nngrad.define(weighted_deviation), ([[3.0, 1.0, 2.5]], [[0.5, 2.0, 1.0]]))


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_gradient_of_an_extreme_that_is_nan_is_nan_without_a_warning(name):
    x = Tensor([[1.0, np.nan], [2.0, 2.0]], requires_grad=True)
    getattr(nngrad, name)(x, axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad, [[np.nan, np.nan], [0.5, 0.5]])


@activation
def cold_softmax(x, *, axis=-1, t=0.07):
    return exp(x / t) / sum(exp(x / t), axis)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_divided_by_a_temperature_is_counted_from_the_largest_of_its_row(dtype):
    x = np.array([100.0, 101.0, 100.75, -np.inf], dtype)
    e = np.exp((x.astype(np.float64) - 101) / 0.07)
    y = nngrad.define(cold_softmax)(Tensor(x, dtype=dtype)).numpy()
    np.testing.assert_allclose(y, e / e.sum(), rtol=64 * np.finfo(dtype).eps)


@loss
def distance_that_ends(x, y, *, axis=-1, width=2.0):
    z = minimum((y - x) / width, 5)
    return mean(exp(z) - z - 1, axis)


@pytest.mark.slow
def test_a_mean_of_a_choice_is_judged_by_its_terms():
    x, y = [[1.0, 2.0, -1e-4]], [[1.0, 30.0, 0.0]]
    value = nngrad.define(distance_that_ends)(Tensor(x), Tensor(y)).item()
    assert value == pytest.approx((np.exp(5) - 6) / 3, rel=1e-6)
    nngrad.check_grads(nngrad.define(distance_that_ends), (x, [[1.5, 30.0, 0.0]]))


@loss
def ordinal_logit(f, a, *, axis=-1, w=1.5):
    return -sum(log(1 / (1 + exp(-(a + w - f))) - 1 / (1 + exp(-(a - f)))), axis)


@pytest.mark.slow
def test_logarithm_of_what_is_between_two_thresholds():
    f, a = Tensor([[50.0, -60.0, 0.5]], requires_grad=True), [[0.0, 0.0, 0.25]]
    y = nngrad.define(ordinal_logit)(f, a)
    y.backward()
    with mpmath.workdps(60):
        above, below = (
            [1 / (1 + mpmath.exp(x - b - w)) for x, b in zip([50, -60, 0.5], a[0], strict=True)] for w in (1.5, 0)
        )
        terms = [mpmath.log(p - q) for p, q in zip(above, below, strict=True)]
    assert y.item() == pytest.approx(-float(total(terms)), rel=1e-6)
    np.testing.assert_allclose(f.grad[0, :2], [1, -1], rtol=1e-6)


@loss
def share_of_positives(s, y, *, axis=-1):
    p = exp(s) / sum(exp(s), axis)
    return -log(sum(y * p, axis))


@pytest.mark.slow
def test_positives_far_below_the_largest_have_a_logarithm():
    s = Tensor([[200.0, -260.0, 40.0], [100.0, 101.0, 3.0]], requires_grad=True)
    y = nngrad.define(share_of_positives)(s, [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], reduction="none")
    y.sum().backward()
    np.testing.assert_allclose(y.numpy(), [460, 0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(s.grad, [[1, -1, 0], [0, 0, 0]], atol=1e-6)


@op
def log_of_mean_less_mean_of_logs(x, *, axis=-1):
    return log(mean(x, axis)) - mean(log(x), axis)


@op
def inequality(x, *, axis=-1):
    return mean(x / mean(x, axis) * log(x / mean(x, axis)), axis)


@loss
def distance_of_unit_vectors(x, y, *, axis=-1):
    return 2 - 2 * sum(x / sqrt(sum(x**2, axis)) * y / sqrt(sum(y**2, axis)), axis)


@pytest.mark.slow
@pytest.mark.parametrize("function", [log_of_mean_less_mean_of_logs, inequality])
def test_nearly_equal_elements_are_told_apart(function):
    x = Tensor([[1, 1 + 2.0**-30, 1 - 2.0**-30], [1, 2, 30], [7, 7, 7]], dtype=np.float64)
    y = nngrad.define(function)(x).numpy()
    exact = {log_of_mean_less_mean_of_logs: np.log(11) - np.log(60) / 3}
    third = exact.get(function, np.sum(np.array([1, 2, 30]) / 33 * np.log(np.array([1, 2, 30]) / 11)))
    np.testing.assert_allclose(y, [2.0**-60 / 3, third, 0], rtol=1e-9, atol=1e-30)
    nngrad.check_grads(nngrad.define(function), ([[0.5, 2.0, 1.5]],))


@pytest.mark.slow
def test_unit_vectors_near_each_other():
    y = nngrad.define(distance_of_unit_vectors)(Tensor([1.0, 0.0]), Tensor([1.0, 1e-5])).item()
    assert y == pytest.approx(1e-10, rel=1e-5)


@loss
def mixture_likelihood(x, m, w, *, axis=-1):
    return -log(sum(exp(w) / sum(exp(w), axis) * exp(-((x - m) ** 2) / 2) / sqrt(2 * pi), axis))


@pytest.mark.slow
def test_mixture_of_normal_densities_far_from_all_of_them():
    x, m, w = [[60.0]], [[0.0, 1.0, -2.0]], [[0.0, 0.5, -0.5]]
    e = np.exp(w[0])
    expected = 59**2 / 2 - np.log(e[1] / e.sum()) + np.log(2 * np.pi) / 2 - np.log1p(np.exp(-59.5) * e[0] / e[1])
    assert nngrad.define(mixture_likelihood)(Tensor(x), Tensor(m), Tensor(w)).item() == pytest.approx(
        expected, rel=1e-6
    )
