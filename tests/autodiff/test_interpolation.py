"""The matrix of a Resize against what onnx's reference evaluator makes of the unit matrix."""

import itertools

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnxray.autodiff.ops.interpolation import Interpolation

_COORDINATES = (
    "align_corners",
    "asymmetric",
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "tf_crop_and_resize",
)
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_SMOOTH = itertools.product(("linear", "cubic"), ("round_prefer_floor",), (False, True), (False, True))
_MODES = [*(("nearest", how, False, False) for how in _NEAREST), *_SMOOTH]
_SIZES = ((1, 3.0), (4, 2.0), (4, 0.75), (5, 0.4), (7, 1.6), (9, 0.2), (6, 3.0), (8, 0.5))


def reference(how: Interpolation, size: int, scale: float, roi: tuple[float, float]) -> np.ndarray:
    ends = [roi[0], 0.0, roi[1], 1.0]
    node = onnx.helper.make_node("Resize", ["x", "roi", "scales"], ["y"], **how.attributes())
    scales, crop = np.array([scale, 1], np.float32), np.array(ends)
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, None)
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, None)
    constants = [onnx.numpy_helper.from_array(array, name) for array, name in ((crop, "roi"), (scales, "scales"))]
    graph = onnx.helper.make_graph([node], "resize", [x], [y], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=10)
    (result,) = ReferenceEvaluator(model).run(None, {"x": np.eye(size)})
    return np.asarray(result)


@pytest.mark.parametrize("coordinates", _COORDINATES)
@pytest.mark.parametrize(("mode", "nearest", "antialias", "exclude"), _MODES)
def test_every_mode(coordinates: str, mode: str, nearest: str, antialias: bool, exclude: bool) -> None:
    how = Interpolation(mode, coordinates, nearest, -0.6, antialias, exclude)
    roi = (0.1, 0.8) if coordinates == "tf_crop_and_resize" else (0.0, 1.0)
    for size, scale in _SIZES:
        factor = float(np.float32(scale))
        found = how.matrix(size, int(factor * size), factor, roi)
        # The reference reckons cubic weights in float32.
        np.testing.assert_allclose(found, reference(how, size, scale, roi), atol=2e-6, err_msg=f"{size} by {scale}")


def test_an_unknown_coordinate_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="no coordinate_transformation_mode 'mirror'"):
        Interpolation(coordinates="mirror").matrix(4, 8, 2.0)
