"""Optimizers and schedules: step by step against PyTorch in float64, and their bookkeeping."""

import copy
import itertools
from functools import partial

import numpy as np
import pytest

import nngrad
from nngrad import Tensor, nn, optim
from nngrad.engine import threads
from nngrad.nn.functional import mse_loss

rng = np.random.default_rng(0)


def combinations(name, **choices):
    for values in itertools.product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        if not (options.get("nesterov") and (options["dampening"] or not options["momentum"])):
            yield pytest.param(name, options, id=" ".join([name, *(f"{k}={v}" for k, v in options.items())]))


CASES = [
    pytest.param("SGD", {}, id="SGD"),
    pytest.param("RMSprop", {}, id="RMSprop"),
    pytest.param("Adam", {}, id="Adam"),
    pytest.param("AdamW", {}, id="AdamW"),
    *combinations("SGD", momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], nesterov=[False, True]),
    *combinations("RMSprop", alpha=[0.9], weight_decay=[0, 0.1], momentum=[0, 0.9], centered=[False, True]),
    *combinations("Adam", betas=[(0.8, 0.9), (0.3, 0.99)], eps=[1e-4], weight_decay=[0, 0.1], amsgrad=[False, True]),
    *combinations("AdamW", lr=[0.05], weight_decay=[0, 0.1], amsgrad=[False, True]),
    *[case for name in ("SGD", "RMSprop", "Adam", "AdamW") for case in combinations(name, maximize=[True])],
    *combinations("SGD", momentum=[0.9], dampening=[0], weight_decay=[0.1], nesterov=[True], maximize=[True]),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_thirty_steps_agree_with_pytorch(name, options):
    torch = pytest.importorskip("torch")
    starts = [rng.normal(size=shape) for shape in [(3, 2), (4,), (), (0, 2)]]
    ours = [Tensor(a, dtype=np.float64, requires_grad=True) for a in starts]
    theirs = [torch.tensor(a, requires_grad=True) for a in starts]
    groups = lambda ps: [{"params": ps[:2]}, {"params": ps[2:], "lr": 0.02}]  # noqa: E731
    optimizer = getattr(optim, name)(groups(ours), **options)
    reference = getattr(torch.optim, name)(groups(theirs), **options)
    for step in range(30):
        for p, t in zip(ours, theirs, strict=True):
            p.grad = rng.normal(size=p.shape) * (step % 7 != 3)
            t.grad = torch.tensor(p.grad)
        optimizer.step()
        reference.step()
        for p, t in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=1e-12, atol=1e-14)


EVERY = [
    lambda params: optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    lambda params: optim.SGD(params, lr=np.float64(0.1), momentum=0.9, nesterov=True),
    lambda params: optim.RMSprop(params, weight_decay=np.float64(0.01), momentum=0.9, centered=True),
    lambda params: optim.Adam(params, weight_decay=0.01, amsgrad=True),
    lambda params: optim.AdamW(params, lr=np.float64(0.01)),
]


@pytest.fixture(params=[1, 2])
def number_of_threads(request):
    before = nngrad.get_num_threads()
    nngrad.set_num_threads(request.param)
    yield request.param
    nngrad.set_num_threads(before)


@pytest.mark.parametrize("make", EVERY)
def test_large_parameters_are_updated_like_small_ones(make, number_of_threads, monkeypatch):
    """A large parameter, which is updated tile by tile, one whose memory is not in order, and its rows one by one."""
    monkeypatch.setattr(threads, "blas_spins_until", 0.0)
    start, gradients = rng.normal(size=(5, 60_011)), rng.normal(size=(2, 5, 60_011))
    large, transposed = Tensor(start, requires_grad=True), Tensor(start.T, requires_grad=True)
    rows = [Tensor(row, requires_grad=True) for row in start]
    optimizers = [make([large]), make([transposed]), make(rows)]
    for g in gradients:
        large.grad, transposed.grad = g, g.T
        for row, g_row in zip(rows, g, strict=True):
            row.grad = g_row
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_array_equal(large.data, [row.data for row in rows])
    np.testing.assert_array_equal(transposed.data.T, large.data)


