"""compare() and evaluate() name every setting, and no other."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import onnxray
import pytest
from by_hand import LETTERS
from cli_tools import DIGIT, DIGITS
from onnxray.cli.app import run
from onnxray.gate.model_under_test import model_under_test
from onnxray.gate.settings import CompareSettings
from onnxray.methods.catalogue import method_options

CALLS: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
    (onnxray.compare, (DIGITS, DIGITS, DIGIT)),
    (onnxray.evaluate, (DIGITS, DIGIT)),
]
OF_MUTAGENESIS: dict[str, Any] = {"letters": 0, "show": "centred"}  # which takes no picture
each_call = pytest.mark.parametrize(("call", "given"), CALLS, ids=["compare", "evaluate"])


def keywords(call: Callable[..., Any]) -> set[str]:
    return {
        name for name, one in inspect.signature(call).parameters.items() if one.kind is inspect.Parameter.KEYWORD_ONLY
    }


@each_call
def test_a_typo_is_a_type_error_that_names_it(call: Callable[..., Any], given: tuple[str, ...]) -> None:
    for typo in ("metodhs", "stepz", "candidate_provider"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{typo}'"):
            call(*given, **{typo: 3})


@each_call
def test_every_option_of_a_method_is_a_keyword(call: Callable[..., Any], given: tuple[str, ...]) -> None:
    assert set(method_options()) <= keywords(call)


BY = {"executor", "workers", "address"}  # who measures, which changes no number


def test_compare_names_every_setting_and_nothing_else() -> None:
    named = {one.name for one in fields(CompareSettings)}
    assert keywords(onnxray.compare) == named | set(method_options()) | BY | {"failed", "progress"}
    assert [one.name for one in fields(CompareSettings) if one.default is not MISSING] == []  # none can be forgotten


def test_evaluate_names_every_setting_of_an_explainer_and_those_that_compare_shares() -> None:
    side = set(inspect.signature(model_under_test).parameters) - {"model", "optimization"}  # of a side's session
    of_two = {"fail_under", "calibrate", "layers", "golden", "journal", "candidate_providers"}
    of_two |= {"reference_session", "candidate_session"}
    assert side <= keywords(onnxray.evaluate)
    assert keywords(onnxray.evaluate) == keywords(onnxray.compare) - of_two


@each_call
def test_every_keyword_of_a_method_reaches_it(call: Callable[..., Any], given: tuple[str, ...]) -> None:
    """``samples`` and ``seed`` are those of the data, so smoothgrad's are given by the mapping; mutagenesis has a test
    of its own."""
    options = {"steps": 2, "baseline": 0.5, "rule": "inclusive", "noise": 0.1, "relu": False, "window": 14}
    options |= {"stride": 14, "overlap": "sum", "groups": "grid", "cells": 2, "keep": 0.4}
    options |= {"kernel_width": 0.5, "ridge": 2.0, "composite": "epsilon", "of": "input-x-gradient"}
    options |= {"statistic": "variance"}
    assert set(options) == set(method_options()) - {"samples", "seed", "layer", *OF_MUTAGENESIS}
    methods = ["integrated-gradients", "smoothgrad", "grad-cam", "occlusion", "lime", "rise", "lrp"]
    quick = {"layers": False} if call is onnxray.compare else {"metrics": "sparseness"}
    found = call(*given, methods=methods, threads=1, **quick, **options, options={"samples": 2, "seed": 5})
    told = found.provenance["options" if call is onnxray.compare else "settings"]
    assert (options | {"samples": 2, "seed": 5}).items() <= eval(told).items()
    if call is onnxray.compare:
        used = [found.pair.candidate.explainers[name].method for name in methods]
        assert {name: getattr(one, name) for one in used for name in options if hasattr(one, name)} == options
        assert (used[1].samples, used[1].seed) == (2, 5)


def test_options_of_mutagenesis_reach_it() -> None:
    asked = {"methods": "mutagenesis", "threads": 1, **OF_MUTAGENESIS}
    net, x = LETTERS.proto(), LETTERS.x(1)
    found = onnxray.compare(net, net, x, layers=False, fail_under={}, **asked)
    method = found.pair.candidate.explainers["mutagenesis"].method
    assert {name: getattr(method, name) for name in OF_MUTAGENESIS} == OF_MUTAGENESIS
    told = onnxray.evaluate(net, x, metrics="sparseness", **asked).provenance["settings"]
    assert eval(told).items() >= OF_MUTAGENESIS.items()


def test_an_option_that_is_none_leaves_the_default_of_the_method() -> None:
    quick = {"methods": "integrated-gradients", "layers": False, "threads": 1}
    found = onnxray.compare(DIGITS, DIGITS, DIGIT, steps=None, baseline=None, **quick)
    assert found.pair.candidate.explainers["integrated-gradients"].method == onnxray.METHODS["integrated-gradients"]()


@pytest.mark.parametrize("option", ["score=output", "threads=1", "layer=conv1"])
@pytest.mark.parametrize("command", [["compare", DIGITS, DIGITS], ["evaluate", DIGITS]])
def test_a_setting_among_the_options_of_methods_is_one_line(
    command: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, DIGIT, "-m", "grad-cam", "--option", option]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert repr(option.split("=")[0 if "layer" not in option else 1]) in err


def test_samples_of_smoothgrad_on_the_command_line_of_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["-m", "smoothgrad", "--metric", "sparseness", "--threads", "1"]
    assert run(["evaluate", DIGITS, DIGIT, *quick, "--option", "samples=2", "--json", "-"]) == 0
    assert "'samples': 2" in capsys.readouterr().out
