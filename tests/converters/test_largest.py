"""How much a converted model may weigh: what its tensors take in the file, each by its own type."""

from __future__ import annotations

import onnx
import pytest
from onnxray.converters.candidates import Candidate
from onnxray.converters.conversion import refuse_unwritable
from onnxray.errors import ConversionError


def candidate(kind: str, count: int) -> Candidate:
    """A model of one weight, of which only type and size are there."""
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.DataType.Value(kind), dims=[count])
    graph = onnx.GraphProto(initializer=[weight], output=[onnx.ValueInfoProto(name="y")])
    nothing = {"packages": (), "outputs": None, "layers": None, "scopes": {}, "gradients": None}
    return Candidate(model=onnx.ModelProto(graph=graph), source="net", specs=(), **nothing)


@pytest.mark.parametrize(("kind", "count"), [("FLOAT16", 9 * 10**8), ("INT8", 19 * 10**8), ("FLOAT", 49 * 10**7)])
def test_what_fits_is_taken(kind: str, count: int) -> None:
    refuse_unwritable(candidate(kind, count))


@pytest.mark.parametrize(("kind", "count"), [("FLOAT16", 11 * 10**8), ("INT8", 21 * 10**8), ("DOUBLE", 3 * 10**8)])
def test_what_does_not_fit_is_refused(kind: str, count: int) -> None:
    with pytest.raises(ConversionError, match="over 2 GB of weights"):
        refuse_unwritable(candidate(kind, count))
