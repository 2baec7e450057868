"""The public entry points: explain(), explain_recording(), Explainer, jacobian() and detect()."""

from .detected import BoxFinder, DetectedBox, detect, open_box_finder
from .explainer import Answer, Explainer
from .long_recording import explain_recording
from .one_call import explain, jacobian

__all__ = [
    "Answer",
    "BoxFinder",
    "DetectedBox",
    "Explainer",
    "detect",
    "explain",
    "explain_recording",
    "jacobian",
    "open_box_finder",
]
