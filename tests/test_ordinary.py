"""Kernels that do less where all inputs are of ordinary size give there what they give anywhere else."""

import inspect
import itertools
import re

import numpy as np
import pytest
from nngrad_ops import OPS, runtime

LIMIT = re.compile(r"are_within\((\d+), ")
SHORTER = [
    (op, limit)
    for op in OPS.values()
    if op.family == "elementwise"
    for limit in sorted({int(found) for found in LIMIT.findall(inspect.getsource(inspect.getmodule(op.forward)))})
    if f"are_within({limit}, " in inspect.getsource(op.forward)
]


def points(op, limit, dtype):
    """Inputs up to the limit, and the same with one beyond it at the end."""
    line = np.linspace(-limit, limit, 601)
    corners = np.array(list(itertools.product((limit, -limit), repeat=len(op.inputs)))).T
    columns = [np.append(column, ends) for column, ends in zip((line, line[::-1] * 0.7), corners, strict=False)]
    within = [column.astype(dtype) for column in columns]
    return within, [np.append(column, dtype(2 * limit + 1)) for column in within]


def test_there_are_some():
    assert {"sigmoid", "silu", "mish", "logsigmoid"} <= {op.name for op, _ in SHORTER}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("op", "limit"), SHORTER, ids=[f"{op.name}-{limit}" for op, limit in SHORTER])
def test_inputs_beyond_the_limit_change_nothing_elsewhere(op, limit, dtype):
    within, beyond = points(op, limit, dtype)
    for short, full in zip(op.forward(*within), op.forward(*beyond), strict=True):
        full = full[:-1]
        assert short.dtype == full.dtype == dtype
        around = np.max([np.abs(np.roll(full, by)) for by in (-1, 0, 1)], axis=0)  # a slope may have a root
        assert np.all(np.abs(short - full) <= 300 * np.finfo(dtype).eps * around + np.finfo(dtype).tiny)


@pytest.mark.parametrize(("op", "limit"), SHORTER, ids=[f"{op.name}-{limit}" for op, limit in SHORTER])
def test_nan_stays_where_it_is(op, limit):
    within, _ = points(op, limit, np.float32)
    within[0][7] = np.nan
    with np.errstate(invalid="ignore"):  # NumPy's logaddexp2 warns
        results = op.forward(*within)
    for result in results:
        assert np.isnan(result[7]) or len(op.inputs) > 1
        assert not np.isnan(np.delete(result, 7)).any()


ACTIVATIONS = [op for op in OPS.values() if (op.module, op.family, len(op.inputs)) == ("activations", "elementwise", 1)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("op", [op for op in ACTIVATIONS if ... not in op.params.values()], ids=lambda op: op.name)
def test_activations_do_not_warn_at_infinity(op, dtype):
    """Not even of 0 times infinity, on the way to a limit; x times what has decayed is 0 there."""
    for x in (np.inf, -np.inf):
        op.forward(np.array([x, 1], dtype))
        op.kernel(np.array([x, 1], dtype))
    if op.name in ("silu", "mish"):
        np.testing.assert_array_equal(op.kernel(np.array([-np.inf, np.inf], dtype)), [0, np.inf])


def test_what_counts_as_ordinary():
    x = np.array([-3.0, 3.0], np.float32)
    assert runtime.are_within(3, x) and not runtime.are_within(2.5, x)
    assert not runtime.are_within(3, np.array([np.nan], np.float32))
    assert not runtime.are_within(3, x, np.array([-np.inf]))
    assert not runtime.are_within(3, x.astype(np.float16)), "its exponentials would leave the range"
    assert runtime.are_within(3, np.zeros(0))


SPEC = """
from nngrad.codegen.language import exp, op

@op
def one(x, *, rate=1.0):
    return x / (1 + exp(-rate * x))

@op
def half(x, *, rate=0.5):
    return x / (1 + exp(-rate * x))

@op
def cooled(x, *, temperature=1.0):
    return x / (1 + exp(-x / temperature))
"""


def test_exponents_stay_within_what_was_judged_for_any_parameter(tmp_path):
    command = pytest.importorskip("nngrad.codegen.command")
    (tmp_path / "own.py").write_text(SPEC)
    assert command.run(["--spec", str(tmp_path / "own.py"), "--out", str(tmp_path / "own_rates")]) == 0
    kernels = (tmp_path / "own_rates" / "kernels.py").read_text().partition("def half")
    assert "if -1 <= rate <= 1 and runtime.are_within(" in kernels[0]
    assert "are_within" not in kernels[2]
