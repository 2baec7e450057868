"""read_run(): the rows of a run as a lazy table, and its maps as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optional import import_extra
from .manifest import Manifest, read_manifest
from .pieces import pieces_in

__all__ = ["FinishedRun", "read_run"]


@dataclass(frozen=True)
class FinishedRun:
    """The folder of a run, finished or not.

    ``table`` is a pyarrow Dataset with one row for each sample, which reads nothing until it is asked: pyarrow, DuckDB
    and Polars query it. ``len`` is the number of rows.
    """

    folder: Path
    manifest: Manifest
    table: Any

    def __len__(self) -> int:
        return self.table.count_rows()

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Every row in the order of the samples, without the map."""
        columns = [name for name in self.table.schema.names if name != "map"]
        for batch in self.table.to_batches(columns=columns):
            yield from batch.to_pylist()

    def maps(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Id and map, float32 in its own shape and unit, of every sample that has one, one row group at a time."""
        for batch in self.table.to_batches(columns=["id", "map", "shape", "unit"]):
            for k in range(batch.num_rows):
                if batch["map"][k].is_valid:
                    flat = batch["map"][k].values.to_numpy(zero_copy_only=False).astype(np.float32)
                    yield batch["id"][k].as_py(), flat.reshape(batch["shape"][k].as_py()) * batch["unit"][k].as_py()


def read_run(folder: str | PathLike[str]) -> FinishedRun:
    """Opens the results of a run.

    Args:
        folder: The ``out`` of ``run``, or of ``onnxray run``.

    Returns:
        FinishedRun: Its table, rows and maps; a run that was stopped has those that it has done.

    Raises:
        InputError: The folder holds no run.

    Example:
        >>> import numpy as np, onnxray.models
        >>> np.save("digits.npy", np.random.default_rng(0).random((3, 1, 28, 28), np.float32))
        >>> _ = onnxray.run(onnxray.models.path("digits.onnx"), "digits.npy", "maps", "grad-cam", workers=0)
        >>> [(name, found.shape) for name, found in onnxray.read_run("maps").maps()]
        [('digits.npy:0', (7, 7)), ('digits.npy:1', (7, 7)), ('digits.npy:2', (7, 7))]
    """
    path = Path(folder)
    manifest = read_manifest(path)
    files = [str(path / one.file) for one in pieces_in(path)]
    return FinishedRun(path, manifest, import_extra("pyarrow.dataset").dataset(files, format="parquet"))
