"""The one generator that dropout and initialisation draw from."""

import numpy as np

generator = np.random.default_rng()


def manual_seed(seed):
    """Start the generator anew from `seed`, an int: what is drawn afterwards is the same in every run."""
    generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
