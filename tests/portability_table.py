"""docs/portability.md, from the runtimes that are installed: python tests/portability_table.py > docs/portability.md

Run it in a folder with onnxruntime-node and onnxruntime-web in node_modules, with OpenVINO, selenium and Chromium installed.
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
from in_chromium import chromium
from nets import export, net
from onnxray.diagnostics.other_runtimes import RUNTIMES
from onnxray.diagnostics.portability import Portability, portability
from onnxray.scores import Box
from small_yolo import small_yolo

__all__ = ["ARCHITECTURES", "COLUMNS", "METHODS", "saved"]

METHODS = ("saliency", "integrated-gradients", "grad-cam", "occlusion")
COLUMNS = (*RUNTIMES, "onnxruntime-web in Chromium")
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 4},
    "occlusion": {"window": 8, "stride": 8},
}
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
The goal is 1e-3. The nets are small and have random weights. **-**: the method does not apply to the net. onnxruntime-web
runs in Node and, in the last column, in headless Chromium, on one thread of WebAssembly. Slow tests run every cell of OpenVINO and
of Chromium again.
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
* **OpenVINO 2026.4, HardSigmoid**: a beta of 0 is taken for the default, 0.5, without an error. Saved files have none of their own;
  a model that has one answers otherwise there.
* **OpenVINO may compute in bfloat16 or float16** where the processor has them: the check sets
  `INFERENCE_PRECISION_HINT` to `f32`.
* **onnxruntime-web 1.30 on WebGPU, ConvTranspose**: groups that give one channel of an even number of channels give wrong numbers,
  without an error. Saved files give two channels or more by group where they put phases of an image together
  ([interleave.py](../engine/autodiff/ops/interleave.py)); a model may still have such a layer, or a grouped convolution's gradient.
* **onnxruntime-web 1.30 on WebGPU, Conv**: a 2x2 kernel on a 2x2 image with pads at the ends alone gives wrong numbers, without an
  error; it is in the gradient of the last stride of a net for tiny images (the ResNet above: its saliency is off by 0.6). Images of 3
  and 8 are right. **`executionProviders: [{ name: "webgpu", preferredLayout: "NCHW" }]` computes both operators rightly** wherever it
  was tried, on the ResNet, MobileNetV2 and the int8 CNN: ask for it where you use WebGPU.

WebGPU was seen on a software adapter alone (SwiftShader in headless Chromium 156, so no times): saliency of MobileNetV2, ViT, the detector,
the LSTM and the int8 CNN above is within 2e-6 in the default layout; that of the ResNet is with `preferredLayout: "NCHW"`. Most nodes run
on WebGPU; `Or`, `Scan`, `QuantizeLinear`, `NonMaxSuppression` and some nodes of int64 go through the CPU, and so does the look at
one element of the mask of each large image (`Slice` of bool), which copies the mask there.

[page.md](page.md) is about pages that run such files in a browser.

A kink of the net (a Relu whose input is zero to within rounding) sends its gradient to either side; with many points
(smoothgrad) one of them may be that near to a kink.

## Deep 8-bit models

The classifier of [quantised.md](quantised.md) (MobileNetV2, uint8 activations, 66 roundings in a row) is an exception **on every
runtime**: onnxruntime 1.32 with graph optimisations differs from onnxruntime without them, by rounding alone, and each moves by as
much if its own input does by a millionth. One value that is rounded the other way changes others, layer by layer. Relative L2 of
the scores, of saliency and of Grad-CAM, for noise and two photographs, 28 November 2026:

| beside onnxruntime without optimisations | scores | saliency | Grad-CAM |
|---|---|---|---|
| the same, its input moved by 1e-6 | 0.06 to 0.10 | 0.40 to 0.48 | 0.05 to 0.08 |
| onnxruntime 1.32.0 with optimisations | 0.04 to 0.07 | 0.09 to 0.41 | 0.02 to 0.06 |
| OpenVINO 2026.4.1 (Convolution and FakeQuantize) | 0.07 to 0.09 | 0.29 to 0.49 | 0.05 to 0.06 |
| OpenVINO 2026.4.1, at its own rounded activations | 0 | 0.03 to 0.05 | 4e-7 |

The last row gives onnxruntime the rounded activations that OpenVINO found: the gradient is right. What is left of saliency are sums
of integers that are exactly 0, where a Relu has its kink; onnxruntime with optimisations differs by as much there (0.03 to 0.05).
`EXECUTION_MODE_HINT` changes nothing, and without OpenVINO's own low-precision passes it is the same (0.27 to 0.31).

## Time on OpenVINO

Saliency of 224x224 pictures against the runtime's own forward pass, float32, random weights, one thread; the least of 8 to
40 runs in processor time, taken in turns, on two cores of an AVX-512 processor with VNNI that were shared (load 2 to 4), 29 November
2026. "Before" is before saved files had forms for it:

| net | forward, OpenVINO | saliency, OpenVINO | ratio | ratio before | ratio on onnxruntime 1.32 |
|---|---|---|---|---|---|
| ResNet-50 | 56.7 ms | 134.7 ms | 2.4 | 4.5 | 2.8 (3.5 before) |
| ViT-B/16 | 256.5 ms | 519.9 ms | 2.0 | 2.2, and wrong | 2.0 |
| MobileNetV2 | 6.1 ms | 15.6 ms | 2.5 | 3.5 | 4.4 (7.5 before) |

The goal is 2.6. MobileNetV2 is at 2.53 to 2.58 in three measurements, and at 2.52 to 2.60 on two threads (idle, seven medians;
ResNet-50 2.29 to 2.33, ViT-B/16 2.06). Its time goes into memory: without the gates of its 35 Clips, each of which reads two arrays and
writes one, it would be 2.1. Two forms took it there from 2.9; results are the same to the last bit, and onnxruntime takes 2 to 5 %
less (as long on ResNet-50):

* The gate of a Clip is one comparison: y is strictly between the bounds if clipping it to the next float32 numbers inside leaves it as
  it is. This alone gives 2.8.
* The masks of large images are made in the forward pass, a byte for each element, so that no activation has to be kept in float32
  ([early_masks.py](../engine/passes/early_masks.py)). OpenVINO fuses comparisons and product again where it can, so that each gate
  reads its mask And a truth that depends on it, in which no kernel can hold both. ResNet-50 gains by it, too: 2.45 before.

| tried on MobileNetV2, and left | ratio |
|---|---|
| y (6 - y) > 0 as the comparison, on onnxruntime a tenth longer | 2.8 |
| one multiplication in the place of each gate (wrong values): the least that a gate in float32 could be | 2.7 |
| steep HardSigmoids as gates: no kernel of several of them | 4.7 |
| Where in the place of the product, on onnxruntime twice as long | 2.6 |
| copies of the masks by two Slices, which one thread makes: gates work in place; on two threads 2.63 to 2.71 | 2.5 |
| nothing that keeps masks apart; on two threads 2.57 to 2.63 | 2.7 |
| the masks of all images of one size as one tensor | 2.7 |
| copies by BitwiseOr or by Resize, which need uint8 in the place of bool | 2.5 |
| DepthToSpace or Transpose for the phases of the first layer's gradient | the same |
"""


