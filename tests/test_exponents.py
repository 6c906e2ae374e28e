"""Exponentials magnify the rounding errors of their exponents: here these have none."""

import inspect
import operator

import numpy as np
import pytest
from conftest import SPECS, ops_of

pytest.importorskip("sympy")

import mpmath
import sympy
from nngrad_ops import OPS, pairs

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.symbols import Parameter, Value
from nngrad.codegen.judging import certificate
from nngrad.codegen.lowering.exponents import as_multiple, as_polynomial, exp2_in_float64
from nngrad.codegen.lowering.quotients import with_sign_below
from nngrad.codegen.lowering.signs import growth_along, limited_by_0, size_and_sign
from nngrad.codegen.rewriting import identities
from nngrad.codegen.rules.parts import with_exponents_in_float64
from nngrad.codegen.trace import Formula

pytestmark = pytest.mark.slow

FORMULAS = ops_of(SPECS / "exponents.py")
NEAR_1 = 1 + np.array([0.51, 1e-3, 1e-13, 2.0**-52, -(2.0**-53), -6e-14, -1e-3, -0.49, -0.999])


@pytest.fixture(name="package")
def fixture_package(package_of):
    return package_of("exponents")


@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", FORMULAS)
def test_formula_is_good_everywhere(package, name, dtype):
    (entry,) = certificate.certify(FORMULAS[name], dtype, thin=4, ops=package.table.OPS)
    assert entry.grade == "good", (entry.forward, entry.gradient, entry.faults)


@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("size", [500, 300_000])
def test_ordinary_inputs_have_their_exponent_in_float64(dtype, size):
    """gelu by tanh has a cubic one."""
    source = inspect.getsource(inspect.getmodule(OPS["gelu"].forward).gelu_tanh_and_residuals)
    assert "runtime.as_float64(x)" in source.partition("dtype = x.dtype")[0]
    x = np.linspace(-9, 9, size).astype(dtype)
    wide, pi = x.astype(np.longdouble), 4 * np.arctan(np.longdouble(1))
    exponent = np.sqrt(8 / pi) * (wide + np.longdouble("0.044715") * wide**3)
    y, _ = OPS["gelu"].forward(x, approximate="tanh")
    np.testing.assert_allclose(y, x / (1 + np.exp(-exponent)), rtol=4 * np.finfo(dtype).eps)


def sizes(seed):
    """Numbers of all sizes up to 1e15, some of few digits."""
    random = np.random.default_rng(seed)
    return np.append(random.normal(size=200) * 10.0 ** random.integers(-15, 16, 200), random.integers(-9, 9, 50) / 4)


def exact(pair):
    """The sums that a pair stands for."""
    return [mpmath.mpf(float(hi)) + mpmath.mpf(float(lo)) for hi, lo in np.broadcast(pair.hi, pair.lo)]


@pytest.mark.parametrize("ufunc", pairs.ARITHMETIC, ids=lambda ufunc: ufunc.__name__)
def test_arithmetic_of_pairs_has_digits_to_spare(ufunc):
    a, b = (pairs.Pair(hi, hi * 2.0**-55 * sizes(3)[::-1] / 1e15) for hi in (sizes(1), sizes(2) + 0.1))
    given = (a, b)[: ufunc.nin]
    number = {np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.divide: operator.truediv,
              np.negative: operator.neg, np.abs: abs, np.maximum: max, np.minimum: min}[ufunc]  # fmt: skip
    with mpmath.workdps(60):
        made, numbers = exact(ufunc(*given, out=...)), [*map(exact, given)]
        for got, *args in zip(made, *numbers, strict=True):
            size = abs(number(*args)) if ufunc not in (np.add, np.subtract) else sum(map(abs, args))
            assert abs(got - number(*args)) <= size * mpmath.mpf(2) ** -76


