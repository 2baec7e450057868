"""Scores of several axes (detectors, segmenters, token classifiers): one index per axis names a score, nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from by_hand import TOLERANCE, model, normal
from measures import distance
from onnxray.attribution.axes import score_axes
from onnxray.attribution.target_text import fitting_labels
from onnxray.cli.app import run
from onnxray.diagnostics.inspection import inspect

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real models and pictures of shared/data are not here")

WEIGHTS = normal(4, 6)


def boxes(shape: str = "2, 3") -> onnx.ModelProto:
    """Scores W x in a shape of 6 numbers per example, as those of two boxes with three classes."""
    sizes = np.array([0, *map(int, shape.split(","))])
    return model(
        f"net (float[N, 4] x) => (float[N, {shape}] y) {{ z = MatMul(x, W)  y = Reshape(z, shape) }}",
        {"W": WEIGHTS, "shape": sizes},
    )


def gradient(flat: int | list[int]) -> np.ndarray:
    return WEIGHTS.T[flat]


@pytest.mark.parametrize("target", [4, np.int64(4), [4, 1], "top1"], ids=str)
def test_what_names_no_score_is_an_error(target: object) -> None:
    with pytest.raises(
        onnxray.InputError, match=r"'y', whose shape for one example is \(2, 3\): give 2 indices"
    ) as said:
        onnxray.explain(boxes(), normal(2, 4), target=target)
    assert "--target 0,0" in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("given", [list, np.array], ids=["tuples", "array"])
def test_indices_per_example(given: type) -> None:
    a = onnxray.explain(boxes(), normal(2, 4), target=given([(1, 1), (0, -1)]))
    assert distance(a.values, gradient([4, 2])) <= TOLERANCE
    np.testing.assert_array_equal(a.target, [[1, 1], [0, 2]])


def test_the_target_of_an_attribution_is_a_target_again() -> None:
    x, ex = normal(2, 4), onnxray.Explainer(boxes())
    first = ex(x, target=[(1, 1), (0, 2)])
    np.testing.assert_array_equal(ex(x, target=first.target).values, first.values)
    assert first[1].figure


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ((1,), "give 2 indices"),
        ((2, 0), r"outside of the scores' shape \(2, 3\)"),
        ([(0, 1), (0, 1), (0, 1)], "3 targets for 2 examples"),
        ([(0, 1), (0, 3)], "outside"),
        ([(0, 1), (0,)], "not an array"),
        (np.zeros((2, 1, 2), int), "3 axes"),
        (np.zeros((2, 3), np.float32), r"a seed of the scores' shape \(2, 2, 3\)"),
        ("cat", "give 2 indices"),
    ],
    ids=str,
)
def test_indices_that_do_not_fit(target: object, says: str) -> None:
    with pytest.raises(onnxray.InputError, match=says):
        onnxray.explain(boxes(), normal(2, 4), target=target)


@pytest.mark.parametrize("shape", ["6, 1, 1", "1, 6"])
def test_one_long_axis_takes_an_index(shape: str) -> None:
    """A classifier whose last layer is a convolution or speaks of one token: nothing but the class can be meant."""
    x, ex = normal(2, 4), onnxray.Explainer(boxes(shape))
    assert distance(ex(x, 4).values, gradient([4, 4])) <= TOLERANCE
    assert distance(ex(x, [4, 2]).values, gradient([4, 2])) <= TOLERANCE
    top = ex(x)
    np.testing.assert_array_equal(top.target, (x @ WEIGHTS).argmax(1))
    index = (4, 0, 0) if shape == "6, 1, 1" else (0, 4)
    assert distance(ex(x, index).values, gradient([4, 4])) <= TOLERANCE
    assert ex(x, index).target.tolist() == [4, 4]


def test_a_saved_explainer_takes_places_among_all_scores(tmp_path: Path) -> None:
    """-1, the top class of a classifier, is out of range: the largest of several axes' scores is none of them."""
    x, ex = normal(2, 4), onnxray.Explainer(boxes())
    session = ort.InferenceSession(ex.save(tmp_path / "saved.onnx"))
    found, score = session.run(["attribution", "score"], {"x": x, "target": np.array([4, 2])})
    wanted = ex(x, [(1, 1), (0, 2)])
    np.testing.assert_allclose(found, wanted.values, rtol=1e-6)
    np.testing.assert_allclose(score, wanted.score, rtol=1e-5)
    with pytest.raises(Exception, match="GatherElements"):
        session.run(["score"], {"x": x, "target": np.array([4, -1])})


