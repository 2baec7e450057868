"""Differentiation rules, a file per family of operators; importing the package registers them."""

from . import (  # noqa: F401
    activation,
    constant,
    convolution,
    determinant,
    fourier,
    grid_sample,
    indexing,
    linear,
    lp_pooling,
    math,
    normalization,
    patches,
    pooling,
    quantization,
    reduction,
    resize,
    shape,
    slicing,
    softmax,
    tensor_scatter,
)
