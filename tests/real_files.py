"""The real models of ../shared/data, whichever lie there, and inputs that each of them takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from onnxray.attribution.inputs import prepare

__all__ = ["DATA", "FILES", "PICTURES", "QUANTISED", "RECIPES", "daily", "feeds", "path", "photograph", "top_class"]

DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = sorted((DATA / "onnx").glob("*.onnx"))
SIZES = {"sequence": 512}  # of open dimensions, by name; any other is 2
PICTURES = ["doberman.png", "owl.jpg", "parrot.jpg", "elephant.jpg"]
RECIPES = {
    "mobilenetv2like_qdq_244": onnxray.Preprocess.preset("imagenet", size=(244, 244)),
    "shufflenet-v2-12-int8": onnxray.Preprocess.preset("imagenet", size=(224, 224)),
    "squeezenet_fp16_winml": onnxray.Preprocess.preset("caffe", size=(224, 224)),
    "yolox_nano_224": onnxray.Preprocess.preset("imagenet", size=(224, 224)),
}
QUANTISED = ["mobilenetv2like_qdq_244", "shufflenet-v2-12-int8"]
RATES = {"sr": 16000}  # an integer that is no id: a sampling rate
IDS = 2  # token ids, kinds of tokens and masks know at least 0 and 1


def daily(*everyday: str) -> list[Any]:
    """The real files as parameters of a test: every day those named, by CI all, and those not known here."""
    return [pytest.param(file, id=file.stem, marks=() if file.stem in everyday else pytest.mark.slow) for file in FILES]


def feeds(model: onnx.ModelProto, scale: float) -> dict[str, np.ndarray]:
    """Random inputs of the declared types and shapes: floats (scale: their deviation), ids from 0 to 1, booleans."""
    rng, weights = np.random.default_rng(0), {weight.name for weight in model.graph.initializer}
    return {x.name: _array(x, rng, scale) for x in model.graph.input if x.name not in weights}


def _array(x: onnx.ValueInfoProto, rng: np.random.Generator, scale: float) -> np.ndarray:
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type))
    shape = [dim.dim_value or SIZES.get(dim.dim_param, 2) for dim in x.type.tensor_type.shape.dim]
    if x.name in RATES:
        return np.full(shape, RATES[x.name], kind)
    return np.asarray(rng.integers(IDS, size=shape) if kind.kind in "iub" else scale * rng.normal(size=shape), kind)


def path(name: str) -> Path:
    return DATA / "onnx" / f"{name}.onnx"


def photograph(name: str, picture: str = "doberman.png") -> dict[str, np.ndarray]:
    return dict(prepare(onnxray.load(path(name)), DATA / "images" / picture, RECIPES[name]).batch.feeds)


def top_class(file: Path, picture: Path, recipe: onnxray.Preprocess) -> int:
    """The class that onnxruntime itself gives on this machine."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    given = prepare(onnxray.load(file), picture, recipe).batch.feeds
    return int(np.argmax(ort.InferenceSession(file, options).run(None, dict(given))[0]))
