"""Every option of `onnxray compare` changes what it names."""

from __future__ import annotations

import csv
import inspect
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from cli_tools import CANCER, DIGIT, DIGITS
from gate_tools import FAST, Asked, means
from held_out import digits
from onnxray import models
from onnxray.cli.app import run
from onnxray.cli.compare import compare_models
from onnxray.cli.evaluate import evaluate_model
from onnxray.gate.settings import CompareSettings

HELD = digits()
pytestmark = pytest.mark.usefixtures("elsewhere")


def test_methods_and_their_options(asked: Asked) -> None:
    record = asked("compare", DIGITS, DIGITS, DIGIT, *FAST)
    methods = {one["method"] for one in record["summary"]} - {"outputs"}
    assert methods == {"saliency", "input-x-gradient", "integrated-gradients", "grad-cam"}
    record = asked(
        "compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "integrated-gradients", "-m", "smoothgrad",
        "--option", "steps=3", "--option", "samples=2", "--option", "baseline=0.5", "--option", "rule=inclusive",
    )  # fmt: skip
    assert eval(record["provenance"]["options"]) == {"steps": 3, "samples": 2, "baseline": 0.5, "rule": "inclusive"}


def test_metrics(asked: Asked) -> None:
    record = asked("compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency", "--metric", "ssim", "--metric", "cosine")
    assert [key for key in means(record) if key[0] == "saliency"] == [("saliency", "ssim"), ("saliency", "cosine")]


@pytest.mark.parametrize("target", ["reference", "label", "own"])
def test_targets_and_labels(target: str, other: str, folder: str, asked: Asked) -> None:
    named = ["--labels", "names.txt", "--target", target]
    record = asked("compare", DIGITS, other, folder, *FAST, "-m", "saliency", *named)
    rows = record["samples"]
    assert sorted(one["label"] for one in rows) == sorted(HELD.unseen_labels[:12].tolist())
    if target == "label":
        assert [one["target"] for one in rows] == [one["label"] for one in rows]
    assert all(one["correct"][0] for one in rows)
    assert not all(one["correct"][1] for one in rows)
    own = asked("compare", DIGITS, other, folder, *FAST, "-m", "saliency", *named[:2], "--target", "reference")
    assert (means(own) != means(record)) == (target == "own")


