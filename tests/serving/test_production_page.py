"""docs/production.md runs, block after block, as a new user would; the files of deploy are what the page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from late import late
from onnxray import models
from started_service import CODE, free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
DEPLOY = ROOT / "deploy"
IMAGES = ("Dockerfile", "Dockerfile.cuda")
late("fastapi", "fastapi_offline", "uvicorn", "prometheus_client", "httpx2")


def command(folder: Path) -> dict[str, str]:
    """An environment in which this Python is ``python``, and the package's command is there."""
    tool = folder / "bin"
    tool.mkdir()
    (tool / "onnxray").write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(CODE)} "$@"\n')
    (tool / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name in ("onnxray", "python"):
        (tool / name).chmod(0o755)
    return {**os.environ, "PATH": f"{tool}:{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here, by which the page asks")
def test_the_page_runs(tmp_path: Path) -> None:
    late("pyarrow", "matplotlib")
    first, *blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert "pip install 'onnxray[cpu,serve,run]'" in first
    script = "set -eu -o pipefail -m\ntrap 'kill %1 2>/dev/null || true' EXIT\n" + "\n".join(blocks)
    script = script.replace("8080", str(free_port()))
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=command(tmp_path), capture_output=True, text=True,
                          timeout=240, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^class 6 19\.9", done.stdout, re.MULTILINE)
    assert "onnxray_requests_total{" in done.stdout
    assert len(list((tmp_path / "maps").glob("*.parquet"))) == 1
    assert json.loads((tmp_path / "ready.json").read_text()) == {"ready": True}


def test_the_page_names_the_files_and_options_that_are_there() -> None:
    files = set(re.findall(r"`deploy/([\w.]+)`", PAGE))
    assert files == {file.name for file in DEPLOY.iterdir()}
    known = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    own = re.findall(r"`(--[a-z-]+)[ `]", PAGE)
    assert [name for name in own if f"`{name}" not in known and f"{name} " not in known] == []


@pytest.mark.parametrize("name", IMAGES)
def test_hadolint_finds_nothing(name: str) -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("no hadolint here")
    done = subprocess.run(["hadolint", str(DEPLOY / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def steps(name: str) -> dict[str, list[str]]:
    """The instructions of an image, by their kind."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in filter(None, text.splitlines()):
        kind, _, rest = line.partition(" ")
        found.setdefault(kind, []).append(rest)
    return found


@pytest.mark.parametrize("name", IMAGES)
def test_what_an_image_copies_and_asks_is_there(name: str) -> None:
    found = steps(name)
    assert [
        file
        for line in found["COPY"]
        if "--from" not in line
        for file in line.split()[:-1]
        if not (ROOT / file).exists()
    ] == []
    assert (found["USER"], found["EXPOSE"], found["STOPSIGNAL"]) == (["10001:10001"], ["8080"], ["SIGTERM"])
    assert "/v2/health/ready" in found["HEALTHCHECK"][0]
    assert json.loads(found["ENTRYPOINT"][0])[:2] == ["onnxray", "serve"]


@pytest.mark.slow
def test_the_steps_of_the_image_for_cpus_run(tmp_path: Path) -> None:
    """Its copies and its installation, then the service as a user without rights, its health check, and SIGTERM."""
    found, source, place = steps("Dockerfile"), tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    for line in (line for line in found["COPY"] if "--from" not in line):
        *files, target = line.split()
        for file in files:
            if (ROOT / file).is_dir():
                shutil.copytree(ROOT / file, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / file, source / target)
    install = found["RUN"][0].replace("/opt/onnxray", str(place)).replace("python -m venv", f"{sys.executable} -m venv")
    done = subprocess.run(["bash", "-c", install], cwd=source, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode and "Could not find a version" in done.stderr:
        pytest.skip("no packages can be installed here")
    assert done.returncode == 0, done.stderr
    port, inside = free_port(), f"{place}/bin"
    line = [*json.loads(found["ENTRYPOINT"][0])[:-1], str(port), f"digits={models.path('digits.onnx')}"]
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    others = os.geteuid() == 0 and all(
        one.stat().st_mode & 1 for one in (Path(sys.base_prefix), *Path(sys.base_prefix).parents)
    )
    rights: dict[str, Any] = {"user": 10001, "group": 10001, "extra_groups": []} if others else {}
    env = {"PATH": f"{inside}:{os.environ['PATH']}", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([f"{inside}/onnxray", *line[1:]], env=env, cwd="/tmp", stderr=-1, text=True, **rights)
    try:
        check = json.loads(found["HEALTHCHECK"][0].partition("CMD ")[2].replace("8080", str(port)))
        until = time.monotonic() + 90
        while subprocess.run(check, env=env, capture_output=True, check=False).returncode:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until
            time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    finally:
        process.kill()


def test_the_inference_service_asks_for_what_is_there() -> None:
    yaml: Any = late("yaml")
    found = yaml.safe_load((DEPLOY / "inferenceservice.yaml").read_text())
    assert (found["apiVersion"], found["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    (container,) = found["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    probes = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert probes == {"/v2/health/ready", "/v2/health/live"}
    known = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [one for one in container["args"] if one.startswith("--") and f"`{one}`" not in known] == []


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit = tmp_path / "onnxray.service"
    text = (DEPLOY / "onnxray.service").read_text()
    assert "\nSuccessExitStatus=143\n" in text
    unit.write_text(text.replace("/opt/onnxray/bin/onnxray", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "onnxray.service" in line] == []
