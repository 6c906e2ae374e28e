"""What kernels are made of: primitive operations on arrays, rows and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEEPING_INTEGERS = {
    "argument", "number", "parameter", "add", "subtract", "multiply", "negative", "where", "compare", "logic", "reduce",
    "broadcast", "count",
}  # fmt: skip
CALLS_KEEPING_INTEGERS = {
    "np.abs", "np.ceil", "np.clip", "np.floor", "np.floor_divide", "np.fmax", "np.fmin", "np.fmod", "np.isinf",
    "np.isnan", "np.maximum", "np.minimum", "np.remainder", "np.sign", "np.trunc", "runtime.bent", "runtime.held",
    "runtime.power",
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One operation.

    `op` is 'argument', 'number', 'parameter', 'constant', 'count', 'call' (of `detail`, a ufunc or helper), 'add',
    'subtract', 'multiply', 'divide', 'negative', 'compare' and 'logic' (`detail` is the operator), 'where', 'reduce'
    (`detail` is the kind), 'test' (of `detail`, a ufunc that gives truth values), 'take', 'one_hot', 'minus_one_hot',
    'others', 'broadcast', 'detach', 'as_float', 'exp_narrowed' (exp of what is wide), 'shortened' (what was),
    'of_doubled' (the function `detail` of an exponent with twice the digits), 'digits' (a number with as many),
    'refined' (a sum, a term of it, the inputs to compute it from by `detail` where it cancels, and a mask where it is
    taken, if there is one), 'picked' (the elements of an array where a mask is true), 'amended' (an array, such a mask
    and what to put there), or a function of rows: 'shift', 'top', 'scale', 'scaled' (an array divided by its scale),
    'mean_error', 'weighted_mean_error', 'log_excess' (of a sum, its terms and the largest), 'log_mean', 'log_sum',
    'log_share' (of a sum, its terms, what `runtime.exp_shifted` made them of, and an index), 'beyond', 'divergence',
    'log_ratio', 'weighed', 'deviation', 'deviation_beside', 'shift_beside', 'balanced' and 'shares_minus_one_hot', or
    one of those that return several values (JOINT), of which 'part' is one (`detail` is its number).

    `sources` are the tensors whose shapes broadcast to its own. It has length 1 along the axes in `reduced`, and along
    the others the length of those of its sources in `along`: a row beside a shorter array makes it no longer there. Of
    what is made of picked elements `few` is the mask.
    """

    op: str
    args: tuple[int, ...] = ()
    detail: str = ""
    axis: str = ""
    sources: frozenset[str] = frozenset()
    reduced: frozenset[str] = frozenset()
    along: frozenset[str] = frozenset()
    frozen: bool = False
    few: int | None = None

    @property
    def is_scalar(self) -> bool:
        return not self.sources

    @property
    def is_row(self) -> bool:
        return bool(self.sources and self.reduced)

    @property
    def is_full(self) -> bool:
        return bool(self.sources and not self.reduced)

    def is_shaped_as(self, other: Node) -> bool:
        return (self.sources, self.reduced, self.along, self.few) == (
            other.sources,
            other.reduced,
            other.along,
            other.few,
        )

    @property
    def is_bool(self) -> bool:
        return self.op in ("compare", "logic", "test")

    @property
    def keeps_integers(self) -> bool:
        """Whether it makes integers of integers."""
        if self.op == "number":
            return "." not in self.detail
        return self.op in KEEPING_INTEGERS or self.detail in CALLS_KEEPING_INTEGERS


def ancestors(nodes: Sequence[Node], *outputs: int) -> set[int]:
    """The places of the nodes that outputs are computed from, and of these themselves."""
    found, todo = set(), [*outputs]
    while todo:
        place = todo.pop()
        if place not in found:
            found.add(place)
            todo += nodes[place].args
    return found
