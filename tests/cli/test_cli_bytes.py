"""Bytes whose one-hot codes a MatMul turns into embeddings, as in magika: explained byte by byte."""

from __future__ import annotations

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from cli_tools import records
from onnxray.cli.app import run
from PIL import Image

pytestmark = pytest.mark.usefixtures("elsewhere")
LENGTH, KINDS, SIZE = 300, 257, 3
TABLE, HEAD = normal(KINDS, SIZE), normal(SIZE, 2)
CODE = np.resize(np.frombuffer(b"#!/bin/sh\n", np.uint8), (1, LENGTH)).astype(np.int32)


def net(lookup: str) -> onnx.ModelProto:
    return model(
        f"""net (int32[N, {LENGTH}] bytes) => (float[N, 2] y) {{ {lookup}
            e2 = Mul(e, e) s = ReduceSum<keepdims=0>(e2, one) y = MatMul(s, H) }}""",
        {"T": TABLE, "H": HEAD, "one": np.array([1]), "last": np.array([2]), "depth": np.array([KINDS]),
         "kinds": np.arange(KINDS, dtype=np.int32).reshape(1, 1, -1), "ends": np.float32([0, 1])},
    )  # fmt: skip


COMPARED = "u = Unsqueeze(bytes, last) q = Equal(u, kinds) c = Cast<to=1>(q) e = MatMul(c, T)"


@pytest.mark.parametrize(
    "codes", [COMPARED, "b = Cast<to=7>(bytes) c = OneHot<axis=-1>(b, depth, ends) e = MatMul(c, T)"]
)
def test_a_product_with_one_hot_codes_is_a_lookup(codes: str) -> None:
    with pytest.warns(UserWarning, match="explained is 'e', the embeddings of 'bytes'"):
        found = onnxray.explain(net(codes), CODE, "input-x-gradient", target=1)
    with pytest.warns(UserWarning, match="embeddings of 'bytes'"):
        gathered = onnxray.explain(net("e = Gather(T, bytes)"), CODE, "input-x-gradient", target=1)
    assert found.layout == gathered.layout == "NLC"
    np.testing.assert_allclose(found.values, gathered.values, rtol=1e-5)
    np.testing.assert_allclose(found.map(), (2 * TABLE[CODE] ** 2) @ HEAD[:, 1], rtol=1e-4, atol=1e-5)


def test_bytes_are_drawn_over_their_places_and_named_by_characters(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(net(COMPARED), "kinds.onnx")
    code = CODE.copy()
    code[0, 200:] = 256  # padding, which is no byte
    np.save("script.npy", code)
    assert run(["explain", "kinds.onnx", "script.npy", "-m", "input-x-gradient", "--target", "1", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    expected = (2 * TABLE[code[0]] ** 2) @ HEAD[:, 1]
    found = {one["name"]: (one["value"], one["attribution"]) for one in record["features"]}
    assert len(found) == LENGTH
    for name, k in (("byte 0 '#'", 0), ("byte 3 'b'", 3), ("byte 9 '\\n'", 9), ("byte 250", 250)):
        assert found[name] == (code[0, k], pytest.approx(expected[k], rel=1e-4))
    picture = Image.open(record["files"][0])
    assert picture.width > 2 * picture.height  # one strip
