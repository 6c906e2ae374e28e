"""`nngrad.explain`: what is to be said of an op, asked for in a notebook or a program."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.explain import SPEC, Explanation
from nngrad.codegen.explain import explain as explained
from nngrad.codegen.language import Declaration
from nngrad.codegen.pipeline import load_spec
from nngrad.codegen.trace import Op, trace


def explain(op: str | Callable | Declaration | Op) -> Explanation:
    """Explain an op: formula, derivative, the forms that were tried, residuals, conventions, errors, code.

    The result shows itself in a notebook, with a picture where Matplotlib is installed; `print` gives text; its
    attributes are for programs. Needs the extra `codegen`, and some seconds.

    Args:
        op: the name of one of nngrad's ops, its function (`nngrad.exp`), or a formula of your own: a function under one
            of the decorators of `nngrad.codegen.language`.

    Raises:
        SpecError: there is no such op, or the formula is wrong.
        TypeError: it is none of these.
    """
    op = getattr(op, "declaration", op)  # what `nngrad.define` made remembers its formula
    if isinstance(op, Declaration):
        op = trace(op)
    if isinstance(op, Op):
        return explained(op)
    is_ours = callable(op) and getattr(op, "__module__", "").partition(".")[0] in ("nngrad", "nngrad_ops")
    name = op if isinstance(op, str) else getattr(op, "__name__", None) if is_ours else None
    if not isinstance(name, str):
        raise TypeError(f"explain takes the name or function of one of nngrad's ops, or a declared formula, not {op!r}")
    return explained(find_op([trace(declaration) for declaration in load_spec(SPEC)], name, SPEC))


def find_op(ops: list[Op], name: str, path: Path) -> Op:
    """The op of that name.

    Raises:
        SpecError: there is none; it suggests the nearest name.
    """
    known = {op.name: op for op in ops}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        mend = f"did you mean {near[0]}?" if near else "--list shows those there are"
        raise SpecError(f"there is no op {name}", mend, file=str(path))
    return known[name]
