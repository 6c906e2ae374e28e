"""Normalisation, embedding, dropout and gates, as functions and modules, against PyTorch in float64."""

import numpy as np
import pytest
from conftest import agree

import nngrad
import nngrad.nn.functional as F
from nngrad import Tensor, nn

rng = np.random.default_rng(0)
ROWS, SIGNAL, IMAGE = rng.normal(1, 2, (6, 4)), rng.normal(1, 2, (3, 4, 5)), rng.normal(1, 2, (3, 4, 5, 2))
WEIGHT, BIAS, MEAN, VAR = rng.normal(size=4), rng.normal(size=4), rng.normal(size=4), rng.uniform(0.5, 2, 4)


@pytest.mark.parametrize("x", [ROWS, SIGNAL, IMAGE], ids=["rows", "signal", "image"])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(torch, x, training):
    ours, theirs = (MEAN.copy(), VAR.copy()), (torch.tensor(MEAN), torch.tensor(VAR))
    agree(
        torch,
        lambda x, w, b: F.batch_norm(x, *ours, w, b, training, 0.3),
        lambda x, w, b: torch.nn.functional.batch_norm(x, *theirs, w, b, training, 0.3),
        x,
        WEIGHT,
        BIAS,
    )
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other.numpy(), rtol=1e-12)
    agree(
        torch,
        lambda x: F.batch_norm(x, None, None, training=True, eps=1e-2),
        lambda x: torch.nn.functional.batch_norm(x, None, None, training=True, eps=1e-2),
        x,
    )


@pytest.mark.parametrize("x", [SIGNAL, IMAGE], ids=["signal", "image"])
@pytest.mark.parametrize("own", [True, False])
def test_instance_norm(torch, x, own):
    ours, theirs = (MEAN.copy(), VAR.copy()), (torch.tensor(MEAN), torch.tensor(VAR))
    agree(
        torch,
        lambda x, w, b: F.instance_norm(x, *ours, w, b, own, 0.3),
        lambda x, w, b: torch.nn.functional.instance_norm(x, *theirs, w, b, own, 0.3),
        x,
        WEIGHT,
        BIAS,
    )
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-12)


@pytest.mark.parametrize("x", [ROWS, SIGNAL, IMAGE], ids=["rows", "signal", "image"])
@pytest.mark.parametrize("groups", [1, 2])
def test_group_norm(torch, x, groups):
    theirs = torch.nn.functional.group_norm
    agree(
        torch, lambda x, w, b: F.group_norm(x, groups, w, b), lambda x, w, b: theirs(x, groups, w, b), x, WEIGHT, BIAS
    )
    agree(torch, lambda x: F.group_norm(x, groups), lambda x: theirs(x, groups), x)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_local_response_norm(torch, size):
    theirs = torch.nn.functional.local_response_norm
    for x in (SIGNAL, IMAGE):
        agree(torch, lambda x: F.local_response_norm(x, size, 0.3), lambda x: theirs(x, size, 0.3), x)


MASK = np.array([[True, False, True, True, False], [False] * 5, [True] * 5])  # the second query sees nothing


@pytest.mark.parametrize(
    "options",
    [{}, dict(is_causal=True), dict(scale=0.3), dict(attn_mask=MASK), dict(attn_mask=np.where(MASK, 0.5, -np.inf))],
    ids=["plain", "causal", "scale", "bool", "numbers"],
)
def test_attention(torch, options):
    q, k, v = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 6))
    theirs = {name: torch.tensor(value) if name == "attn_mask" else value for name, value in options.items()}
    agree(
        torch,
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, **theirs),
        *(q, k, v),
    )
    nngrad.check_grads(lambda q, k, v: (F.scaled_dot_product_attention(q, k, v, **options) ** 2).sum(), (q, k, v))


def test_attention_drops_weights_and_takes_one_mask():
    q, v = np.zeros((200, 4)), np.ones((200, 1))
    y = F.scaled_dot_product_attention(q, q, v, dropout_p=0.5, generator=np.random.default_rng(0)).data
    assert abs(y.mean() - 1) < 0.02 and y.std() > 0.02
    with pytest.raises(ValueError, match=r"of shapes \(200, 4\), \(200, 1\), \(200, 1\) must be"):
        F.scaled_dot_product_attention(q, v, v)
    with pytest.raises(TypeError, match="attn_mask must be bool, or floating for what is added, got int64"):
        F.scaled_dot_product_attention(q, q, v, np.ones((200, 200), int))
    with pytest.raises(ValueError, match="is_causal is a mask of its own"):
        F.scaled_dot_product_attention(q, q, v, np.ones((200, 200), bool), is_causal=True)


