"""Every option of `onnxray evaluate` changes what it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxray
import pytest
from cli_tools import DIGITS
from gate_tools import Asked, means
from onnxray.cli.app import run

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_evaluate(folder: str, asked: Asked) -> None:
    def found(*arguments: str) -> dict[str, Any]:
        call = ["evaluate", DIGITS, folder, "--labels", "names.txt", "--threads", "1", "--metric", "sparseness"]
        return asked(*call, *arguments)

    assert len(found("-m", "saliency")["rows"]) == 12
    record = found("-m", "saliency", "--samples", "4", "--seed", "3", "--target", "label")
    assert [one["target"] for one in record["rows"]] == [one["label"] for one in record["rows"]]
    assert len(record["rows"]) == 4
    assert (record["provenance"]["target"], record["provenance"]["seed"]) == ("label", 3)
    cams = [means(found("-m", "grad-cam", "--layer", name, "--samples", "2")) for name in ("conv1", "conv3")]
    assert cams[0] != cams[1]
    inverted = found("-m", "saliency", "--preprocess", "unit,channels=L,range=1/0")
    assert means(inverted) != means(found("-m", "saliency"))
    steps = [means(found("-m", "integrated-gradients", "--samples", "2", "--option", f"steps={k}")) for k in (1, 20)]
    assert steps[0] != steps[1]
    channels = onnxray.activations(DIGITS, sorted(Path(folder).rglob("*.png")), "average")["average"].argmax(1)
    call = ["evaluate", DIGITS, folder, "--threads", "1", "--metric", "sparseness"]  # labels name classes, not channels
    rows = asked(*call, "-m", "saliency", "--score", "average")["rows"]
    assert sorted(one["target"] for one in rows) == sorted(channels.ravel().tolist())
    for bad in (["--provider", "abacus"], ["--target", "mine"], ["--memory", "much"], ["--option", "steps"]):
        assert run(["evaluate", DIGITS, folder, "--labels", "names.txt", *bad]) == 2
