"""How accurate forms are found: words in disguise, stable fractions, identities, series, and the judge of them all."""

import pytest

pytest.importorskip("sympy")

import mpmath
import numpy as np
import sympy
from sympy import exp, log, sqrt

from nngrad.codegen.algebra import gaussians, words
from nngrad.codegen.algebra.symbols import Value, Where
from nngrad.codegen.algebra.texts import text
from nngrad.codegen.command import run
from nngrad.codegen.judging.errors import ACCURATE
from nngrad.codegen.judging.rounding import Judge
from nngrad.codegen.pipeline import load_spec, selections
from nngrad.codegen.rewriting.identities import (
    as_quotient,
    in_roots,
    one_signed,
    with_sizes_signed,
    with_squares_of_sines,
    without_difference_of_roots,
)
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rewriting.restage import inlined
from nngrad.codegen.rules.exponentials import as_word, growths, stable, tails
from nngrad.codegen.rules.poles import slopes_of
from nngrad.codegen.rules.roots import without_cancelling_roots
from nngrad.codegen.rules.series import fitted, fitted_far, leading_term
from nngrad.codegen.trace import trace

x = Value("x")


@pytest.mark.parametrize(
    ("written", "word"),
    [
        (1 / (1 + exp(-x)), words.sigmoid(x)),
        (exp(x) / (1 + exp(x)), words.sigmoid(x)),
        (3 / (2 + 2 * exp(2 * x)), words.sigmoid(-2 * x) * 3 / 2),
        (exp(x) / (1 + exp(x)) ** 2, words.sigmoid_slope(x)),
        ((exp(x) - exp(-x)) / (exp(x) + exp(-x)), words.tanh(x)),
        (1 / (2 + exp(x)), None),
        (x**2, None),
    ],
)
def test_fractions_that_are_words(written, word):
    assert as_word(written) == word


bell, root = exp(-(x**2) / 2), sqrt(2 * sympy.pi)


@pytest.mark.parametrize(
    ("written", "words_of_it"),
    [
        (words.sigmoid(x) * bell / root, words.sigmoid(x) * gaussians.normal_density(x)),
        (-3 * x * bell / root, -3 * gaussians.times_normal_density(x)),
        (x**2 * bell / root, x**2 * gaussians.normal_density(x)),
        (bell / 2, bell / 2),
        (x * bell, gaussians.x_exp_square(x, -sympy.S.Half)),
        (exp(-(x**2)) / root, exp(-(x**2)) / root),
    ],
)
def test_normal_densities(written, words_of_it):
    assert recognised(written) == words_of_it


@pytest.mark.parametrize(
    "of", ["x * (1 + erf(x / sqrt(2)))", "x * (1 + erf(x / sqrt(2))) / 2 + exp(-x**2 / 2) / sqrt(2 * pi)"]
)
def test_a_distribution_and_its_density_are_computed_together(tmp_path, of):
    path = tmp_path / "spec.py"
    path.write_text(f"from nngrad.codegen.language import *\n\n\n@op\ndef bend(x):\n    return {of}\n")
    assert run(["--spec", str(path), "--out", str(tmp_path / "bends")]) == 0
    source = (tmp_path / "bends" / "kernels.py").read_text()
    together = source[source.index("def bend_and_residuals") :].partition("return")[0]
    assert together.count("runtime.normal_density(x)") == 1 and "runtime.normal_cdf(x, " in together
    assert "exp_square" not in source


@pytest.mark.parametrize(
    "written",
    [1 / (2 + exp(x)), (1 + exp(x)) / (3 + exp(2 * x)), log(2 + exp(x)), log(exp(-x) + exp(x)), x / (1 + 5 * exp(-x))],
)
def test_stable_forms_are_equal_and_overflow_nowhere(written):
    form = stable(written)
    assert all(part.args[0].subs(x, side * 5000) <= 0 for part in form.atoms(exp) for side in (1, -1))
    for number in (-3.5, -0.25, 0.75, 4.25):
        assert value(form, number) == pytest.approx(float(written.subs(x, number)), rel=1e-13)


