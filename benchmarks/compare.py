"""The cost of a comparison beside the attributions themselves: time and peak memory, as JSON.

python benchmarks/compare.py ../shared/data/images --counts 50 200

MobileNetV2 at 224x224 with random weights, against a float or an int8 candidate, on crops of the photographs in a
folder. ``ratio``: time of compare() over that of the same attributions alone, by an Explainer of each model and method
on arrays that were read before. Both take turns in one process, sample by sample; compare() also reads, measures,
writes its journal and sums up. Layers and calibration are left out, as they do not grow with the samples. ``memory``:
the peak of a process that only compares, in MiB, for each number of samples.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import compare_case
import numpy as np
import onnxray
from onnxray.support.heap import held_memory

METHODS = ["saliency", "input-x-gradient", "grad-cam"]
RECIPE = onnxray.Preprocess.preset("imagenet", size=(224, 224))


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_peak(arguments, *map(Path, arguments.child))))
        return
    with tempfile.TemporaryDirectory() as folder:
        models = compare_case.models(Path(folder))
        (crops := Path(folder) / "crops").mkdir()
        files = compare_case.pictures(arguments.photographs, crops, max(arguments.counts))
        for name in arguments.candidates:
            pair = models["reference"], models[name]
            record = {"candidate": name, "methods": arguments.methods, "threads": arguments.threads}
            record |= {"load": _load(), **_turns(arguments, pair, files), "load after": _load()}
            record["memory"] = {count: _child(arguments, count, *pair, crops) for count in arguments.counts}
            print(json.dumps(record, indent=1), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--candidates", nargs="+", choices=("float", "int8"), default=["float", "int8"])
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _turns(arguments: argparse.Namespace, pair: tuple[Path, Path], files: Sequence[Path]) -> dict[str, Any]:
    """Seconds of both sides; from the second sample on, as the first one opens what is opened late."""
    alone, spent = _attributions(arguments, pair), np.zeros((2, 2))
    marks: list[np.ndarray] = []

    def between(_: str, share: float) -> None:
        """Before compare() takes a sample, the same sample is explained without it."""
        if len(marks) > 1:
            spent[1] += _now() - marks[-1]
        start = _now()
        given = RECIPE(files[round(share * len(files))])
        start = _now()
        alone(given)
        if marks:
            spent[0] += _now() - start
        marks.append(_now())

    found = _compare(arguments, pair, files, between)
    spent[1] += _now() - marks[-1]
    seconds = {side: dict(zip(("wall", "cpu"), row.round(2).tolist(), strict=True)) for side, row in
               zip(("attributions", "compare"), spent, strict=True)}  # fmt: skip
    ratio = dict(zip(("wall", "cpu"), (spent[1] / spent[0]).round(3).tolist(), strict=True))
    return {"samples": len(found.rows), "seconds": seconds, "ratio": ratio}


def _now() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def _attributions(arguments: argparse.Namespace, pair: tuple[Path, Path]) -> Callable[[np.ndarray], None]:
    """Every method on both models, of the class that is the reference's top one."""
    sides = [
        [onnxray.Explainer(model, method, **_options(arguments, method)) for method in arguments.methods]
        for model in pair
    ]

    def run(x: np.ndarray) -> None:
        target: Any = "top1"
        for side in sides:
            for explainer in side:
                target = int(explainer(x, target).target[0])

    return run


def _compare(
    arguments: argparse.Namespace, pair: tuple[Path, Path], files: Sequence[Path], progress: Any = None
) -> onnxray.Comparison:
    with tempfile.TemporaryDirectory() as folder:
        return onnxray.compare(
            pair[0], pair[1], list(files), methods=arguments.methods, preprocess=RECIPE, layers=False,
            journal=Path(folder) / "journal.jsonl", progress=progress, **_options(arguments),
        )  # fmt: skip


def _options(arguments: argparse.Namespace, method: str | None = None) -> dict[str, Any]:
    uses = "integrated-gradients" in (arguments.methods if method is None else [method])
    return {"threads": arguments.threads, **({"steps": arguments.steps} if uses else {})}


def _child(arguments: argparse.Namespace, count: int, *paths: Path) -> float:
    """The peak of a fresh process that compares so many."""
    options = ["--counts", str(count), "--threads", str(arguments.threads), "--steps", str(arguments.steps)]
    command = [sys.executable, __file__, str(arguments.photographs), *options, "--methods", *arguments.methods]
    done = subprocess.run([*command, "--child", *map(str, paths)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _peak(arguments: argparse.Namespace, reference: Path, candidate: Path, crops: Path) -> float:
    files = sorted(crops.iterdir())[: arguments.counts[0]]
    found = _compare(arguments, (reference, candidate), files)
    if len(found.rows) != len(files):
        raise SystemExit(f"{len(found.failed)} samples failed: {found.failed[0]}")
    return round(held_memory("VmHWM") / 2**20, 1)


def _load() -> float:
    return round(float(Path("/proc/loadavg").read_text().split()[0]), 2)


if __name__ == "__main__":
    main()
