"""The explainers of one model by method, and the memory that those of all models of a run share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..explainer import Explainer
from ..graph.model import Model
from ..support.caller import warn_caller
from ..support.heap import release

__all__ = ["Explainers", "SharedMemory", "held_by"]

MB = 2**20


@dataclass(frozen=True, eq=False)
class Explainers(Mapping[str, Explainer]):
    """Explainers by method, each built at its first use; ``settings`` are the arguments of each."""

    model: Model
    settings: Mapping[str, dict[str, Any]]
    opened: dict[str, Explainer] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Explainer:
        if name not in self.opened:
            self.opened[name] = Explainer(self.model, name, **self.settings[name])
        return self.opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.settings)

    def __len__(self) -> int:
        return len(self.settings)

    def __contains__(self, name: object) -> bool:
        return name in self.settings

    def rebuilt(self, model: Model, threads: int | None) -> Explainers:
        """The same methods for another model, or on another number of threads."""
        return Explainers(model, {name: {**own, "threads": threads} for name, own in self.settings.items()})

    def only(self, names: Collection[str]) -> Explainers:
        """The same explainers, of these methods alone."""
        return replace(self, settings={name: own for name, own in self.settings.items() if name in names})

    def limit(self, name: str, memory: int) -> None:
        """Sets the memory of an explainer, now and when it is opened again."""
        self.settings[name]["memory"] = memory
        if name in self.opened:
            self.opened[name].memory = memory


class Holder(Protocol):
    """A model with explainers, and the bytes that its open sessions hold."""

    @property
    def explainers(self) -> Explainers: ...

    @property
    def held(self) -> int: ...


@dataclass
class SharedMemory:
    """The bytes that all sessions of these models, and one run of one of them, may take beside the weights."""

    total: int
    sides: Sequence[Holder]
    warned: bool = False

    @property
    def held(self) -> int:
        """Bytes that the open sessions hold."""
        return sum(side.held for side in self.sides)

    def divide(self) -> None:
        """Gives every explainer what the other sessions leave; warns, once, where the sessions alone take more."""
        held = self.held
        for side in self.sides:
            for name, explainer in side.explainers.opened.items():
                side.explainers.limit(name, max(1, self.total - held + held_by(explainer)))
        if held > self.total and not self.warned:
            self.warned = True
            warn_caller(_too_little(held, self))

    def make_room(self) -> None:
        """Closes the explainers, which open again at the next use, unless as much again fits beside them."""
        if 2 * self.held > self.total:
            self.close()

    def close(self) -> None:
        """Closes the explainers, which open again at the next use."""
        for side in self.sides:
            side.explainers.opened.clear()
        release()


def held_by(explainer: Explainer) -> int:
    """The most memory that an explainer's open sessions hold in addition to the model's weights, in bytes."""
    return sum(plan.held_bytes for plan in explainer.plans)


def _too_little(held: int, shared: SharedMemory) -> str:
    explainers = [one for side in shared.sides for one in side.explainers.opened.values()]
    enough = held + max((plan.row_bytes for one in explainers for plan in one.plans), default=0)
    return (
        f"memory={shared.total / MB:.0f}MB is exceeded: the sessions of {len(explainers)} explainers hold up to "
        f"{held / MB:.0f} MB beside the weights of the models; one row is run at a time; give {enough // MB + 1}MB, or "
        "fewer methods"
    )
