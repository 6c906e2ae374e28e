"""The examples do what they promise."""

import re
import runpy
import sys
from pathlib import Path

import pytest

DIGITS = Path(__file__).parent.parent / "examples" / "digits.py"
EXTRAS = ("matplotlib", "sklearn", "tqdm")  # in the order in which the example imports them


def test_digits_reaches_97_percent_and_draws_a_picture(tmp_path, monkeypatch, capsys):
    for name in EXTRAS:
        pytest.importorskip(name)
    picture = tmp_path / "digits.png"
    monkeypatch.setattr(sys, "argv", ["digits.py", "--output", str(picture)])
    runpy.run_path(str(DIGITS), run_name="__main__")
    (accuracy,) = re.search(r"test accuracy (.*)% on 450 images", capsys.readouterr().out).groups()
    assert float(accuracy) >= 97
    assert picture.read_bytes()[:4] == b"\x89PNG" and picture.stat().st_size > 20_000


def test_digits_names_the_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, EXTRAS[0], None)
    with pytest.raises(SystemExit, match=r'needs matplotlib. Install it with: pip install -e "\.\[examples\]"'):
        runpy.run_path(str(DIGITS))


def test_digits_refuses_no_epochs(monkeypatch, capsys):
    for name in EXTRAS:
        pytest.importorskip(name)
    monkeypatch.setattr(sys, "argv", ["digits.py", "--epochs", "0"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(DIGITS), run_name="__main__")
    assert "--epochs must be at least 1, not 0" in capsys.readouterr().err
