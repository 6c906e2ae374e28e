"""Formulas with parameters for scales: certified as others are, and what their rules make of them."""

import mpmath
import numpy as np
import pytest
from conftest import SPECS, ops_of

pytest.importorskip("sympy")

import sympy

import nngrad
from nngrad import Tensor
from nngrad.autodiff import gradients
from nngrad.codegen.algebra import gaussians, words
from nngrad.codegen.algebra.exp_words import (
    expm1_over,
    expm1_over_slope,
    over_expm1,
    with_divided_differences,
    with_quotients_of_expm1,
)
from nngrad.codegen.algebra.symbols import Parameter, Value, Where
from nngrad.codegen.certify import Oracle
from nngrad.codegen.judging import certificate
from nngrad.codegen.judging.rounding import Judge
from nngrad.codegen.language import exp, log, op, sqrt
from nngrad.codegen.pipeline import numbers_to_try
from nngrad.codegen.rewriting import identities
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rewriting.restage import restated
from nngrad.codegen.rules.factors import with_growths_apart, with_powers_together
from nngrad.codegen.rules.far import (
    far_from_zero,
    in_reciprocal,
    with_far_forms,
    with_powers_of_sums_taken_out,
    with_quotient_apart,
)
from nngrad.codegen.rules.logarithms import (
    with_complements,
    with_logarithms_of_powers,
    with_powers_out_of_logarithms,
)
from nngrad.codegen.rules.remainders import log_remainder, phi_two, with_powers_less_one, with_remainders
from nngrad.codegen.rules.roots import without_cancelling_roots
from nngrad.codegen.rules.settled import ratio, with_ratios, without_ratios
from nngrad.codegen.rules.several import with_logarithms_of_sums
from nngrad.codegen.rules.units import over
from nngrad.codegen.trace import trace

SPEC = "corners_scales"
OPS, RATIOS = ops_of(SPECS / f"{SPEC}.py"), ops_of(SPECS / "corners_ratios.py")
X, Y, C = Value("x"), Value("y"), Parameter("c")
NEAR = np.array([-0.3, -1e-3, -1e-9, 1e-20, 1e-7, 1e-3, 0.02, 0.4])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", OPS)
def test_formula_is_fair_everywhere(package_of, name, dtype):
    (entry,) = certificate.certify(OPS[name], dtype, thin=6, ops=package_of(SPEC).table.OPS)
    assert entry.grade != "broken", (entry.forward, entry.gradient, entry.faults)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
def test_derivatives_that_are_differentiated_again_keep_their_digits_near_zero(package_of, name):
    oracle = Oracle(OPS[name].formulas[0], numbers_to_try(OPS[name]))
    t = Tensor(NEAR, dtype=float, requires_grad=True)
    y = getattr(package_of(SPEC), name)(t)
    (slope,) = gradients(y, [t], np.ones(NEAR.shape), create_graph=True)
    (bend,) = gradients(slope, [t], np.ones(NEAR.shape))
    size = abs(NEAR)
    exact = {
        "slope": oracle.slope({"t": size}, {"t": NEAR}, size),
        "bend": oracle.curvature({"t": size}, {"t": size}, {"t": NEAR}) / size**2,
    }
    for got, truth in zip((slope.data, bend.data), exact.values(), strict=True):
        known = np.array([not mpmath.isnan(one) for one in truth])
        np.testing.assert_allclose(got[known], truth[known].astype(float), rtol=1e-10, atol=1e-13)


@pytest.mark.slow
def test_what_is_chosen_by_sides_bends_at_zero(package_of):
    t = Tensor(0.0, dtype=float, requires_grad=True)
    (slope,) = gradients(package_of(SPEC).purity_loss(t), [t], create_graph=True)
    (bend,) = gradients(slope, [t])
    np.testing.assert_allclose(bend.data, 2**-1.7 * (1.7 / 2 - 0.7), rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "scaled"),
    [
        ("hyperbolic_map", "(t, 1, sqrt(c))"), ("fall", "(t, v**2/g, g/v)"), ("rotation", "(t, 1, 1)"),
        ("hanging_chain", "(t, a, 1/a)"),
    ],
)  # fmt: skip
def test_scales_are_found(name, scaled):
    op = (OPS | RATIOS)[name]
    assert str(Judge(op.formulas[0], op.formulas[0], numbers_to_try(op)).scaled) == scaled


