"""Naive formulas over rows are as exact as the library's own ops, and silent, over the whole range.

The oracles are the formulas in mpmath with enough digits for exponentials of thousands, written here once more, and
differences of them; nothing of the generator is used.
"""

import warnings

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")


STEP = mpmath.mpf(10) ** -30
TARGET = 1
TOLERANCE = {np.float32: 5, np.float64: 4}  # NumPy's exp of float32 alone is 2.5 ulp off, and e / s takes two of them
exp, log, sqrt, total = mpmath.exp, mpmath.log, mpmath.sqrt, mpmath.fsum


def softmax(x):
    terms = [exp(one) for one in x]
    return [one / total(terms) for one in terms]


def logsumexp(x):
    return log(total(map(exp, x)))


def entropy(x):
    return -total(p * log(p) for p in softmax(x))


def soft_mean(x):
    return total(p * one for p, one in zip(softmax(x), x, strict=True))


def mean(x):
    return total(x) / len(x)


def centred(x):
    return [one - mean(x) for one in x]


def length(x, eps=0):
    return sqrt(total(one**2 for one in x) + eps)


def normed(x, eps):
    return [one / sqrt(mean([one**2 for one in x]) + mpmath.mpf(eps)) for one in x]


def cosine(x, w):
    return total(a * b for a, b in zip(x, w, strict=True)) / length(x) / length(w)


def flatness(x):
    return total(map(abs, x)) ** 2 / total(one**2 for one in x)


EXPONENTIAL = {
    "softmax": softmax,
    "shifted_by_hand": softmax,
    "cooled": lambda x: softmax([one / 2 for one in x]),
    "sharpened": lambda x: softmax([2 * one for one in x]),
    "lowered": softmax,
    "log_of_softmax": lambda x: [one - logsumexp(x) for one in x],
    "surprise": lambda x: [logsumexp(x) - one for one in x],
    "log_softmax_by_hand": lambda x: [one - logsumexp(x) for one in x],
    "logsumexp": logsumexp,
    "logmeanexp": lambda x: logsumexp(x) - log(len(x)),
    "half_logsumexp": lambda x: logsumexp(x) / 2,
    "logsumexp_of_twice": lambda x: logsumexp([2 * one for one in x]) / 2,
    "weighted_logsumexp": lambda x, w: log(total(b * exp(a) for a, b in zip(x, w, strict=True))),
    "soft_mean": soft_mean,
    "entropy": entropy,
    "softmax_of_softmax": lambda x: softmax(softmax(x)),
    "likelihood": lambda x: logsumexp(x) - x[TARGET],
    "plane_softmax": softmax,
    "softmax_beside_one": lambda x: softmax([*x, mpmath.mpf(0)])[:-1],
    "softplus_of_row": lambda x: logsumexp([*x, mpmath.mpf(0)]),
}
QUADRATIC = {
    "length": length,
    "length_by_power": length,
    "length_of_sizes": length,
    "length_by_products": length,
    "whole_length": length,
    "smooth_length": lambda x: length(x, mpmath.mpf(1e-6)),
    "direction": lambda x: [one / length(x) for one in x],
    "direction_of_long": lambda x: [one / max(length(x), mpmath.mpf(1e-12)) for one in x],
    "rms_norm": lambda x: normed(x, 1e-5),
    "standardised": lambda x: normed(centred(x), 1e-5),
    "deviation": lambda x: length(centred(x)) / sqrt(len(x)),
    "cosine": cosine,
    "cosine_of_one_root": cosine,
    "flatness": flatness,
}


