"""Rates with parameters, mixtures, exponentials in exponentials, and differences divided by what makes them small."""

from nngrad.codegen.language import cos, exp, log, op, pi, sqrt

# --- rates that have several parameters, or are divided by one --------------------------------------------------------


@op
def speeds(v, *, a=1.2):
    return sqrt(2 / pi) * v**2 * exp(-(v**2) / (2 * a**2)) / a**3


@op
def discretised_logistic(x, mu, *, h=0.5):
    return -log(1 / (1 + exp(-(x - mu + h))) - 1 / (1 + exp(-(x - mu - h))))


# --- mixtures, damped oscillations, exponentials in exponentials ------------------------------------------------------


@op
def zero_inflated(t):
    return -log(0.3 + 0.7 * exp(-t))


@op
def wave_packet(t):
    return exp(-(t**2) / 2) * cos(5 * t)


@op
def gish(x):
    return x * log(2 - exp(-exp(x)))


# --- divided differences ----------------------------------------------------------------------------------------------


@op
def rate_of_opening(v):
    return (10 - v) / 100 / (exp((10 - v) / 10) - 1)


@op
def hump_of_yields(t, *, tau=1.5):
    return (1 - exp(-t / tau)) / (t / tau) - exp(-t / tau)


@op
def divided_difference(a, b):
    return (exp(a) - exp(b)) / (a - b)
