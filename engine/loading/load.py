"""load(): a model file read, checked, upgraded and shape-inferred."""

from __future__ import annotations

from os import PathLike

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveInitializersFromInputsPass

from ..graph.metadata import check_metadata
from ..graph.model import LIFT_CONSTANTS, Model, Source, infer_shapes
from ..graph.named_sizes import forget_made_up
from ..graph.tree_ensembles import type_forests
from ..graph.validity import model_error_if_unusable, open_plainly
from ..passes.empty_operands import refuse_empty_operands
from ..passes.optimiser_safe import optimiser_safe
from ..passes.single_numbers import refuse_several_numbers
from .declared_shapes import forget_shapes, recall_shapes
from .endless import check_loops
from .half_precision import preserve_half_rounding
from .isolation import check_isolated
from .legacy_operators import replace_legacy_operators
from .reading import name_of, read
from .shared_constants import share_constants
from .softmax_axis import normalise_softmax_axis
from .upgrade import IR_VERSIONS, OPSET, cast_bounds, upgrade

__all__ = ["load"]


def load(source: Source, *, isolated: bool = False) -> Model:
    """Reads a model, checks it, upgrades it to opset 18 where it is older, and infers its shapes.

    Args:
        source: Path of an .onnx file (external data beside it), its bytes, a ModelProto, or a ``Model``, which is
            returned as it is. Opset 7 is the oldest that is read. On Linux weights of 1 MiB and more stay in the file,
            which may be replaced or deleted, but not be written to while the model is in use.
        isolated: Whether a file that is not trusted is first loaded and run in a process of its own, with limits of
            memory and time (``onnxray.loading.isolation.LIMITS``), where it may crash without harm.

    Returns:
        Model: The model with its ``inputs`` and ``outputs``, which every function of onnxray takes in place of the
            file.

    Raises:
        ModelError: A file that cannot be read, is damaged or invalid, or that the isolated process did not survive; the
            message names the file and what is wrong with it.

    Example:
        >>> import onnxray.models
        >>> model = onnxray.load(onnxray.models.path("digits.onnx"))
        >>> [(value.name, str(value.shape)) for value in (*model.inputs, *model.outputs)]
        [('image', '[batch,1,28,28]'), ('logits', '[batch,10]')]
    """
    if isinstance(source, Model):
        return source
    where = name_of(source)
    if isolated:
        check_isolated(source, where)
    with model_error_if_unusable(where, lambda: open_plainly(source)):
        model = _ready(source)
    check_metadata(model.metadata, where)
    return model


def _ready(source: str | PathLike[str] | bytes | onnx.ModelProto) -> Model:
    program, path = read(source)
    opset = program.graph.opset_imports[""]
    _inline(program)
    changed = [_check_shapes(program), opset < OPSET]
    program = upgrade(program) if opset < OPSET else program
    changed += [tidy(program).modified for tidy in (RemoveInitializersFromInputsPass(), LIFT_CONSTANTS)]
    changed += [share_constants(program), type_forests(program.graph)]
    program.ir_version = min(max(program.ir_version, IR_VERSIONS[0]), IR_VERSIONS[1])
    if any(changed):
        infer_shapes(program)
    while opset < OPSET and cast_bounds(program):
        infer_shapes(program)
    if replace_legacy_operators(program):
        infer_shapes(program)
    refuse_several_numbers(program, name_of(source))
    check_loops(program, name_of(source))
    refuse_empty_operands(program, name_of(source))
    normalise_softmax_axis(program)
    optimiser_safe(program)
    if opset < OPSET:
        preserve_half_rounding(program, opset)
    return Model(program, path, opset)


def _inline(program: ir.Model) -> None:
    """Puts the bodies of functions in the place of their calls, before the upgrade, which would drop them.

    The checker lets a function have an opset of its own as long as its operators are the same in the model's.
    """
    for function in program.functions.values():
        function.opset_imports.update({d: v for d, v in program.opset_imports.items() if d in function.opset_imports})
    InlinePass()(program)
    for node in program.graph.all_nodes():  # an attribute that the call leaves out has the operator's default
        for name in [name for name, attribute in node.attributes.items() if attribute.is_ref()]:
            node.attributes.pop(name)


def _check_shapes(program: ir.Model) -> bool:
    """Infers shapes without those that the file declares, which may be wrong; true where only these tell one."""
    declared = forget_shapes(program)
    infer_shapes(program)
    told = recall_shapes(program, declared)
    if told:
        forget_made_up(program.graph)
    return told