def test_a_learning_rate_of_zero_changes_the_state_alone():
    p = Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.Adam([p], lr=0.0)
    p.grad = [3.0, 4.0]
    optimizer.step()
    assert p.tolist() == [1.0, 2.0]
    np.testing.assert_allclose(optimizer.state[p]["exp_avg"], [0.3, 0.4], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("make", EVERY)
def test_updates_are_in_place_and_keep_the_dtype(make, dtype):
    params = [Tensor(np.ones(shape), dtype=dtype, requires_grad=True) for shape in [(2, 3), ()]]
    optimizer = make(params)
    arrays = [p.data for p in params]
    for _ in range(3):
        for p in params:
            p.grad = np.full(p.shape, 0.5)
            before = p.grad.copy()
        optimizer.step()
    assert all(
        p.data is array and p.dtype == dtype and (array < 1).all() for p, array in zip(params, arrays, strict=True)
    )
    np.testing.assert_array_equal(params[-1].grad, before)
    for state in optimizer.state.values():
        assert all(value.dtype == np.float32 for value in state.values() if isinstance(value, np.ndarray))


@pytest.mark.parametrize("make", EVERY)
def test_state_dict_continues_where_it_was_saved(make):
    def run(params, optimizer, steps):
        for step in range(steps):
            for p in params:
                p.grad = np.cos(step + p.data)
            optimizer.step()

    params = [Tensor([1.0, 2.0], requires_grad=True), Tensor([[3.0]], requires_grad=True)]
    first = make(params)
    run(params, first, 3)
    saved, twins = copy.deepcopy(first.state_dict()), copy.deepcopy(params)
    run(params, first, 3)
    second = make(twins)
    second.load_state_dict(saved)
    assert saved["param_groups"][0]["params"] == [0, 1] and list(saved["state"]) == [0, 1]
    run(twins, second, 3)
    for p, twin in zip(params, twins, strict=True):
        np.testing.assert_array_equal(p.data, twin.data)


def test_load_state_dict_refuses_what_does_not_fit():
    p, q = Tensor([1.0], requires_grad=True), Tensor([1.0, 2.0], requires_grad=True)
    optimizer, other = optim.Adam([p]), optim.Adam([q], lr=0.5)
    q.grad = [1.0, 1.0]
    other.step()
    with pytest.raises(ValueError, match=r"exp_avg of parameter 0 has shape \(2,\), the parameter \(1,\)"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="no hyper-parameter 'betas'"):
        optim.SGD([q]).load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match=r"groups of \[1\] parameters, the optimizer has \[2\]"):
        optim.Adam([p, q]).load_state_dict(other.state_dict())
    for state in ({}, "adam.npz", {"state": {}}):
        with pytest.raises(ValueError, match="a dict with 'state' and 'param_groups'"):
            optim.SGD([p]).load_state_dict(state)
    assert optimizer.state == {} and optimizer.param_groups[0]["lr"] == 1e-3


