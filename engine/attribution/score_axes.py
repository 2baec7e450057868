"""The axes of the scores: which of them counts examples, and what names one score of an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError

__all__ = ["ScoreAxes", "axes_at"]


@dataclass(frozen=True)
class ScoreAxes:
    """The scores of one example: the name of their tensor, and their shape; an open size is None.

    ``axis`` of the tensor counts examples; None: a run has the scores of one example. ``whole``: all rows of the inputs
    together are one example, as the nodes of a graph are. ``known``: whether the number of axes is known.
    """

    tensor: str
    shape: tuple[int | None, ...]
    axis: int | None = 0
    whole: bool = False
    known: bool = True

    @property
    def single(self) -> bool:
        """Whether one number names a score: at most one axis is longer than 1."""
        return len(self.shape) < 2 or sum(size != 1 for size in self.shape) < 2

    @property
    def count(self) -> int | None:
        """How many scores one example has, None where a size is open."""
        return None if None in self.shape else int(np.prod([size or 0 for size in self.shape]))

    @property
    def text(self) -> str:
        """The shape as people write it, ``?`` for an open size."""
        sizes = ["?" if size is None else str(size) for size in self.shape]
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"

    @property
    def naming(self) -> str:
        """How a target names one score."""
        if not self.known:
            return "their shape is known when the model runs"
        if self.single:
            return "give 0, there is one score" if self.count == 1 else "give a class index"
        index = ", ".join(["0"] * len(self.shape))
        steps = sum(size != 1 for size in self.shape) == 2  # of a text that is read, or of a sequence
        read = "Letter(0) or Token(0) of onnxray.scores (--target letter:0, token:0) for a letter or a step of a text, "
        return (
            f"give {len(self.shape)} indices, as in target=({index}) or --target {index.replace(' ', '')}, "
            f"{read * steps}or an array of the scores' shape that weights them"
        )

    def refuse(self, said: object) -> InputError:
        """The error for a target that names no score, as scores of several axes are no classes."""
        return InputError(
            f"target {said!r} names none of the scores {self.tensor!r}, whose shape for one example is {self.text}"
            f"{self._counted}: {self.naming}"
        )

    @property
    def _counted(self) -> str:
        """How the tensor counts examples, where that is not by its first axis."""
        if self.whole:
            return " as no axis of them counts examples, so that all inputs are one"
        return "" if not self.axis else f" as axis {self.axis} of them counts examples"

    def flat(self, index: Sequence[int]) -> int:
        """The place of a score, named by one index per axis, among all scores of an example."""
        if len(index) != len(self.shape) or None in self.shape:
            raise InputError(f"target {tuple(index)}: the scores of one example have shape {self.text}; {self.naming}")
        sizes = [size or 0 for size in self.shape]
        wrapped = [i + n if i < 0 else i for i, n in zip(index, sizes, strict=True)]
        if not all(0 <= i < n for i, n in zip(wrapped, sizes, strict=True)):
            raise InputError(f"target {tuple(index)} is outside of the scores' shape {self.text}")
        return int(np.ravel_multi_index(wrapped, sizes)) if sizes else 0

    def laid_out(self, examples: int) -> tuple[int | None, ...]:
        """The shape of the tensor of scores for so many examples; of one that no axis counts, that of its scores."""
        if self.axis is None and examples == 1:
            return self.shape
        before = self.shape[: self.axis or 0]
        return (*before, examples, *self.shape[len(before) :])

    def named(self, flat: np.ndarray) -> np.ndarray:
        """Places among all scores as a target names them: (N,), or (N, axes) where the scores have several axes."""
        if self.single or None in self.shape:
            return flat
        return np.stack(np.unravel_index(flat, [size or 0 for size in self.shape]), axis=-1)


def axes_at(tensor: str, dims: Sequence[object], axis: int | None, whole: bool = False) -> ScoreAxes:
    """The axes of a tensor of scores whose examples one axis counts; an InputError where there is none."""
    sizes = tuple(d if isinstance(d, int) else None for d in dims)
    if 0 in sizes:
        text = ScoreAxes(tensor, sizes).text
        raise InputError(f"the scores {tensor!r} of this input have shape {text}: there is no score to explain")
    shape = tuple(size for k, size in enumerate(sizes) if k != axis)
    return ScoreAxes(tensor, shape, axis, whole)
