"""The result of an explanation: numbers first, pictures on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..drawing.colour_scale import SCALES, ColourScale
from ..drawing.styles import STYLES, Look
from ..drawing.table_charts import chart_of, rows_title
from ..drawing.views import View, captioned, drawn, prepared, scales_of, sheet
from ..errors import InputError
from ..support.choice import choose
from ..support.damaged import readable
from ..support.writing import replacing
from .archive import packed, unpacked
from .reductions import CHANNEL_AXES, REDUCTIONS, TOKENS, is_of_layer, reduced, reduction_in
from .shown import Shown
from .view_of import view_of

__all__ = ["REDUCTIONS", "TOKENS", "Attribution"]

Array = NDArray[Any]
LAYOUTS = (*CHANNEL_AXES, "NCT", "NTC", TOKENS)


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Shown):
    """The contribution of each element of a batch of inputs to the scores that were explained.

    Args:
        values: float32 array ``(N, *input)``, signed, as the method gave it; ``(N, h, w)`` of a layer's size from
            grad-cam; a dict of arrays by name where several inputs were explained.
        target: What was explained: class indices ``(N,)`` or ``(N, axes)``, the weights of the scores, or what the
            ``told`` of one of ``onnxray.scores`` gives of each example.
        score: The scores that were explained, ``(N,)``, in the model's unit.
        method: Name of the method.
        delta: Gap of completeness ``(N,)``, in the unit of the score: the sum of the values less the change of the
            score (Sundararajan et al., 2017, arXiv:1703.01365); None where the method does not define it.
        layout: Axes of the values: "NCHW" or "NHWC" of pictures, "NCDHW" or "NDHWC" of volumes, "NCT" or "NTC" of
            series, "NLC" of embedded tokens; None to have them guessed.
        pictures: What the maps are drawn over, one PIL image per example, or none.
        provenance: How the attribution was made: options, score, layer, and faults of its maps.
        reduction: How ``map`` reduces channels unless told otherwise.
        inputs: Floating-point inputs by name, ``(N, *input)``, that maps are drawn over; no pictures or omitted states.
        columns: The names of the columns of a table, or none.
        explained: Words for each target where it is no class, or none.

    Raises:
        InputError: Pictures that are not one per example, or an unknown layout; of the methods, an example, input or
            reduction that is not there, or values that have no map.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.explain(digits, picture)
        >>> len(found), found.values.shape, found.map().shape, found.target.tolist()
        (1, (1, 1, 28, 28), (1, 28, 28), [6])
        >>> found.save("six.npz").name, onnxray.Attribution.load("six.npz").method
        ('six.npz', 'saliency')
    """

    values: Any
    target: Array
    score: Array
    method: str
    delta: Array | None = None
    layout: Literal["NCHW", "NHWC", "NCDHW", "NDHWC", "NCT", "NTC", "NLC"] | None = None
    pictures: tuple[Image.Image, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    reduction: str = "abs-max"
    inputs: Mapping[str, Array] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    explained: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.pictures) not in (0, len(self)):
            raise InputError(f"{len(self.pictures)} pictures for {len(self)} examples; give one each, or none")
        if self.layout not in (None, *LAYOUTS):
            raise InputError(f"{self.layout!r} is no layout; choose from {', '.join(LAYOUTS)}, or None for a guess")

    def __len__(self) -> int:
        name, values = next(iter(self._named().items()))
        return values.shape[self._axis(name)]

    def __iter__(self) -> Iterator[Attribution]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key: int | slice | str) -> Attribution:
        """One example by its number, several by a slice, one of several inputs by its name."""
        if isinstance(key, str):
            other = {"rate"} if self.provenance.get("rate_of", key) != key else set()
            rest = {name: value for name, value in self.provenance.items() if name not in {"example_axes", *other}}
            tokens, said = key in self.provenance.get("tokens", ()), self.layout in (None, TOKENS)
            return replace(
                self, values=self._input(key), layout=(TOKENS if tokens else None) if said else self.layout,
                reduction=reduction_in(self.reduction, self.method, tokens, self.layout),
                inputs={name: one for name, one in self.inputs.items() if name == key},
                provenance={**rest, "example_axes": {key: self._axis(key)}} if self._axis(key) else rest,
            )  # fmt: skip
        part = key if isinstance(key, slice) else self._only(key)
        taken = {name: one[(slice(None),) * self._axis(name) + (part,)] for name, one in self._named().items()}
        return replace(
            self,
            values=taken if isinstance(self.values, Mapping) else taken[""],
            target=self.target[part],
            score=self.score[part],
            delta=None if self.delta is None else self.delta[part],
            pictures=self.pictures[part],
            explained=self.explained[part],
            inputs={name: one[part] for name, one in self.inputs.items()},
            provenance=self._provenance_of(part),
        )

    def map(self, reduce: str | None = None) -> NDArray[np.float32]:
        """Values without their channel axis, (N, H, W): the largest magnitude as Simonyan et al. (2013) did.

        abs-max and abs-sum take magnitudes first, norm is the L2 norm; max, sum and mean keep the sign. Values without
        a channel axis, (N, h, w) of CAM methods and (N, F) of tables, keep their shape; only the magnitude is taken of
        them. Embedded tokens have one number each, (N, L): by default the L2 norm of a gradient, the sum of
        contributions, and the mean of occlusion, whose numbers are those of whole tokens.
        """
        reduce = self.reduction if reduce is None else reduce
        return reduced(self._array(), reduce, self.layout, is_of_layer(self.provenance))

    def views(
        self, index: int = 0, *, reduce: str | None = None, rate: float | None = None, named: bool = False
    ) -> dict[str, View]:
        """What is drawn of one example, by the name of the input; of one that has none, and of a layer's map, by "".

        States that were left out have no view, nor have values of ranks that are neither picture, series nor volume.
        ``named``: a long vector is a table whose columns have names, not a series.
        """
        one = self[index]
        given = [name for name in one._named() if name not in self.provenance.get("zero_states", ())]
        names, known = given or list(one._named()), named or bool(self.columns)
        timed = names if len(names) == 1 else [self.provenance.get("rate_of")]
        found = {name: one._view(name, reduce, rate, known, timed=name in timed) for name in names}
        chart = chart_of(self.values, self.inputs, self.columns)
        return {name: chart.named(view) if chart else view for name, view in found.items() if view is not None}

    def image(
        self,
        index: int = 0,
        *,
        style: str = "overlay",
        scale: str = "each",
        reduce: str | None = None,
        palette: str | None = None,
        percentile: float | None = 99.5,
        alpha: float = 0.7,
        fade: float = 0.4,
        rate: float | None = None,
    ) -> Image.Image:
        """Draws one example: a picture, curves over time, slices of a volume, bars; several inputs one below another.

        Args:
            index: Number of the example.
            style: "overlay" (the map over its picture), "map" (alone), "masked" (what is weak dark and blurred),
                "contour" (lines around the evidence, by scikit-image), "figure" or "grid" (side by side).
            scale: "each", a colour scale of its own; "shared", that of all examples, so that they compare.
            reduce: As for ``map``; series keep their signs unless it is named.
            palette: By default blue and red where values are negative and for series, jet for a layer's maps, else hot.
            percentile: Of the absolute values, where the colours end; None for the largest.
            alpha: How much an overlay covers at most, 0 to 1.
            fade: How much an overlay turns its picture grey, 0 to 1.
            rate: Samples a second of a series, for an axis in seconds.

        Raises:
            InputError: An unknown style, scale, palette or reduction, a number out of bounds, values without a picture.
            RuntimeUnavailable: "contour" without the extra ``[superpixels]``.
        """
        drawing = {"style": style, "scale": scale, "reduce": reduce, "palette": palette, "percentile": percentile}
        (one,), (colours,), look = self._drawing([index], **drawing, alpha=alpha, fade=fade, rate=rate)
        return drawn(one, colours, look)

    def figure(self, index: int = 0, *, captions: tuple[str, ...] = (), **drawing: Any) -> Image.Image:
        """Picture, map and overlay of one example side by side with captions; ``drawing`` as for ``image``."""
        (views,), (colours,), look = self._drawing([index], **{"style": "figure", **drawing})
        return captioned(views, colours, look, captions or (self._told(index), self.method))

    def save(self, path: str | PathLike[str], **drawing: Any) -> Path:
        """Writes a .png of the image, or a sheet of them for several examples, or a .npz that `load` reads back.

        ``drawing`` as for ``image``; on a sheet the scale is "shared" unless another is named. Without ``drawing``,
        several rows of a table whose columns have names are a beeswarm, by the extra ``[charts]``.
        """
        path = Path(path)
        if path.suffix.lower() == ".png":
            write = partial(self.sheet(**drawing).save, format="PNG")
        elif path.suffix.lower() == ".npz":
            held = {one.name: getattr(self, one.name) for one in fields(self)}
            write = partial(np.savez_compressed, **packed(held))
        else:
            raise InputError(f"{path}: nothing is saved as {path.suffix!r}; use .png (image) or .npz (values)")
        with replacing(path) as temporary, temporary.open("wb") as file:
            write(file)
        return path

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Attribution:
        """The attribution that `save` wrote to a .npz file."""
        with (
            readable(path, "saved attribution", InputError),
            np.load(path, allow_pickle=False) as file,
        ):
            return cls(**unpacked(dict(file)))

    def _drawing(
        self,
        indices: Sequence[int],
        *,
        style: str = "overlay",
        scale: str = "each",
        palette: str | None = None,
        percentile: float | None = 99.5,
        alpha: float = 0.7,
        fade: float = 0.4,
        **view_options: Any,
    ) -> tuple[list[dict[str, View]], list[dict[str, ColourScale]], Look]:
        """Views and colour scales of examples, and their style."""
        look = Look(choose(style, STYLES, "style"), alpha, fade)
        views = [prepared(self.views(k, **view_options), look) for k in indices]
        if not views[0]:
            shapes = ", ".join(str(one.shape) for one in self._named().values())
            raise InputError(
                f"maps of shape {shapes} are no picture (height, width), series or volume; pick a slice of .values"
            )
        if choose(scale, SCALES, "scale") == "each":
            return views, [scales_of([one], palette, percentile) for one in views], look
        every = views if len(views) == len(self) else self._drawing(range(len(self)), style=style, **view_options)[0]
        return views, [scales_of(every, palette, percentile)] * len(views), look

    def sheet(self, **drawing: Any) -> Image.Image:
        """All examples on one picture, as ``save`` writes it; ``drawing`` as there."""
        chart = chart_of(self.values, self.inputs, self.columns)
        if chart and self.columns and len(self) > 1 and not drawing:
            return chart.beeswarm(rows_title(self.method, self.target))
        views, colours, look = self._drawing(range(len(self)), **{"scale": "shared", **drawing})
        return sheet(views, colours, look, [self._told(index) for index in range(len(self))])

    def _view(self, name: str, reduce: str | None, rate: float | None, named: bool, timed: bool) -> View | None:
        """The view of the only example; ``timed``: a rate tells that it is a series, as there is no other input."""
        axis, layout = self._axis(name), self.layout
        values = np.moveaxis(self._named()[name], axis, 0)
        if name in self.provenance.get("tokens", ()):
            layout = TOKENS
        elif axis == 1 and values.ndim == 3:
            layout = "NTC"  # time first, as recurrent operators have it
        rate = self.provenance.get("rate") if rate is None else rate
        if name and self.provenance.get("rate_of", name) != name:
            rate, timed = None, False  # that of another input
        data = self.inputs.get(name) if name or len(self.inputs) != 1 else next(iter(self.inputs.values()))
        return view_of(
            values, data, self.pictures[0] if self.pictures else None, layout=layout, reduce=reduce, method=self.method,
            layer=is_of_layer(self.provenance), rate=rate, named=named, timed=timed,
            default=reduction_in(self.reduction, self.method, layout == TOKENS, self.layout),
        )  # fmt: skip

    def _named(self) -> dict[str, Array]:
        """Values by input; of one that has no name by ""."""
        return dict(self.values) if isinstance(self.values, Mapping) else {"": self.values}

    def _axis(self, name: str) -> int:
        """The axis of an input's values that counts examples."""
        axes = self.provenance.get("example_axes", {})
        return axes.get(name, 0) if name else next(iter(axes.values()), 0)

    def _only(self, index: int) -> slice:
        if not -len(self) <= index < len(self):
            raise InputError(f"there is no example {index}; the attribution holds {len(self)}, counted from 0")
        return slice(index % len(self), index % len(self) + 1)

    def _provenance_of(self, part: slice) -> Mapping[str, Any]:
        """The provenance of some examples: faults of maps are theirs alone."""
        if "faults" not in self.provenance:
            return self.provenance
        places = {row: place for place, row in enumerate(range(len(self))[part])}
        kept = [[places[row], text] for row, text in self.provenance["faults"] if row in places]
        rest = {name: value for name, value in self.provenance.items() if name != "faults"}
        return {**rest, "faults": kept} if kept else rest

    def _input(self, name: str) -> Array:
        if not isinstance(self.values, Mapping) or name not in self.values:
            known = ", ".join(self.values) if isinstance(self.values, Mapping) else "one input, without a name"
            raise InputError(f"there are no values of an input {name!r}; the attribution holds {known}")
        return self.values[name]

    def _array(self) -> Array:
        if isinstance(self.values, Mapping):
            raise InputError(f"values of several inputs: {', '.join(self.values)}; pick one, as attribution[name]")
        return np.moveaxis(self.values, self._axis(""), 0)
