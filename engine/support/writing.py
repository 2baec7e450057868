"""Files are written whole or not at all: under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import takewhile
from os import PathLike
from pathlib import Path

from ..errors import InputError, OnnxrayError, OutputError

__all__ = [
    "Record",
    "check_outputs",
    "check_writable",
    "disk_is_full",
    "make_folder",
    "note_progress",
    "note_way_on",
    "record_files",
    "replacing",
    "staged",
    "temporary_folder",
    "write_bytes",
    "write_new",
    "write_text",
    "writing",
]

PREFIX = ".onnxray-"  # of temporary files
_OPEN_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")  # others have them open, whatever they are


@dataclass
class Record:
    """The files written since ``record_files`` began, those that are being written, how far the work is, and how
    it goes on after an interruption; ``made`` are the folders that were missing before."""

    written: list[Path] = field(default_factory=list)
    begun: dict[Path, tuple[Path, ...]] = field(default_factory=dict)
    folders: set[Path] = field(default_factory=set)
    made: list[Path] = field(default_factory=list)
    progress: str = ""
    way_on: str = ""

    def discard(self) -> None:
        """Removes what is half written, and temporary folders; for a process that ends without unwinding."""
        for temporary, companions in list(self.begun.items()):
            _discard(temporary, companions)
        for folder in list(self.folders):
            shutil.rmtree(folder, ignore_errors=True)
        self.remove_empty()

    def remove_empty(self) -> None:
        """Removes the folders that were made and hold nothing, as those of work that was refused."""
        for folder in reversed(self.made):
            with suppress(OSError):
                folder.rmdir()


_record: ContextVar[Record | None] = ContextVar("record", default=None)


@contextmanager
def record_files() -> Iterator[Record]:
    """Notes which files this thread writes meanwhile, in the record of a surrounding block if there is one.

    Folders that were made meanwhile and are empty at the end of the outermost block are removed.
    """
    record = _record.get() or Record()
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)
        if _record.get() is None:
            record.remove_empty()


@contextmanager
def replacing(path: str | PathLike[str], *companions: Path, synced: bool = True) -> Iterator[Path]:
    """The path of an empty file in the folder of ``path``, with its suffix, which becomes ``path`` when the block ends.

    If the block raises, the temporary file is removed, and what ``path`` held stays. ``companions`` are files of names
    of their own that the new file refers to: they are made empty, for the block to fill, and removed with it. A device
    or pipe has no older content to keep and is written directly. Without ``synced`` nothing waits for the disk, so that
    a power failure may leave an empty file. Raises OutputError, whose cause is the OSError.
    """
    with writing(path), staged(path, *companions, synced=synced) as temporary:
        yield temporary


@contextmanager
def staged(path: str | PathLike[str], *companions: Path, synced: bool = True) -> Iterator[Path]:
    """As ``replacing``, for a block that does other work, too: an OSError of the block itself is left as it is."""
    path = Path(path)
    with writing(path):
        target = None if _is_stream(path) else _target(path)
    with ExitStack() as stack:
        with writing(path):
            temporary = path if target is None else stack.enter_context(_temporary(target, companions))
        yield temporary
        with writing(path):
            if target is not None:
                _rename(temporary, target, companions, synced)
    if (record := _record.get()) is not None:
        record.written.append(path)


def note_progress(text: str) -> None:
    """Notes how far the work is, for the line that an interruption ends with."""
    if (record := _record.get()) is not None:
        record.progress = text


def note_way_on(text: str) -> None:
    """Notes how the work goes on after an interruption."""
    if (record := _record.get()) is not None:
        record.way_on = text


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed in the end, also where the process ends without unwinding."""
    record = _record.get() or Record()
    with writing("a temporary folder"):
        folder = Path(tempfile.mkdtemp(prefix="onnxray-"))
    record.folders.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        record.folders.discard(folder)


