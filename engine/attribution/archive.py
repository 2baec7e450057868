"""An attribution as the arrays of a .npz file, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["packed", "unpacked"]

Array = NDArray[Any]
NAMES = ("columns", "explained")
PLAIN = ("target", "score", "method", "reduction")


def packed(held: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an attribution by name, as arrays by name."""
    values, pictures = held["values"], held["pictures"]
    named = {f"values/{name}": one for name, one in values.items()} if isinstance(values, Mapping) else {}
    return {
        **(named or {"values": values}),
        **{f"input/{name}": one for name, one in held["inputs"].items()},
        **{f"picture/{k}": np.asarray(one.convert("RGB")) for k, one in enumerate(pictures)},
        **({} if held["delta"] is None else {"delta": held["delta"]}),
        **{name: np.array(held[name]) for name in NAMES if held[name]},
        **{name: held[name] for name in PLAIN},
        "layout": held["layout"] or "",
        "provenance": json.dumps(dict(held["provenance"]), default=str),
    }


def unpacked(held: Mapping[str, Array]) -> dict[str, Any]:
    """The fields of an attribution from the arrays of a file."""
    count = sum(key.startswith("picture/") for key in held)
    return {
        "values": _under("values/", held) or held["values"],
        "inputs": _under("input/", held),
        "target": held["target"],
        "score": held["score"],
        "method": str(held["method"]),
        "delta": held.get("delta"),
        **{name: tuple(map(str, held.get(name, ()))) for name in NAMES},
        "layout": str(held["layout"]) or None,
        "reduction": str(held.get("reduction", "abs-max")),
        "pictures": tuple(Image.fromarray(held[f"picture/{k}"]) for k in range(count)),
        "provenance": json.loads(str(held["provenance"])),
    }


def _under(start: str, held: Mapping[str, Array]) -> dict[str, Array]:
    return {key.removeprefix(start): one for key, one in held.items() if key.startswith(start)}
