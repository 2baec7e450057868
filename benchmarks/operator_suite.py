"""The ONNX project's operator suite by onnxray, onnx-ad, onnxruntime-training's builder and onnx2torch with autograd.

python benchmarks/operator_suite.py [--every 1] [--ways onnxray onnx-ad ort-training onnx2torch] > suite.json

The harness is that of the tests (tests/suite.py): a case counts where a float input reaches a float output and stock
onnxruntime runs it; the gradient is compared with central differences. onnxruntime-training builds and runs its graph
itself, nothing is lowered, and is measured alone and behind onnxray's preparations; onnx2torch and onnx-ad where they
are installed. onnx-ad's graphs run on onnxruntime, as ours do.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import types
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxray.errors import BuilderError, OnnxrayError, UnsupportedOperator
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load
from onnxray.training import at_training_opset, open_training_session
from onnxray.training.client import worker
from onnxray.training.request import IR_VERSION, OPSET, SCORE

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import suite
from differences import Feeds, run_on_runtime
from onnx_ad_peer import one_seed, reverse_of, version
from suite import Gradient


def ort_training(model: onnx.ModelProto, ys: list[str], x: str) -> Gradient:
    """The library alone: it differentiates the case as it is, behind a weighted sum, and runs what it built."""
    weighted, seeds = behind_a_sum(model, ys)
    built = worker().ask("build", weighted.SerializeToString(), SCORE, [x], about=f"differentiating {x!r}")
    if f"{x}_grad" not in {value.name for value in onnx.ModelProto.FromString(built).graph.output}:
        raise BuilderError(f"onnxruntime-training gives no gradient of {x!r}")
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(built)
        file.flush()
        worker().ask("open_session", x, file.name, ["CPUExecutionProvider"], 1, about="loading")
    kinds = {value.name: value.type.tensor_type.elem_type for value in weighted.graph.input}

    def gradient(feeds: Feeds, weights: Feeds) -> np.ndarray:
        given = {**feeds, **{seeds[y]: w for y, w in weights.items()}}
        typed = {name: as_type(given[name], kind) for name, kind in kinds.items() if name in given}
        return worker().ask("run", x, typed, [f"{x}_grad"], about="running")[0]

    return gradient


def behind_a_sum(model: onnx.ModelProto, ys: list[str]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The case with one scalar more, the sum of its outputs times new inputs; the names of these."""
    made, seeds = onnx.ModelProto(), {y: f"seed_{y}" for y in ys}
    made.CopyFrom(model)
    made.ir_version = min(made.ir_version, IR_VERSION)
    for entry in made.opset_import:
        entry.version = min(entry.version, OPSET) if not entry.domain else entry.version
    total = ""
    for value in [value for value in model.graph.output if value.name in seeds]:
        made.graph.input.add(name=seeds[value.name], type=value.type)
        made.graph.node.add(op_type="Mul", input=[value.name, seeds[value.name]], output=[f"times_{value.name}"])
        summed = made.graph.node.add(op_type="ReduceSum", input=[f"times_{value.name}"], output=[f"sum_{value.name}"])
        summed.attribute.add(name="keepdims", type=onnx.AttributeProto.INT, i=0)
        if total:
            made.graph.node.add(op_type="Add", input=[total, summed.output[0]], output=[f"total_{value.name}"])
        total = f"total_{value.name}" if total else summed.output[0]
    made.graph.node[-1].output[0] = SCORE
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
    made.graph.output.add(name=SCORE).type.tensor_type.elem_type = kinds[ys[0]]
    return made, seeds


def prepared(model: onnx.ModelProto, ys: list[str], x: str) -> Gradient:
    """The library on what onnxray makes of the case for it: another opset, operators written out."""
    graph = differentiate(at_training_opset(load(model)), ys, [x], builder="ort-training", runtime="training")
    session = open_training_session(graph.model, "cpu", 1)
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.model.graph.input}

    def gradient(feeds: Feeds, weights: Feeds) -> np.ndarray:
        given = {**feeds, **{graph.seeds[y]: w for y, w in weights.items()}}
        typed = {name: as_type(given[name], kind) for name, kind in kinds.items() if name in given}
        return session.run(typed, [graph.gradients[x]])[graph.gradients[x]]

    return gradient


def onnx_ad(model: onnx.ModelProto, ys: list[str], x: str) -> Gradient:
    """onnx-ad's reverse mode on stock onnxruntime."""
    made = reverse_of(model, ys, x)

    def gradient(feeds: Feeds, weights: Feeds) -> np.ndarray:
        seeds = {made.seeds[y]: one_seed(w) for y, w in weights.items()}
        return run_on_runtime(made.model, {**feeds, **seeds})[made.gradient][..., 0]

    return gradient


def onnx2torch(model: onnx.ModelProto, ys: list[str], x: str) -> Gradient:
    """PyTorch's autograd on what onnx2torch makes of the model."""
    import torch

    fixed = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in fixed]
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    try:
        module = converter()(model).eval()
    except Exception as error:  # whatever it raises of a model that it cannot take
        raise UnsupportedOperator(f"onnx2torch: {error}") from error
    outputs = [value.name for value in model.graph.output]

    def gradient(feeds: Feeds, weights: Feeds) -> np.ndarray:
        given = {name: torch.from_numpy(np.array(as_type(feeds[name], kinds[name]))) for name in names}
        given[x].requires_grad_()
        found = module(*given.values())
        held = dict(zip(outputs, found if isinstance(found, list | tuple) else [found], strict=False))
        total = sum((held[y] * torch.from_numpy(weights[y])).sum() for y in ys)
        (slope,) = torch.autograd.grad(total, given[x])
        return slope.numpy()

    return gradient


def converter() -> Any:
    """onnx2torch.convert; two of its operators need torchvision, without which the rest is measured."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        absent = {"nms": None, "roi_align": None, "RoIAlign": None}
        operators: Any = types.SimpleNamespace(**absent)
        sys.modules |= {"torchvision": types.SimpleNamespace(ops=operators), "torchvision.ops": operators}  # type: ignore[dict-item]
    from onnx2torch import convert

    return convert


def as_type(array: Any, kind: int) -> Any:
    return np.asarray(array, onnx.helper.tensor_dtype_to_np_dtype(kind)) if isinstance(array, np.ndarray) else array


WAYS = {
    "onnxray": suite.portable,
    "onnx-ad": onnx_ad,
    "ort-training": ort_training,
    "ort-training, prepared by onnxray": prepared,
    "onnx2torch": onnx2torch,
}


def judged(case: Any, way: suite.Way) -> suite.Verdict:
    try:
        return suite.judge(case, way)
    except Exception as error:  # an alternative may raise anything
        if isinstance(error, OnnxrayError):
            raise
        return suite.Verdict(case.name, "fails", f"{type(error).__name__}: {error}"[:200])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take one case in so many")
    here = [way for way in WAYS if way != "onnx-ad" or version()]
    parser.add_argument("--ways", nargs="*", default=here, choices=list(WAYS))
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    record = {}
    with np.errstate(all="ignore"):
        cases = suite.cases()[:: told.every]
        for way in told.ways:
            counted = [v for v in (judged(case, WAYS[way]) for case in cases) if v.kind not in suite.OUT]
            kinds = Counter(verdict.kind for verdict in counted)
            record[way] = {"counted": len(counted), "share": round(kinds["right"] / len(counted), 4), **kinds}
            print(way, record[way], file=sys.stderr, flush=True)
    print(json.dumps({"onnx": onnx.__version__, "cases": len(cases), "ways": record}, indent=2))


if __name__ == "__main__":
    main()
