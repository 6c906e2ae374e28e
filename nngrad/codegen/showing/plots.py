"""Pictures of ops: the value and its first two derivatives, as SVG whose colours the page decides.

The curves come from the oracle: the formula itself and its differences, in as many digits as it takes. So a picture is
the same on every machine, and owes nothing to the derivation that it illustrates.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import mpmath
import numpy as np

from nngrad.codegen.algebra.symbols import Where
from nngrad.codegen.certify import Oracle
from nngrad.codegen.judging.certificate import NUMBERS, SIGN, UNIT
from nngrad.codegen.showing import kinks
from nngrad.codegen.trace import PRESENT, REQUIRED, Formula, Op

SPAN, POINTS, TALLEST = 4.0, 180, 5.0
OTHER = 0.5  # what inputs that do not move are
ROW = (0.5, -1.0)  # what stands beside the element that moves, in a row
STEEP = 8.0  # how many times faster than its slope a curve may move from one point to the next without a jump
COLOURS = {"#0969da": "--curve-1", "#bc4c00": "--curve-2", "#8250df": "--curve-3", "#59636e": "--muted",
           "#d1d9e0": "--line"}  # fmt: skip
PRIME, DOUBLE_PRIME, MINUS = "\N{PRIME}", "\N{DOUBLE PRIME}", "\N{MINUS SIGN}"
SIZE = (6.0, 3.6)
THUMBNAIL = (120, 72)


@dataclass(frozen=True)
class Curve:
    """One line of a picture: its label, and its heights over the picture's `x`."""

    label: str
    y: np.ndarray


@dataclass(frozen=True)
class Picture:
    """Curves over a common axis, and in words what stands still; `alt` says what is to be seen."""

    axis: str
    x: np.ndarray
    curves: tuple[Curve, ...]
    note: str
    alt: str

    @property
    def limits(self) -> tuple[float, float]:
        """The heights to show: some of every curve."""
        curves = [curve.y[np.isfinite(curve.y)] for curve in self.curves]
        finite = np.concatenate(curves)
        tallest = max([TALLEST, *(np.abs(y).min() for y in curves if y.size)])
        low, high = max(finite.min(initial=-0.1), -tallest), min(finite.max(initial=0.1), tallest)
        pad = 0.06 * max(high - low, 0.4)
        return low - pad, high + pad


def picture(op: Op) -> Picture | None:
    """The curves of an op's formula, of several that of the fewest inputs; None where there is nothing to draw."""
    formula = min(op.formulas, key=lambda one: len(one.inputs), default=None)
    moving = next((one.name for one in op.inputs if one.differentiable), None)
    if formula is None or moving not in {value.name for value in formula.inputs}:
        return None
    return _Drawing(op, formula, moving).picture()


