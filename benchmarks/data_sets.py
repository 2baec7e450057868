"""Runs over a data set of made pictures, by executor: `python -m benchmarks.data_sets --write docs/benchmarks.md`.

Every measurement is a process of its own, whose tree of processes is watched: processor time, memory, the time until
the first piece is written. The rows of all runs are compared.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import onnx
import onnxray
import pyarrow
import typer
from onnx import numpy_helper
from onnxray.runs.pieces import pieces_in
from PIL import Image

from .generated import write_section

SIDE, BATCH, SEED = 64, 16, 0
WIDTHS = (3, 32, 64, 96)  # channels of the net, which halves the sides at each layer
TICKS = os.sysconf("SC_CLK_TCK")
METHOD = "saliency"
RUNS = {
    "bare attributions": ("bare", 1),
    "process, 1 worker": ("process", 1),
    "process, 2 workers": ("process", 2),
    "ray, 2 workers": ("ray", 2),
    "dask, 2 workers": ("dask", 2),
}


@dataclass(frozen=True)
class Measured:
    """Seconds until the first piece, seconds from there to the end, seconds of all processors, and memory in MB: of all
    processes together at most, and of the largest one at most in the first quarter and in all."""

    start: float
    rest: float
    processor: float
    memory: float
    quarter: float
    end: float


def make_net(file: Path) -> None:
    """A small classifier of pictures of 64 x 64: convolutions, a mean over the plane, ten classes."""
    draw, nodes, weights, last = np.random.default_rng(SEED), [], [], "x"
    for k, (a, b) in enumerate(pairwise(WIDTHS)):
        weights.append(numpy_helper.from_array((draw.standard_normal((b, a, 3, 3)) / 3 / a**0.5).astype("f4"), f"w{k}"))
        nodes.append(
            f"c{k} = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[{1 + (k > 0)},{1 + (k > 0)}]>({last}, w{k})"
        )
        nodes.append(f"r{k} = Relu(c{k})")
        last = f"r{k}"
    weights.append(numpy_helper.from_array(draw.standard_normal((10, WIDTHS[-1])).astype("f4"), "w"))
    nodes += [f"m = GlobalAveragePool({last})", "f = Flatten(m)", "y = Gemm<transB=1>(f, w)"]
    types = f"(float[N,3,{SIDE},{SIDE}] x) => (float[N,10] y)"
    text = f'<ir_version: 10, opset_import: ["" : 20]> net {types} {{ {" ".join(nodes)} }}'
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(weights)
    onnx.save(model, file)


def make_pictures(folder: Path, count: int) -> None:
    """Pictures of smooth colours, in folders of a thousand."""
    draw = np.random.default_rng(SEED)
    for k in range(count):
        place = folder / f"{k // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(draw.integers(0, 255, (8, 8, 3), np.uint8))
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(place / f"{k:06}.png", compress_level=1)


def bare(model: Path, photos: Path) -> None:
    """What the attributions alone cost: a loop over the files, in batches."""
    explainer = onnxray.Explainer(onnxray.load(model), METHOD, threads=1)
    files = sorted(photos.rglob("*.png"))
    for start in range(0, len(files), BATCH):
        explainer(files[start : start + BATCH])


def tree(root: int) -> dict[int, tuple[float, float]]:
    """Processor seconds and MB of a process and of all below it."""
    known: dict[int, tuple[int, float, float]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            pages = int((entry / "statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
        seconds = (int(fields[11]) + int(fields[12])) / TICKS
        known[int(entry.name)] = (int(fields[1]), seconds, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    below = {root}
    while more := {pid for pid, one in known.items() if one[0] in below} - below:
        below |= more
    return {pid: known[pid][1:] for pid in below if pid in known}


def measured(command: Sequence[str], out: Path, count: int) -> Measured:
    """Runs a command and watches it. It writes compiled modules, as pip does when it installs them."""
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began, first, quarter, top, seconds, end = time.perf_counter(), None, 0.0, 0.0, dict[int, float](), 0.0
    with subprocess.Popen([sys.executable, "-m", "benchmarks.data_sets", *command], env=compiled) as child:
        while child.poll() is None:
            found = tree(child.pid)
            seconds |= {pid: one[0] for pid, one in found.items()}
            top = max(top, sum(one[1] for one in found.values()))
            end = max(end, *(one[1] for one in found.values()), 0.0)
            pieces = pieces_in(out) if out.is_dir() else []
            first = first or (time.perf_counter() if pieces else None)
            quarter = quarter or (end if sum(map(len, pieces)) > count / 4 else 0.0)
            time.sleep(0.1)
    if child.returncode:
        raise SystemExit(f"{command} failed")
    finish = time.perf_counter()
    return Measured((first or began) - began, finish - (first or began), sum(seconds.values()), top, quarter, end)


def digest(out: Path) -> str:
    """Of all rows of a run, in order."""
    table, sink = onnxray.read_run(out).table.to_table().combine_chunks(), pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return f"{table.num_rows} rows, {hashlib.sha256(sink.getvalue()).hexdigest()[:16]}"


def lines(found: dict[str, Measured], count: int, equal: bool) -> Iterator[str]:
    """The table, and what follows from it."""
    yield (
        f"{count:,} made pictures of {SIDE} x {SIDE}, {METHOD}, a net of {len(WIDTHS) - 1} convolutions on one thread, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. The rows of all runs are "
        f"{'the same, to the bit' if equal else 'NOT THE SAME'}.\n"
    )
    heads = ["run", "first piece after, s", "samples a second", "processor time a sample, ms", "memory of all, MB"]
    yield f"| {' | '.join(heads)} | largest process in the first quarter, in all, MB |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, one in found.items():
        grown = f"{one.quarter:.0f}, {one.end:.0f}" if one.quarter else f"{one.end:.0f}"
        start = f"{one.start:.1f}" if one.start else ""
        rate = (count - (256 if one.start else 0)) / one.rest
        yield f"| {name} | {start} | {rate:.0f} | {1e3 * one.processor / count:.2f} | {one.memory:.0f} | {grown} |"


def main(
    samples: Annotated[int, typer.Option(help="Pictures.")] = 20_000,
    runs: Annotated[str, typer.Option(help="Comma-separated names of runs.")] = ",".join(RUNS),
    write: Annotated[Path | None, typer.Option(help="Page whose section is renewed.")] = None,
    only: Annotated[str, typer.Option(help="For the processes that are measured.", hidden=True)] = "",
    place: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measures every run and prints a table."""
    if only and place is not None:
        kind, workers, out = only.split("|")
        if kind == "bare":
            return bare(place / "net.onnx", place / "photos")
        onnxray.run(place / "net.onnx", place / "photos", out, METHOD, workers=int(workers), executor=kind, batch=BATCH)
        return None
    with TemporaryDirectory() as folder:
        place = Path(folder)
        make_net(place / "net.onnx")
        make_pictures(place / "photos", samples)
        chosen = {name: RUNS[name] for name in RUNS if name in runs}
        found, digests = {}, {}
        for k, (name, (kind, workers)) in enumerate(chosen.items()):
            out = place / f"out{k}"
            found[name] = measured(["--only", f"{kind}|{workers}|{out}", "--place", folder], out, samples)
            digests |= {name: digest(out)} if out.is_dir() else {}
            print(name, found[name], digests.get(name, ""), flush=True)
    text = "\n".join(lines(found, samples, len(set(digests.values())) == 1))
    print(text)
    if write is not None:
        write_section(write, "data sets", text)
    return None


if __name__ == "__main__":
    typer.run(main)
