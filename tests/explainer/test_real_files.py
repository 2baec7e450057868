"""Real models on real photographs, from ../shared/data, which is not part of the repository."""

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from real_files import DATA, FILES, daily, feeds, photograph, top_class

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="../shared/data, with real models and photographs, is not here"
)

DOGS = range(151, 269)  # of ImageNet's classes; the doberman is 236
IMAGENET = onnxray.Preprocess.preset("imagenet", size=(244, 244))


@pytest.mark.parametrize("file", daily(*{file.stem for file in FILES} - {"ort_TFBertForQuestionAnswering_tiny"}))
def test_files_load_and_say_what_they_said(file: Path) -> None:
    """Loading upgrades the opset: the outputs must stay."""
    before, after = (
        ort.InferenceSession(m) for m in (file.read_bytes(), onnxray.load(file).proto().SerializeToString())
    )
    given = feeds(onnx.load(file), scale=50)
    for old, new in zip(before.run(None, given), after.run(None, given), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-3 * max(1e-6, float(np.abs(old).max())))


SEEN_BY = ["grad-cam", *(pytest.param(m, marks=pytest.mark.slow) for m in (
    "saliency", "guided-backprop", "integrated-gradients"
))]  # fmt: skip


@pytest.mark.parametrize("method", SEEN_BY)
def test_the_int8_classifier_sees_the_doberman(method: str) -> None:
    """Whichever pinscher it takes it for: that depends on the processor, see docs/quantised.md."""
    options = {"steps": 8} if method == "integrated-gradients" else {}
    model = DATA / "onnx" / "mobilenetv2like_qdq_244.onnx"
    picture = DATA / "images" / "doberman.png"
    attribution = onnxray.explain(model, picture, method, preprocess=IMAGENET, **options)
    assert int(attribution.target[0]) == top_class(model, picture, IMAGENET)
    heat = attribution.map("abs-sum")[0]
    assert np.isfinite(heat).all()
    rows, columns = (np.arange(n) / n for n in heat.shape)
    dog = heat[(rows > 0.1) & (rows < 0.95)][:, (columns > 0.2) & (columns < 0.95)].sum() / heat.sum()
    assert dog > 0.75, f"{dog:.2f} of the map lies on the dog, which fills 0.64 of the picture"
    assert attribution.image(0).size == (244, 244)


def test_a_detector_from_a_tuple_target() -> None:
    """YOLOX: one anchor's class score; the gradient along a random direction is the difference quotient."""
    file, rng = DATA / "onnx" / "yolox_nano_224.onnx", np.random.default_rng(0)
    x = rng.normal(size=(1, 3, 224, 224)).astype(np.float32)
    session = ort.InferenceSession(file)
    anchor = int(session.run(None, {"images": x})[0][0, :, 4].argmax())
    attribution = onnxray.explain(file, x, target=(anchor, 4), score="output")
    v = np.asarray(attribution.values) / np.linalg.norm(attribution.values)
    ahead, behind = (session.run(None, {"images": x + e * v})[0][0, anchor, 4] for e in (0.02, -0.02))
    assert np.sum(attribution.values * v) == pytest.approx((ahead - behind) / 0.04, rel=0.05)


def test_the_jacobian_of_the_iris_net() -> None:
    file, x = (
        DATA / "onnx" / "iris_Network_winml.onnx",
        np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32),
    )
    jacobian = onnxray.jacobian(file, x)
    assert jacobian.shape == (2, 3, 4)
    session = ort.InferenceSession(file)
    for k in range(4):
        step = np.eye(4, dtype=np.float32)[k] * 1e-2
        ahead, behind = (session.run(None, {"input": x + s})[0] for s in (step, -step))
        np.testing.assert_allclose(jacobian[:, :, k], (ahead - behind) / 2e-2, atol=2e-3 * np.abs(jacobian).max())


@pytest.mark.parametrize("file", daily("iris_Network_winml", "mnist-8", "squeezenet_fp16_winml"))
def test_the_gradient_adds_standard_operators_to_a_valid_model(file: Path) -> None:
    graph = onnxray.differentiate(file)
    branches_disagree = file.stem.startswith("silero")  # each If has branches of two ranks, one of which never runs
    onnx.checker.check_model(graph.model, full_check=not branches_disagree)
    own = {node.domain for node in onnx.load(file).graph.node}
    assert {node.domain for node in graph.model.graph.node} <= own | {""}


@pytest.mark.slow
def test_a_half_precision_net_names_the_dog() -> None:
    caffe = onnxray.Preprocess.preset("caffe", size=(224, 224))
    file = DATA / "onnx" / "squeezenet_fp16_winml.onnx"
    picture = DATA / "images" / "doberman.png"
    attribution = onnxray.explain(file, picture, preprocess=caffe)
    assert attribution.target[0] in DOGS
    assert attribution.target[0] == top_class(file, picture, caffe)
    assert attribution.values.dtype == np.float32
    products = onnxray.explain(file, picture, "input-x-gradient", preprocess=caffe).values
    x = photograph(file.stem)["data_0"].astype(np.float32)
    np.testing.assert_allclose(products, attribution.values * x, rtol=1e-5, atol=1e-6 * np.abs(products).max())