def test_frozen_parameters_stay_and_zero_gradients_count():
    frozen, dead, given = (Tensor([1.0], requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([frozen, dead, given], lr=0.1, weight_decay=1.0)
    frozen.set_requires_grad(False)
    (0 * dead).backward()
    given.grad = [0.0]
    optimizer.step()
    assert frozen.tolist() == [1] and dead.tolist() == given.tolist() == [np.float32(0.9)]


@pytest.mark.parametrize("make", EVERY)
def test_what_backward_has_not_reached_stays_as_in_pytorch(make):
    torch = pytest.importorskip("torch")
    used, idle = (Tensor([1.0], dtype=np.float64, requires_grad=True) for _ in range(2))
    optimizer = make([used, idle])
    theirs = [torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    settings = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    reference = getattr(torch.optim, type(optimizer).__name__)(theirs, **settings)
    for reached in (False, True, False, True):
        optimizer.zero_grad()
        reference.zero_grad()
        for a, b in ((used, idle), theirs):
            (a * a + b * b if reached else a * a).sum().backward()
        assert copy.deepcopy(idle).grad.any() == idle.grad.any() == reached  # looked at, it is still none
        optimizer.step()
        reference.step()
    np.testing.assert_allclose([used.item(), idle.item()], [t.item() for t in theirs], rtol=1e-12)


def test_a_gradient_written_into_the_zeros_counts():
    p, scaled = Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p, scaled], lr=1.0, weight_decay=0.5)
    p.grad[0] = 1.0
    scaled.grad *= 0.1  # as clipping does with all of them
    optimizer.step()
    assert p.tolist() == [-0.5, 1.0] and scaled.tolist() == [1.0]


def test_centered_rmsprop_survives_a_constant_gradient():
    p = Tensor(np.zeros(100), requires_grad=True)
    optimizer = optim.RMSprop([p], alpha=0.5, centered=True)
    for _ in range(200):
        p.grad = np.linspace(0.1, 1, 100)
        optimizer.step()
    assert np.isfinite(p.data).all()


def test_zero_grad_and_a_graph_that_saved_the_old_values():
    layer = nn.Linear(3, 1)
    optimizer = optim.Adam(layer.parameters())
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    mse_loss(layer(x), np.zeros((2, 1))).backward()
    assert layer.weight.grad.any()
    optimizer.zero_grad()
    assert not layer.weight.grad.any() and not layer.bias.grad.any()
    y = layer(x).sum()
    y.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD([]), ValueError, "SGD got no parameters"),
        (lambda p: optim.SGD(iter(())), ValueError, "SGD got no parameters"),
        (lambda p: optim.SGD(p), TypeError, "takes a list of Tensors, or of dicts with 'params', not Tensor"),
        (
            lambda p: optim.SGD(nn.Linear(1, 1).parameters),
            TypeError,
            r"not method: did you mean to call it, parameters\(\)\?",
        ),
        (lambda p: optim.SGD(nn.Linear(1, 1)), TypeError, r"not Linear: write model.parameters\(\)"),
        (lambda p: optim.SGD({"params": [p]}), TypeError, "not dict"),
        (lambda p: optim.SGD({p}), TypeError, "not set"),
        (lambda p: optim.SGD([p, 1.0]), TypeError, "optimizes Tensors, got float"),
        (lambda p: optim.SGD([nn.Linear(1, 1)]), TypeError, r"got Linear: write model.parameters\(\)"),
        (lambda p: optim.SGD([("p", p)]), TypeError, r"got tuple: model.parameters\(\)"),
        (lambda p: optim.SGD([{"lr": 1.0}]), TypeError, "a dict with the key 'params'"),
        (lambda p: optim.SGD([{"params": p}, p]), TypeError, "a parameter group is a dict"),
        (lambda p: optim.SGD([p * 2]), ValueError, "result of 'multiply'"),
        (lambda p: optim.SGD([p, p]), ValueError, "given twice"),
        (lambda p: optim.SGD([{"params": p}, {"params": [p]}]), ValueError, "given twice"),
        (
            lambda p: optim.SGD([{"params": p, "mometum": 0.9}]),
            ValueError,
            "no hyper-parameter 'mometum'; it has lr, mom",
        ),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "SGD: lr must be a finite number, at least 0, got -1"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr must be .* got nan"),
        (lambda p: optim.SGD([p], lr="fast"), ValueError, "lr must be .* got 'fast'"),
        (lambda p: optim.SGD([p], momentum=-0.1), ValueError, "momentum must be"),
        (lambda p: optim.SGD(p), TypeError, r"not Tensor: write \[tensor\]"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov needs momentum above 0 and dampening 0"),
        (lambda p: optim.SGD([p], momentum=1, dampening=1, nesterov=True), ValueError, "nesterov needs"),
        (lambda p: optim.RMSprop([p], alpha=1.1), ValueError, "RMSprop: alpha must be a number from 0 to 1, got 1.1"),
        (
            lambda p: optim.Adam([p], betas=(0.9, 1.0)),
            ValueError,
            r"Adam: betas must be two numbers, .* got \(0.9, 1.0\)",
        ),
        (lambda p: optim.Adam([p], betas=0.9), ValueError, "betas must be two numbers"),
        (lambda p: optim.Adam([p], eps=-1), ValueError, "eps must be"),
        (lambda p: optim.AdamW([p], weight_decay=-1), ValueError, "AdamW: weight_decay must be"),
        (lambda p: optim.AdamW([{"params": p, "amsgrad": 1}]), ValueError, "amsgrad must be True or False, got 1"),
        (
            lambda p: optim.StepLR(optim.SGD([p]), 0),
            ValueError,
            "StepLR: step_size must be an integer, at least 1, got 0",
        ),
        (lambda p: optim.CosineAnnealingLR(optim.SGD([p]), 1.5), ValueError, "T_max must be an integer"),
        (lambda p: optim.CosineAnnealingLR(optim.SGD([p]), 1, "low"), TypeError, "eta_min must be a number from 0 on"),
        (
            lambda p: optim.StepLR(optim.SGD([p]), 1, -0.1),
            ValueError,
            "StepLR: gamma must be a number from 0 on, got -0.1",
        ),
        (
            lambda p: optim.StepLR(optim.SGD([p]), 1).load_state_dict({"T_max": 3}),
            ValueError,
            "the state of a StepLR is a dict with base_lrs, last_epoch, step_size, gamma, got {'T_max': 3}",
        ),
        (lambda p: optim.StepLR(p, 1), TypeError, "StepLR schedules an Optimizer, got Tensor"),
        (
            lambda p: optim.LambdaLR(optim.SGD([p]), 0.5),
            TypeError,
            "lr_lambda must be a function of the epoch, got 0.5",
        ),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(Tensor([1.0], requires_grad=True))


@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW, partial(optim.Adam, amsgrad=True), optim.RMSprop])
@pytest.mark.parametrize("size", [1e-4, 1e-2, 1e3])
def test_a_step_in_float16_is_that_of_float32(make, size):
    """The square of a small gradient is 0 in float16, that of a large one infinite."""
    wide, narrow = (Tensor([1.0, -2.0], dtype=dtype, requires_grad=True) for dtype in (np.float32, np.float16))
    one, other = (make([p], lr=2.0**-7) for p in (wide, narrow))
    for step in range(4):
        wide.grad = narrow.grad = np.array([size, -size / 2], np.float16)
        one.step()
        other.step()
        if step == 1:  # a saved state keeps its digits
            other.load_state_dict(other.state_dict())
    assert narrow.dtype == np.float16
    np.testing.assert_allclose(narrow.data, wide.data, atol=4 * 2.0**-10)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"state": {7: {}}, "param_groups": [{"params": [0]}]}, "a state of parameter 7, but no group has"),
        ({"state": {}, "param_groups": [{"lr": 1.0}]}, "'param_groups' is a dict with 'params'"),
        ({"state": {}, "param_groups": [{"params": [0], "lr": -1.0}]}, "lr must be"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, message):
    optimizer = optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.5)
    before = str(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert str(optimizer.state_dict()) == before


def test_what_a_saved_group_does_not_set_stays():
    optimizer = optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.5, momentum=0.9)
    optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0], "lr": 0.1}]})
    assert optimizer.param_groups[0]["lr"] == 0.1 and optimizer.param_groups[0]["momentum"] == 0.9


