"""Every op keeps its class of accuracy; and the measure itself can fail.

The classes are those of docs/certificate.md. An op that gets worse is a failure, never a new page. The default run
looks at a part of the points; `pytest -m slow` at all of them.
"""

import re

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")

from conftest import ROOT, ops_of
from nngrad_ops import OPS

from nngrad.codegen import command
from nngrad.codegen.certify import Oracle
from nngrad.codegen.judging.certificate import FAIR, GOOD, Exam, Scale, kernel, label_of
from nngrad.codegen.language import arctan, log, sqrt
from nngrad.codegen.language import op as declared
from nngrad.codegen.trace import trace

ORDER = ("good", "fair", "broken")
TRACED = {name: op for name, op in ops_of(command.SPEC).items() if op.formulas}
DTYPES = ["float32", "float64"]


def documented():
    """(op with its parameters, dtype) -> class, as the page has it."""
    classes, dtype = {}, ""
    for line in (ROOT / "docs" / "certificate.md").read_text(encoding="utf-8").splitlines():
        dtype = line[3:] if line.startswith("## float") else dtype
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[-1] in ORDER:
            classes[cells[0], dtype] = cells[-1]
    return classes


CLASSES = documented()


def hold(op, formula, dtype, thin):
    exam = Exam(op, formula, dtype, thin)
    entry = exam.mark(kernel(op, exam.called))
    held = CLASSES.get((entry.label, dtype))
    assert held, f"{entry.label} is not in docs/certificate.md: run python docs/make_certificate.py"
    assert ORDER.index(entry.grade) <= ORDER.index(held), f"{entry.label} was {held}: {entry}"


FORMULAS = {label_of(op, formula): (op, formula) for op in TRACED.values() for formula in op.formulas}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TRACED)
def test_no_op_is_worse_than_its_class(name, dtype):
    hold(*FORMULAS[name], dtype, thin=32)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", FORMULAS)
def test_no_op_is_worse_than_its_class_anywhere(label, dtype):
    hold(*FORMULAS[label], dtype, thin=1)


def test_the_page_has_no_op_that_is_gone():
    assert {label.partition("(")[0] for label, _ in CLASSES} == TRACED.keys()


# --- the measure ------------------------------------------------------------------------------------------------------


def exam_of(name, dtype="float32"):
    return Exam(TRACED[name], TRACED[name].formulas[-1], dtype, thin=16)


def marked(exam, forward=lambda y, inputs: y, gradient=lambda dx, inputs: dx):
    """The entry of nngrad's kernel with something done to its results."""
    honest = kernel(exam.op, exam.called)

    def subject(inputs):
        y, pull = honest(inputs)
        return forward(y, inputs), lambda g: {name: gradient(dx, inputs) for name, dx in pull(g).items()}

    return exam.mark(subject)


def off_by(units):
    def wrong(array, inputs):
        with np.errstate(over="ignore"):
            return np.where(np.isfinite(array), array + array.dtype.type(units) * np.spacing(array), array)

    return wrong


