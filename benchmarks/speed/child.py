"""All rows of one net, in a process of its own: `python -m benchmarks.speed.child NET SETTINGS`, lines of JSON."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import torch
from onnxray.runtime import open_session

from .memory import measure_memory
from .row import measure_row, providers_of
from .settings import Settings
from .subjects import subject

__all__: list[str] = []


def main(name: str, told: str) -> None:
    settings = Settings.of(json.loads(told))
    warnings.simplefilter("ignore")  # of hooks, of maps of random nets
    torch.set_num_threads(settings.threads)
    torch.backends.cudnn.benchmark = True  # onnxruntime tries all algorithms, too
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings.tf32
    one = subject(name)
    if settings.measure_memory:
        for record in measure_memory(one, settings):
            give("memory", record)
    forward = open_session(one.proto, providers_of(settings), settings.threads)
    for method, batch in settings.rows(name):
        try:
            give("row", measure_row(one, forward, method, batch, settings))
        except Exception as error:  # noqa: BLE001  # one side that fails must not cost the rows behind
            give(
                "failure", {"net": name, "method": method, "batch": batch, "error": f"{type(error).__name__}: {error}"}
            )


def give(kind: str, record: dict[str, Any]) -> None:
    print(json.dumps({"kind": kind, **record}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
