"""Preprocessing as the command line names it: a preset, with changes after commas."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..attribution.inputs import guess_preprocess
from ..attribution.preprocess_text import preprocess_of
from ..data.files import is_picture
from ..data.preprocess import Preprocess
from ..graph.model import Model

__all__ = ["preprocess_from_option"]


def preprocess_from_option(model: Model, text: str | None, files: Iterable[Path]) -> Preprocess | None:
    """How pictures become the model's input: as ``text`` says, else as the model says or as its shape suggests.

    None where no file is a picture. ``text`` is a preset and changes of its settings, such as "imagenet,fit=crop".
    """
    if not any(map(is_picture, files)):
        return None
    if text is None:
        return Preprocess.from_metadata(model.metadata) or guess_preprocess(model)
    return preprocess_of(model, text)
