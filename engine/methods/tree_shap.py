"""TreeSHAP of tree ensembles, against background data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from ..autodiff.backward import backward, connected
from ..autodiff.overlays import EXACT
from ..autodiff.streams import add_stream
from ..errors import InputError, UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.traversal import ancestors
from ..graph.tree_ensembles import is_forest, post_transform
from .base import EmitContext, Emitted
from .baseline import Baseline
from .coalitions import GroupMethod, group_total
from .expected_gradients import EveryBaseline
from .explained import Explained
from .option_help import BASELINE
from .samplers import Sampler
from .tree_credit import credit_of

__all__ = ["TreeShap"]


@dataclass(frozen=True)
class TreeShap(GroupMethod):
    """Exact Shapley values of tree ensembles, the mean over background rows (Lundberg et al., 2020, arXiv:1905.04610).

    ``baseline`` are the background rows, such as 100 rows of the training data: this is the interventional TreeSHAP of
    the package shap, as a file of ONNX has no counts of training rows, which the path-dependent variant takes. Columns
    that the model encodes as several, as OneHotEncoder does, and those of one of ``groups`` share one value. The
    attributions sum to f(x) less the mean of f over the background; of a classifier f is the margin before the softmax.
    NaN in a row or in the background is a missing value, which goes where the trees send it.
    """

    name: ClassVar[str] = "tree-shap"
    blank: ClassVar[str] = "every background row gives the same score as the input; choose another baseline="
    baseline: Baseline | None = field(default=None, metadata=BASELINE)

    def samplers(self) -> Sequence[Sampler]:
        if self.baseline is None:
            raise InputError(
                "tree-shap compares with background data; give baseline=, an array of rows such as 100 of the training "
                "data (a file of them: --baseline rows.npy)"
            )
        return (EveryBaseline(self.baseline),)

    def emit(self, context: EmitContext) -> Emitted:
        g = context.g
        trees, slopes = _weighted_trees(context)
        players, count = self._players(context)
        own = add_stream(
            g,
            {context.perturbed_inputs[name]: x for name, x in context.inputs.items()},
            [node.inputs[0] for node in trees if node.inputs[0] is not None],
        )
        parts = [credit_of(g, node, slope, own, players, count) for node, slope in zip(trees, slopes, strict=True)]
        credit = g.Add(*parts) if len(parts) > 1 else parts[0]
        totals, start = {}, 0
        for name, about in context.explained.items():
            end = start + self.grouping.count(about)
            totals[name] = group_total(g, g.Slice(credit, [start], [end], [1]), about)
            start = end
        return Emitted(totals)

    def example_inputs(
        self, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
    ) -> dict[str, np.ndarray]:
        return {}  # its baselines are examples of the data, the same for each

    def _players(self, context: EmitContext) -> tuple[dict[ir.Value, np.ndarray], int]:
        """The player of each element of the inputs, (1, *example), and how many players there are."""
        players, count = {}, 0
        for name, about in context.explained.items():
            if about.batch != 0:
                raise InputError(f"tree-shap takes rows of a table, which input {name!r} does not count on axis 0")
            if self.grouping.by_example(about):
                raise InputError("tree-shap: superpixels differ from row to row; give groups= of columns")
            groups = np.broadcast_to(self.grouping.of(about), [size or 1 for size in about.shape])
            players[context.perturbed_inputs[name]] = count + groups[None]
            count += self.grouping.count(about)
        return players, count


def _weighted_trees(context: EmitContext) -> tuple[list[ir.Node], list[ir.Value]]:
    """The tree ensembles that the score is a weighted sum of, and the weights: the gradients of the score."""
    g, score = context.g, context.differentiable_score
    chosen = {context.settled, *_outputs(node for node in g.emitted if node.op_type == "ArgMax")}  # settled by point 0
    outputs = [y for y in _read_by([score], chosen, g) if _is_of_trees(y)]
    if any(x in _read_by([score], {*outputs, *chosen}, g) for x in context.perturbed_inputs.values()):
        raise UnsupportedOperator(
            "tree-shap explains scores of tree ensembles alone, and the input leads to this one past any; "
            "take kernel-shap"
        )
    seeds = g.expand_like(g.constant(1, ir.DataType.FLOAT), score)
    found = backward(g, {score: seeds}, outputs, EXACT)
    slopes = [connected(found, y, [score]) for y in outputs]
    if not _read_by(slopes, chosen, g).isdisjoint(outputs):
        raise UnsupportedOperator(
            "tree-shap: the score is no weighted sum of trees, as other operators follow them; take kernel-shap"
        )
    return [_checked(y.producer()) for y in outputs], slopes


def _is_of_trees(y: ir.Value) -> bool:
    node = y.producer()
    return node is not None and is_forest(node)


def _checked(node: Any) -> ir.Node:
    if (post := post_transform(node)) != "NONE":
        raise UnsupportedOperator(
            f"tree-shap explains sums over trees, not their {post} (node {node.name!r}); explain the margin before it "
            "(score='logit', --score logit), or take kernel-shap"
        )
    return node


def _read_by(values: Sequence[ir.Value], ends: set[ir.Value], g: GraphBuilder) -> set[ir.Value]:
    """What the numbers of some values depend on, but not what their shapes do."""
    shapes = _outputs(node for node in g.graph if node.op_type in ("Shape", "Size"))
    return set(ancestors(values, {*ends, *shapes}))


def _outputs(nodes: Iterable[ir.Node]) -> Iterator[ir.Value]:
    return (y for node in nodes for y in node.outputs)
