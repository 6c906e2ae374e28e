"""The certificate: how far a generated kernel is from the exact value, over the whole range of its dtype.

Every figure is in units of the last place (ulp): the spacing of the dtype's numbers at the exact value at the exact
input, and the spacing of subnormal numbers below them. Infinity counts as the power of two that comes after the largest
number. A NaN where the exact value is a number is infinitely wrong.

A gradient that passes through zero is there a small difference of large terms, and no more exact than these. So near
a zero the spacing is that of its largest term. Where that is, and what its terms are, is asked of the formula alone:

- Of numbers. It is near a zero where it is smaller than on both sides, at x(1 - d) and x(1 + d) for a d of 1, 1/4, 1/16
  or 1/1024, in one of the inputs. It has a term for each place where the formula names the input: x sigmoid(x) has two.
  The unit is that of the largest term or of the lesser of the two sides, whichever is larger.
- Of rows. It is a sum over the outputs. The unit is that of the largest of these, or of the largest gradient that is
  left in the row when all sums, means and maxima along it are held fixed: of such terms these sums are made.

Forward figures are never relieved in this way.
"""

from __future__ import annotations

import importlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial

import mpmath
import numpy as np
from sympy.logic.boolalg import Boolean

from nngrad.codegen.algebra.symbols import Test, Value
from nngrad.codegen.certify import Oracle
from nngrad.codegen.judging.samples import points, rows, tuples
from nngrad.codegen.rules.ordinary import LIMITS
from nngrad.codegen.trace import PRESENT, Formula, Op

GOOD, FAIR = 4.0, 64.0
ORACLE = 1e-6  # what the oracle itself may be off
DTYPES = (np.float32, np.float64)
DIPS = (1.0, 0.25, 0.0625, 0.0009765625)
FAR = (80, 120, 180, 270, 405, 608)  # exponents of two along which a limit at infinity is looked for
NUMBERS = {  # for parameters that have none by default
    "min": -0.6, "max": 0.7, "threshold": 20.0, "value": 0.25, "posinf": 3.5, "neginf": -2.5,
}  # fmt: skip
# What an input means where it is not any number: a probability, one of two signs, a weight.
UNIT = {("binary_cross_entropy", "input"), ("binary_cross_entropy", "target")}
UNIT |= {("binary_cross_entropy_with_logits", "target"), ("kl_div", "target")}
SIGN = {("hinge_embedding_loss", "target")}
POSITIVE = {("binary_cross_entropy_with_logits", "pos_weight")}

# A kernel as it is measured: from arrays to its value, and a function from a cotangent to the inputs' cotangents.
Subject = Callable[[dict[str, np.ndarray]], tuple[np.ndarray, Callable[[np.ndarray], dict[str, np.ndarray]]]]


@dataclass
class Worst:
    """The largest error so far, and where it is."""

    ulp: float = 0.0
    at: str = ""

    def see(self, ulp: float, at: Callable[[], str]) -> None:
        if ulp > self.ulp:
            self.ulp, self.at = ulp, at()


@dataclass
class Entry:
    """One line of the certificate.

    Attributes:
        label: the op, with what sets it apart from its default: `gelu(approximate='tanh')`.
        forward: the worst of the values.
        gradient: the worst of the cotangents, by the convention above.
        plain: the worst of the cotangents without this; only in a row, where a cotangent is a sum over the outputs, the
            unit is that of the largest of these terms.
        faults: what must not be at all: a NaN, an infinity, a zero or a warning without reason.
    """

    label: str
    dtype: np.dtype
    forward: Worst = field(default_factory=Worst)
    gradient: Worst = field(default_factory=Worst)
    plain: Worst = field(default_factory=Worst)
    faults: list[str] = field(default_factory=list)

    @property
    def grade(self) -> str:
        worst = max(self.forward.ulp, self.gradient.ulp)
        if self.faults or worst > FAIR:
            return "broken"
        return "good" if worst <= GOOD else "fair"


