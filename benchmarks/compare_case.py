"""The case that benchmarks/compare.py measures: MobileNetV2 with random weights, two candidates, and pictures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image, ImageEnhance

TESTS = Path(__file__).parents[1] / "tests"
SIDE = 224
CALIBRATION = 8
NOISE = 0.02  # of the deviation of each weight tensor: a candidate that was trained a little further


def models(folder: Path) -> dict[str, Path]:
    """The reference, a float candidate with noise on its weights, and an int8 candidate."""
    reference = folder / "reference.onnx"
    onnx.save(_mobilenet(), reference)
    return {
        "reference": reference,
        "float": _noisy(reference, folder / "float.onnx"),
        "int8": _int8(reference, folder / "int8.onnx"),
    }


def pictures(photographs: Path, folder: Path, count: int) -> list[Path]:
    """So many crops of photographs, of other places, sizes and brightness each, as JPEG files."""
    sources = [Image.open(file).convert("RGB") for file in sorted(photographs.iterdir()) if file.is_file()]
    sources = [picture for picture in sources if min(picture.size) >= SIDE]
    rng, files = np.random.default_rng(0), []
    for index in range(count):
        files.append(folder / f"{index:04}.jpg")
        _crop(sources[index % len(sources)], rng).save(files[-1], quality=92)
    return files


def _crop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = int(min(picture.size) * rng.uniform(0.6, 1))
    left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
    cut = picture.crop((left, top, left + side, top + side)).resize((320, 320))
    return ImageEnhance.Brightness(cut).enhance(rng.uniform(0.8, 1.2))


def _mobilenet() -> onnx.ModelProto:
    """MobileNetV2 of transformers, 1000 classes; statistics of BatchNorm from noise, so that the signal stays alive."""
    sys.path.insert(0, str(TESTS))
    import torch
    from nets import export, settle_statistics  # pyright: ignore[reportMissingImports]  the tests' own
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = MobileNetV2Config(num_labels=1000)  # pyright: ignore[reportCallIssue]
            self.net = MobileNetV2ForImageClassification(config)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.net(pixel_values=pixels).logits

    torch.manual_seed(0)
    module = Logits()
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    settle_statistics(module, SIDE, shake=1.0)
    return export(module.eval().requires_grad_(False), torch.randn(2, 3, SIDE, SIDE))


def _noisy(source: Path, target: Path) -> Path:
    model, rng = onnx.load(source), np.random.default_rng(0)
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32 and array.ndim > 1:
            changed = array + NOISE * array.std() * rng.standard_normal(array.shape)
            weight.CopyFrom(numpy_helper.from_array(changed.astype(np.float32), weight.name))
    onnx.save(model, target)
    return target


class _Noise(CalibrationDataReader):
    """Inputs that onnxruntime takes the ranges of activations from."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((CALIBRATION, 1, 3, SIDE, SIDE)).astype(np.float32)
        self.rows: Iterator[np.ndarray] = iter(rows)

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
        row = next(self.rows, None)
        return None if row is None else {"x": row}


def _int8(source: Path, target: Path) -> Path:
    logging.disable(logging.WARNING)
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, target, _Noise(), QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    logging.disable(logging.NOTSET)
    return target
