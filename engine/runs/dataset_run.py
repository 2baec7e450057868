"""run(): one method on a whole data set, continued where an earlier run into the same folder stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..errors import InputError, OnnxrayError
from ..methods.checks import check_whole
from ..samples.run_folder import data_paths, listing_of
from ..samples.sample import Samples
from ..samples.sample_set import Data, open_samples
from ..support.choice import choose
from ..support.folder_lock import folder_lock
from ..support.writing import make_folder, record_files, writing
from ..workers.dispatch import Executor, Task, Work, dispatch, in_this_process
from ..workers.executor_named import EXECUTORS, executor_named
from ..workers.piece import Piece
from .manifest import FORMAT, Manifest, settled_manifest, versions
from .pieces import disjoint, missing, pieces_in
from .rows import SampleRow, count_rows, write_rows
from .run_settings import RunSettings
from .run_shard import PieceDone, Shard, opened_run, run_shard, warn_of_a_guess

__all__ = ["RunReport", "run"]


@dataclass(frozen=True)
class RunReport:
    """How a run ended: samples done now, done ``before``, and ``left``; how many of those done ``failed``; seconds."""

    out: Path
    done: int
    before: int
    left: int
    failed: int
    seconds: float


def run(
    model: str | PathLike[str],
    data: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    method: str = "saliency",
    target: Any = "top1",
    *,
    score: str = "logit",
    layer: str | Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    labels: Labels | None = None,
    reduce: str | None = None,
    batch: int = 16,
    piece: int = 256,
    workers: int | None = None,
    executor: str = "process",
    address: str | None = None,
    providers: str | Sequence[str] | None = None,
    threads: int = 1,
    memory: str | int = "1GB",
    progress: Callable[[int, int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    **options: Any,
) -> RunReport:
    """Explains every sample of a data set and writes rows of numbers, maps and errors into a folder of Parquet files.

    A second call with the same arguments does what is missing. Results do not depend on the number of workers, nor on
    how often a run was stopped, as long as ``threads`` is the same. A sample that cannot be explained, or kills its
    worker, is a row with an error.

    Args:
        model: Path of an .onnx file.
        data: Pictures, folders of them, files of many samples (.npy, .npz, .csv, .parquet, .tar), folders of Hugging
            Face's ``save_to_disk``, or URLs of these; one of them, or several.
        out: Folder of the results, created if missing.
        method: Name of an attribution method.
        target: As in a call of an ``Explainer``; the same for each sample.
        score: "logit", "output" or the name of a tensor.
        layer: Layer of class activation maps, or several.
        preprocess: How pictures become inputs; None for what the model carries.
        labels: Names of the classes by index; None for those that the model carries.
        reduce: How the channels of a map become one, as in ``Attribution.map``.
        batch: Samples that are explained together.
        piece: Samples in one file, which is also what one worker does at a time.
        workers: Shards that are explained at the same time; None for one on each core, 0 for none but this process.
        executor: "process" for worker processes of this machine, "ray" for Ray tasks, "dask" for those of
            dask.distributed. Another one may go on with a run: the rows are the same.
        address: Of a Ray or Dask cluster that is there; None for one of this machine, started for the run. Its machines
            see model, data and ``out`` under the same paths.
        providers: Execution providers; None for the CPU.
        threads: Threads of each worker, on which the last digits of a result may depend.
        memory: Bytes, or text such as "512MB", that each worker's session may take beside the weights.
        progress: Called with samples done, failed, and in all.
        stopped: Asked before each piece; once it is true, the pieces in hand are finished and the call returns.
        **options: Options of the method.

    Returns:
        RunReport: What was done, and what is left.

    Raises:
        InputError: No samples, a folder of another run, or one that another process writes to.
        ModelError: A model that cannot be read or run.
        OutputError: The folder cannot be written.
        RuntimeUnavailable: An executor that is not installed, or a cluster that does not answer.

    Example:
        >>> import numpy as np, onnxray.models
        >>> np.save("digits.npy", np.random.default_rng(0).random((40, 1, 28, 28), np.float32))
        >>> report = onnxray.run(onnxray.models.path("digits.onnx"), "digits.npy", "maps", workers=0)
        >>> report.done, report.failed, len(onnxray.read_run("maps"))
        (40, 0, 40)
    """
    if not isinstance(model, str | PathLike):
        raise InputError(f"model={type(model).__name__}: workers open it themselves; give the path of an .onnx file")
    began, folder = time.perf_counter(), Path(out)
    check_whole("batch", batch, 1)
    check_whole("piece", piece, 1)
    if workers is not None:
        check_whole("workers", workers, 0)
    settings = RunSettings(
        Path(model).absolute(), method, target, score, _several(layer), preprocess, labels, reduce, batch,
        _several(providers), threads, memory, options,
    )  # fmt: skip
    choose(executor, EXECUTORS, "executor")
    with record_files(), folder_lock(make_folder(folder), wait=False):
        samples, names, held = _begin(settings, data, folder, piece)
        todo = missing(len(names), piece, held)
        left = sum(map(len, todo))
        report = RunReport(folder, 0, len(names) - left, left, sum(held.values()), 0.0)
        task = _task(settings, samples, names, folder.absolute())
        with _opened(executor, workers, threads, address, len(todo)) as chosen:
            for one in _results(todo, task, stopped, chosen, batch, folder):
                report = _with(report, one)
                if progress is not None:
                    progress(report.before + report.done, report.failed, len(names))
    return replace(report, seconds=time.perf_counter() - began)


def _begin(settings: RunSettings, data: Data, folder: Path, size: int) -> tuple[Samples, list[str], dict[Piece, int]]:
    """All samples, their names, and the pieces that are there, with their errors, if the folder is this run's."""
    opened_run.cache_clear()  # the model may have changed since an earlier run of this process
    explainer = opened_run(settings.pickled()).explainer  # what is wrong is said before any worker starts
    settings.check(explainer.model)
    samples = open_samples(data, explainer.model, settings.labels)
    warn_of_a_guess(explainer, samples)
    found, about = listing_of(samples), settings.identity()
    wanted = Manifest(
        FORMAT, explainer.model.digest, about, len(found.names), found.digest, size, versions(), data_paths(data),
        found.stamps,
    )  # fmt: skip
    settled_manifest(folder, wanted)
    return samples, found.names, _held(folder)


