"""Provenance of a comparison: digests, versions and providers, also of a recorded reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .golden import Golden
from .pair import Pair
from .software import software

__all__ = ["other_runtime", "provenance"]

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
RECORDED = ("versions", "providers", "python", "machine", "seed", "samples")


def provenance(pair: Pair, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that may change a number, beside the samples themselves."""
    reference, candidate = pair.reference, pair.candidate
    found = {**settings, "reference": reference.digest, "candidate": candidate.digest, **software()}
    found |= {"providers": {"reference": list(reference.where), "candidate": list(candidate.where)}}
    if isinstance(reference, Golden):
        found["recorded"] = {name: reference.header[name] for name in RECORDED if name in reference.header}
    return found | {"recipe": repr(reference.preprocess) if reference.preprocess else None}


def other_runtime(found: Mapping[str, Any]) -> str | None:
    """One line where the reference was recorded with another onnxruntime than the candidate ran on."""
    if "recorded" not in found:
        return None
    then, now = (_runtime(one.get("versions", {})) for one in (found["recorded"], found))
    return None if then == now else f"the reference was recorded with {then}, the candidate ran on {now}"


def _runtime(versions: Mapping[str, str]) -> str:
    return next((f"{name} {versions[name]}" for name in RUNTIMES if name in versions), "an unknown onnxruntime")
