"""README.md keeps its word: its code runs, its figures are the spec's, its pictures are what their scripts draw."""

import contextlib
import io
import linecache
import re
import subprocess
import sys
import warnings

import pytest

pytest.importorskip("sympy")

from conftest import ROOT, run

from nngrad.codegen import command

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
SHELL = [line.partition("#")[0].strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
SPEC, = (text for text in PYTHON if text.startswith("# my_ops.py\n"))  # fmt: skip
KERNELS, = (text for text in PYTHON if text.startswith("# my_package/kernels.py\n"))  # fmt: skip


@pytest.fixture(scope="module")
def my_package(tmp_path_factory):
    """The folder in which README's reader has written and generated their own op."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "my_ops.py").write_text(SPEC)
    line, = (line for line in SHELL if "--spec" in line)  # fmt: skip
    made = run(sys.executable, *line.split()[1:], cwd=folder, path=[ROOT, ROOT / "generated"])
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.parametrize(
    "block", [text for text in PYTHON if text not in (SPEC, KERNELS)], ids=lambda text: text.split("\n")[0]
)
def test_code_runs_and_prints_what_it_says(block, my_package, monkeypatch):
    monkeypatch.syspath_prepend(my_package)
    monkeypatch.setenv("NNGRAD_CACHE", str(my_package / "cache"))
    linecache.cache["<README.md>"] = (len(block), None, block.splitlines(True), "<README.md>")  # `define` reads it
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(block, "<README.md>", "exec"), {"__name__": "readme"})
    assert printed.getvalue().splitlines() == re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)


def test_generated_code_is_what_is_generated(my_package):
    kernels = (my_package / "my_package" / "kernels.py").read_text()
    for function in KERNELS.partition("\n")[2].strip().split("\n\n\n"):
        assert function + "\n" in kernels, kernels


def test_the_two_commands_stand_at_the_top():
    assert SHELL[:2] == [
        'pip install -e ".[codegen]" && python -m nngrad.codegen',
        'pip install -e ".[test]" && pytest',
    ]


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


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]*)\)", README) if "://" not in link]
    assert links and not [link for link in links if not (ROOT / link).exists()]


def test_the_picture_is_what_its_script_draws(tmp_path):
    subprocess.run(
        [sys.executable, ROOT / "docs" / "make_pipeline.py", tmp_path / "new.svg"], check=True, capture_output=True
    )
    assert (tmp_path / "new.svg").read_bytes() == (ROOT / "docs" / "pipeline.svg").read_bytes()