def resnet() -> tuple[onnx.ModelProto, dict[str, Any]]:
    return net("resnet").proto, {}


def mobilenet() -> tuple[onnx.ModelProto, dict[str, Any]]:
    import torch

    return export(net("mobilenet").module, torch.randn(2, 3, 64, 64)), {}


def vit() -> tuple[onnx.ModelProto, dict[str, Any]]:
    return net("vit").proto, {"grad-cam": net("vit").options("grad-cam"), "lrp": {"composite": "attnlrp"}}


def detector() -> tuple[onnx.ModelProto, dict[str, Any]]:
    return small_yolo(), {}


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


def cell(one: Portability) -> str:
    if one.attribution is None:
        return one.note
    mark = "" if one.agrees else " (!)"
    return ("zero" if one.note else f"{one.attribution:.0e}") + mark


def page() -> Iterator[str]:
    yield HEAD
    versions: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium(Path(folder)) as browser,
        warnings.catch_warnings(action="ignore"),
    ):
        for architecture in ARCHITECTURES:
            rows = []
            for method in METHODS:
                made = saved(architecture, method, Path(folder))
                found = [*portability(*made, runs=1), browser.checked(*made)] if made else []
                versions |= {one.runtime: one.version for one in found if one.version}
                rows.append(f"| {method} | " + " | ".join(map(cell, found) if found else ["-"] * len(COLUMNS)) + " |")
            names = [f"{name} {versions.get(name, '')}".strip() for name in COLUMNS]
            yield f"\n## {architecture}\n\n| method | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
            yield "\n".join(rows)
    yield TAIL


if __name__ == "__main__":
    for part in page():
        print(part, flush=True)
