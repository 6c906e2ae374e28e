"""Stage 6 for contractions: a product of indexed tensors is multilinear, so its derivatives are permutations of its
indices.

The cotangent of one operand is the contraction of the output's cotangent with the other operands, onto the operand's
own indices. `matmul`, `out[i, j] = sum a[i, k] b[k, j]`, gives `da[i, k] = sum g[i, j] b[k, j]`.

An index may be an affine map of two letters, as in a convolution, `out[i] = sum x[2*i + p] w[p]`. Such an axis is seen
through windows, `u[i, p] = x[2*i + p]`, and what is left is a contraction of u and w. Windows are linear too: the
cotangent of x is that of u, added up where the windows overlap.

A tensor that is added to the contraction, the bias, has some of the letters of the result. Its cotangent is summed over
the others.
"""

from __future__ import annotations

import itertools
from dataclasses import astuple, dataclass, replace

import sympy

from nngrad.codegen.algebra.symbols import Indexed, SpecError
from nngrad.codegen.lowering.assemble import Code, Function, formula_lines, signature_of, with_unpacked
from nngrad.codegen.trace import Op


@dataclass(frozen=True)
class Windows:
    """How an operand is seen where its indices are affine maps: for each such axis, counted from the last, the places
    `step * letter + dilation * tap` for the taps of the window, whose number is `size`.

    >>> Windows((-1,), ("w.shape[1]",), ("stride",), ("1",)).source("products.windows", "x")
    'products.windows(x, axes=(-1,), size=(w.shape[1],), step=(stride,), dilation=(1,))'
    """

    axes: tuple[int, ...] = ()
    size: tuple[str, ...] = ()
    step: tuple[str, ...] = ()
    dilation: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The axes, sizes, steps and dilations as keyword arguments."""
        listed = {"axes": map(str, self.axes), "size": self.size, "step": self.step, "dilation": self.dilation}
        comma = "," if len(self.axes) == 1 else ""
        return tuple(f"{name}=({', '.join(values)}{comma})" for name, values in listed.items())

    def source(self, function: str, operand: str, *more: str) -> str:
        return f"{function}({', '.join([operand, *more, *self.arguments])})" if self.axes else operand


@dataclass(frozen=True)
class Contraction:
    """Operands by name with their index letters, and the letters of the result.

    `leads` and `result_leads` say which of them have leading axes, which broadcast; the others are the same for all.
    The letters of an operand seen through `windows` are its own, then those of the `taps`. `bias` and its letters are
    '' where none is added.
    """

    operands: tuple[str, ...]
    indices: tuple[str, ...]
    result: str
    leads: tuple[bool, ...]
    windows: tuple[Windows, ...]
    result_leads: bool
    taps: str = ""
    bias: str = ""
    bias_letters: str = ""

    @property
    def shape(self) -> str:
        """Source of the shape of the result, from those of the operands."""
        lengths, leading = {}, []
        for name, index, leads, windows in zip(self.operands, self.indices, self.leads, self.windows, strict=True):
            axes = len(index) - len(windows.axes)
            windowed = {axis + axes: rest for axis, *rest in zip(*astuple(windows), strict=True)}
            leading += [f"{name}.shape[:-{axes}]"] * leads
            for place, letter in enumerate(index[:axes]):
                length = f"{name}.shape[{place - axes if leads else place}]"
                if place in windowed:
                    length = f"products.windows_along({', '.join([length, *windowed[place]])})"
                lengths.setdefault(letter, length)
        common = f"np.broadcast_shapes({', '.join(leading)})" if len(leading) > 1 else "".join(leading)
        listed = [f"*{common}"] * self.result_leads + [lengths[letter] for letter in self.result]
        return f"({', '.join(listed)}{',' if len(listed) == 1 else ''})"

    @property
    def bias_along_result(self) -> str:
        """Source of the bias with axes of length 1 where the result has letters that it lacks, but for leading ones."""
        letters = self.result[self.result.index(self.bias_letters[0]) :]
        index = ", ".join(":" if letter in self.bias_letters else "None" for letter in letters)
        return self.bias if letters == self.bias_letters else f"{self.bias}[{index}]"

    @property
    def subscripts(self) -> str:
        *terms, result = (
            "..." * leads + index
            for leads, index in zip((*self.leads, self.result_leads), (*self.indices, self.result), strict=True)
        )
        return f"{','.join(terms)}->{result}"

    @property
    def broadcasts(self) -> bool:
        """Whether leading axes may be repeated, so that the cotangents of operands must be fitted to their shapes."""
        return sum(self.leads) > 1

    def cotangent_of(self, position: int) -> Contraction:
        """The contraction that gives one operand's cotangent."""
        each = list(zip(self.operands, self.indices, self.leads, self.windows, strict=True))
        _, target, target_leads, _ = each.pop(position)
        operands, indices, leads, windows = zip(("g", self.result, self.result_leads, Windows()), *each, strict=True)
        if missing := set(target) - set("".join(indices)):
            raise SpecError(f"the index {min(missing)} is summed over one operand alone", "sum that operand first")
        return Contraction(operands, indices, target, leads, windows, target_leads, self.taps)

    @property
    def cotangent_of_bias(self) -> str:
        """NumPy code for the cotangent of the result, summed over the axes that the bias lacks."""
        if self.result_leads:
            if self.result.endswith(self.bias_letters):
                return f"runtime.sum_leading(g, {len(self.bias_letters)})"
            return f'products.contract("...{self.result}->{self.bias_letters}", g)'
        others = tuple(place for place, letter in enumerate(self.result) if letter not in self.bias_letters)
        return f"runtime.sum_over(g, {others})"

    @property
    def cotangent_of_bias_as_tensor(self) -> str:
        """The same over Tensors."""
        return f'ops.einsum(g, subscripts="{"..." * self.result_leads}{self.result}->{self.bias_letters}")'

    def with_operand(self, position: int, name: str) -> Contraction:
        operands = (*self.operands[:position], name, *self.operands[position + 1 :])
        return replace(self, operands=operands)

    def source(self, like: str = "", fit: str = "") -> str:
        """NumPy code: a matrix product where it is one, for BLAS, else einsum.

        like: the operand as which a product that is no stack of matrices shall lie in memory.
        fit: the operand to whose shape the product is to be brought by sums over leading axes.
        """
        product = self._matrix_product(like, fit)
        fit = f", shape={fit}.shape" if fit else ""
        call = f"products.contract({{1}}, {{0}}{fit})"
        return product or self._with_taps_apart()._einsum(call, "products.windows", "products.examples_last({})")

    def onto_windows(self, windows: Windows, name: str, fits: bool) -> str:
        """NumPy code for the cotangent of an operand, which may be seen through windows, and brought to its shape."""
        if not windows.axes:
            return self.source(like=name, fit=name if fits else "")
        call = f"products.contract_onto_windows({{1}}, {{0}}, {', '.join((f'shape={name}.shape', *windows.arguments))})"
        source = self._with_taps_apart()._einsum(call, "products.windows", "products.examples_last({})")
        return f"runtime.unbroadcast({source}, {name}.shape)" if fits else source

    def _einsum(self, call: str, windows: str, operand: str = "{}") -> str:
        seen = [
            each.source(windows, operand.format(name)) if each.axes else name
            for name, each in zip(self.operands, self.windows, strict=True)
        ]
        return call.format(", ".join(seen), f'"{self.subscripts}"')

    def _with_taps_apart(self) -> Contraction:
        """The operands in the order in which `products.contract` makes taps rows of a matrix and places its columns.

        Taps are few: copying along them would be slow. An operand that alone has taps comes first; of two that have
        them, the one seen through windows comes last.
        """
        if len(self.operands) != 2 or not self.taps:
            return self
        has_taps = [bool(set(self.taps) & set(index)) for index in self.indices]
        swaps = bool(self.windows[0].axes) if all(has_taps) else has_taps[1]
        if not swaps:
            return self
        operands, indices, leads, windows = (
            each[::-1] for each in (self.operands, self.indices, self.leads, self.windows)
        )
        return replace(self, operands=operands, indices=indices, leads=leads, windows=windows)

    def _matrix_product(self, like: str, fit: str) -> str:
        if len(self.operands) != 2 or self.taps:
            return ""
        order = f", order=runtime.order_of({like})" if like else ""
        if any(self.leads) and not all((*self.leads, self.result_leads)):
            return self._product_of_vectors(order)
        if any(len(set(index)) != 2 or len(index) != 2 for index in (*self.indices, self.result)):
            return ""
        if len(set("".join(self.indices))) != 3:
            return ""
        row, column = self.result
        left = next((place for place, index in enumerate(self.indices) if row in index and column not in index), None)
        if left is None:
            return ""
        (shared,) = set(self.indices[left]) - {row}
        if set(self.indices[1 - left]) != {shared, column}:
            return ""
        first, second = self.operands[left], self.operands[1 - left]
        if self.indices[left] != row + shared:
            first += ".swapaxes(-1, -2)"
        if self.indices[1 - left] != shared + column:
            second += ".swapaxes(-1, -2)"
        if self.result_leads:
            return f"products.stacked_product({first}, {second}{f', shape={fit}.shape' if fit else ''})"
        return f"products.matmul({first}, {second}{order})"

    def _product_of_vectors(self, order: str) -> str:
        """The product of vectors, in an operand's last axis, and a matrix; or such a matrix's cotangent; else ''."""
        (*others, last), (*more, end) = self.indices
        if self.leads == (True, True):
            if others != more or sorted(self.result) != sorted(last + end):
                return ""
            first, second = self.operands if self.result == last + end else self.operands[::-1]
            return f"products.summed_outer({first}, {second}{order})"
        place = self.leads.index(True)
        (*others, last), (*more, end), matrix = self.indices[place], self.result, self.indices[1 - place]
        if others != more or sorted(matrix) != sorted(last + end) or last == end:
            return ""
        second = self.operands[1 - place] + (".swapaxes(-1, -2)" if matrix != last + end else "")
        return f"products.stacked_product({self.operands[place]}, {second})"

    def tensor_source(self) -> str:
        return self._einsum("ops.einsum({0}, subscripts={1})", "ops.windows")