def test_scales_are_numbers_where_inputs_are_1():
    """Those of a function of s / (x - m) are not, but those of (x - m) / s are."""

    @op
    def score_of_laplace(x, m, s):
        size = words.abs((x - m) / s)
        return s * (size + exp(-size) - 3 / 4)

    (formula,) = trace(score_of_laplace).formulas
    assert str(Judge(formula, formula, {}).scaled) == "(-m + x, s, 1/s)"


def test_an_argument_is_made_of_inputs_alone():
    @op
    def beyond_a_margin(x, m, *, a=0.7):
        return (x - m - 1 / (2 * a)) ** 2

    (formula,) = trace(beyond_a_margin).formulas
    assert Judge(formula, formula, {"a": 0.7}).scaled is None


def test_what_differs_by_more_than_scales_has_none():
    formula = OPS["dose"].formulas[0]
    assert Judge(formula, formula, numbers_to_try(OPS["dose"])).scaled is None


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES)
@pytest.mark.parametrize("name", ["deviance", "entropy_beyond_tangent"])
def test_divergences_are_good_for_all_numbers(package_of, name, dtype):
    package = package_of("corners_ratios")
    (entry,) = certificate.certify(RATIOS[name], dtype, thin=4, ops=package.table.OPS)
    assert max(entry.forward.ulp, entry.gradient.ulp) <= certificate.GOOD, (entry.forward, entry.gradient)
    assert not [fault for fault in entry.faults if "inf" not in fault], entry.faults
    assert "float64" not in getattr(package, name).source, "float32 is enough"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES)
def test_log_odds_of_both_are_good_everywhere(package_of, dtype):
    op, ops = RATIOS["log_odds_of_both"], package_of("corners_ratios").table.OPS
    (entry,) = certificate.certify(op, dtype, thin=4, ops=ops)
    assert entry.forward.ulp <= certificate.GOOD and entry.gradient.ulp <= certificate.FAIR, (
        entry.forward,
        entry.gradient,
    )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES)
def test_windows_are_level_at_zero(package_of, dtype):
    numbers = np.array([1e-30, -1e-12, 1e-6, 0.02, -0.3, 1.6], dtype)
    t = Tensor(numbers, dtype=dtype, requires_grad=True)
    y = package_of("corners_ratios").window(t)
    (slope,) = gradients(y, [t], np.ones(numbers.shape, dtype))
    oracle, size = Oracle(RATIOS["window"].formulas[0], {"a": 3.0}), np.minimum(abs(numbers), 1)
    exact = oracle(t=numbers), oracle.slope({"t": size}, {"t": numbers}, size)
    for got, truth in zip((y.data, slope.data), exact, strict=True):
        np.testing.assert_allclose(got, truth.astype(float), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES)
def test_slopes_by_an_input_that_is_a_scale_keep_their_digits(package_of, dtype):
    """1 - cosh(u) + u sinh(u), u being t / a, cancels where u is small."""
    t, a = (np.array(one, dtype) for one in ((3e-4, 0.02, -5.0, 0.5, 40.0, 3.0), (700.0, 5.0, 90.0, -0.6, 2.5, 8.0)))
    t, a = Tensor(t, dtype=dtype, requires_grad=True), Tensor(a, dtype=dtype, requires_grad=True)
    slopes = gradients(package_of("corners_ratios").hanging_chain(t, a), [t, a], np.ones(t.shape, dtype))
    oracle = Oracle(RATIOS["hanging_chain"].formulas[0], {})
    inputs = {"t": t.data, "a": a.data}
    for name, slope in zip(inputs, slopes, strict=True):
        size = abs(inputs[name])
        exact = oracle.slope({name: size}, inputs, size).astype(float)
        np.testing.assert_allclose(slope.data, exact, rtol=8 * np.finfo(dtype).eps)


def test_logarithms_of_several_exponentials_are_made_of_two_at_a_time():
    inside = words.sigmoid(X) * words.sigmoid(Y)
    made = with_logarithms_of_sums(sympy.log(inside / (1 - inside)))
    assert made == -words.logaddexp(words.logaddexp(-Y, -X), -X - Y)
    assert with_logarithms_of_sums(sympy.log(1 + sympy.exp(X) + sympy.exp(Y))) == words.softplus(words.logaddexp(X, Y))
    negative = sympy.log(1 + sympy.exp(X) - sympy.exp(Y))
    assert with_logarithms_of_sums(negative) == negative


