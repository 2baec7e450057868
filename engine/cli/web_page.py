"""``onnxray page``: a saved explainer as a folder of static files that explain pictures in a browser."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ..webpage import PINNED, runtime_files, write_page
from .terminal import say

__all__ = ["page"]


def page(
    explainer: Annotated[
        Path, Argument(metavar="EXPLAINER.onnx", help="What onnxray save wrote, for pictures.", show_default=False)
    ],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="The folder of the page.")] = Path("page"),
    runtime: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help=f"onnxruntime-web {PINNED.version}: the folder of its npm package, or its tarball. By default that in "
            "node_modules here or above, else what --download fetched before.",
            show_default=False,
        ),
    ] = None,
    download: Annotated[
        bool,
        Option(
            "--download",
            help="Fetch onnxruntime-web from the npm registry (33 MB, once), whose sha512 is checked. "
            "npm_config_registry in the environment names another registry.",
        ),
    ] = False,
) -> None:
    """Write a page that explains pictures in the browser, on the visitor's own machine.

    The page shows the five best classes of a picture that is dropped, chosen or
    taken by the camera, and the map of the class that is clicked. Preprocessing,
    labels and method are those that the explainer names. The folder holds all that
    the page needs: it loads nothing from elsewhere and sends nothing. Put it on any
    server of static files; opened as a file, browsers load no modules.

    \b
    Example:
      onnxray save model.onnx explainer.onnx -m grad-cam --preprocess imagenet \\
          --labels labels.txt
      onnxray page explainer.onnx -o page --download
      python -m http.server --directory page
    """
    made = write_page(explainer, out, partial(runtime_files, runtime, download))
    size = sum(made.files.values())
    say(
        f"-> {made.folder}: {size / 1e6:.1f} MB, and {made.model / 1e6:.1f} MB of the model",
        f"   serve it, as browsers load no modules from files: python -m http.server --directory {made.folder}",
    )