# --- units in the last place ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """The numbers of a dtype: where they end and how they are spaced."""

    digits: int
    lowest: int
    limit: mpmath.mpf

    @classmethod
    def of(cls, dtype) -> Scale:
        info = np.finfo(dtype)
        return cls(int(info.nmant), int(info.minexp), mpmath.ldexp(1, int(info.maxexp)))

    def clamped(self, value):
        return min(max(value, -self.limit), self.limit)

    def spacing(self, value):
        exponent = mpmath.frexp(value)[1] - 1 if value else self.lowest
        exponent = min(max(int(exponent), self.lowest), int(mpmath.frexp(self.limit)[1]) - 2)
        return mpmath.ldexp(1, exponent - self.digits)

    def error(self, got, truth, size=0) -> float:
        """How many units the number is off; `size` gives the unit where it is larger than the truth."""
        if mpmath.isnan(truth):
            return 0.0
        if math.isnan(got):
            return math.inf
        off = abs(self.clamped(mpmath.mpf(float(got))) - self.clamped(truth))
        units = float(off / self.spacing(min(max(abs(truth), size), self.limit)))
        return units if units > ORACLE else 0.0

    def shown(self, truth) -> str:
        """An exact value for people; to print all digits of exp(1e38) takes as long as to compute them."""
        near = self.clamped(truth)
        number = 0.0 if 0 < abs(near) < mpmath.ldexp(1, self.lowest - 2 * self.digits) else float(near)
        return f"{number:.{9 if self.digits < 24 else 17}g}"

    def is_finite(self, truth) -> bool:
        return bool(abs(truth) < self.limit * (1 - mpmath.ldexp(1, -self.digits - 2)))


