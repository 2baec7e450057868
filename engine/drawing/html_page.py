"""Pages of HTML from templates."""

from __future__ import annotations

from importlib import resources
from typing import Any

from ..optional import import_extra

__all__ = ["render"]


def render(module: str, template: str, extra: str, **values: Any) -> str:
    """A page from a template beside a module; all text is escaped. Raises RuntimeUnavailable without jinja2,
    which names the extra that has it.
    """
    folder, jinja = resources.files(module.rpartition(".")[0]), import_extra("jinja2", extra)
    environment = jinja.Environment(
        loader=jinja.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined,
    )  # fmt: skip
    return environment.get_template(template).render(**values)
