"""Every method for a picture on one digit: what made the net say "6", and what speaks for the runner-up.

python examples/methods_on_a_digit.py docs/methods.png
"""

import sys
from pathlib import Path

import numpy as np
import onnxray
from onnxray import models
from onnxray.drawing import heatmap
from PIL import Image

COLUMNS = 9
OTHERS = ("feature-permutation", "mutagenesis", "tree-shap")  # of several examples, of letters, of trees
LAYERED = [name for name, method in onnxray.METHODS.items() if method.has_layer]
OPTIONS = {"occlusion": {"window": 5, "stride": 2}, **{name: {"layer": "relu4"} for name in LAYERED}}


def main(out: Path) -> None:
    model, picture = onnxray.load(models.path("digits.onnx")), models.path("digit.png")
    classes = ranking(model, picture)[:2]
    labels = [f'for "{model.labels[k] if model.labels else k}"' for k in classes]
    every = [name for name, method in onnxray.METHODS.items() if not (method.has_attention or name in OTHERS)]
    bands = [every[k : k + COLUMNS] for k in range(0, len(every), COLUMNS)]
    stacked([band_of(model, picture, band, classes, labels) for band in bands]).save(out)
    print(f"wrote {out}")


def band_of(
    model: onnxray.Model, picture: Path, methods: list[str], classes: np.ndarray, labels: list[str]
) -> Image.Image:
    """A row for each class, a column for each method."""
    rows = []
    for target in classes:
        maps = [onnxray.explain(model, picture, m, target=int(target), **OPTIONS.get(m, {})) for m in methods]
        rows.append([one.image(style="map", **_style(one)) for one in maps])
    return heatmap.grid(rows, methods, labels, tile=120)


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """Pictures one below the other."""
    sheet = Image.new("RGB", (max(one.width for one in pictures), sum(one.height for one in pictures)), "white")
    top = 0
    for one in pictures:
        sheet.paste(one, (0, top))
        top += one.height
    return sheet


def ranking(model: onnxray.Model, picture: Path) -> np.ndarray:
    """Classes, the likeliest first."""
    scores = onnxray.activations(model, picture, "logits")["logits"]
    return np.argsort(-scores[0])


def _style(one: onnxray.Attribution) -> dict[str, str]:
    """Signed values in blue and red; maps of a layer, and the mean scores of RISE, as they are drawn by default."""
    if onnxray.METHODS[one.method].layer_sized or one.method == "rise":
        return {}
    return {"reduce": "sum", "palette": "bwr"}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "methods.png"))