def test_logarithms_of_two_powers_are_made_of_the_logarithms_of_their_bases():
    expr = sympy.log(words.power(X, C) + words.power(1 - X, C))
    made = with_logarithms_of_powers(expr)
    assert made == Where(sympy.And(X > 0, 1 - X > 0), words.logaddexp(C * words.log1p(-X), C * sympy.log(X)), expr)
    one_beside = with_logarithms_of_powers(words.log1p(3 * words.power(X, C)))
    assert one_beside.args[:2] == (X > 0, words.softplus(sympy.log(3) + C * sympy.log(X)))
    for other in (sympy.log(X + sympy.exp(X)), sympy.log(words.power(X, C) - 1), sympy.log(words.power(X, C))):
        assert with_logarithms_of_powers(other) == other


def test_products_of_sines_over_powers_are_cardinal_sines():
    made = identities.with_cardinal_sines(C * words.sinpi(X) * words.sinpi(X / C) / (sympy.pi**2 * X**2))
    assert made == words.sinc(X) * words.sinc(X / C)
    assert identities.with_cardinal_sines(words.sinpi(X) ** 2 / X) == sympy.pi * words.sinc(X) * words.sinpi(X)
    assert identities.with_cardinal_sines(sympy.sin(X) / X) == sympy.sin(X) / X


def test_quotients_of_inputs_may_overflow_where_functions_of_them_have_settled():
    made = with_ratios(3 * words.tanh(2 * X / Y) + X / Y * sympy.exp(-(X**2) / Y**2) / C)
    finite = words.finite(ratio(X, Y)) / C
    assert made == 3 * words.tanh(2 * ratio(X, Y)) + finite * sympy.exp(-(ratio(X, Y) ** 2))
    assert with_ratios(C * X / (1 + X**3 / Y**3)) == C * X / (1 + ratio(X, Y) ** 3)
    assert without_ratios(made) == 3 * words.tanh(2 * X / Y) + words.finite(X / Y) / C * sympy.exp(-(X**2) / Y**2)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", certificate.DTYPES)
def test_quotients_that_overflow_say_nothing(package_of, dtype):
    """Neither forward nor backward: warnings are errors here."""
    huge, tiny = np.finfo(dtype).max / 4, np.finfo(dtype).tiny * 4
    args = [
        Tensor(one, dtype=dtype, requires_grad=True) for one in ([huge, -huge, 1.0], [0.0, 0.0, 0.5], [tiny, tiny, 2.0])
    ]
    y = package_of("corners_ratios").occupation(*args)
    np.testing.assert_allclose(y.data, [0, 1, 1 / (np.exp(0.25) + 1)], rtol=4 * np.finfo(dtype).eps)
    slopes = gradients(y, args, np.ones(3, dtype))
    assert [slope.data[:2].tolist() for slope in slopes] == [[0, 0]] * 3


@pytest.mark.parametrize("expr", [X * (3 * X + 1) / (X * (2 * X + C) + 4), (X + 2) ** 2 / (X**2 + 1) ** 3, X**3 - X])
def test_quotients_of_polynomials_in_reciprocals(expr):
    far = in_reciprocal(expr, X)
    assert sympy.cancel(far - expr) == 0
    assert abs(far.subs({X: sympy.Float("1e300"), C: 5})) < sympy.oo


def test_no_other_quotient_is_in_reciprocals():
    assert in_reciprocal(sympy.exp(X) / (X + 1), X) is None


SIZE, SUM = words.abs(X), 1 + words.power(words.abs(X), C)
POWERS_OF_SUMS = [
    sympy.sqrt(C * (1 + X) ** 3 + 2), words.power(1 + words.power(C * SIZE, C), 1 / C - 1),
    X / words.power(SUM, 1 / C), (X**2 + X) / sympy.sqrt(X**2 + C) * (X**4 + 3) ** sympy.Rational(-7, 3),
]  # fmt: skip


