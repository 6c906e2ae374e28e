"""Losses with weights, margins, ignored classes and smoothed labels, against PyTorch in float64."""

import numpy as np
import pytest

import nngrad.nn.functional as F
from nngrad import Tensor, check_grads, nn

torch = pytest.importorskip("torch")
T = torch.nn.functional

REDUCTIONS = ["mean", "sum", "none"]
rng = np.random.default_rng(0)
x, u, v = rng.normal(0, 2, (3, 6, 5))
p, t = rng.uniform(0.05, 0.95, (2, 6, 5))
signs, sign_of_row = rng.choice([-1.0, 1.0], (6, 5)), rng.choice([-1.0, 1.0], 6)
weight, classes = rng.uniform(0.5, 2, 5), rng.integers(0, 5, 6)
grid = np.broadcast_to(np.arange(-2, 3) / 2, (6, 5))  # with every edge of losses among its differences
corners = np.eye(5)[[0, 1, 2, 0, 1, 2]]
image, pixels = rng.normal(size=(2, 5, 3, 4)), rng.integers(0, 5, (2, 3, 4))
labels = np.array(
    [[0, 3, -1, 1, 1], [2, -1, 0, 0, 0], [-1, 4, 1, 0, 2], [4, 3, 2, 1, 0], [1, 1, -1, 2, 2], [3, 0, 4, -1, 1]]
)

ELEMENTWISE = {
    "binary_cross_entropy": [(p, t), (p, t, dict(weight=weight)), (p, t, dict(weight=t))],
    "binary_cross_entropy_with_logits": [
        (x, t, dict(pos_weight=weight)),
        (x, t, dict(weight=p)),
        (x, t, dict(weight=weight, pos_weight=weight)),
    ],
    "multilabel_soft_margin_loss": [(x, t.round()), (x, t.round(), dict(weight=weight)), (x[0], t[0])],
    "soft_margin_loss": [(x, signs), (100 * x, signs)],
    "hinge_embedding_loss": [(x, signs), (x, signs, dict(margin=0.3)), (x, 0 * signs), (grid, signs)],
    "margin_ranking_loss": [(x, u, signs), (x, u, signs, dict(margin=0.5)), (grid, 0 * grid, signs, dict(margin=0.5))],
    "poisson_nll_loss": [(x, t), (x, 5 * t, dict(full=True)), (p, t, dict(log_input=False, eps=1e-3))],
    "gaussian_nll_loss": [
        (x, u, t),
        (x, u, t, dict(full=True)),
        *((x, u, one) for one in (t[:, 0], t[:, :1], t[:1])),
        (x[0], u[0], t[0]),
    ],
    "smooth_l1_loss": [(x, u, dict(beta=0.5)), (grid, 0 * grid)],
    "huber_loss": [(x, u, dict(delta=0.5)), (grid, 0 * grid)],
    "cosine_embedding_loss": [
        (x, u, sign_of_row),
        (x, u, sign_of_row, dict(margin=0.2)),
        (x[0], u[0], np.array(-1.0)),
        (corners, np.roll(corners, 1, 1), -np.ones(6)),
    ],
    "triplet_margin_loss": [
        (0 * x, 3 * corners, 4 * corners, dict(eps=0.0)),
        (x, u, v),
        (x, u, v, dict(margin=3.0, p=1.0)),
        (x, u, v, dict(swap=True, eps=0.1)),
        (x[0], u[0], v[0]),
    ],
    "multi_margin_loss": [
        (x, classes),
        (x, classes, dict(p=2, margin=0.7)),
        (x, classes, dict(weight=weight)),
        (x[0], np.array(2)),
    ],
    "multilabel_margin_loss": [(x, labels), (x[0], labels[0])],
    "nll_loss": [
        (x, classes, dict(weight=weight)),
        (x, classes, dict(ignore_index=classes[0].item())),
        (image, pixels, dict(weight=weight, ignore_index=3)),
        (x, np.where(classes == 1, -100, classes)),
    ],
    "cross_entropy": [
        (x, classes),
        (x, classes, dict(weight=weight, ignore_index=classes[0].item())),
        (x, classes, dict(label_smoothing=0.2)),
        (x, classes, dict(label_smoothing=0.2, weight=weight)),
        (image, pixels, dict(label_smoothing=0.1, weight=weight, ignore_index=3)),
        (image, pixels, dict(label_smoothing=0.1)),
        (x, p),
        (x, p, dict(weight=weight, label_smoothing=0.3)),
        (image, np.abs(image)),
        (x[0], p[0]),
        (x[0], np.array(3), dict(weight=weight, label_smoothing=0.3)),
    ],
}
CASES = [
    (name, *case) if isinstance(case[-1], dict) else (name, *case, {})
    for name, cases in ELEMENTWISE.items()
    for case in cases
]
# The inputs of which PyTorch gives the gradient.
MOVING = {
    "soft_margin_loss": 1, "hinge_embedding_loss": 1, "margin_ranking_loss": 2, "multilabel_soft_margin_loss": 1,
    "cosine_embedding_loss": 2, "triplet_margin_loss": 3, "gaussian_nll_loss": 3,
}  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'-'.join(case[-1])}")
def test_values_and_gradients_are_those_of_pytorch(case, reduction):
    name, *inputs, options = case
    moving = MOVING.get(name, 2 if inputs[1].dtype.kind == "f" else 1)
    ours = [Tensor(a, dtype=float, requires_grad=True) if i < moving else a for i, a in enumerate(inputs)]
    theirs = [torch.tensor(a, requires_grad=i < moving) for i, a in enumerate(inputs)]
    their_options = {key: torch.tensor(a) if isinstance(a, np.ndarray) else a for key, a in options.items()}
    y = getattr(F, name)(*ours, **options, reduction=reduction)
    reference = getattr(T, name)(*theirs, **their_options, reduction=reduction)
    assert y.shape == tuple(reference.shape) and y.dtype == np.float64
    np.testing.assert_allclose(y.data, reference.detach().numpy(), rtol=1e-9, atol=1e-12)
    g = rng.normal(size=y.shape)
    y.backward(g)
    reference.backward(torch.tensor(g))
    for own, other in zip(ours[:moving], theirs[:moving], strict=True):
        np.testing.assert_allclose(own.grad, other.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'-'.join(case[-1])}")
