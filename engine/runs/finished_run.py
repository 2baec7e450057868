"""read_run(): the rows of a run, its maps, and a page about them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from ..methods.checks import check_whole
from ..optional import import_extra
from .manifest import read_manifest
from .pieces import disjoint, pieces_in
from .reports.run_page import write_run_report
from .rows import row_schema
from .run_table import RunTable

__all__ = ["FinishedRun", "read_run"]


class FinishedRun(RunTable):
    """The folder of a run, finished or not.

    ``table`` is a pyarrow Dataset with one row for each sample, which reads nothing until it is asked: pyarrow and
    Polars query it; DuckDB, which knows no float16 of Arrow, reads the files. ``len`` is the number of rows.
    """

    def report(self, file: str | PathLike[str] | None = None, examples: int = 6) -> Path:
        """Writes one HTML page that needs no network: errors, distributions, mean maps, outliers, best and worst.

        ``file`` is ``report.html`` in the folder unless it is named; ``examples`` is how many samples of each kind are
        shown. Memory does not grow with the number of maps. Returns the file. Raises RuntimeUnavailable without the
        extra ``run``, InputError for a folder without rows, OutputError for a file that cannot be written.
        """
        check_whole("examples", examples, 0)
        return write_run_report(self, self.folder / "report.html" if file is None else Path(file), examples)


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
    files = [str(path / one.file) for one in disjoint(pieces_in(path))]
    dataset = import_extra("pyarrow.dataset", "run").dataset(files, row_schema(), format="parquet")
    return FinishedRun(path, manifest, dataset)
