"""The gate on a real case: a float model, quantised three ways; does each still look where it did?

onnxruntime quantises the shipped digits model with good calibration (digits), with poor calibration (digits at a
tenth of their brightness, so that everything saturates), and with good calibration after the weights of one layer were
damaged on purpose. The gate passes the first and fails the last, and its report names the damaged layer.

python examples/int8_gate.py reports
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxray
from onnx import numpy_helper
from onnxray import models
from onnxray.models.data import digits
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

DAMAGED = "conv3"
GATE = {"calibrated": 0.7}


class Feeds(CalibrationDataReader):
    """The source of calibration data for onnxruntime."""

    def __init__(self, pictures: np.ndarray) -> None:
        self.rows: Iterator[np.ndarray] = iter(pictures[:, None, None])

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
        row = next(self.rows, None)
        return None if row is None else {"image": row}


def quantise(source: Path, target: Path, pictures: np.ndarray) -> Path:
    """An int8 copy of a model, weights per channel, ranges of activations from the pictures."""
    quantize_static(
        source, target, Feeds(pictures), QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return target


def damage(source: Path, target: Path, layer: str, seed: int = 0) -> Path:
    """A copy of a model whose layer has its filters in another order, as a slip in a conversion leaves them."""
    model, rng = onnx.load(source), np.random.default_rng(seed)
    for weight in model.graph.initializer:
        if weight.name == f"{layer}.weight":
            array = numpy_helper.to_array(weight)
            weight.CopyFrom(numpy_helper.from_array(rng.permutation(array), weight.name))
    onnx.save(model, target)
    return target


def build(folder: Path) -> dict[str, Path]:
    """The three candidates."""
    source, seen = models.path("digits.onnx"), digits().inputs[:128].astype(np.float32) / 255
    broken = damage(source, folder / "damaged-float.onnx", DAMAGED)
    return {
        "good": quantise(source, folder / "good.onnx", seen),
        "poor": quantise(source, folder / "poor.onnx", seen * 0.1),
        "damaged": quantise(broken, folder / "damaged.onnx", seen),
    }


def gate(candidate: Path, count: int = 40) -> onnxray.Comparison:
    """The candidate against the float model on digits that neither has seen."""
    held = digits()
    data = (held.unseen[:, None].astype(np.float32) / 255, held.unseen_labels)
    return onnxray.compare(
        models.path("digits.onnx"), candidate, data, samples=count, fail_under=GATE, calibrate=True, layers=True,
        threads=1, steps=20,
    )  # fmt: skip


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, candidate in build(Path(folder)).items():
            found = gate(candidate)
            broken = found.layers.breaks if found.layers else None
            print(f"{name}: {found.verdict}, evidence breaks at {broken}, report {found.report(out / name)}")
            for check in found.checks:
                print(f"  {check}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "reports"))
