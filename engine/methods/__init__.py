"""Attribution methods, one per file; ``METHODS`` has them by name."""

from .base import Method
from .grad_cam import GradCam
from .integrated_gradients import IntegratedGradients
from .occlusion import Occlusion
from .saliency import Deconvnet, GuidedBackprop, InputXGradient, Saliency
from .smoothgrad import SmoothGrad

__all__ = ["METHODS", "Method"]

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Saliency,
        InputXGradient,
        GuidedBackprop,
        Deconvnet,
        IntegratedGradients,
        SmoothGrad,
        GradCam,
        Occlusion,
    )
}
