"""Shape rules that central differences cannot check: casts and random masks."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from gradcheck import away, normal
from onnxray.errors import NoGradientPath
from onnxray.gradient_graph import GradientGraph, differentiate


def build(signature: str, body: str) -> GradientGraph:
    return differentiate(
        onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> case {signature} {{ {body} }}')
    )


def run(graph: GradientGraph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(names, feeds)), strict=True))


@pytest.mark.parametrize(("source", "target"), [("float", "double"), ("float16", "float"), ("float", "float16")])
def test_a_cast_casts_back(source: str, target: str) -> None:
    """Beside half precision, whose gradients are in float32."""
    types = {"float": np.float32, "double": np.float64, "float16": np.float16}
    code = {"float": 1, "double": 11, "float16": 10}[target]
    graph = build(f"({source}[N, 3] x) => ({target}[N, 3] y)", f"y = Cast <to = {code}> (x)")
    wide = np.float64 if target == "double" else np.float32
    dy = normal(2, 3).astype(wide)
    found = run(graph, {"x": normal(2, 3).astype(types[source]), graph.seeds["y"]: dy})[graph.gradients["x"]]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, dy.astype(np.float32))


def test_nothing_passes_an_integer() -> None:
    with pytest.raises(NoGradientPath, match="Cast"):
        build("(float[N, 3] x) => (float[N, 3] y)", "i = Cast <to = 7> (x)  y = Cast <to = 1> (i)")


@pytest.mark.parametrize("training", ["t", "true"])
def test_dropout_in_training_uses_the_mask_of_the_same_run(training: str) -> None:
    inputs = "float[N, 50] x, bool t" if training == "t" else "float[N, 50] x"
    body = "r = Constant <value = float {0.3}> ()  true = Constant <value = bool {1}> ()"
    graph = build(f"({inputs}) => (float[N, 50] y)", f"{body}  y, mask = Dropout <seed = 5> (x, r, {training})")
    x, dy = away(4, 50).astype(np.float32), normal(4, 50).astype(np.float32)
    flags = [np.array(True), np.array(False)] if training == "t" else [None]
    for flag in flags:
        found = run(graph, {"x": x, graph.seeds["y"]: dy} | ({} if flag is None else {"t": flag}))
        assert np.any(found["y"] == 0) == (flag is None or flag)
        np.testing.assert_allclose(found[graph.gradients["x"]], dy * found["y"] / x, rtol=1e-5)


def test_dropout_in_training_is_given_the_mask_output_that_the_model_leaves_out() -> None:
    body = "r = Constant <value = float {0.3}> ()  t = Constant <value = bool {1}> ()  y = Dropout <seed = 5> (x, r, t)"
    graph = build("(float[N, 50] x) => (float[N, 50] y)", body)
    x, dy = away(4, 50).astype(np.float32), normal(4, 50).astype(np.float32)
    found = run(graph, {"x": x, graph.seeds["y"]: dy})
    assert np.any(found["y"] == 0)
    np.testing.assert_allclose(found[graph.gradients["x"]], dy * found["y"] / x, rtol=1e-5)
