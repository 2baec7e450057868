"""docs/cli.md, made from the commands themselves: python tests/cli_reference.py > docs/cli.md"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer.main
from onnxray.cli.app import app

HEAD = """# The command line

<!-- made by tests/cli_reference.py from the commands' help; a test compares -->
"""


def reference() -> str:
    """The page: of each command its help and its parameters."""
    group: Any = typer.main.get_command(app)
    sections = [_section("onnxray", group)]
    sections += [_section(f"onnxray {name}", command) for name, command in sorted(group.commands.items())]
    return "\n".join([HEAD, *sections])


def _section(title: str, command: Any) -> str:
    return "\n".join([f"## {title}\n", *_prose(command.help), *_parameters(command.params)])


def _prose(text: str) -> Iterator[str]:
    words, _, example = inspect.cleandoc(text).partition("\b\nExample:\n")
    yield words.strip() + "\n"
    yield f"```sh\n{inspect.cleandoc(example)}\n```\n"


def _parameters(parameters: list[Any]) -> Iterator[str]:
    yield "| | what it is | default |\n|---|---|---|"
    for one in parameters:
        name = ", ".join(f"`{option}`" for option in (*one.opts, *one.secondary_opts) if option.startswith("-"))
        metavar = f"`{one.metavar}`" if one.metavar else ""
        yield f"| {f'{name} {metavar}'.strip()} | {one.help} | {_default(one)} |"
    yield ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return "must be given"
    return "" if parameter.default in (None, False) or callable(parameter.default) else f"`{parameter.default}`"


if __name__ == "__main__":
    print(reference(), end="")