def contraction_of(indexed: Indexed) -> Contraction:
    """Read the formula of a contraction.

    Raises:
        SpecError: an index is neither a letter nor an affine map of two, or is summed without occurring.
    """
    operands, indices, affine, all_taps = [], [], [], ""
    leads = tuple(Ellipsis in letters for _, letters in indexed.factors)
    plain = {}  # where a letter stands alone: what gives its length
    for value, letters in indexed.factors:
        letters = [letter for letter in letters if letter is not Ellipsis]
        for place, letter in enumerate(letters):
            if getattr(letter, "is_Symbol", False):
                plain.setdefault(letter, f"{value.name}.shape[{place - len(letters)}]")
    for value, letters in indexed.factors:
        letters = [letter for letter in letters if letter is not Ellipsis]
        own, taps, found = "", "", []
        for place, letter in enumerate(letters):
            if getattr(letter, "is_Symbol", False):
                own += letter.name
                continue
            base, tap, step, dilation = _affine(letter, indexed.summed)
            if tap not in plain:
                raise SpecError(f"nothing says how long {tap} is", f"index another operand with {tap} alone")
            own, taps = own + base.name, taps + tap.name
            found.append((place - len(letters), plain[tap], step, dilation))
        operands.append(value.name)
        indices.append(own + taps)
        all_taps += taps
        affine.append(Windows(*zip(*found, strict=True)) if found else Windows())
    summed = {letter.name for letter in indexed.summed}
    if unknown := summed - set("".join(indices)):
        raise SpecError(f"{min(unknown)} is summed but indexes nothing", "sum over an index that occurs")
    result = "".join(dict.fromkeys(letter for letter in "".join(indices) if letter not in summed))
    value, bias_indices = indexed.bias or ("", ())
    bias_letters = "".join(index.name for index in bias_indices)
    return Contraction(
        tuple(operands), tuple(indices), result, leads, tuple(affine), any(leads), all_taps, str(value), bias_letters
    )


