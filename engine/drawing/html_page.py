"""Pages of HTML from templates, and pictures that are part of a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from PIL import Image

from ..optional import import_extra
from . import heatmap

__all__ = ["address", "render", "script", "tile"]


def render(module: str, template: str, extra: str, **values: Any) -> str:
    """A page from a template beside a module, which may include those of this package, such as ``style.html``.

    All text is escaped; ``in_words`` says a setting. Raises RuntimeUnavailable without jinja2, which names the extra
    that has it.
    """
    jinja = import_extra("jinja2", extra)

    def source(name: str) -> str | None:
        found = _beside(module, name)
        return None if found is None else found.read_text(encoding="utf-8")

    environment = jinja.Environment(
        loader=jinja.FunctionLoader(source),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined,
    )  # fmt: skip
    return environment.get_template(template).render(in_words=_in_words, **values)


def script(module: str, name: str) -> bytes:
    """A script of a page, which lies beside a module or is one of this package that several pages share."""
    found = _beside(module, name)
    if found is None:
        raise FileNotFoundError(name)
    return found.read_bytes()


def _beside(module: str, name: str) -> Traversable | None:
    """A file beside a module, else one of this package."""
    places = [resources.files(one).joinpath(name) for one in (module.rpartition(".")[0], __package__ or "")]
    return next((one for one in places if one.is_file()), None)


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
