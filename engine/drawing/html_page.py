"""Pages of HTML from templates, and pictures that are part of a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib import resources
from typing import Any

from PIL import Image

from ..optional import import_extra
from . import heatmap

__all__ = ["address", "render", "tile"]


def render(module: str, template: str, extra: str, **values: Any) -> str:
    """A page from a template beside a module, which may include those of this package, such as ``style.html``.

    All text is escaped; ``in_words`` says a setting. Raises RuntimeUnavailable without jinja2, which names the extra
    that has it.
    """
    folders = [resources.files(name) for name in (module.rpartition(".")[0], __package__ or "")]
    jinja = import_extra("jinja2", extra)

    def source(name: str) -> str | None:
        found = [folder.joinpath(name) for folder in folders]
        return next((one.read_text(encoding="utf-8") for one in found if one.is_file()), None)

    environment = jinja.Environment(
        loader=jinja.FunctionLoader(source),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined,
    )  # fmt: skip
    return environment.get_template(template).render(in_words=_in_words, **values)


def _in_words(value: Any) -> str:
    """A setting in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_in_words(one)}" for key, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "–"
    return "–" if value is None else str(value)


def address(picture: Image.Image) -> str:
    """A picture as an address that holds it."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def tile(picture: Image.Image) -> Image.Image:
    """A picture large enough to see, small enough to send."""
    large = heatmap.enlarge(picture)
    if max(large.size) > 2 * heatmap.SIDE:
        large.thumbnail((2 * heatmap.SIDE, 2 * heatmap.SIDE))
    return large
