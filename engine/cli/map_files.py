"""The numbers of an example in files: all of them, or its map alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np

from ..attribution.result import Attribution
from ..support.writing import write_new

__all__ = ["safe_name", "write_numbers"]


def write_numbers(one: Attribution, base: str, kinds: Collection[str], reduce: str | None) -> tuple[Path, ...]:
    """Writes "npz", all numbers without the picture, and "map", an .npy file of one number for each place.

    The latter are as ``Attribution.map`` gives them, float32 (height, width); of several inputs a file each.
    """
    files = [replace(one, pictures=()).save(f"{base}.npz")] if "npz" in kinds else []
    if "map" in kinds:
        named = {f"{base}-{safe_name(name)}": one[name] for name in one.values} if _several(one) else {base: one}
        files += [_write_map(part.map(reduce)[0], Path(f"{path}.npy")) for path, part in named.items()]
    return tuple(files)


def safe_name(name: str) -> str:
    """A layer's or an input's name as that of a file."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name).strip("_") or "layer"


def _several(one: Attribution) -> bool:
    return isinstance(one.values, Mapping)


def _write_map(values: np.ndarray, file: Path) -> Path:
    """Without waiting for the disk, which takes longer than the map; --resume makes a file without content again."""
    content = BytesIO()
    np.save(content, values, allow_pickle=False)
    return write_new(file, content.getvalue())
