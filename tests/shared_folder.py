"""A folder that the processes of one run of the tests share: what one of them has made, the others read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

import onnx

__all__ = ["VARIABLE", "made_once"]

VARIABLE = "ONNXRAY_TESTS_SHARED"  # the path of the folder, which conftest.py makes and removes
LARGEST = 100_000_000  # bytes: larger ones fill the disk, and few tests ask for them


def made_once(name: str, make: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    """The model of a name that says all about it, made by the first process that asks."""
    if VARIABLE not in os.environ:  # a script, and no test, asks
        return make()
    file = Path(os.environ[VARIABLE], f"{name}.onnx")
    if file.exists():
        return onnx.load(file)
    model = make()
    if model.ByteSize() < LARGEST:
        with NamedTemporaryFile(dir=file.parent, delete=False) as part:
            part.write(model.SerializeToString())
        Path(part.name).replace(file)  # whole or not at all
    return model