def value(expr, x: str) -> mpmath.mpf:
    """At x with c = 2.5, in enough digits."""
    expr = expr.replace(words.power_slope.build, lambda base, p: p * words.power(base, p - 1))
    expr = words.in_words(expr).replace(words.abs.build, sympy.Abs).replace(words.sign.build, sympy.sign)
    plain = expr.replace(words.power.build, lambda base, p: base**p)
    return mpmath.mpmathify(plain.subs({X: sympy.Float(x, 60), C: sympy.Rational(5, 2)}).evalf(50))


@pytest.mark.parametrize("of", [lambda expr: expr, lambda expr: expr.diff(X)], ids=["value", "slope"])
@pytest.mark.parametrize("expr", POWERS_OF_SUMS, ids=str)
def test_powers_of_sums_meet_far_from_zero(expr, of):
    expr = of(expr)
    far = far_from_zero(with_powers_of_sums_taken_out(expr), X, lambda exponent: float(exponent.subs(C, 2.5)))
    assert mpmath.almosteq(value(far, "7e30"), value(expr, "7e30"), 1e-30)
    sums = [part.args[0] for part in (*far.atoms(words.power.build), *far.atoms(sympy.Pow)) if part.args[0].is_Add]
    assert all(abs(value(one, "1e300")) < 1e3 for one in sums)


def test_terms_cancel_beside_the_least_power_of_a_sum():
    slope = (X / words.power(SUM, 1 / C)).diff(X)
    assert with_powers_of_sums_taken_out(slope) == words.power(SUM, (-C - 1) / C)


def test_remainders_of_logarithms_and_over_squares():
    mass = with_remainders(words.log1p(X) - X / (1 + X))
    near = words.minimum(X, 2**80)
    assert mass == log_remainder(-near / (1 + near), -words.log1p(X))
    assert with_remainders(2 * (words.expm1(-X) + X) / X**2) == 2 * phi_two(-X)


@pytest.mark.parametrize(
    "written, stable",
    [
        (C * X / (1 - sympy.exp(-X / C)), C**2 * over_expm1(-X / C)),
        (X * (2 - C * sympy.exp(X)) / (sympy.exp(X) - 1), 2 * over_expm1(X) - C * over_expm1(-X)),
        ((1 - sympy.exp(-C * X)) / X, C * expm1_over(-C * X)),
        ((1 - sympy.exp(-X / C)) / (X / C) - sympy.exp(-X / C), X / C * expm1_over_slope(-X / C)),
        (X / (1 - sympy.exp(-C)), None),
    ],
    ids=str,
)
def test_quotients_of_expm1(written, stable):
    written = recognised(written)
    assert sympy.expand(with_quotients_of_expm1(written) - (written if stable is None else stable)) == 0


def test_differences_over_differences():
    far, near = X + 2, C
    mean = with_divided_differences((sympy.exp(far) - sympy.exp(near)) / (3 * near - 3 * far))
    larger, smaller = sympy.exp(far) * expm1_over(near - far), sympy.exp(near) * expm1_over(far - near)
    assert -3 * mean in (Where(far > near, larger, smaller), Where(near > far, smaller, larger))
    for logarithm in (sympy.log(X / Y), sympy.log(X) - sympy.log(Y)):
        rise = sympy.log(X / Y)
        between = Where(X > Y, X * expm1_over(-rise), Y * expm1_over(rise))
        assert with_divided_differences(C * (X - Y) / logarithm) == C * between


def test_sums_of_powers_of_numbers():
    sums = recognised(words.log10(words.power(10, X) + words.power(10, Y)))
    assert sums == words.logaddexp(X * sympy.log(10), Y * sympy.log(10)) / sympy.log(10)


def test_complements_meet():
    entropy = words.softplus(X) - X * words.sigmoid(X)
    turned = words.softplus(-X) + X * words.sigmoid(-X)
    condition, right, left = with_complements(entropy).args
    assert (condition, left) == (X > 0, entropy) and sympy.expand(right - turned) == 0


def test_what_a_form_is_beyond_its_limit_is_told_by_float64():
    """At 2**60 the slope of x**2 / (1 + x**2) is nothing to float32."""
    formula = OPS["fall"].formulas[0]
    (x,) = formula.inputs
    slope = 2 * x / (1 + x**2) ** 2
    judge = Judge(restated(formula, x**2 / (1 + x**2)), restated(formula, x**2 / (1 + x**2)), {})
    assert judge.is_right_beyond((x.name,), slope, 2**60)
    assert not judge.is_right_beyond((x.name,), slope.xreplace({x: words.clamped(x, 2**60)}), 2**60)
    assert judge.is_right_beyond((), (x**2 / (1 + x**2)).xreplace({x: words.clamped(x, 2**60)}), 2**60)


