"""The tables that the shipped models were trained on, from scikit-learn, and the same quarter held out every time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Split", "breast_cancer", "digits", "feature_names"]


class Split(NamedTuple):
    """Inputs and labels to train on, and those held out."""

    inputs: NDArray
    labels: NDArray[np.int64]
    unseen: NDArray
    unseen_labels: NDArray[np.int64]


def digits() -> Split:
    """Handwritten digits, uint8 (N, 28, 28), white on black, with a margin of 4 pixels as MNIST has."""
    table = _table("load_digits")
    return _split(np.stack([_enlarged(row.reshape(8, 8)) for row in table.data]), table.target)


def breast_cancer() -> Split:
    """Measures of cell nuclei, float (N, 30); label 0 is malignant, 1 benign."""
    table = _table("load_breast_cancer")
    return _split(table.data, table.target)


def feature_names() -> list[str]:
    """The names of the 30 columns of `breast_cancer`."""
    return [str(name) for name in _table("load_breast_cancer").feature_names]


def _table(loader: str) -> Any:
    import sklearn.datasets

    return getattr(sklearn.datasets, loader)()


def _split(inputs: NDArray, labels: NDArray[np.int64]) -> Split:
    from sklearn.model_selection import train_test_split

    parts = train_test_split(inputs, labels, test_size=0.25, random_state=0, stratify=labels)
    seen, unseen, known, held = map(np.asarray, parts)
    return Split(seen, known, unseen, held)


def _enlarged(picture: NDArray) -> NDArray[np.uint8]:
    """8 x 8 pixels from 0 to 16 as 28 x 28 from 0 to 255."""
    small = Image.fromarray(np.rint(picture * 255 / 16).astype(np.uint8))
    return np.pad(np.asarray(small.resize((20, 20), Image.Resampling.BICUBIC)), 4)
