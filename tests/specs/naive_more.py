"""More formulas as one writes them on paper, with what is rarer in them."""

from nngrad.codegen.language import (
    abs,
    cos,
    cosh,
    erf,
    exp,
    exp2,
    log,
    maximum,
    op,
    pi,
    sigmoid,
    sin,
    sinh,
    softplus,
    sqrt,
    tanh,
)

# --- logistic functions -----------------------------------------------------------------------------------------------


@op
def logistic_of_factor(x):
    return 1 / (1 + 5 * exp(-x))


@op
def logistic_over_constant(x):
    return 1 / (2 + 2 * exp(-x))


@op
def logistic_slope(x):
    return exp(-x) / (1 + exp(-x)) ** 2


@op
def swish_of_exp(x):
    return x * exp(x) / (exp(x) + 1)


@op
def logistic_of_square(x):
    return 1 / (1 + exp(-(x**2)))


@op
def logistic_to_base_two(x):
    return 1 / (1 + exp2(-x))


# --- logarithms of them -----------------------------------------------------------------------------------------------


@op
def soft_relu_of_two(x):
    return log(2 + exp(x))


@op
def soft_relu_of_factor(x):
    return log(1 + 3 * exp(x))


@op
def log_of_word(x):
    return -log(sigmoid(-x))


@op
def mish_of_fractions(x):
    e = (1 + exp(x)) ** 2
    return x * (e - 1) / (e + 1)


@op
def log_loss(x, target):
    p = 1 / (1 + exp(-x))
    return -(target * log(p) + (1 - target) * log(1 - p))


# --- hyperbolic functions ---------------------------------------------------------------------------------------------


@op
def hyperbolic_tangent_of_logistic(x):
    return 2 / (1 + exp(-2 * x)) - 1


@op
def hyperbolic_quotient(x):
    return sinh(x) / cosh(x)


@op
def hyperbolic_secant(x):
    return 1 / cosh(x)


@op
def half_tangent(x):
    return (1 + tanh(x / 2)) / 2


@op
def x_times_tangent(x):
    return x * (1 + tanh(x)) / 2


# --- removable zeros, roots, tails ------------------------------------------------------------------------------------


@op
def x_minus_sine(x):
    return x - sin(x)


@op
def one_minus_cosine(x):
    return 1 - cos(x)


@op
def cosine_quotient(x):
    return (1 - cos(x)) / (1 + x**2)


@op
def exponential_remainder(x):
    return exp(x) - 1 - x


@op
def log_remainder(x):
    return x - log(1 + x**2) / (1 + abs(x))


@op
def pseudo_huber(x, *, delta=1.5):
    return delta**2 * (sqrt(1 + (x / delta) ** 2) - 1)


@op
def root_of_squares(x):
    return sqrt(x**2 + 1)


@op
def root_of_two_squares(a, b):
    return sqrt(a**2 + b**2)


@op
def inverse_root(x):
    return x / sqrt(1 + x**2)


@op
def conjugate(x):
    return sqrt(x**2 + 1) - x


@op
def normal_weight(x):
    return x * exp(-(x**2) / 2)


@op
def normal_product(x):
    return x * (1 + erf(x / sqrt(2))) / 2


@op
def decaying(x):
    return x**2 * exp(-abs(x))


@op
def growing(x):
    return x * exp(x)


@op
def exponential_unit(x):
    return maximum(x, 0) + exp(-maximum(-x, 0)) - 1


@op
def log_of_exp(x):
    return log(exp(x))


@op
def soft_share(a, b):
    return exp(a) / (exp(a) + exp(b))


@op
def difference_of_logs(x):
    return log(1 + exp(x)) - log(1 + exp(-x))


@op
def soft_relu_minus(x):
    return softplus(x) - log(2)


@op
def cardinal_sine(x):
    return sin(pi * x) / (1 + abs(x))


@op
def rational(x):
    return x**3 / (1 + x**2)


@op
def cauchy(x):
    return log(1 + x**2)


@op
def wiggle(x):
    return x * tanh(log(1 + exp(x))) + sin(x) ** 2 / 10


@op
def log_erfc(x):
    return log(1 - erf(x))


@op
def mish_of_logs(x):
    return x * tanh(log(1 + exp(x)))


@op
def mish_scaled(x):
    return x * tanh(log(1 + exp(2 * x)) / 2)


@op
def swish_scaled(x, *, beta=1.702):
    return x / (1 + exp(-beta * x))


# --- functions of naive.py, written in another way --------------------------------------------------------------------


@op
def logistic_turned(x):
    return 1 / (exp(-x) + 1)


@op
def logistic_scaled(x):
    return 3 / (1 + exp(-2 * x))


@op
def soft_relu_turned(x):
    return log(exp(x) + 1)


@op
def soft_relu_shifted(x):
    return log(1 + exp(x + 1))


@op
def minus_log_logistic(x):
    return -log(1 / (1 + exp(-x)))


@op
def hyperbolic_tangent_of_two(x):
    return (exp(2 * x) - 1) / (exp(2 * x) + 1)


@op
def log_hyperbolic_scaled(x):
    return log(cosh(2 * x)) / 2


@op
def log_complement(x):
    return -log(1 - 1 / (1 + exp(-x)))


@op
def logistic_shifted(x):
    return 1 / (1 + exp(-(x - 3)))


@op
def logistic_nested(x):
    return 1 / (1 + exp(-1 / (1 + exp(-x))))


@op
def swish(x):
    return x / (1 + exp(-x))


@op
def hyperbolic_secant_squared(x):
    return 1 - tanh(x) ** 2