def test_classes_and_float32(case):
    name, *inputs, options = case
    kept = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in inputs]
    options = {key: a.astype(np.float32) if isinstance(a, np.ndarray) else a for key, a in options.items()}
    y = getattr(F, name)(*kept, **options)
    assert y.dtype == np.float32
    if name != "binary_cross_entropy":  # BCELoss clips its input
        made = next(kind for kind in nn.__all__ if nn._from_ops.FUNCTION_OF_CLASS.get(kind) == name)
        np.testing.assert_array_equal(getattr(nn, made)(**options, reduction="mean")(*kept).data, y.data)


@pytest.mark.parametrize("options", [{}, dict(label_smoothing=0.1), dict(ignore_index=0), dict(reduction="none")])
@pytest.mark.parametrize("weight", [[1.0, 2.0], np.array([1.0, 2.0])], ids=type)
def test_weights_of_classes_do_not_widen_a_loss(weight, options):
    scores = Tensor([[0.5, 1.0], [2.0, -1.0]])
    assert F.cross_entropy(scores, [0, 1], weight, **options).dtype == np.float32
    assert F.cross_entropy(scores, Tensor([[0.5, 0.5], [1, 0]]), weight).dtype == np.float32
    assert F.multi_margin_loss(scores, [0, 1], weight=weight).dtype == np.float32


def test_probabilities_may_be_a_list():
    ours = F.cross_entropy(x, p.tolist(), label_smoothing=0.1)
    np.testing.assert_allclose(ours.data, F.cross_entropy(x, p, label_smoothing=0.1).data)


def test_reduction_batchmean():
    ours = F.kl_div(Tensor(np.log(p), dtype=float), t, reduction="batchmean")
    reference = T.kl_div(torch.tensor(np.log(p)), torch.tensor(t), reduction="batchmean")
    np.testing.assert_allclose(ours.data, reference.numpy(), rtol=1e-12)
    of_class = nn.KLDivLoss(reduction="batchmean")(Tensor(np.log(p), dtype=float), t)
    assert of_class.item() == ours.item()


