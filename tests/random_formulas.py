"""Random formulas, each by its seed: what nobody would think of writing down to try it."""

import random
import re
from itertools import count

from nngrad.codegen import language
from nngrad.codegen.algebra.symbols import SpecError
from nngrad.codegen.trace import trace

COMMON = ["abs", "cos", "erf", "exp", "expm1", "log", "log1p", "sigmoid", "sin", "softplus", "sqrt", "tanh"]
RARE = ["arctan", "arcsinh", "cbrt", "ceil", "cosh", "erfc", "exp2", "floor", "log2", "rsqrt", "sign", "sinc", "sinh"]
OF_TWO = ["arctan2", "copysign", "fmax", "hypot", "logaddexp", "maximum", "minimum"]
NUMBERS = ["0", "1", "2", "3", "4", "10", "-1", "0.5", "0.1", "0.7", "1.5", "1e-3"]
EXPONENTS = ["2", "2", "3", "0.5", "1.5", "-1", "-2", "0.3"]
UNSTEADY = re.compile(r"\b(ceil|floor|sign)\b")  # 0, their tangent, times the logarithm of a negative number is NaN
INPUTS, PARAMETERS = ("x", "z", "w"), {"a": "0.7", "b": "-0.5"}


class Author:
    """Writes one formula after the other: one to three inputs, parameters, constants made of words, branches."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)
        self.inputs = INPUTS[: self.any_of([1, 1, 2, 3])]

    def any_of(self, choices):
        return self.chance.choice(choices)

    def leaf(self) -> str:
        kind = self.chance.random()
        if kind < 0.65:
            return self.any_of(self.inputs)
        if kind < 0.75:
            return self.any_of([*PARAMETERS])
        number = self.any_of(NUMBERS)
        return number if kind < 0.92 else f"{self.any_of(COMMON)}({self.any_of(['a', number])})"

    def expression(self, depth: int) -> str:
        if not depth:
            return self.leaf()
        first, second = self.expression(depth - 1), self.expression(self.any_of(range(depth)))
        word = self.any_of(COMMON if self.chance.random() < 0.7 else RARE)
        kinds = {
            f"{word}({first})": 30,
            f"({first} {self.any_of('++--***//')} {second})": 48,
            f"({first}) ** {self.any_of(EXPONENTS)}": 6,
            f"({first}) ** ({UNSTEADY.sub('abs', second)})": 2,
            f"{self.any_of(OF_TWO)}({first}, {second})": 6,
            f"clip({first}, -1, 2)": 2,
            f"where({self.leaf()} {self.any_of(['>', '<='])} {self.leaf()}, {first}, {second})": 6,
        }
        return self.chance.choices([*kinds], [*kinds.values()])[0]

    def source(self, depth: int) -> str:
        """The source of a formula `f` of what is used in it."""
        lines, body = "", self.expression(depth)
        if self.chance.random() < 0.3:
            lines, body = f"    t = {self.expression(1)}\n", f"t * {body} + t"
        used = set(re.findall(r"\w+", lines + body))
        params = [f"{name}={default}" for name, default in PARAMETERS.items() if name in used]
        arguments = [*(name for name in self.inputs if name in used), *(["*", *params] if params else [])]
        return f"def f({', '.join(arguments)}):\n{lines}    return {body}\n"


def formula(seed: int, folder, depth: int):
    """The first of an author's formulas that is one, as an op and as a function that `nngrad.define` takes."""
    author = Author(seed)
    for attempt in count():
        file = folder / f"formula_{seed}_{attempt}.py"
        file.write_text(author.source(depth), encoding="utf-8")
        names = {name: getattr(language, name) for name in language.__all__}
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)
        try:
            return trace(language.op(names["f"])), names["f"]
        except SpecError:  # it uses no input, or divides by 0
            continue