def value(form, number):
    """The number that a form comes to."""
    form = form.xreplace({x: sympy.Float(number)})
    plain = form.replace(lambda part: isinstance(part, Where), lambda part: part.args[1 if part.args[0] else 2])
    return float(sympy.lambdify([], plain, [{"Abs": abs, "expm1": np.expm1, "log1p": np.log1p}, "numpy"])())


def test_what_has_no_exponentials_has_no_stable_form():
    assert stable(x**2) is None and stable(exp(x)) is None


def test_tails():
    assert list(tails(x * exp(x) / (1 + exp(x)))) == [(x, x)]
    assert list(tails(1 / (1 + exp(-x)))) == []  # a multiple by a number has no digits to lose


def test_series_of_a_difference():
    series = fitted(lambda numbers: [one - mpmath.tanh(one) for one in numbers], 0.3)
    assert (series.power, series.even, series.radius) == (3, True, 0.5)
    with mpmath.workdps(40):
        for number in (1e-9, 0.01, 0.3, -0.5):
            truth = mpmath.mpf(number) - mpmath.tanh(number)
            got = mpmath.mpf(number) ** 3 * mpmath.polyval(series.coefficients["float64"], mpmath.mpf(number) ** 2)
            assert abs(got / truth - 1) < 1e-16
            assert float(series.polynomial(x).subs(x, number)) == pytest.approx(float(got), rel=1e-15)


def test_series_have_no_coefficients_of_noise():
    series = fitted(lambda numbers: [mpmath.sinh(x) + x * mpmath.cosh(x) + x**2 for x in numbers], 0.3)
    assert (series.power, series.even) == (1, False)
    for coefficients in series.coefficients.values():
        assert [one == 0 for one in coefficients[::-1]] == [k % 2 == 1 and k > 1 for k in range(len(coefficients))]


def test_no_series_without_a_leading_power_or_beyond_its_radii():
    assert fitted(lambda numbers: [mpmath.exp(-1 / abs(one)) for one in numbers], 0.3) is None
    assert fitted(lambda numbers: numbers, 40) is None


def test_series_far_from_zero():
    def tail(numbers):  # arctan x + pi / 2 for x = -1 / u, less what it is about
        return [mpmath.atan(1 / x) / x - 1 / x**2 + 2 for x in numbers]

    found = fitted_far(tail, 9)
    assert (found.distance, found.limit, found.growth, found.series.power, found.series.even) == (8, 2, 0, 4, True)
    assert abs(found.series.coefficients["float64"][-1] + 1 / 3) < 1e-16
    assert found.negated.limit == -2 and found.negated.series.coefficients["float64"][-1] > 1 / 4
    grown = fitted_far(lambda numbers: [x * mpmath.sqrt(1 + x * x) for x in numbers], 9)
    assert (grown.limit, grown.growth, grown.series.power, grown.series.coefficients["float64"][-1]) == (0, 2, 0, 1)
    assert fitted_far(lambda numbers: [mpmath.exp(-x) for x in numbers], 9) is None
    assert fitted_far(tail, 0.1) is None


def test_leading_terms():
    def bent(numbers):
        return [(mpmath.sqrt(x * x + 1) - 1) / 2 + x for x in numbers]

    assert leading_term(bent) == (sympy.Rational(3, 2), 1)
    assert leading_term(lambda numbers: bent([-x for x in numbers])) == (-sympy.Rational(1, 2), 1)
    assert leading_term(lambda numbers: [mpmath.exp(-x) for x in numbers]) is None
    assert leading_term(lambda numbers: [mpmath.log(x) for x in numbers]) is None
    factor, power = leading_term(lambda numbers: [mpmath.pi / x**2 for x in numbers])
    assert power == -2 and abs(factor - sympy.pi) < 1e-25


