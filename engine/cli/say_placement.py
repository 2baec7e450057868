"""``--verbose``: which provider ran which nodes, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..explainer import Explainer
from ..graph.placed_nodes import Placement, in_words
from ..support.execution_providers import CPU, short_name
from .terminal import say_note

__all__ = ["placement_said"]


@contextmanager
def placement_said(explainer: Explainer, verbose: bool) -> Iterator[None]:
    """At the end of what is within, and of its failure, one line for each provider, where they are asked for."""
    try:
        yield
    finally:
        for line in _lines(explainer) if verbose else ():
            say_note(line)


def _lines(explainer: Explainer) -> list[str]:
    found = explainer.placement
    if found is None:
        return [f"{explainer.runtime} does not tell which provider runs which node"]
    named = [one if isinstance(one, str) else one[0] for one in explainer.providers]
    return [_line(name, named, found) for name in dict.fromkeys([*named, *found])]


def _line(name: str, named: list[str], found: Placement) -> str:
    own = found.get(name, {})
    count, total = sum(own.values()), sum(one.total() for one in found.values())
    fell = " fell back to it and" if name == CPU and CPU not in named else ""
    told = f": {in_words(found[name], len(own))}" if own else ""
    return f"{short_name(name)}: {count} of {total} nodes{fell} run there{told}"