# --- what is measured -------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """Inputs for one call with the exact answers.

    Attributes:
        inputs: the arrays.
        value: exact values of the output.
        slopes: for each differentiable input exact derivatives: of each element by the same element of the input, or,
            in a row, `slopes[name][i, j]` of output i by input j.
        direct: in a row, gives the same for an input with all that is reduced held fixed.
        is_row: which of the two.
        name: of the kind of points.
    """

    inputs: dict[str, np.ndarray]
    value: np.ndarray
    slopes: dict[str, np.ndarray]
    direct: Callable[[str], np.ndarray] | None
    is_row: bool
    name: str = ""

    def bands(self) -> Iterator[Case]:
        """The points of like size by themselves: kernels do less where all inputs are within a limit."""
        numbers = [np.abs(array) for array in self.inputs.values() if array.dtype.kind == "f"]
        sizes = np.max(numbers, axis=0)
        for smallest, largest in itertools.pairwise((-1, *sorted(LIMITS))):
            inside = (sizes > smallest) & (sizes <= largest)
            inputs = {name: array[inside] for name, array in self.inputs.items()}
            slopes = {name: slope[inside] for name, slope in self.slopes.items()}
            yield replace(self, inputs=inputs, value=self.value[inside], slopes=slopes)

    def cotangents(self) -> Iterator[np.ndarray]:
        dtype = next(iter(array.dtype for array in self.inputs.values() if array.dtype.kind == "f"))
        shape = self.value.shape
        yield np.ones(shape, dtype)
        if self.is_row and shape:
            yield np.random.default_rng(4).normal(size=shape).astype(dtype)
            yield from np.eye(*shape, dtype=dtype)

    def gradient(self, name: str, g: np.ndarray):
        """(exact cotangents of an input, the sizes of their largest terms by output)."""
        slopes = self.slopes[name]
        if not self.is_row:
            return slopes, np.zeros(slopes.shape, dtype=object)
        terms = _column(g) * slopes
        return terms.sum(axis=0), np.abs(terms).max(axis=0)

    def where(self, place: int) -> str:
        """The inputs at an element, or the row."""
        if not self.is_row:
            return ", ".join(f"{name}={_number(array.flat[place])}" for name, array in self.inputs.items())
        return f"{self.name} row " + ", ".join(
            f"{name}=[{' '.join(_number(x) for x in array.flat)}]" for name, array in self.inputs.items()
        )


def _column(g) -> np.ndarray:
    return np.array([mpmath.mpf(float(one)) for one in g.flat], dtype=object)[:, None]


def _number(x) -> str:
    return f"{x:.9g}" if x.dtype == np.float32 else f"{x:.17g}" if x.dtype.kind == "f" else str(x)


class Exam:
    """One formula in one dtype: sample points with their exact answers, for any number of subjects."""

    def __init__(self, op: Op, formula: Formula, dtype, thin: int = 1):
        self.op, self.formula, self.dtype, self.thin = op, formula, np.dtype(dtype), thin
        self.scale = Scale.of(dtype)
        self.numbers, self.called = _arguments(op, formula)
        self.label = label_of(op, formula)
        self.oracle = Oracle(formula, self.numbers, mpmath.mpf(float(np.finfo(dtype).smallest_subnormal)))
        self.names = [value.name for value in formula.inputs]
        moving = {one.name for one in op.inputs if one.differentiable}
        self.moving = [name for name in self.names if name in moving]
        self.cases = list(self._rows() if formula.axes else self._points())

    # --- exact answers ------------------------------------------------------------------------------------------------

    def _points(self) -> Iterator[Case]:
        free = self.moving or self.names
        arrays = (points(self.dtype, self.thin),) if len(free) == 1 else tuples(self.dtype, len(free), self.thin)
        inputs = dict(zip(free, arrays, strict=True))
        random = np.random.default_rng(5)
        for name in self.names:
            if name not in inputs:
                inputs[name] = random.random(arrays[0].shape) < 0.5
                if (self.op.name, name) in SIGN:
                    inputs[name] = np.where(inputs[name], 1, -1).astype(self.dtype)
            elif (self.op.name, name) in UNIT:
                inputs[name] = np.where(np.abs(inputs[name]) <= 1, np.abs(inputs[name]), random.random(arrays[0].shape))
                inputs[name] = inputs[name].astype(self.dtype)
            elif (self.op.name, name) in POSITIVE:
                inputs[name] = np.abs(inputs[name])
        inputs = {name: inputs[name] for name in self.names}
        value = self.oracle(**inputs)
        real = np.array([not mpmath.isnan(one) for one in value], dtype=bool)
        inputs = {name: array[real] for name, array in inputs.items()}
        whole = Case(inputs, value[real], {name: self._slope(name, inputs) for name in self.moving}, None, is_row=False)
        yield whole
        yield from whole.bands()

    def _slope(self, name, inputs) -> np.ndarray:
        """The derivative by one input, with steps as small as it is."""
        size = np.array([_step_size(x) for x in inputs[name].flat], dtype=object).reshape(inputs[name].shape)
        return self.oracle.slope({name: size}, inputs, size)

    def _rows(self) -> Iterator[Case]:
        random = np.random.default_rng(6)
        for kind, own in rows(self.dtype, self.thin).items():
            inputs = {self.names[0]: np.stack(own)}
            for name in self.names[1:]:
                shape = inputs[self.names[0]].shape
                if name in self.formula.indices:
                    inputs[name] = random.integers(0, shape[-1], shape[:-1])
                else:
                    inputs[name] = random.normal(0, 1.2, shape).astype(self.dtype)
            value = self.oracle(**inputs)
            slopes = {name: self._jacobian(name, inputs, value.ndim) for name in self.moving}
            direct = cache(partial(self._jacobian, inputs=inputs, ndim=value.ndim, hold=True))
            for place in range(len(own)):
                yield Case(
                    {name: array[place] for name, array in inputs.items()},
                    np.asarray(value[place], dtype=object),
                    {name: jacobian[place] for name, jacobian in slopes.items()},
                    lambda name, direct=direct, place=place: direct(name)[place],
                    is_row=True,
                    name=kind,
                )

    def _jacobian(self, name, inputs, ndim, hold=False) -> np.ndarray:
        columns = []
        for column in range(inputs[name].shape[-1]):
            direction = np.zeros(inputs[name].shape, dtype=object)
            size = np.array([_step_size(x) for x in inputs[name][:, column]], dtype=object)
            direction[:, column] = size
            length = size.reshape(-1, *[1] * (ndim - 1))
            columns.append(self.oracle.slope({name: direction}, inputs, length, hold).reshape(len(size), -1))
        return np.stack(columns, axis=-1)

    # --- marking ------------------------------------------------------------------------------------------------------

    def mark(self, subject: Subject) -> Entry:
        """Measure a kernel."""
        entry = Entry(self.label, self.dtype)
        for case in self.cases:
            self._mark_values(case, subject, entry)
            self._mark_warnings(case, subject, entry)
        if not self.formula.axes and not any(stage.expr.has(Test) for stage in self.formula.stages):
            self._mark_specials(subject, entry)
        entry.faults = list(dict.fromkeys(entry.faults))
        return entry

    def _mark_values(self, case: Case, subject: Subject, entry: Entry) -> None:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y, pull = subject(case.inputs)
            pulled = [(g, pull(g)) for g in case.cotangents()]
        assert y.dtype == self.dtype and y.shape == case.value.shape, (entry.label, y.dtype, y.shape)
        for place, (got, truth) in enumerate(zip(y.flat, case.value.flat, strict=True)):
            entry.forward.see(self.scale.error(got, truth), lambda place=place: case.where(place))
        for g, gradients in pulled:
            for name in self.moving:
                got = gradients[name]
                assert got.dtype == self.dtype and got.shape == case.inputs[name].shape, (entry.label, name, got.shape)
                self._mark_cotangents(case, name, g, got, entry)

    def _mark_cotangents(self, case: Case, name: str, g, got, entry: Entry) -> None:
        truths, sizes = case.gradient(name, g)
        plain = [self.scale.error(*one) for one in zip(got.flat, truths.flat, sizes.flat, strict=True)]
        for place in sorted(range(got.size), key=lambda place: -plain[place]):
            if plain[place] <= min(entry.plain.ulp, entry.gradient.ulp):
                break  # those that are left are smaller still
            dx, truth, size = got.flat[place], truths.flat[place], sizes.flat[place]

            def at(place=place, dx=dx, truth=truth):
                shown = f", g=[{' '.join(_number(x) for x in g.flat)}]" if case.is_row and g.shape else ""
                by = f"d{name}[{place}] of " if case.is_row else f"d{name} at " if len(self.moving) > 1 else ""
                return f"{by}{case.where(place)}{shown}: {_number(dx)}, not {self.scale.shown(truth)}"

            entry.plain.see(plain[place], at)
            if plain[place] > max(GOOD, entry.gradient.ulp) and not math.isnan(dx):
                if case.is_row:
                    size = max(size, np.abs(_column(g) * case.direct(name)).max())
                else:
                    size = self._size_near_zero(case, name, place, truth)
            entry.gradient.see(self.scale.error(dx, truth, size), at)

    def _size_near_zero(self, case, name, place, truth):
        """The size of a gradient's largest term where it is smaller than on both sides of a point; 0 elsewhere."""
        size = mpmath.mpf(0)
        here = {
            one: np.array([mpmath.mpf(float(array.flat[place]))], dtype=object) for one, array in case.inputs.items()
        }
        for moved in self.moving:
            for dip in DIPS:
                lesser = mpmath.inf
                for side in (-1, 1):
                    if lesser > max(size, abs(truth)):
                        aside = self._slope(name, {**here, moved: here[moved] * (1 + side * mpmath.mpf(dip))}).item()
                        lesser = min(lesser, abs(aside))
                size = lesser if lesser > max(size, abs(truth)) else size
        return max(size, *map(abs, self._terms(name, here))) if size else size

    def _terms(self, name, inputs) -> list:
        """The terms of a derivative by one input: one for each place where the formula names it."""
        formula, places = _apart(self.formula, name)
        oracle = Oracle(formula, self.numbers, self.oracle.negligible * 1000)
        inputs = {**inputs, **dict.fromkeys(places, inputs[name])}
        size = np.array([_step_size(inputs[name].item())], dtype=object)
        slopes = [oracle.slope({place: size}, inputs, size).item() for place in places]
        return [slope for slope in slopes if not mpmath.isnan(slope)]

    def _mark_warnings(self, case: Case, subject: Subject, entry: Entry) -> None:
        """No warning where the inputs and the answer are finite."""
        for what, wanted in (("forward", [case.value]), ("gradient", list(case.slopes.values()))):
            if case.is_row:
                silent = np.array(all(self.scale.is_finite(one) for array in wanted for one in array.flat))
            else:
                finite = [[self.scale.is_finite(one) for one in array.flat] for array in (case.value, *wanted)]
                silent = np.array(finite, dtype=bool).all(axis=0)
            if not silent.any():
                continue
            inputs = case.inputs if case.is_row else {name: array[silent] for name, array in case.inputs.items()}
            message = _warning(subject, inputs, what)
            if message and not case.is_row:
                each = ({name: array[one : one + 1] for name, array in inputs.items()} for one in range(silent.sum()))
                found = [(one, _warning(subject, one, what)) for one in each]
                found = [(one, text) for one, text in found if text] or [(inputs, message)]
                inputs, message = found[0]
            if message:
                shown = Case(inputs, case.value, {}, None, case.is_row, case.name).where(0)
                entry.faults.append(f"{what} warns: {message} at {shown}")

    def _mark_specials(self, subject: Subject, entry: Entry) -> None:
        """NaN comes out where it went in; at infinity comes the limit, if there is one, or what the largest has."""
        others = (0.7, -1.3, 3.0)[: 1 if self.thin > 1 else 3]
        for name in self.moving or self.names[:1]:
            for other in others if len(self.names) > 1 else others[:1]:
                base = {one: np.full(1, other if one in self.moving else True) for one in self.names}
                base |= {one: np.full(1, 0.7) for one in self.names if (self.op.name, one) in UNIT}
                base = {one: array.astype(self.dtype) if one in self.moving else array for one, array in base.items()}
                if (len(self.names) == 1) or self._slope(name, base).item() not in (0, mpmath.nan):
                    y, _ = _quietly(subject, {**base, name: np.full(1, np.nan, self.dtype)}, ())
                    if not np.isnan(y).all():
                        entry.faults.append(f"{name}=nan gives {y.item():.6g}")
                for sign in (1, -1) if (self.op.name, name) not in UNIT else ():
                    self._mark_limits(subject, entry, base, name, sign)

    def _mark_limits(self, subject, entry, base, name, sign) -> None:
        sequence = [mpmath.mpf(float(np.finfo(self.dtype).max)), *(mpmath.ldexp(1, exponent) for exponent in FAR)]
        far = {**base, name: np.array([sign * x for x in sequence], dtype=object)}
        inputs = {**base, name: np.full(1, sign * np.inf, self.dtype)}
        y, pulled = _quietly(subject, inputs, self.moving)
        limits = {"y": (y, self.oracle(**far))} | {
            f"d{moved}": (pulled[moved], self._slope(moved, far)) for moved in self.moving
        }
        for what, (got, values) in limits.items():
            limit = _limit(values[1:])
            if limit is not None and not min(self.scale.error(got.item(), one) for one in (limit, values[0])) <= FAIR:
                at = ", ".join(f"{one}={array.item():.6g}" for one, array in inputs.items())
                entry.faults.append(f"{what}={got.item():.6g}, not {self.scale.shown(limit)}, at {at}")


