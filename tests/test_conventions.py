"""What holds at kinks, ties and singular points: docs/conventions.md is in step, and the known traps are right."""

import math
import sys

import numpy as np
import pytest

pytest.importorskip("sympy")

from conftest import ROOT, ops_of

import nngrad
import nngrad.nn.functional as F
from nngrad import Tensor
from nngrad.codegen.choices import DEFAULT_PATH, Choices
from nngrad.codegen.command import SPEC
from nngrad.codegen.pipeline import compile_op
from nngrad.codegen.showing import kinks

sys.path.insert(0, str(ROOT / "docs"))
import make_conventions

PAGE = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables():
    """The rows of both tables, of numbers and of rows of numbers."""
    return make_conventions.table()


def gradient(f, *arrays):
    tensors = [Tensor(array, dtype=float, requires_grad=True) for array in arrays]
    y = f(*tensors)
    y.backward(np.ones(y.shape))
    found = [x.grad.tolist() for x in tensors]
    return found[0] if len(found) == 1 else found


def test_the_page_is_in_step_with_the_spec(tables):
    numbers, rows = tables
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("|")]
    on_page = {tuple(cells[:8]) for cells in lines}
    missing = [cells for cells in numbers if tuple(cells) not in {tuple(one[:8]) for one in on_page}]
    assert not missing, "run `python docs/make_conventions.py`"
    assert not [cells for cells in rows if tuple(cells) not in on_page], "run `python docs/make_conventions.py`"
    assert len(lines) == len(numbers) + len(rows) + 4, "run `python docs/make_conventions.py`"


def test_every_gradient_in_the_page_follows_a_stated_rule(tables):
    numbers, _ = tables
    assert {cells[-1] for cells in numbers} <= {"branch", "shared", "0", "infinite", "outside"}
    for cells in numbers:
        left, right, found = map(float, cells[4:7])
        if cells[-1] == "shared":
            assert min(left, right) < found < max(left, right)


OWN = [op for op in ops_of(SPEC).values() if op.family == "elementwise" and op.home != "slope"]


@pytest.mark.parametrize("op", OWN[::3], ids=lambda op: op.name)
def test_the_derivatives_say_what_the_library_does(op, tables):
    """`--explain` asks them where there is no page: of a formula of a reader's own."""
    numbers, _ = tables
    code = compile_op(op, Choices(DEFAULT_PATH))
    for formula, chosen in zip(op.formulas, code.chosen, strict=True):
        found = kinks.of_derivatives(op, formula, chosen.derivatives)
        label = kinks.label_of(op, formula)
        expected = [cells for cells in numbers if cells[0] == label]
        assert set(found) <= set(expected)
        missing = [cells for cells in expected if cells not in found]  # of pairs, what is 1/0 or 0/0 to mpmath
        assert not missing or len(op.inputs) == 2
        assert all(cells[-1] == "infinite" or cells[1] == "x1 = 0, x2 = 0" for cells in missing)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_nothing_leaks_from_a_branch_not_taken(bad):
    mask, a, b = np.array([True, False]), np.array([4.0, 3.0]), np.array([bad, 2.0])
    assert gradient(lambda a, b: nngrad.where(mask, a * a, b * 3.0), a, b) == [[8.0, 0.0], [0.0, 3.0]]
    assert nngrad.where(mask, a, b).tolist() == [4.0, 2.0]
    x = np.array([0.0, bad if bad < 0 else 0.0])
    assert gradient(nngrad.xlogy, [0.0, 0.0], x)[1] == [0.0, 0.0]  # log(0) and log(-1) are in the branch not taken


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: nngrad.clip(x, -1, 1), 0), (lambda x: nngrad.clip(x, min=-1), 0), (F.relu6, 0), (F.hardtanh, 0),
        (F.hardsigmoid, 0), (F.hardshrink, 0), (F.softshrink, 0), (F.relu, 1), (F.leaky_relu, 0.01), (F.elu, np.nan),
    ],
)  # fmt: skip
def test_the_slope_at_nan_is_that_of_pytorch(f, slope, size):
    x = Tensor(np.full(size, np.nan), requires_grad=True)
    y = f(x)
    y.sum().backward()
    assert np.isnan(y.data).all()
    np.testing.assert_array_equal(x.grad, np.float32(slope))


@pytest.mark.parametrize("f", [nngrad.std, nngrad.norm, lambda x: nngrad.hypot(x[0], x[1])])
def test_lengths_of_zero_have_gradient_zero(f):
    assert gradient(f, [0.0, 0.0]) == [0.0, 0.0]


def test_ties_share():
    assert gradient(nngrad.max, [1.0, 3.0, 3.0]) == [0.0, 0.5, 0.5]
    assert gradient(nngrad.maximum, 2.0, 2.0) == [0.5, 0.5]
    assert gradient(lambda x: nngrad.maximum(x, x), 2.0) == 1.0
    assert gradient(F.relu, 0.0) == gradient(lambda x: F.hardtanh(x), 1.0) == 0.0  # against a constant


def test_powers_at_zero():
    assert gradient(lambda x: x**0, [0.0, 2.0]) == [0.0, 0.0]
    assert gradient(lambda x: x**1, 0.0) == 1.0
    assert gradient(lambda x: x**2, 0.0) == 0.0
    assert gradient(nngrad.power, 0.0, 2.0) == [0.0, 0.0]
    assert gradient(nngrad.power, 0.0, 0.0) == [0.0, 0.0]


def test_products_of_zeros():
    assert gradient(nngrad.prod, [2.0, 0.0, 3.0]) == [0.0, 6.0, 0.0]
    assert gradient(nngrad.prod, [0.0, 0.0, 3.0]) == [0.0, 0.0, 0.0]


def test_rows_of_minus_infinity():
    row = np.full(3, -np.inf)
    assert nngrad.logsumexp(row).item() == -np.inf
    assert nngrad.logsumexp(np.array([-np.inf, 1.0])).item() == 1.0
    assert gradient(nngrad.logsumexp, [-np.inf, 1.0]) == [0.0, 1.0]
    assert gradient(lambda x: F.softmax(x)[1], [-np.inf, 1.0]) == [0.0, 0.0]


def test_sinc_at_zero():
    assert nngrad.sinc(0.0).item() == 1 and gradient(nngrad.sinc, 0.0) == 0
    assert nngrad.grad(lambda x: nngrad.grad(nngrad.sinc)(x))(0.0).item() == pytest.approx(-(np.pi**2) / 3, rel=1e-6)


def test_repeated_indices():
    assert gradient(lambda x: x[[0, 0, 1]], [1.0, 2.0, 3.0]) == [2.0, 1.0, 0.0]
    assert gradient(lambda x: nngrad.take(x, [2, 2]), [1.0, 2.0, 3.0]) == [0.0, 0.0, 2.0]
    assert gradient(lambda x: nngrad.einsum("ii->i", x), [[1.0, 2.0], [3.0, 4.0]]) == [[1.0, 0.0], [0.0, 1.0]]

    def assigned(x):
        y = Tensor(np.zeros(2), dtype=float)
        y[[0, 0]] = x
        return y

    assert gradient(assigned, [5.0, 7.0]) == [0.0, 1.0]


def test_integers_carry_no_gradient():
    whole = Tensor([1, 2], dtype=int)
    assert nngrad.exp(whole).dtype == np.float32 and not nngrad.exp(whole).requires_grad
    with pytest.raises(RuntimeError):
        Tensor([1, 2], dtype=int, requires_grad=True)
    assert gradient(lambda x: x * whole, [0.5, 0.5]) == [1.0, 2.0]
