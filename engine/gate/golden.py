"""Golden files: what a reference said of its samples, so that a candidate is compared without the reference model.

A golden file is a zip: ``header.json`` (format, model digest, versions, provider, preprocessing, seed, scales of the
calibration; the target as a text), and an .npz member for each sample, with its scores, the target as the reference's
run settled it, and maps in float16, each over its largest magnitude, which stands beside it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np

from ..attribution.inputs import prepare
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import score_of
from ..data.batch import Prepared
from ..data.preprocess import Preprocess
from ..errors import InputError
from ..support.damaged import readable
from ..support.schema import Meta, decoded, typed
from ..support.writing import make_folder, staged, writing
from .calibration import Calibration, Scale
from .chosen_target import ChosenTarget
from .explained_target import ExplainedTarget
from .layers.cam_layer import default_layer
from .model_under_test import Evidence, ModelUnderTest, one_example
from .software import software

__all__ = ["Golden", "Recorder", "is_golden", "open_golden", "recording"]

FORMAT: Literal[1] = 1
TOP = "top1"  # the top class of the reference, whichever it is
SAME = 1e-2  # of an input's mean and deviation: what decoders of pictures may differ by


class _Calibrated(TypedDict):
    scales: list[Scale]
    samples: int


class _Settings(TypedDict, total=False):
    score: str
    layer: str | None
    options: dict[str, Any]


class _Session(TypedDict):
    providers: list[str]
    threads: int | None
    optimization: str


class _Header(TypedDict):
    """The fields that a header must have, and the types of its optional fields."""

    format: Literal[1]
    model: str
    digest: str
    samples: int
    methods: Annotated[list[str], Meta(min_length=1)]
    preprocess: dict[str, Any] | None
    target: NotRequired[str]
    calibration: NotRequired[_Calibrated | None]
    settings: NotRequired[_Settings]
    providers: NotRequired[list[str]]
    versions: NotRequired[dict[str, str]]
    session: NotRequired[_Session]
    cam_layer: NotRequired[str | None]


@dataclass(frozen=True, eq=False)
class Golden:
    """A recorded reference; ``inputs`` is the side that turns samples into arrays, the candidate."""

    path: Path
    header: Mapping[str, Any]
    inputs: ModelUnderTest
    preprocess: Preprocess | None
    target: ChosenTarget

    @property
    def name(self) -> str:
        return f"{self.header['model']} (recorded in {self.path})"

    @property
    def digest(self) -> str:
        return self.header["digest"]

    @property
    def where(self) -> list[str]:
        """The providers that it was recorded on."""
        return list(self.header.get("providers", ()))

    @property
    def session(self) -> dict[str, Any]:
        """The settings of the sessions that it was recorded in; an older file names the providers alone."""
        return dict(self.header.get("session") or {"providers": self.where})

    @property
    def calibration(self) -> Calibration | None:
        """The scales, where the recording run was calibrated."""
        held = self.header.get("calibration")
        if not held:
            return None
        scales = typed(held["scales"], tuple[Scale, ...], f"{self.path}: calibration", InputError)
        return Calibration(scales, held["samples"], {})

    def prepared(self, given: Any) -> Prepared:

        return one_example(prepare(self.inputs.model, given, self.preprocess))

    @cached_property
    def axes(self) -> ScoreAxes:
        """The axes of the scores that were explained, as the candidate has them."""
        return self.target.axes(self.inputs.model, self.inputs.score)

    def evidence_named(self, name: str, given: Prepared, target: Any = "top1") -> Evidence:
        """The record of a sample; an InputError if the input or the class differs from the recorded one."""
        found, print_ = self._member(name)
        if print_.shape != (wanted := _print(given)).shape or not np.allclose(print_, wanted, rtol=SAME, atol=SAME):
            raise InputError(f"{name}: the input is not the one that {self.path} was recorded from")
        said = score_of(target).typed()
        if said not in (self.header.get("target"), TOP) and said != str(found.target.name):
            raise InputError(f"{name}: {self.path} holds the maps of class {found.target.name}, not of {said}")
        return found

    def _member(self, name: str) -> tuple[Evidence, np.ndarray]:
        """The record of a sample and of its input."""
        with readable(self.path, "golden file", InputError), zipfile.ZipFile(self.path) as file:
            if _member(name) not in file.namelist():
                raise InputError(f"{name} is not in {self.path}, which holds {self.header['samples']} samples")
            with np.load(io.BytesIO(file.read(_member(name))), allow_pickle=False) as arrays:
                held = {
                    key: arrays[key].astype(np.float64)
                    for key in arrays
                    if not key.startswith(("map/", "target", "told"))
                }
                settled = arrays["target"][None]
                target = ExplainedTarget(self.target.score, settled, arrays.get("told", settled[0]), self.axes)
                maps = {
                    method: arrays[f"map/{k}"].astype(np.float32) * np.float32(held[f"scale/{k}"])
                    for k, method in enumerate(self.header["methods"])
                }
            scores = held["scores"].astype(np.float32)
            return Evidence(scores, target, float(held["score"]), maps), held["input"]


def is_golden(path: object) -> bool:
    """Whether a file is meant as a golden file: a zip, or by its name."""
    if not isinstance(path, str | Path):
        return False
    return Path(path).suffix.lower() in (".golden", ".zip") or zipfile.is_zipfile(path)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a golden file; an InputError if the file is not a golden file."""
    with readable(path, "golden file, which --golden records", InputError), zipfile.ZipFile(path) as file:
        text = file.read("header.json")
    where = f"{path} cannot be read as a golden file: its header"
    header = decoded(text, dict[str, Any], where, InputError)
    typed(header, _Header, where, InputError)
    return header