def _held(folder: Path) -> dict[Piece, int]:
    """The pieces that are there, with their errors; files that are damaged, or inside others, are removed."""
    whole = {one: errors for one in pieces_in(folder) if (errors := _errors_in(folder, one)) is not None}
    kept = {one: whole[one] for one in disjoint(whole)}
    for one in pieces_in(folder):
        if one not in kept:
            with writing(folder / one.file):
                (folder / one.file).unlink()
    return kept


def _errors_in(folder: Path, piece: Piece) -> int | None:
    """How many rows of a piece have an error; None where its file is missing, or another program cut it off."""
    try:
        rows, errors = count_rows(folder / piece.file)
    except OnnxrayError:
        return None
    return errors if rows == len(piece) else None


def _task(settings: RunSettings, samples: Samples, names: Sequence[str], out: Path) -> Task[PieceDone]:
    pickled = settings.pickled()

    def task(piece: Piece) -> Work[PieceDone]:
        shard = Shard(piece, names[piece.start : piece.stop], samples.locations(piece.start, piece.stop))
        return run_shard, (shard, pickled, out)

    return task


def _opened(
    name: str, workers: int | None, threads: int, address: str | None, pieces: int
) -> AbstractContextManager[Executor | None]:
    """The executor; None for this process, and where nothing is to be done."""
    if workers == 0 or pieces == 0:
        return nullcontext()
    opened_run.cache_clear()  # the workers open their own
    return executor_named(name, workers, threads, address, pieces)


def _results(
    todo: Sequence[Piece],
    task: Task[PieceDone],
    stopped: Callable[[], bool],
    executor: Executor | None,
    batch: int,
    out: Path,
) -> Iterator[PieceDone]:
    def written(piece: Piece) -> PieceDone | None:
        errors = _errors_in(out, piece)
        return None if errors is None else PieceDone(piece, errors)

    def set_aside(piece: Piece) -> PieceDone:
        shard = task(piece)[1][0]
        error = "the worker process died of this sample, twice"
        write_rows(out / piece.file, [SampleRow(shard.names[0], source=shard.locations[0].source, error=error)])
        return PieceDone(piece, 1)

    if executor is None:
        return in_this_process(todo, task, stopped)
    return dispatch(todo, task, stopped, executor=executor, batch=batch, written=written, set_aside=set_aside)


def _with(report: RunReport, one: PieceDone) -> RunReport:
    return replace(
        report,
        done=report.done + len(one.piece),
        failed=report.failed + one.failed,
        left=report.left - len(one.piece),
    )


def _several(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str | os.PathLike) else tuple(given)
