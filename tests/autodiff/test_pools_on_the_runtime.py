"""Pools that onnxruntime computes otherwise than the standard says: the gradient is that of what runs, or refused."""

import numpy as np
import onnxray
import pytest
from by_hand import model, normal
from failing import fails


@pytest.mark.parametrize("sizes", ["4, 5", "h, w"])
def test_a_mean_counts_no_element_outside_of_its_image(sizes: str) -> None:
    """A kernel larger than the image by less than a stride makes one window, whose mean is that of the image."""
    pooled = model(f"""net (float[N, 2, {sizes}] x) => (float[N, k] y) {{
        p = AveragePool<kernel_shape=[7, 7], strides=[7, 4]>(x)  y = Flatten(p) }}""")
    x = normal(2, 2, 4, 5)
    found = onnxray.explain(pooled, x, target=1)
    np.testing.assert_allclose(found.score, x[:, 1].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.values, np.broadcast_to([[[0]], [[1 / 20]]], x.shape), rtol=1e-6)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_a_dilated_pool_that_pads_itself_is_refused(op: str) -> None:
    pooled = model(
        f"""net (float[N, 2, 4, 5] x) => (float[N, k] y) {{
        p = {op}<kernel_shape=[2, 2], dilations=[2, 2], auto_pad="SAME_UPPER">(x)  y = Flatten(p) }}""",
        opset=19,
    )
    with fails(onnxray.UnsupportedOperator, op, "dilated", "auto_pad"):
        onnxray.explain(pooled, normal(2, 2, 4, 5), target=1)
