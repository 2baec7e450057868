"""`onnxray page`: the files that it writes, the settings in them, what it refuses, and where the runtime comes from."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from cli_tools import one_line
from onnxray import models
from onnxray.cli import web_page as command
from onnxray.cli.app import run
from onnxray.drawing.heatmap import palette_rows
from onnxray.errors import InputError, RuntimeUnavailable
from onnxray.webpage.page_facts import page_facts
from onnxray.webpage.web_runtime import Release, runtime_files

DIGITS = models.path("digits.onnx")
CONTENTS = {"a.mjs": b"export const a = 1;", "b.wasm": b"\0asm"}
SIDE = 8
WEIGHTS = {"w": normal(3 * SIDE * SIDE, 4), "s": np.array([0, 4, 1, 2]), "t": np.array([0, 2, 192])}
PICTURE = f"float[N, 3, {SIDE}, {SIDE}] x"
SCORES = "flat = Flatten(x) y = MatMul(flat, w)"
PLAIN = f"({PICTURE}) => (float[N, 4] y) {{ {SCORES} }}"


def tarball(contents: dict[str, bytes]) -> bytes:
    """A package of npm."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as held:
            for name, content in contents.items():
                entry = tarfile.TarInfo(f"package/dist/{name}")
                entry.size = len(content)
                held.addfile(entry, io.BytesIO(content))
        return file.getvalue()


