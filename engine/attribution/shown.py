"""An attribution as notebooks and libraries see it: one line, a picture, an array, axes of matplotlib."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError, OnnxrayError
from ..optional import import_extra

__all__ = ["Shown"]

MOST = 8  # examples in the picture of a notebook
NAMED = 3  # targets in the line


class Shown:
    """The base of ``Attribution``, without fields of its own."""

    def __repr__(self) -> str:
        """Method, examples and their shape, targets and scores, in one line."""
        one: Any = self
        values = one.values if isinstance(one.values, Mapping) else {"": one.values}
        shapes = ", ".join(f"{name} {np.shape(array)[1:]}".strip() for name, array in values.items())
        told = f"{_targets(one.target, one.explained)}, {_scores(one.score)}"
        return f"Attribution({one.method}, {len(one)} x {shapes}, {told})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The values, for ``numpy.asarray``; an InputError where there are those of several inputs."""
        one: Any = self
        values = one.values
        if isinstance(values, Mapping):
            raise InputError(
                f"there are values of several inputs, {', '.join(values)}; name one, as in attribution[name]"
            )
        return np.array(values, dtype, copy=copy) if copy is not None else np.asarray(values, dtype)

    def plot(self, ax: Any = None, index: int = 0, **drawing: Any) -> Any:
        """Draws one example on axes of matplotlib, which are returned; on new ones where none are given.

        ``drawing`` as for ``image``. Needs the extra ``[charts]``.
        """
        one: Any = self
        if ax is None:
            ax = import_extra("matplotlib.pyplot", "charts").subplots()[1]
        ax.imshow(one.image(index, **drawing))
        ax.set_axis_off()
        ax.set_title(f"{one.method}, {self._told(index)}")
        return ax

    def _repr_png_(self) -> bytes | None:
        """The picture in a notebook, of the first examples; None where the values are none."""
        picture = self._picture()
        if picture is None:
            return None
        with io.BytesIO() as file:
            picture.save(file, format="PNG")
            return file.getvalue()

    def _repr_html_(self) -> str:
        """The picture in a notebook with the line below."""
        content, line = self._repr_png_(), html.escape(repr(self))
        if content is None:
            return f"<code>{line}</code>"
        source = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
        return f'<img alt="{line}" src="{source}"><br><code>{line}</code>'

    def _told(self, index: int) -> str:
        """What was explained of one example, and its score."""
        one: Any = self
        return (
            f"{one.explained[index] if one.explained else f'target {one.target[index]}'}, score {one.score[index]:.4g}"
        )

    def _picture(self) -> Image.Image | None:
        one: Any = self
        try:
            return one.figure() if len(one) == 1 else one[:MOST].sheet()
        except OnnxrayError:
            return None


def _targets(target: Any, explained: tuple[str, ...]) -> str:
    """What was explained, each once, in order."""
    told = [",".join(map(str, np.ravel(one)[:NAMED])) + (",..." if np.size(one) > NAMED else "") for one in target]
    different = list(dict.fromkeys(explained or told))
    more = ", ..." if len(different) > NAMED else ""
    return f"{'' if explained else _plural('target', different)}{', '.join(different[:NAMED])}{more}"


def _plural(word: str, things: list[str]) -> str:
    return f"{word}{'s' * (len(things) > 1)} "


def _scores(score: Any) -> str:
    if len(score) == 1:
        return f"score {float(score[0]):.3g}"
    return f"scores {float(np.min(score)):.3g} to {float(np.max(score)):.3g}"
