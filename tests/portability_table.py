"""docs/portability.md, from the runtimes that are installed: python tests/portability_table.py > docs/portability.md

Run it in a folder with onnxruntime-node and onnxruntime-web in node_modules, and with OpenVINO installed.
"""

# ruff: noqa: E501  lines of a page

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
from detector_nets import NETS as DETECTORS
from nets import export, net
from onnxray.diagnostics.other_runtimes import RUNTIMES
from onnxray.diagnostics.portability import Portability, portability
from onnxray.scores import Box

__all__ = ["ARCHITECTURES", "METHODS", "checked", "saved"]

METHODS = ("saliency", "integrated-gradients", "grad-cam", "occlusion")
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 4},
    "occlusion": {"window": 8, "stride": 8},
}
YOLO = next(one for one in DETECTORS if one.name == "yolov8" and len(one.shapes) == 1)
HEAD = """# One file on every runtime

<!-- made by tests/portability_table.py; a slow test compares -->

`onnxray save` writes model and method as one ONNX file of standard operators. `onnxray save --check` runs the file on every
runtime that is installed, on random inputs, and compares with onnxruntime without graph optimisations:

```sh
npm install onnxruntime-node onnxruntime-web && pip install 'onnxray[openvino]'
onnxray save model.onnx explainer.onnx --check
```

[examples/node/explain.mjs](../examples/node/explain.mjs) runs such a file in Node, in ten lines. In C#, C++, Rust and Java the
session of the model serves as well: the inputs are those of the model and `target`, int64 `(N)` (-1: the top class), the outputs
`attribution`, `score`, and `delta` where the method has it.

The table has the relative L2 difference of the attribution by method, net and runtime (float32, one thread, one example).
The goal is 1e-3. The nets are small and have random weights. **-**: the method does not apply to the net.
"""
TAIL = """
## What a runtime computes wrongly or slowly

* **OpenVINO 2026.4, MatMul and Gemm**: a square weight that is read as it is and transposed, as by a layer and its gradient,
  gives one of the two products a wrong result, without an error. A saved file has two constants for it
  ([separate_weights.py](../engine/passes/separate_weights.py)).
* **OpenVINO 2026.4, ReduceSum**: axes whose number a run computes are refused ("The axes tensor's shape needs to be known").
  Gradients of broadcasting along open sizes are summed axis by axis.
* **OpenVINO 2026.4, Scan**: one whose body reads tensors from outside, as a recurrent layer's gradient reads its weights, is
  refused ("Number of Scan node inputs is less than required"). Explainers of LSTM, GRU and RNN layers do not run there.
* **OpenVINO 2026.4, MaxPool with indices** is reference code: 100 of the 263 ms of ResNet-50's gradient. Saved files find
  the maxima by comparisons.
* **OpenVINO may compute in bfloat16 or float16** where the processor has them: the check sets
  `INFERENCE_PRECISION_HINT` to `f32`.

onnxruntime-web runs in Node for this table. A slow test runs the files of saliency and integrated gradients in Chromium, too, by
the same rule; [page.md](page.md) is about pages that run them.

A kink of the net (a Relu whose input is zero to within rounding) sends its gradient to either side; with many points
(smoothgrad) one of them may be that near to a kink.

## Time on OpenVINO

Saliency of 224x224 pictures against the runtime's own forward pass, float32, random weights, one thread; the least of 12 to
30 runs in processor time, on two cores of an AVX-512 processor with VNNI that were shared (load 5 to 10), 28 November 2026:

| net | forward, OpenVINO | saliency, OpenVINO | ratio | ratio before | ratio on onnxruntime 1.32 |
|---|---|---|---|---|---|
| ResNet-50 | 58.6 ms | 137.0 ms | 2.3 | 4.5 | 3.4 |
| ViT-B/16 | 259.7 ms | 569.8 ms | 2.2 | 2.2, and wrong | 2.2 |
| MobileNetV2 | 6.2 ms | 19.3 ms | 3.1 | 3.5 | 8.6 |

The goal is 2.6. MobileNetV2 misses it: a quarter of its time goes into the gates of its 35 Clips, each of which reads two
arrays and writes one, and OpenVINO fuses none of them into the convolutions.
"""


