"""One row for each sample: what a run keeps of its explanation, and the Parquet file that holds rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..optional import import_extra
from ..support.damaged import readable
from ..support.writing import replacing

__all__ = ["SampleRow", "count_rows", "row_schema", "write_rows"]

STATISTICS = ("least", "largest", "mean", "norm")
GROUP = 2**20  # bytes of maps in a row group: what a reader of single rows decodes
PAGE = 2**17  # bytes of a page: buffers that stay in the cache
MOST_ROWS, LEAST_ROWS = 256, 16  # of a row group
REPEATED = ["target", "label", "error"]  # columns of few values: a dictionary of maps takes longer than zstd
SOUGHT = ["id", "source", "digest", "target", "label", "error", "index", "score", "delta"]  # what rows are looked up by


@dataclass(frozen=True)
class SampleRow:
    """The explanation of one sample, or the error that there is instead.

    ``map`` is float16, one channel, in C order, and to be multiplied by ``unit``, its largest magnitude: float16 alone
    would lose small gradients. ``least``, ``largest``, ``mean`` and ``norm`` (L2) are those of the map. ``scores`` are
    the model's first output, of up to 1,024 numbers.
    """

    id: str
    source: str | None = None
    digest: str | None = None
    target: str | None = None
    index: int | None = None
    label: str | None = None
    score: float | None = None
    delta: float | None = None
    scores: np.ndarray | None = None
    error: str | None = None
    map: np.ndarray | None = None
    shape: Sequence[int] | None = None
    unit: float | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)


def write_rows(path: Path, rows: Sequence[SampleRow]) -> None:
    """Writes a Parquet file of rows, whole or not at all."""
    arrow, parquet, schema = import_extra("pyarrow", "run"), import_extra("pyarrow.parquet", "run"), row_schema()
    columns: dict[str, Any] = {one.name: [getattr(row, one.name) for row in rows] for one in fields(SampleRow)}
    columns |= {name: _lists(columns[name], schema.field(name).type) for name in ("map", "scores")}
    columns |= {name: [row.statistics.get(name) for row in rows] for name in STATISTICS}
    table = arrow.table({name: columns[name] for name in schema.names}, schema=schema)
    with replacing(path) as temporary:
        parquet.write_table(
            table, temporary, compression="zstd", row_group_size=_group(rows), use_dictionary=REPEATED,
            write_statistics=SOUGHT, data_page_size=PAGE,
        )  # fmt: skip


def _group(rows: Sequence[SampleRow]) -> int:
    """Rows of a row group: many of small maps, as a group by itself takes the time of some of them."""
    largest = max((row.map.nbytes for row in rows if row.map is not None), default=0)
    return min(MOST_ROWS, max(LEAST_ROWS, GROUP // max(1, largest)))


def _lists(arrays: Sequence[np.ndarray | None], kind: Any) -> Any:
    """A column of arrays, which pyarrow would convert number by number."""
    arrow, held = import_extra("pyarrow", "run"), [one for one in arrays if one is not None]
    ends = np.cumsum([0, *(0 if one is None else one.size for one in arrays)])
    if ends[-1] >= 2**31:
        raise InputError(f"the maps of a file of results have {ends[-1]} numbers in all; give a smaller piece=")
    offsets = arrow.array(ends.astype(np.int32), mask=np.array([*(one is None for one in arrays), False]))
    values = np.concatenate(held) if held else np.zeros(0)
    return arrow.ListArray.from_arrays(offsets, arrow.array(values, kind.value_type), type=kind)


def row_schema() -> Any:
    """The columns of a file of rows, as a pyarrow Schema."""
    arrow = import_extra("pyarrow", "run")
    text, number = arrow.string(), arrow.float32()
    kinds = {"id": text, "source": text, "digest": text, "target": text, "index": arrow.int64(), "label": text}
    kinds |= {"score": number, "delta": number, "scores": arrow.list_(number), "error": text}
    kinds |= {"map": arrow.list_(arrow.float16()), "shape": arrow.list_(arrow.int32()), "unit": number}
    return arrow.schema({**kinds, **dict.fromkeys(STATISTICS, number)})


def count_rows(path: Path) -> tuple[int, int]:
    """How many rows a file holds, and how many of them have an error; an InputError where it is damaged."""
    parquet = import_extra("pyarrow.parquet", "run")
    with readable(path, "Parquet file", InputError):
        errors = parquet.read_table(path, columns=["error"])["error"]
        return len(errors), len(errors) - errors.null_count
