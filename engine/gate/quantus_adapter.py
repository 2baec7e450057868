"""Quantus on ONNX models: its model interface (Hedström et al., 2023, arXiv:2202.06861) and an explain function.

    import quantus
    from onnxray.gate.quantus_adapter import explain_func, quantus_model

    model = quantus_model("model.onnx")
    quantus.MPRT()(model=model, x_batch=x, y_batch=y, explain_func=explain_func)

Quantus takes models of PyTorch and TensorFlow alone; as long as a model of ``quantus_model`` lives, those that have
Quantus' own interface, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import finalize

import numpy as np

from ..attribution.activations import activations
from ..attribution.score import score_tensor
from ..errors import InputError
from ..explainer import Explainer
from ..graph.model import Model, Source
from ..loading.load import load
from ..optional import import_extra
from ..runtime import Session, open_model
from .layers.randomise import randomised, weighted_layers

__all__ = ["explain_func", "quantus_model"]

_OF_QUANTUS = ("device", "softmax", "model_predict_kwargs")
_HELD = "_explainers_of_quantus"  # in the model itself, so that its explainers go when it goes


def quantus_model(model: Source, *, channel_first: bool = True, softmax: bool = False) -> Any:
    """A model as Quantus takes them: it predicts, has its layers randomised, and gives its activations."""
    made = _interface()(load(model), channel_first=channel_first, softmax=softmax)
    _Patch.open_for(made)
    return made


def explain_func(model: Any, inputs: np.ndarray, targets: np.ndarray, method: str = "saliency", **options: Any) -> Any:
    """Attributions for Quantus by a method of onnxray; a batch with a target for each input."""
    options = {key: value for key, value in options.items() if key not in _OF_QUANTUS}
    source = load(getattr(model, "model", model))
    held: dict[Any, Explainer] = vars(source).setdefault(_HELD, {})
    key = (method, repr(options))
    if key not in held:
        held[key] = Explainer(source, method, **options)
    found = held[key](np.asarray(inputs, np.float32), np.asarray(targets, np.int64))
    return np.asarray(found.values)


def _interface() -> type:
    """The class, made when Quantus is there."""
    return type("OnnxModel", (_Behaviour, import_extra("quantus.helpers.model.model_interface").ModelInterface), {})


class _Behaviour:
    """The methods of Quantus' model interface; the interface itself is mixed in when Quantus is imported."""

    model: Model
    softmax: bool
    channel_first: bool

    def __init__(self, model: Model, channel_first: bool = True, softmax: bool = False) -> None:
        super().__init__(model, channel_first=channel_first, softmax=softmax)  # type: ignore[call-arg]
        self.session: Session = open_model(model)

    def predict(self, x: np.ndarray, **_: Any) -> np.ndarray:
        name, y = str(self.model.inputs[0].name), str(score_tensor(self.model, "output").name)
        scores = self.session.run({name: np.asarray(x, np.float32)}, [y])[y].reshape(len(x), -1)
        return import_extra("scipy.special").softmax(scores, axis=1) if self.softmax else scores

    def shape_input(self, x: np.ndarray, shape: Any, channel_first: Any = None, batched: bool = False) -> np.ndarray:
        given = x.reshape(shape) if batched else x.reshape(1, *shape)
        return given if self.channel_first or given.ndim != 4 else np.moveaxis(given, 1, -1)

    def get_model(self) -> Model:
        return self.model

    def get_softmax_arg_model(self) -> Any:
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        layers = weighted_layers(self.model)
        return {str(v.name): _array(v) for layer in layers for v in layer.weights.values()}

    @property
    def random_layer_generator_length(self) -> int:
        return len(weighted_layers(self.model))

    def get_random_layer_generator(self, order: str = "top_down", seed: int = 42) -> Iterator[tuple[str, Any]]:
        if order != "top_down":
            raise InputError(f"order {order!r}: onnxray randomises layers 'top_down'")
        names = [layer.name for layer in weighted_layers(self.model)][::-1]
        for count, name in enumerate(names, start=1):
            changed = randomised(self.model, seed, share=count / len(names))
            yield name, type(self)(changed, self.channel_first, self.softmax)

    def get_hidden_representations(
        self, x: np.ndarray, layer_names: Sequence[str] | None = None, layer_indices: Any = None, **_: Any
    ) -> np.ndarray:
        known = [layer.name for layer in weighted_layers(self.model)]
        names = list(layer_names or [known[k] for k in layer_indices or range(len(known))])
        found = activations(self.model, np.asarray(x, np.float32), names)
        return np.hstack([array.reshape(len(x), -1) for array in found.values()])

    def add_mean_shift_to_first_layer(self, *_: Any) -> Any:
        raise InputError("the shift of the first layer (Quantus' InputInvariance) is not there for ONNX models")


def _array(value: Any) -> np.ndarray:
    return value.const_value.numpy()


class _Patch:
    """Lets Quantus take what already has its interface, as long as there is a model of ``quantus_model``."""

    users = 0
    original: Any = None

    @classmethod
    def open_for(cls, model: Any) -> None:
        helpers, kind = (
            import_extra("quantus.helpers.utils"),
            import_extra("quantus.helpers.model.model_interface").ModelInterface,
        )
        if cls.users == 0:
            cls.original = wrap = helpers.get_wrapped_model
            helpers.get_wrapped_model = lambda model, *given, **named: (
                model if isinstance(model, kind) else wrap(model, *given, **named)
            )
        cls.users += 1
        finalize(model, cls.closed_by_one, helpers)

    @classmethod
    def closed_by_one(cls, helpers: Any) -> None:
        cls.users -= 1
        if cls.users == 0:
            helpers.get_wrapped_model = cls.original
