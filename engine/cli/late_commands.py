"""The commands by name, each imported when it is asked for: most of them need much that the others do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from .ending import Interrupted

__all__ = ["LateGroup"]

# The file of each command and the function or the group in it, in the order of the help.
PLACES = {
    "explain": "explain:explain",
    "activations": "model_commands:activations",
    "inspect": "model_commands:inspect",
    "methods": "model_commands:methods",
    "run": "data_run:run_on_data",
    "report": "report_run:report_run",
    "serve": "serve:serve",
    "save": "save:save",
    "page": "web_page:page",
    "convert": "convert:convert",
    "compare": "compare:compare_models",
    "evaluate": "evaluate:evaluate_model",
    "verify": "training:verify_command",
    "doctor": "doctor:doctor",
    "demo": "demo:demo",
    "training": "training:training",
}


class LateCommands(Mapping[str, Any]):
    """The commands by name."""

    def __getitem__(self, name: str) -> Any:
        return loaded(name, PLACES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


class LateGroup(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LateCommands()  # type: ignore[assignment]  # nothing is added to it

    def list_commands(self, ctx: Any) -> list[str]:
        return list(PLACES)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # of which typer makes an exit code, as of a command that has told of its end itself
            raise Interrupted from None


@cache
def loaded(name: str, place: str) -> Any:
    """The command or group of commands at a place, under its name."""
    file, _, inside = place.partition(":")
    found = getattr(import_module(f".{file}", __package__), inside)
    around = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return get_group(around).commands[name]
