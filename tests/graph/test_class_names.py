"""Names of classes that exports of ultralytics keep as the text of a Python dict."""

from __future__ import annotations

import pytest
from onnxray.graph.metadata import class_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'person', 1: 'bicycle'}", {0: "person", 1: "bicycle"}),
        ("{}", {}),
        ("['a', 'b']", {}),
        ("{'a': 'b'}", {}),
        ("{0: 1}", {}),
        ("__import__('os').getcwd()", {}),
        ("(" * 500, {}),
    ],
)
def test_names_are_read_and_nothing_is_run(text: str, names: dict[int, str]) -> None:
    assert class_names({"names": text}) == names
    assert class_names({}) == {}
