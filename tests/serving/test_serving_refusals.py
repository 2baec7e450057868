"""What the service refuses: bad requests, what is beyond its limits, a bad start."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import onnxray
import pytest
from late import late
from onnxray.cli.app import run
from onnxray.errors import InputError
from onnxray.serving import Limits, ServedModel
from service_here import DIGITS, Ask, X, asked, opened, rows, served

late("fastapi", "fastapi_offline", "uvicorn", "prometheus_client", "httpx2")


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return opened()


BAD: list[tuple[Any, str]] = [
    ({}, "give instances"),
    ({"instances": 3}, r"Expected `array`, got `int` - at `\$\.instances`"),
    ({"instances": []}, "empty list"),
    ({"instances": [[1, 2], [3]]}, "not an array"),
    ({"instances": [[1, 2]]}, r"shape \(1, 2\), the model takes \(batch, 1, 28, 28\)"),
    ({"instances": ["/etc/passwd"]}, "takes float32"),
    ({"instances": [{"b64": "/etc/passwd"}]}, "no base64"),
    ({"instances": [{"b64": "QUJD"}]}, "a picture cannot be read"),
    ({"instances": [{"text": "a"}]}, "without a tokenizer"),
    ({"instances": [{"x": 1}, 2]}, "differ in kind"),
    ({"instances": [{"other": 1}]}, "no array for input image"),
    (rows(X, target=10), "0 to 9"),
    (rows(X, target=[1]), "1 targets for 5 instances"),
    (rows(X, target="mask:/etc/passwd"), "names no file"),
    (rows(X, target=["mask:/etc/passwd"] * 5), "names no file"),
    (rows(X, target={}), "a number or a text"),
    (rows(X, target=["norm"] * 5), "takes classes alone"),
    (rows(X, method="../../model"), "is not served; choose from saliency"),
    (rows(X, target="token:1"), "not those of a sequence"),
    (rows(X[:1], method="feature-permutation"), "two or more examples"),
    (rows(X, targt=3), r"unknown field `targt` - at `\$\.parameters`"),
    ({**rows(X), "method": "grad-cam"}, "unknown field `method`"),
    (rows(X, target="-" * 100_000), "at most 300 are taken"),
    (rows(X, target="9" * 30), "is no index"),
]


def test_bad_requests_are_told_what_is_wrong(model: ServedModel) -> None:
    answers = asked(model, *(("/v1/models/digits:explain", body) for body, _ in BAD))
    for answer, (_, said) in zip(answers, BAD, strict=True):
        assert answer.status_code == 400, answer.text
        assert list(answer.json()) == ["error"]
        assert re.search(said, answer.json()["error"]), answer.text


def test_errors_name_nothing_inside_of_the_model(model: ServedModel) -> None:
    wording = model.wording
    inner = next(iter(wording.hidden))
    told = wording.public(f"the score {inner!r} of {DIGITS}, input 'image'")
    assert told == "the score (inside the model) of the model, input 'image'"
    assert wording.of(onnxray.ExecutionError(f"node {inner}")).text.startswith("the model cannot run on this input")
    assert inner not in wording.of(onnxray.NoGradientPath(inner)).text


def test_limits(model: ServedModel) -> None:
    """An unknown model, a large body, a compressed one, more requests than may be, and one that takes too long."""

    async def scenario(ask: Ask) -> Any:
        path = "/v1/models/digits:predict"
        large = await ask("POST", path, content=b" " * 21000)
        packed = await ask("POST", path, content=b"x", headers={"content-encoding": "gzip"})
        unknown = await ask("POST", "/v1/models/..%2Fdigits:predict", json={})
        many = await asyncio.gather(*(ask("POST", path, json=rows(X[:1].round(1))) for _ in range(3)))
        numbers = (await ask("GET", "/metrics")).text
        return large, packed, unknown, many, numbers

    limits = Limits(batch=4, delay=0.2, queue=2, timeout=0.1, body=20000)
    large, packed, unknown, many, numbers = served(model, scenario, limits)
    assert [large.status_code, packed.status_code, unknown.status_code] == [413, 415, 404]
    assert sorted(one.status_code for one in many) == [429, 504, 504]  # two wait for others longer than a request may
    assert next(one for one in many if one.status_code == 429).headers["retry-after"] == "1"
    assert 'onnxray_errors_total{kind="busy",model="digits"} 1.0' in numbers
    assert 'onnxray_requests_in_progress{model="digits"} 0.0' in numbers
    assert 'onnxray_queue{model="digits"} 0.0' in numbers


def test_targets_names_and_settings_of_the_command_line() -> None:
    from onnxray.cli.serve import named_file, setting_of

    assert named_file("cats=a/b.onnx") == ("cats", Path("a/b.onnx"))
    assert named_file("a/my model.onnx") == ("my-model", Path("a/my model.onnx"))
    with pytest.raises(InputError, match=r"give the model a name"):
        named_file("a/ä.onnx")
    assert setting_of("a", ("a", "b"), ["x", "b=y", "imagenet,size=3x3"]) == "imagenet,size=3x3"
    assert setting_of("b", ("a", "b"), ["x", "b=y", "z"]) == "y"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-m", "nope"], "no method 'nope'"),
        (["-m", "attention-rollout"], "attention-rollout found no attention"),
        (["--host", "203.0.113.7", "--port", "9"], "it cannot be listened on"),
        (["--memory", "x"], "--memory 'x'"),
        (["--body", "0"], "--body '0'"),
        ([f"digits={DIGITS}"], "two models have one name"),
    ],
)
def test_a_bad_start_is_one_line(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", str(DIGITS), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("onnxray: error: ")
    assert said in error
    assert error.count("\n") == 1