def test_repr_shows_groups_and_settings():
    p = Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.add_param_group({"params": [Tensor([2.0])], "lr": 0.1})
    assert repr(optimizer).splitlines()[2] == (
        "  params=1 Tensors, lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False"
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StepLR", {"step_size": 3}),
        ("StepLR", {"step_size": 2, "gamma": 0.5}),
        ("CosineAnnealingLR", {"T_max": 7}),
        ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.01}),
        ("LambdaLR", {"lr_lambda": lambda epoch: min(1, epoch / 4) * 0.9**epoch}),
    ],
)
def test_schedules_agree_with_pytorch(name, options):
    torch = pytest.importorskip("torch")
    p, t = Tensor([1.0], requires_grad=True), torch.ones(1, requires_grad=True)
    ours, theirs = optim.SGD([{"params": p}], lr=0.4), torch.optim.SGD([{"params": t}], lr=0.4)
    schedule, reference = (
        getattr(optim, name)(ours, **options),
        getattr(torch.optim.lr_scheduler, name)(theirs, **options),
    )
    for _ in range(25):
        np.testing.assert_allclose(schedule.get_last_lr(), reference.get_last_lr(), rtol=1e-12, atol=1e-15)
        assert schedule.get_last_lr() == [ours.param_groups[0]["lr"]]
        theirs.step()
        schedule.step()
        reference.step()


def test_schedule_resumes():
    p = Tensor([1.0], requires_grad=True)
    first = optim.CosineAnnealingLR(optim.SGD([p], lr=1.0), T_max=4)
    first.step()
    saved = first.state_dict()
    first.step()
    second = optim.CosineAnnealingLR(optim.SGD([p], lr=9.0), T_max=5)
    second.load_state_dict(saved)
    second.step()
    assert second.get_last_lr() == first.get_last_lr() and saved["last_epoch"] == 1


def test_the_function_of_a_schedule_is_not_part_of_its_state():
    first, second = (
        optim.LambdaLR(optim.SGD([Tensor([1.0], requires_grad=True)], lr=lr), lambda epoch: 0.5**epoch)
        for lr in (1.0, 9.0)
    )
    first.step()
    assert first.state_dict() == {"base_lrs": [1.0], "last_epoch": 1}
    second.load_state_dict(first.state_dict())
    second.step()
    assert second.get_last_lr() == [0.25]