def open_golden(path: Path, header: Mapping[str, Any], candidate: ModelUnderTest, target: ChosenTarget) -> Golden:
    """A golden file as the reference of a candidate."""
    held = header["preprocess"]
    preprocess = Preprocess.from_settings(held, f"{path}: preprocess", InputError) if held else None
    return Golden(path, header, candidate, preprocess, target)


@contextmanager
def recording(path: Path, methods: Sequence[str]) -> Iterator[Recorder]:
    """A recorder of a golden file, which is there when the block ends; an older one stays till then."""
    make_folder(path.parent)
    with staged(path) as temporary:
        recorder = Recorder(path, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED), list(methods))
        try:
            yield recorder
        finally:
            with writing(path):
                recorder.file.close()


@dataclass
class Recorder:
    """Writes a golden file as the samples come, and with ``close`` its header."""

    path: Path
    file: zipfile.ZipFile
    methods: list[str]
    count: int = 0

    def add(self, name: str, given: Prepared, evidence: Evidence) -> None:
        """One sample."""
        arrays: dict[str, Any] = {"scores": evidence.scores, "score": evidence.score}
        arrays |= {"target": evidence.target.settled[0], "told": evidence.target.told}
        arrays["input"] = _print(given)
        for k, method in enumerate(self.methods):
            values = evidence.maps[method]
            scale = np.float32(np.abs(values).max() or 1.0)
            arrays |= {f"map/{k}": (values / scale).astype(np.float16), f"scale/{k}": scale}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        with writing(self.path):
            self.file.writestr(zipfile.ZipInfo(_member(name)), buffer.getvalue())
        self.count += 1

    def close(self, side: ModelUnderTest, about: Mapping[str, Any], calibration: Calibration | None) -> None:
        """Ends the file with its header."""
        header = {
            **about,
            **software(),
            "providers": list(side.where),
            "session": side.session,
            "format": FORMAT,
            "model": side.name,
            "digest": side.digest,
            "methods": self.methods,
            "cam_layer": default_layer(side.model),
            "samples": self.count,
            "preprocess": asdict(side.preprocess) if side.preprocess else None,
            "calibration": calibration.to_json() if calibration else None,
        }
        with writing(self.path):
            self.file.writestr("header.json", json.dumps(header, indent=1, default=str))

    def watch(self, side: ModelUnderTest) -> ModelUnderTest:
        """The side, whose evidence is recorded as it is given."""
        return _Watched(**{one.name: getattr(side, one.name) for one in fields(side)}, record=self.add)


@dataclass(frozen=True, eq=False)
class _Watched(ModelUnderTest):
    record: Callable[[str, Prepared, Evidence], None] = lambda *_: None

    def evidence_named(self, name: str, given: Prepared, target: Any = "top1") -> Evidence:
        found = self.evidence(given, target)
        self.record(name, given, found)
        return found


def _member(name: str) -> str:
    return f"samples/{name.replace(':', '_')}.npz"


def _print(given: Prepared) -> np.ndarray:
    """Mean and deviation of each input, over its largest magnitude."""
    found = [np.asarray(array, np.float64) for array in given.batch.feeds.values()]
    return np.array([(a.mean(), a.std()) for a in found]) / max(1e-12, *(float(np.abs(a).max()) for a in found))
