"""Formulas as the literature has them are certified good at every magnitude, at 0, at infinity, on rows of zeros."""

import mpmath
import numpy as np
import pytest
from conftest import SPECS

pytest.importorskip("sympy")

import sympy

import nngrad
from nngrad import Tensor
from nngrad.autodiff import gradients
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.certify import Oracle
from nngrad.codegen.judging import certificate
from nngrad.codegen.pipeline import load_spec
from nngrad.codegen.rewriting import identities
from nngrad.codegen.trace import trace
from nngrad.nn.functional import layer_norm

KINDS = (
    "", "_formulas", "_logs", "_roots", "_rows", "_several", "_likelihoods", "_shares", "_row_losses", "_chance",
    "_more", "_fresh", "_small", "_removable", "_densities",
)  # fmt: skip
DECLARED = [(f"corners{kind}", one) for kind in KINDS for one in load_spec(SPECS / f"corners{kind}.py")]
SPEC_OF = {declaration.name: spec for spec, declaration in DECLARED}
OPS = {declaration.name: trace(declaration) for _, declaration in DECLARED}
SLOW_KINDS = ("more", "fresh", "row_losses", "several", "roots", "small", "removable", "densities")
SLOW_SPECS = {f"corners_{kind}" for kind in SLOW_KINDS}
SLOW = [name for name, spec in SPEC_OF.items() if spec in SLOW_SPECS]

# Their float64 tails magnify the rounding error of a - b; a / b may be out of range; log(exp(t) - 1) is 0 at log 2;
# entropies of rows that one element outweighs, and the logarithm of what it leaves, where that is no float. What is
# made of several exponentials has differences for exponents, or roots; likelihoods have roots.
ROUNDED_DIFFERENCES = (
    "log_of_difference", "ranking_loss", "log_of_complement", "gate_of_exponentials", "opening", "flux"
)  # fmt: skip
OF_SHARES = ("entropy_of_row", "power_loss", "unlikelihood")
OF_SEVERAL = ("smooth_step", "counts_of_logits", "counts_of_means", "share_of_three", "log_of_three", "contrast")
WITH_ROOTS = ("normal_nll", "laplace_nll", "students_nll")
NEARLY_0 = ("gish", "rate_of_opening", "hump_of_yields", "potential")  # what cancels near the roots of their slopes
NEARLY_GOOD = (
    *ROUNDED_DIFFERENCES,
    *OF_SHARES,
    *OF_SEVERAL,
    *WITH_ROOTS,
    *NEARLY_0,
    "wave_packet",
    "divided_difference",
    "generalised_divergence",
    "soft_relu_inverse",
    "distillation",
    "tsallis_entropy",
    "divergence_of_normals",  # of nearly the same: its slopes are good
)
NOT_FINITE_AT_0 = (
    "log_energy", "decibels", "log_fourth", "shares_of_largest", "between_extremes", "soft_share_of"
)  # fmt: skip
OF_X = [name for name, op in OPS.items() if [one.name for one in op.inputs] == ["x"] and name not in NOT_FINITE_AT_0]


class Packages:
    """The functions of all the specs by their names."""

    def __init__(self, package_of):
        self.package_of = lambda name: package_of(SPEC_OF[name])

    def __getattr__(self, name):
        return getattr(self.package_of(name), name)


@pytest.fixture(name="package")
def fixture_package(package_of):
    return Packages(package_of)


def cases(names):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", cases(name for name in OPS if name not in NEARLY_GOOD))
def test_formula_is_good_everywhere(package, name, dtype):
    (entry,) = certificate.certify(OPS[name], dtype, thin=6, ops=package.package_of(name).table.OPS)
    assert entry.grade == "good", (entry.forward, entry.gradient, entry.faults)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", NEARLY_0)
