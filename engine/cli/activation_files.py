"""Writes the outputs of layers to files: a grid of feature maps as a picture, the numbers as .npz."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..attribution.activations import LayerReader
from ..data.files import read_given
from ..data.preprocess import Preprocess
from ..drawing import heatmap
from ..drawing.bar_chart import bar_chart, rank_features
from ..graph.model import Layer, Model
from ..support.writing import replacing
from .file_batch import FileTask, RowProgress
from .map_files import safe_name

__all__ = ["FeatureMaps", "Maps", "maps_picture"]

TILE = 112  # pixels a map
MOST = 64  # maps in one picture, the strongest


@dataclass(frozen=True)
class Maps:
    """One layer of one file, written; ``shown`` of ``maps`` are in the picture, by channel, the strongest first."""

    image: str
    layer: str
    shape: tuple[int, ...]
    shown: tuple[int, ...]
    files: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """The record that --json prints."""
        files = [str(file) for file in self.files]
        return {
            "image": self.image,
            "layer": self.layer,
            "shape": list(self.shape),
            "shown": list(self.shown),
            "files": files,
        }


@dataclass(frozen=True)
class FeatureMaps:
    """How layers of files are written: everything but the files."""

    model: Model
    layers: Sequence[str]
    out: Path
    preprocess: Preprocess | None = None
    providers: Sequence[str] | None = None
    palette: str = "magma"
    numbers: bool = False

    def read(self, file: Path) -> None:
        """Each file is done by itself."""

    def is_full(self, held: Sequence[Any]) -> bool:
        return bool(held)

    def __call__(
        self, tasks: Sequence[FileTask], progress: RowProgress | None = None
    ) -> Iterator[tuple[FileTask, Iterator[Maps]]]:
        yield from ((task, self._of_file(task.file, task.stem)) for task in tasks)

    def _of_file(self, file: Path, stem: str) -> Iterator[Maps]:
        """Runs a file and writes each layer; of a file with several examples, the first is drawn."""
        given = read_given(self.model, file)
        for name, array in self._reader(given.inputs).items():
            yield self._write(self.model.layer(name), array, file, self.out / f"{stem}-{safe_name(name)}")

    @cached_property
    def _reader(self) -> LayerReader:
        return LayerReader(self.model, self.layers, providers=self.providers, preprocess=self.preprocess)

    def _write(self, layer: Layer, array: np.ndarray, file: Path, base: Path) -> Maps:
        picture, shown = maps_picture(layer, array[:1], self.palette)
        files = []
        if picture:
            files.append(Path(f"{base}.png"))
            with replacing(files[-1]) as temporary:
                picture.save(temporary)
        if self.numbers:
            files.append(Path(f"{base}.npz"))
            with replacing(files[-1]) as temporary:
                np.savez_compressed(temporary, allow_pickle=False, **{layer.name: array})
        return Maps(str(file), layer.name, array.shape, shown, tuple(files))


def maps_picture(layer: Layer, array: np.ndarray, palette: str) -> tuple[Image.Image | None, tuple[int, ...]]:
    """A layer of one example as a picture, and which channels are in it.

    Maps are drawn on one scale, so that they compare; vectors as bars; other ranks not at all.
    """
    channels = layer.layout.index("C") if layer.layout and "C" in layer.layout else 1
    if array.ndim == 4:
        maps = np.moveaxis(array, channels, 1)[0].astype(np.float32)
    elif array.ndim == 3:
        maps = array.astype(np.float32)  # tokens or a sequence: one map of places and features
    elif array.ndim == 2 and array.shape[1] > 1:
        features = rank_features(array[0], names=[f"unit {k}" for k in range(array.shape[1])])
        strongest = tuple(int(feature.name.split()[1]) for feature in features[:20])
        return bar_chart(features, layer.name), strongest
    else:
        return None, ()
    order = np.argsort(-np.abs(maps).mean((1, 2)), kind="stable")[:MOST]
    return _grid(maps[order], order, palette), tuple(order.tolist())


def _grid(maps: np.ndarray, channels: np.ndarray, palette: str) -> Image.Image:
    """The maps in a square of rows, with their channels' numbers."""
    low = -1 if palette in heatmap.DIVERGING else 0
    scale = np.percentile(np.abs(maps), 99.5) or np.abs(maps).max() or 1.0
    if len(maps) == 1:
        return heatmap.enlarge(heatmap.colourise(np.clip(maps[0] / scale, low, 1), palette))
    drawn = [heatmap.colourise(np.clip(one / scale, low, 1), palette) for one in maps]
    tiles = [_tile(one, int(channel)) for one, channel in zip(drawn, channels, strict=True)]
    columns = math.ceil(math.sqrt(len(tiles)))
    return heatmap.grid([tiles[k : k + columns] for k in range(0, len(tiles), columns)], tile=TILE)


def _tile(picture: Image.Image, channel: int) -> Image.Image:
    tile = ImageOps.contain(heatmap.enlarge(picture, TILE), (TILE, TILE), Image.Resampling.BILINEAR)
    font = ImageFont.load_default(11)
    ImageDraw.Draw(tile).text((3, 1), str(channel), "white", font, stroke_width=1, stroke_fill="black")
    return tile
