"""Where a gradient starts: the floating-point inputs, and what integers are looked up or cast as.

Token ids have no gradient, not even those that come as floating-point numbers and are cast to integers, as
TensorFlow's do. What is explained instead is the first floating-point tensor that depends on them: the rows of the
table of embeddings, as Captum's LayerIntegratedGradients on a model's word embeddings does. Pictures of integers are
explained where they are cast, under the name of their input. Of other integers beside floating-point inputs, such as
masks, indices and lengths, a line says that they are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..errors import ModelError
from ..graph.model import Model, infer_shapes, is_float
from ..graph.traversal import ancestors, depends_on_inputs
from ..passes.decompose import decompose_nodes
from ..passes.dequantise_first import dequantise_first
from ..support.caller import warn_caller
from .paths import stops

__all__ = ["Start", "note_of", "start_names", "starts", "table_rows"]

_LOOKUPS = frozenset({"Gather", "GatherBlockQuantized"})
_MOVES = frozenset({"Cast", "DequantizeLinear", "Identity", "Reshape"})


@dataclass(frozen=True, eq=False)
class Start:
    """A value that is explained; the integer input behind it and the rows of its table, where it is looked up."""

    value: ir.Value
    source: ir.Value | None = None
    rows: int = 0

    @property
    def tensor(self) -> str:
        return str(self.value.name)

    @property
    def name(self) -> str:
        """The name of its attribution; an input that is only cast keeps its own name."""
        return str(self.source.name) if self.source is not None and _is_cast(self.value, self.source) else self.tensor

    def __str__(self) -> str:
        node, source = self.value.producer(), self.source.name if self.source is not None else "the input"
        looked_up = f"the embeddings of {source!r}" if self.rows else f"{source!r} as floating-point numbers"
        return f"{self.tensor!r}, {looked_up} ({node.op_type if node is not None else 'input'})"


def starts(model: Model, of: Sequence[str] | str | None = None) -> list[Start]:
    """The values of a model that are explained by default; integers in that model's graph.

    Embeddings that are only added up count once, by the largest table: words stand for the kinds and places of words.
    Those that no tensor ``of`` depends on are left out, as the tables of another head are, unless that is all. Beside
    floating-point inputs integers count where they are looked up, or cast as they come, and where floats lead from
    there to a tensor ``of``, by default to an output.
    """
    floats = [Start(value) for value in model.inputs if _is_number(value)]
    if len(floats) == len(model.inputs):
        return floats
    _show_lookups(model)
    first = _first_floats(model.graph)
    tables = _one_of_each_sum([start for start in first if start.rows])
    ends = model.outputs if of is None else [model.value(name) for name in ([of] if isinstance(of, str) else of)]
    if not floats:
        found, before = tables or first, set[ir.Value]() if of is None else set(ancestors(ends))
        return [start for start in found if start.value in before] or found
    cast = [start for start in first if start.source is not None and _is_cast(start.value, start.source)]
    return [*floats, *(start for start in (*tables, *cast) if _leads(start.value, ends))]


def table_rows(model: Model, name: str) -> list[int]:
    """How many rows the tables have in which the ids of an input are looked up as they come."""
    program = model.copy()
    _show_lookups(program)
    return [rows for value in _looked_up(program.value(name)) if (rows := _rows(value))]


def start_names(model: Model, of: Sequence[str] | str) -> list[str]:
    """The names of what is explained of tensors ``of``; says so where that is none of the inputs."""
    floats = [str(value.name) for value in model.inputs if _is_number(value)]
    found = [] if floats else starts(model, of)
    if not found and not floats:
        raise ModelError("nothing in the model is a floating-point number that depends on its inputs; name a tensor")
    if note := _note(found, starts(model)):
        warn_caller(note)
    return floats or [start.tensor for start in found]


def note_of(model: Model, of: str | None = None) -> str | None:
    """One line where not just the model's inputs are explained, or not all of them, else None."""
    if all(map(_is_number, model.inputs)):
        return None
    program = model.copy()
    found = starts(program, of)
    if not any(map(_is_number, model.inputs)):
        return _note(found, starts(program))
    inner = [str(start) for start in found if start.source is not None]
    told = {source for start in found if start.source is not None for source in _sources(start)}
    left = [repr(value.name) for value in program.inputs if not _is_number(value) and value not in told]
    parts = [f"explained is {', and '.join(inner)}"] if inner else []
    if left:
        parts.append(
            f"not explained is {', '.join(left)}, as it is neither looked up in a table nor cast as it comes, with a "
            "gradient from there"
        )
    return f"beside floating-point inputs the model takes integers: {'; '.join(parts)}"


def _show_lookups(model: Model) -> None:
    """Rewrites the nodes that hide a table's lookup."""
    dequantise_first(model.program)
    fused = [node for node in model.graph if node.op_type == "EmbedLayerNormalization"]
    if decompose_nodes(model.program, fused):
        infer_shapes(model.program)


def _looked_up(ids: ir.Value) -> Iterable[ir.Value]:
    """What lookups give for ids that are at most cast and reshaped before."""
    for use in ids.uses():
        if use.node.op_type in _LOOKUPS and use.idx == 1:
            yield use.node.outputs[0]
        elif use.node.op_type in _MOVES and use.idx == 0:
            yield from _looked_up(use.node.outputs[0])


