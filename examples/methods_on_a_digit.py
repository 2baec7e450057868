"""Every method on one digit: what made the net say "6", and what speaks for the runner-up.

python examples/methods_on_a_digit.py docs/methods.png
"""

import sys
from pathlib import Path

import numpy as np
import onnxray
from onnxray import models
from onnxray.drawing import heatmap

LAYERED = [name for name, method in onnxray.METHODS.items() if method.has_layer]
OPTIONS = {"occlusion": {"window": 5, "stride": 2}, **{name: {"layer": "relu4"} for name in LAYERED}}


def main(out: Path) -> None:
    model, picture = onnxray.load(models.path("digits.onnx")), models.path("digit.png")
    first, second = ranking(model, picture)[:2]
    rows = []
    for target in (first, second):
        maps = [
            onnxray.explain(model, picture, method, target=int(target), **OPTIONS.get(method, {}))
            for method in onnxray.METHODS
        ]
        rows.append([maps[0].pictures[0], *(a.image(overlay=False, reduce=_reduce(a)) for a in maps)])
    names = [model.labels[k] if model.labels else str(k) for k in (first, second)]
    figure = heatmap.grid(rows, ["picture", *onnxray.METHODS], [f'for "{name}"' for name in names], tile=150)
    figure.save(out)
    print(f"wrote {out}")


def ranking(model: onnxray.Model, picture: Path) -> np.ndarray:
    """Classes, the likeliest first."""
    scores = onnxray.activations(model, picture, "logits")["logits"]
    return np.argsort(-scores[0])


def _reduce(attribution: onnxray.Attribution) -> str:
    return "abs-max" if attribution.method in LAYERED else "sum"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "methods.png"))