@pytest.mark.parametrize("name", ["exp", "add", "softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ten_units_are_seen(name, dtype):
    exam = exam_of(name, dtype)
    assert marked(exam).grade == "good"
    forward, gradient = marked(exam, forward=off_by(10)), marked(exam, gradient=off_by(10))
    assert forward.grade == gradient.grade == "fair"
    # just below a power of two the exact value's unit is half of the result's, so that up to twenty are seen
    assert 7 < forward.forward.ulp < 23 and forward.gradient.ulp <= GOOD
    assert 7 < gradient.gradient.ulp < 23 and gradient.forward.ulp <= GOOD
    assert marked(exam, gradient=off_by(100)).grade == "broken"


def test_a_nan_in_one_place_is_seen():
    def leak(array, inputs):
        return np.where(inputs["x"] > 3e38, np.float32(np.nan), array)

    for entry in (marked(exam_of("tanh"), forward=leak), marked(exam_of("tanh"), gradient=leak)):
        assert entry.grade == "broken" and np.isinf(max(entry.forward.ulp, entry.gradient.ulp))


def test_a_zero_where_there_is_a_number_is_seen():
    """As in PyTorch, whose tanh' is 0 from 9.02 on in float32."""
    entry = marked(exam_of("tanh"), gradient=lambda dx, inputs: np.where(np.abs(inputs["x"]) > 9.1, 0 * dx, dx))
    assert entry.grade == "broken" and ": 0, not " in entry.gradient.at


def test_a_wrong_limit_a_lost_nan_and_a_warning_are_seen():
    one = marked(exam_of("tanh"), forward=lambda y, inputs: np.where(np.isinf(inputs["x"]), y * 0, y))
    assert [fault for fault in one.faults if "x=inf" in fault]
    two = marked(exam_of("tanh"), forward=lambda y, inputs: np.nan_to_num(y))
    assert two.faults == ["x=nan gives 0"]
    three = marked(exam_of("tanh"), forward=lambda y, inputs: (np.exp(np.abs(inputs["x"])), y)[1])
    assert "forward warns: overflow" in three.faults[0]


def test_an_error_near_a_zero_counts_by_the_largest_term_and_elsewhere_by_the_value():
    exam = exam_of("silu")
    root = np.float32(-1.2784645)  # where the derivative is zero; its two terms are 0.22 there

    def near(array, inputs):
        return np.where(np.abs(inputs["x"] - root) < 0.01, array + np.float32(2**-26), array)

    case = exam.cases[0]
    x = np.array([root, 3.0, -20.0], dtype=np.float32)
    slopes = exam._slope("x", {"x": x})
    case.inputs, case.value, case.slopes = {"x": x}, exam.oracle(x=x), {"x": slopes}
    entry = marked(exam, gradient=near)
    assert entry.plain.ulp > 1000 and entry.gradient.ulp <= GOOD
    far = marked(exam, gradient=lambda dx, inputs: np.where(inputs["x"] < -19, dx * np.float32(1.001), dx))
    assert far.gradient.ulp > FAIR


@pytest.mark.parametrize("dtype", DTYPES)
def test_units_are_those_of_numpy(dtype):
    scale, info = Scale.of(dtype), np.finfo(dtype)
    for x in (1.0, 1.5, -3.0, info.max / 2, info.tiny, info.tiny / 2, info.smallest_subnormal, -0.1):
        x = np.dtype(dtype).type(x)
        assert scale.spacing(mpmath.mpf(float(x))) == abs(np.spacing(x).astype(float))
    assert scale.error(np.inf, mpmath.mpf(2) ** 5000) == 0 == scale.error(info.max, mpmath.mpf(float(info.max)))
    assert scale.error(info.max, mpmath.inf) == 1 == scale.error(np.inf, mpmath.mpf(float(info.max)))
    assert scale.error(0.0, mpmath.mpf(10) ** -5000) == 0 < scale.error(np.nan, mpmath.mpf(1)) == np.inf


# --- the oracle -------------------------------------------------------------------------------------------------------


def oracle_of(name):
    op = TRACED[name]
    return Oracle(op.formulas[-1], {one.name: one.default for one in op.params})


def test_digits_grow_until_they_suffice():
    x = np.array([-700.0, -1e300, 5e-324, 1e308])
    value, slope = oracle_of("softplus")(x=x), oracle_of("softplus").slope({"x": np.ones(4)}, {"x": x})
    with mpmath.workdps(30):
        for got in (value[0], slope[0]):
            assert abs(got / mpmath.exp(-700) - 1) < 1e-20
    assert value[1] == slope[1] == 0 and abs(slope[2] - 0.5) < 1e-20 > abs(slope[3] - 1)
    cubed = oracle_of("tanhshrink")(x=np.array([1e-100]))
    assert abs(cubed[0] / (mpmath.mpf(1e-100) ** 3 / 3) - 1) < 1e-20


def test_steps_are_seen_beside_the_squares_of_large_and_small_numbers():
    """Where both of two rungs are blind to them, these agree."""

    @declared
    def area(x):
        return x * log(x + sqrt(1 + x**2)) - sqrt(1 + x**2)

    @declared
    def bowl(x):
        return x * arctan(x) - log(1 + x**2) / 2

    one = {"x": np.ones(1)}
    large, small = np.array([-1e91]), np.array([-3e-33])
    with mpmath.workdps(40):
        slope = Oracle(trace(area).formulas[0], {}).slope(one, {"x": large})
        assert abs(slope[0] + mpmath.asinh(-large[0])) < 1e-20
        slope = Oracle(trace(bowl).formulas[0], {}).slope({"x": small}, {"x": small}, small)
        assert abs(slope[0] / mpmath.mpf(small[0]) - 1) < 1e-20


def test_there_is_no_slope_at_a_kink():
    slope = oracle_of("abs").slope({"x": np.ones(2)}, {"x": np.array([0.0, 1.0])})
    assert mpmath.isnan(slope[0]) and abs(slope[1] - 1) < 1e-20


def test_inputs_may_be_called_alike():
    """As r and r0, or x and x1: steps along one are no values of the other."""

    @declared
    def quotient(r, r0, r1):
        return r / r0 + r1

    oracle = Oracle(trace(quotient).formulas[0], {})
    inputs = {"r": np.array([3.0]), "r0": np.array([2.0]), "r1": np.array([5.0])}
    one = {"r": np.ones(1)}
    assert abs(oracle.slope(one, inputs)[0] - 0.5) < 1e-20
    assert abs(oracle.curvature(one, {"r0": np.ones(1)}, inputs)[0] + 0.25) < 1e-20


def test_points_cover_the_range():
    for dtype in DTYPES:
        info = np.finfo(dtype)
        whole, *bands = exam_of("exp", dtype).cases
        x = whole.inputs["x"]
        assert {info.smallest_subnormal, info.tiny, info.max, -info.max, 0.0} <= set(x.tolist())
        assert x.size > 100 and np.isfinite(x).all()
        within = np.sort(np.concatenate([case.inputs["x"] for case in bands]))
        np.testing.assert_array_equal(within, x[np.abs(x) <= 64], "the points of ordinary size come again")


def test_page_reads_as_it_is_written():
    assert OPS.keys() >= TRACED.keys() and len(CLASSES) >= 2 * len(TRACED)
    assert re.search(r"\| float32 \| \d+ of \d+ good, \d+ broken \|", (ROOT / "docs" / "certificate.md").read_text())


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_measures_what_is_asked_for(checkout, tmp_path):
    outcome = checkout.codegen("--certify", "negative")
    assert outcome.returncode == 0, outcome.stderr
    assert "float32: 1 of 1 good, 0 broken\nfloat64: 1 of 1 good, 0 broken" in outcome.stdout
    copy = checkout.copy(tmp_path / "broken")
    kernels = copy.generated / "mathematics.py"
    kernels.write_text(kernels.read_text().replace("return np.negative(g, out=out)", "return np.positive(g, out=out)"))
    outcome = copy.codegen("--certify", "negative")
    assert outcome.returncode == 1 and "float64: 0 of 1 good, 1 broken" in outcome.stdout


def test_the_command_measures_formulas_of_ones_own(checkout, tmp_path, capsys):
    spec = tmp_path / "own.py"
    head = "from nngrad.codegen.language import op, sin\n\n\n@op\n"
    spec.write_text(head + "def better(x):\n    return 2 * x\n\n\n@op\ndef worse(x):\n    return sin(x + 1) - sin(x)\n")
    outcome = checkout.codegen("--spec", spec, "--certify", "better")
    assert outcome.returncode == 0, outcome.stderr
    assert "float32: 1 of 1 good, 0 broken\nfloat64: 1 of 1 good, 0 broken" in outcome.stdout
    outcome = checkout.codegen("--spec", spec, "--certify")
    assert outcome.returncode == 1 and "float64: 1 of 2 good, 1 broken" in outcome.stdout
    assert command.run(["--spec", str(spec), "--certify", "beter"]) == 2
    assert "did you mean better?" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "word"), [("exps", "did you mean exp?"), ("reshape", "reshape is structural")])
def test_the_command_knows_its_ops(capsys, name, word):
    assert command.run(["--certify", name]) == 2
    assert word in capsys.readouterr().err
