"""The notebooks of examples/notebooks run from the first cell to the last, in a kernel of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from late import late
from real_files import DATA

nbclient, nbformat = late("nbclient"), late("nbformat")

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
GIVEN = {"MODEL": "onnx/yolox_nano_224.onnx", "PICTURE": "images/pets.jpg", "LABELS": "coco_classes.txt"}


def notebooks() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@pytest.mark.slow  # a kernel each, and a training
@pytest.mark.parametrize("name", notebooks())
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    """Files that the reader gives are those of the data; every cell that draws drew."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    for cell in (one for one in notebook.cells if one.cell_type == "code"):
        if re.match("MODEL =", cell.source):
            missing = [str(DATA / one) for one in GIVEN.values() if not (DATA / one).exists()]
            if missing:
                pytest.skip(f"the files of a detector are not here: {', '.join(missing)}")
            cell.source = "\n".join(f"{key} = {str(DATA / one)!r}" for key, one in GIVEN.items())
    before = [_kinds(cell) for cell in notebook.cells]
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    assert [_kinds(cell) for cell in notebook.cells] == before


def test_notebooks_hold_their_outputs() -> None:
    """A reader sees them without running anything; there are pictures in each."""
    for name in notebooks():
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
        nbformat.validate(notebook)
        assert any("image/png" in kinds for kinds in map(_kinds, notebook.cells)), name
        text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
        assert "/shared/" not in text, name
        assert "Traceback" not in text, name
    assert len(notebooks()) == 3


def _kinds(cell: Any) -> set[str]:
    """What a cell shows: text of streams, a picture; not the warnings, which go by release."""
    return {kind for one in cell.get("outputs", ()) for kind in one.get("data", ()) if kind == "image/png"}