@pytest.mark.parametrize(
    ("function", "exactly"),
    [
        (pairs.exp, mpmath.exp),
        (pairs.expm1, mpmath.expm1),
        (pairs.exp2, lambda x: mpmath.mpf(2) ** x),
        (pairs.sinh, mpmath.sinh),
        (pairs.cosh, mpmath.cosh),
    ],
    ids=["exp", "expm1", "exp2", "sinh", "cosh"],
)
@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_exponentials_of_pairs(function, exactly, dtype):
    x = np.linspace(-85, 85, 301).astype(dtype)
    y = function(np.multiply(np.subtract(pairs.doubled(x, x.dtype), 0.1), pairs.Number(0.7, 7 / 10**17)), x.dtype)
    with mpmath.workdps(40):
        numbers = [exactly((mpmath.mpf(float(one)) - mpmath.mpf(0.1)) * (mpmath.mpf(0.7) + 7e-17)) for one in x]
        off = [abs((mpmath.mpf(float(got)) - true) / true) for got, true in zip(y, numbers, strict=True)]
    assert y.dtype == dtype and max(off) < 2 * np.finfo(dtype).eps


@pytest.mark.parametrize(
    ("function", "exactly", "x"),
    [
        (pairs.wide_exp, mpmath.exp, np.append(np.linspace(-700, 700, 301), [1e-9, -1e-200])),
        (pairs.wide_expm1, mpmath.expm1, np.append(np.linspace(-60, 700, 301), [1e-9, -1e-200])),
        (pairs.wide_log, mpmath.log, np.append(np.geomspace(1e-300, 1e300, 300), NEAR_1)),
        (pairs.wide_log1p, mpmath.log1p, np.append(np.geomspace(1e-300, 1e300, 301), NEAR_1 - 1)),
        (pairs.wide_sqrt, mpmath.sqrt, np.geomspace(1e-280, 1e300, 301)),
        (lambda x: pairs.wide_power(x, 1.7), lambda x: x ** mpmath.mpf(1.7), np.geomspace(1e-90, 1e90, 301)),
    ],
    ids=["exp", "expm1", "log", "log1p", "sqrt", "power"],
)
def test_functions_of_pairs_have_digits_to_spare(function, exactly, x):
    lo = x * 2.0**-55 * np.linspace(-1, 1, x.size)
    made = function(pairs.Pair(x, lo))
    with mpmath.workdps(60):
        for got, true in zip(exact(made), map(exactly, exact(pairs.Pair(x, lo))), strict=True):
            assert abs(got - true) <= abs(true) * mpmath.mpf(2) ** -63
    np.testing.assert_allclose(function(x), function(pairs.Pair(x)).hi, rtol=4 * np.finfo(float).eps)


def test_functions_of_pairs_know_the_ends():
    ends = pairs.doubled(np.array([np.inf, -np.inf, np.nan, 0.0]), np.dtype(float))
    np.testing.assert_array_equal(pairs.wide_exp(ends).hi, [np.inf, 0, np.nan, 1])
    np.testing.assert_array_equal(pairs.wide_expm1(ends).hi, [np.inf, -1, np.nan, 0])
    np.testing.assert_array_equal(pairs.wide_log(ends).hi, [np.inf, np.nan, np.nan, -np.inf])
    np.testing.assert_array_equal(pairs.wide_log1p(ends).hi, [np.inf, np.nan, np.nan, 0])
    np.testing.assert_array_equal(pairs.wide_sqrt(ends).hi, [np.inf, np.nan, np.nan, 0])
    np.testing.assert_array_equal(pairs.wide_power(np.abs(ends), 0.5).hi, [np.inf, np.inf, np.nan, 0])


def test_pairs_keep_quiet_at_the_ends():
    x = pairs.doubled(np.array([1e308, -1e308, np.inf, -np.inf, np.nan]), np.dtype(float))
    steep = np.multiply(np.subtract(x, 1), 1e10)
    np.testing.assert_array_equal(pairs.exp(np.negative(np.abs(steep)), float), [0, 0, 0, 0, np.nan])
    np.testing.assert_array_equal(pairs.expm1(np.negative(np.multiply(steep, steep)), float), [-1, -1, -1, -1, np.nan])
    ones = np.ones(5)
    np.testing.assert_array_equal(pairs.decayed(ones, ones, steep), [1, 0, 1, 0, 1])
    np.testing.assert_array_equal(pairs.exp(pairs.clamped(steep, 8), float), np.exp([64, -64, 64, -64, np.nan]))
    np.testing.assert_array_equal(pairs.times_exp(ones, np.minimum(steep, 0)), [1, 0, 1, 0, np.nan])


