"""Convolutions, pooling and windows as columns, against PyTorch in float64 and by differences."""

import itertools
from functools import partial

import numpy as np
import pytest
from conftest import agree

import nngrad
import nngrad.nn.functional as F
from nngrad import Tensor, nn

rng = np.random.default_rng(0)
IMAGE, SIGNAL = rng.normal(size=(2, 4, 9, 8)), rng.normal(size=(2, 4, 11))


@pytest.mark.parametrize(
    "stride, padding, dilation, groups", [*itertools.product([1, 2, (2, 1)], [0, (1, 2)], [1, (2, 1)], [1, 2])]
)
def test_conv2d(torch, stride, padding, dilation, groups):
    weight, bias = rng.normal(size=(6, 4 // groups, 3, 2)), rng.normal(size=6)
    options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    theirs = torch.nn.functional.conv2d
    agree(
        torch,
        lambda x, w, b: F.conv2d(x, w, b, **options),
        lambda x, w, b: theirs(x, w, b, **options),
        IMAGE,
        weight,
        bias,
    )
    agree(torch, lambda x, w: F.conv2d(x, w, **options), lambda x, w: theirs(x, w, **options), IMAGE[0], weight)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_named_padding(torch, padding, dilation):
    weight = rng.normal(size=(2, 4, 3, 5))
    options = dict(padding=padding, dilation=dilation)
    image = rng.normal(size=(1, 4, 12, 11))
    theirs = torch.nn.functional.conv2d
    agree(torch, lambda x, w: F.conv2d(x, w, **options), lambda x, w: theirs(x, w, **options), image, weight)
    agree(
        torch,
        lambda x, w: F.conv1d(x, w, **options),
        lambda x, w: torch.nn.functional.conv1d(x, w, **options),
        SIGNAL,
        weight[:, :, :, 0],
    )


@pytest.mark.parametrize("stride, padding, dilation, groups", [*itertools.product([1, 3], [0, 2], [1, 2], [1, 4])])
def test_conv1d_and_its_adjoint(torch, stride, padding, dilation, groups):
    options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    weight, bias = rng.normal(size=(8, 4 // groups, 3)), rng.normal(size=8)
    theirs = torch.nn.functional
    agree(
        torch,
        lambda x, w, b: F.conv1d(x, w, b, **options),
        lambda x, w, b: theirs.conv1d(x, w, b, **options),
        SIGNAL,
        weight,
        bias,
    )
    weight = rng.normal(size=(4, 8 // groups, 3))
    agree(
        torch,
        lambda x, w, b: F.conv_transpose1d(x, w, b, **options),
        lambda x, w, b: theirs.conv_transpose1d(x, w, b, **options),
        SIGNAL,
        weight,
        bias,
    )


@pytest.mark.parametrize(
    "stride, padding, output_padding, dilation, groups",
    [(1, 0, 0, 1, 1), (2, 1, 1, 1, 2), ((2, 3), (0, 2), (1, 0), (1, 2), 1), (3, 2, 2, 2, 4)],
)
def test_conv_transpose2d(torch, stride, padding, output_padding, dilation, groups):
    options = dict(stride=stride, padding=padding, output_padding=output_padding, dilation=dilation, groups=groups)
    weight, bias = rng.normal(size=(4, 8 // groups, 3, 2)), rng.normal(size=8)
    theirs = torch.nn.functional.conv_transpose2d
    agree(
        torch,
        lambda x, w, b: F.conv_transpose2d(x, w, b, **options),
        lambda x, w, b: theirs(x, w, b, **options),
        IMAGE,
        weight,
        bias,
    )


def test_conv_transpose_is_the_adjoint():
    x, w = rng.normal(size=(2, 3, 9, 8)), rng.normal(size=(5, 3, 3, 2))
    y = F.conv2d(Tensor(x, dtype=float), Tensor(w, dtype=float), stride=2)
    g = rng.normal(size=y.shape)
    back = F.conv_transpose2d(Tensor(g, dtype=float), Tensor(w, dtype=float), stride=2)
    np.testing.assert_allclose(np.vdot(y.data, g), np.vdot(x, back.data), rtol=1e-12)


def test_second_derivatives():
    x, w = rng.normal(size=(1, 2, 5, 5)), rng.normal(size=(2, 2, 3, 3))
    nngrad.check_grads(lambda x, w: (F.conv2d(x, w, stride=2, padding=1) ** 2).sum(), (x, w), order=2)
    x, w = rng.normal(size=(1, 2, 5)), rng.normal(size=(2, 1, 3))
    nngrad.check_grads(lambda x, w: (F.conv1d(x, w, dilation=2, groups=2) ** 2).sum(), (x, w), order=2)
    nngrad.check_grads(lambda x, w: (F.conv_transpose1d(x, w, stride=2) ** 2).sum(), (x, w), order=2)
    nngrad.check_grads(lambda x: (F.max_pool1d(x, 2) ** 2).sum(), (x,), order=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_empty_batches_and_layouts(dtype):
    x, w = Tensor(IMAGE.swapaxes(2, 3), dtype=dtype), Tensor(rng.normal(size=(2, 4, 3, 3)), dtype=dtype)
    y = F.conv2d(x, w, padding=1)
    assert y.dtype == dtype and F.max_pool2d(y, 2).dtype == F.avg_pool2d(y, 3, padding=1).dtype == dtype
    assert F.adaptive_avg_pool2d(y, 3).dtype == F.unfold(y, 2).dtype == dtype
    assert F.conv2d(x[:0], w).shape == (0, 2, 6, 7) and F.max_pool2d(x[:0], 2).shape == (0, 4, 4, 4)
    np.testing.assert_array_equal(y.data, F.conv2d(np.ascontiguousarray(x.data), w, padding=1).data)


@pytest.mark.parametrize("kernel", [2, (3, 2)])
@pytest.mark.parametrize("stride", [None, 1, (2, 3)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling(torch, kernel, stride, padding, ceil_mode):
    theirs = torch.nn.functional
    for dilation in (1, 2):
        options = dict(kernel_size=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
        agree(torch, partial(F.max_pool2d, **options), partial(theirs.max_pool2d, **options), IMAGE)
    for counted, divisor in ((True, None), (False, None), (True, 5)):
        options = dict(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
        options |= dict(count_include_pad=counted, divisor_override=divisor)
        agree(torch, partial(F.avg_pool2d, **options), partial(theirs.avg_pool2d, **options), IMAGE[0])
    options = (kernel, 1, padding, stride or 1)
    columns = theirs.unfold(torch.tensor(IMAGE), *options).numpy()
    agree(torch, lambda x: F.unfold(x, *options), lambda x: theirs.unfold(x, *options), IMAGE)
    agree(torch, lambda x: F.fold(x, (9, 8), *options), lambda x: theirs.fold(x, (9, 8), *options), columns)


def test_pooling_of_signals(torch):
    theirs = torch.nn.functional
    agree(torch, lambda x: F.max_pool1d(x, 3, 2, 1), lambda x: theirs.max_pool1d(x, 3, 2, 1), SIGNAL)
    agree(torch, lambda x: F.avg_pool1d(x, 3, 2, 1), lambda x: theirs.avg_pool1d(x, 3, 2, 1), SIGNAL)
    agree(torch, lambda x: F.adaptive_avg_pool1d(x, 4), lambda x: theirs.adaptive_avg_pool1d(x, 4), SIGNAL)


ADAPTED = [1, 3, (2, None), (4, 5), 12]


@pytest.mark.parametrize("size", ADAPTED)
def test_adaptive_pooling_keeps_parts_apart(torch, size):
    """NaN and infinity are in the means of those that they are in, and no others."""
    theirs = torch.nn.functional.adaptive_avg_pool2d
    x = IMAGE.copy()
    x[0, 0, 0, 0], x[0, 0, -1, -1] = np.nan, np.inf
    np.testing.assert_allclose(F.adaptive_avg_pool2d(x, size).data, theirs(torch.tensor(x), size).numpy(), rtol=1e-12)


@pytest.mark.parametrize("size", ADAPTED)
def test_adaptive_pooling(torch, size):
    theirs = torch.nn.functional.adaptive_avg_pool2d
    agree(torch, lambda x: F.adaptive_avg_pool2d(x, size), lambda x: theirs(x, size), IMAGE)


def test_ties_in_a_window_share_the_gradient():
    x = Tensor(np.ones((1, 2, 2)), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert (x.grad == 0.25).all()


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 2), (1, 2), (4, 1), (3, 3)])
@pytest.mark.parametrize("step", [(1, 1), (2, 2), (3, 2), None])
def test_pooling_where_examples_are_innermost_in_memory(pool, size, step):
    data = rng.integers(0, 4, size=(3, 12, 10, 40)).astype(float)  # with many ties
    leaf = Tensor(data, requires_grad=True, dtype=float)
    y = pool(leaf.transpose((3, 0, 1, 2)), size, step)
    g = rng.normal(size=y.shape)
    y.backward(g)
    x, (by, across) = data.transpose(3, 0, 1, 2), step or size
    expected, dx = np.empty(y.shape), np.zeros(x.shape)
    for i, j in np.ndindex(y.shape[2:]):
        window = (..., slice(by * i, by * i + size[0]), slice(across * j, across * j + size[1]))
        taken = np.ones_like(x[window])
        if pool is F.max_pool2d:
            taken = (x[window] == x[window].max((2, 3), keepdims=True)).astype(float)
        taken /= taken.sum((2, 3), keepdims=True)
        expected[..., i, j] = (x[window] * taken).sum((2, 3))
        dx[window] += taken * g[..., i, j, None, None]
    np.testing.assert_allclose(y.data, expected, rtol=1e-14)
    np.testing.assert_allclose(leaf.grad, dx.transpose(1, 2, 3, 0), rtol=1e-13, atol=1e-13)
    assert not np.shares_memory(y.data, leaf.data) and not np.shares_memory(leaf.grad, g)


LAYERS = [
    ("Conv1d", (4, 6, 3), dict(stride=2, padding=1, groups=2), SIGNAL),
    ("Conv2d", (4, 6, (3, 2)), dict(padding="same", bias=False), IMAGE),
    ("ConvTranspose1d", (4, 6, 3), dict(stride=2, padding=1, output_padding=1), SIGNAL),
    ("ConvTranspose2d", (4, 6, 3), dict(groups=2, bias=False), IMAGE),
    ("MaxPool1d", (2,), {}, SIGNAL),
    ("MaxPool2d", (3,), dict(stride=1, padding=1), IMAGE),
    ("AvgPool1d", (2,), {}, SIGNAL),
    ("AvgPool2d", (3,), dict(ceil_mode=True), IMAGE),
    ("AdaptiveAvgPool1d", (3,), {}, SIGNAL),
    ("AdaptiveAvgPool2d", ((2, 3),), {}, IMAGE),
    ("Unfold", (2,), dict(stride=2), IMAGE),
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name, args, options, x", LAYERS, ids=lambda case: case if isinstance(case, str) else "")
def test_layers(torch, name, args, options, x):
    nngrad.manual_seed(0)  # few numbers are drawn, and their largest compared
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options).double()
    state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in state.items()
    }
    for key, parameter in ours.named_parameters():
        bound = np.abs(state[key]).max()
        assert 0.5 * bound < np.abs(parameter.data).max() < 2 * bound
        setattr(ours, key, Tensor(state[key], dtype=float, requires_grad=True))
    agree(torch, ours, theirs, x)
    assert name in repr(ours)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.conv2d(IMAGE, np.ones((2, 3, 3, 3))), r"conv2d: weight of shape \(2, 3, 3, 3\) in 1 groups needs 3"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3))), "weight must have 4 axes"),
        (lambda: F.conv2d(SIGNAL[0, 0], np.ones((2, 4, 3, 3))), r"conv2d: input must have shape .*got \(11,\)"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3, 3)), np.ones(3)), r"bias of shape \(3,\) must be \(2,\)"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 12, 3))), "12 elements, 1 apart, is larger than the padded height 9"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3, 3)), stride=0), "stride must be an integer from 1 on.*got 0"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3, 3)), stride=(1, 2, 3)), r"or 2 of them, got \(1, 2, 3\)"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3, 3)), padding="full"), "padding must be 'same', 'valid' or numbers"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3, 3)), stride=2, padding="same"), "'same' needs the stride 1"),
        (lambda: nn.Conv2d(4, 2, 3, padding="full"), "Conv2d: padding must be 'same', 'valid' or numbers, got 'full'"),
        (lambda: nn.Conv1d(4, 2, 3, stride=2, padding="same"), "Conv1d: padding 'same' needs the stride 1"),
        (lambda: nn.ConvTranspose2d(4, 2, 3, padding="same"), "ConvTranspose2d: padding must be an integer from 0 on"),
        (lambda: F.conv2d(IMAGE, np.ones((3, 2, 3, 3)), groups=2), "can't be parted in 2 groups"),
        (lambda: F.conv_transpose1d(SIGNAL, np.ones((4, 2, 3)), output_padding=1), "must be below the stride 1"),
        (lambda: F.conv_transpose1d(SIGNAL, np.ones((3, 2, 3))), "needs 3 channels"),
        (lambda: F.max_pool2d(IMAGE, 10), "a window over 10 elements does not fit in 9"),
        (lambda: F.max_pool2d(IMAGE, 3, padding=2), "padding .* must be at most half the kernel_size"),
        (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), "divisor_override must not be 0"),
        (lambda: F.adaptive_avg_pool2d(IMAGE, 0), "output_size must be an integer from 1 on"),
        (lambda: F.adaptive_avg_pool2d(IMAGE, 2.5), "output_size must be an integer from 1 on"),
        (lambda: F.adaptive_avg_pool2d(IMAGE, (2, "a")), "output_size must be an integer from 1 on"),
        (lambda: F.fold(np.ones((1, 12, 5)), (4, 4), 2), r"fold: for output_size \(4, 4\) the input must have shape"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "3 and 4 channels can't be parted in 2 groups"),
        (lambda: nn.Conv2d(-3, 4, 3), "Conv2d: in_channels must be an integer, at least 0, got -3"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must be an integer from 1 on"),
        (lambda: nn.AvgPool1d(2, padding=-1), "AvgPool1d: padding must be an integer from 0 on"),
        (lambda: nn.Conv2d(3, 4, None), "Conv2d: kernel_size must be an integer from 1 on, or 2 of them, got None"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3, 3)), stride="a"), "conv2d: stride must be an integer .* got 'a'"),
        (lambda: F.conv2d(IMAGE, np.ones((2, 4, 3, 3)), dilation=np.nan), "conv2d: dilation must be an integer"),
        (lambda: nngrad.windows(np.ones(3), axes=(0,), size=(4,), step=(1,), dilation=(1,)), "fit on an axis of 3"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("axes, options", [(1, dict(step=2, dilation=3)), (2, dict(step1=2, dilation2=3))])
def test_a_bias_in_the_same_op_as_a_correlation(axes, options):
    x, weight = rng.normal(size=(2, 3, *(11, 8)[:axes])), rng.normal(size=(4, 3, *(3, 2)[:axes]))
    bias = rng.normal(size=4)
    plain, affine = (partial(getattr(nngrad, f"{kind}correlate{axes}d"), **options) for kind in ("", "affine_"))
    y = plain(*(Tensor(one, dtype=float) for one in (x[:, None], weight[None]))).data[:, 0] + bias
    np.testing.assert_allclose(affine(*(Tensor(one, dtype=float) for one in (x, weight, bias))).data, y, rtol=1e-12)
    nngrad.check_grads(affine, (x, weight, bias), order=2)
    _, tangent = nngrad.jvp(lambda bias: affine(x, weight, bias), (bias,), (bias,))
    np.testing.assert_array_equal(tangent.data, np.broadcast_to(bias, y.shape))


SPEC = '''"""A convolution of one's own."""

from nngrad.codegen.language import c, contraction, i, o, p, sum


@contraction
def strided(x, w, *, stride=2):
    """A signal correlated with spread kernels."""
    return sum(x[..., c, stride * i + 3 * p] * w[o, c, p], (c, p))
'''


def test_a_spec_may_declare_a_convolution(tmp_path, monkeypatch):
    command = pytest.importorskip("nngrad.codegen.command")
    (tmp_path / "own.py").write_text(SPEC)
    assert command.run(["--spec", str(tmp_path / "own.py"), "--out", str(tmp_path / "own_convolution")]) == 0
    monkeypatch.syspath_prepend(tmp_path)
    from own_convolution import strided

    x, w = rng.normal(size=(2, 3, 11)), rng.normal(size=(4, 3, 3))
    expected = F.conv1d(Tensor(x, dtype=float), Tensor(w, dtype=float), stride=2, dilation=3)
    y = strided(Tensor(x, dtype=float), Tensor(w, dtype=float))
    np.testing.assert_allclose(y.data.swapaxes(1, 2), expected.data, rtol=1e-12)
    nngrad.check_grads(lambda x, w: (strided(x, w) ** 2).sum(), (x, w), order=2)


@pytest.mark.parametrize(
    "index, problem",
    [
        ("i * p", "is not affine"),
        ("i + j + p", "is not a letter"),
        ("2 * i + p**2", "is not affine"),
        ("i / p", "not affine"),
    ],
)
def test_indices_that_are_not_affine_are_refused(tmp_path, capsys, index, problem):
    command = pytest.importorskip("nngrad.codegen.command")
    spec = SPEC.replace("stride * i + 3 * p", index).replace(" i, o,", " i, j, o,").replace(", *, stride=2", "")
    (tmp_path / "own.py").write_text(spec)
    assert command.run(["--spec", str(tmp_path / "own.py"), "--out", str(tmp_path / "own_convolution")]) == 2
    told = capsys.readouterr().err
    assert "own.py:9: in strided" in told and problem in told and not (tmp_path / "own_convolution").exists()
