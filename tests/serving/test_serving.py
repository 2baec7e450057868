"""The service in this process: both protocols, their results beside the library's, batches, a client that leaves."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from late import late
from onnxray.errors import InputError
from onnxray.serving import Limits, ServedModel
from service_here import DIGITS, METHODS, PICTURE, Ask, X, asked, maps, opened, rows, served

late("fastapi", "fastapi_offline", "uvicorn", "prometheus_client", "httpx2")


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return opened()


def test_the_maps_are_the_same_bits_as_the_librarys(model: ServedModel) -> None:
    """For the same batch, in both protocols and by every method; the model's outputs, too."""
    found = onnxray.Explainer(DIGITS, "saliency", threads=1)(X, target=[3, 1, 4, 1, 5])
    cams = onnxray.Explainer(DIGITS, "grad-cam", threads=1)(X)
    tensor = {"name": "image", "shape": list(X.shape), "datatype": "FP32", "data": X.ravel().tolist()}
    infer = {"inputs": [tensor], "id": "7", "parameters": {"method": "grad-cam"}, "outputs": [{"name": "attribution"}]}
    one, two, three, four = asked(
        model,
        ("/v1/models/digits:explain", rows(X, target=[3, "1", 4, "1", 5])),
        ("/v2/models/digits/infer", infer),
        ("/v1/models/digits:predict", rows(X)),
        ("/v1/models/digits:explain", {"inputs": {"image": X.tolist()}, "parameters": {"method": "grad-cam"}}),
    )
    assert np.array_equal(maps(one), found.values)
    assert [line["score"] for line in one.json()["explanations"]] == found.score.tolist()
    assert [line["label"] for line in one.json()["explanations"]] == list("31415")
    (output,) = two.json()["outputs"]
    assert (two.json()["id"], output["shape"], output["datatype"]) == ("7", [5, 7, 7], "FP32")
    assert np.array_equal(np.array(output["data"], np.float32).reshape(5, 7, 7), cams.values)
    assert np.array_equal(maps(four), cams.values)
    session = onnxray.runtime.open_model(onnxray.load(DIGITS), onnxray.runtime.SessionSettings(threads=1))
    assert np.array_equal(np.array(three.json()["predictions"], np.float32), session.run({"image": X})["logits"])


def test_requests_that_come_together_are_run_together(model: ServedModel) -> None:
    """Their maps are the library's for that batch, bit for bit, and near those of each alone; targets stay apart."""

    async def scenario(ask: Ask) -> Any:
        targets = [3, "top1", "7", 2, "top1"]
        bodies = [rows(X[k : k + 1], target=target) for k, target in enumerate(targets)]
        sent = [ask("POST", "/v1/models/digits:explain", json=body) for body in bodies]
        return await asyncio.gather(*sent), (await ask("GET", "/metrics")).text

    answers, numbers = served(model, scenario, Limits(batch=5, delay=30))
    explainer = onnxray.Explainer(DIGITS, "saliency", threads=1)
    top = explainer(X).target.tolist()
    together = explainer(X, target=[3, top[1], 7, 2, top[4]])
    found = np.concatenate([maps(one) for one in answers])
    assert np.array_equal(found, together.values)
    assert [one.json()["explanations"][0]["target"] for one in answers] == together.target.tolist()
    alone = np.concatenate([explainer(X[k : k + 1], int(t)).values for k, t in enumerate(together.target)])
    assert np.abs(found - alone).max() < 1e-5
    assert 'onnxray_batch_rows_bucket{le="4.0",model="digits",operation="explain"} 3.0' in numbers  # the first runs
    assert 'onnxray_batch_rows_bucket{le="8.0",model="digits",operation="explain"} 4.0' in numbers


@dataclass(frozen=True)
class Fussy:
    """A work that fails all that share its run, if it is bad."""

    model: Any
    bad: bool
    rows: int = 1

    def together(self, works: Sequence[Fussy], stop: Callable[[], bool]) -> list[str]:
        if any(one.bad for one in works):
            raise InputError("bad")
        return ["good"] * len(works)


def test_what_is_wrong_with_one_fails_that_one_alone(model: ServedModel) -> None:
    from onnxray.serving.work import Runner

    ran: list[int] = []
    found = Runner(lambda work, rows, seconds: ran.append(rows))(
        [Fussy(model, k == 1) for k in range(3)], lambda: False
    )
    assert (found[0], str(found[1]), found[2]) == ("good", "bad", "good")
    assert sorted(ran) == [1, 1, 1, 3]


def test_a_method_that_compares_examples_shares_no_run(model: ServedModel) -> None:
    found = onnxray.Explainer(DIGITS, "feature-permutation", samples=1, cells=2, threads=1)

    async def scenario(ask: Ask) -> Any:
        sent = [rows(x, method="feature-permutation") for x in (X[:2], X[2:4])]
        return await asyncio.gather(*(ask("POST", "/v1/models/digits:explain", json=body) for body in sent))

    first, second = served(model, scenario, Limits(delay=0.05))
    assert np.array_equal(maps(first), found(X[:2]).values)
    assert np.array_equal(maps(second), found(X[2:4]).values)


