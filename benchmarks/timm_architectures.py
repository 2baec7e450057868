"""timm's architectures as torch.onnx exports them: saliency beside autograd's, as a table in docs/coverage.md.

    pip install --no-deps --target timm timm==1.0.31 torchvision==0.28.0  # beside torch 2.13.0, the CPU's too
    PYTHONPATH=timm python benchmarks/timm_architectures.py --results results.jsonl --write docs/coverage.md

All by both exporters take more than an hour on two cores; results that are there already are not measured again.
Weights are random, and what an architecture starts at a constant (scales of layers, norms, tokens) is shaken, so that
every branch counts. The truth is autograd in float64, held to central differences of the net; the noise is that of
autograd itself in float32. Where a picture is not equal, the next one is drawn: a Relu whose input rounds to the other
side of 0 spoils some pictures, a wrong rule all. The table tells how many were needed.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import torch
from generated import write_section
from onnxray.converters.torch_backward import right_batch_norms
from onnxray.support.distance import relative_l2
from timm_nets import CLASSES, NAMES, SHALLOW, build, size_of

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from gradcheck import evaluate

TARGET = 3
ALLOWED, TIMES_NOISE = 1e-5, 10  # of relative L2; where float32 itself is worse, as many times its noise
EXACT = 1e-7  # of relative L2 in float64
PICTURES, NOISY = 12, 1e-4  # pictures drawn until one is equal; with more noise nothing is concluded from it
STEPS, SLOPE = (1e-3, 1e-5, 1e-7, 1e-9), 1e-3  # of central differences along autograd's gradient; the best one counts
EXPORTERS = {"dynamo": True, "TorchScript": False}

Result = dict[str, Any]


def autograd(net: torch.nn.Module, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and the gradient of the target's."""
    x = x.clone().requires_grad_()
    scores = net(x)
    with right_batch_norms():
        return scores.detach().numpy(), torch.autograd.grad(scores[:, TARGET].sum(), x)[0].numpy()


def slope_error(net: torch.nn.Module, x: torch.Tensor, gradient: np.ndarray) -> float:
    """How far a float64 net's slope along a gradient is from the gradient's length, relative to it."""
    length = float(np.linalg.norm(gradient))
    with torch.no_grad():
        moved = [
            (net(x + torch.from_numpy(gradient) * (step / length)), step) for step in (*STEPS, *(-k for k in STEPS))
        ]
    ends = {step: float(scores[:, TARGET].sum()) for scores, step in moved}
    return min(abs((ends[step] - ends[-step]) / (2 * step) - length) for step in STEPS) / length


def measure(name: str, exporter: str, shallow: bool, folder: Path) -> Result:
    """Exports one architecture and compares, picture by picture until one is equal; a failure is a result, too."""
    size, path = size_of(name), folder / "net.onnx"
    net = build(name, size, SHALLOW[name] if shallow else {})
    precise = copy.deepcopy(net).double()
    drawn = [torch.randn(1, 3, size, size) for _ in range(PICTURES)]
    result: Result = {"name": name, "exporter": exporter, "size": size}
    try:
        torch.onnx.export(net, (drawn[0],), path, dynamo=EXPORTERS[exporter], verbose=False, input_names=["x"])
    except Exception as error:  # noqa: BLE001  exporters raise whatever
        return {**result, "result": f"no export: {first_line(error)}"}
    proto = onnx.load(path)
    result |= {"nodes": len(proto.graph.node), "opset": proto.opset_import[0].version, "pictures": []}
    for x in drawn:
        try:
            found = compared(net, precise, path, x)
        except Exception as error:  # noqa: BLE001  nothing may end the run
            return {**result, "result": f"fails: {first_line(error)}"}
        result["pictures"].append(found)
        if found["result"] == "equal":
            return {**result, "result": "equal"}
    result["exact"] = exact_error(precise, drawn[-1].double(), exporter, folder)
    return {**result, "result": "equal, in float64" if result["exact"] <= EXACT else verdict(result["pictures"])}


def exact_error(precise: torch.nn.Module, x: torch.Tensor, exporter: str, folder: Path) -> float:
    """The error of the gradient of a float64 export, by the reference evaluator of the ONNX project: without kinks."""
    path = folder / "exact.onnx"
    torch.onnx.export(precise, (x,), path, dynamo=EXPORTERS[exporter], verbose=False, input_names=["x"])
    graph = onnxray.differentiate(path)
    (seed,), (gradient,) = graph.seeds.values(), graph.gradients.values()
    feeds = {"x": x.numpy(), seed: np.eye(CLASSES)[[TARGET]]}
    return relative_l2([evaluate(graph.model, feeds)[gradient]], [autograd(precise, x)[1]])


def compared(net: torch.nn.Module, precise: torch.nn.Module, path: Path, x: torch.Tensor) -> Result:
    """The result for one picture: the float32 noise, the errors of the truth, the scores and the gradient."""
    scores, truth = autograd(precise, x.double())
    ours = onnxray.explain(path, x.numpy(), target=TARGET).values
    found = {
        "noise": relative_l2([autograd(net, x)[1]], [truth]),
        "slope": slope_error(precise, x.double(), truth),
        "scores": relative_l2([np.asarray(ort.InferenceSession(path).run(None, {"x": x.numpy()})[0])], [scores]),
        "error": relative_l2([ours], [truth]),
    }
    return {**found, "result": judged(found)}


