"""`nngrad.define`: an op at once, kept in the process and in a folder; formulas of several steps; what ops show."""

import copy
import json
import os
import pickle
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sympy")

from conftest import ROOT, run

import nngrad
import nngrad.nn.functional as F
from nngrad import Tensor, check_grads
from nngrad.codegen import define as definition
from nngrad.codegen.language import *  # noqa: F403
from nngrad.codegen.language import activation, cos, exp, log, loss, maximum, mean, op, sin, sqrt, sum, tanh
from nngrad.spec import relu, softmax

c, i, j, k, m = (globals()[letter] for letter in "cijkm")
SLOPE = 0.1
random = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """A folder of the tests' own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNGRAD_CACHE", str(folder))
        yield folder


def bent(x):
    return SLOPE * x**2 + sqrt(x**2 + 1)


@activation
def elbow(x, *, steep=2.0):
    """A bend, then a curve."""
    return bent(steep * x) / 3


def test_the_op_is_there_at_once():
    made = nngrad.define(elbow)
    x = np.array([-1.5, 0.0, 2.0])
    expected = (0.1 * 9 * x**2 + np.sqrt(9 * x**2 + 1)) / 3
    for dtype, digits in ((np.float16, 1e-2), (np.float32, 1e-6), (np.float64, 1e-13)):
        y = made(Tensor(x, dtype=dtype), 3.0)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.data, expected, rtol=digits, atol=digits)
    assert isinstance(made(1), Tensor) and made([1.0, 2.0], steep=0.5).shape == (2,)
    check_grads(made, (x,))
    assert made.__doc__.startswith("A bend, then a curve.") and repr(made) == f"<op {__name__}.elbow(x, steep=2.0)>"


def test_it_is_a_decorator_and_takes_a_bare_function():
    @nngrad.define
    def smooth(x, y):
        return log(exp(x) + exp(y))

    @nngrad.define(budget=100)
    @op
    def plain(x):
        return x**2

    assert smooth(1000.0, 0.0).item() == 1000.0 and plain(3.0).item() == 9.0


def test_the_same_content_is_the_same_op(monkeypatch):
    first = nngrad.define(elbow)
    assert nngrad.define(elbow) is first
    monkeypatch.setitem(globals(), "SLOPE", 0.2)
    second = nngrad.define(elbow)
    assert second is not first and second(1.0).item() == pytest.approx(first(1.0).item() + 0.4 / 3)


def test_an_entry_is_used_again_and_a_damaged_one_is_not(cache, monkeypatch):
    def renewed():
        definition._defined.clear()
        return nngrad.define(elbow)

    made = nngrad.define(elbow)
    folder = cache / made._kernel.__module__.removeprefix("_nngrad_").removesuffix(".kernels")
    monkeypatch.setattr(definition, "_generated", lambda *_: pytest.fail("it was there"))
    assert renewed()(1.0).item() == made(1.0).item()
    monkeypatch.undo()
    os.environ["NNGRAD_CACHE"] = str(cache)
    good = (folder / "kernels.py").read_text()
    entry = json.loads((folder / "entry.json").read_text())
    for name, text in [
        ("kernels.py", "def elbow(x): return 'wrong'\n"), ("kernels.py", ""), ("entry.json", "{"), ("entry.json", "[]"),
        ("entry.json", json.dumps({**entry, "files": 3})),
    ]:  # fmt: skip
        (folder / name).write_text(text)
        assert renewed()(1.0).item() == made(1.0).item()
        assert (folder / "kernels.py").read_text() == good


def test_the_key_holds_the_generator_and_its_tools(monkeypatch):
    from nngrad.codegen import stamp
    from nngrad.codegen.trace import trace

    traced = trace(elbow)
    before = definition._key(traced)
    assert definition._key(traced) == before
    definition._tools.cache_clear()
    monkeypatch.setattr(stamp, "version", lambda name: "0.0")
    assert definition._key(traced) != before
    definition._tools.cache_clear()


def test_a_folder_that_can_not_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path / "file"))

    @nngrad.define
    def unkept(x):
        return 7 * x

    assert unkept(2.0).item() == 14.0


SCRIPT = """
import sys, numpy as np, nngrad
assert "sympy" not in sys.modules
from nngrad.codegen.language import exp
from nngrad.codegen import define as definition
if len(sys.argv) > 1:
    definition._generated = None  # it must be there

@nngrad.define
def bell(x):
    return exp(-(x**2))