def test_identities():
    softplus, sigmoid = words.softplus, words.sigmoid
    assert one_signed(softplus(x) - softplus(-x)) == x
    assert one_signed(sigmoid(x) + sigmoid(-x)) == 1
    assert one_signed(sigmoid(x)) == sigmoid(x)
    assert as_quotient(1 - x**2 / (1 + x**2)) == 1 / (1 + x**2)
    assert without_difference_of_roots(sqrt(1 + x**2) - 1) == x**2 / (sqrt(1 + x**2) + 1)
    assert without_difference_of_roots(words.hypot(1, x) - 1) == x**2 / (words.hypot(1, x) + 1)


@pytest.mark.parametrize(
    "expr",
    [
        sqrt(1 + x**2) - x,
        x / sqrt(4 + x**2) + 1,
        (x * (1 + x / sqrt(1 + x**2)) / 2).diff(x),
        x**2 / (sqrt(9 + x**2) - x) ** 3,
        sqrt(x + 1) - sqrt(x),
        1 / sqrt(x) - 1 / sqrt(x + 2),
        2 * sqrt(x**2 + x) - 2 * x,
        x / (1 + words.abs(x)) + 1,
        (x * (1 + x / (1 + words.abs(x)))).diff(x),
    ],
    ids=str,
)
def test_forms_without_cancelling_roots_are_equal(expr):
    numeric = {words.abs.build: sympy.Abs, words.maximum.build: sympy.Max, words.minimum.build: sympy.Min}

    def at(number, form):
        form = in_roots(form).xreplace({x: number})
        for word, function in numeric.items():
            form = form.replace(word, function)
        return form.evalf(30)

    forms = list(without_cancelling_roots(expr))
    assert forms
    for number in map(sympy.Rational, (5, "1/3", -2 if expr.subs(x, -2).is_real else 2)):
        for form in forms:
            assert abs(at(number, form) - at(number, expr.replace(words.sign.build, sympy.sign))) < 1e-25, form


def test_what_an_exponential_is_a_multiple_of_far_from_zero():
    assert list(growths((1 - exp(-x)) / x)) == [(-1 / x, -x)]
    assert list(growths((exp(x) - 1 - x) / x**2)) == [(1 / x**2, x)]
    assert list(growths(x * (exp(2 * x) + exp(-x)))) == [(x, 2 * x), (x, -x)]
    assert not list(growths(x / (1 + exp(x)) + 1)) and not list(growths(exp(x)))


def test_a_slope_that_jumps_is_not_taken_by_sides():
    assert not list(without_cancelling_roots(words.sign(x) / (1 + words.abs(x))))


def test_what_the_larger_exponent_leaves_of_a_logarithm():
    y, e = Value("y"), sympy.exp
    assert recognised(3 * sympy.log(e(x) + e(y)) - 3 * words.maximum(x, y)) == 3 * words.softplus(-words.abs(x - y))


def test_an_angle_and_what_it_approaches_are_one_angle():
    assert recognised(words.arctan(3 * x) / sympy.pi + sympy.Rational(1, 2)) == words.arctan2(1, -3 * x) / sympy.pi
    assert recognised(sympy.pi - 2 * words.arctan(x) + x) == 2 * words.arctan2(1, x) + x
    assert recognised(words.arctan(x) + 1) == words.arctan(x) + 1
    assert recognised(words.arctan(x + 3) - words.arctan(x)) == words.arctan2(3, 1 + x**2 + 3 * x)
    assert recognised(2 * words.arctan(x) - words.arctan(3 * x)) == 2 * words.arctan(x) - words.arctan(3 * x)


# --- the judge --------------------------------------------------------------------------------------------------------


def traced(folder, formula, inputs="x"):
    """The op with this formula."""
    path = folder / "spec.py"
    path.write_text(f"from nngrad.codegen.language import *\n\n\n@op\ndef f({inputs}):\n    return {formula}\n")
    (declaration,) = load_spec(path)
    return trace(declaration)


def judged(folder, formula, form):
    written = traced(folder, formula).formulas[0]
    judge = Judge(written, written, {})
    (value,) = written.inputs
    return judge.error(form(value), judge.value(), {})


