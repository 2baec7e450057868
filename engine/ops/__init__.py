"""Differentiation rules, a file per family of operators; importing the package registers them."""

from . import (  # noqa: F401
    activation,
    convolution,
    linear,
    math,
    normalization,
    reduction,
    softmax,
)
