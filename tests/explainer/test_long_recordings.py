"""A recording longer than the model takes, in Python: the scores of its chunks, and the map of one or of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import model, normal

W, SOUND = normal(4), normal(1, 18)
NET = model(
    "net (float[N, 4] x, float[N, 1] state) => (float[N, 1] y, float[N, 1] stateN) {"
    " s = MatMul(x, W) y = Add(s, state) stateN = Identity(y) }",
    {"W": W[:, None]},
)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def explained(**options: Any) -> Any:
    return onnxray.explain_recording(onnxray.Explainer(NET), SOUND, 0, **options)


def test_scores_are_those_of_the_chunks_with_the_states_before() -> None:
    found = explained()
    chunks = np.append(SOUND[0], np.zeros(2, np.float32)).reshape(5, 4)
    np.testing.assert_allclose(found.scores, np.cumsum(chunks @ W), rtol=1e-5, atol=1e-6)
    assert found.chosen == int(np.argmax(found.scores))
    np.testing.assert_allclose(found.attribution.values, W[None], rtol=1e-6)


def test_a_time_names_a_chunk_and_all_are_added_up() -> None:
    assert [explained(at=9).chosen, explained(at=0.9, rate=10).chosen] == [2, 2]
    found = explained(at="all")
    assert found.chosen is None
    np.testing.assert_allclose(found.attribution.values, np.tile(W, 5)[None, :18], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"at": "last"}, "at='last': give 'best', 'all' or a time in samples"),
        ({"at": None, "rate": 10.0}, "at=None: give 'best', 'all' or a time in seconds"),
        ({"at": 18}, "at=18: the recording ends at 18"),
        ({"at": float("nan")}, "at=nan: the recording ends at 18"),
        ({"chunk": (4, 0)}, "chunk=0: give a whole number from 1 up"),
        ({"chunk": (4,)}, "chunk=0: give a whole number from 1 up"),
        ({"chunk": (5, 5)}, "input 'x' takes 4 samples; a chunk of 5 does not fit"),
    ],
)
def test_what_is_no_time_and_no_chunk_is_an_error(options: dict[str, Any], text: str) -> None:
    with pytest.raises(onnxray.InputError, match=text):
        explained(**options)


def test_what_the_model_takes_whole_has_no_chunks() -> None:
    with pytest.raises(onnxray.InputError, match="the model takes the recording whole"):
        onnxray.explain_recording(onnxray.Explainer(NET), SOUND[:, :4], 0)


QUIET = model(
    "net (float[N, 4] x) => (float[N, 1] y) { r = Relu(x) y = MatMul(r, W) }",
    {"W": W[:, None]},
)


@pytest.mark.filterwarnings("default::UserWarning")
@pytest.mark.parametrize(
    ("silent", "rate", "text"),
    [
        ((2,), None, "^chunk 2 \\(from sample 8\\) of 5 chunks: the saliency map is zero everywhere"),
        ((1, 3), 8.0, "^chunk 1 \\(from 0.5 s\\), chunk 3 \\(from 1.5 s\\) of 5 chunks: the saliency map is zero"),
        ((0, 1, 2, 3), None, "chunk 2 \\(from sample 8\\) and 1 more of 5 chunks: the saliency map is zero"),
        ((0, 1, 2, 3, 4), None, "^the saliency map is zero everywhere"),
    ],
)
def test_a_silent_chunk_is_named(silent: tuple[int, ...], rate: float | None, text: str) -> None:
    sound = np.ones((1, 20), np.float32)
    for k in silent:
        sound[:, 4 * k : 4 * k + 4] = -1
    with pytest.warns(UserWarning, match=text) as told:
        onnxray.explain_recording(onnxray.Explainer(QUIET), sound, 0, at="all", rate=rate)
    assert len(told) == 1


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_nothing_is_said_of_a_silent_chunk_that_is_not_shown(method: str) -> None:
    """The methods of many runs have their scores from another explainer, of whose maps nothing is said."""
    sound = np.full((1, 20), -1, np.float32)
    sound[:, 4:8] = np.sign(W)
    loud = onnxray.explain_recording(onnxray.Explainer(QUIET, method), sound, 0)
    assert loud.chosen == 1
