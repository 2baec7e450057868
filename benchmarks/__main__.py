"""Times of onnxray's public calls beside those of other packages: `python -m benchmarks --quick`, in a clone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from .speed.machine import describe
from .speed.report import write_report
from .speed.settings import CLOCKS, METHODS, QUICK, TITLES, VARIANTS, Settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"


def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Two nets and methods, nothing compiled: two minutes.")
    ] = False,
    nets: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(TITLES)}.")] = "",
    methods: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(METHODS)}.")] = "",
    batches: Annotated[str, typer.Option(help="Comma-separated numbers of examples.")] = "",
    variants: Annotated[str, typer.Option(help=f"Of PyTorch, comma-separated: {', '.join(VARIANTS)}.")] = "",
    provider: Annotated[str, typer.Option(help="cpu or cuda, for all sides.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads of each side.")] = 2,
    memory: Annotated[str, typer.Option(help="The memory budget of onnxray.")] = "1GB",
    seconds: Annotated[float | None, typer.Option(help="Time of one row; at least a few turns are taken.")] = None,
    pause: Annotated[float, typer.Option(help="Seconds before each run.")] = 0.3,
    clock: Annotated[str, typer.Option(help=f"{' or '.join(CLOCKS)}: of the wall, or of all threads' work.")] = "wall",
    tf32: Annotated[bool, typer.Option("--tf32", help="TF32 on the GPU, for all sides.")] = False,
    measure_memory: Annotated[bool, typer.Option("--peaks/--no-peaks", help="Peak memory of each side, too.")] = True,
    out: Annotated[Path | None, typer.Option(help="Where the JSON goes; by default to stdout.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the tables and the chart into docs/.")] = False,
    results: Annotated[Path | None, typer.Option(help="JSON of an earlier run to --write; nothing is timed.")] = None,
) -> None:
    if results:
        write_report(PAGE, json.loads(results.read_text(encoding="utf-8")))
        return
    base = QUICK if quick else Settings()
    settings = replace(
        base, provider=provider, threads=threads, memory=memory, pause=pause, tf32=tf32,
        measure_memory=measure_memory, clock=_one_of(clock),
        nets=_chosen(nets, TITLES) or base.nets, methods=_chosen(methods, METHODS) or base.methods,
        batches=tuple(int(one) for one in batches.split(",") if one) or base.batches,
        variants=_chosen(variants, VARIANTS) or base.variants, seconds=base.seconds if seconds is None else seconds,
    )  # fmt: skip
    measured: dict[str, Any] = {"machine": describe(threads, provider), "settings": settings.as_json}
    measured |= {"row": [], "memory": [], "failure": []}
    for record in _measured(settings):
        measured[record.pop("kind")].append(record)
        print(json.dumps(record), file=sys.stderr, flush=True)
        if out:
            out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if not out:
        print(json.dumps(measured, indent=1))
    if write:
        write_report(PAGE, measured)
    if measured["failure"]:
        raise typer.Exit(1)


def _one_of(clock: str) -> str:
    return next(iter(_chosen(clock, CLOCKS)), "wall")


def _chosen(words: str, known: Any) -> tuple[str, ...]:
    found = tuple(word for word in words.split(",") if word)
    if wrong := [word for word in found if word not in known]:
        raise typer.BadParameter(f"{', '.join(wrong)}: choose from {', '.join(known)}")
    return found


def _measured(settings: Settings) -> Iterator[dict[str, Any]]:
    """The records of each net's process, as they come."""
    for name in settings.nets:
        command = [sys.executable, "-m", "benchmarks.speed.child", name, json.dumps(settings.as_json)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout or ():
                if line.startswith('{"kind"'):
                    yield json.loads(line)
        if child.returncode:
            yield {"kind": "failure", "net": name, "error": f"its process ended with {child.returncode}"}


if __name__ == "__main__":
    typer.run(main)
