"""Provenance of a comparison: digests, versions and providers, also of a recorded reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..support.execution_providers import RUNTIME_PACKAGES
from .golden import Golden
from .pair import Pair
from .side_session import session_words
from .software import software

__all__ = ["other_processor", "other_runtime", "other_session", "provenance"]

RECORDED = ("versions", "providers", "python", "machine", "processor", "seed", "samples")


def provenance(pair: Pair, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that may change a number, beside the samples themselves."""
    reference, candidate = pair.reference, pair.candidate
    found = {**settings, "reference": reference.digest, "candidate": candidate.digest, **software()}
    found |= {"providers": {"reference": list(reference.where), "candidate": list(candidate.where)}}
    found |= {"sessions": {"reference": reference.session, "candidate": candidate.session}}
    if isinstance(reference, Golden):
        found["recorded"] = {name: reference.header[name] for name in RECORDED if name in reference.header}
    return found | {"recipe": repr(reference.preprocess) if reference.preprocess else None}


def other_session(found: Mapping[str, Any]) -> str | None:
    """One line where the two sides ran with other settings of their sessions."""
    a, b = found["sessions"]["reference"], found["sessions"]["candidate"]
    return None if a == b else f"the reference ran on {session_words(a)}, the candidate on {session_words(b)}"


def other_runtime(found: Mapping[str, Any]) -> str | None:
    """One line where the reference was recorded with another onnxruntime than the candidate ran on."""
    if "recorded" not in found:
        return None
    then, now = (_runtime(one.get("versions", {})) for one in (found["recorded"], found))
    return None if then == now else f"the reference was recorded with {then}, the candidate ran on {now}"


def other_processor(found: Mapping[str, Any]) -> str | None:
    """One line where the reference was recorded on a processor with other features that change results."""
    then = found.get("recorded", {}).get("processor")
    now = found.get("processor")
    if not then or not now or [*then["features"]] == [*now["features"]]:  # a tuple, and a list where JSON kept it
        return None
    return (
        f"the reference was recorded on {_named(then)}, the candidate ran on {_named(now)}: 8-bit and 16-bit kernels"
        " may differ; see 'onnxray doctor'"
    )


def _named(processor: Mapping[str, Any]) -> str:
    return f"{processor['name']} ({', '.join(processor['features']) or 'none of its features changes results'})"


def _runtime(versions: Mapping[str, str]) -> str:
    return next((f"{name} {versions[name]}" for name in RUNTIME_PACKAGES if name in versions), "an unknown onnxruntime")
