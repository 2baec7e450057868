"""The page of ``onnxray page``: static files that explain pictures in a browser, on onnxruntime-web."""

from .web_runtime import PINNED, runtime_files
from .written_page import WrittenPage, write_page

__all__ = ["PINNED", "WrittenPage", "runtime_files", "write_page"]