def test_formula_is_fair_everywhere(package, name, dtype):
    (entry,) = certificate.certify(OPS[name], dtype, thin=6, ops=package.package_of(name).table.OPS)
    assert entry.grade != "broken", (entry.forward, entry.gradient, entry.faults)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_divided_differences_are_exact_where_both_are_near_each_other(package, dtype):
    a = np.repeat(np.random.default_rng(3).uniform(-20, 20, 20), 6).astype(dtype)
    b = (a + np.tile([1e-5, -1e-4, 1e-2, -0.3, 3, -12], 20)).astype(dtype)
    inputs = [Tensor(one, dtype=dtype, requires_grad=True) for one in (a, b)]
    y = package.divided_difference(*inputs)
    y.backward(np.ones(y.shape, dtype))

    def exact(a, b):
        with mpmath.workdps(60):
            a, b = mpmath.mpf(float(a)), mpmath.mpf(float(b))
            value = (mpmath.exp(a) - mpmath.exp(b)) / (a - b)
            slopes = (mpmath.exp(a) - value) / (a - b), (mpmath.exp(b) - value) / (b - a)
            return [float(one) for one in (value, *slopes)]

    wanted = np.transpose([exact(*pair) for pair in zip(a, b, strict=True)])
    for got, one in zip((y.data, *(one.grad for one in inputs)), wanted, strict=True):
        np.testing.assert_allclose(got, one, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_what_is_damped_is_0_far_away(package, dtype):
    largest = np.finfo(dtype).max
    t = Tensor(np.array([50, -3e3, 1e30, largest, -largest, np.inf, -np.inf]), dtype=dtype, requires_grad=True)
    y = package.wave_packet(t)
    y.backward(np.ones(y.shape, dtype))
    assert (y.data == 0).all() and (t.grad == 0).all()


@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", cases(WITH_ROOTS))
def test_likelihoods_are_fair_near_their_roots_and_good_elsewhere(package, name, dtype):
    """Where the logarithm of a scale and what is divided by that cancel, half a unit of each remains."""
    (entry,) = certificate.certify(OPS[name], dtype, thin=6, ops=package.package_of(name).table.OPS)
    assert entry.grade != "broken", (entry.forward, entry.gradient, entry.faults)
    x, mu, scale = np.random.default_rng(5).uniform([[-9], [-9], [0.5]], [[9], [9], [300]], (3, 200)).astype(dtype)
    exact = {
        "normal_nll": lambda u, s: (u**2 * mpmath.exp(-s) + s) / 2,
        "laplace_nll": lambda u, s: abs(u) * mpmath.exp(-s) + s,
        "students_nll": lambda u, s: mpmath.mpf(2.5) * mpmath.log1p(u**2 * mpmath.exp(-2 * s) / 4) + s,
    }[name]
    values = [
        float(exact(mpmath.mpf(float(a)) - float(b), mpmath.mpf(float(s))))
        for a, b, s in zip(x, mu, scale, strict=True)
    ]
    np.testing.assert_allclose(getattr(package, name)(x, mu, scale).data, values, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", cases(OF_X))
def test_gradients_keep_the_dtype(package, name, dtype):
    x = Tensor(np.array([[0, 0, 0], [0.5, -1, 2]]), dtype=dtype, requires_grad=True)
    y = getattr(package, name)(x)
    y.backward(np.ones(y.shape, dtype))
    assert y.dtype == x.grad.dtype == dtype and np.isfinite(x.grad).all()


def test_what_was_found_for_one_parameter_holds_for_others(package):
    """Far from zero student's slope is a multiple of 1 / x, whatever nu is."""
    x = Tensor(np.array([3e30, -3e30]), dtype=np.float32, requires_grad=True)
    package.student(x, nu=7.0).backward(np.ones(2, np.float32))
    np.testing.assert_allclose(x.grad, -8 / x.data, rtol=1e-6)
    assert np.isclose(package.student(x, nu=7.0).data, -8 * np.log(3e30 / 7**0.5), rtol=1e-6).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_difference_of_exponentials_keeps_its_digits(package, dtype):
    """log(exp(x) - exp(y)) is x + log(1 - exp(y - x)), where the second term has a form for either side of -log 2."""
    y = np.array([0, 0, 0, -5, 300, 700, -1000], dtype)
    x = y + np.array([1e-3, 0.5, 30, 12, 2, 0.25, 3], dtype)
    exact = [
        float(mpmath.mpf(float(a)) + mpmath.log(-mpmath.expm1(float(b) - float(a)))) for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(package.log_of_difference(x, y).data, exact, rtol=8 * np.finfo(dtype).eps)
    tail = package.log_of_difference(np.array([0], dtype), np.array([-40], dtype)).data
    np.testing.assert_allclose(tail, -np.exp(dtype(-40)), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("ranking_loss", lambda a, b: mpmath.log1p(mpmath.exp(b - a))),
        pytest.param("log_of_complement", lambda a, b: mpmath.log(-mpmath.expm1(a - b)), marks=pytest.mark.slow),
        pytest.param(
            "gate_of_exponentials", lambda a, b: mpmath.tanh(a) / (1 + mpmath.exp(-b)), marks=pytest.mark.slow
        ),
    ],
)
def test_exponentials_of_two_inputs_stay_in_range(package, name, exact, dtype):
    a = np.array([-5000, -700, -40, -3, -0.5, 1e-3, 0.25, 20], dtype)
    b = np.array([4000, 80, 7, -1, 0.25, 2e-3, 40, 25], dtype)
    inputs = [Tensor(one, dtype=dtype, requires_grad=True) for one in (a, b)]
    y = getattr(package, name)(*inputs)
    y.sum().backward()
    with mpmath.workdps(60):
        pairs = [(mpmath.mpf(float(one)), mpmath.mpf(float(other))) for one, other in zip(a, b, strict=True)]
        found = [(y.data, (0, 0)), (inputs[0].grad, (1, 0)), (inputs[1].grad, (0, 1))]
        for got, order in found:
            truth = [exact(*pair) if order == (0, 0) else mpmath.diff(exact, pair, order) for pair in pairs]
            with np.errstate(over="ignore", under="ignore"):
                rounded = np.array([float(one) for one in truth]).astype(dtype)
            np.testing.assert_allclose(got, rounded, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_inverse_of_softplus_keeps_its_digits_near_zero_and_its_range(package, dtype):
    t = np.array([1e-30, 1e-12, 1e-5, 1e-3, 0.25, 3, 40, 90, 5000], dtype)
    exact = [float(mpmath.log(mpmath.expm1(mpmath.mpf(float(one))))) for one in t]
    np.testing.assert_allclose(package.soft_relu_inverse(t).data, exact, rtol=4 * np.finfo(dtype).eps)
    slope = nngrad.grad(lambda x: package.soft_relu_inverse(x).sum())(Tensor(t, dtype=dtype))
    slopes = [float(-1 / mpmath.expm1(-mpmath.mpf(float(one)))) for one in t]
    np.testing.assert_allclose(slope.data, slopes, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_divergence_keeps_its_digits_near_its_zero(package, dtype):
    a = np.array([1, 1, 3, 3, 1e-3, 7, 250, 1], dtype)
    b = (a * np.array([1, 1 + 2.0**-20, 1.001, 0.97, 1.4, 0.46, 2.3, 100])).astype(dtype)
    inputs = [Tensor(one, dtype=dtype, requires_grad=True) for one in (a, b)]
    y = package.generalised_divergence(*inputs)
    y.sum().backward()
    with mpmath.workdps(40):
        pairs = [(mpmath.mpf(float(one)), mpmath.mpf(float(other))) for one, other in zip(a, b, strict=True)]
        exact = [
            [float(p * mpmath.log(p / q) - p + q) for p, q in pairs],
            [float(mpmath.log(p / q)) for p, q in pairs],
            [float(1 - p / q) for p, q in pairs],
        ]
    for got, truth in zip((y.data, *(one.grad for one in inputs)), exact, strict=True):
        np.testing.assert_allclose(got, truth, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.slow
def test_far_out_several_inputs_have_second_derivatives(package):
    def share(a, b, c):
        return mpmath.exp(a) / (mpmath.exp(a) + mpmath.exp(b) + mpmath.exp(c))

    at = (-101.0, -88.0, -77.0)
    inputs = [Tensor(one, requires_grad=True, dtype=np.float64) for one in at]
    slopes = gradients(package.share_of_three(*inputs), inputs, create_graph=True)
    for first, slope in enumerate(slopes):
        for other, got in enumerate(gradients(slope, inputs, create_graph=True)):
            order = tuple((place == first) + (place == other) for place in range(3))
            with mpmath.workdps(60):
                exact = mpmath.diff(share, at, order)
            assert got.item() == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["langevin", "growth", "over_its_tanh", "log_sinhc"])
def test_second_derivatives_keep_their_digits_near_removable_singularities(package, name):
    t = np.array([-300, -30, -2, -0.4, -1e-2, 1e-30, 1e-9, 0.1, 1, 1.6, 12, 40, 700.0])
    slope = nngrad.grad(lambda t: getattr(package, name)(t).sum())
    oracle = Oracle(OPS[name].formulas[0], {})
    size = {"t": np.minimum(np.abs(t), 1)}
    exact = oracle.curvature(size, size, {"t": t}) / size["t"] ** 2
    np.testing.assert_allclose(nngrad.jvp(slope, (t,), (np.ones(t.size),))[1].data, exact.astype(float), rtol=1e-13)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize(
    "name", cases(name for name, spec in SPEC_OF.items() if spec in ("corners_shares", "corners_row_losses"))
)
def test_derivatives_of_rows_can_be_differentiated_again(package, name, axis):
    rng = np.random.default_rng(2)
    inputs = [one.name for one in OPS[name].inputs]
    arrays = [Tensor(rng.normal(size=(3, 4)), dtype=np.float64) for one in inputs if one != "target"]
    target = [rng.integers(0, 3, 3 if axis == -1 else 4)] if "target" in inputs else []
    nngrad.check_grads(lambda *xs: getattr(package, name)(*xs, *target, axis=axis), arrays, order=2)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_slope_of_an_exponential_less_a_line_is_expm1(package, dtype):
    logv = np.array([[-700, -3, -1e-3, 1e-30, 1e-7, 0.25, 80]], dtype)
    slope = nngrad.grad(lambda v: package.divergence_of_normals(0 * v, v).sum())(Tensor(logv, dtype=dtype))
    exact = [float(mpmath.expm1(mpmath.mpf(float(v))) / 2) for v in logv[0]]
    np.testing.assert_allclose(slope.data[0], exact, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nearness", [0, 1e-4, 1e-2, 1])
def test_a_divergence_of_shares_keeps_its_digits_where_these_are_near_each_other(package, nearness, dtype):
    """What one unit in the last place of the inputs would change is forgiven."""
    rng = np.random.default_rng(1)
    t = rng.normal(0, 2, (6, 9)).astype(dtype)
    s = (t + nearness * rng.normal(0, 1, t.shape) + 5).astype(dtype)
    y = package.distillation(s, t, reduction="none").data
    for row, (one, other) in enumerate(zip(s, t, strict=True)):
        with mpmath.workdps(40):
            p, q = ([mpmath.exp(mpmath.mpf(float(x)) / 2) for x in xs] for xs in (other, one))
            p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
            exact = 4 * sum(a * mpmath.log(a / b) for a, b in zip(p, q, strict=True))
            change = 4 * sum(abs(b - a) * abs(float(x)) for a, b, x in zip(p, q, one, strict=True))
        assert y[row] >= 0
        np.testing.assert_allclose(
            y[row], float(exact), rtol=8 * np.finfo(dtype).eps, atol=float(change) * np.finfo(dtype).eps
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_variance_by_squares_keeps_its_digits_far_from_zero(package, dtype):
    x = (1000 + np.array([[0.5, -0.25, 0.125], [3, 3, 3]])).astype(dtype)
    exact = np.var(x.astype(np.float64), axis=-1)
    np.testing.assert_allclose(package.variance_by_squares(x).data, exact, rtol=4 * np.finfo(dtype).eps)
    assert package.variance_by_squares(x).data[1] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_normalisation_has_one_formula_however_its_variance_is_written(package, dtype):
    x = Tensor(np.random.default_rng(0).normal(100, 1e-3, (4, 9)), dtype=dtype)
    written = package.layer_norm_by_squares(x).data
    np.testing.assert_allclose(written, layer_norm(x, 9).data, rtol=0, atol=4 * np.finfo(dtype).eps)


@pytest.mark.slow
def test_a_tail_that_is_0_has_a_logarithm_and_its_slopes(package):
    """Far out the distribution function is 0 in floats; its logarithm is about -x**2 / 2, with the slopes -x and -1."""
    points = [-1e3, -60.0, -20.0, -6.0, -3.0, 0.0, 2.5]
    x = Tensor(np.array(points), dtype=np.float64)
    y = package.log_normal_cdf(x)
    slope = nngrad.grad(lambda x: package.log_normal_cdf(x).sum())(x)
    bend = nngrad.hvp(lambda x: package.log_normal_cdf(x).sum(), x, Tensor(np.ones(7), dtype=np.float64))
    with mpmath.workdps(40):
        ratios = [mpmath.npdf(one) / (mpmath.erfc(-one / mpmath.sqrt(2)) / 2) for one in map(mpmath.mpf, points)]
        logs = [mpmath.log(mpmath.erfc(-one / mpmath.sqrt(2)) / 2) for one in map(mpmath.mpf, points)]
        bends = [-ratio * (one + ratio) for one, ratio in zip(map(mpmath.mpf, points), ratios, strict=True)]
    np.testing.assert_allclose(y.data, [float(one) for one in logs], rtol=2e-15)
    np.testing.assert_allclose(slope.data, [float(one) for one in ratios], rtol=1e-14)
    np.testing.assert_allclose(np.asarray(bend.data), [float(one) for one in bends], rtol=1e-10)


def test_the_oracle_does_not_take_lost_digits_for_nothing():
    """1 + erf(-40) is 0 in a few hundred digits, and 1 + erf(-200) in all that there are; 1 - exp(0) is 0."""
    (formula,) = OPS["log_normal_cdf"].formulas
    near, far = Oracle(formula, {})(x=np.array([-40.0, -200.0]))
    with mpmath.workdps(40):
        assert mpmath.almosteq(near, mpmath.log(mpmath.erfc(40 / mpmath.sqrt(2)) / 2), rel_eps=1e-20)
    assert mpmath.isnan(far)


def test_logarithms_of_two_numbers_are_left_alone():
    """log(2 / pi) is a difference of logarithms, of which none is near the other in some places only."""
    x = Value("x")
    found = identities.with_differences_of_logarithms(sympy.log(2) - sympy.log(sympy.pi) - sympy.log(x))
    conditions = [part.args[0] for part in found.atoms(Where)]
    assert all(isinstance(one, sympy.logic.boolalg.Boolean) and one.free_symbols for one in conditions)


def test_entropies_of_masked_rows_are_those_of_the_rest(package):
    logits = np.array([[0.5, -np.inf, -1.0, 2.0], [3e38, -3e38, 0.0, 3e38]])
    for x in (logits, logits.astype(np.float32)):
        row = Tensor(x, requires_grad=True)
        y = package.entropy_of_row(row)
        y.backward(np.ones(y.shape, x.dtype))
        p = np.exp([0.5, -1.0, 2.0]) / np.exp([0.5, -1.0, 2.0]).sum()
        assert np.allclose(y.data, [-(p * np.log(p)).sum(), np.log(2)], rtol=1e-6)
        assert np.allclose(row.grad[0, [0, 2, 3]], -p * (np.log(p) + (-(p * np.log(p)).sum())), rtol=1e-5)
        assert row.grad[0, 1] == 0 and (row.grad[1] == 0).all()


def test_gradients_of_entropies_are_exact_where_rows_are_nearly_uniform(package):
    x = Tensor(np.array([[2e-20, -1e-20, 5e-21]]), requires_grad=True)
    package.entropy_of_row(x).backward(np.ones(1))
    assert np.allclose(x.grad, (x.data.mean() - x.data) / 3, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_vanishing_shares_have_slopes(package, dtype):
    x = Tensor(np.array([[-900, 0, 1, 1200]]), dtype=dtype, requires_grad=True)
    y = package.power_loss(x, np.array([0]), reduction="sum")
    y.backward()
    assert np.isclose(y.data, 1 / 0.7) and (np.abs(x.grad) < 1e-30).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [0.0, 3.0, 20.0, 80.0])
def test_what_a_share_near_1_leaves_and_its_slopes(package, gap, dtype):
    """-log(1 - p) and its slopes p, and -p p_j / (1 - p) for the others."""
    x = np.array([[0, 1, 2 + gap, 3]], dtype)
    row = Tensor(x, dtype=dtype, requires_grad=True)
    y = package.unlikelihood(row, np.array([2]))
    y.backward()
    with mpmath.workdps(60):
        e = [mpmath.exp(float(one)) for one in x[0]]
        others, p = e[0] + e[1] + e[3], e[2] / sum(e)
        slopes = [p if j == 2 else -p * e[j] / others for j in range(4)]
        exact = [float(one) for one in (-mpmath.log(others / sum(e)), *slopes)]
    np.testing.assert_allclose([y.item(), *row.grad[0]], exact, rtol=8 * np.finfo(dtype).eps)


def _log_sum(*numbers):
    return mpmath.log(mpmath.fsum(mpmath.exp(one) for one in numbers))


def _counts(mean, y):
    return (y + 3) * mpmath.log1p(mean / 3) - y * mpmath.log(mean / 3)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "exact", "points"),
    [
        (
            "smooth_step",
            lambda x: mpmath.log1p(mpmath.exp(x + 1)) - mpmath.log1p(mpmath.exp(x - 1)),
            [(-80,), (-20,), (-1,), (0,), (0.5,), (9,), (60,), (900,)],
        ),
        ("counts_of_logits", lambda x, y: _counts(mpmath.exp(x), y), [(-60, 2), (-3, 1), (0.5, 7), (30, 4), (85, 3)]),
        ("counts_of_means", _counts, [(1e-30, 2), (0.25, 7), (3, 1), (900, 5), (2e9, 3), (1e30, 2)]),
        (
            "share_of_three",
            lambda a, b, c: mpmath.exp(a - _log_sum(a, b, c)),
            [(1, 2, 3), (700, 690, 712), (-900, -905, -903), (0, 30, -200), (5e4, 5e4, 0)],
        ),
        ("log_of_three", lambda a, b: _log_sum(0, a, b), [(1, 2), (700, 710), (-40, -43), (5e4, -5e4), (-1, 90)]),
    ],
)
def test_several_exponentials_and_logarithms_keep_their_digits(package, name, exact, points, dtype):
    """Against the formula itself in many digits, and its differences, where exponentials overflow or terms cancel."""
    inputs = [Tensor(one, dtype=dtype, requires_grad=True) for one in zip(*points, strict=True)]
    y = getattr(package, name)(*inputs)
    y.sum().backward()
    tolerance = {"rtol": 64 * np.finfo(dtype).eps, "atol": np.finfo(dtype).smallest_normal}
    with mpmath.workdps(120):
        rows = [[mpmath.mpf(float(one)) for one in row] for row in zip(*(one.data for one in inputs), strict=True)]
        np.testing.assert_allclose(y.data, [float(exact(*row)) for row in rows], **tolerance)
        for place, one in enumerate(inputs):

            def along(number, row, place=place):
                return exact(*row[:place], number, *row[place + 1 :])

            slopes = [float(mpmath.diff(lambda number, row=row: along(number, row), row[place])) for row in rows]
            np.testing.assert_allclose(one.grad, slopes, **tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_contrasted_with_a_row_does_not_overflow(package, dtype):
    """exp(x) beside sum(exp(y)): the softplus of log(sum(exp(y))) - x."""
    rows = [[1, 2, 3, -4, 5], [700, 20, -3, 0, 690], [-300, -299, -310, -400, -305]]
    x, y = (Tensor(one, dtype=dtype, requires_grad=True) for one in ([[2, -5, 600, -600, 40]], rows))
    out = package.contrast(x, y)
    out.sum().backward()
    with mpmath.workdps(60):
        totals = [_log_sum(*(2 * b for b in row)) for row in rows]
        pairs = [[(2 * mpmath.mpf(float(a)), total) for a in x.data[0]] for total in totals]
        values = [[mpmath.log1p(mpmath.exp(s - a)) for a, s in row] for row in pairs]
        weights = [[1 / (1 + mpmath.exp(a - s)) for a, s in row] for row in pairs]
        slopes = [-2 * mpmath.fsum(column) for column in zip(*weights, strict=True)]
        shares = [
            [2 * mpmath.fsum(weight) * mpmath.exp(2 * b - total) for b in row]
            for weight, total, row in zip(weights, totals, rows, strict=True)
        ]
    tolerance = {"rtol": 1500 * np.finfo(dtype).eps, "atol": np.finfo(dtype).smallest_normal}  # of exp(-1400)
    for got, exact in ((out.data, values), (x.grad, [slopes]), (y.grad, shares)):
        np.testing.assert_allclose(got, np.array(exact, float), **tolerance)
