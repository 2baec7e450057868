"""The second gradient builder: onnxruntime-training in another process, its graph lowered to standard operators."""

from .backward import training_backward
from .install import Status, install, status

__all__ = ["Status", "install", "status", "training_backward"]
