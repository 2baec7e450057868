"""``onnxray explain``: one method on files, one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..attribution.axes import score_axes
from ..attribution.box_classes import box_classes
from ..attribution.target_text import fitting_labels
from ..attribution.target_words import target_of
from ..attribution.text_inputs import EncodedText
from ..data.files import is_picture
from ..data.found_files import find_files
from ..data.labels import read_labels
from ..errors import InputError
from ..explainer import Explainer
from ..loading.load import load
from ..support.execution_providers import RUNTIME_PACKAGES
from ..support.fingerprint import fingerprint
from ..support.versions import installed_versions
from ..support.writing import make_folder
from .batch_options import Batching, Saved
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
    Verbose,
)
from .preprocess_option import preprocess_from_option
from .print_each import print_each
from .result_index import open_index
from .say_placement import placement_said

__all__ = ["explain"]

SOFTWARE = ("onnxray", *RUNTIME_PACKAGES)  # of which another release may give other results


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
    save: Saved = "png",
    batching: Batching = Batching(),  # noqa: B008  a frozen value
    texts: TextOptions = TextOptions(),  # noqa: B008  a frozen value
    recording: Recording = Recording(),  # noqa: B008  a frozen value
    drawing: Drawing = Drawing(),  # noqa: B008  a frozen value
    runtime: Runtime = Runtime(),  # noqa: B008
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Show which parts of pictures, arrays, table rows or texts a model used for a score.

    Folders and patterns are searched for files. What is written is listed in
    index.jsonl of DIR, from which --resume goes on after an interruption; no
    result overwrites that of another file. With --json there is one object per
    example on stdout: image, method, target, label, explained (the target in
    words), score and files. Exit code 1 says that some of several files failed.
    Of a detector (YOLO, SSD, DETR, ...) the ten best boxes are explained, and drawn.
    A recording that is longer than the model takes is cut into chunks (--chunk):
    their scores over time are drawn, and the map of one or of all (--at).
    A text is explained word by word: in colour on a terminal and as an .html
    file; with --json come text, tokens and words, but no image. The words of a
    language model are those of its tokenizer, as in --target token:5:film.

    \b
    Example:
      onnxray explain model.onnx dog.jpg cat.jpg -m guided-backprop \\
          --preprocess imagenet --labels synset.txt --target Doberman
      onnxray explain model.onnx dog.jpg -m integrated-gradients --steps 100 --npz
      onnxray explain model.onnx photos/ 'more/*.jpg' -m grad-cam --save map \\
          --resume
      onnxray explain yolo.onnx street.jpg --preprocess unit,fit=letterbox \\
          --target box:dog
      onnxray explain table.onnx rows.csv -m integrated-gradients --json
      onnxray explain silero_vad.onnx speech.wav --target 0 --at all
      onnxray explain bert.onnx --text "a fine film" --tokenizer tokenizer.json \\
          -m input-x-gradient
    """
    source, files = load(model), _found(images, out)
    encoder, encoded = encoded_text(source, texts, files)
    if recording != Recording() and all(map(is_picture, files)):  # or a text and no files
        raise InputError("--chunk and --at are for recordings (.wav, .npy, .npz), and none is given")
    _check_of_files(
        encoded, preprocess=preprocess, rate=drawing.rate, resume=batching.resume, batch_size=batching.batch_size
    )
    scores = score_axes(source, setup.score)
    classes = box_classes(source, setup.score)
    known = fitting_labels(source, classes or scores, read_labels(labels) if labels else None)
    known = encoder.word_names(scores) if encoder is not None and not known else known
    wanted = None if classes and target == "top1" else target_of(target, known, scores)
    preprocessing = preprocess_from_option(source, preprocess, files)
    explainer = Explainer(
        source, setup.method, score=setup.score, layer=setup.layer or None, providers=runtime.provider or None,
        threads=runtime.threads, memory=runtime.memory, preprocess=preprocessing, **options,
    )  # fmt: skip
    kinds = save | {"npz"} if npz else save
    job = Job(explainer, wanted, known, scores, make_folder(out), drawing, kinds, batching.batch_size, recording)
    if encoded is not None:
        with placement_said(explainer, verbose):
            explain_text(job, encoded, as_json)
        return
    settings = fingerprint([
        source.digest, explainer.method, setup, target, wanted, known, explainer.preprocess, drawing, kinds,
        recording, runtime.provider, installed_versions(SOFTWARE),
    ])  # fmt: skip
    index_of = open_index(job.out, explainer.method.name, settings, batching.resume)
    with placement_said(explainer, verbose), index_of as index:
        print_each(files, job, job.out, as_json, len(files) > 1 or job.long, index)


def _check_of_files(text: EncodedText | None, **given: Any) -> None:
    """InputError for options that a text has no use for, where one is explained."""
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value not in (None, False)]
    if text is not None and named:
        raise InputError(f"{named[0]} is for files, and a text is explained; leave it out")


def _found(images: list[Path] | None, out: Path) -> list[Path]:
    """The files to explain. InputError where their folder gets the results, which the next run would explain, too."""
    for path in images or ():
        if path.is_dir() and path.resolve() == out.resolve():
            raise InputError(f"{path} is explained and gets the results, too; name another folder with --out")
    return find_files(images or ())
