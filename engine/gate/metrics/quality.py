"""How good a map is: what the model does where it points, how steady it is, and whether it depends on the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...optional import import_extra
from ...support.choice import choose
from .agreement import METRICS
from .inside_mask import points_inside
from .quality_case import QualityCase

__all__ = ["QUALITIES", "Quality", "area", "chosen_qualities", "curve", "gini"]

STEPS = 20  # of a curve of deletion or insertion
DRAWS = 8  # of neighbours, for max-sensitivity
RADIUS = 0.02  # of the input's range
MASKS = 48  # of perturbations, for infidelity
COVER = 0.2  # of the positions, that one perturbation takes away
BLUR = 0.1  # of the side of a picture: what insertion starts from
ALL, UPPER = 1.0, 0.5  # shares of the layers whose weights are randomised, from the top down
ALIKE, EQUAL = 0.5, 0.9  # rank correlations at which a map is said not to depend on what was changed


@dataclass(frozen=True)
class Quality:
    """A metric of one map; its formula and paper are the docstring of ``measure``, which is None where it has no
    value.

    ``across`` names the axis of the curve that ``measure`` gives, whose area is the number; without it ``measure``
    gives the number. The case has a mask, or the model whose uppermost share ``randomised`` of layers has random
    weights, for those that need it. A sanity check fails from ``fails_at`` on: then maps hardly depend on ``blind_to``.
    """

    name: str
    measure: Callable[[QualityCase], float | NDArray[np.floating] | None]
    rises: bool  # whether more is better
    across: str | None = None
    needs_mask: bool = False
    randomised: float | None = None
    fails_at: float | None = None
    blind_to: str = ""

    @property
    def about(self) -> str:
        """Its formula and paper, in one line."""
        return " ".join((self.measure.__doc__ or "").split())


def deletion(s: QualityCase) -> NDArray[np.floating] | None:
    """Area under the target's probability as the strongest places are taken away (Petsiuk et al., 2018,
    arXiv:1806.07421); less is better."""
    return curve(s, insert=False)


def insertion(s: QualityCase) -> NDArray[np.floating] | None:
    """Area under the target's probability as the strongest places are put into a blurred picture, or a vector of zeros
    (Petsiuk et al., 2018, arXiv:1806.07421)."""
    return curve(s, insert=True)


def pointing_game(s: QualityCase) -> float | None:
    """Whether the strongest place lies inside of the mask (Zhang et al., 2016, arXiv:1608.00507)."""
    return None if s.mask is None or s.plane.shape != s.mask.shape else float(points_inside(s.plane, s.mask))


def max_sensitivity(s: QualityCase) -> float:
    """Largest relative change of the map among neighbours of the input (Yeh et al., 2019, arXiv:1901.09392)."""
    _check_floats(s)
    steps = [RADIUS * s.span * s.rng.uniform(-1, 1, s.x.shape) for _ in range(DRAWS)]
    return max(METRICS["relative-l2"](s.map, s.attribution(s.x + step)) for step in steps)


def infidelity(s: QualityCase) -> float:
    """Mean squared error of the change of score that the map foretells when places are taken away (Yeh et al., 2019,
    arXiv:1901.09392), at the best scale of the map, over the mean squared change: 0 is perfect, 1 useless."""
    _check_floats(s)
    chosen = [s.over((s.rng.random(s.plane.shape) < COVER).astype(float)) * np.ones_like(s.x) for _ in range(MASKS)]
    changes = [mask * (s.x - _nothing(s.x)) for mask in chosen]
    fall = s.scores(s.x)[0] - s.scores(np.concatenate([s.x - change for change in changes]))
    foretold = np.array([_foretold(s, mask, change) for mask, change in zip(chosen, changes, strict=True)])
    scale = (foretold @ fall) / (foretold @ foretold) if foretold.any() else 0.0
    return float(np.mean((scale * foretold - fall) ** 2) / np.mean(fall**2)) if fall.any() else 0.0


def completeness(s: QualityCase) -> float | None:
    """How far the sum of the map misses the fall of the score from the input to the baseline of zeros, over that fall
    (Sundararajan et al., 2017, arXiv:1703.01365); not for maps of layers."""
    _check_floats(s)
    if s.map.size != s.x.size:
        return None
    base = getattr(s.side.explainers[s.method].method, "baseline", 0.0)
    start = np.full_like(s.x, base) if isinstance(base, int | float) else None
    if start is None:
        return None
    fall = float(s.scores(s.x)[0] - s.scores(start)[0])
    return abs(float(s.map.sum(dtype=np.float64)) - fall) / abs(fall) if fall else None


def sparseness(s: QualityCase) -> float:
    """Gini index of the magnitudes (Chalasani et al., 2020, arXiv:1810.06583): 0 if all are equal, to 1."""
    return gini(s.map)


def parameter_randomisation(s: QualityCase) -> float | None:
    """Rank correlation, as a magnitude, with the map of the same model with randomised weights (Adebayo et al., 2018,
    arXiv:1810.03292); a map that depends on what was learned has little."""
    return _likeness_to_randomised(s, ALL)


def cascading_randomisation(s: QualityCase) -> float | None:
    """Rank correlation, as a magnitude, with the map of the same model with randomised weights in the upper half of its
    layers (a step of the cascading randomisation of Adebayo et al., 2018, arXiv:1810.03292); a map that keeps its ranks
    shows edges of the input more than the decision."""
    return _likeness_to_randomised(s, UPPER)


def label_randomisation(s: QualityCase) -> float | None:
    """Rank correlation, as a magnitude, with the map of a random other class (random logit of Sixt et al., 2020,
    arXiv:1912.09818, which asks without training what Adebayo's test with random labels asks); of classes alone."""
    if s.target.place is None or s.classes < 2 or np.ptp(s.map) == 0:
        return None
    other = int((s.target.place + s.rng.integers(1, s.classes)) % s.classes)
    return abs(METRICS["spearman"](s.map, s.attribution(s.x, target=other)))


QUALITIES: dict[str, Quality] = {
    quality.name: quality
    for quality in (
        Quality("deletion", deletion, rises=False, across="share of places taken away"),
        Quality("insertion", insertion, rises=True, across="share of places put in"),
        Quality("pointing-game", pointing_game, rises=True, needs_mask=True),
        Quality("max-sensitivity", max_sensitivity, rises=False),
        Quality("infidelity", infidelity, rises=False),
        Quality("completeness", completeness, rises=False),
        Quality("sparseness", sparseness, rises=True),
        Quality("parameter-randomisation", parameter_randomisation, rises=False, randomised=ALL, fails_at=ALIKE,
                blind_to="the weights"),
        Quality("cascading-randomisation", cascading_randomisation, rises=False, randomised=UPPER, fails_at=ALIKE,
                blind_to="the upper layers"),
        Quality("label-randomisation", label_randomisation, rises=False, fails_at=EQUAL, blind_to="the class"),
    )
}  # fmt: skip


def curve(s: QualityCase, insert: bool) -> NDArray[np.floating] | None:
    """The target's probability as the strongest places are taken away or put in, in equal steps; of a target that is no
    class the share of its score's change from the emptied input to the whole one. None where a map is the same
    everywhere, so that no place is stronger than another, and where the emptied input has the same score."""
    _check_floats(s)
    if np.ptp(s.plane) == 0:
        return None
    order = np.argsort(-s.plane, axis=None, kind="stable")
    start, end = (_nothing(s.x), s.x) if insert else (s.x, _nothing(s.x))
    if insert and s.x.ndim == 4:
        start = _blurred(s.x)
    mixed = []
    for share in np.linspace(0, 1, STEPS + 1):
        taken = np.zeros(order.size, bool)
        taken[order[: round(share * order.size)]] = True
        mixed.append(np.where(s.over(taken.reshape(s.plane.shape)), end, start))
    values = s.probabilities(np.concatenate(mixed))
    if s.target.place is not None:
        return values
    empty, whole = (values[0], values[-1]) if insert else (values[-1], values[0])
    return None if whole == empty else (values - empty) / (whole - empty)


def area(values: NDArray) -> float:
    """The area under a curve over 0..1."""
    return float(import_extra("scipy.integrate").trapezoid(values, dx=1 / (len(values) - 1)))


def gini(values: NDArray) -> float:
    """The Gini index of magnitudes."""
    sizes = np.sort(np.abs(np.asarray(values, np.float64)).ravel())
    ranks = np.arange(1, sizes.size + 1)
    return float(((2 * ranks - sizes.size - 1) @ sizes) / (sizes.size * sizes.sum())) if sizes.any() else 0.0


def chosen_qualities(names: Sequence[str] | None) -> list[Quality]:
    """Qualities by name, all by default; an unknown one is an InputError that lists them."""
    return [QUALITIES[choose(one, QUALITIES, "metric")] for one in names or QUALITIES]


def _likeness_to_randomised(s: QualityCase, share: float) -> float | None:
    """Rank correlation, as a magnitude; None where the case has no such model, or a map is the same everywhere.

    A model whose randomised layers pass nothing on gives every method such a map, which tells nothing of the method.
    """
    side = s.random_sides.get(share)
    if side is None or np.ptp(s.map) == 0:
        return None
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of random weights, not of the model
        other = s.attribution(s.x, side=side)
    return None if np.ptp(other) == 0 else abs(METRICS["spearman"](s.map, other))


def _check_floats(s: QualityCase) -> None:
    """Token ids cannot be changed a little, and zero is a token like others."""
    if s.x.dtype.kind != "f":
        raise InputError("this metric perturbs the input, which are integers; choose sparseness or a randomisation")


def _nothing(x: NDArray) -> NDArray:
    """The value of an empty input: the mean colour of a picture, zeros for a vector."""
    if x.ndim != 4:
        return np.zeros_like(x)
    axes = tuple(axis for axis in (1, 2, 3) if axis != 1 + int(np.argmin(x.shape[1:])))
    return np.broadcast_to(x.mean(axis=axes, keepdims=True), x.shape).astype(x.dtype)


def _blurred(x: NDArray) -> NDArray:
    channels = 1 + int(np.argmin(x.shape[1:]))
    widths = [0 if axis in (0, channels) else BLUR * size for axis, size in enumerate(x.shape)]
    return import_extra("scipy.ndimage").gaussian_filter(x, widths)


def _foretold(s: QualityCase, mask: NDArray, change: NDArray) -> float:
    """The change of score that a map predicts: contributions are summed, gradients are multiplied with the change."""
    if s.map.shape != s.x.shape[1:]:
        return float((s.over(s.plane) * np.ones_like(s.x) * mask).sum())
    gradient = s.side.explainers[s.method].method.reduction == "norm"
    return float((s.map * (change if gradient else mask)[0]).sum())
