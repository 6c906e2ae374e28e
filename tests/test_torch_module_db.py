"""Every layer, loss and optimizer that PyTorch has too, on samples of its module and optimizer databases, in float64.

pytest -m torch_op_db
"""

import inspect

import numpy as np
import pytest

import nngrad
from nngrad import Tensor, nn, optim

pytestmark = [pytest.mark.torch_op_db, pytest.mark.filterwarnings("ignore")]
WITHOUT_COUNTERPART = {"device", "dtype", "inplace", "foreach", "fused", "capturable", "differentiable"}
NOT_HERE = {"return_indices"}  # samples that ask for it are skipped
NOT_THERE = {
    "AlphaDropout", "CosineSimilarity", "Dropout", "Dropout1d", "Dropout2d", "Flatten", "Fold", "Hardsigmoid",
    "Identity", "Module", "ModuleDict", "ModuleList", "PairwiseDistance", "RReLU", "Sequential", "TripletMarginLoss",
    "Unfold",
}  # fmt: skip


@pytest.fixture(scope="module")
def torch():
    pytest.importorskip("expecttest")  # PyTorch's databases import it
    return pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def float64():
    before = nngrad.get_default_dtype()
    nngrad.set_default_dtype(np.float64)
    yield
    nngrad.set_default_dtype(before)


def ours(value, torch):
    """An argument with Tensors and arrays in place of PyTorch's tensors."""
    if isinstance(value, torch.Tensor):
        array = value.detach().numpy().copy()
        return Tensor(array, dtype=float, requires_grad=value.requires_grad) if array.dtype.kind == "f" else array
    return value


def module_of(name, arguments, torch):
    """Our module for a sample's arguments of the constructor."""
    made = getattr(nn, name)
    parameters = inspect.signature(made).parameters
    names = {"dim": "axis"} if "bias" in parameters else {"dim": "axis", "bias": "use_bias"}
    kwargs = {names.get(key, key): ours(value, torch) for key, value in arguments.kwargs.items()}
    kwargs = {key: value for key, value in kwargs.items() if key not in WITHOUT_COUNTERPART}
    if name in ("MSELoss", "L1Loss"):
        kwargs.setdefault("reduction", "mean")
    return made(*(ours(one, torch) for one in arguments.args), **kwargs)


def check_module(torch, name, info, sample, training):
    theirs = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs).double().train(training)
    own = module_of(name, sample.constructor_input, torch).train(training)
    own.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items() if key in own.state_dict()})
    args, kwargs = sample.forward_input.args, sample.forward_input.kwargs
    made = {id(one): ours(one, torch) for one in (*args, *kwargs.values())}  # a sample may have the same tensor twice
    given, named = [made[id(one)] for one in args], {key: made[id(one)] for key, one in kwargs.items()}
    y, expected = own(*given, **named), theirs(*args, **kwargs)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-7, atol=1e-10)
    for key, value in own.state_dict().items():
        np.testing.assert_allclose(value, theirs.state_dict()[key].numpy(), rtol=1e-7, err_msg=key)
    pairs = list(zip([*given, *named.values()], [*args, *kwargs.values()], strict=True))
    pairs += [(parameter, dict(theirs.named_parameters())[key]) for key, parameter in own.named_parameters()]
    pairs = [(own, other) for own, other in pairs if isinstance(own, Tensor) and own.requires_grad]
    if not (pairs and expected.requires_grad):
        return
    g = np.random.default_rng(0).normal(size=y.shape)
    gradients = torch.autograd.grad(expected, [other for _, other in pairs], torch.tensor(g), allow_unused=True)
    for found, gradient in zip(nngrad.gradients(y, [own for own, _ in pairs], g), gradients, strict=True):
        np.testing.assert_allclose(found.data, 0 if gradient is None else gradient.numpy(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", sorted({name for name in nn.__all__ if name[0].isupper()} - NOT_THERE))
def test_module(torch, name, training):
    from torch.testing._internal.common_modules import module_db

    torch.manual_seed(0)
    info = next(info for info in module_db if info.module_cls.__name__ == name)
    options = dict(device="cpu", dtype=torch.float64, requires_grad=True, training=training)
    checked = 0
    for sample in info.module_inputs_func(info, **options):
        if NOT_HERE.isdisjoint(sample.constructor_input.kwargs):
            check_module(torch, name, info, sample, training)
            checked += 1
    assert checked


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "SGD"])
def test_optimizer(torch, name):
    from torch.testing._internal.common_optimizers import optim_db

    info = next(info for info in optim_db if info.optim_cls.__name__ == name)
    for sample in info.optim_inputs_func(device="cpu"):
        options = {key: value for key, value in sample.kwargs.items() if key not in WITHOUT_COUNTERPART}
        options = {key: one.item() if isinstance(one, torch.Tensor) else one for key, one in options.items()}
        rng = np.random.default_rng(0)
        starts, factors = [rng.normal(size=shape) for shape in ((3, 4), (5,), ())], rng.normal(size=(8, 3, 4))
        x, v, s = own = [Tensor(start, requires_grad=True) for start in starts]
        a, b, c = theirs = [torch.tensor(start, requires_grad=True) for start in starts]
        mine, reference = getattr(optim, name)(own, **options), info.optim_cls(theirs, **options)
        for factor in factors:
            mine.zero_grad()
            reference.zero_grad()
            (((x * factor) ** 2).sum() + (v**4).sum() * s).backward()
            (((a * torch.tensor(factor)) ** 2).sum() + (b**4).sum() * c).backward()
            mine.step()
            reference.step()
        for one, other in zip(own, theirs, strict=True):
            np.testing.assert_allclose(one.data, other.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=str(options))
