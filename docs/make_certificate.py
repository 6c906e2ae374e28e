"""Writes docs/certificate.md: the accuracy of every op beside PyTorch's and JAX's, measured on the same points.

    python docs/make_certificate.py [OP ...] [--prune]

Needs PyTorch and JAX, and some ten minutes on two cores. Given ops are measured alone, and put into the page that is
there; for these PyTorch and JAX may be missing, and their columns stay empty. Rows of ops that are no more go, with
`--prune` as the only argument they alone.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
from tqdm import tqdm

from nngrad.codegen.command import SPEC
from nngrad.codegen.judging.certificate import DTYPES, FAIR, GOOD, Exam, kernel, label_of
from nngrad.codegen.pipeline import load_spec
from nngrad.codegen.trace import trace

# fmt: off
SET = [
    "exp2", "log2", "log10", "rsqrt", "cbrt", "reciprocal", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh",
    "arcsinh", "arccosh", "arctanh", "arctan2", "hypot", "sinc", "erf", "logaddexp", "xlogy", "selu", "celu", "mish",
    "logsigmoid", "softsign", "tanhshrink", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink",
    "smooth_l1_loss", "huber_loss", "kl_div", "rms_norm", "add", "subtract", "multiply", "divide", "negative", "power",
    "square", "abs", "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tanh", "sigmoid", "maximum", "minimum",
    "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "softmax", "log_softmax", "logsumexp", "layer_norm",
    "cross_entropy", "binary_cross_entropy_with_logits",
]
# fmt: on
NAMES = ("nngrad", "PyTorch", "JAX")
PAGE = """# Certificate

How far every op is from the exact value, forward and gradient, in units in the last place (ulp) of its dtype, beside
PyTorch and JAX on the same points. `python docs/make_certificate.py` writes this page;
`python -m nngrad.codegen --certify` measures nngrad alone, on your machine, and says where each figure is.

{machine}

## Score

Over the {count} functions that the three have most in common: {names}. What a library does not have is not counted.

{score}

*Good*: at most {good} ulp forward and gradient, and nothing spurious. *Fair*: at most {fair}. *Broken*: worse, or
spurious: a NaN or a zero where there is a number, another value at infinity than the limit, no NaN where a NaN went in,
or from NumPy a RuntimeWarning for finite input with a finite answer.

## How it is measured

The exact value is that of the formula in `nngrad/spec`, at the exact input, by mpmath in 40 to 1600 digits, until
two precisions agree to 24 digits. Exact gradients are central differences of that formula, never a derivative that
somebody wrote or SymPy found. Where the two one-sided slopes differ, at a kink, no gradient is judged.

Points are: every binade from the smallest subnormal number to the largest number (in float64 every eighth) in both
signs, all of [-12, 12] and of the range in which exp is finite, the neighbourhoods of bounds and thresholds down to the
last digit, zeros, infinities and NaN. Pairs: any magnitudes, like and unlike, nearly equal, whole. Rows: moderate,
spread over 80 and 700, saturated, 1e4 + 0.01 z, constant, single, tiny, huge, of all sizes; cotangents of ones, random
ones, and every unit vector. Probabilities are drawn from [0, 1]; a target that is a sign is -1 or 1.

An error is |got - exact| over the spacing of floating-point numbers at the exact value, below the smallest normal
number the spacing of subnormal ones. Infinity counts as the power of two after the largest number, so that what
overflows is judged like the rest. XLA flushes subnormal numbers to zero on a CPU, and is judged by what comes out.

A gradient that passes through zero is there a small difference of large terms, and no more exact than these. So near
a zero, and only there, the spacing is that of its largest term:

- Of numbers: it is near a zero where it is smaller than on both sides, at x(1 - d) and x(1 + d) for a d of 1, 1/4, 1/16
  or 1/1024, in one of the inputs. It has a term for each place where the formula names the input: x sigmoid(x) has two.
  The unit is that of the largest term or of the lesser of the two sides, whichever is larger.
- Of rows: it is a sum over the outputs. The unit is that of the largest of these, or of the largest gradient that
  is left in the row when all sums, means and maxima along it are held fixed: of such terms these sums are made.

Forward figures are never relieved in this way. What is not good is bold; `!` is something spurious, `inf` a NaN or an
infinity where there is a number.

