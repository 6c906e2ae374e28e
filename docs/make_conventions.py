"""Writes docs/conventions.md: what every op's gradient is at kinks, ties and singular points.

    python docs/make_conventions.py [FILE]

The points are found, not listed: where a formula or its derivative compares numbers, and where the slopes on both sides
of 0, 1/2 or 1 differ. Needs PyTorch, whose gradients stand beside ours where they are others.
"""

from __future__ import annotations

import math
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np

from nngrad import Tensor
from nngrad.codegen.command import SPEC
from nngrad.codegen.pipeline import load_spec
from nngrad.codegen.showing.kinks import label_of, of_numbers, parameters, shown
from nngrad.codegen.trace import Formula, Op, trace
from nngrad.functions import OPS, function

PAGE = """# Conventions at kinks, ties and singular points

What a gradient is where there is no derivative, or an infinite one. `python docs/make_conventions.py` writes this page
from the spec: every row is a point that it found, with what the library answers there.

- **branch**: the slope of the branch that the forward computation takes, in `where(x > 0, ...)` that of the condition.
- **shared**: in a tie all that are equal get an equal share, also where one tensor is compared with itself.
- **0**: of all subgradients the one nearest to 0, at the length of a zero vector, say; in the spec it is stated by
  `subgradient`.
- **infinite**: the slope has no bound there, and IEEE arithmetic says so.
- **outside**: the point is at the edge of where the function is real; the slope is that of the inside.

Where a branch is not taken, a NaN or an infinity in it reaches neither the value nor the gradient.

## Functions of numbers

Of several points alike one is shown. Slopes are those to the left and to the right of it, along the input named. The
last column is the gradient of PyTorch {torch}, where it is another.

| op | at | value | input | left | right | gradient | because | PyTorch |
| --- | --- | --: | --- | --: | --: | --: | --- | --: |
{}

## Functions of rows

Along the axis of a row, for the cotangent 1 (for several outputs 1, 2, 3, ...).

| op | row | value | gradient |
| --- | --- | --- | --- |
{}

## Indexing

- `getitem`, `take`, `gather`: an element that is read twice gets both cotangents.
- `setitem`: where an index repeats, the last value stays, and it alone gets the cotangent.
- `einsum('ii->i')` and other repeated indices read the diagonal; its gradient goes back there.
- `max_pool1d`, `max_pool2d`: ties in a window share. PyTorch gives all to the first.
- Tensors of integers carry no gradient; an op that has none but whole numbers as results, as comparisons, gives none.
"""
STEP = 1e-7
ROWS = {
    "[1, 1]": [1.0, 1.0],
    "[0, 0]": [0.0, 0.0],
    "[2, 2, 2]": [2.0, 2.0, 2.0],
    "[0, 2, 3]": [0.0, 2.0, 3.0],
    "[0, 0, 3]": [0.0, 0.0, 3.0],
    "[-inf, -inf]": [-math.inf, -math.inf],
    "[-inf, 0]": [-math.inf, 0.0],
    "[nan, 1]": [math.nan, 1.0],
}
THEIRS = {"power": "pow"}  # PyTorch's names, where they are others


def answers(op: Op, params: dict[str, object], point: dict[str, float]) -> tuple[float, dict[str, float]]:
    """The library's value and gradients at a point."""
    tensors = [
        None if one.name not in point else Tensor([point[one.name]], dtype=float, requires_grad=one.differentiable)
        for one in op.inputs
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = function(OPS[op.name])(*tensors, **params, **({"reduction": "sum"} if op.home == "loss" else {}))
        y.backward(np.ones(y.shape))
    moving = {one.name: x for one, x in zip(op.inputs, tensors, strict=True) if x is not None and one.differentiable}
    return y.data.reshape(-1)[0].item(), {name: x.grad[0].item() for name, x in moving.items()}


def is_smooth(op: Op, params: dict[str, object], row: np.ndarray) -> bool:
    """Whether value and slopes are finite and those on both sides agree, for each element of a row."""
    call = function(OPS[op.name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = call(row, **params).data
        sides = [
            (call(row + side * STEP * unit, **params).data - start) / (side * STEP)
            for unit in np.eye(row.size)
            for side in (-1, 1)
        ]
        return np.isfinite(start).all() and np.allclose(sides[::2], sides[1::2], rtol=1e-2, atol=1e-2)


def of_rows(op: Op, formula: Formula) -> list[tuple[str, ...]]:
    """The rows of a reduction: what it answers on rows that are equal, zero, infinite or not a number."""
    if len(formula.inputs) != 1:
        return []
    found = []
    for label, row in ROWS.items():
        if is_smooth(op, parameters(op, formula), np.array(row)):
            continue
        x = Tensor(row, dtype=float, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = function(OPS[op.name])(x, **parameters(op, formula))
            y.backward(1.0 + np.arange(y.size).reshape(y.shape))
        value = shown(y.item()) if y.ndim == 0 else f"[{', '.join(map(shown, y.tolist()))}]"
        found.append((label_of(op, formula), label, value, f"[{', '.join(map(shown, x.grad.tolist()))}]"))
    return found


def table() -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The rows of both tables."""
    numbers, rows = [], []
    for op in map(trace, load_spec(SPEC)):
        for formula in op.formulas if op.home != "slope" else ():
            if op.family == "elementwise":
                numbers += of_numbers(op, formula, partial(answers, op, parameters(op, formula)))
            else:
                rows += of_rows(op, formula)
    return numbers, rows


def of_torch(cells: tuple[str, ...]) -> str:
    """PyTorch's gradient at the point of a row, where it has a function of the name and another gradient."""
    import torch

    name, point, _, moving, _, _, gradient, _ = cells
    call = getattr(torch, THEIRS.get(name, name), None) or getattr(torch.nn.functional, name, None)
    if call is None:
        return ""
    tensors = {
        key: torch.tensor([float(value)], dtype=torch.float64, requires_grad=True)
        for key, value in (part.split(" = ") for part in point.split(", "))
    }
    try:
        (theirs,) = torch.autograd.grad(call(*tensors.values()).sum(), tensors[moving])
    except (TypeError, RuntimeError):  # it takes other arguments, or gives this input no gradient
        return ""
    return "" if shown(theirs.item()) == gradient else shown(theirs.item())


def page() -> str:
    """The text of the page."""
    import torch

    numbers, rows = table()
    numbers = [(*cells, of_torch(cells)) for cells in numbers]
    listed = (
        "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in part) for part in (numbers, rows)
    )
    return PAGE.format(*listed, torch=torch.__version__)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("conventions.md")
    target.write_text(page(), encoding="utf-8")
