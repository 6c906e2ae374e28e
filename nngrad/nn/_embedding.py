"""Vectors for the members of a finite set."""

from typing import Any

from nngrad.nn import functional
from nngrad.nn.module import Module
from nngrad.random import default_generator
from nngrad.tensor import Tensor
from nngrad.utils import whole_number


class Embedding(Module):
    """A learnt vector for each index from 0 to num_embeddings - 1.

    `weight`, of shape (num_embeddings, embedding_dim), starts standard normal, with zeros at padding_idx.

    Args:
        num_embeddings: how many vectors there are.
        embedding_dim: their length.
        padding_idx: an index whose vector gets no gradient, or None.

    Raises:
        TypeError: a length is no integer; on the call, the indices are none.
        ValueError: a length is negative, or padding_idx is out of range.
        IndexError: on the call, an index is out of range.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        self.num_embeddings = whole_number("Embedding: num_embeddings", num_embeddings, least=0)
        self.embedding_dim = whole_number("Embedding: embedding_dim", embedding_dim, least=0)
        if padding_idx is not None and not -self.num_embeddings <= padding_idx < self.num_embeddings:
            raise ValueError(f"Embedding: padding_idx {padding_idx} is none of {num_embeddings} indices")
        self.padding_idx = None if padding_idx is None else padding_idx % self.num_embeddings
        vectors = default_generator().normal(size=(self.num_embeddings, self.embedding_dim))
        if padding_idx is not None:
            vectors[padding_idx] = 0
        self.weight = Tensor(vectors, requires_grad=True)

    def forward(self, input: Any) -> Tensor:
        """Integers of any shape -> the same shape with the vectors along a last axis."""
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
