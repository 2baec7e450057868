"""Differentiation rules, a file per family of operators; importing the package registers them."""

from . import (  # noqa: F401
    activation,
    constant,
    convolution,
    indexing,
    linear,
    math,
    normalization,
    pooling,
    quantization,
    reduction,
    resize,
    shape,
    slicing,
    softmax,
)
