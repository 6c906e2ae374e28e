"""Modules, layers, activations and losses: behaviour, and values and gradients against PyTorch."""

import copy
import inspect
import itertools
import math
import pickle
import traceback
from functools import partial

import numpy as np
import pytest
from conftest import agree

import nngrad
import nngrad.nn.functional as F
from nngrad import Tensor, nn, no_grad
from nngrad.engine import OPS
from nngrad.nn._from_ops import ACTIVATIONS, FUNCTION_OF_CLASS, LOSSES, REDUCTIONS, class_name

rng = np.random.default_rng(0)


@pytest.fixture
def float64():
    nngrad.set_default_dtype(np.float64)
    yield
    nngrad.set_default_dtype(np.float32)


# ---- Module


class Block(nn.Module):
    """Uses everything a module can hold, and never calls super().__init__()."""

    def __init__(self):
        self.scale = Tensor([1.0, 2.0], requires_grad=True)
        self.inner = nn.Linear(2, 2)
        self.constant = Tensor([3.0])
        self.register_buffer("seen", np.array(0))
        self.register_buffer("cache", Tensor([1.0]), persistent=False)
        self.register_buffer("later", None)

    def forward(self, x):
        return self.inner(x) * self.scale


def names(pairs):
    return [name for name, _ in pairs]


def test_module_lists_what_its_attributes_hold():
    model = nn.Sequential(Block(), nn.relu, nn.Linear(2, 1, use_bias=False))
    expected = ["0.scale", "0.inner.weight", "0.inner.bias", "2.weight"]
    assert names(model.named_parameters()) == expected
    assert names(model.named_parameters("net", recurse=False)) == []
    assert names(model[0].named_parameters("block", recurse=False)) == ["block.scale"]
    assert [p.shape for p in model.parameters()] == [(2,), (2, 2), (2,), (1, 2)]
    assert names(model.named_buffers()) == ["0.seen", "0.cache"]
    assert [b.dtype for b in model.buffers()] == [np.int64, np.float32]
    assert names(model.named_modules()) == ["", "0", "0.inner", "2"]
    assert list(model.modules()) == [model, model[0], model[0].inner, model[2]]
    assert list(model.children()) == [model[0], model[2]]
    assert list(model.state_dict()) == ["0.scale", "0.seen", "0.inner.weight", "0.inner.bias", "2.weight"]
    assert next(iter(model.state_dict("net."))) == "net.0.scale"


def test_attributes_can_be_replaced_and_deleted():
    block = Block()
    block.inner = None
    assert list(block.children()) == [] and names(block.named_parameters()) == ["scale"]
    del block.scale
    block.scale = Tensor([1.0])
    assert names(block.named_parameters()) == []
    block.scale = Tensor([1.0], requires_grad=True)
    block.constant.set_requires_grad(True)
    assert names(block.named_parameters()) == ["constant", "scale"]
    del block.scale, block.seen
    assert list(block.state_dict()) == ["constant"]
    block.seen = Tensor([1.0])
    block.later = Tensor([1.0])
    assert names(block.named_buffers()) == ["cache", "later"]
    with pytest.raises(TypeError, match="'later' takes a Tensor or None, got float"):
        block.later = 1.0
    block.later = Tensor([1.0], requires_grad=True)
    assert names(block.named_parameters()) == ["constant", "later"] and names(block.named_buffers()) == ["cache"]


def test_parameters_are_leaves_and_stay_parameters_when_frozen():
    layer = nn.Linear(2, 3)
    layer.output = layer(Tensor(np.ones((1, 2))))
    layer.weight.set_requires_grad(False)
    assert names(layer.named_parameters()) == ["weight", "bias"] == list(layer.state_dict())
    layer(Tensor(np.ones((1, 2)))).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad.tolist() == [1, 1, 1]
    layer.zero_grad()
    assert layer.bias.grad.tolist() == [0, 0, 0]