def test_batch_norm_of_values_far_from_zero():
    z = rng.normal(size=(64, 1))
    x = (1e4 + 0.01 * z).astype(np.float32)
    exact = x.astype(float)
    exact = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    np.testing.assert_allclose(F.batch_norm(x, None, None, training=True).data, exact, rtol=1e-5, atol=1e-6)


def test_second_derivatives():
    nngrad.check_grads(
        lambda x, w: (F.batch_norm(x, None, None, w, training=True) ** 2).sum(), (IMAGE, WEIGHT), order=2
    )
    nngrad.check_grads(lambda x: (F.group_norm(x, 2) ** 3).sum(), (SIGNAL,), order=2)
    nngrad.check_grads(lambda x: (F.local_response_norm(x, 3) ** 2).sum(), (SIGNAL,), order=2)
    nngrad.check_grads(lambda x: (F.glu(x) ** 2).sum(), (ROWS,), order=2)


MODULES = [
    ("BatchNorm1d", (4,), {}, ROWS),
    ("BatchNorm1d", (4,), dict(momentum=None), SIGNAL),
    ("BatchNorm2d", (4,), dict(affine=False, momentum=0.3), IMAGE),
    ("BatchNorm2d", (4,), dict(track_running_stats=False), IMAGE),
    ("InstanceNorm1d", (4,), dict(affine=True, track_running_stats=True), SIGNAL),
    ("InstanceNorm2d", (4,), {}, IMAGE),
    ("InstanceNorm1d", (4,), dict(affine=True, track_running_stats=True), SIGNAL[0]),
    ("InstanceNorm2d", (4,), {}, IMAGE[0]),
    ("GroupNorm", (2, 4), {}, IMAGE),
    ("BatchNorm1d", (4,), dict(bias=False), ROWS),
    ("InstanceNorm2d", (4,), dict(affine=True, bias=False), IMAGE),
    ("GroupNorm", (2, 4), dict(bias=False), IMAGE),
    ("BatchNorm1d", (4,), {}, SIGNAL[:0]),
    ("BatchNorm2d", (4,), {}, IMAGE[..., :0]),
    ("InstanceNorm1d", (4,), {}, SIGNAL[..., :0]),
    ("GroupNorm", (2, 4), dict(affine=False), SIGNAL[..., :0]),
    ("LayerNorm", (0,), {}, SIGNAL[..., :0]),
    ("RMSNorm", (0,), {}, SIGNAL[..., :0]),
    ("LogSoftmax", (-1,), {}, SIGNAL[..., :0]),
    ("RMSNorm", (4,), {}, ROWS),
    ("RMSNorm", ((5, 2),), dict(eps=1e-3), IMAGE),
    ("LocalResponseNorm", (3,), {}, IMAGE),
    ("PReLU", (), {}, IMAGE),
    ("PReLU", (4, 0.1), {}, IMAGE),
    ("GLU", (), {}, ROWS),
    ("Softmin", (1,), {}, ROWS),
    ("Threshold", (0.3, 7.0), {}, ROWS),
    ("Flatten", (), {}, IMAGE),
    ("Flatten", (0, 1), {}, IMAGE),
    ("Identity", (), {}, IMAGE),
]


@pytest.mark.parametrize("name, args, options, x", MODULES)
def test_modules(torch, name, args, options, x):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, parameter in list(ours.named_parameters()):
        np.testing.assert_array_equal(parameter.data, theirs.state_dict()[key].numpy().astype(np.float32))
        setattr(ours, key, Tensor(theirs.state_dict()[key].numpy(), dtype=float, requires_grad=True))
    rtol = 1e-5 if options.get("track_running_stats", name.startswith("Batch")) else 1e-9  # statistics in float32
    for _ in range(3):
        agree(torch, ours, theirs, x)
        x = x[::-1] + 0.3
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-5)
    agree(torch, ours.eval(), theirs.eval(), x, rtol=rtol)
    again = getattr(nn, name)(*args, **options)
    again.load_state_dict(ours.state_dict())
    np.testing.assert_allclose(again.eval()(x).data, ours(x).data, rtol=1e-6)
    assert repr(ours).startswith(name)


