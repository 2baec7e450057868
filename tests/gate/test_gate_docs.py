"""docs/compare.md: its Python runs, its commands are parsed, and its table is that of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from detector_nets import NETS
from held_out import digits
from onnxray import models
from onnxray.cli.app import run
from onnxray.cli.evaluate import evaluate_model
from onnxray.gate.metrics.agreement import METRICS
from onnxray.gate.metrics.inside_mask import MASKED
from onnxray.gate.metrics.outputs import OF_CLASSES, OUTPUTS
from onnxray.gate.metrics.quality import QUALITIES
from onnxray.gate.model_under_test import DEFAULT_METHODS
from PIL import Image

YOLO = next(net for net in NETS if net.name == "yolov8" and len(net.shapes) == 1 and net.metadata)
PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names: models, and three pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("model.onnx", "int8.onnx", "new-int8.onnx"):
        (tmp_path / name).write_bytes(models.path("digits.onnx").read_bytes())
    for name in ("yolox.onnx", "yolox-int8.onnx"):
        onnx.save(YOLO.proto(), name)
    Path("coco.txt").write_text("cat\ndog\nowl")
    (tmp_path / "photos").mkdir()
    for index, row in enumerate(digits().unseen[:3]):
        Image.fromarray(row).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path


def test_the_python_runs() -> None:
    codes = blocks("python")
    assert len(codes) == 2
    for code in codes:
        if "quantus" in code:
            pytest.importorskip("quantus", reason="the extra quantus is not installed")
        held = digits()
        names = {"x": held.unseen[:3, None].astype(np.float32) / 255, "y": held.unseen_labels[:3]}
        exec(compile(code, "docs/compare.md", "exec"), names)
        if "quantus" in code:
            assert len(names["scores"]) == 3
            assert np.isfinite(names["scores"]).all()
        else:
            assert isinstance(names["found"], onnxray.Comparison)


@pytest.mark.slow
@pytest.mark.parametrize("line", [one for block in blocks("sh") for one in block.splitlines() if "pip " not in one])
def test_the_commands_run(line: str) -> None:
    if "model.golden" in line and "--golden" not in line:
        record = "compare model.onnx int8.onnx photos --calibrate --golden model.golden --no-layers"
        assert run(shlex.split(record)) == 0
    name, *arguments = shlex.split(line, comments=True)
    assert name == "onnxray"
    if "provider=cuda" in line and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA")
    assert run([*arguments, "--threads", "1"]) == 0


def test_the_tables_are_those_of_the_code() -> None:
    others = [name for name in OUTPUTS if name not in OF_CLASSES]
    rows = re.findall(r"^\| (`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*) \|", PAGE, re.MULTILINE)
    assert re.findall(r"`([a-z0-9-]+)`", " ".join(rows)) == [*METRICS, *MASKED, *others, "score-drift"]
    assert [name for name in (*OUTPUTS, *QUALITIES) if f"`{name}`" not in PAGE] == []
    spoken = " ".join((evaluate_model.__doc__ or "").lower().replace("-", " ").split())
    words = {"parameter-randomisation": "randomised weights", "label-randomisation": "other classes"}
    assert [name for name in QUALITIES if words.get(name, name.replace("-", " ")) not in spoken] == []
    assert ", ".join(DEFAULT_METHODS) in " ".join(PAGE.split())
    for name, metric in METRICS.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
        assert row.split("|")[4].strip() == f"{metric.perfect:g}"


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (Path(__file__).parents[2] / "docs" / link).exists()] == []
