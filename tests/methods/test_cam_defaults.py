"""The layer that class activation maps take by themselves: of transformers and of detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from attention_nets import BLOCK, SAFE, WIDTH, vision_transformer, with_computed_sizes
from by_hand import Array, model, normal
from cam_formulas import FORMULAS
from measures import distance
from onnxray.diagnostics.inspection import inspect
from onnxray.gate.layers.cam_layer import default_layer, same_layer
from onnxray.methods.cam_tokens import grid_of

TARGET = 2
X = normal(2, 3, 12, 12)


SAFE_BLOCK = "".join(SAFE if "Softmax" in line else f"{line}\n" for line in BLOCK.splitlines())


@pytest.mark.parametrize(
    ("registers", "head", "block"), [(0, "token", BLOCK), (4, "token", SAFE_BLOCK), (4, "mean", BLOCK)]
)
def test_tokens_before_the_last_attention_are_the_default(registers: int, head: str, block: str) -> None:
    """The formula on tokens without those of class and registers, in the grid of the patches."""
    proto = vision_transformer(registers=registers, head=head, block=block)
    assert default_layer(onnxray.load(proto)) == "n1"
    tokens = onnxray.activations(proto, X, "n1")["n1"][:, 1 + registers :]
    gradient = onnxray.explain(proto, X, target=TARGET, features="n1").values[:, 1 + registers :]
    a, d = (one.reshape(2, 3, 3, WIDTH).transpose(0, 3, 1, 2) for one in (tokens, gradient))
    for method in ("grad-cam", "hires-cam", "eigen-cam"):
        found = onnxray.explain(proto, X, method, target=TARGET, relu=False)
        assert distance(found.values, FORMULAS[method](a, d)) < 1e-5
        assert found.provenance["layer"] == "norm1"


def test_tokens_are_found_where_the_batch_leaves_their_number_open() -> None:
    """By grad-cam, by the gate and by inspect alike."""
    proto, same = vision_transformer(), with_computed_sizes(vision_transformer())
    first, second = (onnxray.explain(one, X, "grad-cam", target=TARGET) for one in (proto, same))
    assert distance(first.values, second.values) < 1e-6
    assert second.provenance["layer"] == "norm1"
    assert default_layer(onnxray.load(same)) == "n1"
    (told,) = [layer for layer in inspect(onnxray.load(same)).layers if layer.default]
    assert (told.tensor, told.shape) == ("n1", ("N", 10, 8))


def test_a_map_of_tokens_is_saved(tmp_path: Path) -> None:
    explainer = onnxray.Explainer(vision_transformer(), "grad-cam")
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "cam.onnx"))
    (found,) = session.run(["attribution"], {"x": X, "target": np.array([1, 2])})
    assert distance(found, explainer(X, [1, 2]).values) < 1e-6


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(64, (8, 8, 0)), (65, (8, 8, 1)), (69, (8, 8, 5)), (16, (4, 4, 0)), (4, (2, 2, 0)), (17, None), (300, None)],
)
def test_the_grid_of_tokens(tokens: int, expected: tuple[int, ...] | None) -> None:
    """That of the convolution with a few tokens before it, or halved where layers merge patches."""
    net = model(
        """net (float[N, 3, 16, 16] x) => (float[N, T, 12] y) {
            c = Conv<strides=[2, 2]>(x, P) f = Reshape(c, flat) m = MatMul(f, M) y = Transpose<perm=[0, 2, 1]>(m) }""",
        {"P": normal(12, 3, 2, 2), "flat": np.array([0, 12, 64]), "M": normal(64, tokens)},
    )
    found = grid_of(onnxray.load(net).value("y"))
    assert [(*one.sizes, one.extra) for one in found if one.axis == 1] == ([expected] if expected else [])


def detector() -> onnx.ModelProto:
    """Boxes and classes of two scales as YOLO has them: a distribution over four distances, read by a convolution."""
    scale = """
        b{k} = Conv(f{k}, B) c{k} = Conv(f{k}, C)
        br{k} = Reshape(b{k}, box) cr{k} = Reshape(c{k}, class)
    """
    text = f"""net (float[N, 3, 16, 16] x) => (float[N, 6, 80] y) {{
        [stem] s = Conv<strides=[2, 2], pads=[1, 1, 0, 0]>(x, A)
        [act] f0 = Relu(s)
        [down] d = Conv<strides=[2, 2], pads=[1, 1, 0, 0]>(f0, D)
        f1 = Relu(d)
        {scale.format(k=0)} {scale.format(k=1)}
        boxes = Concat<axis=2>(br0, br1) classes = Concat<axis=2>(cr0, cr1)
        r = Reshape(boxes, bins) t = Transpose<perm=[0, 2, 1, 3]>(r) w = Softmax<axis=1>(t)
        [dfl] e = Conv(w, L)
        xy = Reshape(e, four)
        p = Sigmoid(classes)
        y = Concat<axis=1>(xy, p)
    }}"""
    weights = {"A": normal(5, 3, 3, 3), "D": normal(5, 5, 3, 3), "B": normal(16, 5, 1, 1), "C": normal(2, 5, 1, 1)}
    shapes = {"box": [0, 16, -1], "class": [0, 2, -1], "bins": [0, 4, 4, 80], "four": [0, 4, 80]}
    weights |= {"L": np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)}
    return model(text, weights | {name: np.array(shape) for name, shape in shapes.items()})


@pytest.mark.parametrize("index", [(4, 7), (5, 70), (0, 7), (3, 70)])
def test_a_detector_is_explained_where_all_boxes_begin(index: tuple[int, int]) -> None:
    """Not at the convolution that reads the distribution of a distance, nor at the head of one scale."""
    proto, x = detector(), normal(1, 3, 16, 16)
    found = onnxray.explain(proto, x, "grad-cam", target=[index], score="output", relu=False)
    assert found.values.shape == (1, 8, 8)
    assert np.abs(found.values).max() > 0
    layer = found.provenance["layer"]
    a: Array = onnxray.activations(proto, x, layer)[layer]
    d = onnxray.explain(proto, x, target=[index], score="output", features=layer).values
    assert distance(found.values, FORMULAS["grad-cam"](a, np.asarray(d))) < 1e-5


# The last feature maps before pooling -------------------------------------------------------------------------

FOLLOWED = {
    "activation": ("[end] e = Relu(c)", "e"),
    "bare": ("", "c"),
    "residual": ("n = BatchNormalization(c, w, w, w, w) j = Add(n, a) [end] e = Relu(j)", "e"),
    "gate": ("i = Sigmoid(c) [end] e = Mul(c, i)", "e"),
    "squeeze": ("u = Relu(c) g = GlobalAveragePool(u) s = Conv(g, S) i = Sigmoid(s) [end] e = Mul(u, i)", "e"),
    "pool": ("[end] u = Relu(c) e = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(u)", "e"),
    "branches": ("d = Conv(a, S) i = Concat<axis=1>(d, c) [end] v = Relu(i) e = Slice(v, zero, four, one)", "e"),
    "channels last": ("t = Transpose<perm=[0, 2, 3, 1]>(c) m = MatMul(t, M) u = Gelu(m)"
                      "[end] v = Add(u, t) e = Transpose<perm=[0, 3, 1, 2]>(v)", "e"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOLLOWED)
def test_the_default_is_the_last_map_before_pooling(kind: str) -> None:
    """Behind norms, sums, gates and activations, of all branches; not behind the pooling."""
    behind, last = FOLLOWED[kind]
    proto = model(
        f"""net (float[N, 3, 8, 8] x) => (float[N, 5] y) {{
            b = Conv(x, A) a = Relu(b) [conv] c = Conv<pads=[1, 1, 1, 1]>(a, C) {behind}
            p = GlobalAveragePool({last}) f = Flatten(p) y = MatMul(f, W) }}""",
        {
            "A": normal(4, 3, 1, 1),
            "C": normal(4, 4, 3, 3),
            "S": normal(4, 4, 1, 1),
            "M": normal(4, 4),
            "W": normal(4, 5),
        }
        | {"w": np.ones(4, np.float32), "zero": np.array([0]), "four": np.array([4]), "one": np.array([1])},
        20,
    )
    for method, shape in (("grad-cam", (1, 8, 8)), ("guided-grad-cam", (1, 3, 8, 8))):
        found = onnxray.explain(proto, normal(1, 3, 8, 8), method, relu=False)
        assert found.provenance["layer"] == {"bare": "conv", "channels last": "e"}.get(kind, "end")
        assert found.values.shape == shape


def test_guided_grad_cam_refuses_what_has_no_picture() -> None:
    """Two inputs, or tokens behind which no map can be enlarged to the input."""
    proto = model(
        """net (float[N, 2, 4, 4] x, float[N, 2, 4, 4] z) => (float[N, 3] y) {
            s = Add(x, z) c = Conv(s, A) p = GlobalAveragePool(c) y = Flatten(p) }""",
        {"A": normal(3, 2, 1, 1)},
    )
    with pytest.raises(onnxray.InputError, match="guided-grad-cam explains one input with batch and channels"):
        onnxray.explain(proto, {"x": normal(1, 2, 4, 4), "z": normal(1, 2, 4, 4)}, "guided-grad-cam")


def test_a_relu_that_a_quantisation_merged_is_behind_the_default() -> None:
    """A float net is explained and compared behind its Relu, so its int8 form behind the rounding that clips."""
    head = "p = GlobalAveragePool(m)  f = Flatten(p)  y = MatMul(f, W)"
    weights = {"K": normal(4, 3, 3, 3) / 4, "W": normal(4, 5)}
    grid = {"s": np.float32(0.02), "z": np.uint8(0)}
    plain, quantised = (
        onnxray.load(model(f"net (float[N, 3, 12, 12] x) => (float[N, 5] y) {{ {maps} {head} }}", held))
        for maps, held in (
            ("c = Conv(x, K) m = Relu(c)", weights),
            ("c = Conv(x, K) q = QuantizeLinear(c, s, z) m = DequantizeLinear(q, s, z)", weights | grid),
        )
    )
    assert (default_layer(plain), default_layer(quantised)) == ("m", "m")
    maps = [onnxray.explain(one, X, "grad-cam", target=TARGET) for one in (plain, quantised)]
    assert [one.provenance["layer"] for one in maps] == ["m", "m"]
    assert distance(maps[1].values, maps[0].values) <= 0.05  # half a step of 0.02


def test_of_a_fused_activation_the_rounded_form_is_compared() -> None:
    """onnxruntime's tools call the convolution's output by the name of the Relu that they merge into its rounding."""
    head = "p = GlobalAveragePool(READ)  f = Flatten(p)  y = MatMul(f, W)"
    weights = {"K": normal(4, 3, 3, 3) / 4, "W": normal(4, 5)}
    grid = {"s": np.float32(0.02), "z": np.uint8(0)}
    plain, fused = (
        onnxray.load(
            model(f"net (float[N, 3, 12, 12] x) => (float[N, 5] y) {{ {maps} {head.replace('READ', read)} }}", held)
        )
        for maps, read, held in (
            ("c = Conv(x, K) relu = Relu(c)", "relu", weights),
            ("relu = Conv(x, K) q = QuantizeLinear(relu, s, z) m = DequantizeLinear(q, s, z)", "m", weights | grid),
        )
    )
    assert same_layer(fused, default_layer(plain), plain) == default_layer(fused) == "m"


def test_a_quantised_convolution_has_the_default_layer_in_the_gate_too() -> None:
    """Where an explanation rewrites QLinearConv, and the gate looks at the model as it is."""
    proto = model(
        """net (float[N, 3, 8, 8] x) => (float[N, 5] y) {
            q = QuantizeLinear(x, s, z) c = QLinearConv(q, s, z, K, s, z, s, z) [end] d = DequantizeLinear(c, s, z)
            p = GlobalAveragePool(d) f = Flatten(p) y = MatMul(f, W) }""",
        {"K": np.arange(48, dtype=np.uint8).reshape(4, 3, 2, 2), "W": normal(4, 5)}
        | {"s": np.float32(0.02), "z": np.uint8(3)},
    )
    found = onnxray.explain(proto, np.abs(normal(1, 3, 8, 8)), "grad-cam", relu=False)
    assert found.provenance["layer"] == "end"
    assert default_layer(onnxray.load(proto)) == "d"