def test_a_parameter_is_the_leg_of_an_angle():
    slope = (1 + X / sympy.sqrt(X**2 + 4 * C**2)) / 2
    made = next(without_cancelling_roots(slope))
    assert made.has(words.over_hypot.build)
    assert mpmath.almosteq(value(identities.in_roots(made.args[2]), "-3"), value(slope, "-3"), 1e-30)


@pytest.mark.parametrize("x", [-700, 700])
def test_what_exponentials_grow_by_meets_in_their_quotient(x):
    (meeting,) = with_growths_apart(words.expm1(-2 * X) / words.expm1(-3 * X)).atoms(sympy.exp)
    assert meeting.args[0].replace(words.maximum.build, sympy.Max).subs(X, x) == min(x, 0)


@pytest.mark.parametrize("x", ["-2000", "2000", "0.3"])
def test_what_hyperbolic_functions_grow_by_meets_in_their_quotient(x):
    """At 2000 each is infinite in float64, cosh(x / 2)**2 sinh(0.9 x) / sinh(2 x) is not."""
    quotient = words.cosh(X / 2) ** 2 * words.sinh(9 * X / 10) / words.sinh(2 * X)
    made = with_growths_apart(quotient)
    assert mpmath.almosteq(value(made, x), value(quotient, x), 1e-30)
    assert all(abs(value(one, x)) <= 1 for one in made.atoms(sympy.exp, words.expm1.build))


@pytest.mark.parametrize("x", ["0.5", "4.9", "5.1", "9", "200"])
def test_what_rules_compute_of_a_tail_has_the_digits_of_float64(x):
    written = gaussians.tail_excess.smooth(X)
    assert abs(value(written, x) / gaussians.tail_excess.oracle(mpmath.mpf(x)) - 1) < 1e-14


def test_tails_bend_at_zero():
    """The second derivative of exp(x**2) erfc(x) there is 2."""
    written = gaussians.erfcx_slope.smooth(X).replace(gaussians.tail_excess.build, gaussians.tail_excess.smooth)
    assert abs(value(written.diff(X), "0") - 2) < 1e-20


def test_one_less_the_root_of_a_quotient():
    expr = 1 - sympy.sqrt(X**7 / (X**7 + 3))
    (made,) = without_cancelling_roots(expr)
    assert abs(sympy.lambdify(X, made, "math")(1e4) / float(value(expr, "1e4")) - 1) < 1e-14


def test_what_is_no_power_far_from_zero():
    assert far_from_zero(sympy.sqrt(1 + sympy.exp(X)), X, float) is None


def test_of_a_sum_the_quotients_are_in_reciprocals():
    bell = sympy.exp(-(X**2))
    first, *others = with_far_forms(X / (1 + X**2) ** 2 + X * bell, X, 1024, float)
    assert [form.has(bell) for form in (first, *others)] == [True, False]
    assert "abs(x) > 1" in str(first)


@pytest.mark.parametrize("expr", [(X + C) ** 0.3 - C**0.3, C**X - 1, 2 * (X + 9) ** sympy.Rational(7, 2) - 2 * 3**7])
def test_powers_less_those_at_zero(expr):
    expr = sympy.nsimplify(expr, rational=True)
    made = next(with_powers_less_one(expr))
    for x in (1e-3, 0.4, 30):
        numbers = {X: sympy.Float(x, 40), C: sympy.Float(2.5, 40)}
        assert abs(made.subs(numbers).doit() / expr.subs(numbers) - 1) < 1e-12
    assert "expm1" in str(made)


def test_powers_of_small_exponents_are_near_1_far_out():
    """x**c - 1 for a c of 1e-4 is c log(x), from 1e-37 to 1e37."""
    where = next(with_powers_less_one(words.power(X, C) - 1))
    for x, c, is_near in ((1e-37, 1e-4, True), (1e37, 1e-4, True), (1e30, 0.5, False), (3.0, 0.5, True)):
        assert where.args[0].subs({X: sympy.Float(x), C: sympy.Float(c)}) == is_near


