"""The public entry points: explain(), Explainer, jacobian() and detect()."""

from .detected import DetectedBox, detect
from .explainer import Explainer
from .one_call import explain, jacobian

__all__ = ["DetectedBox", "Explainer", "detect", "explain", "jacobian"]
