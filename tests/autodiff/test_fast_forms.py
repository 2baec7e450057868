"""The forms that rules take for speed on the CPU give what their plain forms give."""

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from measures import distance
from onnx import TensorProto, helper, numpy_helper


def model(op, x, y, weights=(), **attributes):
    """One node on an image of unknown batch size."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *x])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", *y])
    constants = [numpy_helper.from_array(w, f"w{k}") for k, w in enumerate(weights)]
    node = helper.make_node(op, ["x", *(c.name for c in constants)], ["y"], **attributes)
    graph = helper.make_graph([node], "g", [image], [made], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def gradient(proto, lowering, x, dy):
    """dX, and the operators that it took."""
    graph = onnxray.differentiate(proto, lowering=lowering)
    session = ort.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    (dx,) = session.run([graph.gradients["x"]], {"x": x, graph.seeds["y"]: dy})
    return dx, [node.op_type for node in graph.model.graph.node]


def exact(x, w, dy, pads):
    """The adjoint of a 3x3 convolution in float64, tap by tap."""
    top, left, bottom, right = pads
    height, width = x.shape[2:]
    padded = np.zeros((*x.shape[:2], height + top + bottom, width + left + right))
    for i in range(3):
        for j in range(3):
            tap = np.einsum("nmhw,mc->nchw", dy.astype(np.float64), w[:, :, i, j].astype(np.float64), optimize=True)
            padded[:, :, i : i + dy.shape[2], j : j + dy.shape[3]] += tap
    return padded[:, :, top : top + height, left : left + width]


@pytest.mark.parametrize(
    ("size", "pads", "batch"),
    [
        ((36, 36), (1, 1, 1, 1), 1),
        ((34, 34), (1, 1, 1, 1), 3),
        ((37, 35), (0, 1, 2, 0), 1),
        ((33, 39), (2, 0, 1, 3), 2),
    ],
)
def test_minimal_filtering_keeps_float32(size, pads, batch):
    rng = np.random.default_rng(7)
    reached = [n + pads[k] + pads[k + 2] - 2 for k, n in enumerate(size)]
    w = rng.standard_normal((160, 104, 3, 3)).astype(np.float32)
    x = rng.standard_normal((batch, 104, *size)).astype(np.float32)
    dy = rng.standard_normal((batch, 160, *reached)).astype(np.float32)
    proto = model("Conv", (104, *size), (160, *reached), [w], pads=list(pads))
    dx, operators = gradient(proto, "cpu", x, dy)
    truth = exact(x, w, dy, pads)
    assert "MatMul" in operators
    assert distance(dx, truth) <= 2e-6


@pytest.mark.parametrize(("channels", "size"), [((16, 16), 16), ((128, 128), 8)], ids=["few channels", "few tiles"])
def test_minimal_filtering_is_left_where_it_does_not_pay(channels, size):
    w = np.ones((*channels, 3, 3), np.float32)
    proto = model("Conv", (channels[1], size, size), (channels[0], size, size), [w], pads=[1, 1, 1, 1])
    graph = onnxray.differentiate(proto, lowering="cpu")
    assert "MatMul" not in {node.op_type for node in graph.model.graph.node}


@pytest.mark.parametrize(
    ("size", "reached", "kernel", "stride", "pads"),
    [
        ((14, 12), (7, 6), (3, 3), 2, (1, 1, 1, 1)),
        ((13, 12), (6, 6), (3, 3), 2, (0, 0, 0, 1)),
        ((9, 11), (5, 6), (5, 3), 2, (2, 1, 2, 1)),
        ((17, 14), (5, 4), (5, 4), 3, (0, 0, 0, 0)),
    ],
    ids=["resnet's", "begins at the edge", "oblong", "three phases"],
)
def test_each_phase_of_a_strided_convolution_is_one(size, reached, kernel, stride, pads):
    rng = np.random.default_rng(5)
    w = rng.standard_normal((20, 16, *kernel)).astype(np.float32)
    x = rng.standard_normal((2, 16, *size)).astype(np.float32)
    dy = rng.standard_normal((2, 20, *reached)).astype(np.float32)
    proto = model("Conv", (16, *size), (20, *reached), [w], pads=list(pads), strides=[stride] * 2)
    (fast, quick), (plain, _), (own, _) = (gradient(proto, one, x, dy) for one in ("cpu", "portable", "cuda"))
    assert quick.count("Conv") == 1 + stride**2
    assert distance(fast, plain) <= 1e-6
    assert distance(fast, own) <= 1e-6


@pytest.mark.parametrize("levels", [1, 2, 5, 1000], ids=lambda n: f"{n} levels")
def test_cells_of_two_by_two_send_ties_to_the_first(levels):
    rng = np.random.default_rng(levels)
    x = rng.integers(-levels, levels, (3, 5, 12, 10)).astype(np.float32) / levels
    dy = rng.standard_normal((3, 5, 6, 5)).astype(np.float32)
    proto = model("MaxPool", (5, 12, 10), (5, 6, 5), kernel_shape=[2, 2], strides=[2, 2])
    (fast, quick), (plain, slow) = (gradient(proto, lowering, x, dy) for lowering in ("cpu", "cuda"))
    assert "ScatterElements" not in quick
    assert "ScatterElements" in slow
    np.testing.assert_array_equal(fast, plain)


@pytest.mark.parametrize("levels", [1, 3, 1000], ids=lambda n: f"{n} levels")
@pytest.mark.parametrize(
    ("size", "reached", "attributes"),
    [
        ((12, 10), (6, 5), {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ((13, 12), (7, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((11, 10), (5, 5), {"kernel_shape": [3, 2], "strides": [2, 2]}),
        ((9, 9), (9, 9), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ((14, 11), (4, 3), {"kernel_shape": [2, 3], "strides": [4, 4]}),
    ],
    ids=["cells", "resnet's", "uneven", "unit stride", "gaps"],
)
def test_portable_maxima_are_found_by_comparisons(size, reached, attributes, levels):
    """To the same element as the indices of MaxPool say, which is the first of several that are alike."""
    rng = np.random.default_rng(levels)
    x = rng.integers(-levels, levels, (2, 3, *size)).astype(np.float32) / levels
    dy = rng.standard_normal((2, 3, *reached)).astype(np.float32)
    proto = model("MaxPool", (3, *size), (3, *reached), **attributes)
    (found, operators), (plain, _) = (gradient(proto, lowering, x, dy) for lowering in ("portable", "cuda"))
    assert "ScatterElements" not in operators
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("levels", [1, 2, 1000], ids=lambda n: f"{n} levels")
@pytest.mark.parametrize(
    ("size", "reached", "attributes"),
    [
        ((12, 10), (6, 5), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((11, 10), (6, 9), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]}),
        ((9, 11), (4, 5), {"kernel_shape": [3, 3], "strides": [2, 2]}),
    ],
    ids=["pads", "oblong", "no pads"],
)
def test_overlapping_windows_send_ties_to_the_first(levels, size, reached, attributes):
    """Of numbers below 0, too, beside which an edge of zeros would be the maximum."""
    rng = np.random.default_rng(levels)
    x = (rng.integers(-levels, levels, (2, 16, *size)).astype(np.float32) - 1) / levels
    dy = rng.integers(-9, 9, (2, 16, *reached)).astype(np.float32)  # whose sums are exact in any order
    proto = model("MaxPool", (16, *size), (16, *reached), **attributes)
    (fast, quick), (plain, slow) = (gradient(proto, lowering, x, dy) for lowering in ("cpu", "cuda"))
    assert "ScatterElements" not in quick
    assert "ScatterElements" in slow
    np.testing.assert_array_equal(fast, plain)


@pytest.mark.parametrize("kernel", [2, 3])
def test_maxima_over_infinite_pads_have_finite_gradients(kernel):
    """Exporters of windows with uneven pads put -inf round the image; a window may have nothing else."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((2, 16, 8, 8)).astype(np.float32)
    x[:, :, 0], x[:, :, :, -1], x[0, :, 2:6, 2:6] = -np.inf, -np.inf, -np.inf
    dy = rng.integers(-9, 9, (2, 16, 4, 4)).astype(np.float32)
    how = {"kernel_shape": [kernel] * 2, "strides": [2, 2], "pads": [0, 0, kernel - 2, kernel - 2]}
    proto = model("MaxPool", (16, 8, 8), (16, 4, 4), **how)
    fast, compared, plain = (gradient(proto, lowering, x, dy)[0] for lowering in ("cpu", "portable", "cuda"))
    np.testing.assert_array_equal(fast, plain)
    np.testing.assert_array_equal(compared[x > -np.inf], plain[x > -np.inf])


