"""Method: the frozen settings of an attribution method, and the nodes that it emits.

A method works row by row: a row is one example at one *point*. Plain methods have one point, the input itself. Others
add up many, which their ``samplers`` list: the path of integrated gradients, the noise of SmoothGrad, the windows of
occlusion. ``emit`` computes what one row gives, the rows of an example are added up, and ``finish`` makes the
attribution of the sums. All three are nodes of a graph, so that a saved file computes what a call does. Cutting rows to
memory is not a method's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from ..graph.model import Model
from .emit_context import EmitContext, Emitted
from .example_baselines import MEAN, example_baselines
from .explained import Explained
from .samplers import Sampler

__all__ = ["EmitContext", "Emitted", "Method", "Reduction"]

Reduction = Literal["norm", "sum", "mean"]


@dataclass(frozen=True)
class Method(ABC):
    """Base of the attribution methods; the fields of a subclass are its options.

    ``reduction``: the L2 norm of a gradient, whose signed sum says nothing (behind a LayerNorm it is zero); the sum of
    contributions to the score; the mean where every value of an embedding is the contribution of the whole token.
    """

    name: ClassVar[str]
    relu_policy: ClassVar[str] = "exact"
    has_layer: ClassVar[bool] = False  # looks at a layer, which its option of this name names
    layer_sized: ClassVar[bool] = False  # its maps have the size of a layer
    has_attention: ClassVar[bool] = False  # follows the attention of a transformer; other models are refused
    reduction: ClassVar[Reduction] = "sum"  # an embedding's values as one number for its token
    adds_up: ClassVar[bool] = True  # a word gets the sum of its tokens' numbers; else their mean
    from_least: ClassVar[bool] = False  # a part of its numbers is the same everywhere: pictures begin at the least
    series_unit: ClassVar[str] = "samples"  # what a series without a rate counts
    differentiates: ClassVar[bool] = True
    by_gradient_alone: ClassVar[bool] = False  # equal nodes may take the place of the model's: it has no rules for them
    compares: ClassVar[bool] = False  # with another input in the same run, where the target is that of the input
    blank: ClassVar[str] = (
        "the score does not change with the input near it: Relus that are off, saturated activations or operators that "
        "round block every path; occlusion needs no gradient"
    )  # the usual reason for a map that is zero everywhere, where no method of ``relaxed`` tells another
    uniform: ClassVar[str] = ""  # the usual reason for a map that is the same everywhere; none: that is no fault

    def samplers(self) -> Sequence[Sampler]:
        """Which points the method looks at; none: the input itself alone. Of several it looks at their product."""
        return ()

    def samplers_in(self, model: Model, of: ir.Value, wrt: Sequence[ir.Value]) -> Sequence[Sampler]:
        """The samplers on a model, between the scores ``of`` and the inputs; override it where its layers tell them."""
        return self.samplers()

    @property
    def many(self) -> bool:
        """Whether the method looks at more points than the input itself."""
        return bool(self.samplers())

    @abstractmethod
    def emit(self, context: EmitContext) -> Emitted:
        """The nodes of one row; the samplers' weights are applied afterwards."""

    def finish(
        self, g: GraphBuilder, totals: Mapping[str, ir.Value], explained: Mapping[str, Explained]
    ) -> Mapping[str, ir.Value]:
        """The attributions, by input, from the totals of all rows, whose first axis counts examples as the input's."""
        return {name: totals[name] for name in explained if name in totals}

    def example_inputs(
        self, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
    ) -> Mapping[str, np.ndarray]:
        """Inputs of the graph beside the model's, made of the model's inputs; their first axis counts examples.

        They are the baselines of a method whose option ``baseline`` gives each example its own.
        """
        return example_baselines(getattr(self, "baseline", 0.0), arrays, explained)

    @property
    def one_by_one(self) -> bool:
        """Whether the map of an example is the same whatever other examples are explained with it."""
        baseline = getattr(self, "baseline", 0.0)
        return MEAN not in (list(baseline.values()) if isinstance(baseline, Mapping) else [baseline])

    @property
    def finishes(self) -> bool:
        """Whether ``finish`` does more than name the totals."""
        return type(self).finish is not Method.finish

    def relaxed(self) -> list[tuple[Method, str]]:
        """Methods to try where the map is zero everywhere, each with the reason if its map is not zero there."""
        return []

    @classmethod
    def configured(cls, options: Mapping[str, Any]) -> Method:
        """The method with these options; an unknown one is an InputError that lists those there are."""
        known = [field.name for field in fields(cls)]
        for option in options:
            if option not in known:
                raise InputError(f"method {cls.name!r} has no option {option!r}; it has: {', '.join(known) or 'none'}")
        return cls(**options)
