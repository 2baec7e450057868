"""Files behind URLs (s3://, gs://, memory://, ...), by fsspec, which takes credentials from where its packages do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..errors import InputError, RuntimeUnavailable
from ..optional import import_extra

__all__ = ["full_url", "listed_urls", "local_path", "opened_url", "url_bytes", "url_of"]

URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)  # of one slash, too: pathlib makes one of two


def url_of(given: str | PathLike[str]) -> str | None:
    """The URL of what a user gives, also where it went through a Path; None of a path, and of file://."""
    found = URL.fullmatch(fspath(given))
    if found is None or found[1] in ("file", "local") or Path(given).exists():
        return None
    return f"{found[1]}://{found[2]}"


def local_path(given: str | PathLike[str]) -> Path:
    """The path of what is no URL, or of file://."""
    found = URL.fullmatch(fspath(given))
    return Path(f"/{found[2]}") if found and found[1] in ("file", "local") else Path(given)


def full_url(url: str) -> str:
    """The URL as listings have it."""
    with _told(url) as (system, path):
        return system.unstrip_protocol(path)


def listed_urls(url: str) -> dict[str, str]:
    """The files of a URL, of a folder or of a pattern, in order, each with a stamp; InputError where there is none."""
    with _told(url) as (system, path):
        magic = any(letter in path for letter in "*?[")
        found = system.glob(path, detail=True) if magic else system.find(path, detail=True)
        files = {name: info for name, info in sorted(found.items()) if info["type"] == "file"}
    if not files:
        raise InputError(f"{url}: there is no such file or folder")
    return {system.unstrip_protocol(name): _stamp(info) for name, info in files.items()}


def url_bytes(url: str, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes of a file, or of a part of it."""
    with _told(url) as (system, path):
        return system.cat_file(path, start=start or None, end=stop)


@contextmanager
def opened_url(url: str) -> Iterator[Any]:
    """A file that can be sought in."""
    with _told(url) as (system, path), system.open(path, "rb") as stream:
        yield stream


def _stamp(info: dict[str, Any]) -> str:
    """Size, and whatever tells a file from a later one."""
    marks = (info.get(name) for name in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created"))
    return f"{info['size']} {next((mark for mark in marks if mark is not None), '')}"


@contextmanager
def _told(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the path in it; whatever goes wrong is one line that names the URL."""
    fsspec = import_extra("fsspec")
    try:
        yield fsspec.url_to_fs(url)
    except ImportError as error:  # of the package of this kind of URL
        raise RuntimeUnavailable(f"{url}: {' '.join(str(error).split())}") from error
    except (InputError, RuntimeUnavailable):
        raise
    except Exception as error:  # each service has errors of its own
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{url} cannot be read: {' '.join(reason.split()) or type(error).__name__}") from error
