"""The table of elementwise words.

It says for each word what it means to SymPy (a `Function` whose `fdiff` is its derivative), to NumPy (a ufunc, or an
expression in other words) and to mpmath (the oracle).
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import sympy

from nngrad.codegen.symbols import Indicator, Value, Where


@dataclass(frozen=True)
class Word:
    """An elementwise function that a spec may name.

    Attributes:
        name: as a spec writes it.
        build: from SymPy arguments to the SymPy expression.
        numpy: the NumPy ufunc, or helper of `nngrad_ops.runtime`, that computes it; '' where `expansion` does.
        oracle: the same function for mpmath.
        cost: time per element in multiplications (the fixed table that choices are made by).
        doc: one line.
        arity: how many arguments it takes.
        expansion: the word in terms of others, written so that it neither overflows nor cancels.
        smooth: for a word that is no op of its own: what it is in differentiable words.
        safe: an argument at which the function is finite and silent, for words that are not so everywhere.
    """

    name: str
    build: Callable
    numpy: str
    oracle: Callable
    cost: float
    doc: str
    arity: int = 1
    expansion: Callable | None = None
    smooth: Callable | None = None
    safe: float | None = None

    def __call__(self, *args):
        return self.build(*(sympy.sympify(arg) for arg in args))


WORDS: dict[str, Word] = {}
WORD_OF: dict[type, Word] = {}


def _word(
    name,
    numpy,
    oracle,
    cost,
    doc,
    *,
    head=None,
    derivatives=None,
    arity=1,
    expansion=None,
    smooth=None,
    safe=None,
    **traits,
):
    """Enter a word into the table. Without a `head` known to SymPy, a class is made whose `fdiff` is `derivatives`."""
    if head is None:

        def fdiff(self, argindex=1):
            return sympy.sympify(derivatives(*self.args)[argindex - 1])

        head = type(name, (sympy.Function,), {"nargs": arity, "fdiff": fdiff, "is_real": True, **traits})
    word = Word(name, head, numpy, oracle, cost, doc, arity, expansion, smooth, safe)
    WORDS[name] = word
    if isinstance(head, type):
        WORD_OF[head] = word
    return word


def _is_tensor(expr) -> bool:
    return bool(expr.atoms(Value))


def _extremum_derivatives(loses: Callable, loses_or_ties: Callable):
    """The winner takes all, two tensors share a tie, and against a constant the tensor gets nothing at a tie."""

    def derivative(mine, other):
        if not _is_tensor(other):
            return Where(loses_or_ties(mine, other), 0, 1)
        return Where(loses(mine, other), 0, Where(sympy.Eq(mine, other), half, 1))

    return lambda a, b: (derivative(a, b), derivative(b, a))


def _power_derivatives(base, exponent):
    """x**0 is constant in x, and 0**y is constant in y."""
    by_base = Where(sympy.Eq(exponent, 0), 0, exponent * power(base, exponent - 1))
    by_exponent = Where(sympy.Eq(base, 0), 0, power(base, exponent) * log(base))
    return by_base, by_exponent


def _abs_of_product(cls, x):
    """|c x| = |c| |x| for a number c, and |-x| = |x|."""
    coefficient, rest = x.as_coeff_Mul()
    if coefficient != 1:
        return sympy.Abs(coefficient) * cls(rest)
    return cls(-x) if x.could_extract_minus_sign() else None


def _exact_exp(x):
    """exp(x) for mpmath, which would multiply large whole numbers out, a bit at a time."""
    whole = mpmath.fabs(x) > 1000 and mpmath.isint(x)
    return mpmath.exp(mpmath.fsub(x, 0.5, exact=True)) * mpmath.exp(0.5) if whole else mpmath.exp(x)


def _by_exp(function: Callable, in_exp: Callable):
    """A function for mpmath that is written in exp(x) and exp(-x) where x is large, for the same reason."""
    return lambda x: in_exp(_exact_exp(x), _exact_exp(-x)) if mpmath.fabs(x) > 1000 else function(x)


def _exact_erf(x):
    """erf(x) for mpmath by 2 x exp(-x^2) / sqrt(pi) times the sum of (2 x^2)^k / (1 3 5 ... (2 k + 1)).

    Its terms are positive. mpmath's own series alternates, which takes ten times as long at hundreds of digits.
    """
    bits, square = mpmath.mp.prec, x * x
    if not square > 1:
        return mpmath.erf(x)
    if square > bits:
        return mpmath.sign(x)
    with mpmath.workprec(bits + 40):
        doubled = int(mpmath.ldexp(2 * x * x, bits + 40))
        term = total = 1 << (bits + 40)
        odd = 1
        while term:
            odd += 2
            term = (term * doubled >> (bits + 40)) // odd
            total += term
        value = 2 * x * mpmath.exp(-x * x) / mpmath.sqrt(mpmath.pi) * mpmath.ldexp(total, -bits - 40)
    return +value


def _exact_erfc(x):
    """erfc(x) for mpmath: by its own asymptotic series where that suffices, else from erf in as many more digits."""
    if x < 1 or x * x > mpmath.mp.prec:
        return mpmath.erfc(x)
    with mpmath.workprec(mpmath.mp.prec + int(1.5 * x * x) + 20):
        value = 1 - _exact_erf(x)
    return +value


half, two_over_sqrt_pi = sympy.Rational(1, 2), 2 / sympy.sqrt(sympy.pi)

abs = _word(
    "abs",
    "np.abs",
    mpmath.fabs,
    1,
    "Absolute value.",
    derivatives=lambda x: [sign(x)],
    is_nonnegative=True,
    eval=classmethod(_abs_of_product),
)
sign = _word("sign", "np.sign", mpmath.sign, 3, "Sign: -1, 0 or 1.", derivatives=lambda x: [0])
floor = _word("floor", "np.floor", mpmath.floor, 1, "Largest integer not above x.", derivatives=lambda x: [0])
sqrt = _word("sqrt", "np.sqrt", mpmath.sqrt, 3, "Square root.", head=sympy.sqrt)
rsqrt = _word("rsqrt", "", lambda x: 1 / mpmath.sqrt(x), 4, "Reciprocal square root.", head=lambda x: x**-half)
cbrt = _word(
    "cbrt",
    "np.cbrt",
    lambda x: mpmath.sign(x) * mpmath.cbrt(mpmath.fabs(x)),
    20,
    "Cube root.",
    derivatives=lambda x: [1 / (3 * cbrt(x) ** 2)],
)
exp = _word("exp", "np.exp", _exact_exp, 4, "Exponential function.", head=sympy.exp, safe=0)
exp2 = _word(
    "exp2",
    "np.exp2",
    lambda x: mpmath.mpf(2) ** x,
    4,
    "2 to the power x.",
    derivatives=lambda x: [sympy.log(2) * exp2(x)],
    is_positive=True,
    safe=0,
)
expm1 = _word(
    "expm1",
    "np.expm1",
    _by_exp(mpmath.expm1, lambda up, down: up - 1),
    4,
    "exp(x) - 1, exact near 0.",
    derivatives=lambda x: [exp(x)],
    safe=0,
)
log = _word("log", "np.log", mpmath.log, 4, "Natural logarithm.", head=sympy.log, safe=1)
log2 = _word(
    "log2",
    "np.log2",
    lambda x: mpmath.log(x, 2),
    4,
    "Logarithm to base 2.",
    derivatives=lambda x: [1 / (x * sympy.log(2))],
    safe=1,
)
log10 = _word(
    "log10",
    "np.log10",
    mpmath.log10,
    8,
    "Logarithm to base 10.",
    derivatives=lambda x: [1 / (x * sympy.log(10))],
    safe=1,
)
log1p = _word(
    "log1p", "np.log1p", mpmath.log1p, 4, "log(1 + x), exact near 0.", derivatives=lambda x: [1 / (1 + x)], safe=0
)
sin = _word("sin", "np.sin", mpmath.sin, 5, "Sine, x in radians.", head=sympy.sin, safe=0)
cos = _word("cos", "np.cos", mpmath.cos, 5, "Cosine, x in radians.", head=sympy.cos, safe=0)
tan = _word("tan", "np.tan", mpmath.tan, 10, "Tangent, x in radians.", derivatives=lambda x: [1 / cos(x) ** 2], safe=0)
arcsin = _word(
    "arcsin",
    "np.arcsin",
    mpmath.asin,
    10,
    "Inverse sine, in radians.",
    derivatives=lambda x: [((1 - x) * (1 + x)) ** -half],
    safe=0,
)
arccos = _word(
    "arccos",
    "np.arccos",
    mpmath.acos,
    10,
    "Inverse cosine, in radians.",
    derivatives=lambda x: [-(((1 - x) * (1 + x)) ** -half)],
    safe=0,
)
arctan = _word(
    "arctan", "np.arctan", mpmath.atan, 10, "Inverse tangent, in radians.", derivatives=lambda x: [1 / hypot(1, x) ** 2]
)
arctan2 = _word(
    "arctan2",
    "np.arctan2",
    mpmath.atan2,
    15,
    "Angle of the point (x2, x1), in radians.",
    arity=2,
    derivatives=lambda y, x: [x / hypot(x, y) ** 2, -y / hypot(x, y) ** 2],
)
sinh = _word(
    "sinh",
    "np.sinh",
    _by_exp(mpmath.sinh, lambda up, down: (up - down) / 2),
    10,
    "Hyperbolic sine.",
    derivatives=lambda x: [cosh(x)],
    safe=0,
)
cosh = _word(
    "cosh",
    "np.cosh",
    _by_exp(mpmath.cosh, lambda up, down: (up + down) / 2),
    10,
    "Hyperbolic cosine.",
    derivatives=lambda x: [sinh(x)],
    safe=0,
)
tanh = _word("tanh", "np.tanh", mpmath.tanh, 2, "Hyperbolic tangent.", derivatives=lambda x: [4 * sigmoid_slope(2 * x)])
arcsinh = _word(
    "arcsinh", "np.arcsinh", mpmath.asinh, 15, "Inverse hyperbolic sine.", derivatives=lambda x: [1 / hypot(1, x)]
)
arccosh = _word(
    "arccosh",
    "np.arccosh",
    mpmath.acosh,
    15,
    "Inverse hyperbolic cosine.",
    derivatives=lambda x: [(x - 1) ** -half * (x + 1) ** -half],
    safe=2,
)
arctanh = _word(
    "arctanh",
    "np.arctanh",
    mpmath.atanh,
    15,
    "Inverse hyperbolic tangent.",
    derivatives=lambda x: [1 / ((1 - x) * (1 + x))],
    safe=0,
)
hypot = _word(
    "hypot",
    "np.hypot",
    mpmath.hypot,
    6,
    "sqrt(x1**2 + x2**2) without overflow.",
    arity=2,
    is_nonnegative=True,
    derivatives=lambda a, b: [
        Where(sympy.Eq(hypot(a, b), 0), 0, a / hypot(a, b)),
        Where(sympy.Eq(hypot(a, b), 0), 0, b / hypot(a, b)),
    ],
)
sinc = _word(
    "sinc",
    "runtime.sinc",
    mpmath.sincpi,
    12,
    "sin(pi x) / (pi x), and 1 at 0.",
    derivatives=lambda x: [Where(sympy.Eq(x, 0), 0, (cos(sympy.pi * x) - sinc(x)) / x)],
)
erf = _word(
    "erf", "runtime.erf", _exact_erf, 15, "Error function.", derivatives=lambda x: [two_over_sqrt_pi * exp(-(x**2))]
)
erfc = _word(
    "erfc",
    "runtime.erfc",
    _exact_erfc,
    15,
    "Complementary error function 1 - erf(x), exact in the tail.",
    derivatives=lambda x: [-two_over_sqrt_pi * exp(-(x**2))],
    is_positive=True,
)
# The normal distribution function, which gelu is made of. It is not for specs to write: 1 + erf(x / sqrt(2)) is.
normal_cdf = _word(
    "normal_cdf",
    "runtime.normal_cdf",
    lambda x: _exact_erfc(-x / mpmath.sqrt(2)) / 2,
    20,
    "erfc(-x / sqrt(2)) / 2.",
    derivatives=lambda x: [exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)],
    is_positive=True,
    smooth=lambda x: erfc(-x / sympy.sqrt(2)) / 2,
)
sigmoid = _word(
    "sigmoid",
    "",
    lambda x: 1 / (1 + _exact_exp(-x)),
    7,
    "Logistic function 1 / (1 + exp(-x)).",
    derivatives=lambda x: [sigmoid_slope(x)],
    is_positive=True,
    expansion=lambda x: maximum(exp(-abs(x)), Indicator(sympy.Ge(x, 0))) / (1 + exp(-abs(x))),
)
# The bell sigmoid(x) sigmoid(-x), which sigmoid and tanh share as their derivative. It is not for specs to write.
sigmoid_slope = _word(
    "sigmoid_slope",
    "",
    lambda x: 1 / (2 + _exact_exp(x) + _exact_exp(-x)),
    6,
    "sigmoid(x) sigmoid(-x).",
    derivatives=lambda x: [sigmoid_slope(x) * (sigmoid(-x) - sigmoid(x))],
    is_positive=True,
    expansion=lambda x: exp(-abs(x)) / (1 + exp(-abs(x))) ** 2,
    smooth=lambda x: sigmoid(x) * sigmoid(-x),
    eval=classmethod(lambda cls, x: cls(-x) if x.could_extract_minus_sign() else None),
)
softplus = _word(
    "softplus",
    "",
    lambda x: mpmath.log1p(_exact_exp(x)),
    9,
    "log(1 + exp(x)).",
    derivatives=lambda x: [sigmoid(x)],
    is_positive=True,
    expansion=lambda x: maximum(x, 0) + log1p(exp(-abs(x))),
)
logaddexp = _word(
    "logaddexp",
    "np.logaddexp",
    lambda a, b: mpmath.log(_exact_exp(a) + _exact_exp(b)),
    20,
    "log(exp(x1) + exp(x2)).",
    arity=2,
    derivatives=lambda a, b: [sigmoid(a - b), sigmoid(b - a)],
)
minimum = _word(
    "minimum",
    "np.minimum",
    builtins.min,
    2,
    "The smaller of two; NaN where either is.",
    arity=2,
    derivatives=_extremum_derivatives(sympy.Gt, sympy.Ge),
)
maximum = _word(
    "maximum",
    "np.maximum",
    builtins.max,
    2,
    "The larger of two; NaN where either is.",
    arity=2,
    derivatives=_extremum_derivatives(sympy.Lt, sympy.Le),
)
clip = _word(
    "clip",
    "np.clip",
    lambda x, low, high: builtins.min(builtins.max(x, low), high),
    2,
    "x limited to [min, max].",
    arity=3,
    derivatives=lambda x, low, high: [Where(sympy.And(x >= low, x <= high), 1, 0), 0, 0],
)
power = _word(
    "power", "runtime.power", mpmath.power, 30, "x1 to the power x2.", arity=2, derivatives=_power_derivatives, safe=1
)
