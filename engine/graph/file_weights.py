"""Large weights that stay in the file of their model: read when they are looked at, mapped while a session opens."""

from __future__ import annotations

import os
import platform
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from ..errors import ModelError
from .shapes import static_shape

__all__ = ["FileWeight", "ModelFile", "folded_or_packed", "kept_open"]

STAYS = 2**20  # bytes of a weight from which on it stays in the file


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A file that is kept open: another may take its name, and it may be deleted, but it must not be written to.

    ``state`` tells the file and its content from others: device, number, size and time of the last change.
    """

    path: Path
    descriptor: int
    state: tuple[int, ...]

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file. Raises ModelError where it was written to since it was opened, or cannot be read."""
        parts = list[bytes]()
        try:
            while size and (part := os.pread(self.descriptor, size, offset)):
                parts.append(part)
                offset, size = offset + len(part), size - len(part)
        except OSError as error:
            raise ModelError(f"{self.path}: cannot be read any more ({error.strerror}); load it again") from error
        self.check()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check(self) -> None:
        """A ModelError where the file was written to since it was opened."""
        if _state(os.fstat(self.descriptor)) != self.state:
            raise ModelError(f"{self.path} was written to after the model was loaded; load it again")

    @property
    def is_in_place(self) -> bool:
        """Whether the path, if it is text, leads to the file as it was opened, and no other path does."""
        try:
            os.fspath(self.path).encode()
            found = os.lstat(self.path)
        except (OSError, UnicodeEncodeError):
            return False
        return _state(found) == self.state and found.st_nlink == 1

    @property
    def is_mapped(self) -> bool:
        """Whether this process has mapped a part of the file, which changes with the file; also where none can tell."""
        try:
            found = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return True
        return "\n" in str(self.path) or any(f" {self.path}{end}\n" in found for end in ("", " (deleted)"))


class FileWeight(ir.LazyTensor):
    """A weight at an offset of a file. Its array is read where it is asked for, unless one is in use."""

    __slots__ = ("_array", "file", "offset")

    def __init__(self, file: ModelFile, offset: int, dtype: ir.DataType, shape: tuple[int, ...], name: str) -> None:
        super().__init__(self._tensor_in_use, dtype, ir.Shape(shape), name=name)
        self.file, self.offset = file, offset
        self._array: weakref.ref[np.ndarray] | None = None

    def _tensor_in_use(self) -> ir.Tensor:
        array = None if self._array is None else self._array()
        if array is None:
            content = self.file.read(self.offset, self.nbytes)
            array = np.frombuffer(content, self.dtype.numpy()).reshape(self.shape.numpy())
            self._array = weakref.ref(array)
        return ir.Tensor(array, dtype=self.dtype, name=self.name)

    def __reduce__(self) -> tuple[object, ...]:
        """A copy in another process, or by ``copy.deepcopy``, has the weight in memory."""
        return _in_memory, (self.numpy(), int(self.dtype), self.name)

    def as_external(self) -> ir.ExternalTensor:
        """The weight as external data in the file itself."""
        shape, name = ir.Shape(self.shape.numpy()), str(self.name)
        return ir.ExternalTensor(self.file.path.name, self.offset, self.nbytes, self.dtype, shape=shape, name=name)


def _in_memory(array: np.ndarray, dtype: int, name: str | None) -> ir.Tensor:
    return ir.Tensor(array, dtype=ir.DataType(dtype), name=name)


def kept_open(path: str | os.PathLike[str], descriptor: int) -> ModelFile | None:
    """The open file at a path, of which weights may be read later; None where a system does not tell what changes."""
    if sys.platform != "linux" or sys.byteorder != "little":
        return None
    state = _state(os.fstat(descriptor))
    return ModelFile(Path(os.path.realpath(path)), os.dup(descriptor), state)


def folded_or_packed(value: ir.Value) -> bool:
    """Whether a session on a CPU needs a weight of the graph while it opens alone, by all that is known.

    What onnxruntime neither computes with nor packs meanwhile, it maps from the file as long as the session is open.
    """
    private = not value.is_graph_output() and all(node.graph is value.graph for node, _ in value.uses())
    return private and all(_is_constant(node) or _packs(node, place, value) for node, place in value.uses())


def _is_constant(node: ir.Node) -> bool:
    return all(value is None or value.is_initializer() for value in node.inputs)


def _packs(node: ir.Node, place: int, weight: ir.Value) -> bool:
    """Whether a node of a float network holds its weight in an order of its own; of a convolution, blocks of 16."""
    shape = static_shape(weight) or ()
    if node.op_type in ("Gemm", "MatMul"):
        return place == 1 and len(shape) == 2 and weight.dtype == ir.DataType.FLOAT
    blocks = platform.machine() in ("x86_64", "AMD64") and len(shape) == 4 and not any(size % 16 for size in shape[:2])
    return node.op_type == "Conv" and place == 1 and blocks and node.attributes.get_int("group", 1) == 1


def _state(of: os.stat_result) -> tuple[int, ...]:
    return of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns
