"""Differentiation rules, a file per family of operators; importing the package registers them."""

from . import activation, convolution, linear, math  # noqa: F401
