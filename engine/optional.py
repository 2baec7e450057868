"""Libraries of extras, imported when they are used; for a missing one the error is one line with the command."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .errors import RuntimeUnavailable

__all__ = ["MEASURING", "REPORT", "SERVING", "import_extra", "need_all"]

SERVING = ("fastapi", "fastapi_offline", "httptools", "jinja2", "prometheus_client", "pythonjsonlogger", "uvicorn")
MEASURING = ("scipy", "skimage", "bottleneck")  # modules that every comparison and evaluation takes
REPORT = ("jinja2", "matplotlib")
EXTRAS = {  # all others: gate
    **dict.fromkeys(("fastapi", "fastapi_offline", "httptools", "prometheus_client"), "serve"),
    "dask": "dask",
    "distributed": "dask",
    "fsspec": "remote",
    "pyarrow": "parquet",
    "pythonjsonlogger": "serve",
    "quantus": "quantus",
    "ray": "ray",
    "skimage.segmentation": "superpixels",
    "tokenizers": "text",
    "uvicorn": "serve",
}


def import_extra(module: str, extra: str | None = None) -> Any:
    """A module of an extra, or RuntimeUnavailable with what to install: ``extra``, if several have the module."""
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is not None and not module.startswith(error.name.split(".")[0]):
            raise
        package = module.split(".")[0]
        extra = extra or EXTRAS.get(module) or EXTRAS.get(package, "gate")
        raise RuntimeUnavailable(f"{package} is not installed; pip install 'onnxray[{extra}]'") from None


def need_all(*modules: str) -> None:
    """RuntimeUnavailable, before any work, where a module is not installed; none is imported."""
    for module in modules:
        if find_spec(module) is None:
            import_extra(module)
