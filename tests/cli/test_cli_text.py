"""Texts on the command line: words in colour, as a page and as JSON, and what is refused in one line."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import pytest
from by_hand import model, normal
from cli_tools import DIGIT, one_line
from onnxray.cli.app import run
from PIL import Image
from text_nets import CLASSES, TABLE, TYPES, VOCABULARY, classifier, contributions, tokenizer, tokenizer_file

TEXT = "A finely film, <b> not bad"
IDS = [2, 4, 5, 14, 6, 1, 1, 1, 1, 10, 9, 3]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line that lacks the text."""
    monkeypatch.chdir(tmp_path)
    onnx.save(classifier(), "net.onnx")
    return ["explain", "net.onnx", "--tokenizer", tokenizer_file(tmp_path), "-m", "input-x-gradient", "--target", "1"]


class Marks(HTMLParser):
    """The words of a page that have a number, each with the style that colours it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self._open: dict[str, str | None] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = dict(attrs) if tag == "span" else None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.found.append((data, self._open["title"] or "", self._open["style"] or ""))
        self._open = None


def test_a_text_as_json_and_as_a_page(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--text", TEXT, "--json"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert "no token for ',' and 3 others" in err
    each = contributions(IDS, 1)
    assert record["text"] == TEXT
    assert "image" not in record
    assert (record["method"], record["target"], record["explained"]) == ("input-x-gradient", 1, "class 1")
    np.testing.assert_allclose(record["score"], (TABLE[IDS] + TYPES[0]).sum(0) @ CLASSES[:, 1], rtol=1e-5)
    assert [one["id"] for one in record["tokens"]] == IDS
    np.testing.assert_allclose([one["attribution"] for one in record["tokens"]], each, rtol=1e-5)
    words = record["words"]
    assert [w["text"] for w in words] == ["[CLS]", "A", "finely", "film", ",", "<", "b", ">", "not", "bad", "[SEP]"]
    assert [TEXT[w["start"] : w["end"]] for w in words[1:-1]] == [w["text"] for w in words[1:-1]]
    np.testing.assert_allclose(words[2]["attribution"], each[2] + each[3], rtol=1e-5)
    bars, page = map(Path, record["files"])
    assert bars.suffix == ".png"
    assert Image.open(bars).height > 24 * len(IDS)
    marks = Marks(page.read_text(encoding="utf-8")).found
    assert [text for text, _, _ in marks] == [w["text"] for w in (*words[1:-1], words[0], words[-1])]
    assert [number for _, number, _ in marks[:-2]] == [f"{w['attribution']:+.4g}" for w in words[1:-1]]


def test_the_strongest_words_have_the_strongest_colours(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--text", "a fine film is good", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    marks = Marks(Path(record["files"][1]).read_text(encoding="utf-8")).found[:-2]
    red_less_blue = [_red_less_blue(style) for _, _, style in marks]
    values = [w["attribution"] for w in record["words"] if not w["special"]]
    assert min(values) < 0 < max(values)
    assert np.argsort(red_less_blue).tolist() == np.argsort(values).tolist()
    strongest = int(np.argmax(np.abs(values)))
    assert ("#c62828" if values[strongest] > 0 else "#1565c0") in marks[strongest][2]


def _red_less_blue(style: str) -> int:
    colour = style.partition("background: #")[2][:6] or "ffffff"
    return int(colour[:2], 16) - int(colour[4:], 16)


def test_a_pair_as_lines(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*command, "--text", "is  it", "--text-pair", "bad films"]
    assert run(asked) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    each = contributions([2, 11, 12, 3, 9, 6, 7, 3], 1)
    assert first.startswith("text: class 1, score ")
    assert lines[:2] == ["  is it", "  bad films"]
    told = {"is": each[1], "it": each[2], "bad": each[4], "films": each[5] + each[6]}
    ranked = sorted(told.items(), key=lambda item: -abs(item[1]))
    assert lines[2:6] == [f"  {value:+10.4g}  {word}" for word, value in ranked]
    assert lines[6] == f"  special tokens: [CLS] {each[0]:+.3g}, [SEP] {each[3]:+.3g}, [SEP] {each[7]:+.3g}"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert run(asked) == 0
    coloured = capsys.readouterr().out
    strongest = ranked[0]
    red, green, blue = (198, 40, 40) if strongest[1] > 0 else (21, 101, 192)
    assert f"48;2;{red};{green};{blue}m{strongest[0]}\x1b[0m" in coloured


def test_other_texts_have_files_of_their_own(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("a film", "a  film", "../../語", "a film"):
        assert run([*command, "--text", text, "--json"]) == 0
    files = [json.loads(line)["files"] for line in capsys.readouterr().out.splitlines()]
    assert files[0] == files[3]
    assert len({name for names in files for name in names}) == 6
    assert all(Path(name).parent == Path("out") for names in files for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "a"], "--text needs the model's tokenizer; name its file tokenizer.json by --tokenizer"),
        (["--text-pair", "a"], "--tokenizer and --text-pair belong to a text"),
        ([DIGIT, "--text", "a"], "a text and files are not explained together"),
        ([], "nothing to explain; name files (IMAGE...), or give --text and --tokenizer"),
        (["--text", "a", "--tokenizer", "net.onnx"], "net.onnx cannot be read (it is no tokenizer.json"),
        (["--text", "a", "--tokenizer", "none.json"], "none.json cannot be read (No such file or directory)"),
        (
            ["--text", "a", "--tokenizer", "tokenizer.json", "--rate", "8"],
            "--rate is for files, and a text is explained",
        ),
        (["--text", "a", "--tokenizer", "tokenizer.json", "--batch-size", "2"], "--batch-size is for files"),
        (["--text", "a", "--tokenizer", "tokenizer.json", "--preprocess", "unit"], "--preprocess is for files"),
        (["--text", "a", "--tokenizer", "tokenizer.json", "--resume"], "--resume is for files"),
        (["--text", " ", "--tokenizer", "tokenizer.json"], "the text is empty"),
        (["--text", "a", "--tokenizer", "larger.json"], "ids up to 15, the table of embeddings of 'input_ids' has 15"),
    ],
)
def test_what_is_refused(
    arguments: list[str], message: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    larger = tokenizer()
    larger.add_tokens(["new"])
    larger.save("larger.json")
    assert message in one_line([*command[:2], *arguments], capsys)
    assert not Path("out").exists()


def test_a_picture_model_takes_no_text(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from cli_tools import DIGITS

    told = one_line(["explain", DIGITS, *command[2:4], "--text", "a"], capsys)
    assert "text needs one of (batch, tokens)" in told


def test_the_words_of_a_language_model_are_those_of_its_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step scores every token by the sum of the embeddings up to it; there is room for a token more."""
    monkeypatch.chdir(tmp_path)
    words = normal(4, 16)
    net = model(
        """net (int64[N, L] ids) => (float[N, L, 16] y) {
            e = Gather(table, ids) s = CumSum(e, axis) y = MatMul(s, words) }""",
        {"table": TABLE, "words": words, "axis": np.array(1)},
    )
    onnx.save(net, "lm.onnx")
    asked = ["explain", "lm.onnx", "--tokenizer", tokenizer_file(tmp_path), "--text", "a film", "--json", "--target"]
    scores = TABLE[[2, 4, 6, 3]].cumsum(0) @ words
    assert run([*asked, "token:1:film"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["target"], record["explained"]) == ([1, 6], "token 1, word film (6)")
    assert record["score"] == pytest.approx(scores[1, 6], rel=1e-5)
    assert run([*asked, "token:2"]) == 0
    top = int(scores[2].argmax())
    named = f"{VOCABULARY[top]} ({top})" if top < len(VOCABULARY) else str(top)
    assert json.loads(capsys.readouterr().out)["explained"] == f"token 2, word {named}"
    assert "did you mean 'fine', 'film'?" in one_line([*asked, "token:1:filn"], capsys)


def test_a_text_that_the_locale_cannot_read(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Python passes on its bytes as halves of letters."""
    assert run([*command, "--text", "a film".replace("i", "\u00ef"), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert run([*command, "--text", "a f\udcc3\udcaflm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    assert "bytes that are no UTF-8" in one_line([*command, "--text", "a \udcff"], capsys)
