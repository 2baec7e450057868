"""Reports as text: what the commands print for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..support.execution_providers import RUNTIME_PACKAGES
from ..support.versions import installed_versions
from .done_record import Done
from .terminal import print_table, say, say_error

if TYPE_CHECKING:  # most commands print none of these
    from ..diagnostics.differentiability import NodeInfo
    from ..diagnostics.inspection import Inspection, LayerInfo, TensorInfo
    from ..methods.catalogue import MethodInfo
    from .activation_files import Maps
    from .file_batch import Failure

__all__ = ["Failures", "plain", "print_inspection", "print_methods", "result_lines", "usage_hint", "versions"]

TOP = 10  # features in a text
NAMED = 12  # nodes that a line names


class Failures:
    """Failed files, each on stderr at once; those that fail alike after the first one are named together at the end."""

    def __init__(self) -> None:
        self._alike: dict[str, list[str]] = {}

    def add(self, failure: Failure) -> None:
        same = self._alike.setdefault(str(failure.error), [])
        if not same:
            say_error(failure)
        same.append(str(failure.file))

    def finish(self) -> bool:
        """Whether there were any."""
        for files in self._alike.values():
            if len(files) > 1:
                left_out = f", and {len(files) - 1 - NAMED} others" if len(files) - 1 > NAMED else ""
                say_error(f"the same for {len(files) - 1} more: {', '.join(files[1 : 1 + NAMED])}{left_out}")
        return bool(self._alike)


def result_lines(result: Done | Maps) -> list[str]:
    """One result in lines, for vectors with the strongest features."""
    files = ", ".join(map(str, result.files)) or "nothing to draw; write the numbers with --npz"
    if not isinstance(result, Done):
        return [f"{result.image}: {result.layer} {_shape(result.shape)} -> {files}"]
    row = "" if result.row is None else f", row {result.row}"
    delta = "" if result.attribution.delta is None else f", delta {float(result.attribution.delta[0]):.2g}"
    clipped = f" ({result.clipping})" if result.clipping else ""
    lines = [f"{result.image}{row}: {result.caption}{delta} -> {files}{clipped}"]
    shown = result.features[:TOP]
    width = max((len(one.name) for one in shown), default=0)
    lines += [
        f"  {one.attribution:+10.4g}  {one.name:{width}}{'' if one.value is None else f' = {one.value:.5g}'}"
        for one in shown
    ]
    if len(result.features) > TOP:
        lines.append(f"  and {len(result.features) - TOP} smaller ones; --json lists all")
    return lines


def print_methods(methods: Sequence[MethodInfo]) -> None:
    """The table of ``onnxray methods``."""
    rows = [(one.name, one.summary, _options(one), one.paper) for one in methods]
    print_table(["method", "what it does", "options and defaults", "paper"], rows)


def print_inspection(found: Inspection) -> None:
    """The text of ``onnxray inspect``."""
    made = f", made by {found.producer}" if found.producer else ""
    say(f"{found.model}: opset {found.opset}, {found.nodes} nodes, {found.parameters:,} parameters{made}", "")
    facts = [*_tensors("input", found.inputs), *_tensors("output", found.outputs), ("score", _score(found))]
    facts += [("target", f"of scores {_shape(found.score.shape)}: {found.score.target}")] if found.score else []
    if found.detector:
        facts += [("detector", f"{found.detector}: 'onnxray explain' explains its boxes, or --target box:0")]
    facts += [("note", found.note)] if found.note else []
    facts += [("8-bit", _at_risk(found.at_risk))] if found.at_risk else []
    facts += [("gradient", _gradient(found)), *_activations(found), ("preprocess", _preprocess(found))]
    facts += [("labels", _labels(found.labels)), *((key, value) for key, value in found.metadata.items())]
    print_table(["", ""], facts)
    say("")
    layers = [(one.name, one.op, _shape(one.shape), _tensor_and_mark(one)) for one in found.layers]
    print_table(["layer", "operator", "shape", "tensor"], layers)


def _at_risk(layers: Sequence[str]) -> str:
    named = ", ".join(layers[:NAMED]) + (f" and {len(layers) - NAMED} more" if len(layers) > NAMED else "")
    have = "1 layer has" if len(layers) == 1 else f"{len(layers)} layers have"
    return (
        f"{have} int8 weights beyond 7 bits, and this processor cuts sums of their products off at 16"
        f" bits: scores may be others elsewhere; see 'onnxray doctor' ({named})"
    )


def plain(report: Any) -> dict[str, Any]:
    """A report's fields as lists and dicts."""
    return asdict(report)


