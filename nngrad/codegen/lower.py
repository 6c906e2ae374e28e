"""Stage 6: expressions become a graph of primitive operations.

Every subexpression is one `Node`, equal ones are the same node. A node knows its shape class: which tensors it was
made of (`sources`, whose shapes it broadcasts) and along which axes it has length 1 (`reduced`). Operations on numbers
and rows are kept apart from those on full-size arrays, so that constants are combined before they meet an array.

With `smooth` the graph keeps the words of the language, to be differentiated again; without, words are expanded into
what NumPy has. Either way, an operation that only a branch of a `where` needs is guarded: it gets a safe argument
wherever the other branch is taken, so that it neither warns nor leaks a NaN.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property

import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Not, Or

from nngrad.codegen.algebra import words
from nngrad.codegen.algebra.share_words import Beyond, LogMean
from nngrad.codegen.algebra.small import smallness
from nngrad.codegen.algebra.symbols import (
    AxisSum,
    Balanced,
    Count,
    Decayed,
    Deviation,
    Divergence,
    Indicator,
    InOtherWords,
    LogExcess,
    LogRatio,
    LogShare,
    MeanError,
    NearZero,
    Parameter,
    Pick,
    ProductOfOthers,
    RowScale,
    RowShift,
    RowTop,
    SpecError,
    Subgradient,
    Test,
    Value,
    Weighed,
    Where,
    is_constant_along,
)
from nngrad.codegen.algebra.texts import ordered_terms, text
from nngrad.codegen.algebra.vocabulary import WORD_OF
from nngrad.codegen.lowering import branches, chance, exponents, quotients, signs
from nngrad.codegen.lowering.joint import Part, parts_of, shift_of
from nngrad.codegen.lowering.literals import is_unit_fraction, literal
from nngrad.codegen.lowering.node import Node
from nngrad.codegen.lowering.picks import at_height, balanced, with_picks_apart
from nngrad.codegen.lowering.quotients import divisors, is_denominator, is_product, power_of_quotient, without
from nngrad.codegen.rules.exponentials import bell_within_range
from nngrad.codegen.trace import Formula, Stage

COMPARISONS = {sympy.Gt: ">", sympy.Ge: ">=", sympy.Lt: "<", sympy.Le: "<=", sympy.Eq: "==", sympy.Ne: "!="}
REDUCTIONS = {"sum": "np.add", "prod": "np.multiply", "max": "np.maximum", "min": "np.minimum"}
WIDENING = ("runtime.widened", "runtime.as_float64", "pairs.doubled")
NARROWING = ("exp_narrowed", "shortened", "of_doubled")
IN_OTHER_WORDS = {
    Beyond: "beyond", Divergence: "divergence", LogMean: "log_mean", LogRatio: "log_ratio", Weighed: "weighed",
}  # fmt: skip
BELLS = (sympy.exp, words.sigmoid_slope.build)
LARGEST_SHARED = 16  # the denominator of a factor that terms share


@dataclass
class Graph:
    """Builds nodes from expressions over a formula.

    Attributes:
        formula: whose stages the expressions refer to.
        arguments: the values that the kernel is given, by symbol.
        smooth: keep the language's words, for code that will be differentiated again.
        directions: which arguments are cotangents or tangents.
        scales: the nodes that are scales of rows.
        wide: the nodes that have the next wider dtype.
        widening: what makes the inputs wider as they are taken, if anything.
        doubles: give exponents twice the digits; without, forms are judged as float32 computes them.
        picks_few: compute what matters for few elements for these alone.
        refines, limit: compute sums again where they cancel by chance; how large inputs are at most, if that is known.
        shape_of: for arguments other than inputs, of which tensors they have the shape: a node's `sources` and `along`
            (by default all).
    """

    formula: Formula
    arguments: dict[Value, str]
    smooth: bool = False
    shape_of: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    directions: frozenset[str] = frozenset()
    nodes: list[Node] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    scales: set[int] = field(default_factory=set)
    wide: set[int] = field(default_factory=set)
    widening: str = ""
    doubles: bool = False
    picks_few: bool = False
    refines: bool = False
    limit: int = 0
    _ids: dict[Node, int] = field(default_factory=dict)
    _built: dict[sympy.Basic, int] = field(default_factory=dict)

    @property
    def all_sources(self) -> frozenset[str]:
        """The tensors that broadcast against each other (an index does not)."""
        return frozenset(value.name for value in self.formula.inputs) - self.formula.indices

    def is_like_inputs(self, node: int) -> bool:
        """Whether a node is computed here, and has the shape and dtype of the inputs."""
        made = self.nodes[node]
        return made.op != "argument" and made.is_full and not made.is_bool and made.along >= self.all_sources

    def whole(self, node: int) -> int:
        """The node, or what it is a part of, with which it is computed."""
        return self.nodes[node].args[0] if self.nodes[node].op == "part" else node

    # --- nodes --------------------------------------------------------------------------------------------------------

    def node(self, op: str, *args: int, detail: str = "", axis: str = "", **shape) -> int:
        arrays = [self.nodes[arg] for arg in args if not self.nodes[arg].is_scalar]
        reduced, sources = shape.get("reduced"), shape.get("sources")
        if reduced is None:
            reduced = frozenset.intersection(*(one.reduced for one in arrays)) if arrays else frozenset()
        along = shape.get("along", sources)
        if sources is None:
            sources = frozenset().union(*(one.sources for one in arrays))
            longest = [one.along for one in arrays if one.reduced <= reduced]
            along = frozenset().union(*longest) if longest else sources.intersection(*(one.along for one in arrays))
        few = args[1] if op == "picked" else arrays[0].few if arrays else None
        made = Node(op, args, detail, axis, sources, reduced, along, shape.get("frozen", False), few)
        if made not in self._ids:
            self._ids[made] = len(self.nodes)
            self.nodes.append(made)
            if detail in WIDENING or (op not in NARROWING and not self.wide.isdisjoint(args)):
                self.wide.add(self._ids[made])
        return self._ids[made]

    def number(self, value) -> int:
        return self.node("number", detail=literal(sympy.sympify(value)))

    def build(self, expr) -> int:
        """The node of an expression."""
        if expr not in self._built:
            self._built[expr] = self._build(expr)
        return self._built[expr]

    def define(self, value: Value, expr) -> int:
        """The node of an expression that a value stands for from now on."""
        self._built[value] = made = self.build(expr)
        self.names.setdefault(made, value.name)
        return made

    def _build(self, expr) -> int:
        if isinstance(expr, Value):
            return self._value(expr)
        if isinstance(expr, Parameter):
            return self.node("parameter", detail=expr.name)
        if isinstance(expr, Count):
            return self.node("count", detail=expr.args[0].name)
        if expr.is_number:
            return self.number(expr)
        if expr.is_Add:
            return chance.refined(self, expr, self._sum) if self.refines else self._sum(expr)
        if expr.is_Mul:
            self._count_conditions(expr)
            divided = expr if self.smooth else signs.divided_in_terms(self, expr)
            return self._product(expr) if divided == expr else self.build(divided)
        if expr.is_Pow:
            return self._power(*expr.args)
        if isinstance(expr, Where):
            return branches.chosen(self, expr)
        if isinstance(expr, Subgradient) or (isinstance(expr, Decayed) and self.smooth):
            return self.build(expr.args[0])
        if isinstance(expr, Decayed):
            y, factor, exponent = expr.args
            y = signs.finite_in_tail(self, self.build(y), exponent)
            if (wide := exponents.doubled(self, exponent)) is not None:
                return self.node("of_doubled", y, self.build(factor), wide, detail="decayed")
            of = exponents.as_multiple(exponent, self.formula.inputs) or (sympy.S.One, exponent)
            return self.node("call", y, self.build(factor), *exponents.nodes_of(self, *of), detail="runtime.decayed")
        if isinstance(expr, Indicator):
            condition = self.condition(expr.args[0])
            return self.node("as_float", condition) if self.smooth or self.formula.axes else condition
        if isinstance(expr, NearZero):
            series = self.node("constant", detail=expr.args[1].name)
            return self.node("call", series, self.build(expr.args[0]), detail="runtime.near_zero")
        if isinstance(expr, AxisSum):
            return self._reduction("sum", expr.args[0], expr.args[1].name)
        if isinstance(expr, Deviation):
            term, weights = (self.full(self.build(arg)) for arg in expr.args[:2])
            op = "deviation" if len(expr.args) == 3 else "deviation_beside"
            return self.node(op, term, weights, *map(self.build, expr.args[2:-1]), axis=expr.args[-1].name)
        if isinstance(expr, Balanced):
            return balanced(self, expr)
        if isinstance(expr, ProductOfOthers):
            return self.node("others", self.full(self.build(expr.args[0])), axis=expr.args[1].name)
        if isinstance(expr, Pick):
            index, axis = self.build(expr.args[0]), expr.args[1].name
            return self.node("one_hot", index, axis=axis, sources=self.all_sources, reduced=frozenset())
        if isinstance(expr, RowShift | RowTop | RowScale | MeanError):
            return self._of_rows(expr)
        if expr in self._parts:
            return self._part(self._parts[expr])
        if isinstance(expr, LogExcess):
            return self._log_excess(*expr.args)
        if isinstance(expr, LogShare):
            return self._log_share(*expr.args)
        if isinstance(expr, InOtherWords):
            return self._in_other_words(expr)
        if type(expr) in WORD_OF:
            return self._word(expr)
        raise SpecError(f"{expr.func} has no NumPy form", "write the formula in words of the language")

    def _value(self, value: Value) -> int:
        stage = self.formula.definition(value)
        made = self._argument_or_stage(value, stage)
        if stage is not None and isinstance(stage.expr, RowScale):
            self.scales.add(made)
        return made

    def _argument_or_stage(self, value: Value, stage: Stage | None) -> int:
        if value in self.arguments:
            name = self.arguments[value]
            sources = frozenset([name]) if value in self.formula.inputs else self.all_sources
            reduced = frozenset(axis for axis in self.formula.axes if is_constant_along(value, axis))
            shape = self.shape_of.get(name, {"sources": sources})
            made = self.node("argument", detail=name, reduced=reduced, **shape)
            return self.node("call", made, detail=self.widening) if self.widening else made
        made = self._part(self._parts[value]) if value in self._parts else self._stage(stage)
        self.names.setdefault(made, value.name)
        return made

    @cached_property
    def _parts(self) -> dict[sympy.Expr, Part]:
        return {} if self.smooth else parts_of(self.formula, frozenset(self.arguments))

    def _part(self, part: Part) -> int:
        """One of the values that are computed together."""
        x, *others = map(self.build, part.args)
        x = self.full(x)
        rows = {"sources": self.nodes[x].sources, "reduced": self.nodes[x].reduced | {part.axis}}
        joint = self.node(part.op, x, *others, axis=part.axis, **rows)
        shape = rows if part.is_row else {"sources": self.nodes[x].sources, "reduced": self.nodes[x].reduced}
        return self.node("part", joint, detail=str(part.number), **shape)

    def _count_conditions(self, expr) -> None:
        """A condition whose elements are counted along an axis is made a float in the same go."""
        totals = [] if self.smooth or not self.formula.axes else sorted(expr.atoms(AxisSum), key=text)
        for total in totals:
            indicator, axis = total.args[0], total.args[1].name
            if isinstance(indicator, Indicator) and self._built.keys().isdisjoint({indicator, total}):
                condition = self.full(self.condition(indicator.args[0]))
                full = {"sources": self.nodes[condition].sources, "reduced": self.nodes[condition].reduced}
                rows = full | {"reduced": full["reduced"] | {axis}}
                joint = self.node("counted", condition, axis=axis, **rows)
                self._built[indicator] = self.node("part", joint, detail="0", **full)
                self._built[total] = self.node("part", joint, detail="1", **rows)

    def _stage(self, stage: Stage) -> int:
        if stage.kind == "map":
            made = self.build(stage.expr)
            is_held = stage.frozen and self.smooth and stage.expr.has(LogExcess)  # others are made of arrays' data
            return self.node("detach", made) if is_held else made
        if is_constant_along(stage.expr, stage.axis) and stage.kind == "sum":
            return self.build(stage.expr * Count(sympy.core.symbol.Str(stage.axis)))
        return self._reduction(stage.kind, stage.expr, stage.axis, stage.frozen)

    def _reduction(self, kind: str, term, axis: str, frozen: bool = False) -> int:
        picks = [factor for factor in sympy.Mul.make_args(term) if isinstance(factor, Pick)]
        if kind == "sum" and picks:
            inside, index = self.full(self.build(term / picks[0])), self.build(picks[0].args[0])
            reduced = self.nodes[inside].reduced | {axis}
            sources = self.nodes[inside].sources
            return self.node("take", inside, index, axis=axis, reduced=reduced, sources=sources)
        inside = self.full(self.build(term))
        reduced = self.nodes[inside].reduced | {axis}
        return self.node("reduce", inside, detail=kind, axis=axis, reduced=reduced, frozen=frozen)

    def _of_rows(self, expr) -> int:
        """One number for each row of the first argument."""
        x, axis = self.full(self.build(expr.args[0])), expr.args[1].name
        error, shift = ("mean_error", "shift_beside") if len(expr.args) == 3 else ("weighted_mean_error", "shift")
        op = {RowShift: shift, RowTop: "top", RowScale: "scale", MeanError: error}[type(expr)]
        return self.node(op, x, *map(self.build, expr.args[2:]), axis=axis, reduced=self.nodes[x].reduced | {axis})

    def _log_excess(self, total, axis, exponential) -> int:
        """The largest exponential is that of the largest exponent, where this is known, or a power of the largest."""
        stage = self.formula.definition(exponential)
        base, exponent = stage.expr.args if isinstance(stage.expr, sympy.Pow | words.power.build) else (exponential, 1)
        total, elements = self.build(total), self.full(self.build(exponential))
        made, reduced = self.nodes[elements], self.nodes[total].reduced
        inside = made.args[0] if made.detail == "runtime.exp_shifted" else self.full(self.build(base))
        largest = self.node("reduce", inside, detail="max", axis=axis.name, reduced=reduced, frozen=True)
        if exponent != 1:
            largest = self._function("runtime.power", largest, self.build(exponent))
        elif inside != elements:
            largest = self.node("call", largest, made.args[1], detail="runtime.exp_shifted")
        return self.node("log_excess", total, elements, largest, axis=axis.name, reduced=reduced)

    def _log_share(self, total, axis, terms, index, exponent) -> int:
        """Of terms that are to be differentiated again, by their exponents."""
        if self.smooth:
            return self.build(exponent - sympy.log(total))
        made = self.nodes[self.build(terms)]
        if made.detail == "runtime.exp_shifted":
            given = made.args
        else:
            x, shift = shift_of(terms, self.formula)
            given = self.full(self.build(x)), self.build(shift)
        total, terms, index = (self.build(one) for one in (total, terms, index))
        reduced = self.nodes[total].reduced
        return self.node("log_share", total, terms, *given, index, axis=axis.name, reduced=reduced)

    def _in_other_words(self, expr) -> int:
        """To be differentiated again it is what it is elsewhere."""
        if self.smooth and not isinstance(expr, Weighed):
            return self.build(expr.elsewhere)
        axis, *args = sorted(expr.args, key=lambda arg: not isinstance(arg, sympy.core.symbol.Str))
        made = [self.build(arg) if is_constant_along(arg, axis.name) else self.full(self.build(arg)) for arg in args]
        return self.node(IN_OTHER_WORDS[type(expr)], *made, axis=axis.name, reduced=self.nodes[made[0]].reduced)

    def full(self, node: int) -> int:
        """The node broadcast against all inputs, so that a reduction sees every element."""
        if self.nodes[node].along >= self.all_sources and not self.nodes[node].reduced:
            return node
        return self.node("broadcast", node, sources=self.all_sources, reduced=frozenset())

    # --- arithmetic ---------------------------------------------------------------------------------------------------

    def _rank(self, node: int) -> int:
        return 0 if self.nodes[node].is_scalar else 1 if self.nodes[node].is_row else 2

    def _sum(self, expr) -> int:
        """Full-size terms first, then rows, then numbers; additions before subtractions, what may be small last.

        What all terms share is taken out: x / 6 + 1 / 2 cancels near -3, and (x + 3) / 6 does not.
        """
        content, primitive = expr.primitive()
        plain = all(abs(term.as_coeff_Mul()[0]) == 1 for term in primitive.args if not term.is_number)
        if content != 1 and content.q <= LARGEST_SHARED and plain and not self.smooth:
            return self._times(self.build(primitive), content)
        terms = []
        for term in ordered_terms(expr):
            negative = term.as_coeff_Mul()[0].is_negative
            node = self.build(-term if negative else term)
            terms.append((-self._rank(node), smallness(term), bool(negative), node))
        terms.sort(key=lambda term: term[:3])
        signed = [(negative, node) for _, _, negative, node in terms]
        if all(negative for negative, _ in signed):
            return self.node("negative", self._chain([(False, node) for _, node in signed]))
        first = next(position for position, (negative, _) in enumerate(signed) if not negative)
        return self._chain([signed.pop(first), *signed] if signed[0][0] else signed)

    def _chain(self, terms) -> int:
        total = terms[0][1]
        for negative, node in terms[1:]:
            if negative and (pick := self.pick_in(node)) and self.is_like_inputs(total) and not self.smooth:
                index, axis = self.nodes[pick[0]].args[0], self.nodes[pick[0]].axis
                shape = {"sources": self.all_sources, "reduced": frozenset()}
                total = self.node("minus_one_hot", total, index, *pick[1:], axis=axis, **shape)
            elif not negative and (whole := self._whole_logarithm(total, node)) is not None:
                total = whole
            else:
                total = self.node("subtract" if negative else "add", total, node)
        return total

    def pick_in(self, node: int) -> tuple[int, ...]:
        """The node of a pick, and of the row or number that it is multiplied by, if this is one."""
        if self.nodes[node].op == "one_hot":
            return (node, *self.nodes[node].args[1:])
        args = self.nodes[node].args if self.nodes[node].op == "multiply" else (node,)
        picks = [arg for arg in args if self.nodes[arg].op == "one_hot"]
        others = [arg for arg in args if arg not in picks]
        return (*picks, *others) if len(picks) == 1 and not any(self.nodes[arg].is_full for arg in others) else ()

    def _whole_logarithm(self, *terms: int) -> int | None:
        """The logarithm of a sum of exponentials whose two parts are added."""
        parts = [self.nodes[term] for term in terms]
        joint = self.nodes[parts[0].args[0]] if parts[0].op == "part" else None
        if joint is None or joint.op != "log_sum_parts" or parts[0].args != parts[1].args or len(set(terms)) == 1:
            return None
        return self.node("log_sum", *joint.args, axis=joint.axis, sources=joint.sources, reduced=joint.reduced)

    def _product(self, expr) -> int:
        """Numbers and rows are combined first. Factors and denominators take turns, and the cotangent comes last, so
        that nothing overflows on the way to a finite result; a number below 1 comes early for the same reason, one
        above 1 late.
        """
        expr = signs.without_sizes(expr, self.formula) if self.smooth else with_picks_apart(expr, self.formula)
        if not expr.is_Mul and not expr.is_Pow:
            return self.build(expr)
        constant, factors = sympy.S.One, []
        is_quotient = any(is_denominator(factor) for factor in sympy.Mul.make_args(expr))
        for factor in sympy.Mul.make_args(expr):
            if factor.is_number:
                constant *= factor
            else:
                factors.append(factor)
        if constant.is_negative and not self.smooth:
            constant, factors = quotients.with_sign_below(constant, factors)
        above: list[list[int]] = [[], [], []]  # by rank: numbers, rows, full-size
        below: list[list[int]] = [[], [], []]
        for factor in sorted(factors, key=self._reading_order):
            if is_denominator(factor):
                for node in map(self.build, divisors(factor)):
                    below[self._rank(node)].append(node)
            else:
                base, exponent = factor.as_base_exp()
                times = int(exponent) if is_quotient and exponent in (2, 3) else 1
                node = self.build(base if times > 1 else factor)
                above[self._rank(node)] += [node] * times
        small_above, small_below = [*above[0], *above[1]], [*below[0], *below[1]]
        negative, constant = bool(constant.is_negative), abs(constant)
        early = late = 1
        if not small_above and not small_below and above[2]:
            early, late = (constant, 1) if sympy.N(constant) < 1 else (1, constant)
        elif is_unit_fraction(constant) and not small_below:  # q times what else is below might overflow
            small_below.insert(0, self.number(1 / constant))
        elif constant != 1:
            small_above.insert(0, self.number(constant))
        if negative and late != 1:
            negative, late = False, -late
        small_above, small_below, scales = self._with_scales_apart(small_above, small_below)
        small_above, small_below = self._divided_by_repeated(small_above, small_below)
        result = self._full_product(above[2], below[2], early)
        result = self._scaled(result, self._multiplied(small_above), self._multiplied(small_below), negative)
        for node in scales:
            result = self._scaled(result, None, node, negative=False)
        return at_height(self, self._times(result, late))

    def _with_scales_apart(self, above: list[int], below: list[int]) -> tuple[list[int], list[int], list[int]]:
        """What else rows are multiplied with and divided by, and their scales, if these stand below beside others.

        The product of both may leave the range. To divide by a power of two last is exact.
        """
        scales = [node for node in below if node in self.scales]
        others = [node for node in below if node not in scales]
        return (above, others, scales) if others and not self.smooth else (above, below, [])

    def _divided_by_repeated(self, above: list[int], below: list[int]) -> tuple[list[int], list[int]]:
        """What is divided by a row's power is divided several times, for the power might not be in range."""
        repeated = [node for node in below if below.count(node) > 1 and self.nodes[node].is_row]
        if not repeated:
            return above, below
        quotient = self._multiplied(above) if above else self.number(1)
        for node in repeated:
            quotient = self.node("divide", quotient, node)
        return [quotient], [node for node in below if node not in repeated]

    def _full_product(self, above: list[int], below: list[int], early) -> int | None:
        """The product of full-size factors over full-size denominators, times a number."""
        if not above and not below:
            return None
        last = [node for node in above if self._is_direction(node)] if below and len(above) > 1 else []
        first = [node for node in above if node not in last]
        f, g, power = power_of_quotient(first, below)
        if power:
            quotients = [self.node("divide", f, g)] * power
            first, below = without(first, f, power) + quotients, without(below, g, power)
        result = self._times(first[0], early) if first else self.number(1)
        for factor, divisor in itertools.zip_longest(first[1:], below):
            result = result if divisor is None else self.node("divide", result, divisor)
            result = result if factor is None else self.node("multiply", result, factor)
        for node in last:
            result = self.node("multiply", result, node)
        return result

    def _times(self, node: int, number) -> int:
        if number == 1:
            return node
        if is_unit_fraction(number):
            return self.node("divide", node, self.number(1 / number))
        return self.node("multiply", node, self.number(number))

    def _is_direction(self, node: int) -> bool:
        """Whether the node is a cotangent or tangent, in which every derivative is linear."""
        made = self.nodes[node]
        return made.op == "argument" and made.detail in self.directions

    def _scaled(self, result: int | None, above: int | None, below: int | None, negative: bool) -> int:
        if result is None:
            result, above = (self.number(1), None) if above is None else (above, None)
            if below is None:
                return self.node("negative", result) if negative else result
        if above is not None and below is not None:
            above, below = self.node("divide", above, below), None
        if negative and above is not None:
            above, negative = self.node("negative", above), False
        if above is not None:
            result = self.node("multiply", result, above)
        if below is not None:
            unscales = below in self.scales and self.nodes[result].is_full and not self.smooth
            result = self.node("scaled" if unscales else "divide", result, below)
        return self.node("negative", result) if negative else result

    def _reading_order(self, factor) -> tuple:
        """Cotangents and tangents first, so that products with them are shared; then symbols, then the rest."""
        direction = getattr(factor, "name", "") in self.directions
        return not direction, not factor.is_Symbol, text(factor)

    def _multiplied(self, nodes: list[int]) -> int | None:
        if not nodes:
            return None
        total = nodes[0]
        for node in nodes[1:]:
            total = self.node("multiply", total, node)
        return total

    def _power(self, base, exponent) -> int:
        if is_denominator(base**exponent):
            return self._product(base**exponent)
        node = self.build(base)
        if exponent == sympy.Rational(1, 2):
            return self.node("call", node, detail="np.sqrt")
        if exponent.is_Integer and is_product(exponent):
            return self._integer_power(node, int(exponent))
        if is_product(exponent):
            root = self.node("call", node, detail="np.sqrt")
            return self.node("multiply", self._integer_power(node, int(exponent - sympy.Rational(1, 2))), root)
        return self._function("runtime.power", node, self.build(exponent))

    def _integer_power(self, node: int, exponent: int) -> int:
        if exponent == 1:
            return node
        half = self._integer_power(node, exponent // 2)
        square = self.node("multiply", half, half)
        return self.node("multiply", square, node) if exponent % 2 else square

    def _word(self, expr) -> int:
        word = WORD_OF[type(expr)]
        if isinstance(expr, sympy.exp) and not self.smooth:
            return exponents.exponential(self, *expr.args)
        expr = bell_within_range(expr) if self.smooth and isinstance(expr, BELLS) else expr
        if (made := exponents.word_of_doubled(self, expr)) is not None:
            return made
        if not self.smooth and (limited := signs.limited_by_0(expr)) is not None:
            return self.build(limited)
        if word.smooth and self.smooth:
            return self.build(word.smooth(*expr.args))
        if word.expansion and not (self.smooth and expr.atoms(Value)):
            return self.build(word.expansion(*expr.args))
        return self._function(word.numpy or word.name, *(self.build(arg) for arg in expr.args))

    def _function(self, name: str, *args: int) -> int:
        """A call. The runtime's power is made for arrays; numbers are left to NumPy's."""
        if name == "runtime.power" and all(self.nodes[arg].is_scalar for arg in args):
            name = "np.power"
        return self.node("call", *args, detail=name)

    def in_wider(self, widening: str, expr) -> int:
        """An expression computed from inputs that were made wider."""
        built, self._built, self.widening = self._built, {}, widening
        wide = self.build(expr)
        self._built, self.widening = built, ""
        return wide

    def is_shift(self, expr) -> bool:
        stage = self.formula.definition(expr)
        return stage is not None and stage.expr.has(RowShift)

    # --- conditions ---------------------------------------------------------------------------------------------------

    def condition(self, condition) -> int:
        """The node of a condition."""
        if isinstance(condition, Value):
            return self.build(condition)
        if isinstance(condition, Relational):
            if condition.rhs == 0:
                _, of = condition.lhs.primitive() if self.smooth else signs.size_and_sign(condition.lhs)
                condition = condition.func(of, 0)
            left, right = (self.build(arg) for arg in condition.args)
            return self.node("compare", left, right, detail=COMPARISONS[condition.func])
        if isinstance(condition, And | Or):
            operator = "&" if isinstance(condition, And) else "|"
            parts = [self.condition(part) for part in sorted(condition.args, key=str)]
            total = parts[0]
            for part in parts[1:]:
                total = self.node("logic", total, part, detail=operator)
            return total
        if isinstance(condition, Not):
            return self.node("logic", self.condition(condition.args[0]), detail="~")
        if isinstance(condition, Test):
            return self.node("test", self.build(condition.args[0]), detail=condition.numpy)
        raise SpecError(f"{condition} is not a condition", "compare two expressions, as in where(x > 0, a, b)")
