"""The pictures of a file's examples: each in a file of its own, or all on one sheet, on a scale each or one for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from ..drawing.colour_scale import ColourScale
from ..drawing.styles import Look
from ..drawing.views import View, captioned, drawn, prepared, scales_of, sheet
from ..support.writing import replacing
from .done_record import Done
from .options import Drawing

__all__ = ["Explained", "written"]

Scales = Mapping[str, ColourScale]


@dataclass(frozen=True)
class Explained:
    """One example, explained and not yet drawn: its record, its views, and its file without the ending."""

    done: Done
    views: Mapping[str, View]
    base: str


def written(found: Iterable[Explained], drawing: Drawing, sheet_file: Path) -> Iterator[Done]:
    """Draws and writes each example as it comes; or all at the end, where they share a scale or a sheet."""
    look = Look(drawing.style)
    looked = (replace(one, views=prepared(one.views, look)) for one in found)
    if not drawing.shared and drawing.style != "grid":
        for one in looked:
            yield _written(one, _scales([one], drawing), look)
        return
    every = list(looked)
    scales = [_scales(every if drawing.shared else [one], drawing) for one in every]
    if drawing.style == "grid":
        yield from _on_one_sheet(every, scales, look, sheet_file)
    else:
        yield from (_written(one, of, look) for one, of in zip(every, scales, strict=True))


def _scales(examples: Sequence[Explained], drawing: Drawing) -> dict[str, ColourScale]:
    drawn_ones = [one.views for one in examples if one.views]
    return scales_of(drawn_ones, drawing.palette, 99.5) if drawn_ones else {}


def _written(one: Explained, scales: Scales, look: Look) -> Done:
    if not one.views:
        return one.done
    file = _save(_picture(one, scales, look), Path(f"{one.base}.png"))
    return replace(one.done, files=(file, *one.done.files), scales=_coloured(one.views, scales))


def _picture(one: Explained, scales: Scales, look: Look) -> Image.Image:
    """The picture of an example; pictures alone have captions in figures only."""
    if look.style != "figure" and [view.kind for view in one.views.values()] == ["picture"]:
        return drawn(one.views, scales, look)
    return captioned(one.views, scales, look, (one.done.caption, one.done.attribution.method))


def _on_one_sheet(every: Sequence[Explained], scales: Sequence[Scales], look: Look, file: Path) -> Iterator[Done]:
    shown = [(one, of) for one, of in zip(every, scales, strict=True) if one.views]
    if shown:
        labels = [one.done.caption for one, _ in shown]
        _save(sheet([one.views for one, _ in shown], [of for _, of in shown], look, labels), file)
    for one, of in zip(every, scales, strict=True):
        files = (file, *one.done.files) if one.views else one.done.files
        yield replace(one.done, files=files, scales=_coloured(one.views, of))


def _coloured(views: Mapping[str, View], scales: Scales) -> dict[str, ColourScale]:
    """The scales of the maps that are drawn in colours, which bars are not, nor what stands beside a map."""
    shown = {name: view for name, view in views.items() if view.kind not in ("tokens", "vector") and not view.aside}
    return {name: scales[name] for name in shown}


def _save(picture: Image.Image, file: Path) -> Path:
    with replacing(file) as temporary:
        picture.save(temporary)
    return file
