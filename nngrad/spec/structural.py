"""Index maps, each with its adjoint in templates/structural.py.j2."""

from nngrad.codegen.language import affine, structural


@structural
def reshape(x, *, shape):
    """The same elements in another shape; one size may be -1."""


@structural
def transpose(x, *, axes=None):
    """Axes permuted; reversed when `axes` is None."""


@structural
def examples_last(x):
    """x itself, copied so that its first axis is innermost in memory, unless it is."""


@structural
def broadcast(x, *, shape):
    """x repeated to a larger shape."""


@structural
def unbroadcast(x, *, shape):
    """x summed to the shape it was broadcast from."""


@structural
def squeeze(x, *, axis=None):
    """Axes of length 1 removed."""


@structural
def expand_dims(x, *, axis):
    """Axes of length 1 inserted."""


@structural
def getitem(x, *, index):
    """x[index], for anything NumPy indexes with."""


@structural
def scatter_add(x, *, shape, index):
    """Zeros with x added at an index."""


@structural
def setitem(x, value, *, index):
    """x with x[index] = value; where an index repeats, the last value stays."""


@structural
def concat(*xs, axis=0):
    """Tensors joined along an axis."""


@structural
def stack(*xs, axis=0):
    """Tensors joined along a new axis."""


@structural
def split(x, *, sections, axis=0) -> tuple:
    """x cut along an axis: into equal parts, or at the given positions."""


@structural
def pad(x, *, pad_width, value=0.0) -> affine:
    """x surrounded by a constant; `pad_width` as in numpy.pad."""


@structural
def windows(x, *, axes, size, step, dilation):
    """x seen through windows: x[i] becomes x[step i + dilation p], the taps p on axes at the end."""


@structural
def add_windows(x, *, shape, axes, size, step, dilation):
    """Zeros with windows added up where they overlap."""


@structural
def cumsum(x, *, axis):
    """Sums of the elements up to each."""


@structural
def astype(x, *, dtype):
    """x in another floating dtype."""
