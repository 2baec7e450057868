"""JUnit XML of a comparison: a test case for each threshold, and one for each sample that failed or misses its box."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from ...support.writing import write_bytes
from ..record import ComparisonRecord

__all__ = ["write_junit"]

_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 has no place for


def write_junit(comparison: ComparisonRecord, path: Path) -> Path:
    """Writes the file; its folder is made where it is missing."""
    suites = ElementTree.Element("testsuites")
    ElementTree.SubElement(suites, "testsuite").extend(_cases(comparison))
    suite = suites[0]
    suite.set("name", _text(f"onnxray compare {comparison.reference} {comparison.candidate}"))
    counts = {"tests": None, "failures": "failure", "errors": "error", "skipped": "skipped"}
    for key, tag in counts.items():
        suite.set(key, str(len(suite) if tag is None else sum(case.find(tag) is not None for case in suite)))
    ElementTree.indent(suites)
    return write_bytes(path, ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True))


def _cases(comparison: ComparisonRecord) -> list[ElementTree.Element]:
    cases = []
    for check in comparison.checks:
        case = ElementTree.Element("testcase", classname=f"onnxray.{check.method}", name=_text(check.metric))
        if not check.passed:
            ElementTree.SubElement(case, "failure", message=_text(str(check))).text = _text(_where(comparison))
        cases.append(case)
    for row in comparison.rows:
        if row.finding:
            case = ElementTree.Element("testcase", classname="onnxray.samples", name=_text(row.name))
            ElementTree.SubElement(case, "failure", message=_text(row.finding))
            cases.append(case)
    for failed in comparison.failed:
        case = ElementTree.Element("testcase", classname="onnxray.samples", name=_text(failed.name))
        ElementTree.SubElement(case, "skipped", message=_text(str(failed)))
        cases.append(case)
    return cases


def _where(comparison: ComparisonRecord) -> str:
    layers = comparison.layers
    return f"evidence breaks at layer {layers.breaks}" if layers and layers.breaks else ""


def _text(text: str) -> str:
    return _CONTROL.sub("?", text)
