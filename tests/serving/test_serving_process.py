"""``onnxray serve`` as a process: signals under load, a thousand malformed bodies, slow senders, a bad start."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from late import late
from malformed import malformed
from onnxray import models
from started_service import CODE, started

httpx = late("httpx2", "fastapi", "fastapi_offline", "uvicorn", "prometheus_client")
pytestmark = pytest.mark.slow
DIGITS = models.path("digits.onnx")
X = np.random.default_rng(1).random((32, 1, 28, 28), np.float32)
EXPLAIN, PREDICT = "/v1/models/digits:explain", "/v1/models/digits:predict"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_under_load_answers_what_was_accepted(tmp_path: Path, number: int, code: int) -> None:
    """32 requests are in work, each of many runs; afterwards nothing is taken any more."""
    options = ["-m", "occlusion", "--option", "window=4", "--option", "stride=1", "--threads", "1", "--batch-size", "4"]
    many, limits = ThreadPoolExecutor(32), httpx.Limits(max_connections=64, max_keepalive_connections=64)
    with (
        started(tmp_path, *options, "--body", "1MB") as service,
        many,
        httpx.Client(timeout=120, limits=limits) as client,
    ):

        def ask(k: int) -> Any:
            return client.post(service.url + EXPLAIN, json={"instances": [X[k].tolist()] * 6})

        sent = [many.submit(ask, k) for k in range(32)]
        until = time.monotonic() + 60
        in_work = answered = 0.0
        while in_work + answered < 32:  # some may be answered before the last is read
            assert time.monotonic() < until
            numbers = client.get(f"{service.url}/metrics").text
            in_work, answered = number_of(numbers, "in_progress"), number_of(numbers, "total", 'code="200"')
        assert in_work > 0
        service.process.send_signal(number)
        answers = [one.result() for one in sent]
        assert service.process.wait(timeout=60) == code
        assert Counter(one.status_code for one in answers) == {200: 32}
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/v2/health/live")
    found = np.array([one.json()["explanations"][0]["values"] for one in answers], np.float32)
    alone = onnxray.Explainer(DIGITS, "occlusion", window=4, stride=1, threads=1)(X).values
    assert np.abs(found - alone).max() < 1e-5
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert sum(line.get("status") == 200 and line["route"].endswith(":explain") for line in lines) == 32
    assert service.log.read_text().splitlines()[-1].endswith("what was accepted is answered")


def number_of(numbers: str, name: str, label: str = "") -> float:
    """The sum of one metric of the requests for explanations."""
    lines = [line for line in numbers.splitlines() if line.startswith(f"onnxray_requests_{name}{{")]
    return sum(float(line.split()[-1]) for line in lines if label in line and 'model="digits"' in line)


def test_a_thousand_malformed_bodies_get_4xx(tmp_path: Path) -> None:
    with started(tmp_path, "-m", "saliency", "--threads", "1", "--body", "256KB") as service:
        found: Counter[tuple[str, int]] = Counter()
        with httpx.Client(base_url=service.url, timeout=30) as client:
            for name, (path, body, headers) in malformed(1000):
                answer = client.post(path, content=body, headers=headers)
                found[name, answer.status_code] += 1
                assert list(answer.json()) == ["error"], (name, answer.text)
                assert not any(inner in answer.text for inner in ("Traceback", "site-packages", "Gemm", "onnxruntime"))
            assert [one for one in found if not 400 <= one[1] < 500] == []
            assert sum(found.values()) == 1000
            assert client.post(PREDICT, json={"instances": X[:1].tolist()}).status_code == 200
            numbers = client.get("/metrics").text
        assert 'onnxray_requests_in_progress{model="digits"} 0.0' in numbers
        assert service.process.poll() is None
        assert service.end() == 143


def test_slow_senders_are_let_go(tmp_path: Path) -> None:
    """Of headers, of a body, of a body in chunks, and of nothing at all; others are answered meanwhile."""
    head = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\n"
    begun = ["", head, f"{head}content-length: 500\r\n\r\n{{", f"{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"]
    with started(tmp_path, "-m", "saliency", "--threads", "1", "--patience", "1") as service:
        address = ("127.0.0.1", int(service.url.rpartition(":")[2]))

        def slow(text: str) -> bytes:
            with socket.create_connection(address, timeout=30) as one:
                for letter in text:
                    one.send(letter.encode())
                answer = b""
                while part := one.recv(4096):
                    answer += part
                return answer

        with ThreadPoolExecutor(40) as pool:
            sent = [pool.submit(slow, text) for text in begun * 10]
            for _ in range(20):
                assert httpx.post(service.url + PREDICT, json={"instances": X[:1].tolist()}).status_code == 200
            answers = [one.result() for one in sent]
        assert [one for one in answers if not one.startswith(b"HTTP/1.1 408 ")] == []
        numbers = httpx.get(f"{service.url}/metrics").text
        assert 'onnxray_errors_total{kind="slow",model="digits"} 20.0' in numbers


def test_headers_without_an_end_are_refused(tmp_path: Path) -> None:
    with (
        started(tmp_path, "-m", "saliency", "--threads", "1") as service,
        socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=30) as one,
    ):
        one.sendall(b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 70_000)
        assert one.recv(4096).startswith(b"HTTP/1.1 431 ")
        assert service.end() == 143


def test_clients_that_leave_free_their_place(tmp_path: Path) -> None:
    """A hundred leave while a run is long; the next one is answered soon, and nothing is left in the queue."""
    options = ["-m", "occlusion", "--option", "window=2", "--option", "stride=1", "--threads", "1", "--queue", "200"]
    with started(tmp_path, *options) as service:

        def leave(k: int) -> None:
            with pytest.raises(httpx.TimeoutException):
                httpx.post(service.url + EXPLAIN, json={"instances": X.tolist()}, timeout=httpx.Timeout(60, read=0.3))

        with ThreadPoolExecutor(20) as pool:
            list(pool.map(leave, range(100)))
        answer = httpx.post(service.url + PREDICT, json={"instances": X[:1].tolist()}, timeout=60)
        assert answer.status_code == 200
        numbers = httpx.get(f"{service.url}/metrics").text
        assert 'onnxray_queue{model="digits"} 0.0' in numbers
        assert 'onnxray_requests_in_progress{model="digits"} 0.0' in numbers
        assert 'kind="gone",model="digits"' in numbers


def test_several_models_with_settings_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(f"digit {k}" for k in range(10)))
    np.save(tmp_path / "x.npy", X[:1])
    options = ["b=" + str(DIGITS), "--labels", "b=names.txt", "--preprocess", "unit", "--sample", "a=x.npy", "--host",
               "127.0.0.1", "--timeout", "20", "--delay", "1", "--memory", "300MB"]  # fmt: skip
    with started(tmp_path, *options, file=f"a={DIGITS}") as service, httpx.Client(base_url=service.url) as client:
        assert client.get("/v1/models").json() == {"models": ["a", "b"]}
        body = {"instances": X[:1].tolist(), "parameters": {"target": "digit 3"}}
        assert client.post("/v1/models/a:explain", json=body).status_code == 400
        assert client.post("/v1/models/b:explain", json=body).json()["explanations"][0]["label"] == "digit 3"


def test_a_model_that_does_not_run_ends_the_service(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", X[:1, :, :5])
    command = [sys.executable, "-c", CODE, "serve", str(DIGITS), "--port", "0", "--sample", "bad.npy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    said = "onnxray: error: digits: the first run fails on the sample: input 'image' has shape"
    assert (done.returncode, done.stderr.splitlines()[-1].startswith(said)) == (2, True), done.stderr


def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Of 3,600 requests by 8 clients, some of which fail, the last 2,400 add less than 8 MB."""
    with started(tmp_path, "-m", "saliency", "--threads", "1") as service:

        def ask(count: int) -> None:
            with httpx.Client(base_url=service.url) as client:
                for k in range(count):
                    client.post(EXPLAIN, json={"instances": X[: 1 + k % 3].tolist(), "parameters": {"target": k % 11}})

        def asked(count: int) -> int:
            clients = [threading.Thread(target=ask, args=(count // 8,)) for _ in range(8)]
            [one.start() for one in clients]
            [one.join() for one in clients]
            return service.memory()

        first = asked(1200)
        assert asked(2400) - first < 8 * 2**20
