"""The forms chosen by the search, kept in `choices.json` like a lock file, so that plain generation takes seconds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import sympy
from sympy.core.parameters import distribute
from sympy.core.symbol import Str

from nngrad.codegen.algebra.share_words import Beyond, LogMean
from nngrad.codegen.algebra.small import Small
from nngrad.codegen.algebra.symbols import (
    AxisSum,
    Balanced,
    Count,
    Decayed,
    Deviation,
    Divergence,
    Indicator,
    IsInf,
    IsNan,
    LogExcess,
    LogRatio,
    LogShare,
    MeanError,
    NearZero,
    Pick,
    ProductOfOthers,
    RowScale,
    RowShift,
    RowTop,
    SignBit,
    Subgradient,
    Value,
    Weighed,
    Where,
)
from nngrad.codegen.algebra.vocabulary import WORDS
from nngrad.codegen.chosen import Chosen
from nngrad.codegen.derive import Derivatives
from nngrad.codegen.judging.errors import Error
from nngrad.codegen.rules.ordinary import Ordinary
from nngrad.codegen.rules.parts import part_of
from nngrad.codegen.rules.series import Series
from nngrad.codegen.trace import Op

DEFAULT_PATH = Path(__file__).with_name("choices.json")


class Choices:
    """Reads and records chosen forms. An entry counts only for the very derivatives that it was chosen for."""

    def __init__(self, path: Path | None, search_again: bool = False):
        self.path = path
        known = path.exists() and not search_again if path else False
        self.old: dict[str, dict] = json.loads(path.read_text(encoding="utf-8")) if known else {}
        self.new: dict[str, dict] = {}

    def chosen(self, op: Op, derivatives: Derivatives, select: Callable[[], Chosen]) -> Chosen:
        """The forms to compute: as recorded, else as `select` finds them."""
        key = ", ".join([op.name, *(f"{name}={value}" for name, value in derivatives.formula.static)])
        digest = _digest(derivatives)
        entry = self.old.get(key)
        if entry is None or entry["of"] != digest:
            entry = {"of": digest, **_written(select())}
        self.new[key] = entry
        return _read(entry, derivatives)

    @property
    def text(self) -> str:
        """The file's new contents."""
        return json.dumps(dict(sorted(self.new.items())), indent=1, ensure_ascii=True) + "\n"


