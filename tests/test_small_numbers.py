"""Small numbers that keep sums from 0 are not lost in them."""

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

import sympy

from nngrad import Tensor
from nngrad.codegen import define
from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.small import Small, with_small_numbers_apart
from nngrad.codegen.algebra.symbols import Parameter, Value
from nngrad.codegen.language import log, op
from nngrad.codegen.lower import Graph
from nngrad.codegen.rewriting.recognise import recognised
from nngrad.codegen.rules.logarithms import with_powers_near_1
from nngrad.codegen.trace import Formula, Stage

EPS = sympy.Rational(1, 10**8)
P, Y, RATE = Value("p"), Value("y"), Parameter("rate")


def test_small_numbers_are_known_by_themselves():
    assert with_small_numbers_apart(1 - P + EPS) == 1 - P + Small(EPS)
    assert with_small_numbers_apart(sympy.log(3 + P - EPS)) == sympy.log(3 + P - Small(EPS))
    assert with_small_numbers_apart(sympy.log(P**2 + EPS)) == sympy.log(P**2 + Small(EPS))
    for other in (P**2 + EPS, P + sympy.Rational(1, 10), 1 - P, P / 100 + sympy.Rational(1, 100), RATE + EPS):
        assert with_small_numbers_apart(other) == other


def test_they_are_numbers():
    small = Small(EPS)
    assert small.is_positive and small.is_number and not small.diff(P)
    assert sympy.N(1 + small, 20) == sympy.N(1 + EPS, 20)
    assert sympy.factor(1 / (P + small) + 1 / (1 - P + small)).as_numer_denom()[0] in (1 + 2 * small, -1 - 2 * small)


@pytest.mark.parametrize("small", [Small(EPS), RATE])
def test_words_are_known_beside_them(small):
    assert recognised(1 - words.tanh(P) ** 2 + small) == 4 * words.sigmoid_slope(2 * P) + small
    assert recognised(1 - words.sigmoid(P) + small) == words.sigmoid(-P) + small


def test_logarithms_to_any_base_know_them_beside_1():
    assert recognised(words.log2(1 + P)) == words.log1p(P) / sympy.log(2)
    assert recognised(words.log10(1 + sympy.exp(P))) == words.softplus(P) / sympy.log(10)
    assert recognised(words.log2(P)) == words.log2(P)


@pytest.mark.parametrize("total", [1 - P + Small(EPS), P - 1 + Small(EPS), 1 - P - Small(EPS), P - 1 - Small(EPS)])
def test_they_are_added_last(total):
    graph = Graph(Formula((Stage(Y, "map", total),), (P,), (), Y), {P: "p"})
    first, last = (graph.nodes[arg] for arg in graph.nodes[graph.build(total)].args)
    assert first.op == "subtract" and (last.op, last.detail) == ("number", "1e-08")


def rounding(dtype, left):
    """Some units in the last place of what is left, relatively, of a decimal that is rounded."""
    return 4 * np.finfo(dtype).eps / left


@pytest.fixture(name="log_of_rest", scope="module")
def fixture_log_of_rest(tmp_path_factory):
    """An op of such a sum."""

    @op
    def log_of_rest(p):
        return log(1 - p + 0.001)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNGRAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        return define.define(log_of_rest)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_logarithms_and_their_slopes_where_little_is_left(log_of_rest, dtype):
    x = Tensor(np.array([1, 1 - 2.0**-10, 0.5, 0.25, 2.0**-10, 0]), dtype=dtype, requires_grad=True)
    y = log_of_rest(x)
    y.sum().backward()
    with mpmath.workdps(40):
        rests = [1 - mpmath.mpf(float(one)) + mpmath.mpf("0.001") for one in x.data]
        values, slopes = ([float(of(one)) for one in rests] for of in (mpmath.log, lambda rest: -1 / rest))
    np.testing.assert_allclose(y.data, values, rtol=rounding(dtype, 0.001 / 2.0**-10 - 1))
    np.testing.assert_allclose(x.grad, slopes, rtol=rounding(dtype, 1))


def student(x, v):
    return (1 + x**2 / v) ** (-(v + 1) / 2)


@pytest.mark.slow  # it is generated first
@pytest.mark.filterwarnings("ignore:.*no accurate form")  # where x**2 leaves the range
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_powers_know_what_little_there_is_beside_1(dtype):
    """Student's density, of ever more degrees of freedom, was 1."""
    bell = define.define(student)
    for v in np.array([1.0, 1e3, 1e9, 1e20, 1e30], dtype):
        x = Tensor(1.5, dtype=dtype, requires_grad=True)
        y = bell(x, v)
        y.backward()
        with mpmath.workdps(80):
            at = mpmath.mpf(float(v))
            exact = [student(mpmath.mpf(1.5), at), mpmath.diff(lambda x, v=at: student(x, v), 1.5)]
        np.testing.assert_allclose([y.data, x.grad], [float(one) for one in exact], rtol=16 * np.finfo(dtype).eps)


def test_other_powers_stay():
    near = with_powers_near_1(words.power(1 + P**2 / Y, -Y))
    assert near == sympy.exp(-Y * words.log1p(P**2 / Y))
    for other in (words.power(1 + P, RATE), words.power(2 + P, Y), words.power(P, Y)):
        assert with_powers_near_1(other) == other
