"""SmoothGrad over other methods, with other statistics: saved, row by row, its gap, its noise, its refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, TOLERANCE, label
from measures import distance
from onnxray.errors import InputError
from onnxray.methods.explained import Explained
from onnxray.methods.integrated_gradients import IntegratedGradients
from onnxray.methods.sampler_products import points_of
from onnxray.methods.samplers import Noise
from onnxray.methods.smoothgrad import SmoothGrad
from replicas import REPLICAS

PATH = {"samples": 3, "noise": 0.3, "of": "integrated-gradients", "steps": 4, "baseline": 0.5}
SETTINGS: list[dict[str, Any]] = [PATH, *({"samples": 4, "statistic": s} for s in ("squared", "variance"))]


@pytest.mark.parametrize("options", SETTINGS, ids=label)
@pytest.mark.parametrize("memory", ["1GB", 1], ids=["at once", "row by row"])
def test_a_saved_file_gives_the_same_map(options: dict[str, Any], memory: Any, tmp_path: Path) -> None:
    x = CONV.x()
    explainer = onnxray.Explainer(CONV.proto(), "smoothgrad", memory=memory, **options)
    truth = REPLICAS["smoothgrad"](CONV, x, 2, **options)
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(["attribution"], {"x": x, "target": np.full(len(x), 2)})
    assert distance(found, truth) <= 1e-5
    assert distance(explainer(x, 2).values, found) <= 1e-5


def test_the_gap_of_paths_to_noisy_copies_is_the_mean_of_their_gaps() -> None:
    x, (samples, level) = CONV.x(), (PATH["samples"], PATH["noise"])
    a = onnxray.explain(CONV.proto(), x, "smoothgrad", target=1, **PATH)
    axes = (1, 2, 3)
    spread = level * (x.max(axes, keepdims=True) - x.min(axes, keepdims=True))
    draws = np.random.default_rng([0, *b"x"]).standard_normal((samples, *x.shape[1:])).astype(np.float32)
    start = CONV.scores(np.full_like(x, 0.5))[:, 1]
    ways = np.mean([CONV.scores(x + spread * draw)[:, 1] - start for draw in draws], 0)
    total = REPLICAS["smoothgrad"](CONV, x, 1, **PATH).sum(axes)
    np.testing.assert_allclose(a.delta, total - ways, atol=1e-4 * np.abs(ways).min())


def test_a_method_with_its_options_is_the_same_as_their_names() -> None:
    inner = SmoothGrad(3, 0.3, of=IntegratedGradients(steps=4, baseline=0.5))
    assert inner == onnxray.METHODS["smoothgrad"].configured(PATH)
    found = onnxray.explain(CONV.proto(), CONV.x(), inner, target=1)
    assert distance(found.values, REPLICAS["smoothgrad"](CONV, CONV.x(), 1, **PATH)) <= TOLERANCE


def test_a_square_is_shown_by_its_norm_and_a_contribution_by_its_sum() -> None:
    assert [SmoothGrad().reduction, SmoothGrad(of="input-x-gradient").reduction] == ["norm", "sum"]
    assert SmoothGrad(of="input-x-gradient", statistic="variance").reduction == "norm"


def test_two_noises_of_one_seed_are_not_the_same_numbers() -> None:
    explained = {"x": Explained("x", (50,), 0, None)}
    points = points_of([Noise(20, 0.1, 7), Noise(20, 0.1, 7)], explained)
    first, second = (points[name][1:].ravel() for name in ("noise/x", "1/noise/x"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    np.testing.assert_array_equal(points["noise/x"][1], points_of([Noise(20, 0.1, 7)], explained)["noise/x"][1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "grad-cam"}, "no of 'grad-cam'; "),
        ({"of": "smoothgrad"}, "no of 'smoothgrad'; "),
        ({"of": onnxray.METHODS["occlusion"]()}, "of='occlusion': choose 'saliency', 'input-x-gradient'"),
        ({"of": "integrated-gradients", "statistic": "variance"}, "integrated-gradients has several points for one"),
        ({"statistic": "median"}, "statistic 'median': choose 'mean', 'squared', 'variance'"),
        ({"of": "integrated-gradients", "step": 3}, "'integrated-gradients' has no option 'step'"),
        ({"steps": 3}, "'smoothgrad' has no option 'steps'"),
    ],
)
def test_a_bad_option_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        onnxray.Explainer(CONV.proto(), "smoothgrad", **options)
    assert "\n" not in str(caught.value)
