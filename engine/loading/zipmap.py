"""Dictionaries of scores, which classifiers from scikit-learn give as a rule, read as the tensors they are made of."""

from __future__ import annotations

import onnx

__all__ = ["unzipped"]


def unzipped(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each ZipMap (ai.onnx.ml) handing its scores on, a column per class; itself where it has none.

    No gradient and no file of tensors can hold a dictionary, and onnx-ir reads no such type.
    """
    if not any(map(_is_zip, proto.graph.node)):
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    made = {node.output[0]: _classes(node) for node in copy.graph.node if _is_zip(node)}
    for node in filter(_is_zip, copy.graph.node):
        node.op_type, node.domain = "Identity", ""
        del node.attribute[:]
    for value in (*copy.graph.output, *copy.graph.value_info):
        if value.name in made:
            value.type.Clear()
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            value.type.tensor_type.shape.dim.add()
            value.type.tensor_type.shape.dim.add(dim_value=made[value.name])
    return copy


def _is_zip(node: onnx.NodeProto) -> bool:
    return node.domain == "ai.onnx.ml" and node.op_type == "ZipMap"


def _classes(node: onnx.NodeProto) -> int:
    return max(len(attribute.ints) + len(attribute.strings) for attribute in node.attribute)