def test_the_jacobian_is_of_all_scores() -> None:
    found = onnxray.jacobian(boxes(), normal(2, 4))
    assert distance(found, np.stack([WEIGHTS.T] * 2)) <= TOLERANCE


def test_inspect_says_how_a_score_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = inspect(onnxray.load(boxes())).score
    assert found is not None
    assert found.shape == ("N", 2, 3)
    assert "give 2 indices" in found.target
    onnx.save(boxes(), tmp_path / "boxes.onnx")
    assert run(["inspect", str(tmp_path / "boxes.onnx")]) == 0
    assert "of scores (N, 2, 3): give 2 indices" in capsys.readouterr().out
    plain = inspect(onnxray.load(boxes("6, 1, 1"))).score
    assert plain is not None
    assert plain.target == "give a class index"


@pytest.mark.parametrize("command", ["compare", "evaluate"])
def test_comparisons_of_scores_of_several_axes_need_a_target(command: str) -> None:
    models = [boxes()] * (2 if command == "compare" else 1)
    with pytest.raises(
        onnxray.InputError,
        match=r"the scores 'y' have shape \(2, 3\) for one example, .* there is no top class; name what",
    ):
        getattr(onnxray, command)(*models, normal(2, 4))


# Labels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("a\nb\n", "the 2 labels do not fit the scores 'y', whose shape for one example is (6,)"),
        ('{"9": "nine"}', "the 1 labels do not fit"),
        ('{"5": "five"}', ""),
        ("a\nb\nc\nd\ne\nf", ""),
    ],
)
def test_labels_are_as_many_as_the_classes(
    labels: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(boxes("6"), "net.onnx")
    np.save("x.npy", normal(1, 4))
    Path("labels.txt").write_text(labels)
    code = run(["explain", "net.onnx", "x.npy", "--labels", "labels.txt", "--target", "5"])
    assert (code, says in capsys.readouterr().err) == (2 if says else 0, True)


def test_labels_of_the_metadata_that_do_not_fit_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    proto = boxes("6")
    onnx.helper.set_model_props(proto, {"onnxray.labels": '["a", "b"]'})
    onnx.save(proto, "net.onnx")
    np.save("x.npy", normal(1, 4))
    loaded = onnxray.load("net.onnx")
    with pytest.warns(UserWarning, match="2 labels do not fit .* the model's own labels are left out"):
        left = fitting_labels(loaded, score_axes(loaded, "logit"), None)
    assert left == {}
    assert run(["explain", "net.onnx", "x.npy", "--target", "1"]) == 0


# A real detector ----------------------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize("labels", [[], ["--labels", str(DATA / "coco_classes.txt")]], ids=["plain", "labels"])
@pytest.mark.parametrize("target", ["dog", "21"])
def test_a_detector_is_asked_by_box_and_column(
    target: str, labels: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, picture = DATA / "onnx" / "yolox_nano_224.onnx", DATA / "images" / "both.png"
    call = ["explain", str(file), str(picture), "--preprocess", "none", "--out", str(tmp_path), *labels]
    assert run([*call, "--target", target]) == 2
    said = capsys.readouterr().err
    assert "(1029, 85): give 2 indices" in said
    assert "--target 0,0" in said
    assert "box:0, box:dog" in said


@needs_data
def test_labels_of_another_number_than_a_detectors_classes_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, picture, names = DATA / "onnx" / "yolox_nano_224.onnx", DATA / "images" / "both.png", tmp_path / "names.txt"
    names.write_text("cat\ndog\n")
    call = ["explain", str(file), str(picture), "--preprocess", "none", "--labels", str(names)]
    assert run([*call, "--out", str(tmp_path)]) == 2
    message = "the 2 labels do not fit the 80 classes of the boxes, of which the background is none"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (3, {0: "a", 1: "b", 2: "c"}),
        (4, {0: "blank", 1: "a", 2: "b", 3: "c"}),
        (5, {0: "blank", 1: "a", 2: "b", 3: "c", 4: "space"}),
        (2, {}),
    ],
)
def test_letters_of_the_metadata_stand_between_blank_and_space(classes: int, expected: dict[int, str]) -> None:
    """As RapidOCR reads the entry "character" of its recognisers and of its detectors of layouts."""
    net = model(f"net (float[N, T, {classes}] x) => (float[N, T, {classes}] y) {{ y = Identity(x) }}")
    onnx.helper.set_model_props(net, {"character": "a\nb\nc"})
    loaded = onnxray.load(net)
    assert fitting_labels(loaded, score_axes(loaded, "logit"), None) == expected
