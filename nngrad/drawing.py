"""Pictures of the graph behind a Tensor, drawn by Graphviz: what `Tensor.graph` does."""

from collections import deque
from html import escape
from itertools import islice
from textwrap import wrap

import numpy as np

from nngrad import graph, modes
from nngrad.backward import starting_cotangent
from nngrad.engine import pull_back
from nngrad.graph import Node, vertex

DIRECTIONS = ("LR", "RL", "TB", "BT")
LONGEST_PARAMETER, WIDEST_NOTE = 24, 48  # characters
FREED = "backward() has freed the graph behind it; use backward(retain_graph=True), or draw before"
# Fills are light and their text is dark, lines are grey: legible on white paper and on a dark screen.
TEXT, GRADIENT, LINE = "#111827", "#6d28d9", "#8b949e"
ROLES = {
    "leaf": {"style": "filled", "fillcolor": "#dbeafe", "color": "#3b82f6"},
    "constant": {"style": "filled", "fillcolor": "#f3f4f6", "color": "#9ca3af"},
    "number": {"style": "filled,rounded", "fillcolor": "#f3f4f6", "color": "#f3f4f6", "height": "0.2", "width": "0.2"},
    "op": {"style": "filled,rounded", "fillcolor": "#fef3c7", "color": "#d97706"},
    "output": {"style": "filled,rounded", "fillcolor": "#dcfce7", "color": "#16a34a", "penwidth": "2"},
    "freed": {"style": "filled,rounded,dashed", "fillcolor": "#fef3c7", "color": "#d97706"},
    "more": {"style": "filled,dashed", "fillcolor": "#f3f4f6", "color": "#9ca3af"},
    "note": {"style": "filled,dashed", "fillcolor": "#fee2e2", "color": "#dc2626"},
}


def draw(outputs, names=None, grad=None, limit=200, rankdir="LR"):
    """The graph behind some Tensors as a `graphviz.Digraph`; see `Tensor.graph`, which draws that of one or more."""
    picture = canvas(rankdir)
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}; it is the number of boxes to draw")
    if grad is not None and len(outputs) > 1:
        raise ValueError(f"grad is the cotangent of one Tensor, but {len(outputs)} are drawn; draw them one by one")
    roots = {id(place_of(y)): y for y in outputs}
    vertices, edges = behind([place_of(y) for y in outputs])
    boxes = {key: f"n{number}" for number, key in enumerate(islice(vertices, limit))}
    drawn = {key: vertices[key] for key in boxes}
    gradients, trouble = found_gradients(outputs, grad, drawn.values())
    called = named(names)
    for key, at in drawn.items():
        role, lines = described(at, roots.get(key), called.get(key, ""))
        if role == "op" and key in roots:
            role = "output"
        picture.node(boxes[key], label(lines, gradients.get(key)), **ROLES[role])
    freed = [boxes[key] for key, at in drawn.items() if is_freed(at)]
    if freed or trouble:
        lines = wrap(FREED if freed else trouble, WIDEST_NOTE)
        picture.node("note", label(["", *lines]), **ROLES["note"])
        for box in freed:
            picture.edge("note", box, style="dashed", arrowhead="none")
    more = len(vertices) - len(drawn)
    if more:
        lines = [f"… {more:,} more", f"graph(limit={len(vertices)}) draws all"]
        picture.node("more", label(lines), **ROLES["more"])
    cut = dict.fromkeys(boxes[end] for start, end, _ in edges if end in boxes and start not in boxes)
    picture.edges(("more", box) for box in cut)
    for start, end, flows in edges:
        if start in boxes and end in boxes:
            straight = {"weight": "4"} if isinstance(drawn[start], Node) else {}
            picture.edge(boxes[start], boxes[end], **straight, **({} if flows else {"style": "dotted"}))
    return picture


def canvas(rankdir):
    """An empty picture; ImportError without the package graphviz."""
    try:
        from graphviz import Digraph
    except ModuleNotFoundError as error:
        if error.name != "graphviz":
            raise
        raise ImportError(
            "graph() needs the package graphviz, which is not installed: "
            'pip install "nngrad[graph]", or pip install -e ".[graph]" in a checkout'
        ) from error
    if rankdir not in DIRECTIONS:
        raise ValueError(f"rankdir must be one of {', '.join(DIRECTIONS)}, not {rankdir!r}")
    picture = Digraph("graph")
    picture.attr(rankdir=rankdir, bgcolor="transparent", ranksep="0.35", nodesep="0.25")
    font = {"fontname": "Helvetica,Arial,sans-serif", "fontsize": "11", "fontcolor": TEXT}
    picture.attr("node", shape="box", margin="0.12,0.06", height="0.35", **font)
    picture.attr("edge", color=LINE, arrowsize="0.6")
    return picture


# --- what there is to draw -------------------------------------------------------------------------------------------


def behind(roots):
    """Everything that roots were computed from, nearest first: {id: Node, leaf Tensor or constant}, and the edges.

    An edge is (id of the source, id of the Node, whether a gradient flows back along it).
    """
    vertices = {id(root): root for root in roots}
    edges, waiting = [], deque(vertices.values())
    while waiting:
        at = waiting.popleft()
        for source, flows in sources(at):
            if id(source) not in vertices:
                vertices[id(source)] = source
                waiting.append(source)
            edges.append((id(source), id(at), flows))
    return vertices, edges