@pytest.mark.parametrize(
    ("formula", "bad", "good"),
    [
        ("exp(x) - 1", lambda x: exp(x) - 1, lambda x: words.expm1(x)),
        ("1 - 1 / (1 + exp(-x))", lambda x: 1 - words.sigmoid(x), lambda x: words.sigmoid(-x)),
    ],
)
def test_the_judge_tells_bad_forms_from_good_ones(tmp_path, formula, bad, good):
    assert judged(tmp_path, formula, bad).ulp > 1000
    assert judged(tmp_path, formula, good).ulp <= ACCURATE


def test_the_judge_sees_overflow(tmp_path):
    error = judged(tmp_path, "log(1 + exp(x))", lambda x: log(1 + exp(x)))
    assert error.ulp == np.inf and error.at[0] > 88 and 88 < error.overflow < 200
    assert judged(tmp_path, "log(1 + exp(x))", lambda x: words.softplus(x)).overflow == 0


def test_the_judge_looks_at_infinity(tmp_path):
    error = judged(tmp_path, "x / (1 + abs(x))", lambda x: x / (1 + words.abs(x)))
    assert error.ulp == np.inf and error.overflow == np.inf, "inf / inf is nan, the limit is 1"
    assert judged(tmp_path, "tanh(x)", lambda x: words.tanh(x)).ulp <= ACCURATE


def test_the_judge_looks_at_each_of_several_inputs_at_infinity(tmp_path):
    written = traced(tmp_path, "x / (x + z)", "x, z").formulas[0]
    judge, (x, z) = Judge(written, written, {}), written.inputs
    assert {*judge.value().limits} == {0, 1}
    whole = words.finite(x) / (words.finite(x) + words.finite(z))
    naive, better = (judge.error(form, judge.value(), {}) for form in (x / (x + z), whole))
    assert naive.astray == 4 and better.astray == 0, "of x; z at infinity is right either way"
    assert naive.ulp == better.ulp <= ACCURATE


def test_what_no_choice_needs_of_the_truth_is_not_looked_for(tmp_path):
    written = traced(tmp_path, "x * tanh(x)").formulas[0]
    judge = Judge(written, written, {})
    (value,) = written.inputs
    truth = judge.derivative(value.name)
    profile = judge.profile(words.tanh(value) + value * (1 - words.tanh(value) ** 2), truth, {})
    assert not profile.wrong[np.isfinite(profile.sizes)].any() and truth.unit.known is truth.change.known is None
    assert profile.errors.max() > ACCURATE and truth.unit.known.any() and truth.change.known is None
    assert np.all(profile.lenient <= profile.errors) and truth.change.known.any()
    assert not truth.unit.known[profile.errors[: len(truth.exact)] < 0.5].any(), "nor where errors are small anyway"


@pytest.mark.parametrize("first", [x + 1, -(x**2), x / (1 + exp(x))])
def test_texts_are_those_of_sympy(first):
    for expr in (first, exp(first) / (first - 2), -first / 3 + log(first) ** 2, Where(first > 0, first, -first)):
        assert text(expr) == str(expr)


def test_derivatives_that_are_given_are_evaluated_to_what_differences_give(tmp_path):
    written = traced(tmp_path, "x / (1 + exp(-x)) + sin(x) ** 2").formulas[0]
    (value,) = written.inputs
    columns = [np.linspace(-20, 20, 101)]
    derivative = sympy.diff(inlined(written.output, written.stages), value)
    by_differences = Judge(written, written, {}, columns)
    given = Judge(written, written, {}, columns, derivatives={"x": derivative})
    truths = (given.derivative("x"), by_differences.derivative("x")), (given.value(), by_differences.value())
    for found, expected in truths:
        np.testing.assert_allclose(found.exact, expected.exact, rtol=1e-12)
        everywhere = np.isfinite(expected.exact)
        for one, other in ((found.unit, expected.unit), (found.change, expected.change)):
            np.testing.assert_allclose(one.at(everywhere), other.at(everywhere), rtol=1e-12)
    wrong = Judge(written, written, {}, columns, derivatives={"x": derivative + 1})
    assert not np.allclose(wrong.derivative("x").exact, by_differences.derivative("x").exact)


