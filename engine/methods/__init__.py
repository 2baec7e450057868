"""Attribution methods, one per file; ``METHODS`` has them by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError
from ..support.choice import choose
from .ablation_cam import AblationCam
from .attention_rollout import AttentionRollout
from .base import Method
from .deep_lift import DeepLift
from .eigen_cam import EigenCam, EigenGradCam
from .expected_gradients import ExpectedGradients
from .feature_ablation import FeatureAblation
from .feature_permutation import FeaturePermutation
from .grad_cam import GradCam
from .grad_cam_plus_plus import GradCamPlusPlus
from .gradient_rollout import GradientRollout
from .guided_grad_cam import GuidedGradCam
from .hires_cam import HiResCam
from .integrated_gradients import IntegratedGradients
from .kernel_shap import KernelShap
from .layer_cam import LayerCam
from .lime import Lime
from .lrp import Lrp
from .mutagenesis import Mutagenesis
from .occlusion import Occlusion
from .rise import Rise
from .saliency import Deconvnet, GuidedBackprop, InputXGradient, Saliency
from .score_cam import ScoreCam
from .shapley_sampling import ShapleySampling
from .smoothgrad import SmoothGrad
from .tree_shap import TreeShap
from .xgrad_cam import XGradCam

__all__ = ["METHODS", "Method", "method_named"]

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Saliency,
        InputXGradient,
        GuidedBackprop,
        Deconvnet,
        IntegratedGradients,
        ExpectedGradients,
        SmoothGrad,
        DeepLift,
        Lrp,
        GradCam,
        LayerCam,
        HiResCam,
        GradCamPlusPlus,
        XGradCam,
        EigenCam,
        EigenGradCam,
        AblationCam,
        ScoreCam,
        GuidedGradCam,
        AttentionRollout,
        GradientRollout,
        Occlusion,
        FeatureAblation,
        FeaturePermutation,
        Mutagenesis,
        Rise,
        KernelShap,
        Lime,
        ShapleySampling,
        TreeShap,
    )
}


def method_named(method: str | Method, layer: str | Sequence[str] | None, options: Mapping[str, Any]) -> Method:
    """A method by name, with its options and ``layer`` where it is given; InputError for what it has not."""
    if isinstance(method, Method):
        return method
    method = choose(method, METHODS, "method")
    if layer is not None:
        if not METHODS[method].has_layer:
            layered = ", ".join(name for name, m in METHODS.items() if m.has_layer)
            raise InputError(f"method {method!r} explains the input and takes no layer; these do: {layered}")
        options = {**options, "layer": layer}
    return METHODS[method].configured(options)
