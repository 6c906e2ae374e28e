"""The steps that several optimizers share, in place on arrays."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from nngrad_ops.tiles import TILE, equal_tiles, threads


def change_by_tiles(
    update: Callable[..., None], arrays: tuple[np.ndarray | None, ...], numbers: tuple[float, ...]
) -> None:
    """`update(*arrays, *numbers)`, which works in place, element by element: large arrays tile by tile, by all threads.

    None stays None. Where BLAS keeps a core busy for a while after the products of backward, one thread does it all.
    """
    x = arrays[0]
    if x.size <= TILE or not all(array is None or _lie_alike(array, x) for array in arrays):
        return update(*arrays, *numbers)
    flat = [array if array is None else array.ravel(order="K") for array in arrays]
    threads.run(partial(_change_tile, update, flat, numbers), equal_tiles(x.size, 0, 2 * TILE))


def _change_tile(update: Callable[..., None], flat: list[np.ndarray | None], numbers: tuple, tile: slice) -> None:
    update(*[array if array is None else array[tile] for array in flat], *numbers)


def _lie_alike(array: np.ndarray, x: np.ndarray) -> bool:
    """Whether the elements of both lie in one piece, in the same order."""
    return array.flags.forc and array.strides == x.strides


def with_decay(g: np.ndarray, x: np.ndarray, weight_decay: float) -> np.ndarray:
    """The gradient with that of the penalty weight_decay/2 * sum(x**2) added; `g` itself where there is none."""
    if not weight_decay:
        return g
    decayed = np.multiply(x, weight_decay, out=np.empty_like(x))
    decayed += g
    return decayed


def running(state: dict[str, Any], name: str, x: np.ndarray) -> np.ndarray:
    """The running mean (or sum) `name`, zeros at first."""
    if name not in state:
        state[name] = np.zeros_like(x)
    return state[name]


def fade_in(mean: np.ndarray, value: np.ndarray, keep: float, t: np.ndarray) -> None:
    """mean <- keep * mean + (1 - keep) * value, in place; `t` is scratch."""
    np.subtract(value, mean, out=t)
    t *= 1 - keep
    mean += t


def fade_in_square(mean: np.ndarray, value: np.ndarray, keep: float, t: np.ndarray) -> None:
    """mean <- keep * mean + (1 - keep) * value**2, in place; `t` is scratch."""
    mean *= keep
    np.multiply(value, value, out=t)
    t *= 1 - keep
    mean += t
