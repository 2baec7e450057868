"""A torch.nn.Module to ONNX by the dynamo exporter, or by the legacy one where that is asked for."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnxray.errors import ConversionError

from .candidates import Candidate, Feed, LayerValue, Options
from .input_specs import Spec, graph_specs, read_inputs, sample
from .layer_names import leaving
from .quiet import converting, require
from .torch_call import Call, embedded, evaluating
from .torch_layers import record
from .torch_unroll import is_recurrent, unroll

__all__ = ["ADVICE", "candidate", "convert_module", "legacy", "needed_specs", "written"]

SCOPES = "pkg.torch.onnx.name_scopes"
ADVICE = (
    "make forward traceable (torch.where or torch.cond for a branch on data, torch operators instead of numpy), "
    "pass batch=1 for a model of one batch size, or exporter='legacy', which bakes one branch in and is then checked"
)


def convert_module(module: Any, options: Options, source: str = "PyTorch module") -> Candidate:
    """Export a module by examples of its inputs; inputs given as a dict become keyword arguments of forward."""
    require("onnxscript")
    if isinstance(module, require("torch").jit.ScriptModule):
        raise ConversionError(f"{source}: TorchScript; save it with torch.jit.save and give that file")
    specs = tuple(embedded(module, spec) for spec in needed_specs(options, source))
    call = Call(module, tuple(spec.name for spec in specs))
    example = [sample(spec, options.batch or 2, np.random.default_rng(0)) for spec in specs]
    if options.exporter == "legacy":
        model = legacy(call, specs, example, options, source)
    else:
        model = dynamo(call, example, options, source)
    found = candidate(model, call, specs, source, lambda feed, call: record(call.module, lambda: call(feed)))
    fixed = {spec.shape[0] for spec in found.specs if spec.shape} - {None}
    if fixed and not options.batch:
        size = max(n for n in fixed if n)
        raise ConversionError(f"{source}: its forward works at batch size {size} only; pass batch={size}")
    return found


def needed_specs(options: Options, source: str) -> tuple[Spec, ...]:
    """The inputs that the caller gave; PyTorch models do not know their own."""
    specs = read_inputs(options.inputs)
    if not specs:
        raise ConversionError(f"{source}: give inputs=, an example batch or a shape such as (1, 3, 224, 224)")
    return specs


def dynamo(call: Call, example: Sequence[np.ndarray], options: Options, source: str) -> onnx.ModelProto:
    """Export with torch.export, unoptimised so that every module keeps its own tensor."""
    torch = require("torch")
    args, kwargs = call.arguments(example)
    shapes = None if options.batch else open_batch(call, example)
    with converting(f"{source} cannot be exported", ADVICE), evaluating(call.module), torch.no_grad():
        if is_recurrent(call.module):
            program = torch.export.export(call.module, args, kwargs, dynamic_shapes=shapes)
            return written(unroll(program, example), options)
        return written(call.module, options, args=args, kwargs=kwargs, dynamic_shapes=shapes)


def written(source: Any, options: Options, **call: Any) -> onnx.ModelProto:
    """Write a module or an exported program; what depends on shapes and constants alone is folded.

    Batch norms and the names of modules stay.
    """
    torch, optimizer = require("torch"), require("onnxscript.optimizer")
    program = torch.onnx.export(
        source,
        **call,
        dynamo=True,
        opset_version=options.opset,
        external_data=False,
        optimize=False,
        verbose=False,
    )
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    return program.model_proto


def open_batch(call: Call, example: Sequence[np.ndarray]) -> Any:
    """The open first axis of every input, in the form that torch.export wants."""
    axis = {0: require("torch").export.Dim("batch")}
    shapes = [axis if value.ndim else {} for value in example]
    by_name = {k: s for k, s in zip(call.keywords, shapes, strict=True) if k}
    return by_name or tuple(shapes)


def legacy(
    call: Call, specs: Sequence[Spec], example: Sequence[np.ndarray], options: Options, source: str
) -> onnx.ModelProto:
    """Export by tracing, with names for all inputs and outputs."""
    names = [spec.name or numbered("input", i) for i, spec in enumerate(specs)]
    outputs = replace(call, names=tuple(names))(dict(zip(names, example, strict=True)))
    results = [numbered("output", i) for i in range(len(outputs))]
    guard = converting(f"{source} cannot be exported", "no exporter takes it: simplify the model")
    with guard, evaluating(call.module), require("torch").no_grad():
        message = traced(call, example, names, results, options)
    return onnx.load_from_string(message)


def traced(call: Call, example: Sequence[np.ndarray], names: list[str], results: list[str], options: Options) -> bytes:
    """The model of the tracing exporter; the mode (eval) is preserved, because that keeps batch norms unfolded."""
    torch, buffer = require("torch"), io.BytesIO()
    args, kwargs = call.arguments(example)
    torch.onnx.export(
        call.module,
        args,
        buffer,
        kwargs=kwargs or None,
        dynamo=False,
        opset_version=options.opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        input_names=names,
        output_names=results,
        dynamic_axes=None if options.batch else {name: {0: "batch"} for name in (*names, *results)},
    )
    return buffer.getvalue()


def numbered(name: str, index: int) -> str:
    """A name for one of several inputs or outputs that have none."""
    return f"{name}_{index}" if index else name


def candidate(
    model: onnx.ModelProto,
    call: Call,
    given: Sequence[Spec],
    source: str,
    layers: Callable[[Feed, Call], Mapping[str, LayerValue | str]],
) -> Candidate:
    """Join an exported graph with the module that it came from; what only the exporter needs is stripped."""
    scopes = leaving(model, scopes_of)
    strip(model)
    name_batch(model)
    specs = graph_specs(model, given)
    if len(specs) != len(given):
        raise ConversionError(f"{source}: {len(given)} inputs given, {len(specs)} exported; leave out those not used")
    call = replace(call, names=tuple(str(spec.name) for spec in specs))
    return Candidate(
        model=model,
        source=source,
        specs=specs,
        packages=("torch", "onnxscript"),
        outputs=call.outputs,
        layers=lambda feed: layers(feed, call),
        scopes=scopes,
        gradients=call.gradients,
    )


def scopes_of(node: onnx.NodeProto) -> list[str]:
    """The modules that a node was called in: from dynamo's metadata, or from the legacy exporter's node name."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            return [name for name in ast.literal_eval(entry.value)[:-1] if name]
    parts = node.name.strip("/").split("/")[:-1]
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def strip(model: onnx.ModelProto) -> None:
    """Drop stack traces and the exporter's notes, which hold paths of the machine that exported."""
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def name_batch(model: onnx.ModelProto) -> None:
    """Call the open first axis of the inputs "batch" wherever its symbol stands."""
    symbols = {value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input} - {""}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in symbols:
                dim.dim_param = "batch"