print(bell(np.array([0.0, 1.0])).numpy().round(4), bell.latex == bell.latex, bell.vjp_source.splitlines()[0])
"""


def test_a_second_process_finds_it(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    for more in ((), ("again",)):
        outcome = run(
            sys.executable, "script.py", *more, cwd=tmp_path, path=[ROOT, ROOT / "generated"],
            NNGRAD_CACHE=str(tmp_path / "cache"),
        )  # fmt: skip
        assert outcome.stdout == "[1.     0.3679] True def bell_vjp(g, slope, out=...):\n", outcome.stderr


def test_typed_code_has_no_source(tmp_path):
    code = "import nngrad\nexec(compile('def f(x):\\n    return x', '<typed>', 'exec'))\nnngrad.define(f)"
    outcome = run(sys.executable, "-c", code, cwd=tmp_path, path=[ROOT, ROOT / "generated"])
    assert "the source of f can't be read" in outcome.stderr and "in a cell of a notebook" in outcome.stderr


def test_without_the_extra_it_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'sympy':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    code = "import nngrad\nnngrad.tanh(1.0)\nnngrad.define"
    outcome = run(sys.executable, "-c", code, cwd=tmp_path, path=[tmp_path, ROOT, ROOT / "generated"])
    assert 'nngrad.define needs sympy, which is not installed: pip install "nngrad[codegen]"' in outcome.stderr


def test_an_inaccurate_formula_warns_each_time(monkeypatch):
    def cancelling(x):
        return sin(x + 1) - sin(x)

    for _ in range(2):
        definition._defined.clear()
        with pytest.warns(UserWarning, match=r"test_define\.py:\d+: in cancelling: no accurate form.* off at x = "):
            nngrad.define(cancelling)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nngrad.define(elbow)


# --- several steps ----------------------------------------------------------------------------------------------------


def dense(x, w, b):
    """A dense layer."""
    z = sum(x[..., k] * w[k, j], k)
    return relu(z + b)


def attention(q, key, v, *, scale=0.5):
    """Scaled dot-product attention, and its weights."""
    weights = softmax(scale * sum(q[..., i, m] * key[..., j, m], m), -1)
    return sum(weights[..., i, j] * v[..., j, k], j), weights


def moments(x, *, axis=-1):
    """Mean and variance."""
    centre = mean(x, axis)
    return centre, mean((x - centre) ** 2, axis)


def circle(x, *, turned=False):
    if turned:
        return -sin(x), cos(x)
    return cos(x), sin(x)


@loss
def projected(input, w, target):
    return (sum(input[..., k] * w[k, j], k) - target) ** 2


def squares(a, b):
    return sum(a[i, k] * b[k, j], k) * sum(a[i, k] * b[k, j], k) + 1


def gram(a):
    return sum(a[..., i, k] * a[..., j, k], k)


def kernel_of_rows(a, b):
    u, v = tanh(a), maximum(b, 0)
    return exp(-sum(u[..., i, k] * v[..., j, k], k) / 4)


A, B, C = random.normal(size=(3, 4)), random.normal(size=(4, 2)), random.normal(size=2)
Q = random.normal(size=(2, 3, 4))


def softened(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


WEIGHTS = softened(0.5 * Q @ Q.swapaxes(-1, -2))
STEPS = [
    (dense, (A, B, C), {}, np.maximum(A @ B + C, 0)),
    (attention, (Q, Q, Q), {}, (WEIGHTS @ Q, WEIGHTS)),
    (moments, (A,), {}, (A.mean(-1), A.var(-1))),
    (moments, (A,), {"axis": 0, "keepdims": True}, (A.mean(0, keepdims=True), A.var(0, keepdims=True))),
    (circle, (A,), {}, (np.cos(A), np.sin(A))),
    (circle, (A,), {"turned": True}, (-np.sin(A), np.cos(A))),
    (projected, (A, B, A[:, :2]), {}, np.mean((A @ B - A[:, :2]) ** 2)),
    (projected, (A, B, A[:, :2]), {"reduction": "none"}, (A @ B - A[:, :2]) ** 2),
    (squares, (A, B), {}, (A @ B) ** 2 + 1),
    (gram, (A,), {}, A @ A.T),
    (kernel_of_rows, (A, A), {}, np.exp(-(np.tanh(A) @ np.maximum(A, 0).T) / 4)),
]


@pytest.mark.parametrize(("formula", "arrays", "params", "expected"), STEPS)
def test_formulas_of_several_steps(formula, arrays, params, expected):
    """Index notation among other parts, and several outputs: values, every derivative, every dtype, kernels."""
    made = nngrad.define(formula)
    many = isinstance(expected, tuple)
    for dtype, digits in ((np.float32, 1e-5), (np.float64, 1e-12)):
        found = made(*(Tensor(array, dtype=dtype) for array in arrays), **params)
        assert isinstance(found, tuple) == many
        for y, value in zip(found if many else (found,), expected if many else (expected,), strict=True):
            assert y.dtype == dtype
            np.testing.assert_allclose(y.data, value, rtol=digits, atol=digits)
    for position in range(len(expected) if many else 1):

        def output(*inputs, position=position):
            return made(*inputs, **params)[position] if many else made(*inputs, **params)

        check_grads(output, arrays)
    kernel = made._kernel(*arrays, **params)
    np.testing.assert_allclose(kernel[0] if many else kernel, expected[0] if many else expected, rtol=1e-12)
    assert "def " in made.source and made.vjp_source.count("_vjp(") >= len(made.ops) and made.latex


def test_steps_have_the_names_that_the_author_gave():
    made = nngrad.define(attention)
    assert [one.name for one in made.ops] == ["attention_sum_q_key", "attention_weights", "attention_y"]
    assert "weights = attention_weights(sum_q_key, scale=scale)" in made.source.replace("_and_residuals", "")


def test_shapes_that_do_not_fit_name_the_step():
    with pytest.raises(ValueError, match=r"dense_z: .*shape \(3, 4\), \(2, 4\)"):
        nngrad.define(dense)(A, B.T, C)


def test_every_string_that_is_compared_with_is_known():
    """Also those that only a run for other strings comes to, which then has no formula."""

    @nngrad.define
    def scaled(x, *, mode="rms"):
        if mode == "rms":
            length = sqrt(mean(x**2, -1))
        elif mode == "l1":
            length = sum(x, -1)
        return x / length

    assert scaled([3.0, 1.0], mode="l1").tolist() == [0.75, 0.25]
    with pytest.raises(ValueError, match='mode must be "l1" or "rms", not \'l2\''):
        scaled([3.0, 1.0], mode="l2")


# --- what ops show ----------------------------------------------------------------------------------------------------


def test_builtin_ops_show_their_formula_and_code():
    assert F.softmax.latex.startswith(r"\begin{aligned} e &= \mathrm{e}^{x}") and r"\sum" in F.softmax.latex
    assert F.softmax.vjp_source.startswith("def softmax_vjp(g, y, axis=-1")
    assert F.silu.jvp_source and F.silu.source.count("def silu") == 2
    assert r"y_{\ldots i j} &= \sum\limits_{k} a_{\ldots i k}\, b_{\ldots k j}" in nngrad.matmul.latex
    assert "def reshape(" in nngrad.reshape.source
    with pytest.raises(AttributeError, match="reshape has no formula"):
        _ = nngrad.reshape.latex
    for function in (nngrad.tanh, F.gelu, nngrad.matmul, nngrad.norm):
        compile(function.source + "\n" + function.vjp_source, "shown", "exec")


def test_ops_are_functions_in_every_other_way():
    for function in (nngrad.exp, F.silu, nngrad.matmul, nngrad.norm):
        assert copy.deepcopy(function) is function and pickle.loads(pickle.dumps(function)) is function
        assert callable(function) and function.__name__ in repr(function)
    with pytest.raises(TypeError, match="silu"):
        F.silu()


def test_every_op_with_a_formula_has_latex():
    from nngrad_ops import OPS
    from nngrad_ops.latex import LATEX

    assert set(LATEX) == {name for name, one in OPS.items() if one.family != "structural" and name != "einsum"}


def of_exp(exp, b):
    return tanh(exp) * b


def test_an_input_called_as_a_word_is():
    """The forms of this one name both, the input exp and the function."""
    check_grads(nngrad.define(of_exp), ([0.3, -0.7], [1.0, 2.0]))


def of_a_parameter_g(x, y, *, g=2.0):
    return tanh(g * x) * y


def test_a_parameter_may_be_called_as_a_cotangent_is():
    """The names g, dx and dy are all taken."""
    check_grads(nngrad.define(of_a_parameter_g), ([0.3, -0.7], [1.0, 2.0]))
