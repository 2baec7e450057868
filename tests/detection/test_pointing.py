"""The pointing game on photographs: the strongest evidence for a box lies in it."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest
from onnxray.scores import Box
from real_files import DATA, path
from scipy.ndimage import gaussian_filter

PHOTOGRAPHS = ["pets.jpg", "both.png", "catdog.png", "cat_720p.jpg", "elephant.jpg", "hot_dog.jpg", "owl.jpg"]
PREPROCESS = onnxray.Preprocess.preset("imagenet", size=(224, 224))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["saliency", "input-x-gradient", "lrp"])
def test_most_boxes_hold_their_evidence(method: str) -> None:
    """In at least 7 of 10 boxes of YOLOX-nano; blurred by 4 pixels, as a single pixel is noise."""
    explainer, hits = onnxray.Explainer(path("yolox_nano_224"), method, preprocess=PREPROCESS), []
    for name in PHOTOGRAPHS:
        for box in onnxray.detect(explainer.model, DATA / "images" / name, preprocess=PREPROCESS)[0]:
            heat = np.abs(explainer(DATA / "images" / name, Box(box.rank)).values[0]).sum(0)
            y, x = np.unravel_index(gaussian_filter(heat, 4).argmax(), heat.shape)
            hits.append(box.corners[0] <= x <= box.corners[2] and box.corners[1] <= y <= box.corners[3])
    print(f"{method}: {sum(hits)} of {len(hits)} boxes")
    assert len(hits) >= 10
    assert np.mean(hits) >= 0.7


@pytest.mark.slow
def test_the_default_layer_of_a_face_detector_is_one_that_every_box_depends_on() -> None:
    """The nodes that choose the box compute its place from other outputs, to which no gradient goes."""
    preprocess = onnxray.Preprocess(size=(240, 320), range=(0, 255), mean=(127.0,), std=(128.0,))
    picture = DATA / "images" / "grace_hopper.bmp"
    explainer = onnxray.Explainer(path("ultraface_RFB-320"), "layer-cam", preprocess=preprocess)
    found = explainer(picture, Box(0))
    assert found.values.shape == (1, 30, 40)
    y, x = np.unravel_index(found.values[0].argmax(), (30, 40))
    assert found.target[0, 2] <= (x + 0.5) * 8 <= found.target[0, 4]
    assert found.target[0, 3] <= (y + 0.5) * 8 <= found.target[0, 5]