def test_shared_parameters_are_listed_once_and_saved_under_every_name():
    model = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    model[1].weight = model[0].weight
    model.again = model[0]
    assert names(model.named_parameters()) == ["again.weight", "again.bias", "1.bias"]
    assert len(list(model.children())) == 2 and len(list(model.named_children())) == 3
    assert {"0.weight", "1.weight", "again.weight"} < set(model.state_dict())
    model[0].parent = model  # a cycle
    assert len(list(model.modules())) == 3 and "0.weight" in model.state_dict() and "..." in repr(model)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.ones((3, 2)), "ndarray"),
        ([[1.0, 2.0]] * 3, "list"),
        (1.0, "float"),
        (np.float32(1), "float32"),
        (Tensor(np.ones((3, 2))), "one that requires none"),
        (Tensor(np.ones((3, 2)), requires_grad=True) * 2, "the result of multiply"),
    ],
)
def test_a_parameter_is_not_replaced_by_what_is_none(value, kind):
    """It would be gone from state and optimizer, and nobody told."""
    layer = nn.Linear(2, 3)
    with pytest.raises(TypeError, match=rf"'weight' of Linear .* by `weight\.data = \.\.\.`.* not {kind};"):
        layer.weight = value
    assert names(layer.named_parameters()) == ["weight", "bias"]
    layer.weight.data = np.ones((3, 2))
    layer.bias = None
    assert names(layer.named_parameters()) == ["weight"] and layer([1, 2]).tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("name", "tensor", "error"),
    [
        ("a.b", Tensor(1.0), KeyError),
        ("", Tensor(1.0), KeyError),
        ("inner", Tensor(1.0), KeyError),
        ("forward", Tensor(1.0), KeyError),
        ("b", Tensor(1.0, requires_grad=True), ValueError),
    ],
)
def test_register_buffer_refuses(name, tensor, error):
    with pytest.raises(error, match="buffer"):
        Block().register_buffer(name, tensor)


def test_inputs_have_pytorchs_names():
    x = np.ones((2, 3))
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    np.testing.assert_array_equal(model(input=x).data, model(x).data)
    assert nn.MSELoss()(target=2 * x, input=x).item() == 6 and nn.BatchNorm1d(3)(input=x).shape == (2, 3)
    with pytest.raises(TypeError, match=r"relu\(\) got an unexpected keyword argument 'training'; it takes input"):
        nn.ReLU()(x, training=True)


def test_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"ModuleDict has no forward\(\)"):
        nn.ModuleDict()(1)


def test_train_eval_and_apply_reach_every_module():
    model = nn.Sequential(Block(), nn.Sequential(nn.Dropout()))
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert model.train() is model and all(m.training for m in model.modules())
    with pytest.raises(ValueError, match="True or False, got 'yes'"):
        model.train("yes")
    order = []
    assert model.apply(lambda m: order.append(type(m).__name__)) is model
    assert order == ["Linear", "Block", "Dropout", "Sequential", "Sequential"]


def test_state_dict_copies_out_and_in():
    source, target = Block(), Block()
    weight = target.inner.weight
    state = source.state_dict()
    assert target.load_state_dict(state) == ([], [])
    state["inner.weight"][:] = 0
    np.testing.assert_array_equal(target.inner.weight.data, source.inner.weight.data)
    assert target.inner.weight is weight and not np.shares_memory(weight.data, source.inner.weight.data)
    wide = {name: value.astype(np.float64) for name, value in source.state_dict().items()}
    target.load_state_dict({**wide, "seen": Tensor(7, dtype=int)})
    assert weight.dtype == np.float32 and target.seen.item() == 7


def test_load_state_dict_lists_all_problems_and_changes_nothing():
    block = Block()
    before = block.state_dict()
    state = {"scale": np.zeros(3), "inner.weight": np.zeros((2, 2)), "seen": np.array(1.5), "extra": np.zeros(1)}
    with pytest.raises(RuntimeError) as caught:
        block.load_state_dict(state)
    message = str(caught.value)
    assert "missing: inner.bias" in message and "unexpected: extra" in message
    assert "scale: shape (3,) does not fit (2,)" in message and "seen: float64 cannot become int64" in message
    with pytest.raises(RuntimeError, match="shape"):
        block.load_state_dict(state, strict=False)
    for name, value in block.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    missing, unexpected = block.load_state_dict({"inner.weight": np.eye(2), "extra": 0}, strict=False)
    assert missing == ["scale", "seen", "inner.bias"] and unexpected == ["extra"]
    assert block.inner.weight.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("state", ["model.npz", [1.0], Block().parameters()], ids=["a path", "a list", "parameters"])
def test_a_state_is_a_mapping(state):
    with pytest.raises(TypeError, match=r"a state is a mapping of names to arrays, .* not (str|list|generator)"):
        Block().load_state_dict(state)