def usage_hint(error: Any) -> str:
    """Typer's message on wrong usage, and where to find help."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "onnxray"
    return f"{error.format_message().rstrip('.')}; see '{command} --help'"


def versions() -> str:
    """onnxray's version and those that matter beside it."""
    found = installed_versions(("onnxray", "onnx", *RUNTIME_PACKAGES))
    others = [f"{name} {number}" for name, number in found.items() if name != "onnxray"]
    return f"onnxray {found.get('onnxray')} ({', '.join(others)})"


def _options(method: MethodInfo) -> str:
    return ", ".join(f"{one.name}={one.default}" for one in method.options)


def _tensors(kind: str, tensors: Iterable[TensorInfo]) -> list[tuple[str, str]]:
    return [(kind, f"{one.name}  {one.dtype} {_shape(one.shape)}") for one in tensors]


def _score(found: Inspection) -> str:
    if found.score is None:
        return "none: no output holds floating-point numbers; name a tensor inside that does by --score"
    if found.score.activation is None:
        return f"{found.score.tensor}, taken as it is: it comes from no softmax or sigmoid"
    last = found.score.activation
    return f"{found.score.logits}, the logits before {last.op} {last.node} (--score output: {found.score.tensor})"


def _gradient(found: Inspection) -> str:
    gradient = found.gradient
    if gradient.unsupported:
        return f"none: no rule for {_by_operator(gradient.unsupported)}; use a black-box method such as occlusion"
    if gradient.reason:
        return f"none: {gradient.reason}; use a black-box method such as occlusion"
    stops = f"; stopped, where there is no way round, at {_by_operator(gradient.stops)}" if gradient.stops else ""
    if gradient.differentiable:
        return f"reaches the score{stops}"
    return f"does not reach the score{stops}; use a black-box method such as occlusion"


def _by_operator(nodes: Sequence[NodeInfo]) -> str:
    kinds = Counter(one.op for one in nodes)
    return "; ".join(
        f"{count} {op} ({_names(one.node for one in nodes if one.op == op)})" for op, count in kinds.items()
    )


def _names(names: Iterable[str]) -> str:
    """Some names of many."""
    listed = list(names)
    more = f", and {len(listed) - NAMED} more, all in --json" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def _activations(found: Inspection) -> list[tuple[str, str]]:
    """How guided-backprop and deconvnet treat the activations; here every node is named."""
    words = {True: "overridden", False: "left alone"}
    kinds = Counter((one.op, one.overridden) for one in found.activations)
    return [
        ("relu policy", f"{count} {op} {words[over]}: {', '.join(_same(found, op, over))}")
        for (op, over), count in kinds.items()
    ] or [("relu policy", "no activation between input and score")]


def _same(found: Inspection, op: str, overridden: bool) -> list[str]:
    return [one.node for one in found.activations if (one.op, one.overridden) == (op, overridden)]


def _preprocess(found: Inspection) -> str:
    return repr(found.preprocess) if found.preprocess else "not in the metadata; pictures need --preprocess"


def _labels(labels: Sequence[str]) -> str:
    few = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
    return f"{len(labels)}: {few}" if labels else "not in the metadata; name their file with --labels"


def _shape(shape: Sequence[int | str] | None) -> str:
    return "(unknown)" if shape is None else f"({', '.join(map(str, shape))})"


def _tensor_and_mark(layer: LayerInfo) -> str:
    return f"{layer.tensor}  <- grad-cam's default" if layer.default else layer.tensor