def resnet() -> tuple[onnx.ModelProto, dict[str, Any]]:
    return net("resnet").proto, {}


def mobilenet() -> tuple[onnx.ModelProto, dict[str, Any]]:
    import torch

    return export(net("mobilenet").module, torch.randn(2, 3, 64, 64)), {}


def vit() -> tuple[onnx.ModelProto, dict[str, Any]]:
    return net("vit").proto, {"grad-cam": net("vit").options("grad-cam"), "lrp": {"composite": "attnlrp"}}


def detector() -> tuple[onnx.ModelProto, dict[str, Any]]:
    return YOLO.proto(), {}


def lstm() -> tuple[onnx.ModelProto, dict[str, Any]]:
    import torch
    from torch import nn

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(8, 16, 2, batch_first=True), nn.Linear(16, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    torch.manual_seed(0)
    return export(Last().eval(), torch.randn(2, 12, 8)), {}


def int8() -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The digits model, quantised to int8 weights and activations between QuantizeLinear and DequantizeLinear."""
    from onnxray import models
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Drawn(CalibrationDataReader):
        def __init__(self) -> None:
            drawn = np.random.default_rng(0)
            self.rows = iter([{"image": drawn.random((4, 1, 28, 28), np.float32)} for _ in range(4)])

        def get_next(self) -> Any:
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "int8.onnx"
        quantize_static(
            str(models.path("digits.onnx")), str(file), Drawn(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(file), {}


ARCHITECTURES: dict[str, Callable[[], tuple[onnx.ModelProto, dict[str, Any]]]] = {
    "CNN (ResNet)": resnet, "MobileNetV2": mobilenet, "ViT": vit, "detector (YOLOv8)": detector, "LSTM": lstm,
    "int8 CNN (QDQ)": int8,
}  # fmt: skip


@cache
def _made(architecture: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    return ARCHITECTURES[architecture]()


def saved(architecture: str, method: str, folder: Path) -> tuple[Path, dict[str, np.ndarray]] | None:
    """The file of a method, and what it is given; None where the method does not apply to the net."""
    proto, options = _made(architecture)
    wanted = Box(0) if architecture.startswith("detector") else "top1"
    file = folder / "explainer.onnx"
    try:
        explainer = onnxray.Explainer(
            proto, method, threads=1, **{**OPTIONS.get(method, {}), **options.get(method, {})}
        )
        file = explainer.save(file, target="box" if isinstance(wanted, Box) else "class")
        target = explainer.target_input(wanted)
    except onnxray.OnnxrayError:
        return None
    draw, feeds = np.random.default_rng(3), {}
    for value in explainer.model.inputs:
        shape = [size if isinstance(size, int) else 1 for size in value.shape or ()]
        feeds[str(value.name)] = draw.standard_normal(shape).astype(np.float32)
    held = {one.key: one.value for one in onnx.load(file).metadata_props}["onnxray.target"]
    return file, feeds | {held: target}


def checked(architecture: str, method: str, folder: Path, runtimes: tuple[str, ...]) -> list[Portability] | None:
    """The file of a method on the runtimes; None where the method does not apply to the net."""
    made = saved(architecture, method, folder)
    return None if made is None else portability(*made, runs=1, runtimes=runtimes)


def cell(one: Portability) -> str:
    if one.attribution is None:
        return one.note
    mark = "" if one.agrees else " (!)"
    return ("zero" if one.note else f"{one.attribution:.0e}") + mark


def page() -> Iterator[str]:
    yield HEAD
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        for architecture in ARCHITECTURES:
            rows = []
            for method in METHODS:
                found = checked(architecture, method, Path(folder), tuple(RUNTIMES))
                versions |= {one.runtime: one.version for one in found or () if one.version}
                rows.append(f"| {method} | " + " | ".join(map(cell, found) if found else ["-"] * len(RUNTIMES)) + " |")
            names = [f"{name} {versions.get(name, '')}".strip() for name in RUNTIMES]
            yield f"\n## {architecture}\n\n| method | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
            yield "\n".join(rows)
    yield TAIL


if __name__ == "__main__":
    for part in page():
        print(part, flush=True)