{tables}
"""


def pytorch():
    """PyTorch's functions by the names of our ops."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    same = """
        exp2 log2 log10 rsqrt reciprocal tan arcsin arccos arctan sinh cosh arcsinh arccosh arctanh arctan2 hypot sinc
        logaddexp xlogy add subtract multiply divide negative square abs exp log log1p expm1 sqrt sin cos tanh sigmoid
        maximum minimum relu erfc sign floor erf where
    """
    functions = {name: getattr(torch, name) for name in same.split()}
    activations = """
        selu celu mish logsigmoid softsign tanhshrink hardtanh hardsigmoid hardswish hardshrink softshrink leaky_relu
        elu gelu silu
    """
    functions |= {name: getattr(F, name) for name in activations.split()}
    losses = """
        smooth_l1_loss huber_loss kl_div binary_cross_entropy_with_logits l1_loss mse_loss cross_entropy
    """

    def unreduced(loss):
        return lambda input, target: loss(input, target, reduction="none")

    functions |= {name: unreduced(getattr(F, name)) for name in losses.split()}
    functions |= {
        "power": torch.pow,
        "gelu(approximate='tanh')": lambda x: F.gelu(x, approximate="tanh"),
        "softplus(threshold)": F.softplus,
        "sum": lambda x: torch.sum(x, -1),
        "mean": lambda x: torch.mean(x, -1),
        "var": lambda x: torch.var(x, -1, correction=0),
        "std": lambda x: torch.std(x, -1, correction=0),
        "prod": lambda x: torch.prod(x, -1),
        "max": lambda x: torch.amax(x, -1),
        "min": lambda x: torch.amin(x, -1),
        "softplus": F.softplus,
        "softmax": lambda x: F.softmax(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "logsumexp": lambda x: torch.logsumexp(x, -1),
        "layer_norm": lambda x: F.layer_norm(x, x.shape, eps=1e-5),
        "rms_norm": lambda x: F.rms_norm(x, x.shape, eps=1e-5),
    }

    def subject(function):
        def run(inputs):
            tensors = [torch.tensor(array) for array in inputs.values()]
            moving = {name: x for name, x in zip(inputs, tensors, strict=True) if x.is_floating_point()}
            for x in moving.values():
                x.requires_grad_()
            y = function(*tensors)

            def pull(g):
                gradients = torch.autograd.grad(
                    y, list(moving.values()), torch.tensor(g), retain_graph=True, allow_unused=True
                )
                return {
                    name: np.zeros_like(inputs[name]) if dx is None else dx.numpy()
                    for name, dx in zip(moving, gradients, strict=True)
                }

            return y.detach().numpy(), pull

        return run

    return f"PyTorch {torch.__version__}", {name: subject(function) for name, function in functions.items()}


def jax():
    """JAX's functions by the names of our ops."""
    import jax
    import jax.numpy as jnp
    import jax.scipy.special as special

    jax.config.update("jax_enable_x64", True)
    same = """
        exp2 log2 log10 cbrt reciprocal tan arcsin arccos arctan sinh cosh arcsinh arccosh arctanh arctan2 hypot sinc
        logaddexp add subtract multiply divide negative power square abs exp log log1p expm1 sqrt sin cos tanh
        maximum minimum sign floor where
    """
    functions = {name: getattr(jnp, name) for name in same.split()}
    same = "selu celu mish relu leaky_relu elu silu softplus sigmoid softmax log_softmax logsumexp"
    functions |= {name: getattr(jax.nn, name) for name in same.split()}
    functions |= {
        "rsqrt": jax.lax.rsqrt,
        "erf": special.erf,
        "erfc": special.erfc,
        "xlogy": special.xlogy,
        "logsigmoid": jax.nn.log_sigmoid,
        "softsign": jax.nn.soft_sign,
        "hardtanh": jax.nn.hard_tanh,
        "hardsigmoid": jax.nn.hard_sigmoid,
        "hardswish": jax.nn.hard_swish,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "gelu(approximate='tanh')": jax.nn.gelu,
        "sum": lambda x: jnp.sum(x, -1),
        "mean": lambda x: jnp.mean(x, -1),
        "var": lambda x: jnp.var(x, -1),
        "std": lambda x: jnp.std(x, -1),
        "prod": lambda x: jnp.prod(x, -1),
        "max": lambda x: jnp.max(x, -1),
        "min": lambda x: jnp.min(x, -1),
        "layer_norm": lambda x: jax.nn.standardize(x, epsilon=1e-5),
    }

    def subject(function):
        def run(inputs):
            y, vjp = jax.vjp(function, *map(jnp.asarray, inputs.values()))

            def pull(g):
                return dict(zip(inputs, map(np.asarray, vjp(jnp.asarray(g))), strict=True))

            return np.asarray(y), pull

        return run

    return f"JAX {jax.__version__}", {name: subject(function) for name, function in functions.items()}


@cache
def measurable():
    return {op.name: op for op in map(trace, load_spec(SPEC)) if op.formulas}


@cache
def peers():
    """PyTorch and JAX: each its title, and its functions by the names of our ops."""
    if len(sys.argv) == 1:
        return [pytorch(), jax()]
    found = []
    for name, peer in zip(NAMES[1:], (pytorch, jax), strict=True):
        try:
            found.append(peer())
        except ModuleNotFoundError:
            found.append((name, {}))
    return found


def measure(task):
    """The entries of one op in one dtype: for each formula those of nngrad, PyTorch and JAX, None where it has none."""
    name, dtype = task
    op = measurable()[name]
    found = []
    for formula in op.formulas:
        exam = Exam(op, formula, dtype)
        subjects = [kernel(op, exam.called), *(functions.get(exam.label) for _, functions in peers())]
        found.append([subject and exam.mark(subject) for subject in subjects])
    return found


