"""Compare a converted model with its framework on the same inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnxray.errors import ConversionError
from onnxray.support.versions import installed_versions

from .candidates import Candidate, Options
from .input_specs import feeds
from .parity_session import ParitySession

__all__ = ["allowed", "difference", "parity"]

FLOOR = 1e-3
FULL, HALF = 1e-4, 1e-2


def parity(candidate: Candidate, session: ParitySession, options: Options) -> dict[str, Any]:
    """Compare outputs at every feed; past the tolerance is a ConversionError. Returns what the metadata say."""
    tolerance = options.tolerance or (HALF if in_half(candidate.model) else None)
    drawn = feeds(candidate.specs, options.seed, options.batch)
    largest, ratio = 0.0, 0.0
    for feed in drawn:
        for name, wanted, got in pairs(candidate, session, feed):
            gap, limit = difference(wanted, got), allowed(wanted, tolerance)
            largest, ratio = max(largest, gap), max(ratio, gap / limit)
            if not gap <= limit:
                raise ConversionError(explain(candidate, name, feed, gap, limit))
    sizes = sorted({len(next(iter(feed.values()))) for feed in drawn if feed})
    return {
        "max_difference": largest,
        "of_tolerance": ratio,
        "batch_sizes": sizes,
        "feeds": len(drawn),
        "seed": options.seed,
        "opset": max(o.version for o in candidate.model.opset_import if o.domain in ("", "ai.onnx")),
        "versions": installed_versions((*candidate.packages, "onnx", "onnxruntime")),
    }


def in_half(model: onnx.ModelProto) -> bool:
    """Whether any part of a model computes in half precision, whatever the type of its outputs."""
    halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    casts = (a.i for node in model.graph.node if node.op_type == "Cast" for a in node.attribute if a.name == "to")
    return any(kind in halves for kind in (*casts, *(tensor.data_type for tensor in model.graph.initializer)))


def pairs(candidate: Candidate, session: ParitySession, feed: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, framework's value and onnxruntime's value of every output."""
    wanted, got = candidate.outputs(feed), session.run(feed)
    names = [value.name for value in candidate.model.graph.output]
    if not len(wanted) == len(got) == len(names):
        raise ConversionError(f"{candidate.source}: gives {len(wanted)} outputs, the converted model {len(got)}")
    return list(zip(names, wanted, got, strict=True))


def difference(wanted: np.ndarray, got: np.ndarray) -> float:
    """The largest absolute difference; infinite where shapes or the positions of infinities and NaNs differ."""
    if wanted.shape != got.shape:
        return float("inf")
    if wanted.dtype.kind not in "fc":
        return 0.0 if np.array_equal(wanted, got) else float("inf")
    finite = np.isfinite(wanted)
    if not np.array_equal(wanted[~finite], got[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return float("inf")
    return float(np.max(np.abs(wanted[finite].astype(np.float64) - got[finite]), initial=0.0))


def allowed(wanted: np.ndarray, tolerance: float | None = None) -> float:
    """How far a value may be off: relative to the largest entry, looser in half precision."""
    half = wanted.dtype.itemsize < 4
    finite = np.abs(wanted[np.isfinite(wanted)].astype(np.float64)) if wanted.dtype.kind == "f" else np.zeros(0)
    return (tolerance or (HALF if half else FULL)) * max(FLOOR, float(np.max(finite, initial=0.0)))


def explain(candidate: Candidate, name: str, feed: Any, gap: float, limit: float) -> str:
    """Say where the converted model left its framework, and what may help."""
    size = len(next(iter(feed.values())))
    return (
        f"{candidate.source}: output {name!r} is off by {gap:.3g} (allowed {limit:.3g}) at batch size {size}; "
        "the exporter changed the model: look for randomness, a branch on data, or numpy in the forward pass"
    )