def test_powers_of_quotients():
    a, b, half = 3 * X + 1, sympy.sqrt(X) + 1, sympy.Rational(1, 2)
    made = with_powers_together(a ** (9 * half) / b ** (7 * half))
    assert "power" in str(made)
    assert abs(made.subs(X, 2.0).doit() / (a ** (9 * half) / b ** (7 * half)).subs(X, 2.0) - 1) < 1e-14
    negative = a ** (9 * half) / (X - 1) ** (7 * half)
    assert with_powers_together(negative) == negative


@pytest.mark.parametrize("u", [X, -X])
def test_the_hazard_of_normal_numbers(u):
    assert recognised(gaussians.normal_density(u) / gaussians.normal_cdf(-X)) == gaussians.log_normal_cdf_slope(-X)


def test_what_is_divided_by_rounding_does_not_settle():
    """1 - erf(60) is 0 in fewer than 1600 digits."""
    oracle = Oracle(OPS["normal_hazard"].formulas[0], {})
    (value,) = oracle(t=np.array([60.0]))
    assert mpmath.isnan(value) or abs(value - 60.0166) < 1e-3


def test_scales_are_known_by_powers_of_quotients():
    assert identities.scales(words.log1p(X**2 / Y**2), X) == (1, 1 / Y)
    assert identities.scales(Y * words.log1p(X / Y), X) == (Y, 1 / Y)
    assert identities.scales(X + words.log1p(X**2 / Y**2), X) is None


def test_what_a_quotient_tends_to_comes_apart():
    assert with_quotient_apart(X**2 / (Y * words.hypot(X, Y) ** 2), X) == 1 / Y - Y / words.hypot(X, Y) ** 2
    assert with_quotient_apart(X / (1 + X**2), X) is None
    assert with_quotient_apart(words.tanh(X), X) is None


def test_arguments_are_kept_within_limits_in_units_of_inputs():
    @op
    def bell(x, c):
        return 1 - exp(-((x / c) ** 2) / 2)

    (formula,) = trace(bell).formulas
    judge = Judge(formula, formula, {})
    assert judge.has_scales
    z, (x, c) = words.clamped(ratio(X, Value("c")), 64), formula.inputs
    whole, last = judge.clamped_by_scale(x * sympy.exp(-(x**2) / c**2 / 2) / c**2, 64)
    assert whole == z * sympy.exp(-(z**2) / 2) / c
    assert last == over(z * sympy.exp(-(z**2) / 2), c)


@pytest.mark.parametrize("power", [-3, -2, 2, 5])
@pytest.mark.parametrize("c", [sympy.Rational(7, 10), -sympy.Rational(7, 10)])
def test_a_power_whose_logarithm_is_taken_may_leave_the_range(c, power):
    given = sympy.log(c * X**power)
    made = with_powers_out_of_logarithms(given)
    numbers = np.array([-1e150, -3.0, -1e-150, 1e-150, 0.4, 1e150])
    with np.errstate(invalid="ignore", over="ignore"):
        found = sympy.lambdify(X, made, [{"abs": np.abs}, "numpy"])(numbers)
    for number, one in zip(numbers, found, strict=True):
        exact = sympy.N(given.xreplace({X: sympy.Float(number, 60)}), 30)
        assert not np.isfinite(one) if not exact.is_real else abs(one - float(exact)) <= 1e-15 * max(abs(one), 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*no accurate form was found")  # where both inputs are far out
def test_forms_with_series_and_logarithms_of_minus_1_stop_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))

    @op
    def pseudo_huber_by_scale(x, c):
        return c**2 * (sqrt(1 + (x / c) ** 2) - 1)

    @op
    def mixed_log_odds(a, b, w):
        p = w / (1 + exp(-a)) + (1 - w) / (1 + exp(-b))
        return log(p / (1 - p))

    huber, odds = nngrad.define(pseudo_huber_by_scale), nngrad.define(mixed_log_odds)
    np.testing.assert_allclose(huber(Tensor(1e-9, dtype=float), Tensor(2.0, dtype=float)).item(), 5e-19, rtol=1e-15)
    assert odds(Tensor(0.7), Tensor(0.7), Tensor(0.5)).item() == pytest.approx(0.7, rel=1e-6)
