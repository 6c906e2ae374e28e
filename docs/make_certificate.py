"""Writes docs/certificate.md: the accuracy of every op beside PyTorch's and JAX's, measured on the same points.

    python docs/make_certificate.py [OP ...]

Needs PyTorch and JAX; takes some minutes. With names it prints those ops and writes nothing.
"""

from __future__ import annotations

import numpy as np

SET = """
    exp2 log2 log10 rsqrt cbrt reciprocal tan arcsin arccos arctan sinh cosh arcsinh arccosh arctanh arctan2 hypot sinc
    erf logaddexp xlogy selu celu mish logsigmoid softsign tanhshrink hardtanh hardsigmoid hardswish hardshrink
    softshrink smooth_l1_loss huber_loss kl_div rms_norm add subtract multiply divide negative power square abs exp log
    log1p expm1 sqrt sin cos tanh sigmoid maximum minimum relu leaky_relu elu gelu silu softplus softmax log_softmax
    logsumexp layer_norm cross_entropy binary_cross_entropy_with_logits
""".split()


def pytorch():
    """PyTorch's functions by the names of our ops."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    same = """
        exp2 log2 log10 rsqrt reciprocal tan arcsin arccos arctan sinh cosh arcsinh arccosh arctanh arctan2 hypot sinc
        logaddexp xlogy add subtract multiply divide negative square abs exp log log1p expm1 sqrt sin cos tanh sigmoid
        maximum minimum relu erfc sign floor erf
    """
    functions = {name: getattr(torch, name) for name in same.split()}
    activations = """
        selu celu mish logsigmoid softsign tanhshrink hardtanh hardsigmoid hardswish hardshrink softshrink leaky_relu
        elu gelu silu
    """
    functions |= {name: getattr(F, name) for name in activations.split()}
    losses = """
        smooth_l1_loss huber_loss kl_div binary_cross_entropy_with_logits binary_cross_entropy l1_loss mse_loss
        cross_entropy
    """

    def unreduced(loss):
        return lambda input, target: loss(input, target, reduction="none")

    functions |= {name: unreduced(getattr(F, name)) for name in losses.split()}
    functions |= {
        "power": torch.pow,
        "softplus": lambda x: F.softplus(x),
        "softmax": lambda x: F.softmax(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "logsumexp": lambda x: torch.logsumexp(x, -1),
        "layer_norm": lambda x: F.layer_norm(x, x.shape, eps=1e-5),
        "rms_norm": lambda x: F.rms_norm(x, x.shape, eps=1e-5),
    }

    def subject(function):
        def run(inputs):
            tensors = [torch.tensor(array) for array in inputs.values()]
            moving = {name: x for name, x in zip(inputs, tensors, strict=True) if x.is_floating_point()}
            for x in moving.values():
                x.requires_grad_()
            y = function(*tensors)

            def pull(g):
                gradients = torch.autograd.grad(
                    y, list(moving.values()), torch.tensor(g), retain_graph=True, allow_unused=True
                )
                return {
                    name: np.zeros_like(inputs[name]) if dx is None else dx.numpy()
                    for name, dx in zip(moving, gradients, strict=True)
                }

            return y.detach().numpy(), pull

        return run

    return f"PyTorch {torch.__version__}", {name: subject(function) for name, function in functions.items()}


def jax():
    """JAX's functions by the names of our ops."""
    import jax
    import jax.numpy as jnp
    import jax.scipy.special as special

    jax.config.update("jax_enable_x64", True)
    same = """
        exp2 log2 log10 cbrt reciprocal tan arcsin arccos arctan sinh cosh arcsinh arccosh arctanh arctan2 hypot sinc
        logaddexp add subtract multiply divide negative power square abs exp log log1p expm1 sqrt sin cos tanh
        maximum minimum sign floor
    """
    functions = {name: getattr(jnp, name) for name in same.split()}
    same = "selu celu mish relu leaky_relu elu silu softplus sigmoid softmax log_softmax logsumexp"
    functions |= {name: getattr(jax.nn, name) for name in same.split()}
    functions |= {
        "rsqrt": jax.lax.rsqrt,
        "erf": special.erf,
        "erfc": special.erfc,
        "xlogy": special.xlogy,
        "logsigmoid": jax.nn.log_sigmoid,
        "softsign": jax.nn.soft_sign,
        "hardtanh": jax.nn.hard_tanh,
        "hardsigmoid": jax.nn.hard_sigmoid,
        "hardswish": jax.nn.hard_swish,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "layer_norm": lambda x: jax.nn.standardize(x, epsilon=1e-5),
    }

    def subject(function):
        def run(inputs):
            y, vjp = jax.vjp(function, *map(jnp.asarray, inputs.values()))

            def pull(g):
                return dict(zip(inputs, map(np.asarray, vjp(jnp.asarray(g))), strict=True))

            return np.asarray(y), pull

        return run

    return f"JAX {jax.__version__}", {name: subject(function) for name, function in functions.items()}
