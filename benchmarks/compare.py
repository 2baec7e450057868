"""What a comparison costs beside the attributions themselves: time and peak memory, as JSON.

python benchmarks/compare.py REFERENCE.onnx CANDIDATE.onnx PICTURES --counts 50 200 --preprocess imagenet

Every measurement runs in a process of its own, on one thread. The pictures are repeated until there are enough.
``ratio`` is the processor time of compare() without layers and calibration over that of the same attributions alone,
reading and preprocessing included; ``memory`` is the peak of the process in MiB for each number of samples, which
should not rise with it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import onnxray
from onnxray.recipes import recipe_for

METHODS = ["saliency", "integrated-gradients", "grad-cam"]


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_measure(arguments)))
        return
    found = {what: [_child(what, count) for count in arguments.counts] for what in ("attributions", "compare")}
    times = {what: [one["seconds"] for one in runs] for what, runs in found.items()}
    record = {
        "counts": arguments.counts,
        "seconds": times,
        "ratio": [b / a for a, b in zip(times["attributions"], times["compare"], strict=True)],
        "memory": {what: [one["mebibytes"] for one in runs] for what, runs in found.items()},
    }
    print(json.dumps(record, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--preprocess")
    parser.add_argument("--child", choices=("attributions", "compare"))
    return parser.parse_args()


def _child(what: str, count: int) -> dict[str, float]:
    """The same command for one measurement, in a fresh process."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--child"]
    command = [sys.executable, __file__, *arguments, "--child", what, "--counts", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure(arguments: argparse.Namespace) -> dict[str, float]:
    """One run, timed from the second sample on, as the first one builds the sessions."""
    recipe = recipe_for(onnxray.load(arguments.reference), arguments.preprocess, [Path("a.png")])
    known = sorted(file for file in arguments.pictures.iterdir() if file.is_file())
    files = list(islice(cycle(known), arguments.counts[0]))
    run = _compare if arguments.child == "compare" else _attributions
    seconds = run(arguments, recipe, files)
    return {"seconds": seconds, "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _compare(arguments: argparse.Namespace, recipe: onnxray.Preprocess | None, files: list[Path]) -> float:
    starts: list[float] = []

    def note(*_: object) -> None:
        starts.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        onnxray.compare(
            arguments.reference, arguments.candidate, files, methods=arguments.methods, preprocess=recipe,
            layers=False, journal=Path(folder) / "journal.jsonl", progress=note,
            **_options(arguments),
        )  # fmt: skip
    return time.process_time() - starts[1]


def _attributions(arguments: argparse.Namespace, recipe: onnxray.Preprocess | None, files: list[Path]) -> float:
    explainers = [
        [
            onnxray.Explainer(model, method, preprocess=recipe, **_options(arguments, method))
            for method in arguments.methods
        ]
        for model in (arguments.reference, arguments.candidate)
    ]
    start = 0.0
    for index, file in enumerate(files):
        if index == 1:
            start = time.process_time()
        target = None
        for row in explainers:
            for explainer in row:
                found = explainer(file, "top1" if target is None else target)
                target = int(found.target[0])
    return time.process_time() - start


def _options(arguments: argparse.Namespace, method: str | None = None) -> dict[str, int]:
    uses = "integrated-gradients" in arguments.methods if method is None else method == "integrated-gradients"
    return {"threads": 1, **({"steps": arguments.steps} if uses else {})}


if __name__ == "__main__":
    main()
