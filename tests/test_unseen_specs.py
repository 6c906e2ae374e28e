"""A user's spec outside the project: formulas never seen before, against PyTorch in value and every derivative."""

import numpy as np
import pytest
from conftest import SPECS

pytest.importorskip("sympy")
torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

import nngrad  # noqa: E402
from nngrad import Tensor  # noqa: E402
from nngrad.codegen.pipeline import load_spec  # noqa: E402

SLOW = {declaration.name for declaration in load_spec(SPECS / "unseen_more.py")}
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


def loopy(x):
    for _ in range(2):
        x = x - x**3 / 10
    return x


def powers(x):
    u = x.abs() + 0.5
    return u**1.5 + u**-2 + 2**x + u**0.5 + u ** (1 / 3) + torch.exp(x)


def piecewise(x):
    outer = torch.where(x >= 2, torch.log(x.clamp(min=1)), torch.exp(x.clamp(max=2)))
    return torch.where((x > -1) & (x < 2), x**2, outer)


def wing(x, t):
    d = (x - t).abs()
    return torch.where(d < 1, torch.log(1 + d / 0.5), d - (1 - np.log(3))).mean()


def margin(x, t):
    return (torch.relu(0.5 - x.gather(1, t[:, None]) + x).sum(-1) - 0.5).mean()


def moment_ratio(x):
    c = x - x.mean(-1, True)
    return (c**3).mean(-1) / (c**2).mean(-1) ** 1.5


def group_scale(x, w=1.0):
    return x / ((x.abs() ** 2).mean(-1, True) + 1e-6) ** 0.5 * w


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
    "centre": (lambda x: x - x.mean(), X),
    "total": (lambda x: (x * x).sum() / 2, X),
    "plane_norm": (lambda x: (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5), X),
    "loopy": (loopy, X),
    "helped": (lambda x: x**3 + x**2 / 3 - 0.5, X),
    "powers": (powers, X),
    "threeway": (torch.sin, X),
    "threeway b": (lambda x: -torch.cos(x), X, dict(mode="b", flip=True)),
    "threeway c": (torch.arctan, X, dict(mode="c")),
    "piecewise": (piecewise, X),
    "rowgate": (lambda x: torch.where(x > x.mean(-1, True), x, x / 10), X),
    "gate": (lambda x, g: x * torch.sigmoid(g), X, T),
    "masked": (lambda x, m: torch.where(m & (x > 0), x**2, 0.0), X, MASK),
    "polar": (lambda x, y: torch.arctan2(y, x) * torch.hypot(x, y), X, T),
    "smoothmax": (lambda x, y: 0.5 * torch.logaddexp(x / 0.5, y / 0.5), X, T),
    "rounded": (lambda x: x - torch.floor(x) + torch.sign(x) * x, X),
    "nested_clip": (lambda x: x.clamp(-0.5, 0.5) * F.softplus(x), X),
    "extent": (lambda x: x.amax(-1) - x.amin(-1), X),
    "logsum": (lambda x: 3 * torch.log(torch.exp(x / 3).mean(-1)), X),
    "full_norm": (lambda x, w, b: F.layer_norm(x, (7,), w, b), X, W, W + 1),
    "var_norm": (lambda x: F.layer_norm(x, (7,), eps=1e-3), X),
    "charbonnier": (lambda x, t: torch.sqrt((x - t) ** 2 + 1e-6).mean(), X, T),
    "wing": (wing, X, T),
    "gaussian_nll": (F.gaussian_nll_loss, X, T, P),
    "margin": (margin, X, CLASSES),
    "bce_naive": (F.binary_cross_entropy_with_logits, X, P),
    "cosine_loss": (lambda x, t: (1 - F.cosine_similarity(x, t, -1)).mean(), X, T),
    "squareplus": (lambda x: (x + torch.sqrt(x**2 + 4)) / 2, X),
    "smelu": (lambda x: torch.where(x.abs() <= 1.1, (x + 1.1) ** 2 / 4.4, torch.relu(x)), X),
    "gelu_quick": (lambda x: x * torch.sigmoid(1.702 * x), X),
    "phish": (lambda x: x * torch.tanh(F.gelu(x)), X),
    "serf": (lambda x: x * torch.erf(F.softplus(x)), X),
    "sinlu": (lambda x: (x + torch.sin(x)) * torch.sigmoid(x), X),
    "pade": (lambda x: x * (27 + x**2) / (27 + 9 * x**2), X),
    "softargmax": (lambda x: (torch.softmax(5 * x, -1) * x).sum(-1), X),
    "moment_ratio": (moment_ratio, X),
    "group_scale": (group_scale, X),
    "group_scale weighted": (group_scale, X, W),
}


def is_slow(name):
    """Whether the op of a case, whose name may say more than its own, takes the generator longer."""
    return name.partition(" ")[0] in SLOW


NAMES = [pytest.param(name, marks=[pytest.mark.slow] * is_slow(name)) for name in CASES]


def case(package_of, name):
    """The op (its parameters bound), the reference, and the inputs of a case."""
    reference, *arrays = CASES[name]
    params = arrays.pop() if isinstance(arrays[-1], dict) else {}
    op = getattr(package_of("unseen_more" if is_slow(name) else "unseen"), name.partition(" ")[0])
    return (lambda *inputs: op(*inputs, **params)), reference, arrays


def operands(arrays, dtype):
    """The same inputs for both libraries, with the positions of those that carry a gradient."""
    moving = [place for place, array in enumerate(arrays) if array.dtype.kind == "f"]
    ours = [Tensor(a, dtype=dtype, requires_grad=True) if place in moving else a for place, a in enumerate(arrays)]
    theirs = [
        torch.tensor(a.astype(dtype), requires_grad=True) if place in moving else torch.tensor(a)
        for place, a in enumerate(arrays)
    ]
    return ours, theirs, moving


def test_every_formula_is_compared(package_of):
    assert set(package_of("unseen").OPS) | SLOW == {name.partition(" ")[0] for name in CASES}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient(package_of, name, dtype):
    op, reference, arrays = case(package_of, name)
    ours, theirs, moving = operands(arrays, dtype)
    y, expected = op(*ours), reference(*theirs)
    g = np.random.default_rng(1).normal(size=expected.shape).astype(dtype)
    y.backward(g)
    expected.backward(torch.tensor(g))
    tolerance = {"float32": 2e-4, "float64": 1e-9}[dtype]
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    for place in moving:
        np.testing.assert_allclose(ours[place].grad, theirs[place].grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_second_order_and_forward_mode(package_of, name):
    op, reference, arrays = case(package_of, name)
    ours, theirs, moving = operands(arrays, "float64")
    random = np.random.default_rng(2)
    v = [random.normal(size=arrays[place].shape) for place in moving]

    def call(function, fixed):
        def of_moving(*moved):
            given = dict(zip(moving, moved, strict=True))
            return function(*(given.get(place, one) for place, one in enumerate(fixed)))

        return of_moving

    f, f_reference = call(op, ours), call(reference, theirs)
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


def test_arrays_and_scalars_are_taken(package_of):
    package = package_of("unseen")
    assert isinstance(package.celu(1.0), Tensor) and package.celu(1.0).shape == ()
    assert package.swish(X, beta=0.5).dtype == X.dtype
    assert isinstance(package.kernels.celu(X), np.ndarray)