def test_products_with_exponentials_of_pairs_keep_their_digits():
    u = np.array([1e-200, 3e150, 1e200, 7.0, 1e-3])
    x = np.array([900.1, -690.3, -1000.7, -3.2, 4e3])
    wide = np.subtract(pairs.doubled(x, x.dtype), 1e-14)
    with mpmath.workdps(60):
        sizes = [mpmath.mpf(a) ** 2 * mpmath.exp(mpmath.mpf(b) - mpmath.mpf(1e-14)) for a, b in zip(u, x, strict=True)]
        products, logs = np.array(sizes, float), [float(mpmath.log1p(one)) for one in sizes]
    np.testing.assert_allclose(pairs.times_exp(u, u, wide), products, rtol=4 * np.finfo(float).eps)
    np.testing.assert_allclose(pairs.log1p_times_exp(u, u, wide), logs, rtol=4 * np.finfo(float).eps)


def test_tails_of_pairs_keep_their_digits():
    x = np.linspace(-744, -709, 50)
    wide = np.add(pairs.doubled(x, x.dtype), 0.3)
    y = pairs.decayed(2.0**60 * pairs.exp(wide, x.dtype), np.full_like(x, 2.0**60), wide)
    with mpmath.workdps(40):
        exponentials = [float(mpmath.exp(mpmath.mpf(float(one)) + mpmath.mpf(0.3)) * 2**60) for one in x]
    np.testing.assert_allclose(y, exponentials, rtol=4 * np.finfo(float).eps)


def test_signs_are_asked_of_what_stays_in_range():
    x, y, rate = Value("x"), Value("y"), Parameter("rate")
    assert size_and_sign(sympy.sqrt(2) * rate * x) == (sympy.sqrt(2) * words.abs(rate), words.sign(rate) * x)
    assert size_and_sign((x - y) / rate) == (1 / words.abs(rate), words.sign(rate) * (x - y))
    assert size_and_sign(3 - 3 * x * y) == (3, 1 - x * y)
    assert limited_by_0(words.maximum(3 * x - 6, 0)) == 3 * words.maximum(x - 2, 0)
    assert limited_by_0(words.maximum(x / 2, 0)) is limited_by_0(words.maximum(3 * x, 1)) is None
    assert (growth_along(-rate * x, x), growth_along(y - 3 * words.clamped(x, 9) ** 3, x)) == (-rate, -3)
    for other in (-(x**2), x * y, words.abs(x)):
        assert growth_along(other, x) is None


def test_minus_goes_below_where_it_spares_a_step():
    x, g = Value("x"), Value("g")
    assert with_sign_below(-2, [g, 1 / (x + 1), 1 / (x - 1)]) == (2, [g, 1 / (x + 1), 1 / (1 - x)])
    assert with_sign_below(-2, [g, 1 / (x + 1)]) == (-2, [g, 1 / (x + 1)])
    ends, g = np.array([-1.0, 1.0]), np.array([1.0, 2.0])
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(OPS["arctanh"].vjp(g, ends), np.inf)


def test_exponents_in_float64_keep_differences_of_inputs():
    x, y, e = Value("x"), Value("y"), Value("e", positive=True)
    log_2 = sympy.log(2)

    def in_float64(exponent):
        return with_exponents_in_float64({e: sympy.exp(exponent)}, (x, y))[e].args[0]

    assert in_float64(-((x - y) ** 2) / 2) == -((x - y) ** 2) / (2 * log_2)
    assert in_float64(x * y + x) == (x * y + x) / log_2
    assert in_float64(x - x**3) == x * (1 / log_2 - x**2 / log_2)


def test_differences_are_kept_within_a_limit_as_a_whole():
    x, y, rate = Value("x"), Value("y"), Parameter("rate")
    formula = Formula((), (x, y), (), Value("z"))
    made = next(identities.clamped(sympy.exp(-rate * (x - y) ** 2) * x, formula, 9))
    assert made == sympy.exp(-rate * words.clamped(x - y, 9) ** 2) * words.clamped(x, 9)


