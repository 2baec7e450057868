"""What graphs of derivatives say of themselves, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import onnx
import onnx_ir as ir

from ..loading.saving import write_model

__all__ = ["names_of", "save_with_weights"]


def names_of(values: Mapping[ir.Value, ir.Value]) -> dict[str, str]:
    """The names of values, of a mapping."""
    return {str(key.name): str(value.name) for key, value in values.items()}


def save_with_weights(model: onnx.ModelProto, folder: Path | None, path: str | PathLike[str]) -> Path:
    """Writes a model as one file, with the weights beside it from 2 GB on; ``folder`` is where they lie now."""
    program = ir.from_proto(model)
    for value in program.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor) and folder is not None:
            value.const_value.base_dir = folder
    return write_model(program, path)