@pytest.mark.parametrize("loss", [nn.HuberLoss, nn.SmoothL1Loss])
@pytest.mark.parametrize(("number", "error"), [("a", TypeError), (-1, ValueError)])
def test_where_pieces_meet_is_a_number(loss, number, error):
    (option,) = loss()._options().keys() - {"reduction"}
    with pytest.raises(error, match=rf"loss: {option} must be a number from 0 on, got {number!r}"):
        loss(**{option: number})(x, u)


def test_all_ignored_is_nan_without_a_warning():
    scores = Tensor(x, dtype=float, requires_grad=True)
    assert np.isnan(F.cross_entropy(scores, np.full(6, -100)).item())
    assert F.cross_entropy(scores, np.full(6, -100), reduction="sum").item() == 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.binary_cross_entropy(p, t, weight=np.ones(4)), r"weight of shape \(4,\) must broadcast .* \(6, 5\)"),
        (lambda: F.binary_cross_entropy(p - 1, t), "must be probabilities, from 0 to 1, got -.* write sigmoid"),
        (lambda: F.binary_cross_entropy(2 * p / p.max(), t), r"must be probabilities, .* got .* to 2\.0"),
        (lambda: F.binary_cross_entropy_with_logits(p, t, pos_weight=np.ones((2, 6, 5))), "pos_weight of shape"),
        (lambda: F.cross_entropy(x, classes, weight=np.ones(4)), r"weight of shape \(4,\) must be \(5,\)"),
        (lambda: F.cross_entropy(x, classes, label_smoothing=1.5), "label_smoothing must be a number from 0 to 1"),
        (lambda: F.gaussian_nll_loss(x, u, t[:3]), r"var of shape \(3, 5\) does not fit input \(6, 5\)"),
        (lambda: F.gaussian_nll_loss(x, u, -t), "a variance is negative"),
        (lambda: F.margin_ranking_loss(x, u, signs[:, :1]), r"input1 \(6, 5\), input2 \(6, 5\), target \(6, 1\)"),
        (lambda: F.triplet_margin_loss(x, u, v[:1]), r"negative \(1, 5\)"),
        (lambda: F.triplet_margin_loss(x, u, v, margin=0.0), "margin must be above 0"),
        (lambda: F.cosine_embedding_loss(x, u, signs), r"need a target of shape \(6,\), got \(6, 5\)"),
        (lambda: F.multi_margin_loss(x, classes, p=3), "p must be 1 or 2, got 3"),
        (lambda: F.multi_margin_loss(image, pixels), r"must have shape \(C,\) or \(N, C\)"),
        (lambda: F.soft_margin_loss(x, signs, reduction="average"), "average"),
        (lambda: F.multilabel_margin_loss(x, labels, reduction="average"), "average"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_distances(axis):
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(u, requires_grad=True)
    for ours, theirs in [
        (lambda a, b: F.cosine_similarity(a, b, axis=axis), lambda a, b: T.cosine_similarity(a, b, dim=axis)),
        (lambda a, b: F.normalize(a, axis=axis) * b, lambda a, b: T.normalize(a, dim=axis) * b),
        (lambda a, b: F.normalize(a, 3.0, axis) * b, lambda a, b: T.normalize(a, 3.0, axis) * b),
        (lambda a, b: F.normalize(a, 1, axis) * b, lambda a, b: T.normalize(a, 1, axis) * b),
        (F.pairwise_distance, T.pairwise_distance),
        (lambda a, b: F.pairwise_distance(a, b, p=1.5), lambda a, b: T.pairwise_distance(a, b, p=1.5)),
        (
            lambda a, b: F.pairwise_distance(a, b, np.inf, keepdims=True),
            lambda a, b: T.pairwise_distance(a, b, np.inf, keepdim=True),
        ),
    ]:
        own = [Tensor(value, dtype=float, requires_grad=True) for value in (x, u)]
        y, reference = ours(*own), theirs(a, b)
        np.testing.assert_allclose(y.data, reference.detach().numpy(), rtol=1e-12)
        g = rng.normal(size=y.shape)
        y.backward(g)
        expected = torch.autograd.grad(reference, (a, b), torch.tensor(g))
        for tensor, gradient in zip(own, expected, strict=True):
            np.testing.assert_allclose(tensor.grad, gradient.numpy(), rtol=1e-10, atol=1e-13)


def test_distances_where_squares_overflow_and_at_zero():
    huge = np.array([[1e30, -3e30, 2e30]], np.float32)
    np.testing.assert_allclose(F.cosine_similarity(huge, 2 * huge).data, [1], rtol=1e-6)
    np.testing.assert_allclose(F.normalize(huge).data, [[0.26726124, -0.8017837, 0.5345225]], rtol=1e-6)
    np.testing.assert_allclose(F.pairwise_distance(huge, -huge).data, [7.4833147e30], rtol=1e-6)
    zero = Tensor(np.zeros((1, 3)), requires_grad=True)
    F.cosine_similarity(zero, huge).sum().backward()
    assert np.isfinite(zero.grad).all()
    same = Tensor(np.ones((1, 3)), requires_grad=True)
    F.pairwise_distance(same, np.ones((1, 3)), eps=0).sum().backward()
    assert (same.grad == 0).all()


def test_second_derivatives():
    check_grads(lambda a: F.cross_entropy(a, classes, weight=weight, label_smoothing=0.1), (x,), order=2)
    check_grads(lambda a, b: F.cosine_similarity(a, b).sum(), (x, u), order=2)
    check_grads(lambda a, b, c: F.gaussian_nll_loss(a, b, c + 1), (x, u, t), order=2)


SIGNS = np.ones((3, 4), int)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    "loss",
    [
        *(getattr(F, name) for name in ("mse_loss", "l1_loss", "huber_loss", "soft_margin_loss", "poisson_nll_loss")),
        lambda x, t: F.margin_ranking_loss(x, 2 * x, t),
        lambda x, t: F.gaussian_nll_loss(x, t, 1) + F.gaussian_nll_loss(x, x, t[:1]),
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, weight=t[0], pos_weight=t),
        lambda x, t: F.binary_cross_entropy(x, t, weight=t[0] == 1),
    ],
)
def test_integers_do_not_widen_a_loss(loss, dtype):
    x = Tensor(np.full((3, 4), 0.5), dtype=dtype)
    assert loss(x, SIGNS).dtype == dtype == loss(x, Tensor(SIGNS, dtype=int)).dtype
    np.testing.assert_allclose(loss(x, SIGNS).item(), loss(x, SIGNS.astype(dtype)).item(), rtol=1e-3)


