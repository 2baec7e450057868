"""What responses hold: predictions by row, and explanations with their numbers, words and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..attribution.result import TOKENS, Attribution
from ..attribution.scores import Score
from ..attribution.text_inputs import EncodedText
from ..errors import InputError
from .instances import Part
from .served_model import ServedModel

__all__ = ["explanations", "predictions", "size_of"]


def predictions(outputs: Sequence[Mapping[str, np.ndarray]], rows: Sequence[int], columns: bool) -> dict[str, Any]:
    """The outputs of the parts of a request, each with so many rows; several parts are an instance each."""
    told = [_of_part(one, count, columns) for one, count in zip(outputs, rows, strict=True)]
    if len(told) == 1:
        return told[0]
    return {"predictions": [one for part in told for one in part.get("predictions", [part.get("outputs")])]}


def _of_part(outputs: Mapping[str, np.ndarray], rows: int, columns: bool) -> dict[str, Any]:
    """Outputs by row, or by column where that was asked, or where one of them has not a row for each instance."""
    named = {name: array.tolist() for name, array in outputs.items()}
    if columns or any(not array.ndim or len(array) != rows for array in outputs.values()):
        return {"outputs": named if len(named) > 1 else next(iter(named.values()))}
    if len(named) == 1:
        return {"predictions": next(iter(named.values()))}
    return {"predictions": [{name: array[k] for name, array in named.items()} for k in range(rows)]}


def explanations(
    model: ServedModel, part: Part, found: Attribution, score: Score, draw: bool
) -> Iterator[dict[str, Any]]:
    """What is said of each row."""
    faults = dict(found.provenance.get("faults", ()))
    values = _by_row(found)
    for k, told in enumerate(found.target):
        index = score.label_of(told)
        said: dict[str, Any] = {
            "method": found.method,
            "target": told.tolist(),
            "explained": score.words(told, model.labels, model.scores),
            "label": None if index is None else model.labels.get(index),
            "score": float(found.score[k]),
            "delta": None if found.delta is None else float(found.delta[k]),
            "values": {name: rows[k] for name, rows in values.items()} if "" not in values else values[""][k],
        }
        warnings = [f"the map {model.wording.public(faults[k])}"] if k in faults else []
        if part.text is not None:
            warnings += _left_out(part.text)
            said |= {"words": _words(part.text, found)} if found.layout == TOKENS else {}
        yield said | ({"warnings": warnings} if warnings else {}) | ({"drawn": _drawn(found[k])} if draw else {})


def _by_row(found: Attribution) -> dict[str, list[Any]]:
    """The values of each row, by input; of the only one by ""."""
    named = found.values if isinstance(found.values, Mapping) else {"": found.values}
    axes = found.provenance.get("example_axes", {})
    counting = {name: axes.get(name, 0) if name else next(iter(axes.values()), 0) for name in named}
    return {name: np.moveaxis(array, counting[name], 0).tolist() for name, array in named.items()}


def _left_out(text: EncodedText) -> list[str]:
    """What the model did not see of a text."""
    ends = {one.sequence: one.end for one in text.tokens if one.sequence is not None}
    cut = [k for k, one in enumerate(text.texts) if ends.get(k, 0) < len(one.rstrip())]
    return [f"the text is longer than the model takes: it ends after {ends.get(k, 0)} characters" for k in cut]


def size_of(found: Sequence[Attribution]) -> int:
    """How many numbers maps have."""
    return sum(one.values.size if isinstance(one.values, np.ndarray) else 10**6 for one in found)


def _words(text: EncodedText, found: Attribution) -> list[dict[str, Any]]:
    """The words of a text in their order, with the colours of a page."""
    words = text.words(found)
    shown = {id(word): words.part(word) for word in words}
    return [
        {"text": word.text, "attribution": word.attribution, "start": word.start, "end": word.end,
         "sequence": word.sequence, "colour": shown[id(word)].colour, "ink": shown[id(word)].ink}
        for word in words
    ]  # fmt: skip


def _drawn(one: Attribution) -> dict[str, Any]:
    """PNG files in base64: the picture that the model saw and the map over it, or a chart."""
    try:
        if one.pictures:
            return {"picture": _png(one.pictures[0]), "map": _png(one.image(0, style="map"))}
        return {"picture": None, "map": _png(one.image(0))}
    except InputError:
        return {"picture": None, "map": None}


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