def _apart(formula: Formula, name: str) -> tuple[Formula, list[str]]:
    """The formula with a name of its own for an input at each place where it stands, and these names."""
    places = []

    def renamed(expr):
        if isinstance(expr, Value) and expr.name == name:
            places.append(f"{name} at {len(places)}")
            return Value(places[-1])
        if not expr.args or isinstance(expr, Boolean):
            return expr
        return expr.func(*map(renamed, expr.args))

    stages = tuple(replace(stage, expr=renamed(stage.expr)) for stage in formula.stages)
    return replace(formula, stages=stages), places


def _step_size(x):
    return min(abs(mpmath.mpf(float(x)) if not isinstance(x, mpmath.mpf) else x), mpmath.mpf(1)) or mpmath.mpf(1)


def _limit(values):
    """What a sequence tends to: a number, an infinity, or None where it seems to tend to nothing."""
    if any(mpmath.isnan(value) for value in values):
        return None
    pairs = list(itertools.pairwise(values))
    if all(abs(a - b) <= abs(b) * mpmath.mpf(10) ** -20 for a, b in pairs):
        return values[-1]
    if all(abs(b) <= abs(a) * 0.7 for a, b in pairs):
        return mpmath.mpf(0)
    if all(a * b > 0 and abs(b) >= abs(a) * 1.4 for a, b in pairs):
        return mpmath.inf * mpmath.sign(values[-1])
    return None