def test_rrelu(torch):
    agree(torch, nn.RReLU().eval(), torch.nn.RReLU().eval(), ROWS)
    draws = F.rrelu(np.full((50, 50), -1.0), 0.2, 0.4, training=True, generator=np.random.default_rng(3))
    assert -0.4 <= draws.data.min() < -0.39 and -0.21 < draws.data.max() <= -0.2
    with pytest.raises(ValueError, match="lower must not be above upper"):
        F.rrelu(ROWS, 0.5, 0.1)


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(torch, padding_idx):
    indices, table = rng.integers(0, 6, (3, 5)), rng.normal(size=(6, 4))
    places = torch.tensor(indices)
    agree(
        torch,
        lambda w: F.embedding(indices, w, padding_idx),
        lambda w: torch.nn.functional.embedding(places, w, padding_idx),
        table,
    )
    layer = nn.Embedding(6, 4, padding_idx)
    assert layer(indices).shape == (3, 5, 4) and layer(indices.tolist()).dtype == np.float32
    if padding_idx is not None:
        assert (layer.weight.data[padding_idx] == 0).all()
    np.testing.assert_array_equal(layer(Tensor(indices, dtype=int)).data, layer.weight.data[indices])


def test_one_hot():
    np.testing.assert_array_equal(F.one_hot([[0, 2]]).data, [[[1, 0, 0], [0, 0, 1]]])
    assert F.one_hot([1], 4).tolist() == [[0, 1, 0, 0]] and F.one_hot([1]).dtype == np.int64


