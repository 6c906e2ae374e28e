"""Where the certificate looks: points, pairs of points and rows, from the smallest subnormal to the largest float.

Always the same ones, so that two measurements compare. `thin` takes every so-manieth, for a quick look.
"""

from __future__ import annotations

import numpy as np

# Where functions change their piece or leave their domain: searched to the last digit.
BOUNDS = (0.5, 1.0, 3.0)
# Where exponentials give out: the last place at which 1 + exp(-x), tanh(x), exp(x) still differ from their limits.
LANDMARKS = (2.0, 6.0, 9.0, 16.7, 20.0, 36.7, 88.7, 103.9, 709.7, 745.1)
WIDE = {np.dtype(np.float32): 110.0, np.dtype(np.float64): 760.0}  # beyond this exp() overflows or vanishes
MODERATE = 12.0


def points(dtype, thin: int = 1) -> np.ndarray:
    """Points for a function of one number."""
    dtype, random = np.dtype(dtype), np.random.default_rng(1)
    info, wide = np.finfo(dtype), WIDE[dtype]
    step = 1 if dtype == np.float32 else 8
    binades = np.arange(info.minexp - info.nmant, info.maxexp, step)
    magnitudes = np.ldexp(random.uniform(1, 2, binades.size), binades)
    extremes = [info.smallest_subnormal, info.tiny * (1 - info.eps), info.tiny, info.max / 4, info.max / 2, info.max]
    finest = -info.nmant
    near = [
        place * (1 + side * np.ldexp(1.0, np.append(np.arange(-2, finest, step), finest)))
        for places, step in ((BOUNDS, -3), (LANDMARKS, -9))
        for place in places
        for side in (1, -1)
    ]
    turns = np.pi / 4 * np.concatenate([np.arange(1, 17), np.floor(np.logspace(1.5, 8, 14))])
    unit, half = random.uniform(0, 1, 60), random.uniform(0, MODERATE, 150)
    positive = np.concatenate([magnitudes, *near, turns, unit, half, random.uniform(0, wide, 100)])
    kept = np.concatenate([positive, -positive])
    if thin > 1:
        kept = random.permutation(kept)[::thin]
    always = np.concatenate([extremes, BOUNDS, LANDMARKS, [0.0]])
    return np.unique(np.concatenate([kept, always, -always]).astype(dtype))


def tuples(dtype, arity: int, thin: int = 1) -> tuple[np.ndarray, ...]:
    """Points for a function of several numbers: of like and unlike magnitude, all but equal, whole."""
    dtype, random = np.dtype(dtype), np.random.default_rng(2)
    info, wide = np.finfo(dtype), WIDE[dtype]

    def signs(*shape):
        return random.choice([-1.0, 1.0], shape)

    def any_magnitude(size):
        exponents = random.integers(info.minexp - info.nmant, info.maxexp, (arity, size))
        return signs(arity, size) * np.ldexp(random.uniform(1, 2, (arity, size)), exponents)

    def moderate(size):
        return random.normal(0, 2, (arity, size))

    mixed = moderate(160)
    mixed[np.arange(160) % arity, np.arange(160)] = any_magnitude(160)[0]
    alike = np.broadcast_to(np.concatenate([moderate(60)[0], any_magnitude(30)[0]]), (arity, 90)).copy()
    alike[1:] *= 1 + signs(90) * np.ldexp(1.0, -random.integers(2, info.nmant + 1, 90))
    alike[1:] *= signs(90)
    whole = random.integers(-4, 5, (arity, 40)).astype(float)
    close_to_one = np.concatenate([1 + signs(arity, 40) * np.ldexp(1.0, -random.integers(2, info.nmant, (arity, 40)))])
    close_to_one[1:] *= any_magnitude(40)[0]
    sides = random.uniform(-wide, wide, (arity, 80))
    kept = np.concatenate([any_magnitude(200), moderate(160), mixed, alike, close_to_one, sides], axis=1)
    kept = np.concatenate([random.permutation(kept.T)[::thin].T, whole], axis=1)
    with np.errstate(over="ignore", under="ignore"):
        kept = kept.astype(dtype)
    return tuple(kept[:, np.isfinite(kept).all(axis=0)])


def rows(dtype, thin: int = 1) -> dict[str, list[np.ndarray]]:
    """Rows for functions of a row, by kind; those of a kind have one length."""
    dtype, random = np.dtype(dtype), np.random.default_rng(3)
    kinds = {
        "moderate": [random.normal(0, 2, 7) for _ in range(6)],
        "small": [random.normal(0, 1e-3, 5) for _ in range(3)],
        "spread 80": [random.uniform(-80, 80, 6) for _ in range(4)],
        "spread 700": [random.uniform(-700, 700, 6) for _ in range(4)],
        "saturated": [top + random.normal(0, 2, 4) * [0, 1, 1, 1] + [30, 0, 0, 0] for top in (0.0, 1.0, -20.0, 1000.0)],
        "two": [random.normal(0, 5, 2) for _ in range(4)],
        "far": [1e4 + 0.01 * random.normal(0, 1, 8) for _ in range(4)],
        "constant": [np.full(5, value) for value in (0.0, 1.0, -3.3, 1e4)],
        "single": [np.array([value]) for value in (0.0, 0.7, -30.0, 1e4)],
        "1e-30": [1e-30 * random.normal(0, 1, 5) for _ in range(3)],
        "1e-40": [1e-40 * random.normal(0, 1, 5) for _ in range(2)],
        "1e20": [1e20 * random.normal(0, 1, 5) for _ in range(3)],
        "1e38": [1e38 * random.uniform(-3, 3, 5) for _ in range(3)],
        "all sizes": [10.0 ** random.uniform(-30, 30, 6) * random.choice([-1, 1], 6) for _ in range(4)],
    }
    if dtype == np.float64:
        kinds |= {
            "1e-160": [1e-160 * random.normal(0, 1, 5) for _ in range(3)],
            "1e160": [1e160 * random.normal(0, 1, 5) for _ in range(3)],
            "1e307": [1e307 * random.uniform(-9, 9, 5) for _ in range(3)],
        }
    return {kind: [row.astype(dtype) for row in own[::thin]] for kind, own in kinds.items()}