def cell(entry, worst, other):
    if entry is None:
        return ""
    text = f"{worst.ulp:.1f}" if worst.ulp < 1000 else f"{worst.ulp:.0e}".replace("e+", "e").replace("e0", "e")
    spurious = "!" if entry.faults and worst.ulp >= other.ulp else ""
    return f"**{text}{spurious}**" if worst.ulp > GOOD or spurious else text


def table(lines, names):
    titles = [f"{name} {what}" for name in names for what in ("forward", "gradient")]
    shown = [f"| op | {' | '.join(titles)} | class |", f"|---|{'--:|' * len(titles)}---|"]
    for entries in lines:
        cells = []
        for entry in entries:
            forward, gradient = (entry.forward, entry.gradient) if entry else (None, None)
            cells += [cell(entry, forward, gradient), cell(entry, gradient, forward)]
        shown.append(f"| {entries[0].label} | {' | '.join(cells)} | {entries[0].grade} |")
    return "\n".join(shown)


def details(lines):
    """Where nngrad is not good."""
    shown = []
    for entry in (entries[0] for entries in lines):
        if entry.grade != "good":
            worst = [
                f"{what} {one.ulp:.3g} ulp at {one.at}"
                for what, one in (("forward", entry.forward), ("gradient", entry.gradient))
                if one.ulp > GOOD
            ]
            shown.append(f"- {entry.label}: " + "; ".join([*worst, *entry.faults[:2]]))
    return "\n".join(shown)


def score(lines, names):
    shown = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for dtype in DTYPES:
        cells = []
        for place in range(len(names)):
            grades = [
                entries[place].grade
                for entries in lines
                if entries[0].label in SET and entries[0].dtype == dtype and entries[place]
            ]
            good, broken = grades.count("good"), grades.count("broken")
            cells.append(f"{good} of {len(grades)} good, {broken} broken")
        shown.append(f"| {np.dtype(dtype).name} | {' | '.join(cells)} |")
    return "\n".join(shown)


def machine(titles):
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    ours = f"Python {platform.python_version()}, NumPy {np.__version__}, mpmath {mpmath.__version__}"
    return f"Measured on {cpu}, {os.cpu_count()} cores, with {', '.join([ours, *titles])}."


def measured(names):
    """The entries of these ops, dtype by dtype."""
    tasks = [(name, dtype) for dtype in DTYPES for name in names]
    if not tasks:
        return []
    with multiprocessing.get_context("spawn").Pool(min(len(tasks), os.cpu_count() or 1)) as pool:
        return [one for found in tqdm(pool.imap(measure, tasks), total=len(tasks), unit="op") for one in found]


def with_ops(page, lines):
    """The page with the rows of these entries, and without those of ops that are no more."""
    labels = [label_of(op, formula) for op in measurable().values() for formula in op.formulas]
    for dtype in DTYPES:
        heading, rest = f"## {np.dtype(dtype).name}\n", ""
        before, _, own = page.partition(heading)
        own, marked, rest = own.partition("\n\n## ")
        rows = table([entries for entries in lines if entries[0].dtype == dtype], NAMES).splitlines()[2:]
        notes = details([entries for entries in lines if entries[0].dtype == dtype]).splitlines()
        titles = [line for line in own.splitlines() if line.startswith("|")][:2]
        old = [line for line in own.splitlines() if line.startswith(("| ", "- "))][1:]
        known = {label_in(line): line for line in old if line.startswith("|")}
        known |= {label_in(row): row for row in rows}
        noted = {label_in(line): line for line in old if line.startswith("-")}
        noted = {label: line for label, line in noted.items() if label not in {label_in(row) for row in rows}}
        noted |= {label_in(note): note for note in notes}
        listed = "\n".join([*titles, *(known[label] for label in labels if label in known)])
        shown = "\n".join(noted[label] for label in labels if label in noted)
        page = before + heading + f"\n{listed}\n\nWhere nngrad is not good:\n\n{shown}" + (marked + rest or "\n")
    return page


def label_in(line):
    """The label of an op in a row of the table, or in a note below it."""
    return line[2:].partition(" | ")[0] if line.startswith("|") else line[2:].partition(": ")[0]


def main():
    target = Path(__file__).with_name("certificate.md")
    if len(sys.argv) > 1:
        lines = measured([name for name in sys.argv[1:] if name != "--prune"])
        target.write_text(with_ops(target.read_text(encoding="utf-8"), lines), encoding="utf-8")
        return
    lines = measured(measurable())
    titles = [title for title, _ in peers()]
    tables = []
    for dtype in DTYPES:
        own = [entries for entries in lines if entries[0].dtype == dtype]
        tables += [f"## {np.dtype(dtype).name}", table(own, NAMES), "Where nngrad is not good:", details(own)]
    target.write_text(
        PAGE.format(
            machine=machine(titles), count=len(SET), names=", ".join(SET), score=score(lines, NAMES),
            good=f"{GOOD:g}", fair=f"{FAIR:g}", tables="\n\n".join(tables),
        ),
        encoding="utf-8",
    )  # fmt: skip


if __name__ == "__main__":
    main()
