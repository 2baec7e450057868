"""Tell a source by its type or by what the file holds, never by the end of its name."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnxray.errors import ConversionError

from .candidates import Candidate, Options
from .quiet import converting

__all__ = ["convert", "kind_of_file"]

# Keras comes first: on its PyTorch backend a Keras model is a torch.nn.Module too.
TYPES = {
    "keras_export:convert_model": ("keras", "Model"),
    "torch_export:convert_module": ("torch.nn", "Module"),
    "sklearn_models:convert_estimator": ("sklearn.base", "BaseEstimator"),
}
FILES = {
    "keras": "keras_files:convert_file",
    "h5": "keras_files:convert_file",
    "savedmodel": "saved_model:convert_saved_model",
    "tflite": "tflite:convert_tflite",
    "pt2": "torch_files:convert_pt2",
    "torchscript": "torch_files:convert_torchscript",
    "torch": "torch_files:convert_torch_file",
    "safetensors": "torch_files:convert_safetensors",
    "pickle": "sklearn_models:convert_pickle",
}
WEIGHTS = ("keras_files:convert_file", "torch_files:convert_torch_file", "torch_files:convert_safetensors")
HINTS = {
    "tf_keras.": "a model of Keras 2; save it as .h5",
    "torch.export.": "a program of torch.export; save it with torch.export.save",
}
NEWEST_OF_TF2ONNX = 18
SUPPORTED = ".keras, .h5, SavedModel folder, .tflite, .pt2, TorchScript .pt, state dict (.pth, .safetensors)"
MAGIC = {
    b"\x89HDF\r\n\x1a\n": "h5",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "torch",
    **{bytes([0x80, protocol]): "pickle" for protocol in (2, 3, 4, 5)},
}


def convert(source: Any, options: Options) -> Candidate:
    """Convert a live model by its type, or a file by its content."""
    if isinstance(source, (str, Path)):
        target = FILES[kind_of_file(Path(source))]
        refuse_unused(target, str(source), options)
        return converter(target)(Path(source), options)
    for target, (module, name) in TYPES.items():
        if is_instance(source, module, name):
            refuse_unused(target, f"a {type(source).__name__}", options)
            return converter(target)(source, options)
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    if hint := next((text for start, text in HINTS.items() if kind.startswith(start)), None):
        raise ConversionError(f"{kind}: {hint} and give that file")
    raise ConversionError(f"{kind}: no Keras model, torch.nn.Module, scikit-learn estimator or path; give one of these")


def refuse_unused(target: str, source: str, options: Options) -> None:
    """An option that a converter would pass over in silence is a mistake."""
    if options.factory is not None and target not in WEIGHTS:
        raise ConversionError(f"{source}: factory= is for files of weights alone; leave it out")
    exports = target.startswith("torch_") and not target.endswith("convert_pt2")
    if options.exporter != "default" and not exports:
        raise ConversionError(f"{source}: exporter= is for PyTorch modules; leave it out")
    if options.opset > NEWEST_OF_TF2ONNX and target.startswith(("keras_", "saved_model", "tflite")):
        raise ConversionError(f"{source}: opset={options.opset} is beyond tf2onnx; give {NEWEST_OF_TF2ONNX} or less")


def converter(target: str) -> Any:
    """Import a converter when it is needed, so that no framework comes with the package."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(f"onnxray.converters.{module}"), name)


def is_instance(source: Any, module: str, name: str) -> bool:
    """Whether a source is of a framework's class; a framework that nobody imported has no instances."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(source, kind)


def kind_of_file(path: Path) -> str:
    """Name what a file holds, a key of FILES."""
    if not path.exists():
        raise ConversionError(f"{path}: no such file; check the path")
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "savedmodel"
        raise ConversionError(f"{path}: a folder without saved_model.pb; give a SavedModel folder or a file")
    head = head_of(path)
    kind = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
    return kind or by_marks(path, head) or refuse(path, head)


def head_of(path: Path) -> bytes:
    """The first bytes of a file."""
    if not path.is_file():
        raise ConversionError(f"{path}: no regular file; give one of: {SUPPORTED}")
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def by_marks(path: Path, head: bytes) -> str | None:
    """Kinds without a magic number at the start."""
    if zipfile.is_zipfile(path):
        return kind_of_zip(path)
    if head[4:8] == b"TFL3":
        return "tflite"
    header = int.from_bytes(head[:8], "little")
    return "safetensors" if head[8:9] == b"{" and header < path.stat().st_size else None


def kind_of_zip(path: Path) -> str:
    """Tell the archives of Keras and PyTorch apart by the members that only they have."""
    with converting(f"{path}: a damaged archive", "check that the file is whole"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    inner = {name.partition("/")[2] for name in names}
    if {"config.json", "model.weights.h5"} <= set(names):
        return "keras"
    if "archive_format" in inner or "serialized_exported_program.json" in names:
        return "pt2"
    if "constants.pkl" in inner:
        return "torchscript"
    if "data.pkl" in inner:
        return "torch"
    raise ConversionError(f"{path}: a zip archive that neither Keras nor PyTorch wrote; give one of: {SUPPORTED}")


def refuse(path: Path, head: bytes) -> str:
    """Say what a file of no known kind is, as far as that can be told."""
    if is_onnx(path):
        raise ConversionError(f"{path}: already an ONNX model; load it with onnxray.load")
    what = "a text file" if head and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head) else "of no known kind"
    raise ConversionError(f"{path}: {what}, not a model; give one of: {SUPPORTED}")


def is_onnx(path: Path) -> bool:
    """Whether a file parses as an ONNX model with nodes."""
    try:
        return bool(onnx.load(path, load_external_data=False).graph.node)
    except (DecodeError, ValueError, RuntimeError):
        return False
