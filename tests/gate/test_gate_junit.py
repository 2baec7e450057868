"""JUnit XML: what CI servers read, by the rules of their schema."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnxray
import pytest
from held_out import digits
from onnxray import Comparison, compare, models
from onnxray.gate.layers.randomise import randomised

DIGITS = models.path("digits.onnx")
X = digits().unseen[:4, None].astype(np.float32) / 255
OF_SUITE = {"name", "tests", "failures", "errors", "skipped"}  # of those that Jenkins' junit-10.xsd knows
RESULTS = {"failure", "error", "skipped"}


@pytest.fixture(scope="module")
def found() -> Comparison:
    bad = np.concatenate([X, X[:1] * np.nan])
    other = randomised(onnxray.load(DIGITS), 0, share=0.2)
    gate = {"saliency.cosine": 0.999, "top1": 0.0}
    return compare(DIGITS, other, bad, methods=["saliency", "grad-cam"], fail_under=gate, threads=1)


def read(found: Comparison, path: Path) -> ElementTree.Element:
    """The only suite of a file that follows the schema."""
    root = ElementTree.parse(found.junit(path)).getroot()
    assert root.tag == "testsuites"
    (suite,) = root
    assert (suite.tag, set(suite.attrib)) == ("testsuite", OF_SUITE)
    for case in suite:
        assert (case.tag, set(case.attrib)) == ("testcase", {"name", "classname"})
        assert all(case.attrib.values())
        assert len(case) <= 1
        assert {one.tag for one in case} <= RESULTS
        assert all(one.get("message") for one in case)
    for key, tag in {"failures": "failure", "errors": "error", "skipped": "skipped"}.items():
        assert int(suite.attrib[key]) == len(suite.findall(f"testcase/{tag}"))
    assert int(suite.attrib["tests"]) == len(suite)
    return suite


def test_a_gate_that_fails(found: Comparison, tmp_path: Path) -> None:
    suite = read(found, tmp_path / "deep" / "gate.xml")
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "saliency cosine" in (failure.get("message") or "")
    assert found.layers is not None
    assert failure.text == f"evidence breaks at layer {found.layers.breaks}"
    assert [case.get("classname") for case in suite] == ["onnxray.saliency", "onnxray.outputs", "onnxray.samples"]
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert "sample:4" in (skipped.get("message") or "")


def test_a_gate_that_passes(tmp_path: Path) -> None:
    suite = read(compare(DIGITS, DIGITS, X, methods="saliency", layers=False), tmp_path / "gate.xml")
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")


def test_names_that_xml_has_no_place_for(tmp_path: Path) -> None:
    name = tmp_path / "a\x07<&>\u00e9.png"
    name.write_bytes(b"no picture")
    pictures = [name, models.path("digit.png")]
    suite = read(compare(DIGITS, DIGITS, pictures, methods="saliency", layers=False), tmp_path / "gate.xml")
    assert suite.findall("testcase")[-1].get("name") == str(tmp_path / "a?<&>\u00e9.png")
