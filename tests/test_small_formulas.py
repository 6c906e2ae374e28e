"""Small formulas that the generator, or the code it wrote, once failed on."""

import math

import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad
from nngrad.codegen.emit import wrapped

pytestmark = pytest.mark.slow  # all of it is generated first

EXACT = {
    "shifted": lambda x: x * np.tanh(0.5) + 1,
    "halved": lambda x: x**2 / 2,
    "scaled": lambda x: np.maximum(x, 0) / np.log1p(np.exp(0.7)),
    "grown": lambda x, z: np.expm1(z - 1.5) * (np.cosh(0.7) + x),
    "gated": lambda x, z: np.tanh(z) * x * np.log1p(np.exp(np.cosh(0.5))) + math.erf(0.7),
    "doubled_square": lambda x: np.tanh(2 * x**2),
    "inverse_in_a_branch": lambda x, z: np.where(z > 0, np.tanh(0.5 / x), np.vectorize(math.erf)(z)),
    "square_in_a_branch": lambda x: np.vectorize(math.erf)(np.where(x > 0, x - 0.1, x * x)),
    "one_of_a_number": lambda x: np.maximum(math.erf(1), x) + np.maximum(0.7, x),
    "of_two_numbers": lambda x, z: np.where(x > z, 0.1, 0.3) * x * z,
    "with_a_sign": lambda x: x * np.abs(x),
    "of_exponentials_of_numbers": lambda x: x * (np.tanh(np.e) + np.cosh(1)),
    "over_a_difference": lambda x, z: np.exp(x) / (x - z),
    "without_limit": lambda x: x * (np.abs(x) ** 0.3 - x),
    "fourth_inverse": lambda x: 1 / (1 + x) ** 4,
    "scaled_by_a_power": lambda x: x * 0.7**x,
    "over_a_number": lambda x: x / np.log1p(np.exp(np.cosh(1.3))),
    "times_the_exponential_of_a_square": lambda x, z: np.maximum(z, x) * (np.exp(z * z) + 1),
    "times_a_bell_of_a_number": lambda x: x * np.exp(-0.49),
    "beyond_a_margin": lambda x, z: (x - z - 1 / 1.4) ** 2,
    "apart": lambda x: np.exp(x) / np.where(x > 0, 2 * x + 1, np.expm1(x)),
}


@pytest.mark.parametrize("name", EXACT)
def test_small_formulas(package_of, name):
    function, exact = getattr(package_of("small"), name), EXACT[name]
    arrays = np.random.default_rng(0).normal(0, 2, (exact.__code__.co_argcount, 7))
    np.testing.assert_allclose(
        function(*(nngrad.Tensor(one, dtype=float) for one in arrays)).data, exact(*arrays), rtol=1e-14
    )
    nngrad.check_grads(function, [*arrays], order=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_floats_keep_their_length(package_of, name, dtype):
    """Also those of derivatives that can be differentiated again, and where one input alone moves."""
    function, count = getattr(package_of("small"), name), EXACT[name].__code__.co_argcount
    arrays = np.random.default_rng(0).uniform(0.1, 0.5, (count, 3)) + np.arange(count)[:, None]
    for own in (arrays, arrays[:, 0]):
        xs = [nngrad.Tensor(array, dtype=dtype) for array in own]
        for place, x in enumerate(xs):

            def of_one(x, place=place, xs=xs):
                return function(*xs[:place], x, *xs[place + 1 :])

            assert nngrad.jvp(of_one, (x,), (x,))[1].dtype == dtype
            assert nngrad.jvp(nngrad.grad(lambda x: of_one(x).sum()), (x,), (x,))[1].dtype == dtype


def test_a_difference_of_powers_at_infinity(package_of):
    y, dy = nngrad.jvp(package_of("small").without_limit, (np.array(np.inf),), (np.array(1.0),))
    assert y.item() == dy.item() == -np.inf


def test_a_long_line_is_broken_into_one_that_means_the_same():
    line = f"x = 2 * ({' + '.join(map(str, range(1000, 1030)))})"
    found, broken = {}, {}
    exec(line, found)
    exec(wrapped(line), broken)
    assert wrapped(line) != line and broken["x"] == found["x"]


@pytest.mark.parametrize("name", ["whole_in_a_branch", "powers_in_a_branch"])
def test_branches_not_taken_are_silent(package_of, name):
    """Every warning is an error here, of second derivatives too."""
    function = getattr(package_of("small"), name)
    slopes = nngrad.grad(lambda x, z: function(x, z).sum(), argnums=(0, 1))
    bends = nngrad.grad(lambda x, z: sum(slope.sum() for slope in slopes(x, z)), argnums=(0, 1))
    for z in ([2.0, 0.7], [-0.5, 0.0]):
        xs = [nngrad.Tensor(array, dtype=float) for array in ([-1.5, 2.5], z)]
        assert all(np.isfinite(one.data).all() for one in (function(*xs), *slopes(*xs), *bends(*xs)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponents_of_branches_not_taken_are_silent(package_of, dtype):
    x, z = np.array([[-1e30, -1e6, -800, 800, 1e6, 1e30], [2.0] * 6]).astype(dtype)
    x = nngrad.Tensor(x, dtype=dtype, requires_grad=True)
    y = package_of("small").tails_in_branches(x, z)
    y.backward(np.ones(6, dtype))
    np.testing.assert_allclose(y.data, [0, 0, 0, 1, 1, 1], atol=1e-100)
    np.testing.assert_allclose(x.grad, np.zeros(6), atol=1e-100)


@pytest.mark.parametrize("name", ["of_many_names", "of_many_names_in_rows"])
def test_parameters_may_be_called_as_the_engine_calls_its_own(package_of, name):
    """Where arrays are large they go through more hands."""
    function, random = getattr(package_of("small"), name), np.random.default_rng(0)
    large = nngrad.Tensor(random.normal(size=(4000, 300)), dtype=np.float32, requires_grad=True)
    small = nngrad.Tensor(large.data[:2], requires_grad=True)
    for x in (large, small):
        function(x, op=2.0, kernel=0.5, place=3.0, values=0.25).backward(np.ones(x.shape, np.float32))
    np.testing.assert_allclose(large.grad[:2], small.grad, rtol=1e-6)


@pytest.mark.parametrize("p, m", [(4e37, 4e37), (-4e37, -4e37), (2e38, -2e38), (3.0, 4.0)])
def test_backward_stays_in_range_where_it_is_not_computed_in_float64(package_of, p, m):
    xs = [nngrad.Tensor(number, dtype=np.float32, requires_grad=True) for number in (p, m)]
    package_of("small").slack(*xs).backward()
    p, m = (np.float64(x.data) for x in xs)
    np.testing.assert_allclose([x.grad for x in xs], [p / np.hypot(p, m), m / np.hypot(p, m) - 1], rtol=1e-6)
