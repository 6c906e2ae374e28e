"""Constants in formulas, made by words of numbers or of parameters alone."""

import math

import numpy as np
import pytest

pytest.importorskip("sympy")

import nngrad

EXACT = {
    "shifted": lambda x: x * np.tanh(0.5) + 1,
    "halved": lambda x: x**2 / 2,
    "scaled": lambda x: np.maximum(x, 0) / np.log1p(np.exp(0.7)),
    "grown": lambda x, z: np.expm1(z - 1.5) * (np.cosh(0.7) + x),
    "gated": lambda x, z: np.tanh(z) * x * np.log1p(np.exp(np.cosh(0.5))) + math.erf(0.7),
    "apart": lambda x: np.exp(x) / np.where(x > 0, 2 * x + 1, np.expm1(x)),
}


@pytest.mark.parametrize("name", EXACT)
def test_formulas_with_constants(package_of, name):
    function, exact = getattr(package_of("constants"), name), EXACT[name]
    arrays = np.random.default_rng(0).normal(0, 2, (exact.__code__.co_argcount, 7))
    np.testing.assert_allclose(
        function(*(nngrad.Tensor(one, dtype=float) for one in arrays)).data, exact(*arrays), rtol=1e-14
    )
    nngrad.check_grads(function, [*arrays], order=2)
