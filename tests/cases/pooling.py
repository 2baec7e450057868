"""Pools: overlapping windows, ceil_mode, count_include_pad, dilations, 1-D to 3-D."""

from gradcheck import Case, distinct, normal

_SIZE = "ceil_mode and auto_pad of a mean with a stride need the image's size"


def _max(shape, symbolic="all", id="", **attributes):
    return Case("MaxPool", [distinct(*shape)], attributes, symbolic=symbolic, why=_SIZE, id=id)


def _mean(shape, symbolic="all", id="", opset=19, **attributes):
    return Case("AveragePool", [normal(*shape)], attributes, symbolic=symbolic, why=_SIZE, id=id, opset=opset)


CASES = [
    _max((2, 3, 6, 6), kernel_shape=[2, 2], strides=[2, 2]),
    _max((2, 3, 7, 6), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], id="overlap"),
    _max((2, 3, 7, 6), kernel_shape=[2, 3], id="unit-stride"),
    _max((2, 3, 7, 6), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, id="ceil"),
    _max((2, 3, 9, 8), kernel_shape=[3, 3], dilations=[2, 2], strides=[2, 1], id="dilated"),
    _max((2, 3, 7, 6), kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER", id="SAME_UPPER"),
    _max((2, 3, 9), kernel_shape=[3], strides=[2], id="1d"),
    _max((2, 2, 5, 4, 6), kernel_shape=[2, 2, 3], strides=[2, 1, 2], id="3d"),
    Case("GlobalMaxPool", [distinct(2, 3, 4, 5)]),
    Case("GlobalMaxPool", [distinct(2, 3, 4)], id="1d"),
    Case("GlobalAveragePool", [normal(2, 3, 4, 5)]),
    Case("GlobalAveragePool", [normal(2, 3, 4, 2, 2)], id="3d"),
    _mean((2, 3, 6, 6), kernel_shape=[2, 2], strides=[2, 2]),
    _mean((2, 3, 7, 7), kernel_shape=[2, 2], strides=[2, 2], id="rest"),
    _mean((2, 3, 7, 6), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], id="overlap"),
    _mean((2, 3, 7, 6), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1, id="include-pad"),
    _mean((2, 3, 7, 6), kernel_shape=[3, 2], pads=[2, 0, 1, 1], id="unit-stride"),
    _mean((2, 3, 7, 6), "batch", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, id="ceil"),
    _mean((2, 3, 7, 6), "batch", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, id="ceil-pads"),
    _mean((2, 3, 6, 6), "batch", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1,
          count_include_pad=1, id="ceil-include-pad"),
    _mean((2, 3, 7, 6), "batch", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER", id="SAME_UPPER"),
    _mean((2, 3, 7, 6), "batch", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER", id="SAME_LOWER"),
    _mean((2, 3, 9, 8), kernel_shape=[3, 3], dilations=[2, 2], strides=[1, 2], id="dilated"),
    _mean((2, 3, 9), kernel_shape=[3], strides=[2], pads=[1, 1], id="1d"),
    _mean((2, 2, 5, 4, 6), kernel_shape=[2, 2, 3], strides=[2, 1, 2], id="3d"),
]  # fmt: skip
