"""Words in colour: which colour, where spaces are, and pages in which text is escaped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnxray
import pytest
from onnxray.drawing.coloured_text import Part, Word, Words


def words(*values: float) -> Words:
    """Ten letters and a special token for each value but the first, which is that of the special token."""
    named = [Word("[CLS]", values[0], 0, 0, None, (0,))]
    return Words(
        (*named, *(Word(f"<{k}>", value, 4 * k, 4 * k + 3, 0, (k + 1,)) for k, value in enumerate(values[1:]))),
        "what & why",
    )


def test_colours_are_shares_of_the_strongest_word() -> None:
    """Red is #c62828, blue #1565c0; a special token of any size changes no word, and is itself as strong at most."""
    found = words(-90.0, 2.0, -1.0, 0.02, 0.0)
    (line,) = found.lines()
    assert line == [
        Part("<0>", "#c62828", "#ffffff", 2.0),
        Part(" "),
        Part("<1>", "#8ab2e0", "#000000", -1.0),
        Part(" "),
        Part("<2>", None, None, 0.02),
        Part(" "),
        Part("<3>", None, None, 0.0),
    ]
    assert found.special() == [Part("[CLS]", "#1565c0", "#ffffff", -90.0)]


def test_words_that_all_say_nothing_have_no_colour() -> None:
    (line,) = words(0.0, 0.0).lines()
    assert line == [Part("<0>", None, None, 0.0)]


def test_the_least_attribution_may_have_no_colour() -> None:
    """From rise, whose numbers all hold the mean score."""
    found = replace(words(3.0, 5.0, 3.0, 4.0), least=3.0)
    (line,) = found.lines()
    assert [part.colour for part in line if part.text != " "] == ["#c62828", None, "#e29494"]
    assert "blue lowers" not in found._repr_html_()


def test_spaces_are_where_the_text_has_them() -> None:
    """Of two texts each begins a line."""
    joined = Words((Word("a", 1.0, 0, 1, 0, (0,)), Word("!", 1.0, 1, 2, 0, (1,)), Word("b", 1.0, 3, 4, 1, (2,))))
    assert ["".join(part.text for part in line) for line in joined.lines()] == ["a!", "b"]


def test_pages_escape_their_text(tmp_path: Path) -> None:
    found = words(0.5, 2.0, -1.0)
    page = found.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "what &amp; why" in page
    assert "&lt;0&gt;" in page
    assert "<0>" not in page
    assert "red raises the score" in page
    assert "red raises" not in words(1.0, 2.0).save(tmp_path / "page.html").read_text(encoding="utf-8")
    shown = found._repr_html_()
    assert "<html" not in shown
    assert shown.strip() in page
    with pytest.raises(onnxray.InputError, match=r"words are not saved as '.png'; use .html"):
        found.save(tmp_path / "page.png")


def test_words_are_a_sequence() -> None:
    found = words(0.5, 2.0)
    assert len(found) == 2
    assert [word.special for word in found] == [True, False]
