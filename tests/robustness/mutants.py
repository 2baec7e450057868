"""Mutants of small models, in worker processes: ``python tests/robustness/mutants.py 0 10000`` for many.

One number repeats one of them here, where only plain onnxruntime has a worker: ``python tests/robustness/mutants.py
1234``. ``--suite`` draws from the ONNX project's operator suite, too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from mutation import mutant
from seeds import seeds, suite_seeds
from trial import GOOD, explained, plain, tried
from workers import Worker

__all__ = ["in_workers", "run_mutants"]


@contextmanager
def in_workers() -> Iterator[Callable[[bytes], tuple[str, str]]]:
    """``tried`` with onnxray in one process and plain onnxruntime in another: either may crash or hang."""
    with Worker(explained) as ours, Worker(plain) as theirs:
        yield lambda content: tried(content, ours, theirs)


def run_mutants(first: int, last: int, suite: bool = False, seconds: float = 1e9) -> tuple[Counter[str], list[str]]:
    """How many mutants met which end, and a line for each bad one; stops early when the time is over."""
    models = suite_seeds() if suite else seeds()
    counts: Counter[str] = Counter()
    bad = []
    end = time.monotonic() + seconds
    with in_workers() as work:
        for number in range(first, last):
            if time.monotonic() > end:
                break
            kind, note = work(mutant(models, number))
            counts[kind] += 1
            if counts.total() % 500 == 0:
                print(counts.total(), dict(counts), file=sys.stderr, flush=True)
            if kind not in GOOD:
                line = f"python tests/robustness/mutants.py {number}{' --suite' if suite else ''}"
                bad.append(f"{kind}: {note}\n    {line}")
                print(bad[-1], flush=True)
    return counts, bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int, nargs="?")
    parser.add_argument("--suite", action="store_true")
    parser.add_argument("--save", type=Path, help="write the mutant to this file")
    asked = parser.parse_args()
    if asked.last is None:
        content = mutant(suite_seeds() if asked.suite else seeds(), asked.first)
        if asked.save:
            asked.save.write_bytes(content)
        with Worker(plain) as theirs:
            print(*tried(content, theirs=theirs))
        return 0
    counts, bad = run_mutants(asked.first, asked.last, asked.suite)
    print(f"{counts.total()} mutants:", ", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
