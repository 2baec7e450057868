"""The request to the library: a copy of the graph with one scalar score, rewritten for the library's needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass

from ..autodiff.paths import depends_on, path_nodes
from ..graph.builder import GraphBuilder
from ..passes.expand import expand_nodes
from .refusals import HEAD, refuse
from .rewrites.affine_batch_norm import affine_batch_norm
from .rewrites.chain_sums import chain_sums
from .rewrites.complete_layer_norm import complete_layer_norm
from .rewrites.concrete_casts import concrete_casts
from .rewrites.cut_splits import cut_splits
from .rewrites.decompose_activations import decompose_activations
from .rewrites.downgrade import downgrade
from .rewrites.drop_dropout import drop_dropout
from .rewrites.expand_branches import expand_branches
from .rewrites.explicit_pads import explicit_pads
from .rewrites.separate_inputs import separate_inputs

__all__ = ["IR_VERSION", "OPSET", "REWRITES", "SCORE", "Request", "make_request"]

OPSET, IR_VERSION = 21, 10  # the newest that the library reads
SCORE = "onnxray/score"
_LARGE = 1024  # elements; larger weights stay here
_BODIES = frozenset({"GroupNormalization", "MeanVarianceNormalization", "ReduceSumSquare"})


def to_opset(program: ir.Model) -> bool:
    """To the newest opset that the library reads."""
    return downgrade(program, OPSET)


def write_out_bodies(program: ir.Model) -> bool:
    """Operators without a gradient in the library whose function bodies have one."""
    return expand_nodes(program, [node for node in program.graph if node.domain == "" and node.op_type in _BODIES])


# Activations come first, as going to an older opset would write out those that are new.
REWRITES: tuple[Callable[[ir.Model], bool], ...] = (
    decompose_activations,
    to_opset,
    write_out_bodies,
    drop_dropout,
    affine_batch_norm,
    complete_layer_norm,
    explicit_pads,
    concrete_casts,
    cut_splits,
    expand_branches,
    chain_sums,
    separate_inputs,
)


@dataclass(frozen=True, eq=False)
class Request:
    """A graph to be differentiated: its bytes, and what stands for what in it.

    ``wrt`` maps a value's name to that of the copy of it which the library differentiates; ``heads`` the node that
    multiplies an output with its seed to the name of the seed in the caller's graph.
    """

    program: ir.Model
    wrt: Mapping[str, str]
    heads: Mapping[str, str]
    origins: Mapping[str, ir.Node] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        return ir.to_proto(self.program).SerializeToString()

    @property
    def path(self) -> list[ir.Node]:
        """The nodes that the gradient goes through."""
        return _path(self.program, self.wrt)


def make_request(graph: ir.Graph, seeds: Mapping[ir.Value, ir.Value], wrt: Sequence[ir.Value]) -> Request:
    """Copies what the seeded values depend on; raises ModelError where the library would get it wrong."""
    graph.sort()
    program = ir.Model(graph.clone(), ir_version=IR_VERSION)
    origins = _name_nodes(program.graph, graph)
    values = ir.convenience.create_value_mapping(program.graph)
    program.graph.outputs[:] = [values[str(y.name)] for y in seeds]
    RemoveUnusedNodesPass()(program)
    copies = _copy_inputs(program.graph, [values[str(x.name)] for x in wrt])
    _rewrite(program)
    refuse(program, _path(program, copies))
    heads = _add_score(program, [str(seed.name) for seed in seeds.values()])
    TopologicalSortPass()(program)
    _leave_weights(program.graph)
    return Request(program, copies, heads, origins)


def _path(program: ir.Model, copies: Mapping[str, str]) -> list[ir.Node]:
    """The nodes that the gradient goes through."""
    values = ir.convenience.create_value_mapping(program.graph)
    starts = [values[copy] for copy in copies.values()]
    return path_nodes(program.graph, program.graph.outputs, depends_on(program.graph, starts))


def _name_nodes(copy: ir.Graph, graph: ir.Graph) -> dict[str, ir.Node]:
    """Gives every node a name of its own, by which its gradient's nodes will be known."""
    g, origins, taken = GraphBuilder(copy), {}, set()
    for node, origin in zip(copy, graph, strict=True):
        if not node.name or node.name in taken:
            node.name = g.fresh(f"{node.op_type}_{node.outputs[0].name}")
        taken.add(node.name)
        origins[node.name] = origin
    return origins


def _copy_inputs(graph: ir.Graph, wrt: Sequence[ir.Value]) -> dict[str, str]:
    """An Identity behind each value: the library fails where a node reads twice what it differentiates."""
    g, copies = GraphBuilder(graph, prefix="onnxray/wrt"), {}
    for x in wrt:
        copy = g.Identity(x)
        x.replace_all_uses_with(copy, replace_graph_outputs=True)
        copy.producer().replace_input_with(0, x)
        copies[str(x.name)] = str(copy.name)
    return copies


def _rewrite(program: ir.Model) -> None:
    for rewrite in REWRITES:
        rewrite(program)
        TopologicalSortPass()(program)


def _add_score(program: ir.Model, seeds: Sequence[str]) -> dict[str, str]:
    """score = sum of every output times its seed, a scalar float32 whatever the type of the outputs."""
    g, heads, total = GraphBuilder(program.graph, prefix=HEAD), {}, None
    for y, seed in zip(list(program.graph.outputs), seeds, strict=True):
        weighted = g.Mul(y, g.input("onnxray/seed", y.dtype or ir.DataType.FLOAT, y.shape))
        heads[weighted.producer().name] = seed
        score = g.Cast(g.ReduceSum(weighted, keepdims=0), to=ir.DataType.FLOAT)
        total = score if total is None else g.Add(total, score)
    named = g.Identity(total)
    named.name = SCORE
    program.graph.outputs.append(named)
    return heads


def _leave_weights(graph: ir.Graph) -> None:
    """Makes inputs of large weights: serialising them is nearly all that building takes."""
    for value in list(graph.initializers.values()):
        if value.const_value is not None and value.const_value.size > _LARGE and not value.is_graph_output():
            del graph.initializers[str(value.name)]
            value.const_value = None
            if not value.is_graph_input():
                graph.inputs.append(value)