def _quietly(subject, inputs, names):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y, pull = subject(inputs)
        return y, pull(np.ones(y.shape, y.dtype)) if names else {}


def _warning(subject, inputs, what) -> str:
    """The first warning of a kernel's forward or gradient, or ''."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with np.errstate(all="warn", under="ignore"):
            y, pull = subject(inputs)
            if what == "gradient":
                heard.clear()
                pull(np.ones(y.shape, y.dtype))
    return str(heard[0].message) if heard else ""


# --- nngrad's own kernels ---------------------------------------------------------------------------------------------


def kernel(op: Op, called: dict[str, object], ops: Mapping | None = None) -> Subject:
    """The generated kernel of an op as a subject; `ops` are those of another package."""
    own = (importlib.import_module("nngrad_ops").OPS if ops is None else ops)[op.name]

    def subject(inputs):
        arrays = [inputs.get(one.name) for one in op.inputs]
        result = own.forward(*arrays, **called)
        y, *saved = result if own.saves else (result,)
        values = [*arrays, y, *saved]

        def pull(g):
            residuals = [values[place] for place in own.residuals]
            if len(op.inputs) == 1:
                return {op.inputs[0].name: own.vjp(g, *residuals, **called)}
            needs = tuple(one.differentiable and one.name in inputs for one in op.inputs)
            return dict(
                zip((one.name for one in op.inputs), own.vjp(g, *residuals, needs=needs, **called), strict=True)
            )

        return y, pull

    return subject


def certify(op: Op, dtype, thin: int = 1, ops: Mapping | None = None) -> list[Entry]:
    """Measure an op's generated kernel, one of `ops`, in one dtype: one entry for each of its formulas."""
    found = [Exam(op, formula, dtype, thin) for formula in op.formulas]
    return [exam.mark(kernel(op, exam.called, ops)) for exam in found]


