"""Formulas as one writes them on paper: each must come out as accurate as the library's own words."""

from nngrad.codegen.language import cosh, erf, exp, log, maximum, minimum, op, sqrt, tanh

# --- logistic functions -----------------------------------------------------------------------------------------------


@op
def logistic(x):
    return 1 / (1 + exp(-x))


@op
def logistic_complement(x):
    return 1 - 1 / (1 + exp(-x))


@op
def logistic_slope_of_product(x):
    s = 1 / (1 + exp(-x))
    return s * (1 - s)


# --- logarithms of them -----------------------------------------------------------------------------------------------


@op
def soft_relu(x):
    return log(1 + exp(x))


@op
def soft_relu_of_parameter(x, *, beta=2.5):
    return log(1 + exp(beta * x)) / beta


@op
def log_logistic(x):
    return log(1 / (1 + exp(-x)))


@op
def minus_log_logistic_of_exp(x):
    return -log(exp(x) / (1 + exp(x)))


@op
def soft_relu_nested(x):
    return log(1 + log(1 + exp(x)))


# --- hyperbolic functions ---------------------------------------------------------------------------------------------


@op
def hyperbolic_tangent(x):
    return (exp(x) - exp(-x)) / (exp(x) + exp(-x))


@op
def log_hyperbolic(x):
    return log(cosh(x))


@op
def log_hyperbolic_difference(a, b):
    return log(cosh(a - b))


# --- removable zeros, roots, tails ------------------------------------------------------------------------------------


@op
def x_minus_tangent(x):
    return x - tanh(x)


@op
def root_minus_one(x):
    return sqrt(1 + x**2) - 1


@op
def normal_tail(x):
    return (1 - erf(x)) / 2


@op
def log_sum_of_two(a, b):
    return log(exp(a) + exp(b))


@op
def exponential_linear(x, *, alpha=1.2):
    return maximum(0, x) + minimum(0, alpha * (exp(x / alpha) - 1))