def test_a_saved_file_loads(tmp_path):
    source, target = Block(), Block()
    np.savez(tmp_path / "model.npz", **source.state_dict())
    with np.load(tmp_path / "model.npz") as state:
        target.load_state_dict(state)
    np.testing.assert_array_equal(target.inner.bias.data, source.inner.bias.data)


def test_loading_is_noticed_by_a_graph_that_saved_the_old_values():
    layer = nn.Linear(2, 2)
    y = layer(Tensor(np.ones((1, 2)), requires_grad=True)).sum()
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_modules_can_be_copied(duplicate):
    model = nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.2), nn.gelu, nn.ModuleDict({"a": nn.MSELoss()}))
    model.append(model[0])
    twin = duplicate(model)
    assert repr(twin) == repr(model) and twin[0] is twin[-1] is not model[0]
    np.testing.assert_array_equal(twin[0].weight.data, model[0].weight.data)
    assert twin[0].weight is not model[0].weight and twin[0].weight.requires_grad


def test_repr_is_nested():
    model = nn.Sequential(nn.Linear(2, 3), nn.relu, nn.Sequential(nn.Softmax(axis=0), nn.ReLU()), nn.LayerNorm(3))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, use_bias=True)\n"
        "  (1): relu\n"
        "  (2): Sequential(\n"
        "    (0): Softmax(axis=0)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (3): LayerNorm((3,), eps=1e-05, elementwise_affine=True)\n"
        ")"
    )
    assert repr(nn.BCELoss()) == "BCELoss(eps=1e-06, reduction='mean')"
    assert repr(nn.Sequential()) == "Sequential()"


# ---- containers


