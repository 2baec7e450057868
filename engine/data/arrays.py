"""Arrays of what users give: numbers, sequences of them, arrays, tensors of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError

__all__ = ["as_array"]


def as_array(given: Any, what: str) -> np.ndarray:
    """An argument as an array; a tensor of PyTorch from any device, with a gradient or without.

    Raises InputError, which begins with ``what`` is given, where it is no array of one shape.
    """
    try:
        return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{what}: not an array ({' '.join(str(error).split())})") from error