def test_pictures_are_explained_and_drawn(model: ServedModel) -> None:
    file = base64.b64encode(Path(PICTURE).read_bytes()).decode()
    body = {"instances": [{"b64": file}], "parameters": {"target": "6-8", "draw": True}}
    (answer,) = asked(model, ("/v1/models/digits:explain", body))
    (said,) = answer.json()["explanations"]
    assert np.array_equal(maps(answer), onnxray.explain(DIGITS, PICTURE, target=onnxray.scores.Contrast(6, 8)).values)
    assert (said["explained"], said["target"], said["label"], said["method"]) == (
        "6 against 8",
        [6, 8],
        None,
        "saliency",
    )
    assert all(base64.b64decode(said["drawn"][name]).startswith(b"\x89PNG") for name in ("picture", "map"))


def test_binary_tensors_come_and_go(model: ServedModel) -> None:
    data, file = X.astype("<f4").tobytes(), Path(PICTURE).read_bytes()

    def framed(part: bytes, shape: list[int], kind: str, **more: Any) -> tuple[bytes, dict[str, str]]:
        tensor = {"name": "image", "shape": shape, "datatype": kind, "parameters": {"binary_data_size": len(part)}}
        head = json.dumps({"inputs": [tensor], **more}).encode()
        return head + part, {"Inference-Header-Content-Length": str(len(head))}

    async def scenario(ask: Ask) -> list[Any]:
        wanted = {"parameters": {"binary_data_output": True, "method": "saliency", "target": 4}}
        bodies = [framed(data, [5, 1, 28, 28], "FP32", **wanted),
                  framed(struct.pack("<I", len(file)) + file, [1], "BYTES"),
                  framed(data[:-2], [5, 1, 28, 28], "FP32")]  # fmt: skip
        return [await ask("POST", "/v2/models/digits/infer", content=body, headers=head) for body, head in bodies]

    one, two, three = served(model, scenario)
    size = int(one.headers["inference-header-content-length"])
    outputs = json.loads(one.content[:size])["outputs"]
    assert [line["name"] for line in outputs] == ["attribution", "score", "target"]
    values = np.frombuffer(one.content[size:][: X.nbytes], "<f4").reshape(X.shape)
    assert np.array_equal(values, onnxray.explain(DIGITS, X, target=4, threads=1).values)
    assert np.argmax(two.json()["outputs"][0]["data"]) == 6
    assert (three.status_code, "no whole number of FP32" in three.text) == (400, True)


def test_health_metadata_and_pages(model: ServedModel) -> None:
    paths = ["/v2/health/live", "/v2/health/ready", "/v2", "/v2/models/digits", "/v2/models/digits/ready", "/v1/models",
             "/v1/models/digits", "/", "/docs", "/openapi.json", "/metrics", "/nothing"]  # fmt: skip
    found = dict(zip(paths, asked(model, *((path,) for path in paths)), strict=True))
    assert {path: one.status_code for path, one in found.items() if one.status_code != 200} == {"/nothing": 404}
    assert found["/v2/health/ready"].json() == {"ready": True}
    described = found["/v2/models/digits"].json()
    assert described["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]
    assert found["/v1/models/digits"].json()["methods"] == list(METHODS)
    assert found["/"].json() == {"status": "alive"}  # as protocol v1 has it
    assert "cdn" not in found["/docs"].text
    assert "/v1/models/{name}:explain" in found["/openapi.json"].json()["paths"]
    assert "onnxray_ready 1.0" in found["/metrics"].text
    assert len(found["/v2"].headers["x-request-id"]) == 32


def test_a_model_that_does_not_run_is_told_at_the_start(model: ServedModel) -> None:
    from onnxray.serving.service import Service

    async def start() -> Service:
        service = Service.of([model], Limits(), {"digits": X[:, :, :5]})
        await service.start()
        await service.close()
        return service

    service = asyncio.run(start())
    assert not service.ready
    assert isinstance(service.failed, InputError)
    assert str(service.failed).startswith("digits: the first run fails on the sample: input 'image' has shape")


def test_a_client_that_goes_away_takes_its_work_along(model: ServedModel) -> None:
    from onnxray.serving.application import application
    from onnxray.serving.service import Service

    events: list[str] = []

    async def run() -> Service:
        service = Service.of([model], Limits(delay=30))
        await service.start()
        body = [{"type": "http.request", "body": json.dumps(rows(X[:1])).encode()}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            if len(body) == 1:
                while not len(service.entries["digits"].batcher):
                    await asyncio.sleep(0)
                events.append("waits")
            return body.pop(0)

        async def send(message: Any) -> None:
            events.append(str(message.get("status", "")))

        scope = {"type": "http", "method": "POST", "path": "/v1/models/digits:explain", "headers": []}
        scope |= {"query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1"}
        await application(service)(scope, receive, send)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert len(service.entries["digits"].batcher) == 0
        await service.close()
        return service

    service = asyncio.run(run())
    assert events[:2] == ["waits", "499"]
    assert service.entries["digits"].room.taken == 0
    assert service.entries["digits"].room.held == 0


def test_the_parts_of_an_answer_are_sent_at_once() -> None:
    """The system's default keeps a body back until the client has told that it has the headers: 40 ms on Linux."""
    import uvicorn
    from onnxray.serving.server import Patient, listen
    from uvicorn.server import ServerState

    config, taken = uvicorn.Config(lambda: None, log_config=None), asyncio.Queue[Patient]()
    config.load()

    class Told(Patient):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            taken.put_nowait(self)

    async def delays() -> int:
        listening, make = listen("127.0.0.1", 0), lambda: Told(Limits(), config, ServerState(), {})
        async with await asyncio.get_running_loop().create_server(make, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            at = (await taken.get()).transport.get_extra_info("socket")
            writer.close()
            return at.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert asyncio.run(delays())
