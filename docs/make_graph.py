"""Draws docs/graph.svg: the graph of a small network's loss, as `Tensor.graph` shows it.

    python docs/make_graph.py [FILE]

Draw it anew when the picture changes. It needs the extra `graph` and Graphviz's program `dot`.
"""

import sys
from pathlib import Path

import numpy as np

from nngrad import Tensor, manual_seed
from nngrad.nn import Linear, Sequential, tanh
from nngrad.nn.functional import mse_loss


def picture():
    """The picture of the loss after backward, as a `graphviz.Digraph`."""
    manual_seed(0)
    x = np.linspace(-1, 1, 10)
    points, targets = Tensor(np.stack([x, x**2], axis=1)), Tensor(x[:, None] ** 3)
    model = Sequential(Linear(2, 1), tanh)
    loss = mse_loss(model(points), targets)
    loss.backward(retain_graph=True)
    return loss.graph(names=[*model.named_parameters(), ("points", points), ("targets", targets)])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("graph.svg")
    target.write_bytes(picture().pipe(format="svg"))
    print(target)
