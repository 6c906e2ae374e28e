"""How many threads work on a large array."""

from nngrad.engine import threads
from nngrad.utils import whole_number


def get_num_threads():
    """How many threads work on a large array: the processors this process may use, unless changed."""
    return threads.count


def set_num_threads(count):
    """Set how many threads work on a large array, at least 1; ValueError otherwise. BLAS has a setting of its own.

    The results are the same to the bit for any number.
    """
    threads.set(whole_number("the number of threads", count, least=1))
