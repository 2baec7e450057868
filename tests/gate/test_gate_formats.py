"""What other programs read of a comparison: JSON by its schema, Markdown, node data, and the steps of the action."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import onnxray
import pytest
import yaml
from held_out import digits
from json_schemas import FOLDER, schemas
from onnxray import Comparison, compare, evaluate, models
from onnxray.gate.layers.randomise import randomised
from onnxray.gate.reports.node_data import write_node_data
from onnxray.gate.summary import Check

ROOT = Path(__file__).parents[2]
DIGITS = models.path("digits.onnx")
X = digits().unseen[:3, None].astype(np.float32) / 255


@pytest.fixture(scope="module")
def found() -> Comparison:
    """One that fails, with a sample that has no numbers, layers and a scale."""
    other = randomised(onnxray.load(DIGITS), 0, share=0.2)
    return compare(DIGITS, other, np.concatenate([X, X[:1] * np.nan]), methods="saliency", calibrate=True, threads=1)


def held(record: Any, schema: str) -> None:
    jsonschema.Draft202012Validator(schemas()[schema]).validate(record)


def test_the_schemas_in_the_docs_are_those_of_the_records() -> None:
    assert {path.name: json.loads(path.read_text()) for path in FOLDER.iterdir()} == schemas()


def test_a_comparison_is_as_its_schema_says(found: Comparison) -> None:
    record = json.loads(found.json_text())
    held(record, "compare.schema.json")
    assert record["layers"]["layers"]
    assert record["calibration"]["scales"]
    assert record["failed"]
    for part, name in ((record, "verdict"), (record["checks"][0], "value"), (record["samples"][0], "maps")):
        value = part.pop(name)
        with pytest.raises(jsonschema.ValidationError):
            held(record, "compare.schema.json")
        part[name] = value


def test_an_evaluation_is_as_its_schema_says() -> None:
    record = json.loads(evaluate(DIGITS, X, methods="saliency", metrics=["sparseness"], threads=1).json_text())
    held(record, "evaluate.schema.json")
    record["ranking"][0]["rank"] = "first"
    with pytest.raises(jsonschema.ValidationError):
        held(record, "evaluate.schema.json")


def test_markdown_has_the_verdict_and_every_metric(found: Comparison, tmp_path: Path) -> None:
    lines = found.markdown(tmp_path / "new" / "summary.md").read_text().splitlines()
    assert lines[0] == "## onnxray compare: FAIL"
    assert "3 samples, 1 skipped" in lines[2]
    assert any(line.startswith("- ❌ saliency calibrated fails: ") for line in lines)
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + len(found.summary)
    assert {line.count(" | ") for line in rows} == {4}


def test_node_data_name_nodes_of_the_reference(tmp_path: Path) -> None:
    """Which have other names than their tensors."""
    model = onnx.load(DIGITS)
    for node in model.graph.node:
        node.name = f"/features/{node.name or node.output[0]}"
    found = compare(model, randomised(onnxray.load(model), 0, share=0.2), X, methods="saliency", threads=1).layers
    assert found is not None
    write_node_data(found, tmp_path)
    for name in ("activations-by-node.json", "evidence-by-node.json"):
        results = json.loads((tmp_path / name).read_text())["results"]
        assert results
        assert set(results) <= {node.name for node in model.graph.node}
        assert all(np.isfinite(one["value"]) for one in results.values())
    evidence = {one.node: one.attribution for one in found.layers}
    assert all(one["value"] == pytest.approx(1 - evidence[key]) for key, one in results.items())


def test_an_undecided_check_says_what_its_interval_includes() -> None:
    check = Check("saliency", "spearman", 0.43, 0.5, False, (0.13, 0.67))
    doubt = "(95 % interval 0.13 to 0.67 includes 0.5: more samples would decide)"
    assert str(check) == f"saliency spearman fails: 0.43 is below 0.5 {doubt}"
    assert str(Check("saliency", "relative-l2", 0.1, 0.5, True, (0.1, 0.2))) == (
        "saliency relative-l2 passes: 0.1 is at most 0.5"
    )


def steps() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]


def test_the_action_installs_what_compare_needs() -> None:
    """The extras are those of this checkout; every input and step that is named exists."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    script = next(one["run"] for one in steps() if one.get("name") == "Install onnxray")
    assert script == 'python -m pip install --quiet "$ONNXRAY[cpu,gate]"'
    named = {value for step in steps() for value in {**step.get("env", {}), **step.get("with", {})}.values()}
    assert {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]} <= named


@pytest.mark.slow  # a process with a report each
@pytest.mark.parametrize(("share", "code", "verdict"), [(0.0, 0, "pass"), (1.0, 1, "fail"), (None, 2, None)])
def test_the_steps_of_the_action(share: float | None, code: int, verdict: str | None, tmp_path: Path) -> None:
    """Run as the runner does: the shell's options, inputs as variables, files for summary and outputs."""
    candidate = randomised(onnxray.load(DIGITS), 0, share=share) if share else onnxray.load(DIGITS)
    onnx.save(candidate.proto(), tmp_path / "new model.onnx")
    np.save(tmp_path / "x.npy", X)
    step = next(one for one in steps() if one.get("id") == "compare")
    given = {
        "reference": DIGITS, "candidate": "new model.onnx" if share is not None else "none.onnx", "data": "x.npy\n",
        "arguments": "--method\nsaliency\n\n--threads=1", "report": "out",
    }  # fmt: skip
    inputs = {f"${{{{ inputs.{name} }}}}": str(value) for name, value in given.items()}
    files = {"GITHUB_STEP_SUMMARY": tmp_path / "summary", "GITHUB_OUTPUT": tmp_path / "output"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **{k: inputs[v] for k, v in step["env"].items()}, **files, "PATH": path}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    if verdict is None:
        assert "none.onnx" in done.stderr
        assert not files["GITHUB_STEP_SUMMARY"].exists()
        return
    assert files["GITHUB_OUTPUT"].read_text() == f"verdict={verdict}\n"
    assert files["GITHUB_STEP_SUMMARY"].read_text().startswith(f"## onnxray compare: {verdict.upper()}")
    assert {"report.html", "report.json", "junit.xml", "evidence-by-node.json"} <= {
        one.name for one in (tmp_path / "out").iterdir()
    }
