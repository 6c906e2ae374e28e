"""Pictures of the graph: what is in the source that Graphviz gets, and what is said where a picture can't be had."""

import re
import shutil
import sys
from html import unescape

import numpy as np
import pytest

import nngrad
from nngrad import Tensor, drawing, no_grad
from nngrad.nn import LayerNorm, Linear, Sequential, tanh

pytest.importorskip("graphviz")


def drawn(picture):
    """The boxes of a picture, {node: lines of text}, its arrows, [(from, to, options)], and each box's colour."""
    boxes, colours, arrows = {}, {}, []
    for line in picture.source.splitlines():
        if arrow := re.fullmatch(r"\t(\w+) -> (\w+)(.*)", line):
            arrows.append(arrow.groups())
        elif box := re.fullmatch(r"\t(\w+) \[label=<(.*)> color=\"(#\w+)\".*\]", line):
            text = re.sub(r"</?(b|font)\b[^>]*>", "", box[2])
            boxes[box[1]] = [unescape(part) for part in text.split("<br/>")]
            colours[box[1]] = box[3]
    return boxes, arrows, colours


def titles(picture):
    return [lines[0] for lines in drawn(picture)[0].values()]


@pytest.fixture
def product():
    """x and x * tanh(x) at 0.5, where the values and slopes are known."""
    x = Tensor(0.5, requires_grad=True)
    return x, x * x.tanh()


def test_ops_leaves_and_arrows(product):
    x, y = product
    boxes, arrows, colours = drawn(y.graph(names={"x": x}))
    assert boxes == {"n0": ["multiply", "0.2311"], "n1": ["x", "0.5"], "n2": ["tanh", "0.4621"]}
    assert [arrow[:2] for arrow in arrows] == [("n1", "n0"), ("n2", "n0"), ("n1", "n2")]  # x once, though used twice
    assert len(set(colours.values())) == 3


def test_gradients_of_leaves_and_ops_after_backward(product):
    x, y = product
    y.backward(retain_graph=True)
    held = x.grad.copy()
    slope = np.tanh(0.5) + 0.5 / np.cosh(0.5) ** 2
    boxes = drawn(y.graph())[0]
    assert boxes["n1"] == ["leaf", "0.5", f"grad = {slope:.4g}"]
    assert boxes["n0"][-1] == "grad = 1" and boxes["n2"][-1] == "grad = 0.5"
    assert x.grad == held  # the walk back for the picture changes none
    y.backward(retain_graph=True)
    assert drawn(y.graph())[0]["n1"][-1] == f"grad = {2 * slope:.4g}"  # a leaf tells what it holds
    assert drawn(y.graph(x * 1))[0]["n0"] == ["multiply", "0.2311"]  # which of the two gradients would it be?


def test_norms_for_a_cotangent_without_backward():
    x = Tensor([[3.0, 0.0], [0.0, 4.0]], requires_grad=True)
    y = x * 2
    boxes = drawn(y.graph(grad=[[3, 0], [4, 0]]))[0]
    assert boxes == {
        "n0": ["multiply", "(2, 2)", "‖grad‖ = 5"],
        "n1": ["leaf", "(2, 2)", "‖grad‖ = 10"],
        "n2": ["2"],
    }
    assert not x.grad.any()
    with pytest.raises(RuntimeError, match=r"grad has shape \(3,\)"):
        y.graph(grad=[1, 2, 3])
    with pytest.raises(RuntimeError, match="has no graph"):
        Tensor(1.0).graph(grad=1)
    with pytest.raises(ValueError, match="draw them one by one"):
        y.graph(y, grad=y)


def test_a_gradient_that_was_retained_is_shown(product):
    _, y = product
    y.retain_grad()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    assert drawn(y.graph())[0]["n0"][-1] == "grad = 2"


def test_a_freed_graph_says_what_to_do(product):
    _, y = product
    y.backward()
    boxes, arrows, _ = drawn(y.graph())
    assert boxes["n0"] == ["multiply", "0.2311", "freed"]
    assert "retain_graph=True" in " ".join(boxes["note"]) and arrows[0][:2] == ("note", "n0")


def test_a_part_that_was_freed_is_marked(product):
    x, y = product
    z = y + x
    y.backward()
    boxes = drawn(z.graph())[0]
    assert boxes["n1"] == ["multiply", "freed"] and "note" in boxes and boxes["n2"][0] == "leaf"