@dataclass(frozen=True)
class _Drawing:
    """What is drawn of a formula: it moves one input, or in a row one element of it."""

    op: Op
    formula: Formula
    moving: str

    def picture(self) -> Picture:
        ends = (0.0, 1.0) if (self.op.name, self.moving) in UNIT else (-SPAN, SPAN)
        x = np.linspace(*ends, POINTS)
        real = x[np.isfinite(self.values(x))]
        if real.size and (real[0] > x[0] or real[-1] < x[-1]):  # real on a part: look at that part
            margin = 0.1 * (real[-1] - real[0])
            x = np.linspace(max(real[0] - margin, x[0]), min(real[-1] + margin, x[-1]), POINTS)
        y, slopes = self.values(x), {name: self.slopes(x, name) for name in self.slanted()}
        bend = self.bends(x)
        curves = [Curve("f", _broken(x, y, slopes[self.moving]))]
        if len(slopes) == 1:
            curves += [
                Curve(f"f{PRIME}", _broken(x, slopes[self.moving], bend)),
                Curve(f"f{DOUBLE_PRIME}", _broken(x, bend)),
            ]
        else:
            curves += [Curve(f"∂f/∂{name}", _broken(x, slope, bend if name == self.moving else None))
                       for name, slope in slopes.items()]  # fmt: skip
        axis = f"{self.moving}₀" if self.formula.axes else self.moving
        note = self.note()
        told = ", ".join(curve.label for curve in curves)
        alt = f"{told} of {self.op.name} over {axis} from {x[0]:.3g} to {x[-1]:.3g}. {note}".strip()
        return Picture(axis, x, tuple(curves), note, alt)

    def slanted(self) -> list[str]:
        """The inputs whose slopes are drawn: of mathematics of two numbers both, else the one that moves."""
        names = [one.name for one in self.op.inputs if one.differentiable and one.name in self.inputs]
        return names if len(names) == 2 and self.op.maps_elements and not self.conditions else [self.moving]

    @property
    def inputs(self) -> list[str]:
        return [value.name for value in self.formula.inputs]

    @property
    def conditions(self) -> set[str]:
        """The inputs that are conditions of a `where`."""
        wheres = [part for stage in self.formula.stages for part in stage.expr.atoms(Where)]
        return {part.args[0].name for part in wheres if part.args[0] in self.formula.inputs}

    def still(self) -> dict[str, float]:
        """The inputs that stand still, with their values."""
        found = {}
        for name in self.inputs:
            if name == self.moving or name in self.conditions:
                continue
            whole = name in self.formula.indices
            found[name] = 0 if whole else 1.0 if (self.op.name, name) in SIGN or self.formula.axes else OTHER
        return found

    def note(self) -> str:
        """What stands still, in words."""
        parts = [f"{name} = {value:g}" for name, value in self.still().items()]
        parts += [f"{name} true where {self.moving} > 0" for name in sorted(self.conditions)]
        parts += [f"{name} = {value:g}" for name, value in self.parameters().items()
                  if isinstance(value, int | float) and name not in self.formula.axes]  # fmt: skip
        told = f"With {', '.join(parts)}" if parts else ""
        if not self.formula.axes:
            return told
        which = "" if self.formula.reduced_axis else "The first element of y, "
        others = ", ".join(f"{value:g}" for value in ROW).replace("-", MINUS)
        row = f"in the row ({self.moving}₀, {others})"
        return f"{which or 'y, '}{row}{told.replace('With', ', with')}"

    def parameters(self) -> dict[str, object]:
        """Numbers for the formula's parameters; rows lie along the last axis."""
        static = dict(self.formula.static)
        used = {symbol.name for stage in self.formula.stages for symbol in stage.expr.free_symbols} | self.formula.axes
        found = {}
        for param in self.op.params:
            if param.name in used and static.get(param.name, PRESENT) == PRESENT:
                default = param.default if isinstance(param.default, int | float) else OTHER
                numbers = kinks.NUMBERS if param.default is REQUIRED else NUMBERS  # what must be given is to be seen
                found[param.name] = -1 if param.name in self.formula.axes else numbers.get(param.name, default)
        return found

    # --- heights ------------------------------------------------------------------------------------------------------

    def arguments(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs as arrays, one number or one row for each place."""
        rows = bool(self.formula.axes)
        moved = np.stack([x, *(np.full(x.size, value) for value in ROW)], 1) if rows else x
        found = {self.moving: moved} | {name: x > 0 for name in self.conditions}
        for name, value in self.still().items():
            index = name in self.formula.indices
            found[name] = np.full(x.size, 0) if index else np.full(moved.shape, value)
        return {name: found[name] for name in self.inputs}

    def direction(self, x: np.ndarray, name: str) -> dict[str, np.ndarray]:
        if not self.formula.axes:
            return {name: np.ones(x.size)}
        return {name: np.stack([np.ones(x.size), *(np.zeros(x.size) for _ in ROW)], 1)}

    @property
    def oracle(self) -> Oracle:
        return Oracle(self.formula, self.parameters())

    def values(self, x: np.ndarray) -> np.ndarray:
        return self._floats(self.oracle(**self.arguments(x)), x)

    def slopes(self, x: np.ndarray, name: str) -> np.ndarray:
        return self._floats(self.oracle.slope(self.direction(x, name), self.arguments(x)), x)

    def bends(self, x: np.ndarray) -> np.ndarray:
        move = self.direction(x, self.moving)
        return self._floats(self.oracle.curvature(move, move, self.arguments(x)), x)

    def _floats(self, array: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Finite heights as floats; of a row of outputs that of its first element."""
        first = array.reshape(x.size, -1)[:, 0]
        return np.array([float(one) if mpmath.isfinite(one) else np.nan for one in first])


def _broken(x: np.ndarray, y: np.ndarray, slope: np.ndarray | None = None) -> np.ndarray:
    """The curve with a gap where it jumps: where it moves by far more than its slope explains."""
    step, jump = x[1] - x[0], np.abs(np.diff(y))
    steepness = np.zeros(y.size) if slope is None else np.nan_to_num(np.abs(slope))
    jumps = jump > STEEP * step * (1 + np.minimum(steepness[1:], steepness[:-1]))
    jumps |= (y[1:] * y[:-1] < 0) & (np.minimum(np.abs(y[1:]), np.abs(y[:-1])) > TALLEST)  # a pole
    broken = y.copy()
    broken[1:][jumps] = np.nan
    return broken


# --- SVG --------------------------------------------------------------------------------------------------------------


def svg(drawn: Picture, name: str) -> str:
    """The picture as an SVG element. Its colours are CSS variables, with a light page's as what they fall back to."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {
        "svg.fonttype": "none", "svg.hashsalt": name, "font.size": 13, "font.family": "sans-serif",
        "axes.edgecolor": "#d1d9e0", "axes.labelcolor": "#59636e", "text.color": "#59636e", "xtick.color": "#59636e",
        "ytick.color": "#59636e", "grid.color": "#d1d9e0", "path.simplify_threshold": 0.2,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(SIZE, layout="constrained")
        axes = figure.add_subplot()
        for curve, colour, width, dashes in zip(
            drawn.curves, COLOURS, (2.2, 1.8, 1.4), ("-", "-", (0, (4, 2))), strict=False
        ):
            axes.plot(drawn.x, curve.y, color=colour, linewidth=width, linestyle=dashes, label=curve.label)
        axes.set_xlim(drawn.x[0], drawn.x[-1])
        axes.set_ylim(*drawn.limits)
        axes.set_xlabel(drawn.axis)
        axes.grid(linewidth=0.6)
        axes.tick_params(length=0)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.axhline(0, color="#59636e", linewidth=0.8, zorder=1)
        if drawn.x[0] < 0 < drawn.x[-1]:
            axes.axvline(0, color="#59636e", linewidth=0.8, zorder=1)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=1.6)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(file.getvalue(), drawn.alt)


def _inline(text: str, alt: str) -> str:
    """Matplotlib's file as an element of a page: without header and metadata, and with few digits."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<!--.*?-->\s*", "\n", text, flags=re.DOTALL)
    text = re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", text)
    for colour, variable in COLOURS.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    head = f'<svg class="plot" role="img" aria-label="{escape(alt)}" viewBox="0 0 {SIZE[0] * 72:g} {SIZE[1] * 72:g}">'
    return head + "\n" + re.sub(r"\n\s+", "\n", text[text.index(">") + 1 :].strip())


def thumbnail(drawn: Picture) -> str:
    """The curves alone, small."""
    width, height = THUMBNAIL
    low, high = drawn.limits
    across = (drawn.x - drawn.x[0]) / (drawn.x[-1] - drawn.x[0]) * width
    lines = []
    for place, curve in reversed([*enumerate(drawn.curves, 1)]):
        up = height - (np.clip(curve.y, low - 1, high + 1) - low) / (high - low) * height
        lines.append(f'<path class="curve-{place}" d="{_path(across, up)}"/>')
    zero = height + low / (high - low) * height
    axis = f'<path class="axis" d="M0 {zero:.1f}H{width}"/>' if 0 < zero < height else ""
    return f'<svg class="thumbnail" viewBox="0 0 {width} {height}" aria-hidden="true">{axis}{"".join(lines)}</svg>'


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """An SVG path through the points, interrupted where a height is NaN; points on a straight line are left out."""
    return "".join("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in _bent(run)) for run in _runs(x, y))


def _runs(x, y) -> Iterator[list[tuple[float, float]]]:
    run = []
    for point in zip(x, y, strict=True):
        if np.isnan(point[1]):
            if len(run) > 1:
                yield run
            run = []
        else:
            run.append(point)
    if len(run) > 1:
        yield run


def _bent(run: list[tuple[float, float]], tolerance: float = 0.15) -> list[tuple[float, float]]:
    """The points of a line that are needed to see its shape (Douglas & Peucker 1973)."""
    (x0, y0), (x1, y1) = run[0], run[-1]
    off = [abs(y - (y0 + (y1 - y0) * (x - x0) / (x1 - x0))) for x, y in run]
    far = max(range(len(run)), key=off.__getitem__)
    if off[far] <= tolerance:
        return [run[0], run[-1]]
    return [*_bent(run[: far + 1], tolerance)[:-1], *_bent(run[far:], tolerance)]
