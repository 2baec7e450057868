"""The options of the command line, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, BadParameter, Option

from ..attribution.result import REDUCTIONS
from ..attribution.target_words import WORDS
from ..data.preprocess import PRESETS
from ..drawing.colour_scale import SCALES
from ..drawing.heatmap import PALETTES
from ..drawing.styles import STYLES
from ..support.choice import alternatives

__all__ = [
    "Drawing",
    "Images",
    "Isolated",
    "Json",
    "LabelsFile",
    "Layers",
    "MapsPalette",
    "ModelFile",
    "Numbers",
    "OptionalImages",
    "Out",
    "Preset",
    "Providers",
    "Recording",
    "Reduce",
    "Runtime",
    "Setup",
    "TargetText",
    "TextOptions",
    "Verbose",
    "one_of",
]


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise BadParameter(f"{text!r}; {alternatives(text, choices)}")
        return text

    return parse


def _choice(what: str, *choices: str) -> Any:
    return Option(help=f"{what}: {', '.join(choices)}.", parser=one_of(*choices), metavar="NAME")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise BadParameter(f"{text!r}; give samples a second, such as 16000")
    return rate


def _chunk(text: str) -> tuple[int, int]:
    """Length and hop of chunks; a hop that is not named is the length."""
    parts = text.split(",")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise BadParameter(f"{text!r}; give samples, such as 512, or 576,512 for chunks of 576 that start 512 apart")
    length, hop = int(parts[0]), int(parts[-1])
    if not 0 < hop <= length:
        raise BadParameter(f"{text!r}; chunks have a length above 0 and start at most that far apart")
    return length, hop


ModelFile = Annotated[Path, Argument(metavar="MODEL", help="An .onnx file.", show_default=False)]
_FILES: Any = {
    "metavar": "IMAGE...",
    "help": "Pictures; or .npy and .npz arrays ready for the model; or .csv tables with feature names first; or .wav "
    "sound. Files, folders with all that is below them, and patterns such as 'photos/*.jpg'.",
    "show_default": False,
}
Images = Annotated[list[Path], Argument(**_FILES)]
OptionalImages = Annotated[list[Path] | None, Argument(**_FILES)]
Out = Annotated[Path, Option(metavar="DIR", help="Folder for the results; created if missing.")]
Json = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
Isolated = Annotated[
    bool, Option("--isolated", help="First load the file in a separate process with limits, which may crash safely.")
]
LabelsFile = Annotated[
    Path | None,
    Option(metavar="FILE", help="Class names: one per line, or JSON. By default those in the model's metadata."),
]
Preset = Annotated[
    str | None,
    Option(
        metavar="PRESET",
        help=f"How pictures become input: {', '.join(PRESETS)}; with changes after commas, as in imagenet,fit=crop "
        "or unit,channels=BGR or caffe,size=224x224. By default what the model's metadata say, else a guess.",
    ),
]
TargetText = Annotated[
    str,
    Option(
        metavar="TARGET",
        help="What is explained: top1, an index or a label; indices such as 0,5 where the scores of an example have "
        "several axes; 6-8 or cat-dog, why one and not the other; "
        + "; ".join(f"{' or '.join(word.forms)}, {word.meaning}" for word in WORDS.values())
        + ".",
    ),
]
Layers = Annotated[
    list[str], Option("--layer", "-l", metavar="NAME", help="A layer, node or tensor; repeat it for several.")
]
Numbers = Annotated[bool, Option("--npz", help="Also write the numbers, as .npz.")]
MapsPalette = Annotated[str, _choice("Colours of the maps", *PALETTES)]
Reduce = Annotated[
    str | None,
    _choice("How channels become one number, by default abs-max, of tokens what suits the method", *REDUCTIONS),
]
Providers = Annotated[
    list[str] | None,
    Option(
        "--provider",
        metavar="NAME",
        help="Where to run: cpu, cuda, tensorrt, openvino, coreml, qnn, directml, webgpu or another that onnxruntime "
        "has; repeat it for several.",
    ),
]
Verbose = Annotated[
    bool, Option("--verbose", help="Also say on stderr which provider ran which nodes, and which fell back to the CPU.")
]


@dataclass(frozen=True)
class Runtime:
    """Where the model runs."""

    provider: Providers = None
    threads: Annotated[int | None, Option(metavar="N", help="Threads of the runtime; all cores by default.", min=1)] = (
        None
    )
    memory: Annotated[
        str,
        Option(
            metavar="SIZE",
            help="Memory for all sessions and one run, besides the weights of the models; results stay the same.",
        ),
    ] = "1GB"


@dataclass(frozen=True)
class Setup:
    """The options of the explanation: method, layer and score."""

    method: Annotated[
        str, Option("--method", "-m", metavar="NAME", help="Attribution method, see 'onnxray methods'.")
    ] = "saliency"
    layer: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="Layer for grad-cam and other layer methods, see 'onnxray inspect'; repeat it to merge several.",
        ),
    ] = None
    score: Annotated[
        str, Option(metavar="NAME", help="logit (before a final softmax or sigmoid), output, or a tensor's name.")
    ] = "logit"


@dataclass(frozen=True)
class Drawing:
    """How maps are drawn."""

    style: Annotated[
        str,
        Option(
            help="; ".join(f"{name}, {meaning}" for name, meaning in STYLES.items()) + ". Contour lines need the extra "
            "'superpixels'.",
            parser=one_of(*STYLES),
            metavar="NAME",
        ),
    ] = "figure"
    scale: Annotated[
        str | None,
        _choice("A colour scale for each map, or one for all maps of a file; by default shared in a grid", *SCALES),
    ] = None
    palette: Annotated[str | None, _choice("Colours of the map, by default what suits it", *PALETTES)] = None
    reduce: Reduce = None
    rate: Annotated[
        float | None,
        Option(
            parser=_rate,
            metavar="HERTZ",
            help="Samples a second of a series: its time is in seconds, and an input such as sr gets it. Files of .wav "
            "know their own.",
        ),
    ] = None

    @property
    def shared(self) -> bool:
        """Whether all maps of a file have one colour scale."""
        return self.scale == "shared" or (self.scale is None and self.style == "grid")


@dataclass(frozen=True)
class Recording:
    """How a recording is cut that is longer than the model takes, and of which part the map is."""

    chunk: Annotated[
        Any,  # length and hop, or None; of a tuple typer would take two words
        Option(
            parser=_chunk,
            metavar="SAMPLES",
            help="Samples of a chunk of a recording that is longer than the model takes, and how far apart chunks "
            "start, as in 576,512; by default what the model fixes, or is known to take. States are carried on.",
        ),
    ] = None
    at: Annotated[
        str,
        Option(
            metavar="TIME",
            help="Which chunk is explained: best, the one with the highest score; a time in seconds (in samples where "
            "no rate is known); or all, whose maps are added up over the whole recording.",
        ),
    ] = "best"


@dataclass(frozen=True)
class TextOptions:
    """A text to explain in the place of files."""

    text: Annotated[
        str | None, Option(metavar="TEXT", help="A text to explain, in the place of files; needs --tokenizer.")
    ] = None
    text_pair: Annotated[
        str | None, Option(metavar="TEXT", help="A second text, for a model of pairs: question and context.")
    ] = None
    tokenizer: Annotated[
        Path | None, Option(metavar="FILE", help="The model's tokenizer.json, of the library tokenizers.")
    ] = None
