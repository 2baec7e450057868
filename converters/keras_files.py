"""Files of Keras: .keras, and .h5 of Keras 3 and of Keras 2, whose configuration may need cleaning."""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnxray.errors import ConversionError
from onnxray.support.writing import temporary_folder

from .candidates import Candidate, Options
from .factory import built, refuse_factory
from .keras_export import convert_model
from .quiet import converting, require

__all__ = ["clean", "convert_file"]

LAMBDA = "pass allow_lambda=True if you trust its author (a Lambda layer is code), or write it as a Layer"
UNLOADABLE = "load it in the version of Keras that saved it and save it again as .keras"
# Settings of Keras 2 that Keras 3 refuses, with the values at which they say nothing.
OBSOLETE: dict[str, dict[str, Any]] = {
    "DepthwiseConv2D": {"groups": 1},
    "Conv2DTranspose": {"groups": 1},
    "SeparableConv2D": {"groups": 1},
    "LSTM": {"time_major": False},
    "GRU": {"time_major": False},
    "SimpleRNN": {"time_major": False},
}


def convert_file(path: Path, options: Options) -> Candidate:
    """Load a .keras or .h5 file without running code from it, and convert the model."""
    config = read_config(path)
    if config is None:
        return convert_model(with_weights(path, options), options, str(path))
    refuse_factory(path, options)
    if not options.allow_lambda and "Lambda" in set(kinds(config)):
        raise ConversionError(f"{path}: has a Lambda layer; {LAMBDA}")
    with readable(path, config) as file, converting(f"{path} cannot be loaded", UNLOADABLE):
        model = require("keras").saving.load_model(file, compile=False, safe_mode=not options.allow_lambda)
    return convert_model(model, options, str(path))


def read_config(path: Path) -> Any:
    """The configuration of the model in a file, None where there are only weights."""
    with converting(f"{path} cannot be read", "check that the file is whole"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        with require("h5py").File(path, "r") as file:
            text = file.attrs.get("model_config")
            return None if text is None else json.loads(text)


def kinds(config: Any) -> Iterator[str]:
    """The class names in a configuration."""
    for part in parts(config):
        if isinstance(part.get("class_name"), str):
            yield part["class_name"]


def parts(config: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in a configuration, outermost first."""
    if isinstance(config, dict):
        yield config
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from parts(value)


def with_weights(path: Path, options: Options) -> Any:
    """The factory's model with the weights of a file that holds nothing else."""
    model = built(path, options)
    guard = converting(f"{path}: the weights do not fit the model of factory=", "build the model they come from")
    with suffixed(path, ".weights.h5" if is_keras3(path) else ".h5") as file, guard:
        model.load_weights(file)
    return model


def is_keras3(path: Path) -> bool:
    """Whether weights were saved by Keras 3, which groups them under `layers`."""
    with require("h5py").File(path, "r") as file:
        return "layers" in file or "_layer_checkpoint_dependencies" in file


@contextmanager
def readable(path: Path, config: Any) -> Iterator[Path]:
    """A file that Keras 3 loads: the file itself, or a copy under a fitting name, cleaned where it is .h5."""
    archive = zipfile.is_zipfile(path)
    dropped = [] if archive else clean(config)
    with suffixed(path, ".keras" if archive else ".h5", always=bool(dropped)) as file:
        if dropped:
            warnings.warn(f"{path}: saved by Keras 2; dropped {', '.join(dropped)}", UserWarning, stacklevel=6)
            with require("h5py").File(file, "r+") as copy:
                copy.attrs["model_config"] = json.dumps(config)
        yield file


def clean(config: Any) -> list[str]:
    """Drop settings that Keras 3 refuses and that say nothing; returns what was dropped."""
    dropped = []
    for part in parts(config):
        inner = part.get("config")
        for key, value in OBSOLETE.get(str(part.get("class_name")), {}).items():
            if isinstance(inner, dict) and inner.get(key, ...) == value:
                del inner[key]
                dropped.append(f"{key}={value} of {inner.get('name')}")
    return dropped


@contextmanager
def suffixed(path: Path, suffix: str, always: bool = False) -> Iterator[Path]:
    """A path that ends as Keras wants, which goes by the name: the file itself or a copy."""
    with contextlib.ExitStack() as stack:
        if always or not path.name.endswith(suffix):
            folder = stack.enter_context(temporary_folder())
            path = Path(shutil.copyfile(path, folder / f"model{suffix}"))
        yield path
