"""The public entry points: explain(), Explainer, jacobian() and detect()."""

from .detected import BoxFinder, DetectedBox, detect, open_box_finder
from .explainer import Answer, Explainer
from .one_call import explain, jacobian

__all__ = ["Answer", "BoxFinder", "DetectedBox", "Explainer", "detect", "explain", "jacobian", "open_box_finder"]