def table(entries: list[Entry]) -> str:
    """The certificate for people, and its score."""
    lines = [("op", "dtype", "forward", "gradient", "class", "worst forward at", "worst gradient at")]
    for entry in entries:
        figures = (f"{entry.forward.ulp:.3g}", f"{entry.gradient.ulp:.3g}")
        lines.append((entry.label, entry.dtype.name, *figures, entry.grade, entry.forward.at, entry.gradient.at))
    lines = [tuple(text[:72] for text in line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = []
    for place, line in enumerate(lines):
        shown.append("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        shown += [f"    ! {fault}" for fault in entries[place - 1].faults[:3] if place]
    classes = f"Good: at most {GOOD:g}, and nothing spurious. Fair: at most {FAIR:g}. Broken: all else."
    return "\n".join([*shown, "", f"Errors are in units in the last place. {classes}", *score(entries)])


def score(entries: list[Entry]) -> list[str]:
    """One line for each dtype."""
    lines = []
    for dtype in dict.fromkeys(entry.dtype for entry in entries):
        grades = [entry.grade for entry in entries if entry.dtype == dtype]
        lines.append(f"{dtype.name}: {grades.count('good')} of {len(grades)} good, {grades.count('broken')} broken")
    return lines


def _arguments(op: Op, formula: Formula):
    """(numbers for the formula's parameters, keyword arguments for the kernel)."""
    static = dict(formula.static)
    numbers, called = {}, {}
    for param in op.params:
        choice = static.get(param.name, PRESENT)
        if choice != PRESENT:
            called[param.name] = choice
            continue
        value = -1 if param.name == "axis" else NUMBERS.get(param.name, param.default)
        numbers[param.name] = called[param.name] = value
    if op.home == "loss":
        called["reduction"] = "none"
    return numbers, called


def label_of(op: Op, formula: Formula) -> str:
    """The op's name with those parameters that are not at their defaults."""
    defaults = {one.name: None for one in op.inputs} | {one.name: one.default for one in op.params}
    told = [
        name if value == PRESENT else f"{name}={value!r}" for name, value in formula.static if value != defaults[name]
    ]
    return f"{op.name}({', '.join(told)})" if told else op.name
