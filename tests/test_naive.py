"""Formulas as one writes them on paper are as exact as the library's own words, and silent, over the whole range.

Values and gradients are judged by the oracle, which knows the formula as it stands in the spec, and no derivative.
"""

import warnings

import mpmath
import numpy as np
import pytest
from conftest import SPECS, ops_of

pytest.importorskip("sympy")

from nngrad import Tensor
from nngrad.autodiff import gradients
from nngrad.codegen.certify import Oracle
from nngrad.codegen.judging import samples
from nngrad.codegen.pipeline import numbers_to_try

OPS = {spec: ops_of(SPECS / f"{spec}.py") for spec in ("naive", "naive_others", "naive_more")}
TOLERANCE = 8  # units in the last place, where several functions of 1 to 2 ulp add up
ORDINARY = 30  # to which a second derivative keeps most of its digits
LARGEST = {np.float32: 1e30, np.float64: 1e290}  # so that factors like 2 * x do not overflow
KNOWN = {  # formulas that are worse, and why
    "exponential_remainder": "it warns where its value overflows",
}


def cases(specs=OPS, fits=lambda op: True):
    for spec in specs:
        for name in filter(lambda name: fits(OPS[spec][name]), OPS[spec]):
            marks = [pytest.mark.slow] if spec != "naive" else []
            marks += [pytest.mark.xfail(reason=KNOWN[name], strict=True)] if name in KNOWN else []
            yield pytest.param(spec, name, marks=marks)


def points(dtype):
    """Numbers of all magnitudes, those where exponentials leave the range, and more densely those that data have."""
    random = np.random.default_rng(0)
    reach = np.log10(LARGEST[dtype])
    sizes = 10.0 ** np.linspace(-reach, reach, 15) * random.choice([1, -1], 15)
    data = np.concatenate([random.uniform(-12, 12, 24), random.normal(size=8)])
    limits = np.array([17, 37, 87.5, 103.5, 708.5, 745, 800, 3000])  # of digits and of exponents, and beyond
    far = [random.uniform(-110, 110, 10), limits, -limits]
    return np.concatenate([sizes, data, *far, [0.5, 1, -0.5, -1]]).astype(dtype)


def arguments(op, dtype):
    """For several inputs, points in different orders, so that sizes meet other sizes."""
    random = np.random.default_rng(1)
    columns = [points(dtype), random.permutation(points(dtype))]
    return {value.name: column for value, column in zip(op.inputs, columns, strict=False)}


def exact(op, inputs):
    """The exact value and gradients, each with its change when an input is a unit in the last place off.

    Half of that is what rounding a constant costs, as in 1.702 * x, half what rounding the product or the sum costs.
    """
    oracle = Oracle(op.formulas[0], {param.name: param.default for param in op.params})
    steps = {name: np.spacing(np.abs(column)) for name, column in inputs.items()}
    with mpmath.workdps(700):
        moved = {
            name: np.array([mpmath.mpf(float(x)) + float(step) for x, step in zip(column, steps[name], strict=True)])
            for name, column in inputs.items()
        }

    def slope(name, inputs):
        return oracle.slope({name: np.ones(len(steps[name]))}, inputs)

    functions = {"y": lambda inputs: oracle(**inputs)} | {
        name: lambda inputs, name=name: slope(name, inputs) for name in inputs
    }
    for of, function in functions.items():
        here = function(inputs)
        yield of, here, sum(abs(function(inputs | {name: moved[name]}) - here) for name in inputs)


def computed(package, op, inputs):
    """Value and gradients by the generated code, every warning an error."""
    tensors = [Tensor(column, dtype=column.dtype, requires_grad=True) for column in inputs.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = getattr(package, op.name)(*tensors)
        y.backward(np.ones(y.shape, y.dtype))
    return {"y": y.data} | {name: tensor.grad for name, tensor in zip(inputs, tensors, strict=True)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("spec", "name"), [*cases()])
def test_naive_formula_is_exact(package_of, spec, name, dtype):
    op = OPS[spec][name]
    inputs = arguments(op, dtype)
    got = computed(package_of(spec), op, inputs)
    for of, truth, change in exact(op, inputs):
        for place, (a, b, forgiven) in enumerate(zip(got[of], truth, change, strict=True)):
            with np.errstate(over="ignore"):
                unit = np.spacing(np.abs(dtype(b)))
            if not np.isfinite(unit):
                continue  # beyond the range, or a kink
            at = {key: float(column[place]) for key, column in inputs.items()}
            assert np.isfinite(a), f"{of} is {a} at {at}, not {float(b)}"
            bound = TOLERANCE * mpmath.mpf(float(unit)) + (forgiven if mpmath.isfinite(forgiven) else 0)
            off = abs(mpmath.mpf(float(a)) - b)
            assert off <= bound, f"{of} is {float(off / unit):.3g} ulp off at {at}: {a}, not {float(b)}"


def second(function, x):
    """The second derivative of an elementwise function."""
    x, ones = Tensor(x, requires_grad=True, dtype=x.dtype), np.ones_like(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gradients(gradients(function(x), x, ones, create_graph=True), x, ones).numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("spec", "name"), [*cases(("naive", "naive_others"), lambda op: len(op.inputs) == 1 and not op.formulas[0].axes)]
)
def test_second_derivatives_of_naive_formulas(package_of, spec, name, dtype):
    op = OPS[spec][name]
    x = samples.points(dtype, thin=36)
    x = x[(np.abs(x) > 1e-6) | (x == 0)]
    size = np.where(x == 0, 1, np.minimum(np.abs(x), 1)).astype(float)
    oracle = Oracle(op.formulas[0], numbers_to_try(op))
    argument = op.inputs[0].name
    exact = oracle.curvature({argument: size}, {argument: size}, {argument: x})
    exact = np.array([float(one) for one in exact]) / size**2
    got = second(getattr(package_of(spec), name), x)
    representable = np.abs(exact) <= np.finfo(dtype).max  # and known
    assert not np.isnan(got[representable]).any(), x[representable & np.isnan(got)]
    judged = representable & (np.abs(x) <= ORDINARY) & (x != 0)
    unit = np.maximum(np.abs(exact[judged]), np.finfo(dtype).tiny) * np.finfo(dtype).eps
    assert (np.abs(got[judged] - exact[judged]) / unit).max() < 200


@pytest.mark.slow
def test_at_zero_the_slope_is_that_of_the_side(package_of):
    (got,) = second(package_of("naive_others").soft_relu_twice, np.zeros(1))
    assert got == pytest.approx(2 / 9)  # of exp(x) / (exp(x) + 2)