def test_sequential_is_a_list_of_modules_and_functions():
    layers = [nn.Linear(2, 3), nn.tanh, nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    x = Tensor([[1.0, 2.0]])
    np.testing.assert_array_equal(model(x).data, layers[2](layers[1](layers[0](x))).data)
    assert list(model) == layers and len(model) == 3 and model[1] is nn.tanh and model[-1] is layers[2]
    head = model[:2]
    assert (
        type(head) is nn.Sequential
        and list(head) == layers[:2]
        and list(head.parameters()) == [*layers[0].parameters()]
    )
    assert model.append(abs) is model and model[3] is abs
    model[3] = np.negative
    np.testing.assert_array_equal(model(x).data, -model[:3](x).data)
    model[1:] = [nn.relu]
    del model[0]
    model.insert(0, nn.Dropout(0))
    assert model(Tensor([-1.0])).tolist() == [0] and [type(m) for m in model.children()] == [nn.Dropout]
    both = head + nn.Sequential(nn.relu)
    assert type(both) is nn.Sequential and list(both) == [*layers[:2], nn.relu] and len(head) == 2
    assert head.extend(both) is head and len(head) == 5
    with pytest.raises(TypeError, match=r"write Sequential\(\*layers\)"):
        nn.Sequential([nn.ReLU()])
    with pytest.raises(TypeError, match=r"write Sequential\(\*layers.values\(\)\)"):
        nn.Sequential({"first": nn.ReLU()})
    with pytest.raises(TypeError, match="takes Modules and functions, got 3"):
        nn.Sequential(nn.relu, 3)
    with pytest.raises(TypeError, match=r"write ReLU\(\)"):
        nn.Sequential(nn.ReLU)
    with pytest.raises(IndexError):
        model[7]


def test_module_list_and_dict():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    layers += [nn.Dropout()]
    assert (
        names(layers.named_children()) == ["0", "1", "2", "3"] and len(layers[1:]) == 3 and layers.pop() not in layers
    )
    with pytest.raises(TypeError, match="ModuleList takes Modules, got OpFunction"):
        layers.append(nn.relu)
    with pytest.raises(TypeError, match=r"ModuleList takes a list of Modules, got ReLU\(\)"):
        nn.ModuleList(nn.ReLU())
    with pytest.raises(TypeError, match=r"ModuleDict takes a dict of Modules, or pairs .* got ReLU\(\)"):
        nn.ModuleDict([nn.ReLU()])
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b"] = layers
    assert list(heads.keys()) == ["a", "b"] and "a" in heads and heads["b"] is layers and len(heads) == 2
    assert names(heads.named_parameters())[:3] == ["a.weight", "a.bias", "b.0.weight"]
    assert heads.pop("a") and list(heads) == ["b"] and heads in {heads} and heads != nn.ModuleDict({"b": layers})
    for name, value, error in [
        ("a.b", layers, KeyError),
        ("", layers, KeyError),
        (1, layers, TypeError),
        ("a", 1, TypeError),
    ]:
        with pytest.raises(error):
            heads[name] = value
    with pytest.raises(KeyError):
        del heads["missing"]


def test_containers_work_without_their_init():
    class Net(nn.Sequential):
        def __init__(self):
            self.append(nn.Linear(2, 1))

    assert names(Net().named_parameters()) == ["0.weight", "0.bias"] and len(Net()[:]) == 1


# ---- layers


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (2, 0, 3), (1, 2, 2, 3)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_linear(torch, float64, shape, use_bias):
    layer = nn.Linear(3, 4, use_bias)
    arrays = [rng.normal(size=shape), *(p.data for p in layer.parameters())]
    agree(torch, F.linear, torch.nn.functional.linear, *arrays)
    np.testing.assert_array_equal(layer(Tensor(arrays[0])).data, F.linear(*arrays).data)


def test_linear_starts_like_pytorch():
    nngrad.manual_seed(0)
    layer = nn.Linear(100, 500)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    for p in layer.parameters():
        assert p.dtype == np.float32 and 0.099 < np.abs(p.data).max() <= 0.1
        np.testing.assert_allclose([p.data.mean(), p.data.std()], [0, 0.1 / math.sqrt(3)], atol=6e-3)
    nngrad.manual_seed(0)
    np.testing.assert_array_equal(nn.Linear(100, 500).weight.data, layer.weight.data)
    assert nn.Linear(0, 2)(Tensor(np.zeros((3, 0)))).data.tolist() == [[0, 0]] * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(3, 2)(np.ones((4, 5))), r"input of shape \(4, 5\) does not fit weight \(2, 3\)"),
        (lambda: nn.Linear(3, 2)(1.0), r"input of shape \(\) does not fit weight \(2, 3\)"),
        (lambda: F.linear(np.ones(3), np.ones(3)), r"weight must have shape \(out, in\), got \(3,\)"),
        (lambda: F.linear(np.ones(3), np.ones((2, 3)), np.ones(3)), r"bias \(3,\) does not fit weight \(2, 3\)"),
        (lambda: nn.Linear(-1, 2), "Linear: in_features must be an integer, at least 0, got -1"),
        (
            lambda: nn.LayerNorm(3)(np.ones((3, 4))),
            r"input of shape \(3, 4\) does not end with normalized_shape \(3,\)",
        ),
        (lambda: F.layer_norm(np.ones(3), 3, np.ones(2)), r"weight of shape \(2,\) is not of normalized_shape \(3,\)"),
        (lambda: F.layer_norm(np.ones(3), (2, 3)), r"does not end with normalized_shape \(2, 3\)"),
        (lambda: nn.LayerNorm(()), "at least one axis"),
        (lambda: nn.Dropout(1.5), "from 0 to 1, got 1.5"),
        (lambda: F.dropout(np.ones(3), math.nan), "from 0 to 1, got nan"),
        (lambda: nn.BCELoss(eps=0.5), "below 0.5"),
    ],
)
def test_layers_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_lengths_are_integers():
    with pytest.raises(TypeError, match=r"Linear: out_features must be an integer, at least 0, got 4\.0"):
        nn.Linear(3, 4.0)


@pytest.mark.parametrize("normalized", [4, (3, 4)])
@pytest.mark.parametrize("eps", [None, 1e-3])
@pytest.mark.parametrize("inputs", [1, 2])
def test_rms_norm(torch, normalized, eps, inputs):
    arrays = [rng.normal(2, 3, (2, 3, 4)), rng.normal(size=normalized)][:inputs]
    shape = (normalized,) if isinstance(normalized, int) else normalized
    agree(
        torch,
        lambda x, *weight: F.rms_norm(x, normalized, *weight, eps=eps),
        lambda x, *weight: torch.nn.functional.rms_norm(x, shape, *weight, eps=eps),
        *arrays,
    )


