"""The result of an explanation: numbers first, pictures on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..drawing import heatmap
from ..errors import InputError
from ..support.choice import choose
from ..support.damaged import readable
from ..support.writing import replacing

__all__ = ["REDUCTIONS", "TOKENS", "Attribution"]

Array = NDArray[Any]

REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs-max": np.max,
    "abs-sum": np.sum,
    "norm": np.linalg.norm,
    "max": np.max,
    "sum": np.sum,
    "mean": np.mean,
}
UNSIGNED = ("abs-max", "abs-sum", "norm")
CHANNEL_AXES = {"NCHW": 1, "NHWC": 3}
TOKENS = "NLC"  # embeddings: a vector for each place of a sequence
SHEET_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class Attribution:
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
        layout: Axes of image values, "NCHW" or "NHWC"; "NLC" of embedded tokens; None to have them guessed.
        pictures: What the maps are drawn over, one PIL image per example, or none.
        provenance: How the attribution was made: options, score, layer, and faults of its maps.
        reduction: How ``map`` reduces channels unless told otherwise.

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
    layout: Literal["NCHW", "NHWC", "NLC"] | None = None
    pictures: tuple[Image.Image, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    reduction: str = "abs-max"

    def __post_init__(self) -> None:
        if len(self.pictures) not in (0, len(self)):
            raise InputError(f"{len(self.pictures)} pictures for {len(self)} examples; give one each, or none")
        if self.layout not in (None, TOKENS, *CHANNEL_AXES):
            raise InputError(f"{self.layout!r} is no layout; choose NCHW, NHWC or NLC, or None to have it guessed")

    def __len__(self) -> int:
        return len(next(iter(self.values.values())) if isinstance(self.values, Mapping) else self.values)

    def __iter__(self) -> Iterator[Attribution]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key: int | slice | str) -> Attribution:
        """One example by its number, several by a slice, one of several inputs by its name."""
        if isinstance(key, str):
            tokens = TOKENS if key in self.provenance.get("tokens", ()) else None
            return replace(
                self, values=self._input(key), layout=tokens if self.layout in (None, TOKENS) else self.layout
            )
        part = key if isinstance(key, slice) else self._only(key)
        values = self.values
        return replace(
            self,
            values={name: one[part] for name, one in values.items()} if isinstance(values, Mapping) else values[part],
            target=self.target[part],
            score=self.score[part],
            delta=None if self.delta is None else self.delta[part],
            pictures=self.pictures[part],
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
        choose(reduce, REDUCTIONS, "reduction")
        values = self._array()
        if reduce in UNSIGNED:
            values = np.abs(values)
        if self.layout == TOKENS and values.ndim > 1:
            values = REDUCTIONS[reduce](values, axis=-1)
        elif values.ndim == 4 and "layer" in self.provenance:
            raise InputError(f"maps of shape {values.shape} are no picture (height, width); pick a slice of .values")
        elif values.ndim == 4:
            values = REDUCTIONS[reduce](values, axis=self._channel_axis(values.shape))
        elif values.ndim not in (2, 3):
            raise InputError(f"values of shape {values.shape} have no map; reduce .values to (N, H, W) yourself")
        return values.astype(np.float32)

    def image(
        self,
        index: int = 0,
        *,
        reduce: str | None = None,
        palette: str | None = None,
        overlay: bool = True,
        percentile: float | None = 99.5,
        alpha: float = 0.7,
        fade: float = 0.4,
    ) -> Image.Image:
        """The map of one example in colour, over its picture if there is one and `overlay` is set.

        Without a palette, maps with negative values are drawn in blue and red, CAM maps in jet, others in hot.
        Pictures of less than half of heatmap.SIDE pixels are enlarged by a whole factor.
        """
        one = self[index]
        heat, smooth = one._plane(reduce), one._array().ndim == 3
        palette = palette or ("bwr" if heat.min() < 0 else "jet" if smooth else "hot")
        heat = heatmap.normalise(heat, percentile, signed=palette in heatmap.DIVERGING)
        base = one._backdrop(heat.shape, smooth)
        if one.pictures and overlay:
            return heatmap.enlarge(heatmap.overlay(base, heat, palette, alpha=alpha, fade=fade))
        return heatmap.enlarge(heatmap.colourise(heatmap.resize(heat, base.size), palette))

    def figure(self, index: int = 0, *, captions: tuple[str, ...] = (), **style: Any) -> Image.Image:
        """Picture, map and overlay of one example side by side with captions; `style` as for `image`."""
        one = self[index]
        caption = f"target {one.target[0]}, score {one.score[0]:.4g}"
        if not one.pictures:
            return heatmap.side_by_side([one.image(**style)], captions or [f"{self.method}, {caption}"])
        flat: dict[str, Any] = style | {"overlay": False}
        drawn = [one.pictures[0], one.image(**flat), one.image(**style)]
        return heatmap.side_by_side(drawn, captions or [caption, self.method, "overlay"])

    def save(self, path: str | PathLike[str], **style: Any) -> Path:
        """Writes a .png of the image, or a grid of them for several examples, or a .npz that `load` reads back."""
        path = Path(path)
        if path.suffix.lower() == ".png":
            write = partial(self._sheet(**style).save, format="PNG")
        elif path.suffix.lower() == ".npz":
            write = partial(np.savez_compressed, **_packed(self))
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
            return cls(**_unpacked(dict(file)))

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
        return self.values

    def _channel_axis(self, shape: tuple[int, ...]) -> int:
        if self.layout in CHANNEL_AXES:
            return CHANNEL_AXES[self.layout]
        for axis in CHANNEL_AXES.values():
            if shape[axis] in (1, 3, 4):
                return axis
        raise InputError(f"values of shape {shape} show no channel axis of 1, 3 or 4; set layout to NCHW or NHWC")

    def _plane(self, reduce: str | None) -> Array:
        heat = self.map(reduce)
        if heat.ndim != 3:
            raise InputError(f"values of shape {heat.shape} are no picture; list .values beside the feature names")
        return heat[0]

    def _backdrop(self, shape: tuple[int, ...], smooth: bool) -> Image.Image:
        picture = self.pictures[0] if self.pictures else Image.new("RGB", (shape[1], shape[0]))
        return heatmap.enlarge(picture) if smooth else picture

    def _sheet(self, **style: Any) -> Image.Image:
        images = [self.image(index, **style) for index in range(len(self))]
        rows = [images[start : start + SHEET_COLUMNS] for start in range(0, len(images), SHEET_COLUMNS)]
        return images[0] if len(images) == 1 else heatmap.grid(rows)


def _packed(attribution: Attribution) -> dict[str, Any]:
    values = attribution.values
    named = {f"values/{name}": one for name, one in values.items()} if isinstance(values, Mapping) else {}
    pictures = {f"picture/{k}": np.asarray(one.convert("RGB")) for k, one in enumerate(attribution.pictures)}
    return {
        **(named or {"values": values}),
        **pictures,
        **({} if attribution.delta is None else {"delta": attribution.delta}),
        "target": attribution.target,
        "score": attribution.score,
        "method": attribution.method,
        "layout": attribution.layout or "",
        "reduction": attribution.reduction,
        "provenance": json.dumps(dict(attribution.provenance), default=str),
    }


def _unpacked(held: dict[str, Array]) -> dict[str, Any]:
    named = {key.removeprefix("values/"): one for key, one in held.items() if key.startswith("values/")}
    count = sum(key.startswith("picture/") for key in held)
    return {
        "values": named or held["values"],
        "target": held["target"],
        "score": held["score"],
        "method": str(held["method"]),
        "delta": held.get("delta"),
        "layout": str(held["layout"]) or None,
        "reduction": str(held.get("reduction", "abs-max")),
        "pictures": tuple(Image.fromarray(held[f"picture/{k}"]) for k in range(count)),
        "provenance": json.loads(str(held["provenance"])),
    }
