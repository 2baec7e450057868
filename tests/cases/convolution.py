"""Convolutions: 1-D to 3-D, strides, pads, dilations, groups, auto_pad."""

from gradcheck import Case, normal

_SIZE = "the kernel's size must be known; auto_pad and output_shape with a stride need the image's too"


def _conv(x, w, attributes=None, bias=False, id="", symbolic="batch", op="Conv"):
    inputs = [normal(*x), normal(*w), *([normal(w[0] if op == "Conv" else w[1])] if bias else [])]
    return Case(op, inputs, attributes or {}, constants=range(1, len(inputs)), symbolic=symbolic, why=_SIZE, id=id)


def _open(x, w, attributes=None, id=""):
    """Every dimension of the image unknown."""
    return Case("Conv", [normal(*x), normal(*w)], attributes or {}, constants=[1], id=f"{id}-open")


CASES = [
    _conv((2, 3, 5, 6), (4, 3, 3, 3), bias=True),
    _conv((2, 3, 5, 6), (4, 3, 1, 1), id="pointwise"),
    _conv((2, 3, 5, 6), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}, id="pads"),
    _conv((2, 3, 5, 6), (4, 3, 3, 2), {"pads": [0, 1, 2, 0]}, id="uneven-pads"),
    _conv((2, 3, 5, 6), (4, 3, 1, 1), {"pads": [1, 1, 1, 1]}, id="pads-beyond-kernel"),
    _conv((2, 3, 8, 7), (4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}, id="stride"),
    _conv((2, 3, 8, 7), (4, 3, 3, 3), {"strides": [2, 2]}, id="stride-no-pads"),
    _conv((2, 3, 9, 9), (4, 3, 7, 7), {"strides": [2, 2], "pads": [3, 3, 3, 3]}, id="stem"),
    _conv((2, 3, 8, 7), (4, 3, 1, 1), {"strides": [2, 2]}, id="pointwise-stride"),
    _conv((2, 3, 8, 8), (4, 3, 4, 4), {"strides": [4, 4]}, id="patches"),
    _conv((2, 3, 9, 10), (4, 3, 4, 4), {"strides": [4, 4]}, id="patches-rest"),
    _conv((2, 3, 9, 9), (4, 3, 2, 2), {"strides": [3, 3]}, id="stride-beyond-kernel"),
    _conv((2, 3, 9, 8), (4, 3, 3, 3), {"strides": [2, 1], "pads": [1, 1, 1, 1]}, id="uneven-strides"),
    _conv((2, 3, 9, 8), (4, 3, 3, 3), {"dilations": [2, 3], "pads": [1, 2, 1, 2]}, id="dilations"),
    _conv((2, 3, 9, 8), (4, 3, 3, 3), {"dilations": [2, 2], "strides": [2, 2]}, id="dilated-stride"),
    _conv((2, 4, 5, 6), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}, bias=True, id="groups"),
    _conv((2, 4, 8, 7), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 2]}, id="groups-stride"),
    _conv((2, 4, 5, 6), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}, bias=True, id="depthwise"),
    _conv((2, 4, 5, 6), (8, 1, 3, 3), {"group": 4}, id="depthwise-multiplier"),
    _conv((2, 4, 8, 7), (4, 1, 3, 3), {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}, id="depthwise-stride"),
    _conv((2, 4, 8, 7), (4, 1, 1, 1), {"group": 4, "strides": [2, 2]}, id="depthwise-pointwise-stride"),
    *(_conv((2, 3, 8, 7), (4, 3, 3, 3), {"auto_pad": pad, "strides": [2, 2]}, id=f"{pad}-stride", symbolic="batch")
      for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    _conv((2, 3, 8, 7), (4, 3, 2, 4), {"auto_pad": "SAME_UPPER"}, id="SAME_UPPER"),
    _conv((2, 3, 8, 7), (4, 3, 2, 4), {"auto_pad": "SAME_LOWER"}, id="SAME_LOWER"),
    _conv((2, 3, 9), (4, 3, 3), {"strides": [2], "pads": [1, 0]}, bias=True, id="1d"),
    _conv((2, 3, 9), (4, 3, 3), {"pads": [1, 1], "dilations": [2]}, id="1d-dilated"),
    _conv((2, 3, 5, 4, 6), (4, 3, 3, 2, 3), {"pads": [1, 0, 1, 1, 1, 1]}, bias=True, id="3d"),
    _conv((2, 4, 5, 4, 6), (4, 2, 3, 2, 3), {"strides": [2, 1, 2], "group": 2}, id="3d-stride-groups"),
    _open((2, 3, 5, 6), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    _open((2, 3, 8, 7), (4, 3, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}, id="stride"),
    _open((2, 3, 8, 7), (4, 3, 1, 1), {"strides": [2, 2]}, id="pointwise-stride"),
    _open((2, 4, 8, 7), (4, 1, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2], "group": 4}, id="depthwise-stride"),
    _conv((2, 3, 4, 5), (3, 4, 3, 3), bias=True, op="ConvTranspose"),
    _conv((2, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}, op="ConvTranspose", id="stride"),
    _conv((2, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 1]},
          op="ConvTranspose", id="output-padding"),
    _conv((2, 4, 4, 5), (4, 3, 3, 3), {"group": 2, "strides": [2, 1], "dilations": [1, 2]}, bias=False,
          op="ConvTranspose", id="groups"),
    _conv((2, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "output_shape": [9, 10]}, op="ConvTranspose",
          id="output-shape"),
    _conv((2, 3, 3, 4), (3, 4, 3, 3), {"strides": [3, 2], "output_shape": [10, 8]}, op="ConvTranspose",
          id="long-output"),
    *(_conv((2, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "auto_pad": pad}, op="ConvTranspose", id=pad)
      for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    _conv((2, 3, 5), (3, 4, 3), {"strides": [2], "pads": [1, 1]}, op="ConvTranspose", id="1d"),
    _conv((2, 3, 3, 4, 3), (3, 2, 2, 3, 2), {"strides": [2, 1, 1]}, op="ConvTranspose", id="3d"),
]  # fmt: skip