def test_multiples_of_inputs():
    x, y, beta = Value("x"), Value("y"), Parameter("beta")
    log_2 = sympy.log(2)
    assert as_multiple(-3 * x, (x,)) == (-3, x)
    assert as_multiple(-words.abs(log_2 * x), (x,)) == (-log_2, words.abs(x))
    assert as_multiple(-words.abs(beta * x), (x,)) == (-words.abs(beta), words.abs(x))
    assert as_multiple(beta * words.minimum(words.abs(x), 9) / 3, (x,)) == (beta / 3, words.minimum(words.abs(x), 9))
    for other in (x, -x / 4, 3 * (x + 1), 3 * x * y, 3 * y):
        assert as_multiple(other, (x,)) is None


def test_parts_of_rounded_exponents():
    x, e, u = Value("x"), Value("e", positive=True), Value("u")
    parts = {u: x - x**3, e: sympy.exp(u)}
    made = with_exponents_in_float64(parts, (x,))
    assert made[u] == parts[u] and isinstance(made[e], exp2_in_float64.build)
    assert sympy.simplify(made[e].args[0] * sympy.log(2) - parts[u]) == 0
    for exact in (x, -2 * x, 3 * x / 7):  # `runtime.exp_multiple` takes care of the last
        assert with_exponents_in_float64({e: sympy.exp(exact)}, (x,)) == {e: sympy.exp(exact)}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("dtype", certificate.DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("beta", [5.0, -5.0, 0.3])
def test_softplus_of_steep_rates_stays_in_range(beta, dtype):
    limits = np.finfo(dtype)
    x = np.array([limits.max, limits.min, np.inf, -np.inf, 0.7, -0.7, 12, -12], dtype)
    y, slope = OPS["softplus"].forward(x, beta=beta)
    with mpmath.workdps(400):
        numbers = [mpmath.mpf(float(np.clip(one, limits.min, limits.max))) for one in x]
        values = [float(mpmath.log1p(mpmath.exp(beta * one)) / beta) for one in numbers[4:]]
        slopes = [float(1 / (1 + mpmath.exp(-beta * one))) for one in numbers[4:]]
    up = np.sign(beta)
    ends = [max(up * one, 0) * up for one in x[:4]]
    np.testing.assert_allclose(y, [*ends, *values], rtol=3 * limits.eps)
    np.testing.assert_allclose(slope, [*(one != 0 for one in ends), *slopes], rtol=3 * limits.eps)


with mpmath.workdps(40):
    POLYNOMIALS = [  # and how large their argument may be
        (64, [-3 / mpmath.log(2), 3 / mpmath.log(2)]),
        (16, [-1 / mpmath.log(4), 1, 0]),
        (10, [mpmath.mpf("0.044715"), 0, +mpmath.pi, 0]),
        (6, [mpmath.mpf(1) / 70, 0, mpmath.mpf(1) / 3, mpmath.mpf(-2) / 7, 1]),
        (10, [mpmath.mpf("1e-12"), 1 / mpmath.log(2), 0]),
    ]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("limit", "coefficients"), POLYNOMIALS)
def test_powers_of_polynomials_have_all_their_digits(limit, coefficients):
    random = np.random.default_rng(1)
    ordinary = [random.uniform(-limit, limit, 600), random.normal(0, 1, 200), 10.0 ** random.uniform(-30, 0, 50)]
    x = np.concatenate([*ordinary, [limit, -limit, 0]])
    with mpmath.workdps(40):
        numbers = [pairs.Number(float(one), float(one - mpmath.mpf(float(one)))) for one in coefficients]
        exact = [float(mpmath.mpf(2) ** mpmath.polyval(coefficients, mpmath.mpf(float(one)))) for one in x]
    np.testing.assert_allclose(pairs.exp2_of_polynomial(x, limit, *numbers), exact, rtol=2 * np.finfo(float).eps)


def test_exponents_that_are_polynomials_of_one_input():
    x, y = Value("x"), Value("y")
    assert as_polynomial(x * (2 * x**2 + sympy.pi), (x, y)) == (x, [2, 0, sympy.pi, 0])
    for other in (x * y, x**6, sympy.sqrt(x), 1 / x, sympy.S(2)):
        assert as_polynomial(other, (x, y)) is None