@pytest.mark.parametrize("normalized", [4, (4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_layer_norm(torch, normalized, inputs):
    arrays = [rng.normal(2, 3, (2, 3, 4)), rng.normal(size=normalized), rng.normal(size=normalized)][:inputs]
    shape = (normalized,) if isinstance(normalized, int) else normalized
    agree(
        torch,
        lambda x, *affine: F.layer_norm(x, normalized, *affine, eps=1e-3),
        lambda x, *affine: torch.nn.functional.layer_norm(x, shape, *affine, eps=1e-3),
        *arrays,
    )


def test_layer_norm_module():
    layer = nn.LayerNorm((2, 3))
    assert layer.weight.tolist() == np.ones((2, 3)).tolist() and layer.bias.tolist() == np.zeros((2, 3)).tolist()
    assert names(nn.LayerNorm(3, bias=False).named_parameters()) == ["weight"]
    assert names(nn.LayerNorm(3, elementwise_affine=False).named_parameters()) == []
    x = rng.normal(5, 3, (4, 2, 3)).astype(np.float32)
    y = layer(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.data.var((1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_dropout_scales_what_it_keeps(p, dtype):
    nngrad.manual_seed(3)
    x = Tensor(np.full((100, 100), 2), dtype=dtype, requires_grad=True)
    y = nn.Dropout(p)(x)
    kept = y.data != 0
    assert y.dtype == dtype and abs(kept.mean() - (1 - p)) < 0.02
    np.testing.assert_allclose(y.data[kept], 2 / (1 - p), rtol=1e-3)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data / 2)


def test_dropout_at_the_ends_and_in_evaluation():
    x = Tensor([1.0, -2.0], requires_grad=True)
    assert nn.Dropout(1)(x).tolist() == [0, 0] and nn.Dropout(1.0).eval()(x) is x and nn.Dropout(0)(x) is x
    assert F.dropout(np.float64(3), 0.5).item() in (0, 6) and F.dropout(np.ones(2), training=False).dtype == np.float64
    nngrad.manual_seed(1)
    first = F.dropout(np.ones(50)).tolist()
    nngrad.manual_seed(1)
    assert F.dropout(np.ones(50)).tolist() == first
    with pytest.raises(TypeError, match="floating dtype, got int"):
        F.dropout(Tensor([1], dtype=int))


# ---- activations


@pytest.mark.parametrize("name", sorted(ACTIVATIONS - {"threshold"}))
def test_activation_is_a_function_and_a_class(torch, name):
    ours = getattr(nn, class_name(name))
    theirs = getattr(torch.nn, ours.__name__)
    assert getattr(nn, name) is getattr(F, name) and {name, ours.__name__} <= set(nn.__all__) <= set(dir(nn))
    assert issubclass(ours, nn.Module) and pickle.loads(pickle.dumps(ours)) is ours
    x = np.concatenate([rng.normal(size=(3, 5)), [[-30.0, -5.0, 0.5, 5.0, 30.0]]])
    options = {"dim": -1} if "axis" in inspect.signature(ours).parameters else {}
    rtol = 1e-7 if name == "hardsigmoid" else 1e-11  # PyTorch's 1/6 is one of float32
    agree(torch, ours(), theirs(**options), x, rtol=rtol)
    np.testing.assert_array_equal(getattr(F, name)(x).data, ours()(x).data)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda m: m.LeakyReLU(0.3), lambda m: m.LeakyReLU(0.3)),
        (lambda m: m.ELU(alpha=0.5), lambda m: m.ELU(alpha=0.5)),
        (lambda m: m.GELU("tanh"), lambda m: m.GELU("tanh")),
        (lambda m: m.Softplus(2.0, 5), lambda m: m.Softplus(2.0, 5)),
        (lambda m: m.Softmax(0), lambda m: m.Softmax(0)),
        (lambda m: m.LogSoftmax(axis=1), lambda m: m.LogSoftmax(dim=1)),
    ],
)
def test_activation_options(torch, ours, theirs):
    agree(torch, ours(nn), theirs(torch.nn), rng.normal(0, 3, (4, 3)))


def test_activations_call_their_input_as_pytorch_does():
    x = np.array([-1.0, 2.0])
    for name in sorted(ACTIVATIONS - {"threshold"}):
        assert next(iter(inspect.signature(getattr(F, name)).parameters)) == "input"
        np.testing.assert_array_equal(getattr(F, name)(input=x).data, getattr(F, name)(x).data)


def test_activation_arguments_are_checked():
    assert str(inspect.signature(nn.Softplus)) == "(beta=1.0, threshold=None)"
    layer = nn.LeakyReLU()
    layer.negative_slope = 0.5
    assert layer(Tensor([-1.0])).tolist() == [-0.5]
    with pytest.raises(TypeError, match="slope"):
        nn.LeakyReLU(slope=1)
    with pytest.raises(AttributeError, match="did you mean relu"):
        F.rellu  # noqa: B018
    with pytest.raises(AttributeError, match="'Linaer'; did you mean Linear"):
        nn.Linaer  # noqa: B018
    with pytest.raises(AttributeError, match=r"'Relu'; did you mean ReLU or relu\?$") as caught:
        nn.Relu  # noqa: B018
    assert traceback.format_exception_only(caught.value) == [f"AttributeError: {caught.value}\n"]  # one guess is enough


SPELLINGS = """
    relu ReLU, relu6 ReLU6, prelu PReLU, rrelu RReLU, leaky_relu LeakyReLU, elu ELU, selu SELU, celu CELU, gelu GELU,
    glu GLU, silu SiLU, mish Mish, softplus Softplus, sigmoid Sigmoid, logsigmoid LogSigmoid, hardtanh Hardtanh,
    hardswish Hardswish, tanhshrink Tanhshrink, softmin Softmin, log_softmax LogSoftmax, l1_loss L1Loss,
    mse_loss MSELoss, smooth_l1_loss SmoothL1Loss, huber_loss HuberLoss, nll_loss NLLLoss, kl_div KLDivLoss,
    cross_entropy CrossEntropyLoss, binary_cross_entropy BCELoss, binary_cross_entropy_with_logits BCEWithLogitsLoss,
    poisson_nll_loss PoissonNLLLoss, multilabel_margin_loss MultiLabelMarginLoss"""


@pytest.mark.parametrize("spelling", [line.strip() for line in SPELLINGS.split(",")])
def test_class_names_are_spelt_like_pytorch(torch, spelling):
    name, expected = spelling.split()
    assert class_name(name, "Loss" in expected) == expected
    assert hasattr(torch.nn.functional, name) and hasattr(torch.nn, expected)


# ---- losses

PAIRED = [name for name, op in OPS.items() if op.home == "loss" and op.inputs[:2] == ("input", "target")]
PAIRED = sorted(set(PAIRED) - {"cross_entropy", "nll_loss", "hinge_embedding_loss"})


@pytest.mark.parametrize(("shape", "reduction"), [*itertools.product([(), (3,), (2, 3)], REDUCTIONS), ((0, 3), "sum")])
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch on the name of this mean for kl_div
@pytest.mark.parametrize("name", PAIRED)
def test_loss_of_equal_shapes(torch, name, shape, reduction):
    arrays = rng.uniform(0.1, 0.9, shape), rng.uniform(0.1, 0.9, shape)
    theirs = getattr(torch.nn.functional, name)
    agree(torch, partial(getattr(F, name), reduction=reduction), partial(theirs, reduction=reduction), *arrays)
    if name != "binary_cross_entropy":
        ours = getattr(nn, class_name(name, True))(reduction=reduction)
        np.testing.assert_array_equal(ours(*arrays).data, getattr(F, name)(*arrays, reduction=reduction).data)


@pytest.mark.parametrize("name", PAIRED)
def test_loss_refuses_shapes_that_only_broadcast(name):
    loss = getattr(F, name)
    with pytest.raises(ValueError, match=rf"{name}: the shapes must be equal, got input \(3, 1\), target \(3,\)"):
        loss(np.ones((3, 1)), np.ones(3))
    with pytest.raises(ValueError, match=name):
        loss(np.ones(3), target=1.0)
    assert list(inspect.signature(loss).parameters)[:2] == ["input", "target"] and loss.__name__ == name
    with pytest.raises(TypeError, match="target"):
        loss(np.ones(3))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4,), (5, 4), (5, 4, 2), (2, 4, 3, 1)])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_loss_of_classes(torch, name, shape, reduction):
    axis = min(1, len(shape) - 1)
    x = rng.normal(0, 3, shape)
    target = rng.integers(0, 4, shape[:axis] + shape[axis + 1 :])
    ours, theirs = getattr(nn, class_name(name, True))(reduction=reduction), getattr(torch.nn.functional, name)
    labels = torch.tensor(target)
    agree(torch, lambda x: ours(x, target), lambda x: theirs(x, labels, reduction=reduction), x)
    for same in (Tensor(target, dtype=int), target.tolist(), target.astype(np.uint8)):
        np.testing.assert_array_equal(getattr(F, name)(x, same, reduction=reduction).data, ours(x, target).data)


