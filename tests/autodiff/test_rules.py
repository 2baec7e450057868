"""Every rule against central differences in float64, and onnxruntime's float32 against that."""

from typing import Any, get_args

import pytest
from cases import CASES, daily
from gradcheck import Case, check_against_differences, check_on_runtime
from onnxray.autodiff.registry import RULES
from onnxray.graph.builder import Lowering

ELSEWHERE = {
    "Cast": "test_shape_rules.py: the type to cast to is an attribute, float64 cannot stand in for it",
    "ConvInteger": "test_quantization_rules.py: its operands are integers",
    "DynamicQuantizeLinear": "test_quantization_rules.py: differences see only the steps",
    "MatMulInteger": "test_quantization_rules.py: its operands are integers",
    "Optional": "test_sequences.py: it gives no tensor",
    "OptionalGetElement": "test_sequences.py: it takes no tensor",
    "QuantizeLinear": "test_quantization_rules.py: differences see only the steps",
}
FILES = {  # by the beginning of domain and operator
    "ai.onnx.ml::": "test_tabular.py: the reference evaluates them in float32",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_central_differences(case: Case) -> None:
    check_against_differences(case)


def with_lowerings() -> list[Any]:
    """Every case with every lowering; every day all with that for CPUs, and one of each operator with the others."""
    return [
        pytest.param(*param.values, lowering, id=f"{param.id}-{lowering}", marks=param.marks)
        for lowering in get_args(Lowering)
        for param in daily(CASES, more=CASES if lowering == "cpu" else ())
    ]


@pytest.mark.parametrize(("case", "lowering"), with_lowerings())
def test_on_the_runtime(case: Case, lowering: str) -> None:
    check_on_runtime(case, "none", lowering)


@pytest.mark.parametrize("case", daily([c for c in CASES if c.symbolic == "all"]))
def test_with_unknown_shapes(case: Case) -> None:
    check_on_runtime(case, "all", "portable")


@pytest.mark.parametrize(
    "case", daily([c for c in CASES if c.symbolic != "none"], more=[c for c in CASES if c.symbolic == "batch"])
)
def test_with_an_unknown_batch(case: Case) -> None:
    check_on_runtime(case, "batch", "cpu")


def test_every_rule_has_a_case() -> None:
    rules = {(domain, op) for domain, op in RULES if not f"{domain}::{op}".startswith(tuple(FILES))}
    assert rules == {(case.domain, case.op) for case in CASES} | {("", op) for op in ELSEWHERE}


def test_every_static_case_says_why() -> None:
    assert [str(case) for case in CASES if case.symbolic != "all" and not case.why] == []