def test_bce_loss_has_a_weight():
    expected = torch.nn.BCELoss(torch.tensor(weight))(torch.tensor(p), torch.tensor(t)).item()
    assert nn.BCELoss(weight=weight)(p, t).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 9), (3, 9, 4), (4096, 64), (64, 64, 64)])
def test_cross_entropy_of_a_class_that_is_nearly_certain(shape, dtype):
    """Its gradient is what the other classes have, which 1 - p has lost."""
    x = np.random.default_rng(7).normal(size=shape)
    x[::3, 5] += 20
    x = Tensor(x, dtype=dtype, requires_grad=True)
    F.cross_entropy(x, np.full(np.delete(shape, 1), 5), reduction="sum").backward()
    e = np.exp(x.numpy().astype(np.longdouble))
    exact = e / e.sum(1, keepdims=True)
    exact[:, 5] = 0
    exact[:, 5] = -exact.sum(1)
    np.testing.assert_allclose(x.grad, exact.astype(float), rtol=16 * np.finfo(dtype).eps)


def test_a_variance_below_the_least_has_a_gradient_too():
    x, v = Tensor([0.0, 3.0], requires_grad=True), Tensor([0.0, 4.0], requires_grad=True)
    F.gaussian_nll_loss(x, [0.0, 1.0], v, eps=0.5, reduction="sum").backward()
    np.testing.assert_allclose(v.grad, [1.0, (1 / 4 - 4 / 16) / 2])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nll_loss_that_is_not_finite_moves_the_targets_alone(reduction):
    x = Tensor(np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]), requires_grad=True)
    (F.nll_loss(x, [1, 0], reduction=reduction) * np.inf).backward()
    np.testing.assert_array_equal(x.grad, [[0, -np.inf, 0], [-np.inf, 0, 0]])
