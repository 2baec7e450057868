"""Which layer Grad-CAM takes, which axis of it holds the channels, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import CONV, model, normal
from measures import distance
from onnxray.diagnostics.inspection import inspect
from onnxray.gate.layers.cam_layer import default_layer
from replicas import grad_cam

TOKENS = """net (float[N, 3, 16, 16] x) => (float[N, 3] y) {
    [patches] p = Conv<strides=[4, 4]>(x, P)
    f = Reshape(p, flat)
    [tokens] t = Transpose<perm=[0, 2, 1]>(f)
    MIXED
    m = ReduceMean<keepdims=0>(s, one)
    y = MatMul(m, W)
}"""
ATTENTION = """a = Transpose<perm=[0, 2, 1]>(t)
    q = MatMul(t, a) w = Softmax(q) [mixed] s = MatMul(w, t)"""
NORM = "[mixed] s = LayerNormalization(t, scale)"


def transformer(mixed: str, layers: dict[str, dict[str, str]] | None = None) -> onnx.ModelProto:
    weights = {"P": normal(8, 3, 4, 4), "W": normal(8, 3), "scale": normal(8) + 2}
    integers = {"flat": np.array([0, 8, -1]), "one": np.array([1])}
    made = model(TOKENS.replace("MIXED", mixed), weights | integers)
    if layers:
        made.metadata_props.add(key="onnxray.layers", value=json.dumps(layers))
    return made


X = normal(2, 3, 16, 16)


def test_the_patch_embedding_of_a_transformer_is_no_default() -> None:
    """Nor are tokens that attention reads as they are embedded, without a product with weights."""
    with pytest.raises(onnxray.ModelError, match=r"'patches', embeds the patches .* fold to a grid .*'patches'"):
        onnxray.explain(transformer(ATTENTION), X, "grad-cam")
    loaded = onnxray.load(transformer(ATTENTION))
    assert default_layer(loaded) is None
    assert not any(layer.default for layer in inspect(loaded).layers)
    assert onnxray.explain(loaded, X, "grad-cam", layer="patches").values.shape == (2, 4, 4)


def test_the_gate_leaves_grad_cam_out_where_it_is_asked_by_default_alone() -> None:
    proto, settings = transformer(ATTENTION), {"threads": 1, "layers": False, "options": {"steps": 2}}
    with pytest.warns(UserWarning, match="grad-cam is left out"):
        found = onnxray.compare(proto, proto, X, **settings)
    assert {one.method for one in found.summary} == {"saliency", "input-x-gradient", "integrated-gradients", "outputs"}
    with pytest.raises(onnxray.ModelError, match="embeds the patches"):
        onnxray.compare(proto, proto, X, methods="grad-cam", threads=1)
    with pytest.warns(UserWarning, match="grad-cam is left out"):
        rated = onnxray.evaluate(proto, X, metrics=["sparseness"], threads=1, steps=2)
    assert "grad-cam" not in {one.method for one in rated.summary}


def test_tokens_of_unknown_layout_are_refused() -> None:
    proto = model(
        """net (float[N, 16, 8] x) => (float[N, 3] y) {
            [mixed] s = MatMul(x, A) m = ReduceMax<keepdims=0>(s, one) y = MatMul(m, W) }""",
        {"A": normal(8, 8), "W": normal(8, 3), "one": np.array([1])},
    )
    with pytest.raises(onnxray.ModelError, match=r"which axis of 'mixed', shape \[N,16,8\], .*no convolution"):
        onnxray.explain(proto, normal(2, 16, 8), "grad-cam", layer="mixed")


@pytest.mark.parametrize("named", ["norm1", "s", None])
@pytest.mark.parametrize("mixed", [NORM, ATTENTION])
def test_tokens_of_patches_are_weighed_by_their_features(mixed: str, named: str | None) -> None:
    """Named as in the framework, by the tensor, or, of a norm, not at all."""
    proto = transformer(mixed, {"norm1": {"tensor": "s", "layout": "NLC"}} if named else None)
    named = named or ("mixed" if mixed is ATTENTION else None)
    found = onnxray.explain(proto, X, "grad-cam", layer=named, target=1, relu=False)
    tokens = onnxray.activations(proto, X, "s")["s"]
    weights = next(onnx.numpy_helper.to_array(one) for one in proto.graph.initializer if one.name == "W")[:, 1] / 16
    assert distance(found.values, (tokens @ weights).reshape(2, 4, 4)) < 1e-5
    assert found.provenance["layer"] == (named or "mixed")


# Where the channels are ---------------------------------------------------------------------------------------


def convolutional(behind: str) -> onnx.ModelProto:
    return model(
        f"""net (float[N, 2, 6, 5] x) => (float[N, 4] y) {{
            [conv] h = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x, A, a)
            {behind}
            f = Reshape(p, shape) y = Gemm(f, B, b)
        }}""",
        CONV.weights | {"shape": np.array([0, -1]), "axes": np.array([1, 2]), "E": np.eye(5, dtype=np.float32)},
    )


LAST = """[last] t = Transpose<perm=[0, 2, 3, 1]>(h) [relu] r = Relu(t) p = ReduceMean<keepdims=0>(r, axes)"""
DENSE = """t = Transpose<perm=[0, 2, 3, 1]>(h) e = Reshape(t, same) [last] l = MatMul(e, E) [relu] r = Relu(l)
           p = ReduceMean<keepdims=0>(r, axes)"""
READ = """e = Reshape(h, same) [last] l = Identity(e) [relu] r = Relu(l) p = GlobalAveragePool(r)"""


@pytest.mark.parametrize(("behind", "same"), [(LAST, None), (DENSE, (0, 6, 5, 5)), (READ, (0, 5, 6, 5))])
def test_channels_are_found_by_what_makes_or_reads_a_layer(behind: str, same: Sequence[int] | None) -> None:
    proto, x = convolutional(behind), CONV.x()
    if same:
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(same), "same"))
    for layer, plain in (("last", "conv"), ("relu", "relu")):
        found = onnxray.explain(proto, x, "grad-cam", layer=layer, target=2)
        assert distance(found.values, grad_cam(CONV, x, 2, plain)) < 1e-5


def test_maps_of_attention_are_refused() -> None:
    """(N, heads, L, L) are no channels times places."""
    proto = model(
        """net (float[N, 2, 6, 5] x) => (float[N, 2] y) {
            t = Transpose<perm=[0, 1, 3, 2]>(x) [heads] w = MatMul(x, t) y = ReduceMean<keepdims=0>(w, axes)
        }""",
        {"axes": np.array([2, 3])},
    )
    with pytest.raises(onnxray.ModelError, match=r"which axis of 'heads', .* the model has no convolution with maps"):
        onnxray.explain(proto, CONV.x(), "grad-cam", layer="heads")


# The default --------------------------------------------------------------------------------------------------


def side_branch(extra: str) -> onnx.ModelProto:
    """The net by hand with one more convolution behind the first, which ``extra`` joins to the score."""
    return model(
        f"""net (float[N, 2, 6, 5] x) => (float[N, 4] y) {{
            [conv] h = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x, A, a)
            [relu] r = Relu(h)
            p = GlobalAveragePool(r)
            f = Flatten(p)
            z = Gemm(f, B, b)
            [side] c = Conv(h, S)
            {extra}
        }}""",
        CONV.weights | {"S": normal(2, 5, 1, 1), "axes": np.array([1, 2, 3])},
    )


ONLY_ITS_SIGN = "s = ReduceSum<keepdims=0>(c, axes) v = Sign(s) n = Unsqueeze(v, last) y = Add(z, n)"


def test_the_default_has_a_gradient() -> None:
    """A convolution that only moves the score in steps is on no path of the gradient."""
    proto = side_branch(ONLY_ITS_SIGN)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "last"))
    x = CONV.x()
    assert distance(onnxray.explain(proto, x, "grad-cam", target=2).values, grad_cam(CONV, x, 2)) < 1e-5
    loaded = onnxray.load(proto)
    assert default_layer(loaded) == "r"
    assert [layer.name for layer in inspect(loaded).layers if layer.default] == ["relu"]


def test_inspect_marks_the_layer_that_is_taken() -> None:
    """Not a convolution of 1 x 1 maps, which stands for a fully connected layer."""
    proto = model(
        """net (float[N, 2, 6, 5] x) => (float[N, 4] y) {
            [conv] h = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x, A, a)
            [act] r = Relu(h)
            p = GlobalAveragePool(r)
            [head] z = Conv(p, C, b)
            y = Flatten(z)
        }""",
        CONV.weights | {"C": CONV.weights["B"].T[..., None, None].copy()},
    )
    assert [layer.name for layer in inspect(onnxray.load(proto)).layers if layer.default] == ["act"]
    x = CONV.x()
    assert distance(onnxray.explain(proto, x, "grad-cam", target=2).values, grad_cam(CONV, x, 2)) < 1e-5


# EigenCAM -----------------------------------------------------------------------------------------------------


def plane(size: int, channels: Sequence[float]) -> onnx.ModelProto:
    """Feature maps that are multiples of one picture."""
    return model(
        f"""net (float[N, 1, {size}, {size}] x) => (float[N, {len(channels)}] y) {{
            [maps] h = Conv(x, A)
            p = GlobalAveragePool(h)
            y = Flatten(p)
        }}""",
        {"A": np.array(channels, np.float32).reshape(-1, 1, 1, 1)},
    )


@pytest.mark.parametrize("size", [2, 6])
@pytest.mark.parametrize("channels", [(2.0, -2.0, 2.0, 2.0, 0.0), (-1.0, 1.0, -1.0, -1.0, 1.0, -1.0)])
def test_eigen_cam_of_channels_of_equal_length(size: int, channels: Sequence[float]) -> None:
    """Columns of the Gram matrix that are alike but for their sign must not cancel."""
    x = normal(2, 1, size, size)
    found = onnxray.explain(plane(size, channels), x, "eigen-cam", relu=False).values
    centred = x[:, 0] - x[:, 0].mean((1, 2), keepdims=True)
    assert distance(found, np.linalg.norm(channels) * np.sign(np.sum(channels)) * centred) < 1e-6


@pytest.mark.parametrize("size", [2, 6])
def test_eigen_cam_of_numbers_whose_squares_float32_does_not_hold(size: int) -> None:
    """Such are the gradients of a saturated probability."""
    channels, x = np.array([2.0, -1.0, 0.5, 3.0, -1.0]), normal(2, 1, size, size)
    expected = onnxray.explain(plane(size, channels.tolist()), x, "eigen-cam", relu=False).values
    for scale in (1e-25, 1e25):
        found = onnxray.explain(plane(size, (channels * scale).tolist()), x, "eigen-cam", relu=False).values
        assert distance(found / scale, expected) < 1e-6


def test_eigen_cam_squares_the_smaller_gram_matrix(tmp_path: Path) -> None:
    """Of 5 channels at 2 x 2 places with an open batch that of the places, 4 x 4."""
    file = onnxray.Explainer(CONV.proto(size=(2, 2)), "eigen-cam").save(tmp_path / "e.onnx")
    inferred = onnx.shape_inference.infer_shapes(onnx.load(file))
    shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim][1:] for value in inferred.graph.value_info]
    assert [4, 4] in shapes
    assert [5, 5] not in shapes


def test_eigen_cam_has_one_map_for_all_targets_and_none_of_flat_maps() -> None:
    maps = [onnxray.explain(CONV.proto(), CONV.x(), "eigen-cam", target=k).values for k in (0, 3)]
    np.testing.assert_array_equal(*maps)
    with pytest.warns(UserWarning, match=r"eigen-cam map .*zero everywhere: the feature maps .* same at every place"):
        onnxray.explain(plane(3, (1.0, 2.0)), np.ones((1, 1, 3, 3), np.float32), "eigen-cam")
