"""Installing the training build: pinned, in a folder of its own, beside an onnxruntime that stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from onnxray.errors import BuilderError
from onnxray.training import Status, install, status
from onnxray.training import install as installer_function
from onnxray.training.client import Worker

module = sys.modules["onnxray.training.install"]
Version = namedtuple("Version", "major minor micro")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing in it."""
    monkeypatch.setenv("ONNXRAY_TRAINING_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training_build: Status) -> Path:
    """A home of its own whose files are links to the installed ones: 810 MB are not copied."""
    if training_build.folder is None:
        pytest.skip("this environment itself is the training build")
    folder = tmp_path / training_build.folder.name
    for file in (training_build.folder / "onnxruntime").rglob("*"):
        place = folder / file.relative_to(training_build.folder)
        if file.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file)
    monkeypatch.setenv("ONNXRAY_TRAINING_HOME", str(tmp_path))
    return folder


def test_not_installed_is_one_line_that_says_how(elsewhere: Path) -> None:
    found = status()
    assert not found.installed
    assert "onnxray training install" in str(found)
    with pytest.raises(
        BuilderError, match=r"^onnxruntime-training 1\.19\.2 is not installed; run: onnxray training install"
    ):
        Worker().ask("version", about="")


@pytest.mark.parametrize("minor", [12, 13, 14])
def test_a_newer_python_is_told_that_there_is_no_wheel(
    elsewhere: Path, minor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.sys, "version_info", Version(3, minor, 0))
    assert f"no wheel for Python 3.{minor}, only up to 3.11" in str(status())
    with pytest.raises(BuilderError, match=rf"no wheel for Python 3\.{minor}.*builder='portable'"):
        install()


def test_another_machine_is_told_so(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    assert "no wheel for linux aarch64" in str(status())


def test_pip_is_asked_for_the_pinned_wheel_alone(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        assert "--hash=sha256:6bfa1c02" in Path(command[-1]).read_text()
        about = Path(command[command.index("--target") + 1]) / "onnxruntime" / "capi" / "build_and_package_info.py"
        about.parent.mkdir(parents=True)
        about.write_text("package_name = 'onnxruntime-training'\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", pip)
    assert install().installed
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(asked[0])
    assert install().installed
    assert len(asked) == 1
    assert [path.name for path in elsewhere.iterdir()] == ["onnxruntime-training-1.19.2-cp311"]


def test_a_failed_download_leaves_nothing(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\nmore")
    monkeypatch.setattr(module.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(BuilderError, match=r"^onnxruntime-training could not be installed: ERROR: THESE .* HASHES$"):
        install()
    assert list(elsewhere.iterdir()) == []


def test_an_environment_that_is_the_training_build_is_used_as_it_is(linked: Path, tmp_path: Path) -> None:
    """The folder on the path of a whole process stands for such an environment."""
    code = "import json; from onnxray.training import status; s = status(); print(json.dumps(s.to_json()))"
    home = tmp_path / "empty"
    environment = {**os.environ, "PYTHONPATH": str(linked), "ONNXRAY_TRAINING_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"installed": True, "folder": None, "problem": "", "version": "1.19.2"}


def test_environments_do_not_touch(linked: Path) -> None:
    """Both versions answer, each in its process; without the folder the other one works on."""
    import onnxruntime

    one = Worker()
    assert one.ask("version", about="") == "1.19.2"
    assert stock_version() == onnxruntime.__version__ != "1.19.2"
    one.close()
    linked.rename(linked.with_name("gone"))
    with pytest.raises(BuilderError, match="not installed"):
        Worker().ask("version", about="")
    assert stock_version() == onnxruntime.__version__
    assert installer_function is install


def stock_version() -> str:
    """The output of a new process of this environment, after it ran a model."""
    code = """import numpy, onnx, onnxruntime
m = onnx.parser.parse_model('<ir_version: 10, opset_import: ["": 18]> g (float[2] x) => (float[2] y) { y = Relu(x) }')
s = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
assert s.run(None, {"x": numpy.array([-1, 2], "f")})[0].tolist() == [0, 2]
print(onnxruntime.__version__)"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
