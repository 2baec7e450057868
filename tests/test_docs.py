"""The documents agree with the code."""

import re
import tomllib
from pathlib import Path

import onnx
import onnxray
import operator_table
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_table_of_methods_is_complete() -> None:
    assert re.findall(r"^\| `([a-z+-]+)` \|", README, re.MULTILINE) == list(onnxray.METHODS)


def test_the_page_of_methods_has_a_row_for_each() -> None:
    """The rankings are measured seldom; whatever they name is a method, and no method has a rank twice."""
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    said = "run: python benchmarks/rank_methods.py --only methods --write docs/methods.md"
    assert re.findall(r"^\| `([a-z+-]+)` \|", page, re.MULTILINE) == list(onnxray.METHODS), said
    for name in ("digits", "int8"):
        section = page.partition(f"<!-- {name}: begin")[2].partition(f"<!-- {name}: end -->")[0]
        ranked = re.findall(r"^\| (?:\d+)? ?\| ([a-z+-]+) \|", section, re.MULTILINE)
        assert {"saliency", "guided-backprop", "grad-cam"} <= set(ranked) <= set(onnxray.METHODS)
        assert len(ranked) == len(set(ranked))
        assert re.search(r"\| guided-backprop \|.* fails: blind to the upper layers", section)
        assert re.search(r"\| saliency \|.* passes \|", section)


def test_the_table_of_operators_is_what_is_registered() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    version = re.search(r"operator of onnx (\S+),", page)
    assert version
    if not onnx.__version__.startswith(f"{version[1]}."):
        pytest.skip(f"the page is for onnx {version[1]}, whose operators are not those of onnx {onnx.__version__}")
    assert page == operator_table.table(), "run: python tests/operator_table.py > docs/operators.md"


def test_no_operator_of_the_standard_is_refused() -> None:
    page = operator_table.table()
    standard = page[page.index("## The standard's operators") : page.index("## ai.onnx.ml")]
    assert len(re.findall(r"^\| \w+ \|", standard, re.MULTILINE)) > 190
    assert re.findall(r"^\| (\w+) \| refused", standard, re.MULTILINE) == []


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_in_the_readme_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "digit.png").stat().st_size > 1000


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines() if "[test]" in line]
    assert commands == ["pip install -c constraints.txt '.[test]' && pytest -n 2 --dist worksteal"]
    assert commands[0].replace("install", "install --quiet") in (ROOT / ".ci" / "run").read_text()


def test_the_constraints_name_every_requirement_of_the_tests() -> None:
    """One release each, of everything that the extra of the tests asks for by pyproject.toml."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = [re.fullmatch(r"([\w.-]+)==[\w.]+", line) for line in lines]
    assert [line for line, match in zip(lines, pinned, strict=True) if match is None] == []
    names = [canonicalize_name(match[1]) for match in pinned if match]
    assert len(set(names)) == len(names)
    assert required("onnxray[test]") - {"onnxray"} <= set(names)


def required(text: str) -> set[str]:
    """Names of the distributions that a requirement asks for, by pyproject.toml, extras within extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = Requirement(text)
    if asked.name != "onnxray":
        return {canonicalize_name(asked.name)}
    inner = [line for extra in asked.extras for line in project["optional-dependencies"][extra]]
    return {"onnxray"}.union(*map(required, [*project["dependencies"], *inner]))


def test_what_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_api_page_shows_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in onnxray.__all__ if not re.search(rf"onnxray\.{name}\b", page)] == []
    assert ".. automodule:: onnxray.scores\n   :members:\n" in page  # all of onnxray.scores.__all__


def test_the_extras_that_messages_name_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        name
        for folder in ("engine", "converters")
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"onnxray\[([a-z]+)\]", file.read_text(encoding="utf-8"))
    }
    assert named <= set(extras)
    assert {"cpu", "gpu"} <= named
