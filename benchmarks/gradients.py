"""Saliency and integrated gradients against Captum on the same weights, threads and pictures; JSON on standard output.

Run it with the extra [test] installed, on a quiet machine: `python benchmarks/gradients.py [--processor] [NET ...]`.
Each net has a process of its own. The sides take turns, so that a change of the machine's speed meets all; the figures
are medians, in milliseconds of wall time. `ratio` is onnxray's time over Captum's, `of_forward` over onnxruntime's
forward. Where onnx-ad is installed (`pip install --no-deps onnx-ad`), it takes its turn, too, and `ratio_onnx_ad` is
onnxray's time over its. `--processor` measures processor time on one thread, for a machine that others use.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnx_ad_peer import fixed, one_seed, reverse_of, version
from onnxray.support.distance import relative_l2
from onnxray.support.heap import held_memory

PROCESSOR = "--processor" in sys.argv
THREADS = 1 if PROCESSOR else os.cpu_count() or 1
CLOCK = time.process_time if PROCESSOR else time.perf_counter
NETS = Path(__file__).parents[1] / "tests"
DEFAULT = ["resnet50", "vgg16", "mobilenet", "vit-b16"]
RUNS = {1: 9, 8: 3}
PAUSE = 0.3  # seconds


def measure(name: str) -> dict[str, Any]:
    """Everything about one net, in this process."""
    sys.path.insert(0, str(NETS))
    import onnxray
    import torch
    from nets import net

    torch.set_num_threads(THREADS)
    one = net(name)
    proto = one.proto
    before = held_memory("VmHWM")
    started = time.process_time()
    explainer = onnxray.Explainer(proto, threads=THREADS)
    opened = time.process_time() - started
    result = {"net": name, "threads": THREADS, "load": os.getloadavg()[0], "open_cpu_seconds": round(opened, 2)}
    result |= {
        "build_seconds": build_seconds(proto),
        "megabytes_of_explainer": (held_memory("VmHWM") - before) // 2**20,
    }
    for batch, runs in RUNS.items():
        result[f"saliency_batch_{batch}"] = compare(one, explainer, one.pictures(batch), runs)
    if name == "resnet50":
        result["integrated_gradients_50"] = compare_integrated_gradients(one, proto)
    return result


def build_seconds(proto: Any) -> float:
    """CPU time of the gradient graph alone: from a loaded model to nodes."""
    import onnxray
    from onnxray.attribution.plan import explanation_graph

    model = onnxray.load(proto)
    started = time.process_time()
    explanation_graph(model, onnxray.METHODS["saliency"](), lowering="cpu")
    return round(time.process_time() - started, 2)


def compare(one: Any, explainer: Any, x: Any, runs: int) -> dict[str, Any]:
    """Saliency of class 0: the peer, ours, and the plain forward pass of our runtime."""
    import numpy as np
    import torch
    from captum.attr import Saliency
    from onnxray.runtime import open_model, open_session

    session, target = open_session(one.proto, threads=THREADS), np.zeros(len(x), np.int64)
    explainer(x, target=target)  # of some nets only a run tells how the graph has to be built
    plan = explainer.plans[0]
    gradient = open_model(plan.model, threads=THREADS)
    captum, images = Saliency(one.module), torch.from_numpy(x).requires_grad_()
    sides = {
        "captum": lambda: captum.attribute(images, target=0, abs=False),
        "onnxray": lambda: gradient.run({"x": x, plan.target: target}),
        "forward": lambda: session.run({"x": x}),
    }
    if version():
        sides["onnx_ad"] = onnx_ad_side(one.proto, x)
    times = take_turns(sides, runs)
    ours = gradient.run({"x": x, plan.target: target})["attribution"]
    truth = Saliency(one.double).attribute(images.detach().double().requires_grad_(), target=0, abs=False).numpy()
    peer = captum.attribute(images, target=0, abs=False).detach().numpy()
    errors = {"error": relative_l2([ours], [truth]), "error_captum": relative_l2([peer], [truth])}
    if version():
        errors["error_onnx_ad"] = relative_l2([sides["onnx_ad"]()], [truth])
    return times | {name: float(f"{error:.1e}") for name, error in errors.items()}


def onnx_ad_side(proto: Any, x: Any) -> Callable[[], Any]:
    """The gradient of class 0 by onnx-ad, which wants the batch fixed."""
    import numpy as np
    from onnxray.runtime import open_session

    model = fixed(proto, "x", x.shape)
    (y,) = model.graph.output
    made = reverse_of(model, [y.name], "x")
    seed = np.zeros((len(x), y.type.tensor_type.shape.dim[1].dim_value), np.float32)
    seed[:, 0] = 1
    session, feeds = open_session(made.model, threads=THREADS), {"x": x, made.seeds[y.name]: one_seed(seed)}
    return lambda: session.run(feeds, [made.gradient])[made.gradient][..., 0]


def compare_integrated_gradients(one: Any, proto: Any) -> dict[str, Any]:
    """50 steps on one picture; Captum in chunks of 8, as all 50 at once need several gigabytes."""
    import onnxray
    import torch
    from captum.attr import IntegratedGradients

    x = one.pictures(1)
    explainer = onnxray.Explainer(proto, "integrated-gradients", steps=50, threads=THREADS)
    captum, images = IntegratedGradients(one.module), torch.from_numpy(x)
    return take_turns(
        {
            "captum": lambda: captum.attribute(images, target=0, n_steps=50, internal_batch_size=8),
            "onnxray": lambda: explainer(x, target=0),
        },
        2,
    )


def take_turns(sides: dict[str, Callable[[], Any]], runs: int) -> dict[str, Any]:
    """Medians of wall time, one run of each side after the other, after a warm-up of each.

    Each run begins after a pause: the threads of the side before spin for a while before they sleep.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(runs + 1):
        for name, side in sides.items():
            time.sleep(PAUSE)
            started = CLOCK()
            side()
            if turn:
                seconds[name].append(CLOCK() - started)
    medians = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
    ratios = {"ratio": round(medians["onnxray"] / medians["captum"], 2)}
    if "forward" in medians:
        ratios["of_forward"] = round(medians["onnxray"] / medians["forward"], 2)
    if "onnx_ad" in medians:
        ratios["ratio_onnx_ad"] = round(medians["onnxray"] / medians["onnx_ad"], 2)
    return {name: round(value, 1) for name, value in medians.items()} | ratios


def main(names: list[str]) -> None:
    """One child per net, one line of JSON each."""
    for name in names:
        child = subprocess.run(
            [sys.executable, __file__, "--child", name, *["--processor"] * PROCESSOR],
            stdout=subprocess.PIPE,
            check=True,
        )
        print(child.stdout.decode().splitlines()[-1], flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main([name for name in sys.argv[1:] if name != "--processor"] or DEFAULT)
