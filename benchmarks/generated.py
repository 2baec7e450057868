"""Sections of a page that programs write: each between two comments, so that each is renewed alone."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_section"]


def write_section(page: Path, name: str, text: str) -> None:
    """Replaces what stands between the comments of a name, or adds both at the end of the page."""
    start, end = f"<!-- {name}: begin, made by a program -->", f"<!-- {name}: end -->"
    before = page.read_text() if page.exists() else ""
    section = f"{start}\n\n{text.strip()}\n\n{end}"
    if start in before:
        head, _, rest = before.partition(start)
        page.write_text(head + section + rest.partition(end)[2])
    else:
        page.write_text(f"{before.rstrip()}\n\n{section}\n".lstrip())
