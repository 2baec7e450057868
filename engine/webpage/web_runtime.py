"""The files of onnxruntime-web that a page runs on: from its npm package, of one release, each by its checksum."""

from __future__ import annotations

import base64
import hashlib
import os
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, RuntimeUnavailable
from ..support.writing import check_outputs, write_bytes

__all__ = ["PINNED", "Release", "runtime_files"]

PACKAGE = "onnxruntime-web"
REGISTRY = "https://registry.npmjs.org"  # npm_config_registry names another, as for npm
LIMIT = 256 << 20  # bytes of a tarball
WAIT = 60  # seconds without an answer


@dataclass(frozen=True)
class Release:
    """A release of onnxruntime-web.

    Args:
        version: As npm names it.
        integrity: The sha512 of its tarball in base64, as in npm's lock files.
        files: The files of its folder ``dist`` that a page needs: the name that each has in a page, and its sha512.
    """

    version: str
    integrity: str
    files: Mapping[str, tuple[str, str]]

    @property
    def tarball(self) -> str:
        """The name of the package's file."""
        return f"{PACKAGE}-{self.version}.tgz"


PINNED = Release(  # servers know the type of .js and .wasm files, not always that of .mjs
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
    {
        "ort.wasm.bundle.min.mjs": (
            "onnxruntime-web.js",
            "d4a705f0258065eaad4dcbcb80a3ed38c5c86e459e87ef8b0c24290e14390115"
            "711c02f554d2f9aebd0e23e3314db98d200365744fc0feaf8ee2048a81232359",
        ),
        "ort-wasm-simd-threaded.wasm": (
            "onnxruntime-web.wasm",
            "1adeded62203219fcf5c484cfce5657aa5875689b490423f86cf1ca1dd1cad77"
            "15f630c6337f41db71ee42794e3a00ce0b7c78939a71220b5d83368bf6ea7730",
        ),
    },
)


def runtime_files(given: Path | None = None, download: bool = False, release: Release = PINNED) -> dict[str, bytes]:
    """The files of a release by their names in a page.

    Args:
        given: A folder (the package, its ``dist``, or one with it in ``node_modules``), or the package's tarball; None
            for ``node_modules`` of this folder or one above it, else the tarball that was fetched before.
        download: Whether the tarball may be fetched from the npm registry.
        release: Which one.

    Raises:
        InputError: ``given`` holds no such files, or files of another release.
        RuntimeUnavailable: There is none here and none was asked for, or it cannot be fetched.
    """
    if given is not None:
        return _read(given, release)
    if (found := _installed(release)) is not None:
        return found
    kept = _cache() / release.tarball
    if not kept.is_file():
        if not download:
            raise RuntimeUnavailable(
                f"{PACKAGE} {release.version} is not here: add --download to fetch it from the npm registry (33 MB, "
                f"once), or name what you have, as in --runtime node_modules/{PACKAGE} or --runtime {release.tarball}"
            )
        _fetch(kept, release)
    return _read(kept, release)


def _installed(release: Release) -> dict[str, bytes] | None:
    """Those of the nearest package that is of the release: another one is passed by, as nobody named it."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        with suppress(InputError):
            return _read(folder / "node_modules" / PACKAGE, release)
    return None


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onnxray"


def _read(place: Path, release: Release) -> dict[str, bytes]:
    """The files of a folder or tarball, each checked."""
    try:
        contents = _of_folder(place, release) if place.is_dir() else _of_tarball(place, release)
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no whole .tgz file"
        raise InputError(f"{place} cannot be read ({reason}); give the folder or tarball of {PACKAGE}") from error
    for name, (_, checksum) in release.files.items():
        if name not in contents:
            raise InputError(f"{place} has no dist/{name}; give the folder or tarball of {PACKAGE} {release.version}")
        if _sha512(contents[name]) != checksum:
            raise InputError(f"{place}: {name} is not that of {PACKAGE} {release.version}; its sha512 is another")
    return {release.files[name][0]: content for name, content in contents.items()}


def _of_folder(place: Path, release: Release) -> dict[str, bytes]:
    folders = (place / "node_modules" / PACKAGE / "dist", place / "dist", place)
    folder = next((one for one in folders if any((one / name).is_file() for name in release.files)), place)
    return {name: (folder / name).read_bytes() for name in release.files if (folder / name).is_file()}


def _of_tarball(place: Path, release: Release) -> dict[str, bytes]:
    wanted = {f"package/dist/{name}": name for name in release.files}
    with tarfile.open(place, "r:gz") as held:
        members = [one for one in held if one.name in wanted and one.isfile() and one.size <= LIMIT]
        return {wanted[one.name]: file.read() for one in members if (file := held.extractfile(one)) is not None}


def _sha512(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest()


def _fetch(kept: Path, release: Release) -> None:
    """Writes the tarball where its checksum is right, else nothing."""
    import urllib.request  # with it come those of TLS and mail
    from http.client import HTTPException

    registry = os.environ.get("npm_config_registry") or REGISTRY  # noqa: SIM112  npm's own name
    address = f"{registry.rstrip('/')}/{PACKAGE}/-/{release.tarball}"
    remedy = f"fetch it where you can, with npm pack {PACKAGE}@{release.version}, and give --runtime {release.tarball}"
    if not address.startswith(("https://", "http://")):
        raise InputError(f"npm_config_registry is {registry!r}, no https address")
    check_outputs([kept])
    try:
        with urllib.request.urlopen(address, timeout=WAIT) as answer:
            content = answer.read(LIMIT)
    except (OSError, HTTPException) as error:
        raise RuntimeUnavailable(f"{address} cannot be fetched ({_reason(error)}); {remedy}") from error
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != release.integrity:
        raise RuntimeUnavailable(f"{address} is not {PACKAGE} {release.version}: its sha512 is another; {remedy}")
    write_bytes(kept, content)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None)
    told = cause if isinstance(cause, OSError) else error
    return " ".join(str(getattr(told, "strerror", None) or told or type(told).__name__).split())
