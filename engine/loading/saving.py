"""Writes a model as a file, with its weights beside it from 2 GB on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import count
from os import PathLike
from pathlib import Path

import google.protobuf.message
import onnx
import onnx_ir as ir

from ..graph.weights import LARGE, LIMIT, embedded, weight_bytes
from ..support.writing import replacing

__all__ = ["write_model"]


def write_model(program: ir.Model, path: str | PathLike[str]) -> Path:
    """Saves a model as one file; from 2 GB on with its weights in NAME.data beside it.

    Two files cannot be replaced at once. So the weights get a name that is free (NAME.1.data, ...), the rename of the
    model makes both valid, and then the weights of the model that was there before are removed.
    """
    file = Path(path)
    if weight_bytes(program) < LIMIT:
        with replacing(file) as temporary:
            onnx.save(ir.to_proto(embedded(program)), temporary)
        return file
    place = Path(os.path.realpath(file))
    stale = _weight_files(place)
    data = next(name for name in _weight_names(place) if not name.exists())
    with replacing(file, data) as temporary:
        ir.save(program, temporary, external_data=data.name, size_threshold_bytes=LARGE)
    for old in stale:
        old.unlink(missing_ok=True)
    return file


def _weight_names(file: Path) -> Iterator[Path]:
    yield file.with_name(f"{file.name}.data")
    yield from (file.with_name(f"{file.name}.{k}.data") for k in count(1))


def _weight_files(file: Path) -> set[Path]:
    """The files of weights that ``write_model`` gave the model that is there, if there is one."""
    try:
        held = onnx.load(file, load_external_data=False).graph.initializer if file.exists() else ()
    except (google.protobuf.message.DecodeError, OSError, ValueError):
        return set()
    named = {entry.value for tensor in held for entry in tensor.external_data if entry.key == "location"}
    own_name = re.compile(re.escape(file.name) + r"(\.[0-9]+)?\.data")
    return {file.with_name(name) for name in named if own_name.fullmatch(name)}
