"""WebDataset tar files: members of one name but for the endings are a sample, such as 0001.jpg and 0001.cls."""

from __future__ import annotations

import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..data.found_files import model_endings
from ..errors import InputError
from ..support.damaged import readable
from .locations import FilePart
from .remote import opened_url, url_of

__all__ = ["TAR", "TarSample", "is_tar", "tar_samples"]

TAR = ".tar"
LABEL = ".cls"


@dataclass(frozen=True)
class TarSample:
    """The first member of a name that models take, and the label beside it, if there is one."""

    part: FilePart
    label: int | None


def is_tar(name: str) -> bool:
    """Whether a file of a name is a tar file."""
    return Path(name).suffix.lower() == TAR


def tar_samples(file: str) -> list[TarSample]:
    """The samples of a tar file, by absolute path or URL, in its order; only the heads of its members are read.

    InputError: a damaged or compressed file, one without members that models take, a label that is no number.
    """
    parts: dict[str, FilePart] = {}
    labels: dict[str, int] = {}
    with ExitStack() as stack, readable(file, "tar file without compression", InputError):
        stream = stack.enter_context(opened_url(file) if url_of(file) else Path(file).open("rb"))  # noqa: SIM115
        tar = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
        for member in filter(tarfile.TarInfo.isfile, tar):
            key, ending = _split(member.name)
            if ending == LABEL and (held := tar.extractfile(member)) is not None:
                labels[key] = _label(file, member.name, held)
            elif ending.rpartition(".")[2] in _endings() and not key.rpartition("/")[2].startswith("._"):
                part = FilePart(file, member.name, member.offset_data, member.offset_data + member.size)
                parts.setdefault(key, part)
    if not parts:
        raise InputError(f"{file} holds no pictures or arrays")
    return [TarSample(part, labels.get(key)) for key, part in parts.items()]


def _endings() -> set[str]:
    return {ending.removeprefix(".") for ending in model_endings() if ending}


def _split(name: str) -> tuple[str, str]:
    """The name up to the first point of its last part, and the rest, as WebDataset cuts it."""
    folder, slash, last = name.rpartition("/")
    key, point, ending = last.partition(".")
    return folder + slash + key, (point + ending).lower()


def _label(file: str, name: str, held: IO[bytes]) -> int:
    text = held.read(64)
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{file}/{name} holds {text!r}, no number of a class") from None
