"""Reading a model file: what it is, whether it is whole, and that its external data stays in its folder."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, MutableMapping
from os import PathLike
from pathlib import Path
from typing import Any

import google.protobuf.message
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass

from ..errors import ModelError, UnsupportedOperator
from ..graph.file_weights import kept_open
from ..graph.weights import own
from .legacy_operators import isolate_legacy_operators
from .weights_apart import parsed_apart, take_back
from .wellformed import check_wellformed
from .zipmap import unzipped

__all__ = ["MIN_OPSET", "name_of", "read"]

MIN_OPSET = 7
_OPSET = 18  # of what is added to a model that uses nothing of the standard
_SMALL = 2**16
_LONGEST = 2**22  # numbers of a vector: inference takes half a second


def read(source: str | PathLike[str] | bytes | onnx.ModelProto) -> tuple[ir.Model, Path | None]:
    """The model behind a path, bytes or a proto, checked; and its path where there is one."""
    if not isinstance(source, str | PathLike | bytes | onnx.ModelProto):
        raise ModelError(f"a {type(source).__name__} is no model; give a path, bytes, a ModelProto or a Model")
    path = Path(source) if isinstance(source, str | PathLike) else None
    where = name_of(source)
    proto, weights = (source, {}) if isinstance(source, onnx.ModelProto) else _parsed(source, where)
    _check_header(proto, where)
    check_wellformed(proto, where)
    program = _deserialized(unzipped(proto), where)
    take_back(program, weights)
    _type_weights(program)
    _open_wrong_sizes(program)
    _locate_external_data(program, path, where)
    own(program)
    isolate_legacy_operators(program)
    _check_operators(program, where)
    _check_graph(program, where)
    return program, path


def name_of(source: object) -> str:
    """The file, as errors name it."""
    return str(Path(source)) if isinstance(source, str | PathLike) else "the given model"


def _parsed(source: str | PathLike[str] | bytes, where: str) -> tuple[onnx.ModelProto, dict[str, ir.TensorProtocol]]:
    """The message, with large weights beside it where it is plain what they are."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            kept = None if isinstance(source, bytes) else kept_open(source, file.fileno())
            found = parsed_apart(file, kept) if file.seekable() else None
            if found is not None:
                return found
            if file.seekable():
                file.seek(0)
            return _parse(file.read(), where), {}
    except OSError as error:
        raise ModelError(f"{source}: cannot be read ({error.strerror}); give the path of an .onnx file") from error


