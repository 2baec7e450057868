"""The service of ``onnxray serve``: models over HTTP, by KServe's protocols v1 and v2, with batches and limits.

What is imported here needs no extra; ``application`` and ``server`` need the extra ``[serve]``.
"""

from .limits import Limits
from .served_model import ServedModel, served_model

__all__ = ["Limits", "ServedModel", "served_model"]
