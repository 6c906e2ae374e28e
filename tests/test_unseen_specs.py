"""A user's spec outside the project: formulas never seen before, against PyTorch in value and every derivative."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sympy")
torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

import nngrad  # noqa: E402
from nngrad import Tensor  # noqa: E402
from nngrad.codegen.command import run  # noqa: E402

SPEC = Path(__file__).parent / "specs" / "unseen.py"
random = np.random.default_rng(0)
X, T = random.normal(size=(5, 7)) * 1.5, random.normal(size=(5, 7))
P, W = random.random((5, 7)), random.normal(size=7)
CLASSES, MASK = random.integers(0, 7, 5), random.random((5, 7)) < 0.6


def softmax(x):
    return torch.softmax(x, -1)


def focal(x, t):
    p = torch.sigmoid(x)
    return -(t * (1 - p) ** 2 * torch.log(p) + (1 - t) * p**2 * torch.log(1 - p)).mean()


def dice(x, t):
    p = torch.sigmoid(x)
    return (1 - (2 * (p * t).sum(-1) + 1) / (p.sum(-1) + t.sum(-1) + 1)).mean()


def minmax(x):
    low, high = x.amin(-1, True), x.amax(-1, True)
    return (x - low) / (high - low + 1e-3)


CASES = {
    "mish": (F.mish, X),
    "swish": (lambda x: x * torch.sigmoid(1.5 * x), X),
    "celu": (lambda x: torch.relu(x) + torch.clamp(1.2 * (torch.exp(x / 1.2) - 1), max=0), X),
    "hardswish": (F.hardswish, X),
    "softsign": (F.softsign, X),
    "tanhshrink": (F.tanhshrink, X),
    "softshrink": (F.softshrink, X),
    "hardtanh": (F.hardtanh, X),
    "logcosh": (lambda x: torch.log(torch.cosh(x)), X),
    "snake": (lambda x: x + torch.sin(0.7 * x) ** 2 / 0.7, X),
    "gaussian": (lambda x: torch.exp(-(x**2)), X),
    "bent_identity": (lambda x: (torch.sqrt(x**2 + 1) - 1) / 2 + x, X),
    "huber_loss": (F.huber_loss, X, T),
    "log_cosh_loss": (lambda x, t: torch.log(torch.cosh(x - t)).mean(), X, T),
    "poisson_nll": (F.poisson_nll_loss, X, T),
    "quantile_loss": (lambda x, t: torch.maximum(0.3 * (t - x), -0.7 * (t - x)).mean(), X, T),
    "hinge": (lambda x, t: torch.relu(1 - x * t).mean(), X, T),
    "focal": (focal, X, P),
    "dice_rows": (dice, X, P),
    "kl_rows": (lambda x, t: (softmax(t) * (F.log_softmax(t, -1) - F.log_softmax(x, -1))).sum(-1).mean(), X, T),
    "smoothed_ce": (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), X, CLASSES),
    "rms_norm": (lambda x, w: F.rms_norm(x, (7,), w, 1e-6), X, W),
    "l2_normalize": (lambda x: F.normalize(x, dim=-1), X),
    "standardize": (lambda x: F.layer_norm(x, (7,)), X),
    "minmax": (minmax, X),
    "sparsemaxish": (lambda x: torch.exp(x / 2) / (1 + torch.exp(x / 2).sum(-1, True)), X),
    "entropy": (lambda x: -(softmax(x) * F.log_softmax(x, -1)).sum(-1), X),
    "pnorm": (lambda x: torch.linalg.vector_norm(x, 3, -1), X),
    "cosine": (lambda x, y: F.cosine_similarity(x, y, -1), X, T),
    "gated": (lambda x, y: torch.sqrt(x**2 + y**2 + 1e-6) * torch.tanh(x * y), X, T),
    "bilinear_gate": (lambda x, g: x * torch.sigmoid(g) + (1 - torch.sigmoid(g)) * torch.tanh(x), X, T),
    "prelu": (lambda x, w: torch.where(x >= 0, x, w * x), X, W),
    "attention_row": (lambda q, v: (softmax(q) * v).sum(-1), X, T),
    "geometric_mean": (lambda x: torch.prod(torch.abs(x) + 0.1, -1) ** (1 / 7), X),
    "xlogy": (torch.xlogy, X, P),
    "masked_mean": (lambda x, m: torch.where(m, x, 0.0).sum(-1) / m.sum(-1), X, MASK),
}


@pytest.fixture(scope="module", name="package")
def fixture_package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    assert run(["--spec", str(SPEC), "--out", str(folder / "unseen_package")]) == 0
    sys.path.insert(0, str(folder))
    yield importlib.import_module("unseen_package")
    sys.path.remove(str(folder))


def operands(arrays, dtype):
    """The same inputs for both libraries, with the positions of those that carry a gradient."""
    moving = [place for place, array in enumerate(arrays) if array.dtype.kind == "f"]
    ours = [Tensor(a, dtype=dtype, requires_grad=True) if place in moving else a for place, a in enumerate(arrays)]
    theirs = [
        torch.tensor(a.astype(dtype), requires_grad=True) if place in moving else torch.tensor(a)
        for place, a in enumerate(arrays)
    ]
    return ours, theirs, moving


def test_every_formula_is_compared(package):
    assert set(package.OPS) == set(CASES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(package, name, dtype):
    reference, *arrays = CASES[name]
    ours, theirs, moving = operands(arrays, dtype)
    y, expected = getattr(package, name)(*ours), reference(*theirs)
    g = np.random.default_rng(1).normal(size=expected.shape).astype(dtype)
    y.backward(g)
    expected.backward(torch.tensor(g))
    tolerance = {"float32": 2e-4, "float64": 1e-9}[dtype]
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    for place in moving:
        np.testing.assert_allclose(ours[place].grad, theirs[place].grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_second_order_and_forward_mode(package, name):
    reference, *arrays = CASES[name]
    ours, theirs, moving = operands(arrays, "float64")
    random = np.random.default_rng(2)
    v = [random.normal(size=arrays[place].shape) for place in moving]

    def call(function, fixed):
        def of_moving(*moved):
            given = dict(zip(moving, moved, strict=True))
            return function(*(given.get(place, one) for place, one in enumerate(fixed)))

        return of_moving

    f, f_reference = call(getattr(package, name), ours), call(reference, theirs)
    points = [torch.tensor(arrays[place]) for place in moving]
    directions = [torch.tensor(one) for one in v]
    y, tangent = nngrad.jvp(f, tuple(arrays[place] for place in moving), tuple(v))
    _, expected = torch.autograd.functional.jvp(f_reference, tuple(points), tuple(directions))
    np.testing.assert_allclose(tangent.data, expected.numpy(), rtol=1e-8, atol=1e-9)

    g = random.normal(size=y.shape)
    others = [arrays[place] for place in moving[1:]]
    curved = nngrad.hvp(lambda x: (f(x, *others) * g).sum(), arrays[moving[0]], v[0])
    expected = torch.autograd.functional.hvp(
        lambda x: (f_reference(x, *points[1:]) * torch.tensor(g)).sum(), points[0], directions[0]
    )[1]
    np.testing.assert_allclose(curved.data, expected.numpy(), rtol=1e-6, atol=1e-8)


def test_arrays_and_scalars_are_taken(package):
    assert isinstance(package.mish(1.0), Tensor) and package.mish(1.0).shape == ()
    assert package.swish(X, beta=0.5).dtype == X.dtype
    assert isinstance(package.kernels.mish(X), np.ndarray)
