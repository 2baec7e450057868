"""How much of a black-box method's time is the model's own; a table in Markdown on standard output.

Run it with the extra [test] installed: `python benchmarks/black_boxes.py [NET]`, by default MobileNetV2. The figures
are medians of three, in processor time on one thread; the model runs alone in batches as large as the method's runs.
"""

from __future__ import annotations

import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

METHODS: dict[str, dict[str, Any]] = {
    "rise": {"samples": 150},
    "kernel-shap": {"samples": 150},
    "lime": {"samples": 150},
    "shapley-sampling": {"samples": 3, "cells": 7},
    "feature-ablation": {"cells": 12},
}


def measure(proto: Any, x: Any, method: str) -> tuple[float, float]:
    """Milliseconds per point of the method and of the model alone."""
    import numpy as np
    import onnxray
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    explainer, done = onnxray.Explainer(proto, method, threads=1, **METHODS[method]), [0]
    explainer(x, 3, progress=lambda rows, _: done.append(rows))
    points, batch = done[-1], np.repeat(x, max(b - a for a, b in pairwise(done)), 0)
    name, pairs = session.get_inputs()[0].name, []
    for _ in range(3):
        started = time.process_time()
        explainer(x, 3)
        between = time.process_time()
        for _ in range(-(-points // len(batch))):
            session.run(None, {name: batch})
        runs = -(-points // len(batch)) * len(batch)
        pairs.append(((between - started) / points, (time.process_time() - between) / runs))
    whole, alone = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    return whole, alone


def main(name: str = "mobilenet") -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from nets import net

    one = net(name)
    print("| method | per point, ms | the model alone, ms | share of the model |\n|---|---|---|---|")
    for method in METHODS:
        whole, alone = measure(one.proto, one.pictures(1), method)
        print(f"| `{method}` | {whole:.1f} | {alone:.1f} | {alone / whole:.0%} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