def test_sub_folders_must_be_classes(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", DIGITS, DIGITS, folder, *FAST]) == 2  # the model calls its classes 0 to 9
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "sub-folder" in said
    assert "the labels are 0, 1" in said
    assert "pattern" in said


def test_samples_and_seed(folder: str, asked: Asked) -> None:
    def drawn(*arguments: str) -> list[str]:
        call = ["compare", DIGITS, DIGITS, folder, *FAST, "-m", "saliency", "--labels", "names.txt", *arguments]
        return [one["name"] for one in asked(*call)["samples"]]

    assert len(drawn()) == 12
    first = drawn("--samples", "5")
    assert len(first) == 5
    assert first == drawn("--samples", "5", "--seed", "0") != drawn("--samples", "5", "--seed", "1")


@pytest.mark.slow
def test_calibrate_and_its_gate(other: str, folder: str, asked: Asked) -> None:
    call = [folder, *FAST, "-m", "saliency", "--labels", "names.txt", "--calibrate", "--fail-under", "calibrated=0.8"]
    same, changed = asked("compare", DIGITS, DIGITS, *call), asked("compare", DIGITS, other, *call)
    assert (same["verdict"], same["calibration"]["scores"]["saliency"]) == ("pass", 1)
    assert changed["verdict"] == "fail"
    assert changed["calibration"]["scores"]["saliency"] < 0.3
    assert [(one["metric"], one["threshold"]) for one in changed["checks"]] == [("calibrated", 0.8)]
    assert run(["compare", DIGITS, DIGITS, *call]) == 0
    assert run(["compare", DIGITS, other, *call]) == 1


@pytest.mark.slow
def test_thresholds(other: str) -> None:
    call = ["compare", DIGITS, other, DIGIT, *FAST, "-m", "saliency", "-m", "grad-cam"]
    assert run([*call, "--fail-under", "relative-l2=1000", "--fail-under", "saliency.cosine=-1"]) == 0
    assert run([*call, "--fail-under", "relative-l2=0.001"]) == 1
    assert run([*call, "--fail-under", "top1=1"]) == 1
    assert run([*call, "--fail-under", "calibrated=0.5"]) == 2
    assert run([*call, "--fail-under", "mass-inside=0.5"]) == 2


@pytest.mark.slow
def test_layers(other: str, asked: Asked) -> None:
    call = ["compare", DIGITS, other, DIGIT, "-m", "saliency", "--threads", "1"]
    record = asked(*call, "--layers")
    assert record["layers"]["breaks"] == "conv1"
    assert len(record["layers"]["layers"]) == 12
    assert asked(*call, "--no-layers")["layers"] is None


def test_layer_and_score(asked: Asked, other: str) -> None:
    def cam(*arguments: str) -> dict[tuple[str, str], float]:
        return means(asked("compare", DIGITS, other, DIGIT, *FAST, "-m", "grad-cam", *arguments))

    assert cam("--layer", "conv1") == cam("--layer", "conv1") != cam("--layer", "conv3")
    channel = int(onnxray.activations(DIGITS, DIGIT, "average")["average"].argmax())  # of 32, not of 10 classes
    (row,) = asked("compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency", "--score", "average")["samples"]
    assert row["target"] == channel


def test_preprocess(asked: Asked, other: str) -> None:
    def seen(*arguments: str) -> dict[str, Any]:
        return asked("compare", DIGITS, other, DIGIT, *FAST, "-m", "saliency", *arguments)

    inverted = seen("--preprocess", "unit,channels=L,range=1/0")
    assert "range=(1.0, 0.0)" in inverted["provenance"]["recipe"]
    assert means(inverted) != means(seen()) == means(seen("--preprocess", "unit,channels=L"))


@pytest.mark.slow
def test_another_provider_for_the_candidate(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    import onnxruntime

    call = ["compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency"]
    where = asked(*call, "--provider", "cpu")["provenance"]["providers"]
    assert where == {"reference": ["CPUExecutionProvider"], "candidate": ["CPUExecutionProvider"]}
    if "AzureExecutionProvider" in onnxruntime.get_available_providers():  # of CPU wheels; it leaves all to the CPU
        record = asked(*call, "--candidate-provider", "azure", "--candidate-provider", "cpu")
        assert record["provenance"]["providers"]["candidate"] == ["AzureExecutionProvider", "CPUExecutionProvider"]
        assert record["provenance"]["providers"]["reference"] == ["CPUExecutionProvider"]
        assert means(record)["saliency", "cosine"] > 0.999999  # a gradient graph for any provider, not for the CPU
    capsys.readouterr()
    for option in ("--provider", "--candidate-provider"):
        assert run([*call, option, "abacus"]) == 2
        err = capsys.readouterr().err
        assert "no execution provider 'abacus'" in err
        assert err.count("\n") == 1


@pytest.mark.slow
def test_threads_and_memory_change_nothing(asked: Asked) -> None:
    def found(*arguments: str) -> dict[tuple[str, str], float]:
        call = ["compare", DIGITS, DIGITS, DIGIT, "--no-layers", "-m", "integrated-gradients", "--option", "steps=5"]
        return means(asked(*call, *arguments))

    assert found("--threads", "1") == found("--threads", "2") == found("--memory", "1KB")
    assert run(["compare", DIGITS, DIGITS, DIGIT, "--memory", "much"]) == 2
    assert run(["compare", DIGITS, DIGITS, DIGIT, "--threads", "0"]) == 2


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "parquet"])
def test_data_of_every_kind(suffix: str, asked: Asked) -> None:
    model, file = DIGITS, f"data.{suffix}"
    x = HELD.unseen[:3, None].astype(np.float32) / 255
    header, *rows = csv.reader(models.path("breast_cancer.csv").open())
    if suffix == "npy":
        np.save(file, x)
    elif suffix == "npz":
        np.savez(file, image=x, label=HELD.unseen_labels[:3])
    elif suffix == "csv":
        model = CANCER
        with Path(file).open("w", newline="") as opened:
            csv.writer(opened).writerows([[*header, "label"], *([*row, k % 2] for k, row in enumerate(rows[:3]))])
    else:
        model = CANCER
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        columns = {name: [float(row[k]) for row in rows[:3]] for k, name in enumerate(header)}
        parquet.write_table(pyarrow.table(columns | {"label": [0, 1, 0][: len(rows[:3])]}), file)
    labelled = [] if suffix == "npy" else ["--target", "label"]
    record = asked("compare", model, model, file, *FAST, "-m", "saliency", *labelled)
    assert [one["name"] for one in record["samples"]] == [f"{file}:{k}" for k in range(len(record["samples"]))]
    assert len(record["samples"]) == (3 if model == DIGITS else len(rows[:3]))
    if labelled:
        assert [one["target"] for one in record["samples"]] == [one["label"] for one in record["samples"]]


def test_a_report_of_pictures_and_labels(folder: str, other: str) -> None:
    call = ["compare", DIGITS, other, folder, *FAST, "-m", "saliency", "--labels", "names.txt"]
    assert run([*call, "--report", "out", "--junit", "gate.xml"]) == 1
    text = Path("out/report.html").read_text()
    assert "Accuracy on the labels: reference 1.000, candidate 0." in text
    assert text.count('class="sample"') == 6


def test_every_option_is_tried_here_or_in_the_tests_beside() -> None:
    tried = "".join(file.read_text() for file in Path(__file__).parent.glob("test_gate_*.py"))
    for command in (compare_models, evaluate_model):
        names = set(inspect.signature(command).parameters) - {"reference", "candidate", "data", "model"}
        assert len(names) > 10
        options = {"method": "-m", "layers": "--no-layers"}
        missing = [name for name in names if f'"{options.get(name, "--" + name.replace("_", "-"))}"' not in tried]
        assert missing == []


def test_every_setting_is_in_the_journal_or_changes_no_row() -> None:
    """A journal is continued where ``about`` is the same, so what changes a row must be in it."""
    named = {field.name for field in fields(CompareSettings)}
    settings = CompareSettings(**dict.fromkeys(named) | {"methods": ["saliency"], "target": "own", "options": {}})
    of_the_verdict = {"fail_under", "calibrate", "layers"}  # taken of rows, or beside them
    of_the_run = {"golden", "journal", "threads", "memory"}
    elsewhere = {
        "providers",
        "candidate_providers",
        "reference_session",
        "candidate_session",
    }  # in the provenance, and in the marks of the samples
    assert named - set(settings.about) == of_the_verdict | of_the_run | elsewhere


def test_a_sample_that_is_no_picture_is_counted(asked: Asked, folder: str) -> None:
    shutil.copy(DIGITS, Path(folder) / "nine" / "model.png")
    record = asked("compare", DIGITS, DIGITS, folder, *FAST, "-m", "saliency", "--labels", "names.txt")
    assert (len(record["samples"]), [one["name"] for one in record["failed"]]) == (12, ["nine/model.png"])