@contextmanager
def writing(path: str | PathLike[str]) -> Iterator[None]:
    """Turns an OSError of the block, and a name that the locale has no letters for, into an OutputError of ``path``."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{os.fspath(path)} cannot be written: {error.strerror or error}") from error
    except UnicodeEncodeError as error:
        told = "the locale has no such letters in names of files; set LC_ALL=C.UTF-8"
        raise OutputError(f"{os.fspath(path)!a} cannot be written: {told}") from error


def write_bytes(path: str | PathLike[str], content: bytes) -> Path:
    """Writes a file as ``replacing`` does; its folder is made where it is missing."""
    make_folder(Path(path).parent)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_new(path: Path, content: bytes) -> Path:
    """Writes a small file as ``replacing`` does, without waiting for the disk: a power failure may leave it empty.

    Where nothing has the name this takes two calls of the system, so that thousands of files take little time.
    """
    if os.path.lexists(path):
        with replacing(path, synced=False) as temporary:
            temporary.write_bytes(content)
        return path
    temporary, record = path.with_name(f"{PREFIX}{secrets.token_hex(8)}{path.suffix}"), _record.get() or Record()
    with writing(path):
        record.begun[temporary] = ()
        try:
            with open(temporary, "xb", buffering=0) as file:  # noqa: PTH123  faster than Path.open
                file.write(content)
            os.rename(temporary, path)  # noqa: PTH104
        except BaseException:
            _discard(temporary, ())
            raise
        finally:
            record.begun.pop(temporary)
    record.written.append(path)
    return path


def write_text(path: str | PathLike[str], text: str) -> Path:
    r"""Writes a file in UTF-8 as ``write_bytes`` does; of names that are not UTF-8 as \udcNN, which JSON reads back."""
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def make_folder(folder: Path) -> Path:
    """The folder, made where it is missing."""
    missing = list(takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
    (_record.get() or Record()).made += reversed(missing)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_writable(path: str | PathLike[str]) -> None:
    """Raises the OutputError that ``replacing`` would raise at its beginning, so that no work is done in vain."""
    path = Path(path)
    with writing(path):
        if not _is_stream(path):
            with _temporary(_target(path)):
                pass


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path] = ()) -> None:
    """Before hours of work: whether all outputs can be written, none of which is an input or another output."""
    taken = {Path(os.path.realpath(path)): "an input" for path in inputs}
    for path in outputs:
        make_folder(path.parent)
        check_writable(path)
        if (real := Path(os.path.realpath(path))) in taken and not _is_stream(path):
            raise InputError(f"{path} is {taken[real]}; give each output a file of its own")
        taken[real] = "given for two outputs"


def disk_is_full(error: OnnxrayError) -> bool:
    """Whether every file after this one would meet the same error."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def _temporary(target: Path, companions: tuple[Path, ...] = ()) -> Iterator[Path]:
    """An empty file beside the target, removed in the end; its suffix tells writers the format."""
    temporary = target.with_name(f"{PREFIX}{secrets.token_hex(8)}{target.suffix}")
    record = _record.get() or Record()
    record.begun[temporary] = companions
    try:
        for path in (*companions, temporary):  # in this order: a companion that is somebody else's is left alone
            path.touch(exist_ok=False)
        yield temporary
    finally:
        _discard(temporary, companions)
        record.begun.pop(temporary)


def _discard(temporary: Path, companions: tuple[Path, ...]) -> None:
    """Removes a temporary file; its companions only if it was there, as a renamed file needs them."""
    try:
        temporary.unlink()
        for path in companions:
            path.unlink(missing_ok=True)
    except OSError:  # renamed; or it stays under its temporary name, as the error that led here counts
        return


def _rename(temporary: Path, target: Path, companions: tuple[Path, ...], synced: bool) -> None:
    """Onto the disk first: after a power failure the name would stand for an empty file."""
    if target.exists():
        shutil.copymode(target, temporary)
    for path in (*companions, temporary) if synced else ():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    temporary.replace(target)


def _target(path: Path) -> Path:
    """The file itself where the path is a link; an OSError where it may not be replaced."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return target


def _is_stream(path: Path) -> bool:
    return os.fspath(path).startswith(_OPEN_STREAMS) or (path.exists() and not (path.is_file() or path.is_dir()))
