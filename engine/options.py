"""The options of the command line, each defined once, and ``spread``, which gives them to commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
from typer import Argument, BadParameter, Option

from .attribution import REDUCTIONS
from .catalogue import OptionInfo, method_options
from .heatmap import PALETTES
from .preprocess import PRESETS

__all__ = [
    "Drawing",
    "Images",
    "Json",
    "LabelsFile",
    "Layers",
    "MapsPalette",
    "ModelFile",
    "Numbers",
    "Out",
    "Preset",
    "Providers",
    "Runtime",
    "Setup",
    "TargetText",
    "spread",
]


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise BadParameter(f"{text!r}; choose from {', '.join(choices)}")
        return text

    return parse


def _choice(what: str, *choices: str) -> Any:
    return Option(help=f"{what}: {', '.join(choices)}.", parser=_one_of(*choices), metavar="NAME")


ModelFile = Annotated[Path, Argument(metavar="MODEL", help="An .onnx file.", show_default=False)]
Images = Annotated[
    list[Path],
    Argument(
        metavar="IMAGE...",
        help="Pictures; or .npy and .npz arrays ready for the model; or .csv tables, a line of feature names first.",
        show_default=False,
    ),
]
Out = Annotated[Path, Option(metavar="DIR", help="Folder for the results, made where it is missing.")]
Json = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
LabelsFile = Annotated[
    Path | None,
    Option(metavar="FILE", help="Class names: one per line, or JSON. By default those in the model's metadata."),
]
Preset = Annotated[
    str | None,
    Option(
        metavar="PRESET",
        help=f"How pictures become input: {', '.join(PRESETS)}; with changes after commas, as in imagenet,fit=crop or "
        "unit,channels=BGR,size=224x224. By default what the model's metadata say, else a guess.",
    ),
]
TargetText = Annotated[
    str, Option(metavar="CLASS", help="What is explained: top1, an index, a label, or indices such as 0,5.")
]
Layers = Annotated[
    list[str], Option("--layer", "-l", metavar="NAME", help="A layer, node or tensor; repeat it for several.")
]
Numbers = Annotated[bool, Option("--npz", help="Write the numbers too, as .npz.")]
MapsPalette = Annotated[str, _choice("Colours of the maps", *PALETTES)]
Providers = Annotated[
    list[str] | None, Option("--provider", metavar="NAME", help="Where to run: cpu, cuda, ...; repeat it for several.")
]


@dataclass(frozen=True)
class Runtime:
    """Where the model runs."""

    provider: Providers = None
    threads: Annotated[int | None, Option(help="Threads of the runtime; all cores by default.", min=1)] = None
    memory: Annotated[str, Option(metavar="SIZE", help="What one run may compute at once; results stay the same.")] = (
        "1GB"
    )


@dataclass(frozen=True)
class Setup:
    """What is computed."""

    method: Annotated[
        str, Option("--method", "-m", metavar="NAME", help="Attribution method, see 'onnxray methods'.")
    ] = "saliency"
    layer: Annotated[
        str | None, Option(metavar="NAME", help="Layer for grad-cam and its like, see 'onnxray inspect'.")
    ] = None
    score: Annotated[
        str, Option(metavar="NAME", help="logit (before a final softmax or sigmoid), output, or a tensor's name.")
    ] = "logit"


@dataclass(frozen=True)
class Drawing:
    """How maps are drawn."""

    style: Annotated[
        str, _choice("Picture, map and overlay side by side, or one of them", "figure", "overlay", "map")
    ] = "figure"
    palette: Annotated[str | None, _choice("Colours of the map, by default what suits it", *PALETTES)] = None
    reduce: Annotated[str, _choice("How the channels become one map", *REDUCTIONS)] = "abs-max"

    def settings(self) -> dict[str, Any]:
        """What Attribution.image takes."""
        return {"palette": self.palette, "reduce": self.reduce}


HELP = {  # what the options of methods mean; one without a line here shows its methods and default
    "steps": "points on the path",
    "rule": "gauss-legendre or inclusive (equal weights, both ends)",
    "baseline": "what stands for nothing there: a number, one per channel as in 0.4,0.4,0.4, or an .npy file",
    "samples": "noisy copies",
    "noise": "level of the noise, as a share of the input's range",
    "seed": "seed of the random numbers",
    "window": "size of the window, a number or one per axis as in 3,16,16",
    "stride": "step of the window, a number or one per axis",
    "overlap": "mean or sum over the windows that cover an element",
    "relu": "keep the positive part only",
}


def numbers(text: str) -> Any:
    """A number, several between commas, or the array of an .npy file."""
    if text.endswith(".npy"):
        try:
            return np.load(text, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BadParameter(f"{text} cannot be read as an array") from error
    try:
        found = [float(part) if {".", "e"} & set(part.lower()) else int(part) for part in text.split(",")]
    except ValueError:
        raise BadParameter(f"{text!r} is no number, and no list of numbers such as 1,2,3") from None
    return found[0] if len(found) == 1 else found


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one parameter for every field of the dataclasses that it takes.

    ``**options`` becomes the options of all methods; the command is given those that the user gave.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    plain = [p.replace(annotation=hints[p.name]) for p in inspect.signature(command).parameters.values()]
    parameters = [one for p in plain for one in _parameters(p, groups)]
    optional = {one.name for p in plain if p.kind is p.VAR_KEYWORD for one in _method_parameters()}

    def run(**given: Any) -> None:
        built = {name: group(**{f.name: given.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**built, **{name: value for name, value in given.items() if value is not None or name not in optional})

    run.__doc__, run.__name__, run.__module__ = command.__doc__, command.__name__, command.__module__
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _parameters(parameter: inspect.Parameter, groups: Mapping[str, Any]) -> list[inspect.Parameter]:
    if parameter.kind is parameter.VAR_KEYWORD:
        return _method_parameters()
    if parameter.name not in groups:
        return [parameter.replace(kind=parameter.KEYWORD_ONLY)]
    group = groups[parameter.name]
    hints = get_type_hints(group, include_extras=True)
    return [_keyword(f.name, None if f.default is MISSING else f.default, hints[f.name]) for f in fields(group)]


def _method_parameters() -> list[inspect.Parameter]:
    return [
        _keyword(name, None, _method_annotation(name, having))
        for name, having in method_options().items()
        if name != "layer"  # which Setup has for all methods
    ]


def _method_annotation(name: str, having: list[tuple[str, OptionInfo]]) -> Any:
    methods = "; ".join(f"{method}: {_default(option)}" for method, option in having)
    words: dict[str, Any] = {"help": f"{HELP.get(name, '')} ({methods})".strip(), "rich_help_panel": "Method options"}
    kind = having[0][1].type.removesuffix(" | None")
    if kind in ("int", "float", "bool"):
        return Annotated[{"int": int, "float": float, "bool": bool}[kind] | None, Option(**words, show_default=False)]
    if kind == "str" or kind.startswith("Literal"):
        return Annotated[str | None, Option(**words, metavar="NAME", show_default=False)]
    return Annotated[Any, Option(**words, parser=numbers, metavar="NUMBERS", show_default=False)]


def _default(option: OptionInfo) -> str:
    return "chosen by size" if option.default is None else str(option.default)


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
