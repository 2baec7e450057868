"""``flatten_options``: commands take dataclasses of options, and the options of all methods as ``**options``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import numpy as np
from typer import BadParameter, Option

from ..errors import InputError
from ..methods.catalogue import OptionInfo, method_options
from ..support.pipes import check_no_pipe

__all__ = ["flatten_options"]


def numbers(text: str) -> Any:
    """A number, several between commas, or the array of an .npy file."""
    if text.endswith(".npy"):
        try:
            check_no_pipe(text)
            return np.load(text, allow_pickle=False)
        except InputError as error:
            raise BadParameter(str(error)) from error
        except (OSError, ValueError, EOFError) as error:
            raise BadParameter(f"{text} cannot be read as an array") from error
    try:
        found = [float(part) if {".", "e"} & set(part.lower()) else int(part) for part in text.split(",")]
    except ValueError:
        raise BadParameter(f"{text!r} is no number, and no list of numbers such as 1,2,3") from None
    return found[0] if len(found) == 1 else found


def baseline(text: str) -> Any:
    """As ``numbers``, or the blurred input."""
    return text if text.partition(":")[0] == "blurred" else numbers(text)


def name_or_array(text: str) -> Any:
    """A name, or the array of an .npy file."""
    return numbers(text) if text.endswith(".npy") else text


# How the text of an option becomes a value, by the type of the method's field: the type and the words of Typer.
READINGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "int": (int | None, {}),
    "float": (float | None, {}),
    "bool": (bool | None, {}),
    **dict.fromkeys(("str", "Of", "Literal"), (str | None, {"metavar": "NAME"})),
    "Groups": (Any, {"parser": name_or_array, "metavar": "NAME"}),
    "Baseline": (Any, {"parser": baseline, "metavar": "NUMBERS"}),
    **dict.fromkeys(("Cells", "Extent"), (Any, {"parser": numbers, "metavar": "NUMBERS"})),
}


def flatten_options(command: Callable[..., None]) -> Callable[..., None]:
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
    alike: dict[str, list[str]] = {}
    for method, option in having:
        alike.setdefault(_default(option), []).append(method)
    methods = "; ".join(f"{', '.join(names)}: {default}" for default, names in alike.items())
    meanings = ", ".join(dict.fromkeys(option.help for _, option in having))
    words = {"help": f"{meanings} ({methods})", "rich_help_panel": "Method options", "show_default": False}
    kind, reading = READINGS[having[0][1].type.removesuffix(" | None").partition("[")[0]]
    return Annotated[kind, Option(**words, **reading)]


def _default(option: OptionInfo) -> str:
    if option.default is None:
        return "must be given" if option.name == "baseline" else "chosen by size"
    return str(option.default)


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
