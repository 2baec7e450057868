"""The samples of a run, by the folder of its results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path

from ..errors import InputError
from ..support.schema import decoded
from .locations import stamp_of
from .remote import local_path, url_of
from .sample import Samples

__all__ = ["MANIFEST", "Listing", "data_paths", "is_run", "listing_of", "samples_of_run"]

MANIFEST = "run.json"


@dataclass(frozen=True)
class Listing:
    """The names of all samples, a digest of these with sizes and times, and one of sizes and times alone."""

    names: list[str]
    digest: str
    stamps: str


@dataclass(frozen=True)
class _Kept:
    """What a run's manifest says of its data; folders of older releases say nothing."""

    data: list[str] = field(default_factory=list)
    stamps: str = ""


def listing_of(samples: Samples) -> Listing:
    """The listing of samples in files."""
    names, whole, stamps = [], hashlib.sha256(), hashlib.sha256()
    for sample in samples.listed():
        names.append(sample.name)
        stamp = sample.stamp if sample.path is None else stamp_of(sample.path)
        whole.update(f"{sample.name}\0{stamp}\n".encode())
        stamps.update(f"{stamp}\n".encode())
    return Listing(names, whole.hexdigest(), stamps.hexdigest())


def data_paths(data: str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[str]:
    """The data of a run as absolute paths and URLs."""
    given = [data] if isinstance(data, str | PathLike) else data
    return [fspath(one) if url_of(one) is not None else str(local_path(one).absolute()) for one in given]


def is_run(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def samples_of_run(folder: Path, opened: Callable[[Sequence[str]], Samples]) -> Samples:
    """The samples that a run was over, ``opened`` again; an InputError where they are not those any more."""
    file = folder / MANIFEST
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    kept = decoded(text, _Kept, f"{file}: no manifest of a run; it", InputError)
    if not kept.data:
        raise InputError(f"{folder} is a run of an older onnxray, which kept no paths of its data; name the data")
    samples = opened(kept.data)
    if listing_of(samples).stamps != kept.stamps:
        raise InputError(f"the data of the run in {folder} changed since: {', '.join(kept.data)}; name the data")
    return samples
