"""Mutants of data, picture, label, golden and journal files: ``python tests/robustness/data_mutants.py 0 1000``.

One number alone repeats one of them.
"""

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import numpy as np
import onnxray
from by_hand import CONV, DENSE
from mutation import mutated_bytes
from onnxray import OnnxrayError
from onnxray.data.files import read_given
from onnxray.data.labels import read_labels
from onnxray.data.pictures import read_picture
from onnxray.gate.journal import open_journal
from onnxray.samples.sample_set import open_samples
from PIL import Image

__all__ = ["KINDS", "data_mutant", "tried_data"]

VALUES = (None, True, -1, 0, 2**70, 1e400, "", "x", [], {}, [[]], {"a": []}, "[" * 50_000)
ROWS = DENSE.x(4)
ABOUT = {"seed": 0}
ROW = {
    "name": "a", "target": 1, "outputs": {"top1": 1.0}, "maps": {"saliency": {"ssim": 0.5}},
    "label": 1, "correct": [True, False], "index": 0, "mark": "1 00",
}  # fmt: skip


def _saved(save: Callable[[Any], None]) -> bytes:
    held = io.BytesIO()
    save(held)
    return held.getvalue()


@cache
def golden_file() -> bytes:
    """One that ``compare`` recorded."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "reference.golden"
        onnxray.gate.compare(DENSE.proto(), DENSE.proto(), ROWS, methods=["saliency"], metrics=["cosine"], golden=path)
        return path.read_bytes()


def _journal() -> bytes:
    head = json.dumps({"comparison": ABOUT}, sort_keys=True)
    return "\n".join([head, *(json.dumps(ROW | {"index": k}) for k in range(3))]).encode() + b"\n"


KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "npy": ("rows.npy", lambda: _saved(lambda file: np.save(file, ROWS))),
    "npz": ("rows.npz", lambda: _saved(lambda file: np.savez(file, x=ROWS, label=np.arange(4)))),
    "zipped npz": ("rows.npz", lambda: _saved(lambda file: np.savez_compressed(file, x=ROWS))),
    "csv": ("rows.csv", lambda: b"a,b,c,d,e,f,label\n" + b"1,2,3,4,5,6,1\n" * 3),
    "png": ("picture.png", lambda: _saved(lambda file: Image.new("RGB", (5, 4), "red").save(file, "PNG"))),
    "jpeg": ("picture.jpg", lambda: _saved(lambda file: Image.new("RGB", (5, 4), "red").save(file, "JPEG"))),
    "labels": ("labels.json", lambda: json.dumps({"0": "cat", "1": ["n01", "dog"], "2": "owl"}).encode()),
    "list of labels": ("labels.json", lambda: json.dumps(["cat", "dog"]).encode()),
    "journal": ("journal.jsonl", _journal),
    "golden": ("reference.golden", golden_file),
}


def data_mutant(number: int) -> tuple[str, bytes]:
    """Kind and bytes of the mutant of a number."""
    draw = random.Random(number)
    kind = draw.choice(list(KINDS))
    content = KINDS[kind][1]()
    if kind in ("npz", "zipped npz", "golden") and draw.random() < 0.7:
        return kind, _members_changed(content, draw)
    if kind in ("labels", "list of labels", "journal") and draw.random() < 0.7:
        lines = content.decode().splitlines()
        at = draw.randrange(len(lines))
        lines[at] = json.dumps(_changed(json.loads(lines[at]), draw))
        return kind, "\n".join(lines).encode()
    return kind, mutated_bytes(content, draw)


def _members_changed(content: bytes, draw: random.Random) -> bytes:
    """An archive with one member changed, left out, or put in another way."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = draw.choice(list(members))
    if name == "header.json":
        members[name] = json.dumps(_changed(json.loads(members[name]), draw)).encode()
    elif name.endswith(".npz") and draw.random() < 0.7:
        members[name] = _members_changed(members[name], draw)
    elif draw.random() < 0.3:
        del members[name]
    elif draw.random() < 0.5:
        members[name] = _saved(lambda file: np.save(file, draw.choice([np.zeros(0), np.array("x"), np.zeros((2, 3))])))
    else:
        members[name] = mutated_bytes(members[name], draw)
    way = draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    return _saved(lambda file: _zipped(file, members, way))


def _zipped(file: Any, members: dict[str, bytes], way: int) -> None:
    with zipfile.ZipFile(file, "w", way) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _changed(value: Any, draw: random.Random) -> Any:
    """JSON with one place in it changed."""
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
        held = dict(value) if isinstance(value, dict) else list(value)
        if draw.random() < 0.15:
            del held[key]
        else:
            held[key] = _changed(value[key], draw)
        return held
    return draw.choice(VALUES)


def tried_data(kind: str, content: bytes) -> tuple[str, str]:
    """Whether a file was read or refused; raw exceptions are what is looked for."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        path = Path(folder) / KINDS[kind][0]
        path.write_bytes(content)
        try:
            _read(kind, path)
        except OnnxrayError as error:
            return ("raw", f"not one line: {error}") if "\n" in str(error).strip() else ("refused", str(error))
        except Exception:  # noqa: BLE001  that is what is looked for
            return "raw", traceback.format_exc()
    return "explained", ""


def _read(kind: str, path: Path) -> None:
    model = onnxray.load(DENSE.proto() if kind not in ("png", "jpeg") else CONV.proto())
    if kind == "golden":
        onnxray.gate.compare(path, model, ROWS, metrics=["cosine"])
    elif kind == "journal":
        with open_journal(path, ABOUT) as journal:
            assert all(row.values() for row in journal.done.values())
    elif "labels" in kind:
        assert all(isinstance(name, str) for name in read_labels(path).values())
    elif kind in ("png", "jpeg"):
        read_picture(path)
    else:
        for sample in open_samples(path, model):
            sample.load()
        onnxray.explain(model, read_given(model, path).inputs, target=0)


def main(first: int, last: int) -> int:
    """Tries the mutants of these numbers; prints the bad ones, and how many met which end."""
    counts: Counter[str] = Counter()
    for number in range(first, last):
        found, note = tried_data(*data_mutant(number))
        counts[found] += 1
        if found == "raw":
            print(f"{note}\n    python tests/robustness/data_mutants.py {number}")
    print(f"{counts.total()} mutants of data:", dict(counts))
    return 1 if counts["raw"] else 0


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    sys.exit(main(numbers[0], numbers[-1] if len(numbers) > 1 else numbers[0] + 1))
