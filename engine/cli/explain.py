"""``onnxray explain``: one method on files, one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..attribution.axes import score_axes
from ..attribution.box_classes import box_classes
from ..attribution.target_text import fitting_labels
from ..attribution.target_words import target_of
from ..data.labels import read_labels
from ..explainer import Explainer
from ..loading.load import load
from ..support.writing import make_folder
from .explain_files import Job
from .explain_text import encoded_text, explain_text
from .flatten_options import flatten_options
from .options import (
    Drawing,
    Json,
    LabelsFile,
    ModelFile,
    Numbers,
    OptionalImages,
    Out,
    Preset,
    Recording,
    Runtime,
    Setup,
    TargetText,
    TextOptions,
)
from .preprocess_option import preprocess_from_option
from .print_each import print_each

__all__ = ["explain"]


@flatten_options
def explain(
    model: ModelFile,
    setup: Setup,
    images: OptionalImages = None,
    target: TargetText = "top1",
    labels: LabelsFile = None,
    preprocess: Preset = None,
    out: Out = Path("out"),
    as_json: Json = False,
    npz: Numbers = False,
    texts: TextOptions = TextOptions(),  # noqa: B008  a frozen value
    recording: Recording = Recording(),  # noqa: B008  a frozen value
    drawing: Drawing = Drawing(),  # noqa: B008  a frozen value
    runtime: Runtime = Runtime(),  # noqa: B008
    **options: Any,
) -> None:
    """Show which parts of pictures, arrays, table rows or texts a model used for a score.

    Each file is explained and written before the next one is read. With --json
    there is one object per example on stdout: image, method, target, label,
    explained (the target in words), score and files. Exit code 1 says that some of several files failed.
    Of a detector (YOLO, SSD, DETR, ...) the ten best boxes are explained, and drawn.
    A recording that is longer than the model takes is cut into chunks (--chunk):
    their scores over time are drawn, and the map of one or of all (--at).
    A text is explained word by word: in colour on a terminal and as an .html
    file; with --json come text, tokens and words, but no image.

    \b
    Example:
      onnxray explain model.onnx dog.jpg cat.jpg -m guided-backprop \\
          --preprocess imagenet --labels synset.txt --target Doberman
      onnxray explain model.onnx dog.jpg -m integrated-gradients --steps 100 --npz
      onnxray explain yolo.onnx street.jpg --preprocess unit,fit=letterbox --target box:dog
      onnxray explain table.onnx rows.csv -m integrated-gradients --json
      onnxray explain silero_vad.onnx speech.wav --target 0 --at all
      onnxray explain bert.onnx --text "a fine film" --tokenizer tokenizer.json -m input-x-gradient
    """
    source, files = load(model), images or []
    encoded = encoded_text(source, texts, files)
    scores = score_axes(source, setup.score)
    classes = box_classes(source, setup.score)
    known = fitting_labels(source, classes or scores, read_labels(labels) if labels else None)
    wanted = None if classes and target == "top1" else target_of(target, known, scores)
    preprocessing = preprocess_from_option(source, preprocess, files)
    explainer = Explainer(
        source, setup.method, score=setup.score, layer=setup.layer or None, providers=runtime.provider or None,
        threads=runtime.threads, memory=runtime.memory, preprocess=preprocessing, **options,
    )  # fmt: skip
    job = Job(explainer, wanted, known, scores, make_folder(out), drawing, npz, recording)
    if encoded is not None:
        explain_text(job, encoded, as_json)
    else:
        print_each(files, job, job.out, as_json, worth_a_bar=len(files) > 1 or job.long)