def sources(at):
    """For each input of a Node where it came from, and whether a gradient flows back there."""
    if not isinstance(at, Node) or is_freed(at):
        return
    if at.index is not None:
        yield at.parents[0], True
        return
    for parent, constant, array in at.inputs:
        if parent is not None:
            yield parent, True
        elif isinstance(constant, graph.Tensor | np.ndarray):
            yield place_of(constant), False
        elif array is not None:
            yield array, False


def place_of(value):
    """Where a Tensor or array stands in the graph: the Node that made it, or itself."""
    return value._node if isinstance(value, graph.Tensor) and value._node is not None else value


def is_freed(at):
    return isinstance(at, Node) and at.values is None


def found_gradients(outputs, grad, vertices):
    """{id: gradient} of what is drawn, and why some are missing, or ''.

    Leaves tell what their `grad` holds. The others keep none: where leaves have one, or `grad` asks for it, a walk back
    from a single output finds theirs, and changes no `grad`.
    """
    y = outputs[0]
    holders = ((at, at.retained and at.retained() if isinstance(at, Node) else at) for at in vertices)
    held = {id(at): x._grad for at, x in holders if isinstance(x, graph.Tensor) and x._has_grad}
    if grad is None and (not held or len(outputs) > 1 or y.size != 1 or not y._requires_grad):
        return held, ""
    if not y._requires_grad:
        raise RuntimeError(f"grad was given for a Tensor of shape {y.shape} that has no graph; it needs requires_grad")
    wanted = {
        at for at in vertices
        if (isinstance(at, Node) and (at.index is not None or not at.op.many))
        or (isinstance(at, graph.Tensor) and at._requires_grad)
    }  # fmt: skip
    try:
        found = pull_back(vertex(y), starting_cotangent(y, grad), targets=wanted, retain_graph=True)
    except RuntimeError as error:
        if grad is not None:
            raise
        return held, f"no gradients of ops: {error}"
    return {id(at): g for at, g in found.items()} | held, ""


def named(names):
    """{id of a vertex or constant: name} from {name: Tensor or array}, or from pairs of them."""
    pairs = names.items() if hasattr(names, "items") else names or ()
    called = {}
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, (graph.Tensor, np.ndarray)):
            raise TypeError(
                f"names must map names to Tensors or arrays, as {{'x': x}} or model.named_parameters() does, "
                f"not a {type(name).__name__} to a {type(value).__name__}"
            )
        called[id(place_of(value))] = name
    return called


# --- what a box says -------------------------------------------------------------------------------------------------


def described(at, tensor, name):
    """The role of a vertex, and the lines of its box; `tensor` is the Tensor that is drawn, where it is one."""
    if not isinstance(at, Node):
        array = at if isinstance(at, np.ndarray) else at._data
        if isinstance(at, graph.Tensor) and at._requires_grad:
            return "leaf", [name or "leaf", size_text(array)]
        if array.ndim == 0 and not name:
            return "number", ["", number_text(array)]
        return "constant", [name or "constant", size_text(array)]
    title = at.op.name if at.index is None else f"output {at.index}"
    title = f"{name} = {title}" if name else title
    if is_freed(at):
        return "freed", [title, *([size_text(tensor._data)] if tensor is not None else []), "freed"]
    if at.index is not None:
        return "op", [title, size_text(at.output)]
    chosen = [f"{key}={short(value)}" for key, value in at.params.items() if is_chosen(value, at.op.params[key])]
    return "op", [title, *chosen, *([] if at.op.many else [size_text(at.output)])]


def is_chosen(value, default):
    """Whether a parameter is another than its default. Arrays have none."""
    return value is not default and (type(value) is not type(default) or value != default)


def label(lines, gradient=None):
    """Graphviz's label: lines of text, the first of them, if there is one, bold, and the gradient."""
    first, *rest = map(escape, lines)
    bold = [f"<b>{first}</b>"] if first else []
    last = [] if gradient is None else [f'<font color="{GRADIENT}">{gradient_text(gradient)}</font>']
    return f"<{'<br/>'.join([*bold, *rest, *last])}>"


def size_text(array):
    """The shape, or the value of a single number, and the dtype where it is not the default."""
    size = number_text(array) if array.ndim == 0 else str(array.shape)
    return size if array.dtype == modes.default_dtype else f"{size} {array.dtype}"


def gradient_text(g):
    """The gradient of a single number, otherwise its Euclidean norm."""
    return f"grad = {number_text(g)}" if g.ndim == 0 else f"‖grad‖ = {np.linalg.norm(g.astype(float)):.4g}"


def number_text(array):
    return f"{array.item():.4g}" if array.dtype.kind == "f" else str(array.item())


def short(value):
    """A parameter as its author would write it, within a few characters."""
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop, value.step)]
        text = ":".join(ends if ends[2] else ends[:2])
    elif isinstance(value, tuple):
        text = f"({', '.join(map(short, value))})"
    elif isinstance(value, np.ndarray):
        text = f"array {value.shape}"
    else:
        text = "..." if value is Ellipsis else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_PARAMETER else text[: LONGEST_PARAMETER - 1] + "…"