@pytest.mark.parametrize("lowering", ["portable", "cpu", "cuda"])
@pytest.mark.parametrize("sizes", [("h", "w"), (11, "w"), ("h", 10)], ids=["both", "columns", "rows"])
@pytest.mark.parametrize("how", [{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"ceil_mode": 1}], ids=str)
def test_maxima_over_an_image_of_open_size_need_no_pads(how, sizes, lowering):
    """They give what those over an image of known size do."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 16, 11, 10)).astype(np.float32)
    reached = (6, 5) if "auto_pad" in how else (5, 5)
    dy = rng.integers(-9, 9, (2, 16, *reached)).astype(np.float32)
    how = {"kernel_shape": [3, 3], "strides": [2, 2], **how}
    made = [n if isinstance(s, int) else f"{s}2" for s, n in zip(sizes, reached, strict=True)]
    ends = [(sizes, made), ((11, 10), reached)]
    protos = [model("MaxPool", (16, *size), (16, *result), **how) for size, result in ends]
    found, truth = (gradient(proto, lowering, x, dy)[0] for proto in protos)
    np.testing.assert_array_equal(found, truth)


def test_sums_along_open_axes_are_computed_axes_but_in_portable_graphs():
    """OpenVINO takes no axes that a run computes; on onnxruntime they take half the time."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, None, 3]) for n in "xzy"]
    graph = helper.make_graph([helper.make_node("Mul", ["x", "z"], ["y"])], "g", ends[:2], ends[2:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    rng = np.random.default_rng(0)
    x, z, dy = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 4, 3), (2, 1, 3), (2, 4, 3)))
    for lowering, computed in (("portable", 0), ("cpu", 2), ("cuda", 2)):
        made = onnxray.differentiate(proto, "y", ["x", "z"], lowering=lowering)
        session = ort.InferenceSession(made.model.SerializeToString(), providers=["CPUExecutionProvider"])
        dx, dz = session.run([made.gradients["x"], made.gradients["z"]], {"x": x, "z": z, made.seeds["y"]: dy})
        np.testing.assert_allclose(dx, (dy * z).sum(0, keepdims=True), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(dz, (dy * x).sum(1, keepdims=True), rtol=1e-6, atol=1e-6)
        assert sum(node.op_type == "NonZero" for node in made.model.graph.node) == computed


def test_what_is_added_to_a_pooled_gradient_stays_in_blocks(tmp_path):
    """The sum of a gradient and a convolution's is a part of that convolution, and nothing leaves the blocked layout
    for it."""
    rng = np.random.default_rng(0)
    w = [numpy_helper.from_array((rng.standard_normal((32, 32, 1, 1)) / 6).astype(np.float32), f"w{k}") for k in "ab"]
    nodes = [
        helper.make_node("Conv", ["x", "wa"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "wb"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 32, s, s]) for n, s in (("x", 8), ("y", 1))]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], w), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    graph, options = onnxray.differentiate(proto, lowering="cpu"), ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "made.onnx"), 4
    ort.InferenceSession(graph.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = onnx.load(tmp_path / "made.onnx").graph.node
    reordered = {node.output[0] for node in made if node.op_type == "ReorderOutput"}
    assert "Add" not in {node.op_type for node in made}
    assert not reordered.intersection(name for node in made if node.op_type == "Mul" for name in node.input)
    x, dy = (rng.standard_normal((2, 32, n, n)).astype(np.float32) for n in (8, 1))
    found = [gradient(proto, lowering, x, dy)[0] for lowering in ("cpu", "portable")]
    assert distance(*found) <= 1e-6


@pytest.mark.parametrize(
    ("size", "reached", "attributes"),
    [
        ((11, 10), (5, 5), {}),
        ((11, 10), (6, 5), {"ceil_mode": 1}),
        ((10, 10), (6, 6), {"pads": [1, 1, 1, 1]}),
        ((10, 10), (9, 9), {"strides": [1, 1]}),
    ],
    ids=["odd", "ceil", "pads", "overlap"],
)
def test_other_windows_keep_the_indices(size, reached, attributes):
    proto = model("MaxPool", (4, *size), (4, *reached), **({"kernel_shape": [2, 2], "strides": [2, 2]} | attributes))
    graph = onnxray.differentiate(proto, lowering="cpu")
    assert "ScatterElements" in {node.op_type for node in graph.model.graph.node}
    onnx.checker.check_model(graph.model, full_check=True)


@pytest.mark.parametrize("high", [6.0, 1.0, 0.3, 64.0])
def test_a_mask_between_zero_and_a_bound_keeps_what_is_a_hair_inside(high):
    ends = [np.float32(0), np.float32(high)]
    inside = [np.nextafter(ends[1], ends[0]), np.float32(1e-20), np.float32(1e-7), np.float32(high / 2)]
    x = np.array([*ends, *inside, -1e-20, -1, np.nextafter(ends[1], np.float32(100)), 100, -1e30, 1e30], np.float32)
    x = np.broadcast_to(x, (2, 16, 3, len(x))).copy()
    dy = np.random.default_rng(2).standard_normal(x.shape).astype(np.float32)
    proto = model("Clip", x.shape[1:], x.shape[1:], [np.array(end, np.float32) for end in ends])
    dx, operators = gradient(proto, "cpu", x, dy)
    assert operators.count("HardSigmoid") == 1
    np.testing.assert_array_equal(dx, np.where(np.isin(x, inside), dy, 0))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1e-4), (0.0, 3e4)])
