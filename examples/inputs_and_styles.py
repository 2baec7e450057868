"""Inputs that are no photographs, and the styles of a map: a series, a volume, several inputs, one digit, a grid.

python examples/inputs_and_styles.py docs

Three nets are written by hand, so that the evidence is known: a filter finds a pulse in the second of three channels,
another a ball in a volume, and a third adds up what a picture, a series and the columns of a table say.

What to see: the colours lie on the pulse and on the ball; the same map of the digit as an overlay, alone, as a mask and
as lines; and a row for each digit, whole or halved, picture beside map, on one colour scale, with the scores.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxray
from onnx import numpy_helper, parser
from onnxray import models
from onnxray.drawing import heatmap
from PIL import Image

RATE = 200  # samples a second
PULSE = np.array([-1, -2, 4, 6, 4, -2, -1], np.float32)
STYLES = ("overlay", "map", "masked", "contour")
SERIES = """net (float[N, 3, T] x) => (float[N, 1] score) {
    [filter] c = Conv<pads=[3, 3]>(x, W) r = Relu(c) score = ReduceMax<keepdims=0>(r, time) }"""
VOLUME = """net (float[N, 1, D, H, W] x) => (float[N, 1] score) {
    [filter] c = Conv<pads=[1, 1, 1, 1, 1, 1]>(x, W, b) r = Relu(c) score = ReduceMean<keepdims=0>(r, space) }"""
SEVERAL = """net (float[N, 1, 28, 28] picture, float[N, 3, T] series, float[N, 4] table) => (float[N, 1] score) {
    m = ReduceMean<keepdims=0>(picture, space) c = Conv<pads=[3, 3]>(series, W) r = Relu(c)
    p = ReduceMax<keepdims=0>(r, time) t = MatMul(table, B) s = Add(m, p) score = Add(s, t) }"""


def main(folder: Path) -> None:
    for page in (series, volume, several_inputs, styles, grid):
        name, picture = page.__name__, page()
        picture.quantize(128, dither=Image.Dither.NONE).save(folder / f"{name}.png", optimize=True)
        print(f"wrote {folder / name}.png")


def series() -> Image.Image:
    """Three channels, of which the second holds a pulse."""
    net = model(SERIES, {"W": pulse_filter(), "time": np.array([2])})
    found = onnxray.explain(net, curves()[None], "input-x-gradient", target=0)
    return found.figure(captions=("a pulse in channel 1", found.method), rate=RATE)


def volume() -> Image.Image:
    """A ball in noise."""
    z, y, x = np.mgrid[:15, :36, :36]
    ball = (z - 7) ** 2 * 4 + (y - 14) ** 2 + (x - 22) ** 2 < 100
    noisy = ball + np.random.default_rng(0).integers(0, 2, ball.shape) / 8
    weights = {"W": np.full((1, 1, 3, 3, 3), 1 / 27), "b": np.array([-0.5]), "space": np.array([2, 3, 4])}
    found = onnxray.explain(model(VOLUME, weights), noisy[None, None].astype(np.float32), "input-x-gradient", target=0)
    return found.image(style="figure")


def several_inputs() -> Image.Image:
    """A picture, a series and a table, each in its own way."""
    table = np.array([[0.5, -1.0, 2.0, 0.1]], np.float32)
    weights = {"W": pulse_filter() / 50, "B": np.array([[1.0], [0.5], [-0.5], [3.0]])}
    net = model(SEVERAL, {**weights, "space": np.array([2, 3]), "time": np.array([2])})
    inputs = {"picture": digit()[None, None], "series": curves()[None], "table": table}
    found = onnxray.explain(net, inputs, "input-x-gradient", target=0)
    return found.image(style="figure", rate=RATE)


def styles() -> Image.Image:
    """One map of a digit in four styles."""
    found = onnxray.explain(models.path("digits.onnx"), models.path("digit.png"), "integrated-gradients", target=6)
    return heatmap.side_by_side([found.image(style=style) for style in STYLES], STYLES, tile=168)


def grid() -> Image.Image:
    """The digit, and the digit without its upper and its lower half: their maps on one scale."""
    halves = np.stack([digit()] * 3)
    halves[1, :14], halves[2, 16:] = 0, 0
    found = onnxray.explain(models.path("digits.onnx"), halves[:, None], "input-x-gradient", target=6)
    with (
        tempfile.TemporaryDirectory() as folder,
        Image.open(found.save(Path(folder, "grid.png"), style="grid", reduce="sum")) as image,
    ):
        return image.copy()


def curves() -> np.ndarray:
    """Three channels by 240 samples: slow waves and noise, and the pulse at sample 130 of the second."""
    time = np.arange(240) / RATE
    slow = np.stack([np.sin(2 * np.pi * rate * time) for rate in (1.0, 2.0, 3.0)])
    found = slow + np.random.default_rng(0).normal(0, 0.1, slow.shape)
    found[1, 127:134] += PULSE / 2
    return found.astype(np.float32)


def digit() -> np.ndarray:
    """The digit that ships, 0 to 1."""
    return np.asarray(Image.open(models.path("digit.png")).convert("L"), np.float32) / 255


def pulse_filter() -> np.ndarray:
    """Weights (1, 3, 7) that look for the pulse in the second channel."""
    return np.stack([np.zeros(7), PULSE, np.zeros(7)])[None].astype(np.float32)


def model(text: str, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A model from the text of its graph, with its weights."""
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]>\n{text}')
    single = {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in weights.items()}
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in single.items())
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
