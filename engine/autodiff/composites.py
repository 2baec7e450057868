"""The composites of LRP by name: which layer takes which rule, with the meaning and the numbers that Zennit gives them.

Kohlbrenner et al., 2020 (arXiv:1910.09840) and Montavon et al., 2019 (doi 10.1007/978-3-030-28954-6_10): dense layers
take the epsilon rule, convolutions one that looks at the sign of what they add up.
"""

from __future__ import annotations

from collections.abc import Mapping

from .attention import AttentionComposite
from .lrp_overlay import Composite
from .relevance import FLAT, Z_PLUS, LayerRule, alpha_beta, gamma, z_box

__all__ = ["COMPOSITES"]


def _convolutions(rule: LayerRule) -> Mapping[str, LayerRule]:
    return {"Conv": rule, "ConvTranspose": rule}


COMPOSITES: Mapping[str, Composite] = {
    composite.name.removeprefix("lrp-"): composite
    for composite in (
        Composite("lrp-epsilon"),
        Composite("lrp-epsilon-plus", layers=_convolutions(Z_PLUS)),
        Composite("lrp-epsilon-plus-flat", layers=_convolutions(Z_PLUS), first=FLAT),
        Composite("lrp-epsilon-alpha2-beta1", layers=_convolutions(alpha_beta(2, 1))),
        Composite("lrp-epsilon-gamma-box", layers=_convolutions(gamma(0.25)), first=z_box()),
        AttentionComposite("attnlrp"),
    )
}
