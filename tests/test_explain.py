"""`--explain` and `nngrad.explain`: every op, in a terminal and in a notebook."""

import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import mpmath
import pytest
import sympy
from conftest import ROOT, ops_of

import nngrad
from nngrad.codegen import command, language
from nngrad.codegen.algebra.symbols import SpecError, Value
from nngrad.codegen.algebra.vocabulary import WORDS
from nngrad.codegen.choices import DEFAULT_PATH, Choices
from nngrad.codegen.explain import Explanation, explain
from nngrad.codegen.language import i, j
from nngrad.codegen.showing import terminal
from nngrad.codegen.showing.page import fragment, mathml
from nngrad.codegen.writing import plain

OPS = ops_of(command.SPEC)
CHOICES = Choices(DEFAULT_PATH)
VOID = {"meta", "link", "input", "br"}


class Balanced(HTMLParser):
    """Fails where tags do not close in the order in which they were opened."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def explained(name):
    return explain(OPS[name], CHOICES)


@pytest.mark.parametrize("name", OPS)
def test_every_op_is_explained(name):
    """Text, LaTeX that is MathML too, and code that compiles and defines the op."""
    one = explained(name)
    assert str(one).startswith(f"{name}  (") and OPS[name].doc in str(one)
    compile(one.code, name, "exec")
    assert f"def {name}(" in one.code and (f"def {name}_vjp(" in one.code or f"{name}_vjp = " in one.code)
    assert bool(one.latex) == (OPS[name].family != "structural" and name != "einsum")
    for line in one.latex.splitlines():
        assert line.count("{") == line.count("}")
        ElementTree.fromstring(mathml(line))
        words = set(re.findall(r"\\operatorname\{(\w+?)\}", line.replace(r"\_", "_")))
        assert words <= {*language.__all__, "isnan", "isinf", "signbit"}, "a word that only kernels know"


@pytest.mark.parametrize(
    ("name", "equations"),
    [
        (
            "softmax",
            [
                r"e = \mathrm{e}^{x}",
                r"y = \frac{e}{\sum\limits_{\text{axis}} e}",
                r"\overline{x} = y\, \left(g - \sum\limits_{\text{axis}} g\, y\right)",
            ],
        ),
        (
            "relu",
            [
                r"y = \max\left(x, 0\right)",
                r"\frac{d y}{d x} = \begin{cases} 0 & \text{if } x \leq 0 \\ 1 & \text{otherwise} \end{cases}",
            ],
        ),
        (
            "matmul",
            [
                r"y_{\ldots i j} = \sum\limits_{k} a_{\ldots i k}\, b_{\ldots k j}",
                r"\overline{a}_{\ldots i k} = \sum\limits_{j} g_{\ldots i j}\, b_{\ldots k j}",
                r"\overline{b}_{\ldots k j} = \sum\limits_{i} g_{\ldots i j}\, a_{\ldots i k}",
            ],
        ),
        (
            "log_softmax",
            [
                r"y = x - \log\left(\sum\limits_{\text{axis}} \mathrm{e}^{x}\right)",
                r"\overline{x} = g - \frac{\mathrm{e}^{x}\, \sum\limits_{\text{axis}} g}"
                r"{\sum\limits_{\text{axis}} \mathrm{e}^{x}}",
            ],
        ),
        (
            "multiply",
            [
                r"y = x_{1}\, x_{2}",
                r"\frac{\partial y}{\partial x_{1}} = x_{2}",
                r"\frac{\partial y}{\partial x_{2}} = x_{1}",
            ],
        ),
        ("mean", [r"y = \frac{\sum\limits_{\text{axis}} x}{n}", r"\overline{x} = \frac{g}{n}"]),
    ],
)
def test_mathematics(name, equations):
    assert explained(name).latex.splitlines() == equations


UNITS = {"binade"}  # in which inputs are counted: left out


@pytest.mark.parametrize("name", [*sorted(plain.PLAIN.keys() - UNITS), "finite", "log1mexp", "logit"])
def test_plain_words_mean_the_same(name):
    """How a word is written for the eye, against what it means to mpmath."""
    word = WORDS[name]
    symbols = list(map(Value, "abc"[: word.arity]))
    written = plain.without_guards(word.build(*symbols), (), set())
    points = [(x, y, 1.5)[: word.arity] for x in (0.3, 1.7, -0.7) for y in (2.6, -0.4) if name != "clamped" or y > 0]
    numbers = [dict(zip(symbols, map(sympy.Rational, map(str, args)), strict=True)) for args in points]
    shown = [sympy.N(written.xreplace(given), 20) for given in numbers]
    real = [(number, args) for number, args in zip(shown, points, strict=True) if number.is_real]
    assert real
    for number, args in real:
        with mpmath.workdps(20):
            assert mpmath.almosteq(mpmath.mpf(str(number)), word.oracle(*map(mpmath.mpf, map(str, args))), 1e-15)


def test_forms_are_weighed_and_one_is_taken():
    one = explain(OPS["tanhshrink"])
    of = {forms.of: forms for forms in one.cases[0].forms}
    assert set(of) == {"y", "dx"}
    for forms in of.values():
        assert [form.cost for form in forms.tried] == sorted(form.cost for form in forms.tried)
        assert forms.tried[forms.taken].error.ulp <= 3.5 and forms.why.startswith("Taken is ")
        assert len({form.form for form in forms.tried}) == len(forms.tried), "a form is listed twice"
    assert "as written" in map(of["y"].text, of["y"].tried)
    assert "<details>" in fragment(one) and 'class="taken"' in fragment(one)


def test_forms_for_inputs_of_ordinary_size():
    (case,) = explained("silu").cases
    assert case.limit > 0 and case.ordinary[0] == "e = exp(x)" and case.ordinary[-1].startswith("dx = g * (")
    assert f"Forms where no input is larger than {case.limit} in size\n    e = exp(x)\n" in str(explained("silu"))


def test_what_the_committed_pages_say():
    one = explained("silu")
    assert [row.dtype for row in one.measured] == ["float32", "float64"]
    assert set(one.measured[0].errors) == {"nngrad", "PyTorch", "JAX"} and one.measured[0].grade == "good"
    assert one.references == ("Elfwing et al. 2017",)
    rows = explained("maximum").conventions.rows
    assert {row[-2] for row in rows} == {"shared"} and len(rows) == 2
    assert explained("std").conventions.rows[0][1] == "[1, 1]"


# --- a terminal -------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colour_is_for_terminals(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.wants_colour(Terminal()) and not terminal.wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.wants_colour(Terminal())


@pytest.mark.parametrize("name", ["gelu", "layer_norm", "correlate1d", "reshape"])
def test_colour_changes_no_word(name):
    one = explained(name)
    painted = terminal.text(one, colour=True)
    assert "\x1b[" in painted and "\x1b[" not in str(one)
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == str(one)


@pytest.mark.parametrize("name", ["reshape", "concat", "einsum", "correlate2d"])
def test_explain_ops_without_a_formula_of_numbers(capsys, name):
    assert command.run(["--explain", name]) == 0
    page = capsys.readouterr().out
    assert f"def {name}(" in page and "\nResiduals\n" in page and "\nNote\n" in page


# --- a notebook -------------------------------------------------------------------------------------------------------


@language.activation
def softshrink(x, *, lambd=0.5):
    """With a convention of its own, which is found."""
    return language.where(language.abs(x) <= lambd, 0, x - lambd * language.sign(x))


@language.activation
def silu(x, *, beta=1.0):
    """A formula of a reader's own, by the name of one of nngrad's (Reader 2026)."""
    return x / (1 + language.exp(-beta * x))


def test_ways_to_ask():
    of_name, of_function, of_own = (nngrad.explain(one) for one in ("square", nngrad.square, silu))
    assert of_name == of_function and of_name.name == "square"
    assert isinstance(of_own, Explanation) and of_own.references == ("Reader 2026",)
    assert not of_own.measured and not of_own.conventions.rows, "those of another op of the name"
    assert r"\beta" in of_own.latex
    assert [row[1:] for row in nngrad.explain(softshrink).conventions.rows] == [
        ("x = -0.5", "0", "x", "1", "0", "0", "branch"),
        ("x = 0.5", "0", "x", "0", "1", "0", "branch"),
    ]
    assert "explain" not in nngrad.__all__ and "explain" in dir(nngrad)
    with pytest.raises(SpecError, match="did you mean square"):
        nngrad.explain("sqare")
    with pytest.raises(TypeError, match="explain takes the name or function"):
        nngrad.explain(len)


@language.op
def dense(x, w, b):
    """Two steps: a contraction, and what is elementwise."""
    return language.maximum(language.sum(x[..., i] * w[i, j], i) + b, 0)


@language.op
def polar(x, y):
    """Two outputs."""
    r = language.hypot(x, y)
    return r, language.arctan2(y, x)


def test_ops_in_steps():
    """Each step by its name, with equations that call its value so."""
    one = nngrad.explain(dense)
    assert [case.condition for case in one.cases] == ["step sum_x_w", "step y"]
    assert [case.formula[-1].latex.partition(" = ")[0] for case in one.cases] == [
        r"{\mathrm{sum\_x\_w}}_{\ldots j}",
        "y",
    ]
    assert "def dense_sum_x_w(" in one.code and "def dense_y_vjp(" in one.code
    steps = [case.formula[-1].latex for case in nngrad.explain(polar).cases]
    assert steps[0] == r"r = \sqrt{x^{2} + y^{2}}" and "arctan2" in steps[1]


def test_what_define_made_is_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("NNGRAD_CACHE", str(tmp_path))
    made = nngrad.define(silu)
    one = nngrad.explain(made)
    assert one.op.source == nngrad.explain(silu).op.source
    assert (
        made.latex == r"\begin{aligned} " + one.latex.replace(" = ", " &= ").replace("\n", r" \\ ") + r" \end{aligned}"
    )


def test_a_notebook_shows_formulas_code_and_a_picture():
    pytest.importorskip("matplotlib", reason='pip install "nngrad[gallery]" has what pictures need')
    html = explained("softplus")._repr_html_()
    reader = Balanced()
    reader.feed(html)
    assert reader.open == []
    assert (
        html.count("<math") >= 4
        and '<svg class="plot" role="img"' in html
        and '<span class="nf">softplus</span>' in html
    )
    assert not re.search(r"<script|<link|src=|@import|https?://(?!www\.w3\.org/)", html)


def test_a_notebook_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    html = explained("exp")._repr_html_()
    assert "<math" in html and "<svg" not in html


def test_without_the_extra_it_says_what_to_install():
    code = "import sys; sys.modules['sympy'] = None; import nngrad; nngrad.explain('exp')"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert outcome.returncode == 1
    assert "nngrad.explain needs sympy, which is not installed" in outcome.stderr
    assert 'pip install "nngrad[codegen]"' in outcome.stderr
