"""Where is it? Simonyan et al. (2013, arXiv:1312.6034) cut an object out of its picture with the saliency map alone.

python examples/object_mask.py object_mask.png

The strongest twentieth of the map seeds a colour model of the object, the weakest 30 percent one of the background, and
GrabCut (OpenCV) draws the border; the largest piece is the object. The photographs, their masks and the trained net are
those of ../shared/data; the intersection over union with each mask is printed. Needs opencv-python-headless.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxray
from onnxray import Preprocess
from onnxray.drawing import heatmap
from PIL import Image

SHARED = Path(__file__).parents[2] / "shared" / "data"
MODEL = SHARED / "onnx" / "mobilenetv2like_qdq_244.onnx"
PHOTOGRAPHS = {"dog": (0, 1), "bird": (3, 0)}  # the values of object and background in the mask; others are border
IMAGENET = Preprocess.preset("imagenet", size=(244, 244))
STRONG, WEAK, BLUR = 0.95, 0.30, 2.0  # quantiles of the map; pixels


def main(out: Path) -> None:
    if not MODEL.exists():
        sys.exit(f"{MODEL} is not here: there is nothing to cut")
    model = onnxray.load(MODEL)
    rows = [row(model, name, *values) for name, values in PHOTOGRAPHS.items()]
    heatmap.grid(rows, ["picture", "saliency", "cut out by GrabCut", "mask"], list(PHOTOGRAPHS)).save(out)
    print(f"wrote {out}")


def row(model: onnxray.Model, name: str, inside: int, outside: int) -> list[Image.Image]:
    """Picture, map, what was cut out and the mask; prints how far they agree."""
    found = onnxray.explain(model, SHARED / "masks" / f"{name}_segmentation.bmp", preprocess=IMAGENET)
    picture = found.pictures[0]
    with Image.open(SHARED / "masks" / f"{name}_segmentation_mask.bmp") as file:
        truth = np.asarray(file.resize(picture.size, Image.Resampling.NEAREST))
    mask, sure = object_mask(np.asarray(picture), found.map("abs-max")[0]), np.isin(truth, (inside, outside))
    print(f"{name}: class {found.target[0]}, intersection over union {overlap(mask & sure, truth == inside):.2f}")
    return [picture, found.image(style="map"), cut_out(picture, mask), Image.fromarray(truth == inside)]


def object_mask(pixels: np.ndarray, heat: np.ndarray, rounds: int = 5) -> np.ndarray:
    """The object in a picture (H, W, 3), 8 bits, by its map (H, W)."""
    heat = cv2.GaussianBlur(heat, (0, 0), BLUR)  # single pixels would each be sure of their own
    strong, weak = np.quantile(heat, [STRONG, WEAK])
    marks = np.full(heat.shape, cv2.GC_PR_BGD, np.uint8)
    marks[heat < weak], marks[heat > strong] = cv2.GC_BGD, cv2.GC_FGD
    colours = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(pixels), marks, (0, 0, 0, 0), colours[0], colours[1], rounds, cv2.GC_INIT_WITH_MASK
    )
    return largest((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD))


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax() if len(stats) > 1 else mask


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    return float((mask & truth).sum() / max(1, (mask | truth).sum()))


def cut_out(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    """The part of a picture inside of a mask, on white."""
    return Image.fromarray(np.where(mask[..., None], np.asarray(picture), 255).astype(np.uint8))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "object_mask.png"))
