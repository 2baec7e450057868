"""The examples in the docstrings of public functions and classes run, and say what is raised."""

from __future__ import annotations

import doctest
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import onnxray
import pytest

SHOWN = {
    "explain": onnxray.explain,
    "Explainer": onnxray.Explainer,
    "Explainer.__call__": onnxray.Explainer.__call__,
    "Explainer.save": onnxray.Explainer.save,
    "jacobian": onnxray.jacobian,
    "load": onnxray.load,
    "activations": onnxray.activations,
    "differentiate": onnxray.differentiate,
    "lower_gradients": onnxray.lower_gradients,
    "Attribution": onnxray.Attribution,
    "Preprocess": onnxray.Preprocess,
    "compare": onnxray.compare,
    "evaluate": onnxray.evaluate,
}
each = pytest.mark.parametrize("name", SHOWN)


def text_of(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


@each
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestFinder(recurse=False).find(SHOWN[name], name, globs={})
    assert [bool(one.examples) for one in found] == [True]
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = doctest.DocTestRunner(verbose=False).run(found[0], out=told.append)
    assert results.failed == 0, "".join(told)
    assert results.attempted >= 2


@each
def test_the_first_line_is_a_sentence(name: str) -> None:
    assert re.fullmatch(r"[A-Z].*\.", text_of(SHOWN[name]).split("\n")[0])


@each
def test_every_parameter_is_told(name: str) -> None:
    told = section(name, "Args")
    names = re.findall(r"^(?:\*\*)?(\w+):", told, re.MULTILINE)
    assert names == [one for one in inspect.signature(SHOWN[name]).parameters if one != "self"]


@each
def test_errors_are_named_and_public(name: str) -> None:
    named = re.findall(r"^(\w+):", section(name, "Raises"), re.MULTILINE)
    assert named != []
    assert [one for one in named if not issubclass(getattr(onnxray, one), onnxray.OnnxrayError)] == []


def section(name: str, title: str) -> str:
    """The text of a section, without its indentation."""
    found = re.search(rf"^{title}:\n((?:    .*\n|\n)+)", text_of(SHOWN[name]) + "\n", re.MULTILINE)
    return inspect.cleandoc("\n" + found[1]) if found else ""
