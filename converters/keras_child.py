"""Keras models of the JAX and PyTorch backends: translated by a process of their own on TensorFlow.

The backend of Keras cannot be changed once it is imported. What comes back is checked here, on the model's backend.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
from onnxray.errors import ConversionError
from onnxray.support.writing import temporary_folder

from .candidates import Options
from .keras_signature import Signature, signature
from .keras_trace import Scopes, translate
from .quiet import converting, require

__all__ = ["translate_elsewhere"]

SECONDS = 1800
ADVICE = "run it with KERAS_BACKEND=tensorflow"


def translate_elsewhere(model: Any, _: Signature, opset: int, batch: int | None) -> tuple[onnx.ModelProto, Scopes]:
    """Save the model, translate it in a child process, read the graph and its scopes back."""
    with (
        converting(f"Keras model {model.name!r} cannot be translated on TensorFlow", ADVICE),
        temporary_folder() as folder,
    ):
        model.save(folder / "model.keras")
        child = run([str(folder), str(opset), str(batch or 0)])
        if child.returncode:
            last = (child.stderr.strip().splitlines() or ["no message"])[-1]
            raise ConversionError(f"Keras model {model.name!r} on TensorFlow: {last}; {ADVICE}")
        return onnx.load(folder / "model.onnx"), json.loads((folder / "scopes.json").read_text())


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run this file in a process whose Keras is on TensorFlow."""
    return subprocess.run(
        [sys.executable, "-m", "onnxray.converters.keras_child", *arguments],
        env={"TF_ENABLE_ONEDNN_OPTS": "0", **os.environ, "KERAS_BACKEND": "tensorflow"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def main(folder: Path, opset: int, batch: int | None) -> None:
    """Translate the model of a folder, in the child process; it is safe to load, the parent has just saved it."""
    keras = require("keras")
    model = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=False)
    proto, scopes = translate(model, signature(model, Options()), opset, batch)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    (folder / "scopes.json").write_text(json.dumps(scopes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) or None)
