"""The gate: do two models look at the same evidence? And is what a method shows of one of them any good?"""

from .comparing import compare
from .comparison import Comparison
from .evaluation import Evaluation, evaluate

__all__ = ["Comparison", "Evaluation", "compare", "evaluate"]