def test_other_bounds_keep_their_masks(low, high):
    x = np.linspace(low - high, 2 * high, 2 * 16 * 9).reshape(2, 16, 3, 3).astype(np.float32)
    proto = model("Clip", x.shape[1:], x.shape[1:], [np.array(end, np.float32) for end in (low, high)])
    dx, operators = gradient(proto, "cpu", x, np.ones_like(x))
    assert "LeakyRelu" not in operators
    np.testing.assert_array_equal(dx, (x > np.float32(low)) & (x < np.float32(high)))


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.5, 0.0), (-3.0, 3.0), (0.25, 0.25), (2.0, 1.0)])
def test_portable_clips_are_gated_by_one_comparison(low, high):
    """Strictly between the bounds, to the last bit; denormal numbers beside a bound of 0 count as 0."""
    ends = [np.float32(end) for end in (low, high)]
    beside = [np.nextafter(end, np.float32(side)) for end in ends for side in (-np.inf, np.inf)]
    tiny = np.finfo(np.float32).tiny
    x = np.array([*ends, *beside, tiny, -tiny, 1, -1, 7, -7, np.nan], np.float32)
    x = np.where(np.abs(x) < tiny, 0, x).reshape(1, 1, 1, -1)
    proto = model("Clip", x.shape[1:], x.shape[1:], [np.array(end) for end in ends])
    dy = np.arange(1, 1 + x.size, dtype=np.float32).reshape(x.shape)
    (found, operators), (plain, _) = (gradient(proto, lowering, x, dy) for lowering in ("portable", "cuda"))
    assert operators.count("Equal") == (low < high)
    assert ("And" in operators) == (low >= high)
    np.testing.assert_array_equal(found, plain)
