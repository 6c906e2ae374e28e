"""Small helpers on shapes and numbers."""

import math
import operator
from itertools import zip_longest
from numbers import Real


def broadcast_axis(shape_a, shape_b):
    """The axes over which the gradient of a broadcast result is summed for each of the two operands.

    Axes count in the broadcast result, so those that an operand lacks are among them:
    `broadcast_axis((3, 1), (1, 4))` is `((1,), (0,))`, `broadcast_axis((2, 3), (3,))` is `((), (0,))`.

    Raises ValueError if the shapes don't broadcast together.
    """
    pairs = list(zip_longest(reversed(tuple(shape_a)), reversed(tuple(shape_b))))[::-1]
    for a, b in pairs:
        if a != b and a not in (1, None) and b not in (1, None):
            raise ValueError(
                f"shapes {tuple(shape_a)} and {tuple(shape_b)} don't broadcast together: {a} against {b}; each "
                "pair of axes, counted from the last, must be equal or have a 1"
            )
    axes_a = tuple(axis for axis, (a, b) in enumerate(pairs) if a is None or (a == 1 and b not in (1, None)))
    axes_b = tuple(axis for axis, (a, b) in enumerate(pairs) if b is None or (b == 1 and a not in (1, None)))
    return axes_a, axes_b


def whole_number(what, value, least):
    """`value` as an int; TypeError, naming `what`, unless it is a whole number, ValueError if it is below `least`."""
    problem = f"{what} must be an integer, at least {least}, got {value!r}"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(problem) from None
    if number < least:
        raise ValueError(problem)
    return number


def number(what, value, least=0, most=math.inf):
    """`value`; TypeError, naming `what`, unless it is a real number, ValueError unless it is from `least` to `most`."""
    problem = f"{what} must be a number from {least} {'on' if most == math.inf else f'to {most}'}, got {value!r}"
    if not isinstance(value, Real):
        raise TypeError(problem)
    if not least <= value <= most:
        raise ValueError(problem)
    return value