def _parse(content: bytes, where: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except google.protobuf.message.DecodeError as error:
        raise ModelError(f"{where}: not an ONNX model, or a truncated one ({len(content):,} bytes)") from error
    return proto


def _check_header(proto: onnx.ModelProto, where: str) -> None:
    if not proto.graph.output:
        raise ModelError(f"{where}: not an ONNX model: it holds no graph with outputs")
    others = any(entry.domain not in ("", "ai.onnx") for entry in proto.opset_import)
    default = MIN_OPSET if others else 0  # a model of other domains alone needs none of the standard
    opset = max((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), default=default)
    newest = onnx.defs.onnx_opset_version()
    if not MIN_OPSET <= opset <= newest:
        known = f"onnx {onnx.__version__} knows opsets {MIN_OPSET} to {newest}"
        raise ModelError(f"{where}: opset {opset or 'missing'}, but {known}; export it again, or upgrade onnx")


def _deserialized(proto: onnx.ModelProto, where: str) -> ir.Model:
    try:
        program = ir.from_proto(proto)
        program.graph.opset_imports.setdefault("", _OPSET)
        return program
    except Exception as error:  # whatever it raises of an invalid graph
        raise _invalid(error, where) from error


def _type_weights(program: ir.Model) -> None:
    """A weight has its own type and shape, whatever a value_info or an input of its name declares."""
    for graph in program.graphs():
        for value in graph.initializers.values():
            if (weight := value.const_value) is not None:
                value.type, value.shape = ir.TensorType(weight.dtype), ir.Shape(weight.shape.numpy())


def _open_wrong_sizes(program: ir.Model) -> None:
    """Sizes that the standard's inference does not survive become unknown, as onnxruntime takes them to be.

    It aborts on negative ones, and it lists the numbers of a vector one by one: 2^40 of them for ever.
    """
    for graph in program.graphs():
        made = [value for node in graph for value in node.outputs]
        for value in (*graph.inputs, *graph.initializers.values(), *made):
            sizes: list[Any] = [] if value.shape is None else list(value.shape)
            most = _LONGEST if len(sizes) == 1 and value.const_value is None else math.inf
            wrong = [isinstance(size, int) and not 0 <= size <= most for size in sizes]
            if any(wrong):
                value.shape = ir.Shape([None if bad else size for size, bad in zip(sizes, wrong, strict=True)])


def _check_operators(program: ir.Model, where: str) -> None:
    opset = program.graph.opset_imports.get("", 0)
    for node in program.graph.all_nodes():
        if node.domain == "" and not onnx.defs.has(node.op_type, opset):
            known = f"is none of ONNX opset {opset}, as onnx {onnx.__version__} knows it"
            raise UnsupportedOperator(f"{where}: operator {node.op_type} (node {node.name!r}) {known}")


def _check_graph(program: ir.Model, where: str) -> None:
    """The standard's own checker, which does not get to see the weights.

    It refuses what it calls deprecated, such as GroupNormalization at opset 18, which exporters write and runtimes run.
    """
    try:
        program.graph.sort()  # onnxruntime's own float16 converter leaves nodes before those that they read
        CheckerPass()(program)
    except Exception as error:  # whatever it raises of an invalid graph
        if "is deprecated in domain_version" not in str(error.__cause__ or error):
            raise _invalid(error, where) from error


def _invalid(error: Exception, where: str) -> ModelError:
    reason = " ".join(str(error.__cause__ or error).split())[:300]
    return ModelError(f"{where}: not a valid ONNX model: {reason}")


def _locate_external_data(program: ir.Model, path: Path | None, where: str) -> None:
    """Ties external tensors to the model's folder; refuses those that are missing or lie outside of it.

    Only large weights of the graph itself stay where they are. Shape inference and the rules look into small ones, and
    the standard's checker would look for those of subgraphs and functions in the current folder.
    """
    found = list(_external_tensors(program))
    for _, _, tensor in found:
        _locate(tensor, path, where)
    for owner, name, tensor in found:
        if isinstance(owner, ir.Value):
            stays = owner.graph is program.graph and tensor.nbytes > _SMALL
            owner.const_value = tensor if stays else _in_memory(tensor)
        else:
            owner[name] = _read_attribute(owner[name])


def _locate(tensor: ir.ExternalTensor, path: Path | None, where: str) -> None:
    if path is None:
        raise ModelError(f"{where}: tensor {tensor.name!r} is in the file {tensor.location!r}; load it by its path")
    folder = path.parent.resolve()
    file = _external_file(folder, tensor, where)
    length = tensor.nbytes if tensor.length is None else tensor.length
    if not file.is_file() or length != tensor.nbytes or file.stat().st_size < (tensor.offset or 0) + length:
        raise ModelError(
            f"{where}: external data {file} of tensor {tensor.name!r}, {tensor.nbytes:,} bytes, is missing or short"
        )
    tensor.base_dir = folder


def _external_file(folder: Path, tensor: ir.ExternalTensor, where: str) -> Path:
    """The file that a tensor names, inside of the model's folder: no link leads out of it, and none is a hard one."""
    about = f"{where}: external data {str(tensor.location)[:100]!r} of {tensor.name!r}"
    try:
        file = (folder / tensor.location).resolve()
        links = file.stat().st_nlink if file.is_file() else 1
    except (OSError, ValueError) as error:  # ValueError of NUL, OSError of names that are too long
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{about} is no name of a file ({reason})") from error
    if not file.is_relative_to(folder):
        raise ModelError(f"{about} leaves the model's folder")
    if links > 1:
        raise ModelError(f"{about} is a hard link, which may lead out of the model's folder; put a copy there")
    return file


def _external_tensors(
    program: ir.Model,
) -> Iterator[tuple[ir.Value | MutableMapping[str, ir.Attr], str, ir.ExternalTensor]]:
    """Each with the value or the attributes that hold it: of the graph, its subgraphs and the bodies of functions."""
    functions = list(program.functions.values())
    for graph in (*program.graphs(), *(inner for f in functions for inner in f.subgraphs())):
        for value in graph.initializers.values():
            if isinstance(value.const_value, ir.ExternalTensor):
                yield value, str(value.name), value.const_value
    nodes = (*program.graph.all_nodes(), *(node for f in functions for node in f.all_nodes()))
    for attributes in (*(node.attributes for node in nodes), *(f.attributes for f in functions)):
        for name, attribute in attributes.items():
            held = attribute.value if attribute.type == ir.AttributeType.TENSORS else [attribute.value]
            yield from ((attributes, name, tensor) for tensor in held or () if isinstance(tensor, ir.ExternalTensor))


def _read_attribute(attribute: ir.Attr) -> ir.Attr:
    """The attribute with its tensors in memory."""
    if attribute.type == ir.AttributeType.TENSOR:
        return ir.AttrTensor(attribute.name, _in_memory(attribute.value), attribute.doc_string)
    read = [_in_memory(tensor) for tensor in attribute.as_tensors()]
    return ir.AttrTensors(attribute.name, read, attribute.doc_string)


def _in_memory(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor
    return ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)
