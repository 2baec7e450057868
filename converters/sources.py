"""Tell a source by its type or by what the file holds, never by the end of its name."""

from __future__ import annotations

import importlib
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnxray.errors import ConversionError

from .candidates import Candidate, Options
from .quiet import converting

__all__ = ["FILES", "TYPES", "Source", "convert", "kind_of_file"]

NEWEST_OF_TF2ONNX = 18


@dataclass(frozen=True)
class Source:
    """A kind of source: its converter as "module:function", and how errors name it.

    ``takes`` has those of the options ``factory`` and ``exporter`` that its converter reads; the other is refused.
    """

    converter: str
    name: str
    takes: tuple[str, ...] = ()
    newest_opset: int | None = None


# Keras comes first: on its PyTorch backend a Keras model is a torch.nn.Module too.
TYPES = {
    ("keras", "Model"): Source("keras_export:convert_model", "Keras model", newest_opset=NEWEST_OF_TF2ONNX),
    ("torch.nn", "Module"): Source("torch_export:convert_module", "torch.nn.Module", ("exporter",)),
    ("sklearn.base", "BaseEstimator"): Source("sklearn_models:convert_estimator", "scikit-learn estimator"),
}
FILES = {
    "keras": Source("keras_files:convert_file", ".keras", ("factory",), NEWEST_OF_TF2ONNX),
    "h5": Source("keras_files:convert_file", ".h5", ("factory",), NEWEST_OF_TF2ONNX),
    "savedmodel": Source("saved_model:convert_saved_model", "SavedModel folder", newest_opset=NEWEST_OF_TF2ONNX),
    "tflite": Source("tflite:convert_tflite", ".tflite", newest_opset=NEWEST_OF_TF2ONNX),
    "pt2": Source("torch_files:convert_pt2", ".pt2"),
    "torchscript": Source("torch_files:convert_torchscript", "TorchScript .pt", ("exporter",)),
    "torch": Source("torch_files:convert_torch_file", "state dict .pth", ("factory", "exporter")),
    "safetensors": Source("torch_files:convert_safetensors", "state dict .safetensors", ("factory", "exporter")),
    "pickle": Source("sklearn_models:convert_pickle", "scikit-learn .pkl"),
}
SUPPORTED = ", ".join(source.name for source in FILES.values())
OTHERS = {  # types that are no source, by the start of their names
    "tf_keras.": "a model of Keras 2; save it as .h5",
    "torch.export.": "a program of torch.export; save it with torch.export.save",
}
MAGIC = {
    b"\x89HDF\r\n\x1a\n": "h5",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "torch",
    **{bytes([0x80, protocol]): "pickle" for protocol in (2, 3, 4, 5)},
}


def convert(source: Any, options: Options) -> Candidate:
    """Convert a live model by its type, or a file by its content."""
    if isinstance(source, (str, Path)):
        kind = FILES[kind_of_file(Path(source))]
        refuse_unused(kind, str(source), options)
        return converter(kind)(Path(source), options)
    for (module, name), kind in TYPES.items():
        if is_instance(source, module, name):
            refuse_unused(kind, f"a {type(source).__name__}", options)
            return converter(kind)(source, options)
    raise ConversionError(unknown_type(f"{type(source).__module__}.{type(source).__qualname__}"))


def unknown_type(name: str) -> str:
    """The error for an object of a type that no converter takes."""
    if advice := next((text for start, text in OTHERS.items() if name.startswith(start)), None):
        return f"{name}: {advice} and give that file"
    return f"{name}: no {', '.join(kind.name for kind in TYPES.values())} or path; give one of these"


def refuse_unused(kind: Source, source: str, options: Options) -> None:
    """An option that a converter would pass over in silence is a mistake."""
    if options.factory is not None and "factory" not in kind.takes:
        raise ConversionError(f"{source}: factory= is for files of weights alone; leave it out")
    if options.exporter != "default" and "exporter" not in kind.takes:
        raise ConversionError(f"{source}: exporter= is for PyTorch modules; leave it out")
    if kind.newest_opset is not None and options.opset > kind.newest_opset:
        raise ConversionError(f"{source}: opset={options.opset} is beyond tf2onnx; give {kind.newest_opset} or less")


def converter(kind: Source) -> Any:
    """Import a converter when it is needed, so that no framework comes with the package."""
    module, _, name = kind.converter.partition(":")
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
