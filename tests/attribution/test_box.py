"""A box of a real detector: found by rank, class and place, explained at many points, and saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import onnxruntime
import pytest
from measures import distance
from onnxray.scores import Box, ClassBoxes
from real_files import DATA, path

DOG, CAT = 16, 15
PREPROCESS = onnxray.Preprocess.preset("imagenet", size=(224, 224))
ANY = [np.nan] * 4


@pytest.fixture(scope="module")
def yolox() -> onnxray.Explainer:
    return onnxray.Explainer(path("yolox_nano_224"), preprocess=PREPROCESS)


def test_dog_and_cat_are_found(yolox: onnxray.Explainer) -> None:
    picture = DATA / "images" / "both.png"
    (boxes,) = onnxray.detect(yolox.model, picture, preprocess=PREPROCESS)
    assert [box.label for box in boxes[:2]] == [DOG, CAT]
    for box, found in ((boxes[0], Box()), (boxes[1], Box(label=CAT)), (boxes[1], Box(near=boxes[1].corners))):
        explained = yolox(picture, found)
        np.testing.assert_allclose(explained.target[0, 2:], box.corners, rtol=1e-3)
        assert explained.score[0] == pytest.approx(box.score, rel=1e-3)
        x1, y1, x2, y2 = np.rint(box.corners).astype(int)
        heat = np.abs(explained.values[0]).sum(0)
        assert heat[y1:y2, x1:x2].mean() > 1.5 * heat.mean()  # the cat's chin rests on the dog


@pytest.mark.slow
def test_a_side_of_a_box_is_explained_in_pixels(yolox: onnxray.Explainer) -> None:
    picture = DATA / "images" / "both.png"
    left = yolox(picture, Box(0, part="x1"))
    assert left.score[0] == pytest.approx(left.target[0, 2], abs=1e-3)


@pytest.mark.slow
def test_the_box_of_each_example_is_settled_at_the_input() -> None:
    """On the way from a baseline, on which there is no box, the one of the picture is explained."""
    pictures = [DATA / "images" / "both.png", DATA / "images" / "owl.jpg"]
    explainer = onnxray.Explainer(path("yolox_nano_224"), "integrated-gradients", steps=2, preprocess=PREPROCESS)
    found = explainer(pictures, Box(0))
    assert found.target[:, 1].tolist() == [DOG, 14]
    boxes = onnxray.detect(explainer.model, pictures, preprocess=PREPROCESS)
    np.testing.assert_allclose(found.target[:, 2:], [each[0].corners for each in boxes], rtol=1e-3)  # not a point's
    with pytest.raises(onnxray.InputError, match="box 1 is not there: example 1 has 1 such box with"):
        explainer(pictures, Box(1))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_it_is_saved(method: str, tmp_path: Path) -> None:
    options = {"steps": 2} if method == "integrated-gradients" else {}
    explainer = onnxray.Explainer(path("yolox_nano_224"), method, preprocess=PREPROCESS, **options)
    session = onnxruntime.InferenceSession(
        explainer.save(tmp_path / "e.onnx", target="box"), providers=["CPUExecutionProvider"]
    )
    x = PREPROCESS(DATA / "images" / "both.png")
    for asked, box in (([-1, -1, 1, *ANY], Box(1)), ([-1, DOG, 0, *ANY], Box(label=DOG))):
        feeds = {"images": x, "target": np.array([asked], np.float32)}
        score, values = session.run(["score", "attribution"], feeds)
        found = explainer(x, box)
        assert score == pytest.approx(found.score, rel=1e-5)
        assert distance(values, found.values) <= 1e-5
    absent = session.run(["score"], {"images": x, "target": np.array([[-1, -1, 50, *ANY]], np.float32)})[0]
    assert np.isnan(absent).all()


@pytest.mark.slow
def test_all_boxes_of_a_class_are_saved(yolox: onnxray.Explainer, tmp_path: Path) -> None:
    file, x = yolox.save(tmp_path / "e.onnx", target="boxes"), PREPROCESS(DATA / "images" / "both.png")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    boxes = session.get_outputs()[0].shape[1]
    feeds = {"images": x, "target": np.array([[DOG, *[-1] * boxes]], np.float32)}
    score, values = session.run(["score", "attribution"], feeds)
    found = yolox(x, ClassBoxes(DOG))
    assert score == pytest.approx(found.score, rel=1e-5)
    assert distance(values, found.values) <= 1e-5


def test_all_boxes_of_a_class_are_the_sum_of_each(yolox: onnxray.Explainer) -> None:
    picture = DATA / "images" / "both.png"
    dogs = [yolox(picture, Box(k, label=DOG)) for k in (0, 1)]
    found = yolox(picture, ClassBoxes(DOG))
    assert found.target.tolist() == [[DOG, 2]]
    assert found.score[0] == pytest.approx(dogs[0].score[0] + dogs[1].score[0], rel=1e-5)
    assert distance(found.values, dogs[0].values + dogs[1].values) <= 1e-5
    with pytest.raises(onnxray.InputError, match="boxes of class 3 are not there: example 0 has none with"):
        yolox(picture, ClassBoxes(3))
    with pytest.raises(onnxray.InputError, match="class 80 is out of range"):
        yolox(picture, ClassBoxes(80))
