"""Rows of NumPy files, read one after another: .npy through a memory map, .npz from the stream of each member."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..data.table_columns import CLASSES as LABELS
from ..errors import InputError
from ..graph.model import Model
from ..support.damaged import readable

__all__ = ["LABELS", "ArrayRow", "ArrayRows", "RowCursor", "npy_rows", "npz_rows"]

KIND = "NumPy file of numbers"
NEAR = 256  # rows that are skipped rather than looked up

ArrayRow = tuple[Callable[[], Any], int | None]


@dataclass(frozen=True)
class ArrayRows:
    """Rows of a file: how many, and how to go through them from one on: what loads a row, and its label.

    ``seeks``: whether a walk that begins at a row does not read those before it.
    """

    count: int
    each: Callable[[int], Iterator[ArrayRow]]
    labelled: bool
    seeks: bool = False


@dataclass
class RowCursor:
    """Rows by their index, of which those that follow each other are read in one walk."""

    rows: ArrayRows
    walk: Iterator[ArrayRow] = field(default_factory=lambda: iter(()))
    place: int | None = None

    def at(self, index: int) -> ArrayRow:
        """One row; InputError where the file has ended before it."""
        if self.place is None or index < self.place or (self.rows.seeks and index > self.place + NEAR):
            self.walk, self.place = self.rows.each(index), index
        found = next(islice(self.walk, index - self.place, None), None)
        self.place = index + 1
        if found is None:
            raise InputError(f"it has no row {index}")
        return found


def npy_rows(path: Path, model: Model, file: str) -> ArrayRows:
    """The rows of an .npy array, mapped into memory, so that only the row in hand is read."""
    with readable(path, KIND, InputError):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} is an .npz file; name it so")
    if array.ndim == 0:
        raise InputError(f"{path} holds one number, no samples")

    def each(start: int) -> Iterator[ArrayRow]:
        return ((partial(_copied, array, k), None) for k in range(start, len(array)))

    return ArrayRows(len(array), each, False, seeks=True)


def npz_rows(path: Path, model: Model, file: str) -> ArrayRows:
    """The rows of the arrays of an .npz file: one, or one for each input by its name; and one of labels."""
    with readable(path, KIND, InputError), zipfile.ZipFile(path) as held:
        shapes = {name.removesuffix(".npy"): _header(held, name)[0] for name in held.namelist()}
    label = next((name for name in LABELS if name in shapes), None)
    inputs = [name for name in shapes if name != label]
    if not inputs or len({shapes[name][:1] for name in shapes}) > 1:
        raise InputError(f"{path}: its arrays are not rows of the same samples: {shapes}")
    wanted = {str(value.name) for value in model.inputs}
    if len(inputs) > 1 and set(inputs) != wanted:
        raise InputError(f"{path} holds {', '.join(inputs)}; the model takes {', '.join(sorted(wanted))}")
    return ArrayRows(shapes[inputs[0]][0], partial(_npz_each, path, inputs, label), label is not None)


def _npz_each(path: Path, inputs: list[str], label: str | None, start: int) -> Iterator[ArrayRow]:
    with readable(path, KIND, InputError), ExitStack() as stack:
        file = stack.enter_context(zipfile.ZipFile(path))
        names = [*inputs, *([label] if label else [])]
        streams = zip(*(_stream(file, f"{name}.npy", stack) for name in names), strict=True)
        for found in islice(streams, start, None):
            row = dict(zip(names, found, strict=True))
            arrays = {name: row[name] for name in inputs}
            given: Any = arrays if len(inputs) > 1 else arrays[inputs[0]]
            yield partial(_same, given), int(row[label].item()) if label else None


def _stream(file: zipfile.ZipFile, name: str, stack: ExitStack) -> Iterator[np.ndarray]:
    """The rows of a member as they are decompressed; a Fortran array is read whole."""
    member = stack.enter_context(file.open(name))
    shape, fortran, dtype = _read_header(member)
    if fortran:
        with file.open(name) as whole:
            yield from np.lib.format.read_array(whole, allow_pickle=False)[:, None]
        return
    size = dtype.itemsize * int(np.prod(shape[1:]))
    for _ in range(shape[0]):
        yield np.frombuffer(member.read(size), dtype).reshape(1, *shape[1:])


def _header(file: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    with file.open(name) as member:
        return _read_header(member)


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if dtype.hasobject or not shape or min(shape) < 0:
        raise ValueError("no array of numbers")
    return shape, fortran, dtype


def _copied(array: np.ndarray, index: int) -> np.ndarray:
    return _same(np.array(array[index : index + 1]))


def _same(given: Any) -> Any:
    """As models take it: float64 becomes float32."""
    if isinstance(given, dict):
        return {name: _same(array) for name, array in given.items()}
    return given.astype(np.float32) if given.dtype == np.float64 else given
