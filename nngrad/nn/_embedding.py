"""Vectors for the members of a finite set."""

import operator
from typing import Any

from nngrad.nn import functional
from nngrad.nn.module import Module
from nngrad.random import default_generator
from nngrad.tensor import Tensor


class Embedding(Module):
    """A learnt vector for each index from 0 to num_embeddings - 1.

    `weight`, of shape (num_embeddings, embedding_dim), starts standard normal, with zeros at padding_idx.

    Args:
        num_embeddings: how many vectors there are.
        embedding_dim: their length.
        padding_idx: an index whose vector gets no gradient, or None.

    Raises:
        ValueError: a length is negative, or padding_idx is out of range; on the call: TypeError for indices that are no
            integers, IndexError for one out of range.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        self.num_embeddings = operator.index(num_embeddings)
        self.embedding_dim = operator.index(embedding_dim)
        if min(self.num_embeddings, self.embedding_dim) < 0:
            raise ValueError(f"Embedding: lengths must not be negative, got {num_embeddings} and {embedding_dim}")
        if padding_idx is not None and not -self.num_embeddings <= padding_idx < self.num_embeddings:
            raise ValueError(f"Embedding: padding_idx {padding_idx} is none of {num_embeddings} indices")
        self.padding_idx = None if padding_idx is None else padding_idx % self.num_embeddings
        vectors = default_generator().normal(size=(self.num_embeddings, self.embedding_dim))
        if padding_idx is not None:
            vectors[padding_idx] = 0
        self.weight = Tensor(vectors, requires_grad=True)

    def forward(self, indices: Any) -> Tensor:
        """Integers of any shape -> the same shape with the vectors along a last axis."""
        return functional.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
