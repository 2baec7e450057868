"""Helpers of several rooms: NAME=VALUE, versions, JSON, distances, the memory of the process."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import pytest
from onnxray import InputError
from onnxray.support.distance import relative_l2
from onnxray.support.heap import held_memory, reset_peak
from onnxray.support.json_text import json_text
from onnxray.support.name_value import name_and_value
from onnxray.support.versions import installed_versions


def test_name_and_value() -> None:
    assert name_and_value(" steps = a=b ", "--option", "NAME=VALUE", "steps=20") == ("steps", "a=b")
    assert name_and_value("steps=", "--option", "NAME=VALUE", "steps=20") == ("steps", "")
    with pytest.raises(InputError, match=r"^--option 'steps': give NAME=VALUE, such as steps=20$"):
        name_and_value("steps", "--option", "NAME=VALUE", "steps=20")
    with pytest.raises(InputError, match=r"^preprocess 'fit=': give SETTING=VALUE, such as fit=crop$"):
        name_and_value("fit=", "preprocess", "SETTING=VALUE", "fit=crop", empty=False)


def test_versions_are_those_that_are_installed() -> None:
    assert installed_versions(["onnx", "no-such-package"]) == {"onnx": onnx.__version__}


def test_json_has_null_for_what_is_no_number() -> None:
    record = {"a": [np.nan, 1.5, (np.float64("inf"), True)], "b": {"c": -np.inf, "d": "é"}, "e": sys}
    text = json_text(record, ensure_ascii=False)
    assert json.loads(text) == {"a": [None, 1.5, [None, True]], "b": {"c": None, "d": "é"}, "e": str(sys)}
    assert "é" in text


def test_relative_l2_is_of_all_arrays_together() -> None:
    truth = [np.array([3.0, 0.0], np.float32), np.array([[4.0]], np.float32)]
    found = [np.array([3.0, 1.0], np.float32), np.array([[4.0]], np.float32)]
    assert relative_l2(found, truth) == pytest.approx(1 / 5)
    assert relative_l2(truth, truth) == 0
    assert relative_l2([np.ones(1)], [np.zeros(1)]) == pytest.approx(1e30)


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")
def test_the_peak_is_that_since_the_reset() -> None:
    np.ones(2**25, np.uint8)  # is freed at once
    if not reset_peak():
        pytest.skip("the system does not let a process reset its peak")
    grown, size = 0, 2**26
    for _ in range(3):  # a system may reclaim cold pages of the process meanwhile
        reset_peak()
        before = held_memory("VmHWM")
        assert abs(before - held_memory()) < 2**24
        held = np.ones(size, np.uint8)
        grown = max(grown, held_memory("VmHWM") - before)
        del held
    assert grown > 0.9 * size
    assert held_memory("no entry") == 0
