"""The manifest of a folder of results: the model, the settings and the samples that all files in it belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..samples.run_folder import MANIFEST
from ..support.execution_providers import RUNTIME_PACKAGES
from ..support.schema import decoded
from ..support.versions import installed_versions
from ..support.writing import write_text
from .pieces import pieces_in

__all__ = ["MANIFEST", "Manifest", "read_manifest", "settled_manifest"]

FORMAT = 1
PACKAGES = ("onnxray", *RUNTIME_PACKAGES, "numpy", "pyarrow")


@dataclass(frozen=True)
class Manifest:
    """``samples`` is the number of samples, ``listing`` the digest of their names, sizes and times, ``piece`` how many
    are in one file; ``versions`` are those of the process that began the run; ``data`` is where the samples are, and
    ``stamps`` the digest of their sizes and times alone, which other names for the same files leave as it is."""

    format: int
    model: str
    settings: dict[str, Any]
    samples: int
    listing: str
    piece: int
    versions: dict[str, str]
    data: list[str] = field(default_factory=list)
    stamps: str = ""


def settled_manifest(out: Path, wanted: Manifest) -> Manifest:
    """The manifest of a folder, written where there is none. An InputError where it is that of another run, or where
    it is gone: nobody knows then of which model and settings the rows are."""
    if not (out / MANIFEST).exists():
        if pieces_in(out):
            raise InputError(f"{out} holds rows of a run whose {MANIFEST} is gone; name another folder with out=")
        write_text(out / MANIFEST, json.dumps(asdict(wanted), indent=1))
        return wanted
    held = read_manifest(out)
    if differences := list(_differences(asdict(held), asdict(wanted))):
        raise InputError(f"{out} holds another run: {'; '.join(differences)}; name another folder with out=")
    return held


def read_manifest(out: Path) -> Manifest:
    """The manifest of a folder; an InputError where it has none, or that of a later onnxray."""
    file = out / MANIFEST
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{out} is no folder of a run: {MANIFEST} cannot be read in it") from error
    found = decoded(text, Manifest, f"{file}: no manifest of a run; it", InputError)
    if found.format != FORMAT:
        raise InputError(f"{file} has format {found.format}; this onnxray reads format {FORMAT}")
    return found


def _differences(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    told = [name for name in ("model", "samples", "piece") if held[name] != wanted[name]]
    told += ["the data"] if held["listing"] != wanted["listing"] and "samples" not in told else []
    named = {"model": "the model is another", "samples": f"{held['samples']} samples, not {wanted['samples']}"}
    named |= {"piece": f"piece={held['piece']}", "the data": "files of the data changed"}
    other = [key for key in wanted["settings"] if held["settings"].get(key) != wanted["settings"][key]]
    return [named[name] for name in told] + [f"{key} {held['settings'].get(key)!r}" for key in other]


def versions() -> dict[str, str]:
    """Of the packages that results depend on."""
    return installed_versions(PACKAGES)
