"""An explanation as HTML: for a page of the gallery, and for a notebook.

Formulas are MathML, code is highlighted, the picture is inline SVG. Nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import re
from functools import cache

import jinja2
from latex2mathml.converter import convert
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from nngrad.codegen.emit import templates_folder
from nngrad.codegen.explain import Explanation
from nngrad.codegen.lowering.assemble import formula_lines
from nngrad.codegen.showing import plots

ORIGINS = {
    "derived": "derived from its formula",
    "word": "a word of the language",
    "table": "tabulated with its adjoint",
}
PLAIN = re.compile(r'<span class="(?:n|o|p|w|nn|nb|bp)">([^<]*)</span>')  # tokens without a colour of their own


@cache
def environment() -> jinja2.Environment:
    """The templates of pages, with the filters that they use."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_folder() / "gallery"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"math": mathml, "python": python, "words": words, "breakable": breakable}
    return made


def mathml(latex: str) -> Markup:
    """A formula as MathML, its LaTeX kept as an annotation."""
    upright = re.sub(
        r"\\(?:mathrm|operatorname)\{([^{}]*)\}", lambda match: rf"\text{{{match[1]}}}".replace(r"\_", "_"), latex
    )
    text = convert(upright, display="block").replace('<mo accent="true">&#x02015;', '<mo stretchy="true">&#x0203E;')
    start, end = text.index(">") + 1, text.rindex("</math>")
    note = f'<annotation encoding="application/x-tex">{escape(latex)}</annotation>'
    return Markup(f"{text[:start]}<semantics>{text[start:end]}{note}</semantics></math>")


def python(source: str) -> Markup:
    """Python source, highlighted."""
    return Markup(PLAIN.sub(r"\1", highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))).rstrip("\n"))


def words(text: str) -> Markup:
    """Prose, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after each `_`."""
    return Markup("_<wbr>").join(name.split("_"))


def body(one: Explanation, drawn: plots.Picture | None) -> str:
    """What is said of an op, with its picture."""
    libraries = [name for name in ("nngrad", "PyTorch", "JAX") if any(any(row.errors[name]) for row in one.measured)]
    return environment().get_template("op.html.j2").render(
        one=one,
        formula="\n".join(formula_lines(one.op)) if one.op.family != "structural" else "",
        libraries=libraries,
        spurious=any("!" in cell for row in one.measured for pair in row.errors.values() for cell in pair),
        origins=ORIGINS,
        labelled=lambda labels: any(label != one.name for label in labels),
        plot=plots.svg(drawn, one.name) if drawn else "",
        caption=f"{drawn.note}." if drawn and drawn.note else "",
    )  # fmt: skip


def fragment(one: Explanation) -> str:
    """What a notebook shows of an op; without Matplotlib it has no picture."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        drawn = None
    else:
        drawn = plots.picture(one.op)
    font = base64.b64encode((templates_folder() / "gallery" / "math.woff2").read_bytes()).decode()
    style = environment().get_template("style.css.j2").render(mark="nngrad")
    style = style.replace('url("math.woff2")', f'url("data:font/woff2;base64,{font}")')
    return f'<style>{style}</style>\n<div class="nngrad"><main>\n{body(one, drawn)}\n</main></div>'