def judged(found: Result) -> str:
    """Equal or not, or why that cannot be said."""
    if found["slope"] > SLOPE:
        return f"no truth: autograd differs from the net's own slope by {found['slope']:.1e}"
    if found["error"] <= max(ALLOWED, TIMES_NOISE * min(found["noise"], NOISY)):
        return "equal"
    return "differs" if found["noise"] <= NOISY else "no truth: autograd itself is too inexact in float32"


def verdict(pictures: list[Result]) -> str:
    """Of pictures that are not equal: what differs, else why nothing is said."""
    said = [found["result"] for found in pictures]
    return "differs" if "differs" in said else said[-1]


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


def stored(path: Path) -> dict[tuple[str, str], Result]:
    """The results of a file, by name and exporter."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {(r["name"], r["exporter"]): r for r in map(json.loads, lines)}


def results(path: Path, pairs: list[tuple[str, str]], shallow: bool) -> Iterator[Result]:
    """Those of the file, and the missing ones, which are added to it as they come."""
    known = stored(path)
    for name, exporter in pairs:
        if (name, exporter) not in known:
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                found = measure(name, exporter, shallow, Path(folder))
            found["seconds"] = round(time.perf_counter() - start, 1)
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(json.dumps(found), file=sys.stderr, flush=True)
            known[name, exporter] = found
        yield known[name, exporter]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", help="all by default")
    parser.add_argument("--shallow", action="store_true", help="eight, of a block or two in each stage")
    parser.add_argument("--exporters", nargs="+", default=list(EXPORTERS), choices=EXPORTERS)
    parser.add_argument("--results", type=Path, required=True, help="JSON, a line per net and exporter; resumed")
    parser.add_argument("--stored", action="store_true", help="only those that the results hold; measures nothing")
    parser.add_argument("--write", type=Path, help="the page whose table is renewed")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    names = asked.names or (list(SHALLOW) if asked.shallow else NAMES)
    pairs, known = [(n, e) for n in names for e in asked.exporters], stored(asked.results)
    found = list(results(asked.results, [p for p in pairs if p in known or not asked.stored], asked.shallow))
    if asked.write:
        write_section(asked.write, "architectures", table(found))
    sys.exit(any(r["result"].startswith(("fails", "differs", "no truth")) for r in found))


HEAD = """## Architectures of timm

The table compares the saliency of one logit with PyTorch's own gradient, for {nets} architectures of timm {timm},
exported by torch {torch}. Each row is one export; an exporter without a row was not tried. *Relative L2* is the
distance of onnxray's saliency from autograd in float64; *float32* is the distance of autograd in float32 from
autograd in float64: the noise of the network itself. A result is *equal* if the relative L2 distance is at most
{allowed:g}, or at most {times} times the noise, of which at most {noisy:g} counts. A Relu whose input rounds to the
other side of 0 spoils some pictures; a wrong rule spoils all pictures. So up to {pictures} pictures are drawn until
one is equal, and *picture* is the number of that picture. If no picture is equal, a float64 export is run by the
reference evaluator of the ONNX project, and may differ by {exact:g}: {deep}. The other networks are not compared in
float64, as onnxruntime has no Conv in float64 on the CPU. Autograd itself is compared with central differences of the
network in float64. Its batch norms get contiguous gradients, because torch 2.13.0 computes a wrong gradient of batch
norms for one picture that is cut into tokens (xcit, levit, efficientvit_m0). `python benchmarks/timm_architectures.py`
measures all this, on the CPU with onnxruntime {runtime}.

{counts}

| architecture | size | exporter | nodes | picture | relative L2 | float32 | result |
|---|---:|---|---:|---:|---:|---:|---|"""


def table(found: list[Result]) -> str:
    """The section: a row per architecture and exporter."""
    kinds = Counter((r["exporter"], r["result"].partition(":")[0]) for r in found)
    counts = ", ".join(f"{exporter}: {count} {kind}" for (exporter, kind), count in sorted(kinds.items()))
    head = HEAD.format(
        nets=len({r["name"] for r in found}),
        timm=version("timm"),
        torch=version("torch").partition("+")[0],
        allowed=ALLOWED,
        times=TIMES_NOISE,
        pictures=PICTURES,
        noisy=NOISY,
        exact=EXACT,
        deep=", ".join(dict.fromkeys(f"{r['name']} by {r['exact']:.1e}" for r in found if "exact" in r)) or "none",
        runtime=ort.__version__,
        counts=f"{counts}.",
    )
    return "\n".join([head, *map(row, found)])


def row(r: Result) -> str:
    pictures = r.get("pictures", [])
    last = pictures[-1] if pictures else {}
    error, noise = (f"{last[k]:.1e}" if k in last else "" for k in ("error", "noise"))
    said = re.sub(r"\x1b\[[0-9;]*m", "", r["result"]).replace("|", "\\|")
    head = f"| {r['name']} | {r['size']} | {r['exporter']} | {r.get('nodes', '')} | {len(pictures) or ''} "
    return f"{head}| {error} | {noise} | {said} |"


if __name__ == "__main__":
    main()
