"""``onnxray activations``, ``inspect`` and ``methods``: what layers give, what a model is, how it can be explained."""

from __future__ import annotations

from pathlib import Path

from ..data.found_files import find_files
from ..diagnostics.inspection import inspect as inspect_model
from ..loading.load import load
from ..methods.catalogue import describe_methods
from ..support.writing import make_folder
from . import console_text
from .activation_files import FeatureMaps
from .flatten_options import flatten_options
from .options import Images, Isolated, Json, Layers, MapsPalette, ModelFile, Numbers, Out, Preset, Providers
from .preprocess_option import preprocess_from_option
from .print_each import print_each
from .terminal import print_json

__all__ = ["activations", "inspect", "methods"]


@flatten_options
def activations(
    model: ModelFile,
    images: Images,
    layer: Layers,
    preprocess: Preset = None,
    out: Out = Path("out"),
    as_json: Json = False,
    npz: Numbers = False,
    palette: MapsPalette = "magma",
    provider: Providers = None,
) -> None:
    """Show the outputs of layers: a grid of feature maps per layer, the strongest first.

    \b
    Example:
      onnxray activations model.onnx dog.jpg --layer conv1 --layer layer4 --npz
    """
    source, files = load(model), find_files(images)
    preprocessing = preprocess_from_option(source, preprocess, files)
    for name in layer:
        source.layer(name)
    work = FeatureMaps(source, layer, make_folder(out), preprocessing, provider or None, palette, npz)
    print_each(files, work, work.out, as_json, worth_a_bar=len(files) > 1)


def inspect(model: ModelFile, as_json: Json = False, isolated: Isolated = False) -> None:
    """Describe a model and what can be explained: inputs, score, layers, gradient.

    \b
    Example:
      onnxray inspect model.onnx
      onnxray inspect model.onnx --json | jq '.layers[].name'
      onnxray inspect downloaded.onnx --isolated
    """
    found = inspect_model(load(model, isolated=isolated))
    print_json(found.to_json(), indent=2) if as_json else console_text.print_inspection(found)


def methods(as_json: Json = False) -> None:
    """List the attribution methods, their options with defaults, and their papers.

    \b
    Example:
      onnxray methods
    """
    found = describe_methods()
    print_json([console_text.plain(method) for method in found], indent=2) if as_json else console_text.print_methods(
        found
    )
