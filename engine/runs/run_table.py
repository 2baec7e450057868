"""The rows of a run: a lazy table, and its maps as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..support.damaged import readable
from .manifest import Manifest

__all__ = ["RunTable"]

WHOLE = "folder of whole Parquet files", InputError, "; the same run makes a damaged file again"


@dataclass(frozen=True)
class RunTable:
    """The folder of a run, finished or not.

    ``table`` is a pyarrow Dataset with one row for each sample, which reads nothing until it is asked: pyarrow and
    Polars query it; DuckDB, which knows no float16 of Arrow, reads the files. ``len`` is the number of rows.
    """

    folder: Path
    manifest: Manifest
    table: Any

    def __len__(self) -> int:
        with readable(self.folder, *WHOLE):
            return self.table.count_rows()

    def batches(self, *columns: str) -> Iterator[Any]:
        """Columns of the table as pyarrow RecordBatches, in the order of the samples; InputError for damaged files."""
        found = iter(self.table.to_batches(columns=list(columns)))
        while True:
            with readable(self.folder, *WHOLE):
                batch = next(found, None)
            if batch is None:
                return
            yield batch

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Every row in the order of the samples, without the map."""
        columns = [name for name in self.table.schema.names if name != "map"]
        for batch in self.batches(*columns):
            yield from batch.to_pylist()

    def maps(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Id and map, float32 in its own shape and unit, of every sample that has one, one row group at a time."""
        for batch in self.batches("id", "map", "shape", "unit"):
            for k in range(batch.num_rows):
                if batch["map"][k].is_valid:
                    flat = batch["map"][k].values.to_numpy(zero_copy_only=False).astype(np.float32)
                    yield batch["id"][k].as_py(), flat.reshape(batch["shape"][k].as_py()) * batch["unit"][k].as_py()
