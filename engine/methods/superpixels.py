"""Superpixels: regions of a picture of like colour, by scikit-image."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..errors import InputError
from ..optional import import_extra
from .explained import Explained

__all__ = ["check_picture", "superpixels"]


def check_picture(about: Explained) -> None:
    """An InputError for what has no superpixels: all but an input of two axes and channels."""
    inner = about.tensor not in (None, about.name)
    if about.tokens or inner or about.channels is None or len(about.shape) != 3:
        raise InputError(
            f"groups='superpixels' are of pictures (channels and two axes), not of {about.name!r} {about.shape}; "
            "choose 'grid', 'pixels' or an array of integers"
        )


def superpixels(picture: np.ndarray, count: int) -> np.ndarray:
    """Exactly so many superpixels of a picture (height, width, channels), numbered from 0: (height, width) int64.

    SLIC (Achanta et al., 2012) of the picture as the model takes it, which is scaled to 0..1 and, of three channels,
    read as RGB. It finds about as many as are asked for: fewer are asked for until there are not too many, and the
    largest are halved until there are enough.
    """
    slic = partial(
        import_extra("skimage.segmentation").slic, picture.astype(np.float64), start_label=0, channel_axis=-1,
        compactness=10 if picture.shape[-1] == 3 else 0.1,  # colours are 0 to 100 in CIELAB, else 0 to 1
    )  # fmt: skip
    segments = count
    found = slic(n_segments=segments)
    while found.max() >= count and segments > 1:
        segments = max(1, segments * count // (int(found.max()) + 2))
        found = slic(n_segments=segments)
    return _halved(np.unique(found, return_inverse=True)[1].reshape(found.shape), count)


def _halved(labels: np.ndarray, count: int) -> np.ndarray:
    """Labels of which the largest are cut across their longer side, until there are so many."""
    for label in range(int(labels.max()) + 1, count):
        places = np.argwhere(labels == np.bincount(labels.ravel()).argmax())
        longer = int(np.ptp(places, axis=0).argmax())
        half = places[np.argsort(places[:, longer], kind="stable")[len(places) // 2 :]]
        labels[tuple(half.T)] = label
    return labels.astype(np.int64)