@pytest.mark.parametrize("orders", ["CC", "FF", "FC"])
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop])
def test_large_parameters_are_updated_alike_however_they_lie(kind, orders):
    rng = np.random.default_rng(0)
    start, slopes = rng.normal(size=(600, 500)), rng.normal(size=(3, 600, 500))
    rows = [Tensor(row, requires_grad=True) for row in start]
    whole = Tensor(np.array(start, order=orders[0]), requires_grad=True)
    by_rows, at_once = kind(rows, weight_decay=0.1), kind([whole], weight_decay=0.1)
    for g in slopes.astype(np.float32):
        for row, slope in zip(rows, g, strict=True):
            row.grad = slope
        whole.grad = np.array(g, order=orders[1])
        by_rows.step()
        at_once.step()
    np.testing.assert_array_equal(whole.data, [row.data for row in rows])


def test_a_name_that_comes_close():
    with pytest.raises(AttributeError, match="'Adma'; did you mean Adam"):
        optim.Adma  # noqa: B018
    with pytest.raises(AttributeError, match="'Lion'; it has Adam, AdamW, Optimizer"):
        optim.Lion  # noqa: B018


def test_a_closure_is_called_before_the_step_and_its_loss_returned():
    p = Tensor([3.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0 and p.item() == 1.5
    assert optimizer.step(closure=closure).item() == 2.25 and optimizer.step() is None


@pytest.mark.parametrize(("order", "limit"), [(2.0, 0.5), (2.0, 100), (1, 0.5), (3, 2), (np.inf, 0.5)])
def test_gradients_are_clipped_by_their_norm_as_by_pytorch(order, limit):
    torch = pytest.importorskip("torch")
    gradients = [rng.normal(size=shape) for shape in [(3, 2), (4,), ()]]
    ours = [Tensor(g, dtype=np.float64, requires_grad=True) for g in gradients]
    theirs = [torch.tensor(g, requires_grad=True) for g in gradients]
    for p, t, g in zip(ours, theirs, gradients, strict=True):
        p.grad, t.grad = g, torch.tensor(g)
    untouched = Tensor(np.ones((0, 2)), requires_grad=True), Tensor([1.0], requires_grad=True), Tensor([1.0])
    norm = nn.utils.clip_grad_norm_([*ours, *untouched], limit, order)
    np.testing.assert_allclose(norm.item(), torch.nn.utils.clip_grad_norm_(theirs, limit, order).item(), rtol=1e-12)
    for p, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=1e-12)
    assert not any(p._has_grad for p in untouched), "an optimizer would take it for a gradient that was computed"


@pytest.mark.parametrize(
    "sizes", [(0,), (7, 0), (nn.utils.MANY, 5), (9, nn.utils.MANY, 0, 3), (4, nn.utils.MANY // 2) * 3]
)
def test_the_norm_is_that_of_all_gradients(sizes):
    gradients = [rng.normal(size=size).astype(np.float32) for size in sizes]
    parameters = [Tensor(np.zeros_like(g), requires_grad=True) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g.copy()
    expected = np.linalg.norm(np.concatenate(gradients, dtype=np.float64))
    np.testing.assert_allclose(nn.utils.clip_grad_norm_(parameters, 2 * expected + 1).item(), expected, rtol=1e-12)
    assert all((p.grad == g).all() for p, g in zip(parameters, gradients, strict=True)), "nothing is clipped"


def test_gradients_are_clipped_by_their_elements():
    p = Tensor([1.0, -2.0, 0.5], requires_grad=True)
    (p * p).sum().backward()
    nn.utils.clip_grad_value_(p, 1.5)
    assert p.grad.tolist() == [1.5, -1.5, 1.0]


def test_a_norm_that_is_no_number_shows():
    p, q = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    p.grad, q.grad = [np.nan, 1.0], [3e38, 3e38]
    with pytest.raises(RuntimeError, match="the norm of the gradients is nan"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad[1] == 1.0
    assert np.isnan(nn.utils.clip_grad_norm_([p], 1.0).item()) and np.isnan(p.grad).all()
    nn.utils.clip_grad_norm_([q], 1.0)  # the squares of these are no float32
    np.testing.assert_allclose(q.grad, 0.5**0.5, rtol=1e-6)


@pytest.mark.parametrize("clip", [nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ((nn.Linear(1, 1), 1.0), TypeError, r"takes Tensors, not Linear: write model\.parameters\(\)"),
        ((3, 1.0), TypeError, "takes Tensors, not int"),
        (([np.ones(2)], 1.0), TypeError, "takes Tensors, got ndarray"),
        (([], -1.0), ValueError, "must be a number from 0 on, got -1"),
    ],
)
def test_clipping_refuses(clip, arguments, error, told):
    with pytest.raises(error, match=rf"^{clip.__name__}.*{told}"):
        clip(*arguments)
