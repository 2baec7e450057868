"""`onnxray convert`: a file of Keras, PyTorch or scikit-learn to ONNX, and what the checks found."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
from typer import Argument, Option

from ..errors import InputError
from ..gradient_graph import differentiate
from ..runtime import open_session, resolve_providers
from .flatten_options import flatten_options
from .options import Json, one_of
from .terminal import print_json, say

__all__ = ["convert", "engine_gradient", "parse_inputs"]

_SHAPE = re.compile(r"(?:(?P<name>[^=:]+)=)?(?P<sizes>(?:\d+|\?)(?:[,x](?:\d+|\?))*)(?::(?P<dtype>\w+))?")


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion: a record for --json, and a line of text."""

    source: str
    model: str
    opset: int
    parity: Mapping[str, Any]
    layers: Sequence[str]
    missing: Mapping[str, str]
    gradients: Mapping[str, Any] | None

    @property
    def lines(self) -> list[str]:
        share = f"{self.parity['of_tolerance']:.2g} of the tolerance"
        sizes = ", ".join(map(str, self.parity["batch_sizes"]))
        lines = [
            f"{self.source} -> {self.model} (opset {self.opset})",
            f"  outputs off by at most {self.parity['max_difference']:.2g}, {share}, at batch sizes {sizes}",
            f"  {len(self.layers)} layers by name, {len(self.missing)} without a tensor of their own",
        ]
        for name, entry in (self.gradients or {}).items():
            lines.append(f"  gradient of {name!r}: relative L2 difference {entry['relative_l2']:.2g}")
        return lines


@dataclass(frozen=True)
class Settings:
    """The settings of a conversion."""

    inputs: Annotated[
        list[str] | None,
        Option(
            metavar="SHAPE",
            help="An input's shape, as in 1,3,224,224 or tokens=1,9:int64 (? leaves an axis open), or an .npy file of "
            "examples; repeat it for several. PyTorch needs it.",
        ),
    ] = None
    opset: Annotated[int, Option(help="ONNX opset to write.", min=13)] = 18
    factory: Annotated[
        str | None, Option(metavar="MODULE:NAME", help="Function that builds the model whose weights are in SOURCE.")
    ] = None
    exporter: Annotated[
        str,
        Option(
            metavar="NAME",
            help="default, or legacy: PyTorch's tracing exporter, which keeps only the branch it ran.",
            parser=one_of("default", "legacy"),
        ),
    ] = "default"
    batch: Annotated[int | None, Option(help="Batch size, for a model that accepts only one size.", min=1)] = None
    allow_pickle: Annotated[
        bool, Option("--allow-pickle", help="Accept a pickle; loading it runs code of its author.")
    ] = False
    allow_lambda: Annotated[bool, Option("--allow-lambda", help="Accept Keras Lambda layers, which are code.")] = False
    check_gradients: Annotated[
        bool, Option("--check-gradients", help="Compare input gradients with the framework's own, too.")
    ] = False

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `to_onnx`."""
        gradient = engine_gradient if self.check_gradients else None
        return vars(self) | {"inputs": parse_inputs(self.inputs or ()), "check_gradients": gradient}


@flatten_options
def convert(
    source: Annotated[
        Path,
        Argument(
            metavar="SOURCE", help="A file or SavedModel folder; its kind is found by its content.", show_default=False
        ),
    ],
    output: Annotated[Path, Option("--output", "-o", metavar="MODEL.onnx", help="The file to write.")],
    settings: Settings,
    as_json: Json = False,
) -> None:
    """Turn a Keras, PyTorch or scikit-learn model into ONNX, checked against its framework.

    Outputs and layers are compared, and gradients by --check-gradients; if they differ, no file is written.
    A .pt2 file, TorchScript and a SavedModel are programs: convert them only from sources that you trust.

    \b
    Example:
      onnxray convert model.keras -o model.onnx
      onnxray convert weights.safetensors -o model.onnx --factory nets:build \\
          --inputs 1,3,224,224
    """
    from onnxray.converters import to_onnx

    # On oneDNN TensorFlow keeps what it frees: loading VGG16 then takes twice the memory. It reads this once.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if settings.factory is not None and "" not in sys.path:
        sys.path.insert(0, "")  # the factory of a user lies in the folder where the command is run
    model = to_onnx(source, output, **settings.arguments())
    found = _read(model, source, output)
    print_json(asdict(found)) if as_json else say(*found.lines)


def parse_inputs(texts: Sequence[str]) -> Any:
    """The inputs as `to_onnx` takes them: shapes and arrays, by name where they have one."""
    parsed = [_parse(text) for text in texts]
    named = {name: value for name, value in parsed if name}
    if named and len(named) != len(parsed):
        raise InputError(f"--inputs {' '.join(texts)}: name all inputs, each by a name of its own, or none")
    return named or [value for _, value in parsed] or None


def _parse(text: str) -> tuple[str | None, Any]:
    from onnxray.converters import Spec

    if text.endswith(".npy"):
        name, _, path = text.rpartition("=")
        return name or None, _array(Path(path))
    if not (found := _SHAPE.fullmatch(text.replace(" ", ""))):
        raise InputError(f"--inputs {text!r}: give a shape such as 1,3,224,224 or name=1,9:int64, or an .npy file")
    try:
        dtype = np.dtype(found["dtype"] or "float32").name
    except TypeError:
        raise InputError(
            f"--inputs {text!r}: {found['dtype']!r} is no type; give one such as float32 or int64"
        ) from None
    sizes = tuple(None if size == "?" else int(size) for size in re.split("[,x]", found["sizes"]))
    return found["name"], Spec(sizes, dtype)


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--inputs {path}: cannot be read as an array of numbers") from error


def engine_gradient(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The engine's gradient of the sum of the first output with respect to each float input."""
    first = model.graph.output[0].name
    wanted = [name for name, value in feed.items() if value.dtype.kind == "f"]
    if not wanted:
        return {}
    cpu = resolve_providers("cpu")
    seed = np.ones_like(open_session(model, cpu).run(feed, [first])[first])
    graph = differentiate(model, of=[first], wrt=wanted)
    names = [graph.gradients[name] for name in wanted]
    found = open_session(graph.model, cpu).run({**feed, graph.seeds[first]: seed}, names)
    return dict(zip(wanted, map(found.__getitem__, names), strict=True))


def _read(model: onnx.ModelProto, source: Path, output: Path) -> Conversion:
    """The conversion's results in the model's metadata."""
    notes = {entry.key.removeprefix("onnxray."): entry.value for entry in model.metadata_props}
    parity, layers, missing, gradients = (
        json.loads(notes.get(key, "null")) for key in ("parity", "layers", "layers.missing", "gradients")
    )
    return Conversion(str(source), str(output), parity["opset"], parity, list(layers), missing, gradients)
