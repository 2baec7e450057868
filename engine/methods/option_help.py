"""What options mean that several methods have; ``metadata`` of their fields, which the command line's help shows."""

from __future__ import annotations

__all__ = ["BASELINE", "CELLS", "GROUPS", "LAYER", "RELU", "SEED"]

BASELINE = {
    "help": "value of an empty input: a number, one per channel as in 0.4,0.4,0.4, an .npy file (of several rows for "
    "expected-gradients and tree-shap), or, but for these two, blurred"
}
CELLS = {"help": "cells along each axis of the grid but the channels, a number or one per axis as in 1,20"}
GROUPS = {
    "help": "what is hidden together: grid, pixels (places, tokens, columns), superpixels, or an .npy of integers"
}
LAYER = {"help": "layer whose activations are taken"}
RELU = {"help": "keep the positive part only"}
SEED = {"help": "seed of the random numbers"}
