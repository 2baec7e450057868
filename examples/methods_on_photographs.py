"""Every method on photographs: where does a real int8 classifier look for its top class?

python examples/methods_on_photographs.py docs/methods_on_photographs.jpg

The net is that of ../shared/data, the photographs are those of scikit-image: cat (CC0 by Stefan van der Walt) and
rocket (SpaceX, public domain). A method that does not apply to the net is left out, and its reason is printed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import onnxray
import skimage
from methods_on_a_digit import stacked
from onnxray.drawing import heatmap
from PIL import Image

SHARED = Path(__file__).parents[2] / "shared" / "data"
MODEL, LABELS = SHARED / "onnx" / "mobilenetv2like_qdq_244.onnx", SHARED / "synset.txt"
PHOTOGRAPHS = ("cat", "rocket")
IMAGENET = onnxray.Preprocess.preset("imagenet", size=(244, 244))
METHODS = tuple(name for name in onnxray.METHODS if name != "feature-permutation")  # which asks about a whole data set
COLUMNS, TILE = 8, 122
COARSE = {
    "occlusion": {"window": 41, "stride": 20},
    "rise": {"samples": 1000},
    "kernel-shap": {"samples": 150, "cells": 6},
    "lime": {"samples": 150, "cells": 6},
    "shapley-sampling": {"samples": 6, "cells": 6},
}


def main(out: Path, methods: Sequence[str] = METHODS, photographs: Sequence[str] = PHOTOGRAPHS) -> None:
    if not MODEL.exists():
        sys.exit(f"{MODEL} is not here: there is nothing to explain")
    model, labels = onnxray.load(MODEL), LABELS.read_text().splitlines()
    pictures = [Image.fromarray(getattr(skimage.data, name)()) for name in photographs]
    plain = onnxray.explain(model, pictures, "saliency", preprocess=IMAGENET)
    names = [name_of(labels[target]) for target in plain.target]
    tiles = {"picture": list(plain.pictures)}
    tiles |= {method: found for method in methods if (found := tiles_of(model, pictures, method))}
    every = list(tiles)
    bands = [every[k : k + COLUMNS] for k in range(0, len(every), COLUMNS)]
    rows = [[[tiles[method][k] for method in band] for k in range(len(pictures))] for band in bands]
    sheets = [heatmap.grid(row, band, names, tile=TILE) for row, band in zip(rows, bands, strict=True)]
    stacked(sheets).save(out, quality=85)
    print(f"wrote {out}")


def tiles_of(model: onnxray.Model, pictures: list[Image.Image], method: str) -> list[Image.Image]:
    """The maps over the pictures; none where the method does not apply, and its reason is printed."""
    try:
        found = onnxray.explain(model, pictures, method, preprocess=IMAGENET, **COARSE.get(method, {}))
    except onnxray.OnnxrayError as error:
        print(f"{method}: {error}")
        return []
    return [found.image(k) for k in range(len(pictures))]


def name_of(line: str) -> str:
    """The first name of a class in a line of synset.txt, such as "n02123045 tabby, tabby cat"."""
    return line.partition(" ")[2].partition(",")[0]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "methods_on_photographs.jpg"))
