"""Coloured circles, squares and triangles on photographs and noise, with their outlines: data to train a YOLO on.

    python benchmarks/drawn_shapes.py shapes

writes shapes/data.yaml and the pictures and labels of `yolo segment train data=shapes/data.yaml`; docs/detectors.md has
the whole recipe. The colours say nothing of the shape.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageDraw

__all__ = ["shapes_on_photographs"]

NAMES = ("circle", "square", "triangle")
CORNERS = (24, 4, 3)
SIDE = 128  # pixels of a picture
PARTS = {"train": (600, 0), "val": (100, 1)}  # how many pictures, and the seed
GROUNDS = ("coffee", "cat", "rocket", "astronaut")
Outline = tuple[int, np.ndarray]  # the class, and the corners (n, 2), x before y, as shares of the picture


def shapes_on_photographs(count: int = 6, seed: int = 2) -> list[Image.Image]:
    """Pictures that no training has seen."""
    rng = np.random.default_rng(seed)
    return [_drawn(rng)[0] for _ in range(count)]


def write(folder: Path) -> None:
    for part, (count, seed) in PARTS.items():
        rng = np.random.default_rng(seed)
        for kind in ("images", "labels"):
            (folder / kind / part).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            picture, outlines = _drawn(rng)
            picture.save(folder / "images" / part / f"{k:04}.png")
            lines = [" ".join([str(label), *(f"{x:.5f}" for x in corners.ravel())]) for label, corners in outlines]
            (folder / "labels" / part / f"{k:04}.txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"  {k}: {name}\n" for k, name in enumerate(NAMES))
    (folder / "data.yaml").write_text(
        f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}"
    )


def _drawn(rng: np.random.Generator) -> tuple[Image.Image, list[Outline]]:
    """One to three shapes that do not touch, each in a colour of its own."""
    picture, outlines, taken = _ground(rng), [], np.zeros((0, 3))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 4))):
        radius = rng.uniform(12, 26)
        place = rng.uniform(radius, SIDE - radius, 2)
        if (np.hypot(*(taken[:, :2] - place).T) < taken[:, 2] + radius + 2).any():
            continue
        taken = np.vstack([taken, [*place, radius]])
        label = int(rng.integers(len(NAMES)))
        corners = _outline(rng, label) * radius + place
        pen.polygon([tuple(corner) for corner in corners], fill=tuple(int(x) for x in rng.integers(0, 256, 3)))
        outlines.append((label, corners / SIDE))
    return picture, outlines


def _outline(rng: np.random.Generator, label: int) -> np.ndarray:
    """The corners of a shape in a circle of radius 1, turned by any angle."""
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(CORNERS[label]) / CORNERS[label]
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _ground(rng: np.random.Generator) -> Image.Image:
    """Noise, or a part of a photograph of scikit-image."""
    if rng.uniform() < 0.3:
        return Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    whole = _photograph(GROUNDS[rng.integers(len(GROUNDS))])
    side = rng.uniform(SIDE, min(whole.size))
    left, top = rng.uniform(0, np.array(whole.size) - side)
    return whole.resize((SIDE, SIDE), box=(left, top, left + side, top + side))


@cache
def _photograph(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
