"""The size of a picture from its head is that of the picture as it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnxray import InputError
from onnxray.data.pictures import picture_size, read_picture
from PIL import Image


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_it_is_that_of_the_picture_that_is_read(orientation: int | None, tmp_path: Path) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / "one.jpg", exif=exif)
    assert picture_size(tmp_path / "one.jpg") == read_picture(tmp_path / "one.jpg").size


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "none.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none\.png cannot be read as a picture"):
        picture_size(tmp_path / "none.png")
