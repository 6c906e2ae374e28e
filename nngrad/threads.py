"""How many threads work on a large array."""

import operator

from nngrad.engine import threads


def get_num_threads():
    """How many threads work on a large array: the processors this process may use, unless changed."""
    return threads.count


def set_num_threads(count):
    """Set how many threads work on a large array; ValueError unless it is a positive int. BLAS has its own setting.

    The results are the same to the bit for any number.
    """
    count = operator.index(count)
    if count < 1:
        raise ValueError(f"the number of threads must be at least 1, not {count}")
    threads.set(count)