def test_the_choice_is_the_same_each_time(tmp_path):
    op = traced(tmp_path, "x / (1 + exp(-x))")
    ((_, select),) = selections(op)
    (chosen, tried), (again, tried_again) = select(), select()
    assert tried == tried_again
    assert (chosen.value, chosen.vjp, chosen.errors) == (again.value, again.vjp, again.errors)
    assert all(error.ulp <= ACCURATE for error in chosen.errors.values())
    best = {of: min(one.cost for one in tried if one.of == of and one.error.ulp <= ACCURATE) for of in ("y", "dx")}
    assert best["y"] == next(one.cost for one in tried if one.of == "y" and one.form == chosen.value)


def test_what_oscillates_and_shrinks_has_a_limit(tmp_path):
    def limits(formula):
        written = traced(tmp_path, formula).formulas[0]
        return Judge(written, written, {}).value().limits

    np.testing.assert_array_equal(limits("sin(x) / x"), [0, 0])
    np.testing.assert_array_equal(limits("x - tanh(x)"), [np.inf, -np.inf])
    for formula in ("sin(x)", "cos(x)", "x * sin(x)", "1 / cos(x)", "x - sin(x)"):
        assert np.isnan(limits(formula)).all(), formula


def test_a_quotient_of_squares_near_zero_is_known(tmp_path):
    """1 - cos(x) is x**2 / 2, of which 80 digits show nothing where x is 1e-41."""
    written = traced(tmp_path, "(1 - cos(x)) / x**2").formulas[0]
    small = 10.0 ** -np.arange(30, 45)
    np.testing.assert_allclose(Judge(written, written, {}, [small]).value().exact, 0.5, rtol=1e-12)


def test_what_overflows_next_to_the_largest_number_is_seen(tmp_path):
    assert judged(tmp_path, "x / (1 + abs(x))", lambda x: 2 * x / (2 + 2 * words.abs(x))).ulp == np.inf


def test_a_size_beside_a_sign_does_not_cancel():
    """The slope of |x - y| / (|x| + |y|), whose terms are nearly equal where y is small."""
    y = Value("y")
    size, below = words.abs(x - y), words.abs(x) + words.abs(y)
    slope = words.sign(x - y) / below - size * words.sign(x) / below**2
    made = with_sizes_signed(slope)
    assert made == words.sign(x - y) * (words.abs(y) + y * words.sign(x)) / below**2
    made, slope = (
        form.replace(words.sign.build, sympy.sign).replace(words.abs.build, sympy.Abs) for form in (made, slope)
    )
    for point in [(3, 1), (-3, 1), (3, -2), (0, 2), (2, 2)]:
        at = dict(zip((x, y), point, strict=True))
        assert made.subs(at) == slope.subs(at)


@pytest.mark.parametrize(
    ("written", "root"),
    [
        (1 + 2 * sympy.sin(x) * sympy.cos(x), sympy.sin(x) + sympy.cos(x)),
        (3 - 6 * sympy.sin(x) * sympy.cos(x), sqrt(3) * (sympy.sin(x) - sympy.cos(x))),
        (1 - sympy.sin(2 * x), sympy.sin(x) - sympy.cos(x)),
        (1 + sympy.cos(x), sqrt(2) * sympy.cos(x / 2)),
    ],
)
def test_sums_that_touch_zero_are_squares(written, root):
    made = with_squares_of_sines(written)
    assert made == root**2
    assert abs((made - written).subs(x, sympy.Rational(7, 5)).evalf()) < 1e-12


@pytest.mark.parametrize("written", [x + 2 * sympy.sin(x) ** 2, 2 + sympy.sin(x), 1 + sympy.cos(x) + x, sympy.cos(x)])
def test_other_sums_with_sines_stay(written):
    assert with_squares_of_sines(written) == written


def test_a_sum_of_multiples_of_the_cotangent_is_one():
    g, y = Value("g"), Value("y")
    assert slopes_of({x: g + 2 * g * y}, g) == {x: 1 + 2 * y}
    assert slopes_of({x: g + y}, g) == {}