# Where terms cancel by nature, errors are judged by the largest of them.
LARGEST_TERM = {
    "logsumexp": lambda x: max(map(abs, x)),
    "half_logsumexp": lambda x: max(map(abs, x)) / 2,
    "logsumexp_of_twice": lambda x: max(map(abs, x)),
    "logmeanexp": lambda x: max(*map(abs, x), log(len(x))),
    "weighted_logsumexp": lambda x: max(map(abs, x)),
    "standardised": lambda x: max(map(abs, normed(centred(x), 1e-5))),
    "cosine": lambda x: max(map(abs, x)) / length(x),
    "cosine_of_one_root": lambda x: max(map(abs, x)) / length(x),
}
LARGEST_SLOPE = {
    **dict.fromkeys(("softmax", "shifted_by_hand", "lowered", "plane_softmax", "softmax_of_softmax"), softmax),
    "softmax_beside_one": EXPONENTIAL["softmax_beside_one"],
    "cooled": EXPONENTIAL["cooled"],
    "sharpened": lambda x: [2 * one for one in EXPONENTIAL["sharpened"](x)],
    "soft_mean": lambda x: [p * max(1, *map(abs, x)) for p in softmax(x)],
    "entropy": lambda x: [p * max(entropy(x), -log(p)) for p in softmax(x)],
    "likelihood": lambda x: [1 if place == TARGET else 0 for place in range(len(x))],
    "flatness": lambda x: [2 * length(x, 0) * sqrt(len(x)) / total(one**2 for one in x)] * len(x),
}


def exponential_rows(dtype):
    """Usual rows, saturated ones, and such as exp would overflow or lose."""
    random = np.random.default_rng(0)
    top = np.log(float(np.finfo(dtype).max))
    rows = [random.normal(size=5) * size for size in (1e-3, 1, 4, 20, top / 3, 800, 5000)]
    rows += [sign * np.abs(row) for row in rows[1:6] for sign in (1, -1)]
    rows += [[30, 1, -5, 0, 3], [1, 30, -5, 0, 3], [80.3, 0.1, 0, -3, 2], [-1e4, -1e4 + 1, 0, 1, 2], [7, 7, 7, 7, 7]]
    rows += [[-801, -800, -900, -1000, -850], [800, 1, 2, 3, 790], [-0.9, -0.98, -0.97, -0.95, -0.9] * np.array(top)]
    return [np.array(row, dtype) for row in rows]


def quadratic_rows(dtype):
    """Rows of every magnitude whose squares leave the range, and some within."""
    random = np.random.default_rng(1)
    reach = np.log10(float(np.finfo(dtype).max)) - 2
    sizes = [10.0 ** (share * reach) for share in (-0.9, -0.75, -0.5, -0.2, -0.05, 0, 0.1, 0.3, 0.52, 0.7, 0.95)]
    rows = [random.normal(size=5) * size for size in sizes]
    return [np.array(row, dtype) for row in [*rows, [3e-3, 0, 1e4, 7, -2], [0, 0, 0, 2, 0]]]


def ulp(number, dtype):
    limits = np.finfo(dtype)
    exponent = max(mpmath.floor(log(abs(number), 2)), limits.minexp) if number else limits.minexp
    return mpmath.mpf(2) ** (exponent - limits.nmant)


def exact(array):
    return [mpmath.mpf(float(one)) for one in np.asarray(array).ravel()]


def listed(value):
    return value if isinstance(value, list) else [value]


def jacobian(reference, x, *rest):
    """columns[i][j] is the derivative of output j by x[i]."""
    columns, step = [], STEP * max(map(abs, x))
    for place in range(len(x)):
        ahead, behind = list(x), list(x)
        ahead[place] += step
        behind[place] -= step
        pairs = zip(listed(reference(ahead, *rest)), listed(reference(behind, *rest)), strict=True)
        columns.append([(a - b) / (2 * step) for a, b in pairs])
    return columns


@pytest.fixture(name="package")
def fixture_package(package_of):
    return package_of("naive_rows")


def weights(dtype):
    return np.array([0.5, 2.0, 1.25, 0.75, 3.0], dtype)


def computed(op, name, x, g):
    """Forward and the cotangent of x by the generated kernels, every warning an error."""
    given = [x, *([np.array(TARGET)] if name == "likelihood" else [weights(x.dtype)] * (len(op.inputs) - 1))]
    if name == "plane_softmax":
        given = [x.reshape(1, 5)]
    keywords = {"reduction": "none"} if op.home == "loss" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = op.forward(*given, **keywords)
        y, saved = (out[0], out[1:]) if op.saves else (out, ())
        pool = [*given, y, *saved]
        needs = [(True,) + (False,) * (len(op.inputs) - 1)] if len(op.inputs) > 1 else []
        dx = op.vjp(g.reshape(y.shape), *(pool[place] for place in op.residuals), *needs, **keywords)
    return y.ravel(), np.ravel(dx[0] if isinstance(dx, tuple) else dx)