PACKAGE = tarball(CONTENTS)
SMALL = Release(
    "9.9.9",
    base64.b64encode(hashlib.sha512(PACKAGE).digest()).decode(),
    {name: (f"runtime-{name}", hashlib.sha512(content).hexdigest()) for name, content in CONTENTS.items()},
)
COPIED = {f"runtime-{name}": content for name, content in CONTENTS.items()}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `onnxray save` writes of the digits."""
    return onnxray.Explainer(DIGITS).save(tmp_path_factory.mktemp("saved") / "saved.onnx")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a runtime, and without one that was fetched before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "runtime_files", partial(runtime_files, release=SMALL))
    return tmp_path


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """What a registry on this machine answers, by path."""
    held: dict[str, bytes] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in held else 404)
            self.end_headers()
            self.wfile.write(held.get(self.path, b""))

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
        yield held
        server.shutdown()


def test_the_files_of_a_page(digits: Path, nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "tarball.tgz").write_bytes(PACKAGE)
    assert run(["page", str(digits), "-o", "out", "--runtime", "tarball.tgz"]) == 0
    out = nowhere / "out"
    assert "python -m http.server --directory out" in capsys.readouterr().out
    assert (out / "explainer.onnx").read_bytes() == digits.read_bytes()
    assert {name: (out / name).read_bytes() for name in COPIED} == COPIED
    settings = json.loads((out / "settings.json").read_text())
    assert settings["labels"] == {str(k): str(k) for k in range(10)}
    assert settings["outputs"] == ["logits", "score", "attribution"]
    assert settings["preprocess"]["size"] == [28, 28]
    assert settings["palettes"]["hot"] == palette_rows("hot")
    named = re.findall(r'from "\./([\w.-]+)"|"(worker\.js)"', "".join(file.read_text() for file in out.glob("*.js")))
    imported = {one or other for one, other in named} - {"onnxruntime-web.js"}
    assert imported | {"page.js"} == {file.name for file in out.glob("*.js")}
    page = (out / "index.html").read_text()
    assert all(text in page for text in ("saliency: Saliency()", onnxray.load(DIGITS).digest, "28 × 28"))
    assert run(["page", "out/explainer.onnx", "-o", "out", "--runtime", "tarball.tgz"]) == 0  # in its own place
    assert (out / "explainer.onnx").read_bytes() == digits.read_bytes()


def test_no_file_of_a_page_names_another_host(digits: Path, nowhere: Path) -> None:
    (nowhere / "tarball.tgz").write_bytes(PACKAGE)
    assert run(["page", str(digits), "--runtime", "tarball.tgz"]) == 0
    ours = [one for one in (nowhere / "page").iterdir() if one.suffix in (".html", ".js", ".json")]
    assert [one.name for one in ours if re.search(r"https?://|//\w+\.\w", one.read_text())] == []
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', (nowhere / "page" / "index.html").read_text())
    assert policy is not None
    allowed = {word for part in html.unescape(policy[1]).split(";") for word in part.split()[1:]}
    assert allowed <= {"'none'", "'self'", "'unsafe-inline'", "'wasm-unsafe-eval'", "data:", "blob:"}


def test_facts_of_a_map_of_a_layer(tmp_path: Path) -> None:
    facts = page_facts(onnxray.Explainer(DIGITS, "grad-cam").save(tmp_path / "cam.onnx"))
    assert facts.settings["plain"] == "jet"
    assert (facts.settings["method"], facts.settings["reduce"]) == ("grad-cam", "abs-max")
    assert "layer" in dict(facts.about)


def test_a_model_without_labels_has_none(digits: Path, tmp_path: Path) -> None:
    proto = onnx.load(digits)
    kept = [one for one in proto.metadata_props if one.key != "onnxray.labels"]
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)
    onnx.save(proto, tmp_path / "unnamed.onnx")
    assert page_facts(tmp_path / "unnamed.onnx").settings["labels"] == {}


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "two inputs": (
        f"({PICTURE}, float[N, 4] z) => (float[N, 4] y) {{ flat = Flatten(x) m = MatMul(flat, w) y = Add(m, z) }}",
        {}, "takes 2 inputs (x, z); the page explains one class of a picture, which is its only input",
    ),
    "a table": ("(float[N, 192] x) => (float[N, 4] y) { y = MatMul(x, w) }", {}, "x (?, 192) is no batch of pictures"),
    "doubles": (
        f"(double[N, 3, {SIDE}, {SIDE}] x) => (float[N, 4] y) "
        "{ f = Cast<to = 1>(x) flat = Flatten(f) y = MatMul(flat, w) }",
        {}, "is no batch of pictures in float32, but double",
    ),
    "several pictures": (
        f"(float[2, 3, {SIDE}, {SIDE}] x) => (float[2, 4] y) {{ {SCORES} }}", {}, "takes 2 pictures at once",
    ),
    "other classes": (PLAIN, {"target": "contrast"}, "a target that is no class"),
    "no class": (PLAIN, {"target": "not"}, "a target that is no class"),
    "no preprocessing": (
        PLAIN, {"preprocess": None}, "save it with --preprocess, such as imagenet",
    ),
    "any size": (
        PLAIN, {"preprocess": onnxray.Preprocess()}, "--preprocess imagenet,size=224x224",
    ),
    "another size": (
        PLAIN, {"preprocess": onnxray.Preprocess(size=(9, SIDE))},
        "its preprocessing gives (1, 3, 9, 8), and x (?, 3, 8, 8) is another shape",
    ),
    "two outputs": (
        f"({PICTURE}) => (float[N, 4] y, float[N, 192] flat) {{ {SCORES} }}", {},
        "gives y (?, 4), flat (?, 192), not one score for each class",
    ),
    "places": (
        f"({PICTURE}) => (float[N, 4, 1, 2] y) {{ flat = Flatten(x) v = Concat<axis = -1>(flat, flat) "
        "h = Reshape(v, t) m = MatMul(h, w) o = Reshape(m, s) y = Identity(o) }",
        {}, "not one score for each class",
    ),
    "features": (
        PLAIN, {"features": "flat"}, "explains tensors inside the model",
    ),
}  # fmt: skip


def saved(text: str, options: dict[str, Any], file: Path) -> Path:
    """An explainer of a small net."""
    weights = {name: array for name, array in WEIGHTS.items() if re.search(rf"\b{name}\b", text)}
    given = {"preprocess": onnxray.Preprocess(size=(SIDE, SIDE))} | options
    target = given.pop("target", "class")
    return onnxray.Explainer(model(f"net {text}", weights), **given).save(file, target=target)


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_page_cannot_do_is_refused(case: str, nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, options, said = REFUSED[case]
    assert said in one_line(["page", str(saved(text, options, nowhere / "saved.onnx"))], capsys)
    assert not (nowhere / "page").exists()


def test_a_small_net_that_suits(nowhere: Path) -> None:
    """What the refused ones are but for one thing."""
    facts = page_facts(saved(PLAIN, {}, nowhere / "saved.onnx"))
    assert facts.settings["input"] == "x"


def test_files_that_are_no_explainers(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "x.onnx").write_bytes(b"no model")
    assert "x.onnx" in one_line(["page", "x.onnx"], capsys)
    assert "is no explainer; make one: onnxray save" in one_line(["page", str(DIGITS)], capsys)
    assert "give the path of an .onnx file" in one_line(["page", "missing.onnx"], capsys)


def test_weights_in_another_file_are_refused(digits: Path, nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(onnx.load(digits), "apart.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert "keeps its weights in another file" in one_line(["page", "apart.onnx"], capsys)


def test_without_a_runtime_the_ways_to_one_are_said(
    digits: Path, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = one_line(["page", str(digits)], capsys)
    assert "add --download" in said
    assert "--runtime onnxruntime-web-9.9.9.tgz" in said
    assert not (nowhere / "page").exists()


def test_a_package_that_is_installed(nowhere: Path) -> None:
    """Of the folder that has it or one below; one of another release is passed by, unless it is named."""
    folder = nowhere / "node_modules" / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    for place in (None, nowhere, folder.parent, folder):
        assert runtime_files(place, release=SMALL) == COPIED
    (folder / "a.mjs").write_bytes(b"another")
    with pytest.raises(RuntimeUnavailable, match="add --download"):
        runtime_files(release=SMALL)
    with pytest.raises(InputError, match=r"a\.mjs is not that of onnxruntime-web 9\.9\.9"):
        runtime_files(folder, release=SMALL)


def test_wrong_runtimes_are_refused(nowhere: Path) -> None:
    (nowhere / "half.tgz").write_bytes(PACKAGE[: len(PACKAGE) // 2])
    (nowhere / "less.tgz").write_bytes(tarball({"a.mjs": CONTENTS["a.mjs"]}))
    (nowhere / "text.tgz").write_bytes(b"no archive")
    for name, said in {
        "half.tgz": "no whole .tgz file", "text.tgz": "no whole .tgz file", "less.tgz": "has no dist/b.wasm",
        "missing.tgz": "No such file",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=f"{name}.*{said}"):
            runtime_files(nowhere / name, release=SMALL)


def test_a_download_is_checked_and_kept(
    digits: Path, nowhere: Path, registry: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/onnxruntime-web/-/onnxruntime-web-9.9.9.tgz"
    asked = ["page", str(digits), "--download"]
    assert "cannot be fetched (HTTP Error 404: Not Found); fetch it where you can, with npm pack" in one_line(
        asked, capsys
    )
    registry[path] = PACKAGE[:-1]
    assert "its sha512 is another" in one_line(asked, capsys)
    assert not (nowhere / "cache").exists()
    registry[path] = PACKAGE
    assert run(asked) == 0
    registry.clear()
    assert run(["page", str(digits), "-o", "again"]) == 0  # without asking anew
    assert (nowhere / "again" / "runtime-b.wasm").read_bytes() == CONTENTS["b.wasm"]


def test_a_registry_that_is_none(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "file:///")
    with pytest.raises(InputError, match="no https address"):
        runtime_files(download=True, release=SMALL)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(RuntimeUnavailable, match="Connection refused"):
        runtime_files(download=True, release=SMALL)