def _sources(start: Start) -> set[ir.Value]:
    """The inputs behind a start, those of the embeddings that are added to it included."""
    whole = _sum(start.value)
    return {value for value in ancestors([whole]) if value.is_graph_input()} if start.rows else {start.source or whole}


def _is_cast(value: ir.Value, source: ir.Value) -> bool:
    node = value.producer()
    return node is not None and node.op_type == "Cast" and node.inputs[0] is source and source.is_graph_input()


def _leads(value: ir.Value, ends: Collection[ir.Value]) -> bool:
    """Whether differentiable nodes and floats lead from a value to one of the ends."""
    met, waiting = set[ir.Value](), [value]
    while waiting:
        value = waiting.pop()
        if value in ends:
            return True
        met.add(value)
        nodes = [use.node for use in value.uses() if not stops(use.node) and not _sizes(use.node)]
        waiting.extend(y for node in nodes for y in node.outputs if is_float(y) and y not in met)
    return False


def _note(found: Iterable[Start], among: Iterable[Start]) -> str | None:
    """The line on a model that takes integers alone; ``among`` are all starts, of which some lead nowhere."""
    inner = [start for start in found if start.source is not None]
    ids = any(start.source is not None and is_float(start.source) for start in inner)
    takes = "ids as floating-point numbers" if ids else "integers"
    told = {start.value for start in inner}
    left = " and ".join(repr(start.tensor) for start in among if start.value not in told)
    rest = f"; not explained is {left}, as the score does not depend on it" if left else ""
    texts = ", and ".join(map(str, inner))
    return f"the model takes {takes}, which have no gradient; explained is {texts}{rest}" if inner else None


def _is_number(value: ir.Value) -> bool:
    """Whether an input is a floating-point number that is computed with, not an id that is cast and looked up."""
    readers = [use.node for use in value.uses()]
    casts = [node for node in readers if node.op_type == "Cast" and not is_float(node.outputs[0])]
    picks = any(_picks(node.outputs[0]) for node in casts)
    return is_float(value) and not (picks and all(node in casts or stops(node) or _sizes(node) for node in readers))


def _picks(value: ir.Value) -> bool:
    """Whether rows of a table are looked up by a value."""
    return any(
        (use.idx == 1 and use.node.op_type in _LOOKUPS) or (use.node.op_type in _MOVES and _picks(use.node.outputs[0]))
        for use in value.uses()
    )


def _sizes(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type in ("Shape", "Size")


def _first_floats(graph: ir.Graph) -> list[Start]:
    """The floating-point values that nodes compute from integers that the inputs decide; sizes are none of these."""
    integers = {value: value for value in graph.inputs if not _is_number(value)}
    found = []
    for node in graph:
        source = next((integers[x] for x in node.inputs if x in integers), None)
        if source is None or _sizes(node):
            continue
        for y in node.outputs:
            if is_float(y) and (looked_up := _by_one_hot_codes(y)) is not None:
                found.append(Start(looked_up[0], source, looked_up[1]))
            elif is_float(y):
                found.append(Start(y, source, _rows(y)))
            elif y.dtype is not None:
                integers[y] = source
    return found


def _by_one_hot_codes(value: ir.Value) -> tuple[ir.Value, int] | None:
    """The rows of a table that a MatMul with one-hot codes looks up, as JAX does it, and how many the table has."""
    node = value.producer()
    compared = node is not None and node.op_type == "Cast" and node.inputs[0] is not None and node.inputs[0].producer()
    if node is None or not (node.op_type == "OneHot" or (compared and compared.op_type == "Equal")):
        return None
    uses = list(value.uses())
    product = uses[0].node if len(uses) == 1 and uses[0].idx == 0 and uses[0].node.op_type == "MatMul" else None
    table = product.inputs[1] if product is not None else None
    if product is None or table is None or depends_on_inputs(table) or table.shape is None or len(table.shape) != 2:
        return None
    rows = table.shape[0]
    return (product.outputs[0], rows) if isinstance(rows, int) and rows > 1 else None


def _rows(value: ir.Value) -> int:
    """How many rows the table has in which a value was looked up; 0 where it was not."""
    node = value.producer()
    while node is not None and node.op_type in _MOVES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type not in _LOOKUPS:
        return 0
    table = node.inputs[0]
    fixed = table is not None and not depends_on_inputs(table)
    known = fixed and table is not None and table.shape is not None and len(table.shape) > 1
    rows = table.shape[0] if known and table is not None and table.shape is not None else 0
    return rows if isinstance(rows, int) else 0


def _one_of_each_sum(tables: list[Start]) -> list[Start]:
    largest: dict[ir.Value, Start] = {}
    for start in tables:
        held = largest.setdefault(_sum(start.value), start)
        largest[_sum(start.value)] = max(held, start, key=lambda one: one.rows)
    return list(largest.values())


def _sum(value: ir.Value) -> ir.Value:
    """The sum that a value is a term of, or the value itself."""
    while added := next((use.node for use in value.uses() if use.node.op_type == "Add"), None):
        value = added.outputs[0]
    return value
