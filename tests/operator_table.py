"""docs/operators.md, made from the registry itself: python tests/operator_table.py > docs/operators.md"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import onnx
import onnxray.explainer
import onnxray.gradient_nodes  # noqa: F401  both register what they replace
from onnxray.autodiff.registry import FLOWS, NO_GRADIENT, RULES
from onnxray.passes.decompose import DECOMPOSITIONS
from onnxray.passes.sequences import RESOLVED

OWN = "onnxray.own"
BLACK_BOXES = ("ai.onnx.ml", "com.microsoft")  # domains whose operators without a gradient compute with what they read
TITLES = {
    "": "The standard's operators",
    "ai.onnx.ml": "ai.onnx.ml",
    "ai.onnx.preview.training": "ai.onnx.preview.training",
    "com.microsoft": "com.microsoft",
    OWN: "What onnxruntime adds to the standard's domain",
}
MEANINGS = {
    "rule": "a vector-Jacobian product of its own",
    "flow": "a rule that goes through its subgraphs",
    "decomposed": "replaced, before the reverse pass, by operators that have rules",
    "body": "replaced by the function body that the ONNX standard gives it",
    "resolved": "a sequence or optional value: replaced by the tensors that flow through it",
    "lowered": "expanded by `onnxray.lower_gradients`",
    "no gradient": "the derivative is zero or undefined everywhere; the rest of the graph is explained",
    "black box": "no gradient, though the result depends on the input, as that of trees does; occlusion explains it",
    "upgraded": "no longer in the standard: onnxray replaces it by a later operator when it loads the file",
    "refused": "an `UnsupportedOperator` that names the node, where it lies between input and score",
}

HEAD = """# The operators

<!-- made by tests/operator_table.py from the registry; a test compares -->

What becomes of each operator of onnx {version}, and of those that onnxruntime's tools write, when a model is
differentiated. *Opsets* are the versions of the standard that changed the
operator; onnxray reads files from opset 7 on, and upgrades those below 18 to 18.
Notes are the first lines of the docstrings of the rules.

| | |
|---|---|
{meanings}
"""


def table() -> str:
    """The page: what the words mean, then a table per domain."""
    meanings = "\n".join(f"| {kind} | {meaning} |" for kind, meaning in MEANINGS.items())
    head = HEAD.format(version=".".join(onnx.__version__.split(".")[:2]), meanings=meanings)
    return "\n".join([head, *("\n".join(_section(domain)) for domain in TITLES)])


def _section(domain: str) -> Iterator[str]:
    versions = _versions(domain)
    registered = {op for held in (RULES, FLOWS, DECOMPOSITIONS, NO_GRADIENT) for where, op in held if where == domain}
    kinds = {op: _kind(domain, op) for op in sorted({*versions, *registered}, key=str.lower)}
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(kinds.values()).most_common())
    yield f"## {TITLES[domain]}\n\n{len(kinds)} operators: {counts}.\n"
    yield "| operator | | opsets | note |\n|---|---|---|---|"
    for op, kind in kinds.items():
        yield f"| {op} | {kind} | {', '.join(map(str, versions.get(op, [])))} | {_note(domain, op)} |"
    yield ""


def _versions(domain: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == domain:
            found.setdefault(schema.name, []).append(schema.since_version)
    return {op: sorted(versions) for op, versions in found.items()}


def _kind(domain: str, op: str) -> str:
    key = (domain, op)
    if key in NO_GRADIENT:
        return "black box" if domain in BLACK_BOXES else "no gradient"
    held = {"rule": RULES, "flow": FLOWS, "decomposed": DECOMPOSITIONS}
    for kind, registry in held.items():
        if key in registry:
            return kind
    if domain == "" and op in RESOLVED:
        return "resolved"
    if key == ("ai.onnx.preview.training", "Gradient"):
        return "lowered"
    return _kind_by_schema(domain, op)


def _kind_by_schema(domain: str, op: str) -> str:
    try:
        schema = onnx.defs.get_schema(op, domain)
    except onnx.defs.SchemaError:
        return "refused"
    if schema.deprecated:
        return "upgraded"
    return "body" if schema.has_function or schema.has_context_dependent_function else "refused"


def _note(domain: str, op: str) -> str:
    """The first line of the docstring of what is registered."""
    key = (domain, op)
    found: Callable | None = RULES[key].function if key in RULES else FLOWS.get(key, DECOMPOSITIONS.get(key))
    return ((found.__doc__ if found else None) or "").strip().split("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    print(table(), end="")