def _affine(index, summed) -> tuple[sympy.Symbol, sympy.Symbol, str, str]:
    """(letter, tap, step, dilation) of the index `step * letter + dilation * tap`, of which the tap is summed over."""
    letters = sorted((one for one in getattr(index, "free_symbols", ()) if one.is_integer), key=str)
    taps = [letter for letter in letters if letter in summed]
    if len(letters) != 2 or len(taps) != 1:
        raise SpecError(f"the index {index} is not a letter", "index with letters, or with s*i + d*p, summed over p")
    (tap,) = taps
    (base,) = set(letters) - {tap}
    step, dilation = index.coeff(base), index.coeff(tap)
    own = step.free_symbols | dilation.free_symbols
    if sympy.expand(index - step * base - dilation * tap) != 0 or {base, tap} & own or step * dilation == 0:
        raise SpecError(f"the index {index} is not affine", "write it as s*i + d*p")
    return base, tap, str(step), str(dilation)


def assemble_contraction(op: Op) -> Code:
    """The code of a contraction whose index notation is in its formula.

    Raises:
        SpecError: the index notation can't be read, or differentiated.
    """
    try:
        return _assembled(op, contraction_of(op.contraction))
    except SpecError as error:
        raise SpecError(error.problem, error.mend, op=op.name, file=op.file, line=op.line) from error