@pytest.mark.parametrize(
    ("shape", "target", "error", "message"),
    [
        ((2, 3), [0, 3], IndexError, r"there is no class 3, input of shape \(2, 3\) has 0 to 2"),
        ((2, 3), [-1, 0], IndexError, "there is no class -1"),
        ((2, 3), [0, 1, 2], ValueError, r"input of shape \(2, 3\) needs a target of shape \(2,\), got \(3,\)"),
        ((2, 3, 4), [0, 1], ValueError, r"target of shape \(2, 4\), got \(2,\)"),
        ((3,), [0], ValueError, r"target of shape \(\), got \(1,\)"),
        ((), 0, ValueError, "needs an axis of classes"),
        ((2, 3), [0.0, 1.0], TypeError, "integer class indices, got dtype float64"),
        ((2, 3), Tensor([0, 1]), TypeError, "float32; Tensor"),
        ((2, 3), [True, False], TypeError, "got dtype bool"),
    ],
)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_loss_of_classes_refuses(name, shape, target, error, message):
    with pytest.raises(error, match=f"{name}: .*{message}"):
        getattr(F, name)(np.zeros(shape), target)


def test_reductions_are_checked_at_construction():
    assert nn.L1Loss().reduction == nn.MSELoss().reduction == "sum"
    assert nn.BCELoss().reduction == nn.CrossEntropyLoss().reduction == nn.NLLLoss().reduction == "mean"
    assert nn.MSELoss()([1.0, 2.0], [0.0, 0.0]).item() == 5 and F.mse_loss([1.0, 2.0], [0.0, 0.0]).item() == 2.5
    for name in [name for name, function in FUNCTION_OF_CLASS.items() if function in LOSSES]:
        with pytest.raises(ValueError, match=rf"{name}: .*'mean', 'sum', 'none'.*, got 'average'"):
            getattr(nn, name)(reduction="average")
    with pytest.raises(ValueError, match="average"):
        F.mse_loss([1.0], [1.0], "average")


