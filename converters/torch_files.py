"""Files of PyTorch: exported programs, TorchScript, and weights for a module that a factory builds."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnxray.errors import ConversionError

from .candidates import Candidate, Options
from .factory import built, refuse_factory
from .input_specs import read_inputs, sample
from .quiet import converting, first_line, require, warn_of_code
from .torch_call import Call
from .torch_export import ADVICE, candidate, convert_module, legacy, needed_specs, written
from .torch_layers import record
from .torch_unroll import unroll

__all__ = ["convert_pt2", "convert_safetensors", "convert_torch_file", "convert_torchscript"]

UNSEEN = "TorchScript runs without Python, so its value cannot be observed; name its node or tensor instead"
NESTED = ("state_dict", "model_state_dict", "model")


def convert_pt2(path: Path, options: Options) -> Candidate:
    """Convert a file of torch.export.save; its inputs and open axes are in it."""
    warn_of_code(path, "a .pt2 file")
    torch = require("torch")
    with converting(f"{path} cannot be loaded", "save it again with torch.export.save of this version of PyTorch"):
        program = torch.export.load(path)
    args, kwargs = program.example_inputs
    with converting(f"{path} cannot be exported", ADVICE):
        model = written(unroll(program, [*args, *kwargs.values()]), options)
        module = torch.export.unflatten(program)
    call = Call(module, (*(None for _ in args), *kwargs))
    examples = read_inputs(options.inputs) or read_inputs([*args, *kwargs.values()])
    return candidate(model, call, examples, str(path), lambda feed, call: record(call.module, lambda: call(feed)))


def convert_torchscript(path: Path, options: Options) -> Candidate:
    """Convert TorchScript, which only the legacy exporter takes; the parity check decides whether it did so rightly."""
    warn_of_code(path, "TorchScript")
    torch = require("torch")
    with converting(f"{path} cannot be loaded", "save it again with torch.jit.save of this version of PyTorch"):
        module = torch.jit.load(path, map_location="cpu")
    specs = needed_specs(options, str(path))
    call = Call(module, tuple(spec.name for spec in specs))
    example = [sample(spec, options.batch or 2, np.random.default_rng(0)) for spec in specs]
    model = legacy(call, specs, example, options, str(path))
    unseen = {name: UNSEEN for name, _ in module.named_modules() if name}
    return candidate(model, call, specs, str(path), lambda feed, call: unseen)


def convert_torch_file(path: Path, options: Options) -> Candidate:
    """Convert a file of torch.save: weights for the factory's module, or with allow_pickle a whole module."""
    torch = require("torch")
    with converting(f"{path} cannot be read", "check that the file is whole"):
        content = loaded(path, options.allow_pickle)
    if isinstance(content, torch.nn.Module):
        refuse_factory(path, options)
        return convert_module(content, options, str(path))
    return with_weights(path, content, options)


def loaded(path: Path, trusted: bool) -> Any:
    """The content of a file of torch.save: weights only, unless its author is trusted."""
    try:
        return require("torch").load(path, map_location="cpu", weights_only=not trusted)
    except pickle.UnpicklingError as error:
        advice = "save its state_dict() instead, or pass allow_pickle=True if you trust its author (a pickle runs code)"
        raise ConversionError(f"{path}: a pickle of more than weights: {first_line(error)}; {advice}") from error


def convert_safetensors(path: Path, options: Options) -> Candidate:
    """Convert weights in safetensors for the factory's module."""
    loader = require("safetensors.torch")
    with converting(f"{path} cannot be read", "check that the file is whole"):
        content = loader.load_file(path)
    return with_weights(path, content, options)


def with_weights(path: Path, content: Any, options: Options) -> Candidate:
    """Build the module, load the weights strictly and convert it."""
    module = built(path, options)
    weights = state_dict(path, content)
    with converting(f"{path}: the weights do not fit the module of factory=", "build the architecture they come from"):
        module.load_state_dict(weights)
    return convert_module(module, options, str(path))


def state_dict(path: Path, content: Any) -> dict[str, Any]:
    """The weights in a checkpoint: possibly under a key of a training script, possibly prefixed by DataParallel."""
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(hasattr(value, "shape") for value in content.values()):
        raise ConversionError(f"{path}: no state_dict in it; save model.state_dict() and give that file")
    if all(key.startswith("module.") for key in content):
        return {key.removeprefix("module."): value for key, value in content.items()}
    return dict(content)