def test_bilinear(torch):
    x, y, w, b = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 4)), rng.normal(size=(6, 3, 4)), rng.normal(size=6)
    agree(torch, F.bilinear, torch.nn.functional.bilinear, x, y, w, b)
    assert nn.Bilinear(3, 4, 6)(x, y).shape == (2, 5, 6)


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "alpha_dropout"])
def test_dropout_draws_from_a_generator(name):
    x = {"dropout1d": np.ones((40, 50, 3)), "dropout2d": np.ones((40, 50, 3, 2))}.get(name, rng.normal(size=(200, 300)))
    drop = getattr(F, name)
    first, second = (drop(x, 0.3, True, generator=np.random.default_rng(5)).data for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(drop(x, 0.3, False).data, x.astype(np.float32) if x.dtype != np.float64 else x)
    if name == "alpha_dropout":
        assert abs(first.mean()) < 0.02 and abs(first.std() - 1) < 0.02
        assert (np.abs(F.alpha_dropout(x, 1.0, True).data) < 1e-6).all()
    else:
        assert abs((first == 0).mean() - 0.3) < 0.03 and abs(first.mean() - x.mean()) < 0.05
    if name in ("dropout1d", "dropout2d"):
        channels = first.reshape(40, 50, -1)
        assert (channels == channels[..., :1]).all()
        with pytest.raises(ValueError, match=f"{name}: input must have"):
            drop(np.ones(3), 0.3)
    layer = getattr(nn, {"dropout": "Dropout", "alpha_dropout": "AlphaDropout"}.get(name, name.title()[:-1] + "d"))(0.3)
    nngrad.manual_seed(0)
    trained = layer(x).data
    nngrad.manual_seed(0)
    np.testing.assert_array_equal(trained, drop(x, 0.3, True).data)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.batch_norm(ROWS[:1], None, None, training=True), ValueError, "more than 1 value per channel"),
        (lambda: F.batch_norm(ROWS, None, None), ValueError, "running_mean and running_var are needed"),
        (lambda: F.batch_norm(ROWS, MEAN, VAR, np.ones(3)), ValueError, r"weight of shape \(3,\) must be \(4,\)"),
        (lambda: F.instance_norm(ROWS), ValueError, "at least 3 axes"),
        (lambda: F.group_norm(ROWS, 3), ValueError, "4 channels can't be parted in 3 groups"),
        (lambda: F.group_norm(np.ones((1, 2, 1)), 2), ValueError, "more than 1 value per group"),
        (
            lambda: nn.BatchNorm2d(4)(SIGNAL),
            ValueError,
            r"BatchNorm2d: .* 4 axes, got shape \(3, 4, 5\)",
        ),
        (lambda: nn.BatchNorm1d(3)(SIGNAL), ValueError, "the input must have 3 channels"),
        (lambda: nn.Embedding(3, 2)([3]), IndexError, "there is no row 3"),
        (lambda: nn.Embedding(3, 2)([0.5]), TypeError, "must be integers"),
        (lambda: nn.Embedding(3, 2, 3), ValueError, "padding_idx 3 is none of 3"),
        (lambda: F.embedding([0], np.ones((3, 2)), -4), IndexError, "padding_idx -4 is none of 3 rows"),
        (lambda: F.hardtanh([0.0], 1, -1), ValueError, "hardtanh: min_val must not be above max_val, got 1 and -1"),
        (lambda: nn.Softshrink(-1.0)([0.0]), ValueError, "softshrink: lambd must be a number from 0 on, got -1.0"),
        (lambda: F.one_hot([3], 2), ValueError, "must be from 0 to 1"),
        (lambda: F.glu(np.ones((2, 3))), ValueError, "must have an even length along axis -1"),
        (lambda: F.glu(np.ones((2, 4)), 2), ValueError, "must have an even length along axis 2"),
        (lambda: nn.BatchNorm1d(3.0), TypeError, r"BatchNorm1d: num_features must be an integer, .* got 3\.0"),
        (lambda: nn.GroupNorm(2, 4.0), TypeError, r"GroupNorm: num_channels must be an integer, .* got 4\.0"),
        (lambda: nn.LayerNorm(3.0), TypeError, r"normalized_shape must be an integer, or several of them, got 3\.0"),
        (
            lambda: nn.LayerNorm((2, -1)),
            ValueError,
            "LayerNorm: normalized_shape must be an integer, at least 0, got -1",
        ),
        (lambda: nn.LayerNorm(3, eps="small"), TypeError, "LayerNorm: eps must be a number from 0 on, got 'small'"),
        (lambda: nn.RMSNorm(3, eps=-1.0), ValueError, "RMSNorm: eps must be a number from 0 on, got -1.0"),
        (
            lambda: nn.BatchNorm1d(3, momentum=2),
            ValueError,
            "BatchNorm1d: momentum must be a number from 0 to 1, got 2",
        ),
        (lambda: nn.GroupNorm(0, 4), ValueError, "GroupNorm: num_groups must be an integer, at least 1, got 0"),
        (lambda: nn.Conv1d(2, 2, 1, groups="all"), TypeError, "Conv1d: groups must be an integer, .* got 'all'"),
        (lambda: F.linear("a", np.ones((2, 3))), TypeError, "linear: the input must be .* not a str"),
        (lambda: F.mse_loss(ROWS, None), TypeError, "mse_loss: target must be .* not a NoneType"),
        (lambda: nn.Conv1d(3.0, 2, 1), TypeError, r"Conv1d: in_channels must be an integer, .* got 3\.0"),
        (lambda: F.prelu(IMAGE, np.ones(3)), ValueError, r"prelu: weight of shape \(3,\) does not fit"),
        (lambda: F.bilinear(ROWS, ROWS, np.ones((2, 4, 3))), ValueError, "do not fit weight"),
        (lambda: F.dropout(ROWS, 1.5), ValueError, "from 0 to 1, got 1.5"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_batch_that_is_refused_changes_no_statistics():
    layer = nn.BatchNorm1d(4, momentum=None)
    layer(ROWS)
    before = layer.state_dict()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(ROWS[:1])
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    "function", [nngrad.logsumexp, nngrad.mean, nngrad.std, F.log_softmax, F.layer_norm, F.mse_loss]
)
def test_rows_of_nothing_have_no_derivative_and_warn_of_nothing(function):
    x = np.zeros((2, 0))
    args = {F.layer_norm: (x, 0), F.mse_loss: (x, x)}.get(function, (x, -1))
    y, dy = nngrad.jvp(lambda x: function(x, *args[1:]), (x,), (x,))
    assert not dy.data.any() and y.shape == dy.shape
    slope = nngrad.grad(lambda x: function(x, *args[1:]).sum())
    assert slope(x).shape == nngrad.grad(lambda x: slope(x).sum())(x).shape == x.shape
    assert nngrad.hvp(lambda x: function(x, *args[1:]).sum(), x, x).shape == x.shape