def test_why_gradients_are_missing_is_told(product):
    x, y = product
    y.backward(retain_graph=True)
    with no_grad():
        x.data = 2.0
    boxes = drawn(y.graph())[0]
    assert "in place" in " ".join(boxes["note"]) and len(boxes["n0"]) == 2


def test_an_op_with_several_outputs_is_one_box_with_its_outputs():
    x = Tensor(np.ones((4, 3)), requires_grad=True)
    a, b = nngrad.split(x, 2)
    boxes, arrows, _ = drawn((a * b).graph())
    assert list(boxes.values())[1:] == [["output 0", "(2, 3)"], ["output 1", "(2, 3)"], ["split", "sections=2"],
                                        ["leaf", "(4, 3)"]]  # fmt: skip
    assert len(arrows) == 5
    assert titles(a.graph(b, a)) == ["output 0", "output 1", "split", "leaf"]
    assert "‖grad‖ = 2.449" in drawn((a * b).graph(grad=np.ones((2, 3))))[0]["n1"]


def test_names_of_parameters_and_of_data():
    model, x = Sequential(Linear(3, 4), LayerNorm(4), tanh), Tensor(np.ones((2, 3)))
    h = model(x)
    picture = (h.sum() + h.mean()).graph(names=[*model.named_parameters(), ("x", x), ("h", h)])
    found = titles(picture)
    assert {"0.weight", "0.bias", "1.weight", "1.bias", "x", "h = tanh"} <= set(found) and found.count("h = tanh") == 1
    with pytest.raises(TypeError, match="not a Tensor to a str"):
        h.graph(names={x: "x"})


def test_what_carries_no_gradient_hangs_on_a_dotted_line():
    x, mask = Tensor([1.0, 2.0], requires_grad=True), np.array([True, False])
    boxes, arrows, _ = drawn(nngrad.where(mask, x, 0).graph(names={"mask": mask}))
    assert ["mask", "(2,) bool"] in boxes.values() and ["0"] in boxes.values()
    assert sorted("dotted" in options for *_, options in arrows) == [False, True, True]


def test_parameters_and_dtypes_that_are_not_the_default():
    x = Tensor(np.ones((4, 3)), dtype=np.float64, requires_grad=True)
    boxes = drawn(x[1:, None].sum(axis=(0, 1)).graph())[0]
    assert list(boxes.values()) == [
        ["sum", "axis=(0, 1)", "(3,) float64"],
        ["getitem", "index=(1:, None)", "(3, 1, 3) float64"],
        ["leaf", "(4, 3) float64"],
    ]


def test_large_graphs_are_cut_at_a_limit():
    x = y = Tensor(1.0, requires_grad=True)
    for _ in range(3000):
        y = y.tanh()
    boxes, arrows, _ = drawn(y.graph(limit=10))
    assert len(boxes) == 11 and boxes["more"] == ["… 2,991 more", "graph(limit=3001) draws all"]
    assert arrows[0][:2] == ("more", "n9")
    assert "more" not in drawn(x.graph())[0]
    with pytest.raises(ValueError, match="limit must be at least 1"):
        y.graph(limit=0)
    with pytest.raises(ValueError, match="rankdir must be one of LR, RL, TB, BT"):
        y.graph(rankdir="up")


def test_names_are_escaped(product):
    x, y = product
    assert "a&lt;b &amp; c" in y.graph(names={"a<b & c": x}).source
    assert titles(y.graph(names={"a<b & c": x}))[1] == "a<b & c"


def test_without_the_package_the_error_names_the_extra(product, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r'pip install "nngrad\[graph\]"'):
        product[1].graph()


def test_without_dot_there_is_the_source_and_an_error_that_says_so(product, monkeypatch):
    import graphviz

    picture = product[1].graph()
    monkeypatch.setenv("PATH", "")
    assert "tanh" in picture.source
    with pytest.raises(graphviz.ExecutableNotFound, match="PATH"):
        picture._repr_mimebundle_()


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")
def test_it_shows_itself_in_a_notebook(product):
    bundle = product[1].graph()._repr_mimebundle_()
    assert "tanh" in bundle["image/svg+xml"]


@pytest.mark.parametrize(
    "value, text",
    [(slice(1, None), "1:"), (slice(None, 8, 2), ":8:2"), ((0, Ellipsis, None), "(0, ..., None)"),
     (np.zeros(3), "array (3,)"), (1e-12, "1e-12"), ("x" * 40, "x" * 23 + "…")],
)  # fmt: skip
def test_parameters_are_short(value, text):
    assert drawing.short(value) == text
