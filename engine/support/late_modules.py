"""Modules that onnx_ir imports and hardly ever uses: they are imported with their first use, if there is one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, cast

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
        if found is not None and found.loader is not None:
            found.loader = cast(Any, _Loader(found.loader))
        return found


class _Loader:
    """Executes a module among stand-ins; what asks the module for its loader later, gets the one that it always has."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.own
        if module.__spec__ is not None:
            module.__spec__.loader = self.own
        stand_ins = [StandIn(name) for name in LATE if name not in sys.modules]
        sys.modules.update({one.__name__: one for one in stand_ins})
        try:
            self.own.exec_module(module)
        finally:
            for one in stand_ins:
                one.leave()
