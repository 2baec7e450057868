"""Bodies that no service should take, from a seed: broken JSON, wrong shapes and types, NaN, paths, wrong tensors."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["malformed"]

PATHS = ["../../etc/passwd", "/etc/passwd", "file:///etc/shadow", "C:\\windows", "%2e%2e/model.onnx", "digits/../x"]
Request = tuple[str, bytes, dict[str, str]]
V1, V2 = "/v1/models/digits:explain", "/v2/models/digits/infer"


def image(draw: random.Random) -> Any:
    return [[[draw.random() for _ in range(28)] for _ in range(28)]]


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def tensor(draw: random.Random, **changes: Any) -> dict[str, Any]:
    return {"name": "image", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.5] * 784, **changes}


def cut(draw: random.Random) -> Request:
    whole = as_json({"instances": [image(draw)]})
    return V1, whole[: draw.randrange(len(whole) - 1)], {}


def noise(draw: random.Random) -> Request:
    return draw.choice([V1, V2]), b"\xff" + draw.randbytes(draw.randrange(2000)), {}


def wrong_shape(draw: random.Random) -> Request:
    sides = [draw.choice([1, 2, 27, 29]) for _ in range(draw.randrange(1, 4))]
    if sides[-2:] == [1] or not sides:
        sides = [29]
    rows: Any = 0.5
    for side in sides:
        rows = [rows] * side
    return V1, as_json({"instances": [rows]}), {}


def ragged(draw: random.Random) -> Request:
    rows = image(draw)
    rows[0][draw.randrange(28)].pop()
    return V1, as_json({"instances": [rows]}), {}


def wrong_type(draw: random.Random) -> Request:
    rows = image(draw)
    rows[0][draw.randrange(28)][draw.randrange(28)] = draw.choice(["x", None, {}, [], "1e5"])
    return V1, as_json({"instances": [rows]}), {}


def not_a_number(draw: random.Random) -> Request:
    rows = image(draw)
    rows[0][0][0] = draw.choice([float("nan"), float("inf"), -float("inf")])
    return V1, as_json({"instances": [rows]}), {}


def beyond_float(draw: random.Random) -> Request:
    return V1, as_json({"instances": [image(draw)]}).replace(b"0.", b"1e999, 0.", 1), {}


def top_level(draw: random.Random) -> Request:
    value = draw.choice([None, 3, "x", [], {}, {"instances": None}, {"instances": {}}, {"inputs": "x"},
                         {"instances": []}, {"instances": [1], "inputs": [2]}])  # fmt: skip
    return draw.choice([V1, V1.replace("explain", "predict"), V2]), as_json(value), {}


def path_name(draw: random.Random) -> Request:
    one = draw.choice(PATHS)
    instance = draw.choice([one, {"b64": one}, {"path": one}, {"text": one}, {one: one}])
    return V1, as_json({"instances": [instance]}), {}


def path_in_parameters(draw: random.Random) -> Request:
    one = draw.choice(PATHS)
    said = draw.choice([{"method": one}, {"target": one}, {"target": f"mask:{one}"}, {"target": [f"mask:{one}"]}])
    return V1, as_json({"instances": [image(draw)], "parameters": said}), {}


def unknown_model(draw: random.Random) -> Request:
    name = draw.choice([*PATHS, "", "nope", "digits.onnx", "digits%00", "DIGITS"])
    return f"/v1/models/{name}:{draw.choice(['predict', 'explain'])}", as_json({"instances": [image(draw)]}), {}


def wrong_target(draw: random.Random) -> Request:
    target = draw.choice(
        [10, -99, 10**30, 2.5, True, None, {}, [], [1, 2], "", "x-y", "box:0", "token:1", [[1]], ["norm"]]
    )
    return V1, as_json({"instances": [image(draw)], "parameters": {"target": target}}), {}


def wrong_parameters(draw: random.Random) -> Request:
    said = draw.choice([{"method": 3}, {"draw": "yes"}, [], "x", {"method": "x" * 5000}])
    return V1, as_json({"instances": [image(draw)], "parameters": said}), {}


def no_picture(draw: random.Random) -> Request:
    file = draw.choice([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", draw.randbytes(300), b"<svg/>", b"%PDF-1.4"])
    return V1, as_json({"instances": [{"b64": base64.b64encode(file).decode()}]}), {}


def wrong_tensor(draw: random.Random) -> Request:
    changes = draw.choice([{"name": "x"}, {"shape": [1, 1, 28]}, {"shape": [-1]}, {"shape": [10**18, 10**18]},
                           {"shape": [0, 1, 28, 28], "data": []}, {"datatype": "FP33"}, {"datatype": "INT64"},
                           {"datatype": "BYTES"}, {"data": ["a"] * 784}, {"data": [1.5]}, {"data": {}}, {"shape": "x"},
                           {"shape": [1.5]}, {"shape": [1] * 40}, {"data": None}])  # fmt: skip
    return V2, as_json({"inputs": [tensor(draw, **changes)]}), {}


def wrong_bytes(draw: random.Random) -> Request:
    size = draw.choice([-1, 1, 10**12, "x", True, None, 3135, 3137])
    one = {**tensor(draw), "parameters": {"binary_data_size": size}}
    del one["data"]
    head = as_json({"inputs": [one]})
    told = draw.choice([str(len(head)), str(10**9), "9" * 5000, "-3", "x", "0"])
    return V2, head + bytes(3136), {"inference-header-content-length": told}


def wrong_output(draw: random.Random) -> Request:
    body = {"inputs": [tensor(draw)], "outputs": draw.choice([[{"name": "x"}], [{}], "x", [3]])}
    return V2, as_json(body), {}


def oversized(draw: random.Random) -> Request:
    return draw.choice([V1, V2]), b"[" * draw.randrange(300_000, 500_000), {}


def deep(draw: random.Random) -> Request:
    depth = draw.randrange(500, 100_000)
    return V1, b'{"instances": ' + b"[" * depth + b"]" * depth + b"}", {}


def compressed(draw: random.Random) -> Request:
    return V1, draw.randbytes(100), {"content-encoding": draw.choice(["gzip", "br", "deflate"])}


KINDS: list[Callable[[random.Random], Request]] = [
    cut, noise, wrong_shape, ragged, wrong_type, not_a_number, beyond_float, top_level, path_name, path_in_parameters,
    unknown_model, wrong_target, wrong_parameters, no_picture, wrong_tensor, wrong_bytes, wrong_output, oversized, deep,
    compressed,
]  # fmt: skip


def malformed(count: int, seed: int = 0) -> Iterator[tuple[str, Request]]:
    """So many requests, each with the name of what is wrong with it."""
    draw = random.Random(seed)
    for k in range(count):
        kind = KINDS[k % len(KINDS)]
        yield kind.__name__, kind(draw)
