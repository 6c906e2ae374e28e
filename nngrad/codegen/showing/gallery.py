"""The gallery: a static site with a page for each op and an index, which needs no server and no network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.choices import Choices
from nngrad.codegen.emit import templates_folder
from nngrad.codegen.explain import Explanation, explain
from nngrad.codegen.showing import plots
from nngrad.codegen.showing.page import body, environment, mathml
from nngrad.codegen.trace import Op

MARK = "Made by `python -m nngrad.codegen --gallery`; do not edit"
HEADINGS = {  # of the index, in order: by an op's home, or else by its family
    "activation": "Activations",
    "elementwise": "Mathematics",
    "reduction": "Reductions",
    "norm": "Normalisations",
    "loss": "Losses",
    "contraction": "Contractions",
    "composite": "In several steps",
    "structural": "Index maps",
    "slope": "Derivatives of words",
}
AS_THEY_ARE = ("math.woff2", "math-license.txt")
SHORT = 45  # letters of an equation that a card has room for


@dataclass(frozen=True)
class Card:
    """An op in the index: what it is found by, and its face, a small picture, an equation or a call."""

    name: str
    summary: str
    words: str
    face: str


def render(
    ops: list[Op], title: str, choices: Choices, progress: Callable[[list], Iterable] = iter
) -> dict[str, bytes]:
    """File name -> contents of every file of the site.

    Raises:
        SpecError: Matplotlib is not there, or an op is called `index`, as the first page is.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise SpecError(
            "the gallery's pictures need matplotlib, which is not installed", 'pip install "nngrad[gallery]"'
        ) from error
    for op in ops:
        if op.name == "index":
            raise SpecError("the page of an op called index would be the first page", "rename it",
                            op=op.name, file=op.file, line=op.line)  # fmt: skip
    groups: dict[str, list[Op]] = {heading: [] for heading in HEADINGS.values()}
    for op in ops:
        groups[HEADINGS.get(op.home) or HEADINGS[op.family]].append(op)
    ordered = [op for own in groups.values() for op in own]
    files, cards = {}, {}
    for place, op in enumerate(progress(ordered)):
        one, drawn = explain(op, choices), plots.picture(op)
        neighbours = {
            "before": ordered[place - 1].name if place else "",
            "after": ordered[place + 1].name if place + 1 < len(ordered) else "",
        }
        files[f"{op.name}.html"] = _file("page.html.j2", one=one, body=body(one, drawn), **neighbours)
        cards[op.name] = _card(one, drawn)
    shown = [(heading, [cards[op.name] for op in own]) for heading, own in groups.items() if own]
    files["index.html"] = _file("index.html.j2", title=title, count=len(ops), groups=shown)
    files["style.css"] = _file("style.css.j2")
    files["filter.js"] = _file("filter.js.j2")
    return files | {name: (templates_folder() / "gallery" / name).read_bytes() for name in AS_THEY_ARE}


def _file(template: str, **context) -> bytes:
    return environment().get_template(template).render(mark=MARK, **context).encode()


def _card(one: Explanation, drawn: plots.Picture | None) -> Card:
    summary = one.op.doc.partition("\n")[0]
    words = " ".join([one.name, one.op.home, one.op.family, one.origin, summary]).lower()
    return Card(one.name, summary, words, plots.thumbnail(drawn) if drawn else _face(one))


def _face(one: Explanation) -> str:
    """A face for an op without a picture: its index notation where that is short, or else how it is called."""
    if one.cases and len(one.cases[0].formula[0].text) < SHORT:
        return mathml(one.cases[0].formula[0].latex)
    inputs = [f"*{value.name}" if value.variadic else value.name for value in one.op.inputs]
    return Markup("<code>{}({})</code>").format(
        one.name, ", ".join([*inputs, *(param.name for param in one.op.params)])
    )


def stale(files: dict[str, bytes], folder: Path) -> list[str]:
    """The names of the files of a folder that are not as they should be, those that are left over among them.

    Raises:
        SpecError: a page of such a name was not made by this command.
    """
    present = {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}
    ours = {name for name, text in present.items() if MARK.encode() in text}
    for name in files:
        if name in present and name.endswith(".html") and name not in ours:
            raise SpecError(
                f"{folder / name} was not made by this command and would be overwritten", "choose another folder"
            )
    return sorted(name for name in files.keys() | ours if present.get(name) != files.get(name))


def write(files: dict[str, bytes], folder: Path) -> list[str]:
    """Put the site into a folder; returns the names of the files that changed."""
    changed = stale(files, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in files:
            (folder / name).write_bytes(files[name])
        else:
            (folder / name).unlink()
    return changed
