"""Forms that are differentiated again: how they are written, and that every word has one."""

import pytest

pytest.importorskip("sympy")

from nngrad.codegen import words
from nngrad.codegen.again import by_sides, in_ops
from nngrad.codegen.symbols import Decayed, Value, Where
from nngrad.codegen.vocabulary import WORDS
from nngrad.functions import ops

ONLY_IN_KERNELS = {"normal_cdf_by_density", "times_its_normal_density"}  # which expansions are made of
X = Value("x")


@pytest.mark.parametrize(
    "name", [name for name, word in WORDS.items() if not word.smooth and name not in ONLY_IN_KERNELS]
)
def test_every_word_can_be_differentiated_again(name):
    assert callable(getattr(ops, name))


def test_forms_are_written_in_ops():
    y, factor = X * words.sigmoid(X), X + 1
    assert in_ops(Decayed(y, factor, X)) == y
    right, left = Where(X > 0, X, 0), Where(X > 0, 0, -X)
    size = words.abs(X)
    assert by_sides(Where(X > 0, words.exp(-size), 1 / size)) == Where(X > 0, words.exp(-right), 1 / left)
    assert by_sides(words.exp(-size)) == words.exp(-size)
