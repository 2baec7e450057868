"""Names of Python arguments on the command line."""

from __future__ import annotations

from typing import Any

from ..methods.catalogue import method_options

__all__ = ["options_of"]

SINGULAR = {
    "methods": "method",
    "metrics": "metric",
    "providers": "provider",
    "candidate_providers": "candidate_provider",
}


def options_of(context: Any) -> dict[str, str]:
    """The options of the command that a context is about to call, by argument; methods' options, too."""
    command = context.command.commands.get(context.invoked_subcommand)
    known = {one.name: max(one.opts, key=len) for one in getattr(command, "params", ()) if one.opts[0].startswith("-")}
    known |= {many: known[one] for many, one in SINGULAR.items() if one in known}
    methods = method_options() if "option" in known else ()
    return {name: f"--option {name}=" for name in methods if name not in known} | known
