"""Nets with the outputs of detectors: linear in the picture, so that boxes, scores and gradients are known in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import onnx
from by_hand import Array, model, normal

SIDE, CLASSES = 32, 3
CELLS = (16, 4, 1)  # of the grids of 8, 16 and 32 pixels
PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True, eq=False)
class Net:
    """A detector: its outputs' shapes of one example, the nodes behind them, its metadata, and its boxes in NumPy.

    ``boxes`` takes the outputs before the nodes, of one example, and gives corners (boxes, 4) and scores
    (boxes, classes).
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    boxes: Callable[..., tuple[Array, Array]]
    tails: tuple[str, ...] = ("Identity(RAW)",)
    names: tuple[str, ...] = ("y",)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def proto(self, kind: str = "float") -> onnx.ModelProto:
        lines, outputs, weights = ["flat = Flatten(x)"], [], {"ten": np.array(10, np.float32)}
        for k, (shape, tail, name) in enumerate(zip(self.shapes, self.tails, self.names, strict=True)):
            weights |= {f"w{k}": self.weight(k), f"b{k}": self.bias(k), f"s{k}": np.array([0, *shape])}
            lines += [f"m{k} = MatMul(flat, w{k})", f"a{k} = Add(m{k}, b{k})", f"r{k} = Reshape(a{k}, s{k})"]
            lines.append(f"{name} = {tail.replace('RAW', f'r{k}')}")
            outputs.append(f"{kind}[N, {', '.join(map(str, shape))}] {name}")
        body = "\n".join(lines)
        if kind == "float16":
            weights = {k: w if w.dtype.kind == "i" else w.astype(np.float16) for k, w in weights.items()}
        made = model(f"net ({kind}[N, 3, {SIDE}, {SIDE}] x) => ({', '.join(outputs)}) {{ {body} }}", weights)
        onnx.helper.set_model_props(made, dict(self.metadata))
        return made

    @cache  # noqa: B019  nets live as long as the tests
    def weight(self, k: int) -> Array:
        return normal(PIXELS, int(np.prod(self.shapes[k])), seed=k) / PIXELS

    def bias(self, k: int) -> Array:
        return normal(int(np.prod(self.shapes[k])), seed=k + 9)

    def raw(self, x: Array) -> list[Array]:
        """The outputs before the nodes, of one example."""
        return [(x.reshape(-1) @ self.weight(k) + self.bias(k)).reshape(s) for k, s in enumerate(self.shapes)]


def kept(sides: Array, scores: Array, overlap: float = 0.45, least: float = 0.25) -> list[int]:
    """Non-maximum suppression class by class: the boxes that stay, the best first."""
    labels, best, chosen = scores.argmax(1), scores.max(1), []
    for k in np.argsort(-best, kind="stable"):
        rivals = [j for j in chosen if labels[j] == labels[k]]
        if best[k] >= least and all(intersection_over_union(sides[k], sides[j]) <= overlap for j in rivals):
            chosen.append(int(k))
    return chosen


def intersection_over_union(a: Array, b: Array) -> float:
    a, b = (np.concatenate([np.minimum(x[:2], x[2:]), np.maximum(x[:2], x[2:])]) for x in (a, b))
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return float(common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common))


