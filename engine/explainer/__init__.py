"""The public entry point: explain(), Explainer, jacobian()."""

from .explainer import Explainer
from .one_call import explain, jacobian

__all__ = ["Explainer", "explain", "jacobian"]
