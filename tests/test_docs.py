"""README.md and docs/*.md keep their word: code runs, figures and quotes are true, links lead somewhere."""

import re
import shlex
import subprocess
import sys
import tomllib

import pytest

pytest.importorskip("sympy")

from conftest import ROOT

from nngrad.codegen import command

sys.path.insert(0, str(ROOT / "docs"))
import make_graph
import refresh

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
SHELL = [
    (page.name, line.partition("  #")[0].strip())
    for page in refresh.PAGES
    for kind, text in refresh.BLOCK.findall(page.read_text(encoding="utf-8"))
    for line in text.splitlines()
    if kind == "sh"
]


@pytest.mark.parametrize("page", refresh.PAGES, ids=lambda page: str(refresh.shown(page)))
def test_code_runs_and_shows_what_it_says(page, tmp_path):
    try:
        text = refresh.refreshed(page, tmp_path)
    except ModuleNotFoundError as error:
        if error.name not in ("graphviz", "matplotlib", "sklearn"):
            raise
        pytest.skip(f"this page needs {error.name}")
    assert text == page.read_text(encoding="utf-8"), "run `python docs/refresh.py`, and look at what it changes"


@pytest.mark.parametrize("page", refresh.PAGES, ids=lambda page: str(refresh.shown(page)))
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]*)[^)]*\)", page.read_text(encoding="utf-8")) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("line", [line for _, line in SHELL], ids=str)
def test_commands_can_be_given(line):
    for one in line.split("&&"):
        program, *words = shlex.split(one)
        if program == "pip":
            assert words[:2] == ["install", "-e"] and words[2].strip(".[]") in EXTRAS
        elif words[:2] == ["-m", "nngrad.codegen"]:
            command._parser().parse_args(words[2:])
        elif program == "python":
            assert (ROOT / words[0]).exists()
        else:
            assert program == "pytest"


def test_the_two_commands_stand_at_the_top():
    assert SHELL[:2] == [
        ("README.md", 'pip install -e ".[codegen]" && python -m nngrad.codegen'),
        ("README.md", 'pip install -e ".[test]" && pytest'),
    ]


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert "docs/README.md" in README
    assert not [page.name for page in refresh.PAGES[1:] if page.name != "README.md" and f"({page.name})" not in index]


@pytest.fixture
def page(tmp_path):
    """A page of one's own, {text: what becomes of it}."""

    def read(text):
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return refresh.refreshed(tmp_path / "page.md", tmp_path)

    return read


def test_what_is_out_of_step_is_brought_in_step(page):
    assert page("```python\nx = 2\nprint(x + 1)  # 4\n```\n") == "```python\nx = 2\nprint(x + 1)  # 3\n```\n"
    assert page("```python\nprint(1, '\\n2')\n```\n\n```text\n?\n```\n").endswith("```text\n1 \n2\n```\n")
    quote = "```python\n# nngrad/utils.py\ndef broadcast_axis():\n    pass\n```\n"
    assert "def broadcast_axis(shape_a, shape_b):" in page(quote)


@pytest.mark.parametrize(
    "text, problem",
    [
        ("```python\nprint(1, '\\n2')  # 1\n```\n", "page.md:1: 1 prints have a comment, but 2 lines were printed"),
        ("\n```text\n1\n```\n", "page.md:2: a text block shows what the block above it printed"),
        ("```python\n# nngrad/utils.py\ndef other():\n    pass\n```\n", "nngrad/utils.py has no other"),
        ("```sh\npython -m nngrad.codegen --spec my_ops.py --out p\n```\n", "no such file"),
    ],
)
def test_what_no_refreshing_mends_is_told(page, text, problem):
    with pytest.raises(refresh.OutOfStep, match=problem):
        page(text)


def test_ops_are_counted_as_the_generator_lists_them(capsys):
    assert command.run(["--list"]) == 0
    counts, family = {}, ""
    for line in capsys.readouterr().out.splitlines():
        if heading := re.fullmatch(r"(\w+) \(\d+\)", line):
            family = heading[1]
            counts[family] = dict.fromkeys(["derived", "word", "table"], 0)
        else:
            counts[family][re.match(r"  \w+\(.*?\) +(derived|word|table)\b", line)[1]] += 1
    counts["all"] = {origin: sum(one[origin] for one in counts.values()) for origin in ("derived", "word", "table")}
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", README, re.MULTILINE)
    expected = {name: [sum(one.values()), *one.values()] for name, one in counts.items()}
    assert {name: list(map(int, figures)) for name, *figures in rows} == expected


def test_the_pipeline_is_what_its_script_draws(tmp_path):
    subprocess.run(
        [sys.executable, ROOT / "docs" / "make_pipeline.py", tmp_path / "new.svg"], check=True, capture_output=True
    )
    assert (tmp_path / "new.svg").read_bytes() == (ROOT / "docs" / "pipeline.svg").read_bytes()


def test_the_graph_is_what_its_script_draws():
    pytest.importorskip("graphviz")
    shown = re.findall(r"<text [^>]*>(.*?)</text>", (ROOT / "docs" / "graph.svg").read_text(encoding="utf-8"))
    labels = re.findall(r"label=<(.*)> color", make_graph.picture().source)
    drawn = [re.sub(r"<.*?>", "", line) for label in labels for line in label.split("<br/>")]
    assert sorted(shown) == sorted(drawn), "run `python docs/make_graph.py`"
