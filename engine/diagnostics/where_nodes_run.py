"""Which execution provider runs which node: onnxruntime gives what a provider cannot run to the CPU, in silence."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime import Provider, open_session

__all__ = ["placement"]


def placement(
    model: bytes, feeds: Mapping[str, np.ndarray], providers: Sequence[Provider] | Provider | None = None
) -> dict[str, Counter[str]]:
    """By provider, the operators that it runs and how often, as the session tells; of the CPU alone, and of an
    onnxruntime before 1.24, as the profile of one run tells.

    In a profile the nodes are those of the optimised graph: fused ones count once, and copies between devices are
    nodes, too. Raises RuntimeUnavailable for a provider that is not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        profile = {"enable_profiling": True, "profile_file_prefix": str(Path(folder) / "run")}
        session = open_session(model, providers, options=profile)
        session.run(feeds)
        events = json.loads(Path(session.native.end_profiling()).read_text())
    if (told := session.placement) is not None:
        return dict(told)
    found: dict[str, Counter[str]] = {}
    for event in events:
        _count(event, found)
    return found


def _count(event: Mapping[str, Any], found: dict[str, Counter[str]]) -> None:
    told = event.get("args", {})
    if event.get("cat") == "Node" and "provider" in told and "op_name" in told:
        found.setdefault(told["provider"], Counter())[told["op_name"]] += 1
