"""Modules that onnx_ir imports and hardly ever uses: they are imported with their first use, if there is one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

__all__ = ["find_late"]

# What onnx_ir calculates with names of sizes by, which nothing here asks it for: 30 MB, and 0.3 s of a process.
LATE = ("sympy", "onnx_ir._symbolic_shapes")


def find_late() -> None:
    """When onnx_ir is imported, it gets a stand-in of such modules; who else imports one, gets the module itself."""
    if "onnx_ir" not in sys.modules and not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class StandIn(ModuleType):
    """A module that is imported when something in it is first asked for, by whatever thread, as by ``import``."""

    def __getattr__(self, name: str) -> Any:
        self.leave()
        return getattr(import_module(self.__name__), name)

    def leave(self) -> None:
        """Makes room for the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


class _Finder:
    """Finds onnx_ir, once."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if fullname != "onnx_ir":
            return None
        sys.meta_path.remove(self)
        found = PathFinder.find_spec(fullname, path)
        if found is not None and isinstance(found.loader, SourceFileLoader):
            found.loader = _Loader(found.loader.name, found.loader.path)
        return found


class _Loader(SourceFileLoader):
    """Executes a module among stand-ins."""

    def exec_module(self, module: ModuleType) -> None:
        stand_ins = [StandIn(name) for name in LATE if name not in sys.modules]
        sys.modules.update({one.__name__: one for one in stand_ins})
        try:
            super().exec_module(module)
        finally:
            for one in stand_ins:
                one.leave()
