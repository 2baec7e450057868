"""Differentiation rules, a file per family of operators; importing the package registers them."""

from . import (  # noqa: F401
    activation,
    constant,
    convolution,
    linear,
    math,
    normalization,
    pooling,
    reduction,
    shape,
    slicing,
    softmax,
)
