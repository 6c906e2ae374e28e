"""Stage 8 for contractions: a product of indexed tensors is multilinear, so its derivatives are permutations of its
indices.

The cotangent of one operand is the contraction of the output's cotangent with the other operands, onto the operand's
own indices. `matmul`, `out[i, j] = sum a[i, k] b[k, j]`, gives `da[i, k] = sum g[i, j] b[k, j]`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nngrad.codegen.assemble import Code, Function, formula_lines
from nngrad.codegen.symbols import Indexed, SpecError
from nngrad.codegen.trace import Op


@dataclass(frozen=True)
class Contraction:
    """Operands by name with their index letters, and the letters of the result; `batch` for leading broadcast axes."""

    operands: tuple[str, ...]
    indices: tuple[str, ...]
    result: str
    batch: bool

    @property
    def subscripts(self) -> str:
        dots = "..." if self.batch else ""
        return ",".join(dots + index for index in self.indices) + "->" + dots + self.result

    def cotangent_of(self, position: int) -> Contraction:
        """The contraction that gives one operand's cotangent."""
        operands = list(self.operands)
        indices = list(self.indices)
        target = indices[position]
        operands[position], indices[position] = "g", self.result
        if missing := set(target) - set("".join(indices)):
            raise SpecError(f"the index {min(missing)} is summed over one operand alone", "sum that operand first")
        if position:  # the cotangent stands first where the order of operands is free
            operands = [operands[position], *operands[:position], *operands[position + 1 :]]
            indices = [indices[position], *indices[:position], *indices[position + 1 :]]
        return Contraction(tuple(operands), tuple(indices), target, self.batch)

    def with_operand(self, position: int, name: str) -> Contraction:
        operands = (*self.operands[:position], name, *self.operands[position + 1 :])
        return Contraction(operands, self.indices, self.result, self.batch)

    def source(self) -> str:
        """NumPy code: a matrix product where it is one, for BLAS, else einsum."""
        return self._matrix_product() or f'np.asarray(np.einsum("{self.subscripts}", {", ".join(self.operands)}))'

    def _matrix_product(self) -> str:
        if len(self.operands) != 2 or any(len(set(index)) != 2 or len(index) != 2 for index in self.indices):
            return ""
        if len(set(self.result)) != 2 or len(set("".join(self.indices))) != 3:
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
        return f"np.matmul({first}, {second})"

    def tensor_source(self) -> str:
        return f'ops.einsum({", ".join(self.operands)}, subscripts="{self.subscripts}")'


def contraction_of(indexed: Indexed) -> Contraction:
    """Read the formula of a contraction.

    Raises:
        SpecError: an index is not a plain letter, or is summed without occurring.
    """
    operands, indices = [], []
    batch = any(Ellipsis in letters for _, letters in indexed.factors)
    for value, letters in indexed.factors:
        plain = [letter for letter in letters if letter is not Ellipsis]
        for letter in plain:
            if not getattr(letter, "is_Symbol", False):
                raise SpecError(f"the index {letter} is not a letter", "index with i, j, k, l, m, n")
        operands.append(value.name)
        indices.append("".join(letter.name for letter in plain))
    summed = {letter.name for letter in indexed.summed}
    if unknown := summed - set("".join(indices)):
        raise SpecError(f"{min(unknown)} is summed but indexes nothing", "sum over an index that occurs")
    result = "".join(dict.fromkeys(letter for letter in "".join(indices) if letter not in summed))
    return Contraction(tuple(operands), tuple(indices), result, batch)


def assemble_contraction(op: Op) -> Code:
    """The code of a contraction whose index notation is in its formula."""
    contraction = contraction_of(op.contraction)
    names = [one.name for one in op.inputs]
    forward = Function(op.name, tuple(names), _doc(op, contraction), (f"return {contraction.source()}",))
    rows = [f"{name} = None" for name in (" = ".join(f"d{name}" for name in names),)]
    for position, name in enumerate(names):
        source = contraction.cotangent_of(position).source()
        rows += [f"if needs[{position}]:", f"    d{name} = runtime.unbroadcast({source}, {name}.shape)"]
    returned = f"return {', '.join(f'd{name}' for name in names)}"
    vjp = Function(
        f"{op.name}_vjp", ("g", *names, "needs"), (f"Cotangents of `{op.name}`'s inputs.",), (*rows, returned)
    )
    terms = ["terms = []"]
    for position, name in enumerate(names):
        terms += [
            f"if d{name} is not None:",
            f"    terms.append({contraction.with_operand(position, f'd{name}').source()})",
        ]
    jvp = Function(
        f"{op.name}_jvp",
        (*(f"d{name}" for name in names), *names),
        (f"Tangent of `{op.name}`'s output.",),
        (*terms, "return runtime.summed(terms)"),
    )
    pulled = [f"{' = '.join(f'd{name}' for name in names)} = None"]
    for position, name in enumerate(names):
        source = contraction.cotangent_of(position).tensor_source()
        pulled += [f"if needs[{position}]:", f"    d{name} = ops.unbroadcast({source}, shape={name}.shape)"]
    pullback = Function(
        f"{op.name}_pullback",
        ("ops", "g", "inputs", "y", "needs"),
        (),
        (f"{', '.join(names)} = inputs", *pulled, returned),
    )
    pushed = ["terms = []"]
    for position, name in enumerate(names):
        source = contraction.with_operand(position, f"d{name}").tensor_source()
        pushed += [f"if d{name} is not None:", f"    terms.append({source})"]
    pushforward = Function(
        f"{op.name}_pushforward",
        ("ops", "tangents", "inputs", "y"),
        (),
        (
            f"{', '.join(names)} = inputs",
            f"{', '.join(f'd{name}' for name in names)} = tangents",
            *pushed,
            "return runtime.summed(terms)",
        ),
    )
    positions = tuple(range(len(names)))
    return Code(op, (forward, vjp, jvp), (pullback, pushforward), positions, positions, 0, True, op.name)


def _doc(op: Op, contraction: Contraction) -> tuple[str, ...]:
    lines = [*op.doc.splitlines(), "", "Formula:", *(f"    {line}" for line in formula_lines(op)), "", "Derivative:"]
    for position, name in enumerate(contraction.operands):
        lines.append(f"    d{name}: {contraction.cotangent_of(position).subscripts}")
    return (*lines, "", f"Residuals: {', '.join(contraction.operands)}.")
