"""Small formulas that the generator, or what it wrote, once failed on: constants by words, exponents in branches."""

from nngrad.codegen.language import (
    abs,
    activation,
    arcsin,
    cbrt,
    copysign,
    cosh,
    erf,
    exp,
    expm1,
    floor_divide,
    fmax,
    fmod,
    log,
    maximum,
    op,
    sigmoid,
    softplus,
    sqrt,
    sum,
    tanh,
    where,
)


@activation
def shifted(x):
    return x * tanh(0.5) + maximum(0.1, 1)


@activation
def halved(x):
    return sigmoid(0) * x**2


@activation
def scaled(x, *, a=0.7):
    return maximum(x, 0) / softplus(a)


@op
def grown(x, z, *, a=0.7):
    return expm1(z - 1.5) * (cosh(a) + x)


@activation
def apart(x):
    return exp(maximum(x, x)) / where(x > 0, 2 * x + 1, expm1(x))


@op
def gated(x, z, *, a=0.7):
    return tanh(z) * x * softplus(cosh(0.5)) + erf(a)


@activation
def doubled_square(x):
    return tanh(x**2 + x**2)


@op
def inverse_in_a_branch(x, z):
    return where(z > 0, tanh(0.5 / x), erf(z))


@activation
def square_in_a_branch(x):
    return erf(where(x > 0, x - 0.1, x * x))


@activation
def one_of_a_number(x, *, a=0.7):
    return fmax(erf(1), x) + fmax(a, x)


@op
def of_two_numbers(x, z, *, a=0.3):
    return where(x > z, 0.1, a) * x * z


@activation
def with_a_sign(x):
    return x * copysign(x, 2)


@activation
def of_exponentials_of_numbers(x):
    return x * (tanh(exp(1)) + cosh(-1))


@op
def over_a_difference(x, z):
    return exp(x) / (x - z)


@activation
def without_limit(x):
    return x * (abs(x) ** 0.3 - x)


@activation
def fourth_inverse(x):
    return 1 / (1 + x) ** 4


@activation
def scaled_by_a_power(x, *, a=0.7):
    return x * a**x


@activation
def over_a_number(x, *, a=0.7):
    return x / softplus(cosh(a - 2))


@op
def times_the_exponential_of_a_square(x, z):
    return maximum(z, x) * exp(z * z) + maximum(z, x)


@op
def whole_in_a_branch(x, z):
    return where(z > 0, floor_divide(x, z) + fmod(x, z) + cbrt(z), x)


@op
def powers_in_a_branch(x, z):
    return where(z > 0, z**x, arcsin(z) * x)


@op
def of_many_names(x, *, op=1.0, kernel=1.0, arrays=1.0, cost=1.0, place=1.0, numbers=1.0, values=1.0):
    return x * op * kernel + exp(-x * cost) * arrays * place * numbers * values


@op
def of_many_names_in_rows(x, *, axis=-1, op=1.0, kernel=1.0, place=1.0, values=1.0):
    return x * op * kernel * place * values / sum(exp(x), axis)


@op
def quotient_in_its_condition(x, z):
    rise = where(x > 1, log(z), log(x / z))
    return where(rise < 1, x / z, rise)


@op
def tails_in_branches(x, z):
    return where(x < z, exp((x - z) / 1.5) / 2, 1 - exp((z - x) / 1.5) / 2)


@op
def slack(p, m):
    return sqrt(p**2 + m**2) - m


@op
def times_a_bell_of_a_number(x, *, s=0.7):
    return x * exp(-(s**2))


@op
def beyond_a_margin(x, z, *, a=0.7):
    return (x - z - 1 / (2 * a)) ** 2
