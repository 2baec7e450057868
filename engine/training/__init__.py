"""The second gradient builder: onnxruntime-training in another process, its graph lowered to standard operators."""

from .install import Status, install, status
from .reverse_pass import training_backward
from .session import TrainingSession, at_training_opset, open_training_session, training_providers

__all__ = [
    "Status",
    "TrainingSession",
    "at_training_opset",
    "install",
    "open_training_session",
    "status",
    "training_backward",
    "training_providers",
]
