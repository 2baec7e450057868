"""Every operator of the standard has a rule, a decomposition or a body, or is declared to have no gradient."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnxray.autodiff.registry import FLOWS, NO_GRADIENT, RULES
from onnxray.autodiff.relu_policies import ACTIVATIONS
from onnxray.loading import load as _load  # noqa: F401  registers what legacy operators stand for
from onnxray.passes.decompositions import DECOMPOSITIONS
from onnxray.passes.sequences import RESOLVED

DOMAINS = ("", "ai.onnx.ml")
UPGRADED = {"Scatter": "ScatterElements", "Upsample": "Resize"}  # gone by the opset that files are read at


def way(schema: Any) -> str | None:
    """How the gradient gets past an operator."""
    key = (schema.domain, schema.name)
    ways = {
        "a rule": key in RULES or key in FLOWS,
        "no gradient": key in NO_GRADIENT,
        "a decomposition": key in DECOMPOSITIONS or (schema.domain == "" and schema.name in RESOLVED),
        "a body": schema.has_function or schema.has_context_dependent_function,
        "upgraded": schema.deprecated and schema.name in UPGRADED,
    }
    return next((name for name, holds in ways.items() if holds), None)


@pytest.mark.parametrize("domain", DOMAINS)
def test_none_is_missing(domain: str) -> None:
    found = {schema.name: way(schema) for schema in onnx.defs.get_all_schemas() if schema.domain == domain}
    print(f"{domain or 'ai.onnx'} of onnx {onnx.__version__}: {len(found)} operators, {Counter(found.values())}")
    assert [name for name, how in found.items() if how is None] == []


def test_the_registries_name_what_exists() -> None:
    """A rule of a misspelt name would never be found."""
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    named = {*RULES, *FLOWS, *NO_GRADIENT, *DECOMPOSITIONS}
    assert {key for key in named if key[0] in DOMAINS and key not in known} == set()
    runtime = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state", reason="no onnxruntime")
    own = {(schema.domain, schema.name) for schema in runtime.get_all_operator_schema()}
    assert {key for key in named if key[0].startswith("com.microsoft") and key not in own} == set()


def test_every_decomposition_of_the_standards_domain_is_tried() -> None:
    """In a test of passes or of loading that names it; those of other domains are counted in tests of their own."""
    folders = [Path(__file__).parents[1] / name for name in ("passes", "loading")]
    tried = "".join(file.read_text(encoding="utf-8") for folder in folders for file in folder.glob("test_*.py"))
    named = [op for domain, op in DECOMPOSITIONS if domain in ("", "onnxray.own")]
    assert len(named) > 15
    assert [op for op in named if not re.search(rf"\b{op}\b", tried)] == []


def test_every_rule_for_an_activation_is_listed_as_one() -> None:
    """Relu policies and ``inspect`` speak of these alone."""
    rules = {op for (_, op), rule in RULES.items() if rule.function.__module__ == "onnxray.autodiff.ops.activation"}
    assert rules == ACTIVATIONS


def test_operators_that_are_gone_are_upgraded() -> None:
    for old, new in UPGRADED.items():
        assert not onnx.defs.get_schema(new, 18).deprecated
        assert onnx.defs.get_schema(old, 18).deprecated
