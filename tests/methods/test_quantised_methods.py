"""Which methods show of a quantised net what they show of the same net without any rounding of activations."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest
from kernels import exact_products
from real_files import DATA, PICTURES, QUANTISED, RECIPES, path, photograph
from rounding import rounded
from scipy.stats import spearmanr

# docs/quantised.md says why
ALIKE = {"guided-backprop": 0.9, "deconvnet": 0.9, "grad-cam": 0.9, "saliency": 0.6, "deep-lift": 0.75}
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="../shared/data, with real models and photographs, is not here"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUANTISED)
@pytest.mark.parametrize("method", ALIKE)
def test_absolute_maps_are_ranked_alike(name: str, method: str) -> None:
    """Spearman's correlation of the strengths of pixels, in the median of the photographs, where products are exact."""
    deployed = onnxray.load(exact_products(path(name)))
    real = rounded(deployed, photograph(name)).unrounded()
    explainers = [onnxray.Explainer(model, method, preprocess=RECIPES[name]) for model in (deployed, real)]
    found = [likeness(*explainers, str(DATA / "images" / picture)) for picture in PICTURES]
    print(f"{name}, {method}: {min(found):.2f} to {max(found):.2f}")
    assert np.median(found) >= ALIKE[method]


def likeness(deployed: onnxray.Explainer, real: onnxray.Explainer, picture: str) -> float:
    one = deployed(picture)
    other = real(picture, target=one.target)
    return float(spearmanr(one.map().ravel(), other.map().ravel()).statistic)
