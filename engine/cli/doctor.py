"""`onnxray doctor`: what this installation and this machine mean for results."""

from __future__ import annotations

import typer

from ..diagnostics.diagnosis import Diagnosis, ProviderTest, diagnose
from ..support.execution_providers import short_name
from .options import Json
from .terminal import print_json, print_table, say

__all__ = ["doctor"]


def doctor(as_json: Json = False) -> None:
    """Examine this installation: runtime, providers, and what the processor means for 8-bit models.

    Each execution provider computes a gradient, which is compared with ONNX's
    reference implementation. Exit code 0 if all that start are right, 1 if not.

    \b
    Example:
      onnxray doctor
      onnxray doctor --json | jq .processor
    """
    from onnxray.models import path

    found = diagnose(str(path("digits.onnx")))
    print_json(found.to_json(), indent=2) if as_json else _print(found)
    if not found.healthy:
        raise typer.Exit(1)


def _print(found: Diagnosis) -> None:
    processor = found.processor
    features = ", ".join(processor.features) or "none of those that change results"
    facts = [("software", ", ".join(f"{name} {version}" for name, version in found.versions.items()))]
    facts += [("system", f"Python {found.python} on {found.system}")]
    facts += [("processor", f"{processor.name}, {processor.cores} cores; {features}")]
    print_table(["", ""], facts + [("note", note) for note in found.notes])
    say("")
    columns = ["provider", "gradient is off by", "time", "nodes", "left to the CPU", ""]
    print_table(columns, [_row(one) for one in found.providers])


def _row(one: ProviderTest) -> tuple[str | None, ...]:
    name = short_name(one.provider)
    if one.difference is None or one.seconds is None:
        return name, None, None, None, None, one.note
    mark = "ok" if one.passed else "WRONG"
    left = ", ".join(one.on_cpu) or None
    return name, f"{one.difference:.1e}", f"{1000 * one.seconds:.1f} ms", str(one.nodes), left, one.note or mark
