"""python -m benchmarks: what it times, in turns, and the tables that it writes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import onnxray
import pytest
import typer
from by_hand import DENSE

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

command: Any = import_module("benchmarks.__main__")
machine: Any = import_module("benchmarks.speed.machine")
report: Any = import_module("benchmarks.speed.report")
settings: Any = import_module("benchmarks.speed.settings")
take_turns: Any = import_module("benchmarks.speed.turns").take_turns
watched: Any = import_module("benchmarks.speed.watch").watched

SIDE = {"median": 120.4, "lower_quartile": 110.0, "upper_quartile": 130.0, "runs": 9}
RESULTS: dict[str, Any] = {
    "machine": {
        "date": "2026-11-28", "processor": "AMD zen3", "instructions": ["avx2"], "cores": 2, "threads": 2, "load": 0.1,
        "python": "3.12.3", "versions": {"onnxruntime": "1.32.0", "torch": "2.13.0"},
    },
    "settings": settings.Settings().as_json,
    "row": [
        {
            "net": "resnet50", "method": "saliency", "batch": 8, "of_forward": 2.4, "ratio": 0.5,
            "best_peer": "Captum, eager", "distances": {"Captum, eager": 0.0041, "from float64": {"onnxray": 0.004}},
            "added": {"median": 0.512},
            "sides": {"onnxray": SIDE, "Captum, eager": SIDE | {"median": 240.8}, "forward": SIDE | {"median": 50.2}},
        },
        {
            "net": "mobilenet", "method": "deep-lift", "batch": 1, "of_forward": 9.0, "of_reference": 1.55,
            "distances": {}, "added": {"median": 0.5},
            "sides": {"onnxray": SIDE, "forward": SIDE, "onnxray, saliency": SIDE},
        },
        {
            "net": "mobilenet", "method": "rise", "batch": 1, "of_forward": 70.0, "share_of_model": 0.93,
            "distances": {}, "added": {"median": 0.5},
            "sides": {"onnxray": SIDE, "forward": SIDE, "the model alone": SIDE},
        },
    ],
    "memory": [
        {
            "net": "resnet50", "method": "saliency", "side": "Captum", "peak_mib": 700.4,
            "peak_above_imports_mib": 400.0, "open_seconds": 0.123, "first_call_seconds": 0.5,
        }
    ],
    "failure": [{"net": "vgg16", "error": "its process ended with 1"}],
}  # fmt: skip


def test_every_method_has_the_options_of_its_peers_and_known_nets() -> None:
    assert {net for nets in settings.METHODS.values() for net in nets} == set(settings.TITLES)
    for name in settings.METHODS:
        onnxray.METHODS[settings.method_of(name)].configured(settings.options_of(name))
    references = {reference for reference, _ in settings.GOALS.values()}
    assert {*settings.GOALS, *references, *settings.SHARED, *settings.BLACK_BOXES} <= set(settings.METHODS)


def test_methods_of_many_points_are_timed_at_the_smallest_batch() -> None:
    chosen = settings.Settings(batches=(1, 8), methods=("saliency", "occlusion"))
    assert chosen.rows("resnet50") == [("saliency", 1), ("saliency", 8), ("occlusion", 1)]
    assert chosen.rows("lstm") == [("saliency", 1), ("saliency", 8)]
    assert all(name in settings.METHODS for name in settings.POINTS)


def test_settings_pass_through_json() -> None:
    assert settings.Settings.of(json.loads(json.dumps(settings.QUICK.as_json))) == settings.QUICK


def test_the_sides_take_turns() -> None:
    heard: list[str] = []
    sides = {name: lambda name=name: heard.append(name) for name in ("a", "b")}
    times = take_turns(sides, settings.Settings(seconds=0, turns=(3, 9), pause=0))
    assert heard == ["a", "b"] * 3
    assert [len(one.seconds) for one in times.values()] == [3, 3]
    assert times["a"].median == sorted(times["a"].seconds)[1]
    told = times["a"].as_json
    assert told["lower_quartile"] <= told["median"] <= told["upper_quartile"]


def test_the_clock_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.CLOCKS, "processor", itertools.count(step=7).__next__)
    chosen = settings.Settings(seconds=0, turns=(2, 2), pause=0, clock="processor")
    assert take_turns({"a": lambda: None}, chosen)["a"].seconds == [7, 7]


def test_no_side_takes_more_turns_than_may_be() -> None:
    assert len(take_turns({"a": lambda: None}, settings.Settings(seconds=60, turns=(2, 5), pause=0))["a"].seconds) == 5


def test_the_runs_of_a_call_are_watched() -> None:
    run, explainer = onnxray.runtime.Session.run, onnxray.Explainer(DENSE.proto())
    with watched() as watch:
        explainer(DENSE.x(), target=1)
    explainer(DENSE.x(), target=1)
    assert onnxray.runtime.Session.run is run
    assert [list(one.outputs) for one in watch.runs] == [["score", "examples", "attribution", "settled"]]
    assert all(one.seconds > 0 for one in watch.runs)


def test_the_tables() -> None:
    lines = report.tables(RESULTS).splitlines()
    assert lines[0] == machine.one_line(RESULTS["machine"])
    assert (
        "| ResNet-50 | saliency | 8 | 120 (110 to 130) | 0.51 | 2.4 | Captum, eager | 241 (110 to 130) | 0.5 | 4e-03 "
        "| forward 50.2 (110 to 130) |"
    ) in lines
    assert "| ResNet-50 | saliency | Captum | 700 | 400 | 0.12 | 0.50 |" in lines
    assert lines[-1] == "Failed: VGG-16: its process ended with 1"


def test_goals_are_told_with_what_was_measured() -> None:
    lines = report.goals_table(RESULTS["row"]).splitlines()
    assert lines[0] == "2 of 3 goals are met. Missed: MobileNetV2, deep-lift: of the time of saliency 1.55 (1.5)."
    assert lines[4:] == [
        "| ResNet-50 | saliency | 8 | of the time of Captum, eager | 0.5 | 1 | yes |",
        "| MobileNetV2 | deep-lift | 1 | of the time of saliency | 1.55 | 1.5 | no |",
        "| MobileNetV2 | rise | 1 | share of the model | 0.93 | 0.9 | yes |",
    ]
    assert report.goals_table([]) == ""


def test_the_tables_say_of_which_clock_they_are() -> None:
    told = report.tables(RESULTS | {"settings": settings.Settings(clock="processor").as_json}).splitlines()[0]
    assert told.endswith("Times are processor time, of all threads.")


def test_the_machine_is_described() -> None:
    told = machine.one_line(machine.describe(2, "cpu"))
    for word in ("onnxruntime", "onnxray 0.1.0", "2 threads", "load", "Python"):
        assert word in told


def test_words_that_are_unknown_are_refused() -> None:
    with pytest.raises(typer.BadParameter, match="resnet: choose from resnet50, vgg16"):
        command.main(nets="vgg16,resnet")
    with pytest.raises(typer.BadParameter, match="sun: choose from wall, processor"):
        command.main(clock="sun")


@pytest.mark.slow
def test_a_page_is_renewed(tmp_path: Path) -> None:
    """With a chart, which imports matplotlib."""
    page = tmp_path / "page.md"
    page.write_text("# Times\n")
    for median in (120.4, 99.0):
        RESULTS["row"][0]["sides"]["onnxray"]["median"] = median
        report.write_report(page, RESULTS)
    text = page.read_text()
    assert text.startswith("# Times\n")
    assert text.count("| ResNet-50 | saliency | 8 | of the time") == 1
    assert "| 99.0 (110 to 130) |" in text
    assert "![" in text
    report.write_report(page, RESULTS | {"settings": settings.Settings(clock="processor").as_json})
    assert page.read_text().count("| ResNet-50 | saliency | 8 | of the time") == 2
    assert (tmp_path / "speed-cpu-processor.svg").exists()
    assert "VGG" not in (tmp_path / "speed-cpu.svg").read_text()
    assert "onnxray, saliency" not in (tmp_path / "speed-cpu.svg").read_text()
    assert "ResNet-50, saliency, batch 8" in (tmp_path / "speed-cpu.svg").read_text()


@pytest.mark.slow
def test_the_whole_on_one_net(tmp_path: Path) -> None:
    pytest.importorskip("captum", reason="Captum is not installed")
    out = tmp_path / "results.json"
    words = [sys.executable, "-m", "benchmarks", "--nets", "lstm", "--methods", "saliency", "--batches", "1"]
    words += ["--variants", "eager", "--seconds", "0", "--pause", "0", "--no-peaks", "--out", str(out)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(out.read_text())["row"]
    assert set(row["sides"]) == {"onnxray", "Captum, eager", "forward"}
    assert row["distances"]["Captum, eager"] < 1e-5
    assert max(row["distances"]["from float64"].values()) < 1e-5
    assert row["runs_per_call"] == 1
