"""Operators that only move or convert data: one table, of which each reader takes the set that serves it.

A reader that needs more or fewer operators adds and removes them by name, where it says why.
"""

from __future__ import annotations

__all__ = ["CASTING", "MOVING", "PASSING", "QUANTIZING", "RESHAPING"]

RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})  # the same elements in the same order
MOVING = RESHAPING | {"Identity", "Transpose"}  # every element once, unchanged
CASTING = MOVING | {"Cast"}  # every element once, perhaps in another type
PASSING = CASTING | {"Dropout"}  # likewise, in inference
QUANTIZING = frozenset({"DequantizeLinear", "QuantizeLinear"})
