"""The one generator that dropout and initialisation draw from."""

from functools import cache

import numpy as np


@cache  # not made on import: NumPy's random module takes a quarter as long to import as NumPy
def default_generator():
    """What draws where no generator is given."""
    return np.random.default_rng()


def manual_seed(seed):
    """Start the generator anew from `seed`, an int: what is drawn afterwards is the same in every run."""
    default_generator().bit_generator.state = np.random.default_rng(seed).bit_generator.state