def _digest(derivatives: Derivatives) -> str:
    formula = derivatives.formula
    parts = [
        str(formula.static),
        *(f"{stage.value} {stage.kind} {stage.axis} {stage.expr}" for stage in formula.stages),
    ]
    parts += [f"{value}: {expr}" for table in (derivatives.vjp, derivatives.jvp) for value, expr in table.items()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _written(chosen: Chosen) -> dict:
    smooth = chosen.derivatives
    forms = {"y": str(chosen.value), "vjp": _texts(chosen.vjp), "jvp": _texts(chosen.jvp)}
    if (smooth.vjp, smooth.jvp) != (chosen.vjp, chosen.jvp):
        forms |= {"smooth_vjp": _texts(smooth.vjp), "smooth_jvp": _texts(smooth.jvp)}
    errors = {
        name: [float(f"{error.ulp:.3g}"), float(f"{error.beyond:.3g}"), *error.at]
        for name, error in chosen.errors.items()
    }
    series = {name: asdict(one) for name, one in chosen.series.items()}
    entry = forms | ({"ulp": errors} if errors else {}) | ({"series": series} if series else {})
    return entry | ({"ordinary": _written_ordinary(chosen.ordinary)} if chosen.ordinary else {})


def _written_ordinary(ordinary: Ordinary) -> dict:
    parts, slopes = _texts(ordinary.parts), _texts(ordinary.slopes)
    return {
        "limit": ordinary.limit, "conditions": ordinary.conditions, "parts": parts, "y": str(ordinary.value),
        "slopes": slopes,
    }  # fmt: skip


def _read_ordinary(entry: dict, symbols: dict[str, object], derivatives: Derivatives) -> Ordinary:
    parts = {}
    for name, text in entry["parts"].items():
        expr = _parsed(text, symbols)
        part = part_of(name, expr)
        parts[part], symbols = expr, symbols | {name: part}
    slopes = {value: _parsed(entry["slopes"][value.name], symbols) for value in derivatives.vjp if entry["slopes"]}
    return Ordinary(entry["limit"], parts, _parsed(entry["y"], symbols), slopes, tuple(entry["conditions"]))


def _texts(forms: dict[Value, sympy.Expr]) -> dict[str, str]:
    return {value.name: str(expr) for value, expr in forms.items()}


def _read(entry: dict, derivatives: Derivatives) -> Chosen:
    symbols = _symbols(derivatives)

    def forms(key: str, of) -> dict[Value, sympy.Expr]:
        return {value: _parsed(entry[key][value.name], symbols) for value in of}

    vjp, jvp = forms("vjp", derivatives.vjp), forms("jvp", derivatives.jvp)
    smooth = replace(derivatives, vjp=vjp, jvp=jvp)
    if "smooth_vjp" in entry:
        smooth = replace(smooth, vjp=forms("smooth_vjp", derivatives.vjp), jvp=forms("smooth_jvp", derivatives.jvp))
    errors = {name: Error(ulp, tuple(at), beyond) for name, (ulp, beyond, *at) in entry.get("ulp", {}).items()}
    series = {name: Series(**one) for name, one in entry.get("series", {}).items()}
    ordinary = _read_ordinary(entry["ordinary"], symbols, derivatives) if "ordinary" in entry else None
    return Chosen(smooth, _parsed(entry["y"], symbols), vjp, jvp, errors, series, ordinary)


def _symbols(derivatives: Derivatives) -> dict[str, object]:
    formula = derivatives.formula
    exprs = [stage.expr for stage in formula.stages] + [*derivatives.vjp.values(), *derivatives.jvp.values()]
    symbols = {symbol.name: symbol for expr in exprs for symbol in expr.free_symbols}
    symbols |= {stage.value.name: stage.value for stage in formula.stages}
    symbols |= {value.name: value for value in (*formula.inputs, derivatives.cotangent, *derivatives.tangents.values())}
    return symbols


def _parsed(text: str, symbols: dict[str, object]):
    """An expression from its text, in which a name before a bracket is a word, also if an input is called the same."""
    both = symbols.keys() & set(_CALLED.findall(text))
    words = {f"{name}_word": _names().get(name) or getattr(sympy, name) for name in both}
    text = _CALLED.sub(lambda call: f"{call[1]}_word(" if call[1] in both else call[0], text)
    with distribute(False):  # 2*(x + 1) was judged as such, not as 2*x + 2
        return sympy.sympify(text, locals={**_names(), **symbols, **words}, rational=True)


def _with_axis(head, place: int = -1):
    """What builds the head from arguments of which one, the last or the second, is the name of an axis."""
    return lambda *args: head(
        *(Str(str(arg)) if position == place % len(args) else arg for position, arg in enumerate(args))
    )


_CALLED = re.compile(r"\b(\w+)\(")
_WITH_AXIS_LAST = (AxisSum, Balanced, Count, Deviation, NearZero, Pick, ProductOfOthers)
_WITH_AXIS_SECOND = (
    RowShift, RowTop, RowScale, MeanError, LogExcess, LogMean, LogShare, Beyond, Divergence, Weighed,
)  # fmt: skip


@cache
def _names() -> dict[str, Callable]:
    """What forms are written in; asked for when all words of the rules are known."""
    return {
        **{word.name: word.build for word in WORDS.values()},
        **{head.__name__: head for head in (Decayed, Indicator, Small, Where, Subgradient)},
        "isnan": IsNan,
        "isinf": IsInf,
        "signbit": SignBit,
        **{head.__name__: _with_axis(head) for head in _WITH_AXIS_LAST},
        "LogRatio": _with_axis(LogRatio, 2),
        **{head.__name__: _with_axis(head, 1) for head in _WITH_AXIS_SECOND},
    }