def _assembled(op: Op, contraction: Contraction) -> Code:
    names = [one.name for one in op.inputs]
    if "g" in names:
        raise SpecError("an input is called g, as the cotangent is in the derivative", "call it something else")
    single, bias = len(names) == 1, contraction.bias
    spread = contraction.bias_along_result if bias else ""
    params = [source for _, source in signature_of(op)]
    y = _output_name({*names, *(param.name for param in op.params)})
    product = contraction.source()
    made = (f"{y} = {product}", f"return np.add({y}, {spread}, out={y})") if bias else (f"return {product}",)
    forward = Function(op.name, (*names, *params), _doc(op, contraction), made)

    rows, pulled, terms, pushed = [], [], ["terms = []"], ["terms = []"]
    for number, name in sorted(enumerate(names), key=lambda one: one[1] != bias):  # while g is in the cache
        needed = [] if single else [f"if needs[{number}]:"]
        indent = "" if single else "    "
        rows += needed
        pulled += needed
        terms.append(f"if d{name} is not None:")
        pushed.append(f"if d{name} is not None:")
        if name == bias:
            rows.append(f"{indent}d{name} = {contraction.cotangent_of_bias}")
            pulled.append(f"{indent}d{name} = {contraction.cotangent_of_bias_as_tensor}")
            terms.append(f"    terms.append(d{spread})")
            pushed.append(f"    terms.append(d{spread})")
        places = [place for place, operand in enumerate(contraction.operands) if operand == name]
        for place in places:  # an input that is there twice is moved in each place
            cotangent, windows = contraction.cotangent_of(place), contraction.windows[place]
            assign = f"{indent}d{name} = " + (f"d{name} + " if place != places[0] else "")
            fits = cotangent.result_leads and contraction.broadcasts
            rows.append(assign + cotangent.onto_windows(windows, name, fits))
            source = windows.source("ops.add_windows", cotangent.tensor_source(), f"shape={name}.shape")
            pulled.append(assign + (f"ops.unbroadcast({source}, shape={name}.shape)" if fits else source))
            moved = contraction.with_operand(place, f"d{name}")
            terms.append(f"    terms.append({moved.source()})")
            pushed.append(f"    terms.append({moved.tensor_source()})")
    total, total_of_tensors = "runtime.summed(terms)", "runtime.summed(terms)"
    if bias:
        total = f"runtime.total(terms, {contraction.shape})"
        total_of_tensors = f"ops.broadcast(runtime.summed(terms), shape={y}.shape)"
    tangents = [f"d{name}" for name in names]
    nothing = [] if single else [f"{' = '.join(tangents)} = None"]
    returned = f"return {', '.join(tangents)}"
    plural = "" if single else "s"
    vjp = Function(
        f"{op.name}_vjp",
        ("g", *names, *([] if single else ["needs"]), *params),
        (f"Cotangent{plural} of `{op.name}`'s input{plural}.",),
        (*nothing, *rows, returned),
    )
    jvp = Function(
        f"{op.name}_jvp",
        (*tangents, *names, *params),
        (f"Tangent of `{op.name}`'s output.",),
        (*terms, f"return {total}"),
    )
    pulled += [f"return ({tangents[0]},)" if single else returned]
    pullback = Function(
        f"{op.name}_pullback",
        ("ops", "g", "inputs", y, "needs", *params),
        (),
        tuple(with_unpacked(names, "inputs", [*nothing, *pulled])),
    )
    pushed += [f"return {total_of_tensors}"]
    pushforward = Function(
        f"{op.name}_pushforward",
        ("ops", "tangents", "inputs", y, *params),
        (),
        tuple(with_unpacked(names, "inputs", with_unpacked(tangents, "tangents", pushed))),
    )
    positions = tuple(range(len(names)))
    read = tuple(position for position in positions if names[position] != bias)
    return Code(op, (forward, vjp, jvp), (pullback, pushforward), positions, read, 0, True, op.name)


def _output_name(taken: set[str]) -> str:
    """y, or y2 and so on where an input or a parameter is called so."""
    numbered = (f"y{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain(["y"], numbered) if name not in taken)


def _doc(op: Op, contraction: Contraction) -> tuple[str, ...]:
    lines = [*op.doc.splitlines(), "", "Formula:", *(f"    {line}" for line in formula_lines(op)), "", "Derivative:"]
    for position, name in enumerate(contraction.operands):
        overlap = ", added up where windows overlap" if contraction.windows[position].axes else ""
        lines.append(f"    d{name}: {contraction.cotangent_of(position).subscripts}{overlap}")
    if contraction.bias:
        dots = "..." * contraction.result_leads
        lines.append(f"    d{contraction.bias}: {dots}{contraction.result}->{contraction.bias_letters}")
    dots = ["..."] * contraction.result_leads
    given = [
        f"{value.name} ({', '.join(str(index) if index is not Ellipsis else '...' for index in letters)})"
        for value, letters in op.contraction.tensors
    ]
    shapes = f"Shapes: {', '.join(given)} -> ({', '.join([*dots, *contraction.result])})."
    residuals = dict.fromkeys([*contraction.operands, *filter(None, [contraction.bias])])
    return (*lines, "", shapes, f"Residuals: {', '.join(residuals)}.")
