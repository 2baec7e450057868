"""The digits that come with scikit-learn, as the shipped models were trained on them, made once in a process."""

from __future__ import annotations

from functools import cache

import onnxray.models.data

__all__ = ["digits"]

digits = cache(onnxray.models.data.digits)
