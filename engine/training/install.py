"""Where onnxruntime-training lives: a folder of its own, since its files overwrite those of onnxruntime."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import BuilderError
from ..support.writing import make_folder, writing

__all__ = ["VERSION", "Status", "find", "install", "status"]

VERSION = "1.19.2"
# onnxray needs Python 3.11 and up, the last wheels were built for Python 3.8 to 3.11: one of them is left.
_WHEEL = "6bfa1c02e6986947b18c502669beb9f1246bb52239394f7a5a3b99c10967eacf"


@dataclass(frozen=True)
class Status:
    """Whether the training build can be used: its folder (None: the current environment), and what hinders it."""

    installed: bool
    folder: Path | None
    problem: str = ""

    def __str__(self) -> str:
        if not self.installed:
            return self.problem
        where = f"in {self.folder}" if self.folder else "is what this environment has as onnxruntime"
        return f"onnxruntime-training {VERSION} {where}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder) if self.folder else None, "version": VERSION}


def status() -> Status:
    """Whether onnxruntime-training is there, in this environment or in its folder."""
    if _is_environment():
        return Status(True, None)
    folder = _folder()
    if _is_training(folder):
        return Status(True, folder)
    missing = f"onnxruntime-training {VERSION} is not installed; run: onnxray training install (810 MB in {folder})"
    return Status(False, folder, _no_wheel() or missing)


def find() -> Path | None:
    """The folder to put on the worker's path, None where the environment itself has the build."""
    found = status()
    if not found.installed:
        raise BuilderError(found.problem)
    return found.folder


def install() -> Status:
    """Installs the wheel by pip, its checksum checked, where it is not there yet."""
    found = status()
    if found.installed:
        return found
    if reason := _no_wheel():
        raise BuilderError(reason)
    folder = _folder()
    make_folder(folder.parent)
    with writing(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=".installing-") as place:
        _pip(Path(place))
        _move(Path(place) / "site", folder)
    return status()


def _pip(place: Path) -> None:
    pinned = place / "requirements.txt"
    pinned.write_text(f"onnxruntime-training=={VERSION} --hash=sha256:{_WHEEL}\n")
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-warn-script-location", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(place / "site"), "-r", str(pinned)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module named pip" in line]
        raise BuilderError(f"onnxruntime-training could not be installed: {(errors or [done.stderr.strip()])[0]}")


def _move(site: Path, folder: Path) -> None:
    """Into place at once; another process may have been faster."""
    try:
        site.rename(folder)
    except OSError:
        if not _is_training(folder):
            shutil.rmtree(folder, ignore_errors=True)
            site.rename(folder)


def _folder() -> Path:
    """One folder per version and Python; ONNXRAY_TRAINING_HOME names the place that holds them."""
    home = os.environ.get("ONNXRAY_TRAINING_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onnxray"
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return (Path(home) if home else cache) / f"onnxruntime-training-{VERSION}-{tag}"


def _no_wheel() -> str:
    """Why no wheel fits this machine, empty where one does."""
    remedy = "use builder='portable', or Python 3.11 on Linux x86_64"
    if sys.version_info >= (3, 12):
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"onnxruntime-training {VERSION} has no wheel for Python {here}, only up to 3.11; {remedy}"
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"onnxruntime-training {VERSION} has no wheel for {sys.platform} {platform.machine()}; {remedy}"
    return ""


def _is_environment() -> bool:
    spec = importlib.util.find_spec("onnxruntime")
    places = spec.submodule_search_locations if spec else None
    return bool(places) and any(_is_training(Path(place).parent) for place in places or ())


def _is_training(site: Path) -> bool:
    """By the file that says which of the wheels wrote last: pip lists every one that was installed."""
    try:
        about = (site / "onnxruntime" / "capi" / "build_and_package_info.py").read_text()
    except OSError:
        return False
    return "'onnxruntime-training" in about
