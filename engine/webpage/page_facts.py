"""What a page has to know of a saved explainer: inputs, outputs, preprocessing, labels, colours; or why it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from ..attribution.scores import SCORES
from ..data.labels import labels_of
from ..data.preprocess import Preprocess
from ..drawing.heatmap import palette_rows
from ..errors import InputError
from ..graph.model import Model
from ..loading.load import load
from ..methods import METHODS, Method

__all__ = ["PageFacts", "page_facts"]

CAN = "the page explains one class of a picture"
TARGET, SCORE, MAP, DELTA = "onnxray.target", "score", "attribution", "delta"
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class PageFacts:
    """What the page's script reads as settings, and the lines that the page says about the model."""

    settings: Mapping[str, Any]
    about: tuple[tuple[str, str], ...]


def page_facts(file: Path) -> PageFacts:
    """The facts of a file that ``onnxray save`` wrote.

    Raises:
        ModelError: The file is no model.
        InputError: It is no explainer of one class of a picture, or its preprocessing is none that a page can do.
    """
    model = load(file)
    told = model.metadata
    if TARGET not in told or not {SCORE} <= {value.name for value in model.outputs}:
        raise InputError(f"{file} is no explainer; make one: onnxray save {file} explainer.onnx --preprocess imagenet")
    if _is_apart(file):
        raise InputError(f"{file} keeps its weights in another file, and is too large for a browser (2 GB)")
    picture, target = _inputs(model, file)
    preprocess = _preprocess(model, picture, file)
    scores, attribution = _outputs(model, file)
    name, method = _method(told.get("onnxray.method", ""))
    smooth = len(_shape(attribution)) == 3
    plain, delta = "jet" if smooth else "hot", [DELTA] * any(value.name == DELTA for value in model.outputs)
    settings = {
        "method": name, "input": picture.name, "target": target.name, "outputs": [scores.name, SCORE, MAP, *delta],
        "preprocess": asdict(preprocess), "labels": {str(index): text for index, text in labels_of(model).items()},
        "reduce": "mean" if method.from_least else "abs-max", "from_least": method.from_least, "plain": plain,
        "palettes": {palette: palette_rows(palette) for palette in (plain, "bwr")},
    }  # fmt: skip
    return PageFacts(settings, tuple(_about(told, name, preprocess)))


def _is_apart(file: Path) -> bool:
    """Whether weights lie in another file."""
    proto = onnx.load(file, load_external_data=False)
    return any(one.data_location == onnx.TensorProto.EXTERNAL for one in proto.graph.initializer)


def _inputs(model: Model, file: Path) -> tuple[ir.Value, ir.Value]:
    """The picture and the class."""
    target = next((value for value in model.inputs if value.name == model.metadata[TARGET]), None)
    others = [value for value in model.inputs if value is not target]
    if target is None or target.doc_string != SCORES["class"].takes:
        takes = target.doc_string if target is not None and target.doc_string else "of another kind"
        raise InputError(f"{file} takes a target that is no class ({takes}); {CAN}: save it without --target")
    if len(others) != 1:
        names = ", ".join(str(value.name) for value in others)
        raise InputError(f"{file} takes {len(others)} inputs ({names}); {CAN}, which is its only input")
    (picture,) = others
    shape, kind = _shape(picture), picture.dtype.name.lower() if picture.dtype is not None else "?"
    if len(shape) != 4 or picture.dtype != ir.DataType.FLOAT:
        raise InputError(f"{file}: {_said(picture)} is no batch of pictures in float32, but {kind}; {CAN} in float32")
    if shape[0] not in (None, 1):
        raise InputError(f"{file} takes {shape[0]} pictures at once; {CAN} at a time: export the model with batch 1")
    return picture, target


def _preprocess(model: Model, picture: ir.Value, file: Path) -> Preprocess:
    """The preprocessing that the file names, which gives what the input takes."""
    found = Preprocess.from_metadata(model.metadata)
    if found is None:
        raise InputError(
            f"{file} does not say how pictures become its input: save it with --preprocess, such as imagenet"
        )
    if found.size is None:
        raise InputError(
            f"{file} takes pictures of any size, which a browser cannot hold: save it with a size, as in "
            "--preprocess imagenet,size=224x224"
        )
    count, sizes = len(found.channels), found.size
    given = (1, *sizes, count) if found.layout == "NHWC" else (1, count, *sizes)
    if any(have not in (None, gives) for have, gives in zip(_shape(picture), given, strict=True)):
        raise InputError(
            f"{file}: its preprocessing gives {given}, and {_said(picture)} is another shape; save it anew"
        )
    return found


def _outputs(model: Model, file: Path) -> tuple[ir.Value, ir.Value]:
    """The scores of the classes, and the attribution."""
    own = [value for value in model.outputs if value.name not in (SCORE, DELTA) and not str(value.name).startswith(MAP)]
    maps = [value for value in model.outputs if value.name == MAP]
    if not maps or len(_shape(maps[0])) not in (3, 4) or "onnxray.features" in model.metadata:
        raise InputError(f"{file} explains tensors inside the model, whose maps are no pictures; {CAN}")
    ranked = [value for value in own if len(shape := _shape(value)) > 1 and all(size == 1 for size in shape[2:])]
    if len(ranked) != 1 or len(own) != 1:
        outputs = ", ".join(map(_said, own))
        raise InputError(f"{file} gives {outputs}, not one score for each class (1, classes); {CAN}")
    return ranked[0], maps[0]


def _method(text: str) -> tuple[str, type[Method]]:
    """The name and the class of a method, from how the metadata say it."""
    kind = text.partition("(")[0]
    found = ((name, method) for name, method in METHODS.items() if method.__name__ == kind)
    return next(found, (kind or "attribution", Method))


def _shape(value: ir.Value) -> Shape:
    return tuple(size if isinstance(size, int) else None for size in value.shape or ())


def _said(value: ir.Value) -> str:
    return f"{value.name} ({', '.join('?' if size is None else str(size) for size in _shape(value))})"


def _about(told: Mapping[str, str], name: str, preprocess: Preprocess) -> list[tuple[str, str]]:
    """What is said of the model, in the order of the page."""
    layer = [("layer", told["onnxray.layer"])] if "onnxray.layer" in told else []
    height, width = preprocess.size or (0, 0)
    numbers = "; ".join(
        f"{key} {', '.join(f'{one:g}' for one in getattr(preprocess, key))}" for key in ("range", "mean", "std")
    )
    taken = f"{preprocess.fit} to {width} × {height} (width × height), {preprocess.channels}, {numbers}"
    return [
        ("method", f"{name}: {told.get('onnxray.method', '?')}"), *layer, ("score", told.get("onnxray.score", "?")),
        ("preprocessing", taken), ("model", f"sha256 {told.get('onnxray.model', '?')}"),
        ("saved by", f"onnxray {told.get('onnxray.version', '?')}"),
    ]  # fmt: skip
