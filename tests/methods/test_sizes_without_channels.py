"""Windows, cells and baselines of a picture or a volume, given for its places alone: the channels belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import CONV, model, normal

KERNEL = np.array([1.5, -0.5], np.float32).reshape(1, 2, 1, 1, 1)
VOLUME = model(
    "net (float[N, 2, 3, 5, 4] x) => (float[N, 1] y) {"
    " c = Conv <kernel_shape = [1, 1, 1]> (x, K) r = Relu(c) y = ReduceMean <axes = [2, 3, 4], keepdims = 0> (r) }",
    {"K": KERNEL},
    opset=13,
)
OPTIONS = [
    ("occlusion", {"window": (3, 2), "stride": (2, 1)}, {"window": (2, 3, 2), "stride": (2, 2, 1)}),
    ("feature-ablation", {"cells": (2, 3)}, {"cells": (1, 2, 3)}),
    ("rise", {"cells": (2, 3), "samples": 20}, {"cells": (1, 2, 3), "samples": 20}),
]


@pytest.mark.parametrize(("method", "short", "whole"), OPTIONS)
def test_a_size_for_each_place_of_a_picture(method: str, short: dict[str, Any], whole: dict[str, Any]) -> None:
    """The nets by hand have two channels first."""
    x = CONV.x()
    found, expected = (onnxray.explain(CONV.proto(), x, method, target=1, **options) for options in (short, whole))
    np.testing.assert_array_equal(found.values, expected.values)
    assert not np.array_equal(found.values, onnxray.explain(CONV.proto(), x, method, target=1).values)


def test_the_channels_of_a_volume_belong_together() -> None:
    """Hiding a voxel takes away its share of the mean; a window covers both channels; a baseline has one for each."""
    x = np.abs(normal(1, 2, 3, 5, 4))
    falls = onnxray.explain(VOLUME, x, "feature-ablation", groups="pixels", target=0).values
    share = np.maximum(np.einsum("k,nkdhw->ndhw", KERNEL[0, :, 0, 0, 0], x), 0) / 60
    assert share.any()
    for channel in (0, 1):
        np.testing.assert_allclose(falls[:, channel], share, atol=1e-6)
    windows = onnxray.explain(VOLUME, x, "occlusion", window=(2, 3, 4), stride=(1, 2, 4), target=0).values
    np.testing.assert_array_equal(windows[:, 0], windows[:, 1])
    assert np.unique(windows).size > 2
    black = onnxray.explain(VOLUME, x, "integrated-gradients", baseline=[0.1, 0.2], target=0)
    full = np.broadcast_to(np.array([0.1, 0.2], np.float32)[:, None, None, None], (2, 3, 5, 4))
    given = onnxray.explain(VOLUME, x, "integrated-gradients", baseline=full, target=0)
    np.testing.assert_array_equal(black.values, given.values)