def corners(boxes: Array) -> Array:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _cells() -> tuple[Array, Array]:
    """x and y, and the stride, of every cell of the grids."""
    places, strides = [], []
    for stride in (8, 16, 32):
        n = SIDE // stride
        places += [(k % n, k // n) for k in range(n * n)]
        strides += [stride] * (n * n)
    return np.array(places, np.float32), np.array(strides, np.float32)[:, None]


def _yolox(y: Array) -> tuple[Array, Array]:
    places, strides = _cells()
    boxes = np.concatenate([(y[:, :2] + places) * strides, np.exp(y[:, 2:4]) * strides], 1)
    return corners(boxes), y[:, 4:5] * y[:, 5:]


def _pico(*outputs: Array) -> tuple[Array, Array]:
    sides = []
    for distances, stride in zip(outputs[4:], (8, 16, 32, 64), strict=True):
        n = -(-SIDE // stride)
        centre = (np.array([(k % n, k // n) for k in range(n * n)]) + 0.5) * stride
        mean = softmax(distances.reshape(-1, 4, 8)) @ np.arange(8) * stride
        sides.append(np.concatenate([centre - mean[:, :2], centre + mean[:, 2:]], 1))
    return np.concatenate(sides), np.concatenate(outputs[:4])


def _turned(y: Array) -> tuple[Array, Array]:
    x, angle = y.T, np.abs(np.array([np.cos(y[-1]), np.sin(y[-1])])).T
    wide = x[:, 2] * angle[:, 0] + x[:, 3] * angle[:, 1]
    high = x[:, 2] * angle[:, 1] + x[:, 3] * angle[:, 0]
    return corners(np.stack([x[:, 0], x[:, 1], wide, high], 1)), x[:, 4 : 4 + CLASSES]


def _listed(y: Array) -> tuple[Array, Array]:
    return y[:, :4], np.where(np.round(y[:, 5:]) == np.arange(CLASSES), y[:, 4:5], 0)


NAMES = {"names": "{0: 'cat', 1: 'dog', 2: 'owl'}"}
GRID = sum(CELLS)
PICO_CELLS = (*CELLS, 1)
NETS = [
    Net("yolox", ((GRID, 5 + CLASSES),), _yolox),
    Net("yolov5", ((3 * GRID, 5 + CLASSES),), lambda y: (corners(y[:, :4]), y[:, 4:5] * y[:, 5:])),
    Net("yolov8", ((4 + CLASSES, GRID),), lambda y: (corners(y.T[:, :4]), y.T[:, 4:]), metadata=NAMES),
    Net(
        "yolov8",
        ((4 + CLASSES + 32, GRID), (32, 2, 2)),
        lambda y, _: (corners(y.T[:, :4]), y.T[:, 4 : 4 + CLASSES]),
        ("Identity(RAW)", "Identity(RAW)"),
        ("y", "protos"),
        {**NAMES, "task": "segment"},
    ),
    Net("yolov8", ((5 + CLASSES, GRID),), _turned, metadata={**NAMES, "task": "obb"}),
    Net("yolo-end-to-end", ((30, 6),), _listed, metadata=NAMES),
    Net(
        "rt-detr-joined",
        ((20, 4 + CLASSES),),
        lambda y: (corners(sigmoid(y[:, :4])) * SIDE, sigmoid(y[:, 4:])),
        ("Sigmoid(RAW)",),
        metadata=NAMES,
    ),
    Net(
        "ssd",
        ((20, 1 + CLASSES), (20, 4)),
        lambda s, b: (10 * b, softmax(s)[:, 1:]),
        ("Softmax(RAW)", "Mul(RAW, ten)"),
        ("scores", "boxes"),
    ),
    Net(
        "detr",
        ((10, 92), (10, 4)),
        lambda s, b: (corners(sigmoid(b)) * SIDE, softmax(s)[:, :-1]),
        ("Identity(RAW)", "Sigmoid(RAW)"),
        ("logits", "pred_boxes"),
    ),
    Net(
        "rt-detr",
        ((20, CLASSES), (20, 4)),
        lambda s, b: (corners(sigmoid(b)) * SIDE, sigmoid(s)),
        ("Identity(RAW)", "Sigmoid(RAW)"),
        ("labels", "dets"),
    ),
    Net(
        "picodet",
        tuple((n, CLASSES) for n in PICO_CELLS) + tuple((n, 32) for n in PICO_CELLS),
        _pico,
        ("Identity(RAW)",) * 8,
        tuple(f"y{k}" for k in range(8)),
    ),
]