def test_bce_loss_clips_its_input(torch):
    p, t = np.array([0.0, 0.3, 1.0, 1e-9]), np.array([1.0, 0.0, 0.0, 0.5])
    agree(
        torch,
        lambda p: nn.BCELoss(eps=1e-3)(p, t),
        lambda p: torch.nn.functional.binary_cross_entropy(p.clip(1e-3, 1 - 1e-3), torch.tensor(t)),
        p,
    )
    with pytest.raises(ValueError, match=r"\(4,\), target \(4, 1\)"):
        nn.BCELoss()(p, t[:, None])


# ---- all together


def test_a_network_learns_and_keeps_float32():
    nngrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 2))
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([0, 1, 1, 0])
    optimizer = nngrad.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01 and loss.dtype == np.float32
    assert all(p.dtype == p.grad.dtype == np.float32 for p in model.parameters())
    with no_grad():
        assert model(x).data.argmax(1).tolist() == y.tolist()


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_weights_and_their_gradients_lie_alike(shape):
    """Optimizers are fast on arrays that do; products are on matrices with as many rows as columns in memory."""
    layer, x = nn.Linear(*shape), np.ones((2, shape[0]), np.float32)
    layer.load_state_dict(layer.state_dict())
    layer(x).sum().backward()
    weight = layer.weight
    assert weight.data.strides == weight.grad.strides
    assert (weight.data.T if shape[0] >= shape[1] else weight.data).flags.c_contiguous
    np.testing.assert_array_equal(weight.grad, np.full(weight.shape, 2, np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.ReLU([1.0]), "ReLU: too many positional arguments; it takes nothing, and the inputs when"),
        (
            lambda: nn.MSELoss([1.0], [2.0]),
            "MSELoss: too many positional arguments; it takes reduction, and the inputs",
        ),
    ],
)
def test_what_a_class_made_of_a_function_takes_is_told(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("name", ["to", "cuda", "double", "requires_grad_"])
def test_what_to_write_for_methods_of_pytorchs_modules(name):
    layer = nn.Linear(2, 1)
    with pytest.raises(AttributeError, match=f"a Linear has no attribute '{name}'; write "):
        getattr(layer, name)
    assert not hasattr(layer, name) and name not in dir(layer)
    layer.to = nn.Linear(1, 1)
    assert "to.weight" in layer.state_dict() and "to" in dir(layer)