def errors(package, name, x):
    """The error of each output and each element of the gradient, in units of the last place of its largest term.

    A product's error is that of its factors where they are subnormal.
    """
    op, dtype = package.OPS[name], x.dtype
    reference = (EXPONENTIAL | QUADRATIC)[name]
    rest = [exact(weights(dtype))] if len(op.inputs) > 1 and name != "likelihood" else []
    with mpmath.workdps(420 if name in EXPONENTIAL else 700):
        inputs = exact(x)
        values = listed(reference(inputs, *rest))
        g = np.array([1.5, -0.75, 1, 0.625, -1.25][: len(values)], dtype)
        y, dx = computed(op, name, x, g)
        least = max(map(abs, inputs)) * np.finfo(dtype).tiny if name in ("entropy", "soft_mean") else 0
        scales = [max(abs(value), least, LARGEST_TERM.get(name, lambda x: 0)(inputs)) for value in values]
        yield from (abs(a - b) / ulp(scale, dtype) for a, b, scale in zip(exact(y), values, scales, strict=True))

        columns = jacobian(reference, inputs, *rest)
        steepest = max(abs(slope) for column in columns for slope in column)
        terms = LARGEST_SLOPE.get(name, lambda x: [steepest if name in QUADRATIC else 0] * len(x))(inputs)
        for got, column, term in zip(exact(dx), columns, terms, strict=True):
            slope = total(a * b for a, b in zip(column, exact(g), strict=True))
            products = (abs(a * b) for a, b in zip(column, exact(g), strict=True))
            scale = max(abs(slope), *products, abs(term) * max(map(abs, exact(g))))
            scale = max(scale, least)
            yield abs(got - slope) / ulp(scale, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*EXPONENTIAL, *QUADRATIC])
def test_naive_formula_is_exact(package, name, dtype):
    rows = exponential_rows(dtype) if name in EXPONENTIAL else quadratic_rows(dtype)
    for x in rows:
        worst = max(errors(package, name, x))
        assert worst <= TOLERANCE[dtype], f"{float(worst):.1f} ulp at {x.tolist()}"


def test_every_formula_is_measured(package):
    assert set(package.OPS) == {*EXPONENTIAL, *QUADRATIC}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_of_one_array_do_not_mix(package, dtype):
    """Usual, saturated and extreme rows side by side give what each gives alone."""
    random = np.random.default_rng(2)
    sizes = np.array([1e-3, 1, 30, 1, 300], dtype)[:, np.newaxis]
    x = random.normal(size=(5, 6)).astype(dtype) * sizes
    for name in ("softmax", "log_of_softmax", "entropy", "logsumexp", "length", "rms_norm", "standardised", "flatness"):
        op = package.OPS[name]
        whole = np.asarray(op.kernel(x), float)
        rows = np.array([np.asarray(op.kernel(row), float) for row in x])
        np.testing.assert_allclose(whole, rows, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).tiny)


def test_infinite_elements(package):
    kernels = package.kernels
    x = np.array([[0.0, -np.inf, 1.0], [800.0, -np.inf, 801.0]])
    expected = np.array([[1 / (1 + np.e), 0, np.e / (1 + np.e)]] * 2)
    np.testing.assert_allclose(kernels.softmax(x), expected, rtol=1e-15)
    np.testing.assert_allclose(np.exp(kernels.log_of_softmax(x)), expected, rtol=1e-15)
    assert np.isneginf(kernels.logsumexp(np.full(3, -np.inf))) and np.isposinf(kernels.logsumexp(np.full(3, np.inf)))
    assert np.isnan(kernels.softmax(np.array([0.0, np.nan]))).all()
