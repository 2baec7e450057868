"""The public entry point for a recording that is longer than a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..attribution.run import Progress
from ..attribution.scores import score_of
from ..attribution.state_inputs import carried_states
from ..data.arrays import as_array
from ..data.chunks import Chunks, chunks_of
from ..errors import InputError
from ..graph.model import is_float
from ..methods.checks import check_whole
from .explainer import Explainer
from .recording import ExplainedChunks, explain_chunks

__all__ = ["explain_recording"]


def explain_recording(
    explainer: Explainer,
    recording: Any,
    target: Any = "top1",
    *,
    at: str | float = "best",
    chunk: tuple[int, int] | None = None,
    rate: float | None = None,
    progress: Progress | None = None,
) -> ExplainedChunks:
    """Explains a recording that is longer than the model takes, chunk by chunk; each has the states of those before.

    Args:
        explainer: Of the model and the method.
        recording: An array whose longest axis behind the first is time, or a dict of arrays by input name; states that
            are left out start at zero.
        target: As for ``explain``.
        at: "best", the chunk with the highest score; "all", the sum of the maps of all chunks; or a time in seconds (in
            samples without ``rate``), whose chunk is explained.
        chunk: Samples of a chunk, and how far apart chunks start; None for what the model fixes, or is known to take.
        rate: Samples a second.
        progress: As for ``Explainer.__call__``.

    Returns:
        ExplainedChunks: ``attribution``, that of the chunk or of the whole recording; ``scores`` of all chunks;
        ``chosen``, the number of the explained chunk or None; ``chunks``, whose ``start(k)`` is a chunk's first sample.

    Raises:
        InputError: A recording that the model takes whole, a time or a chunk that is none, maps that cannot be joined.

    Example:
        >>> import numpy as np, onnxray
        >>> from onnx import parser
        >>> net = parser.parse_model('<ir_version: 8, opset_import: ["": 18]>'
        ...     'net (float[1, 4] x) => (float[1, 1] y) <int64[1] axes = {1}> { y = ReduceSum(x, axes) }')
        >>> found = onnxray.explain_recording(onnxray.Explainer(net), np.arange(12, dtype=np.float32)[None], 0)
        >>> found.scores.tolist(), found.chosen, found.chunks.start(found.chosen)
        ([6.0, 22.0, 38.0], 2, 8)
    """
    for number in () if chunk is None else chunk if len(chunk) == 2 else (0,):
        check_whole("chunk", number, 1)
    arrays = _by_name(explainer, recording)
    chunks = chunks_of(explainer.model, arrays, rate, chunk, sound=True)
    if chunks is None:
        raise InputError("the model takes the recording whole: use explain(), or name chunk=(samples, how far apart)")
    return explain_chunks(explainer, arrays, chunks, score_of(target), _place(at, chunks, rate), progress, rate)


def _by_name(explainer: Explainer, recording: Any) -> dict[str, np.ndarray]:
    if isinstance(recording, Mapping):
        return {str(name): as_array(array, f"input {name!r}") for name, array in recording.items()}
    states = carried_states(explainer.model)
    names = [str(value.name) for value in explainer.model.inputs if is_float(value) and value.name not in states]
    if len(names) != 1:
        raise InputError(f"the model takes several arrays; give a dict with: {', '.join(names)}")
    return {names[0]: as_array(recording, f"input {names[0]!r}")}


def _place(at: str | float, chunks: Chunks, rate: float | None) -> int | str:
    if isinstance(at, str) and at in ("best", "all"):
        return at
    if not isinstance(at, int | float | np.number):
        raise InputError(f"at={at!r}: give 'best', 'all' or a time in {'seconds' if rate else 'samples'}")
    return chunks.at(at * (rate or 1), f"at={at}: the recording ends at {chunks.samples / (rate or 1):g}")
