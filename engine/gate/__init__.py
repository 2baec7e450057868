"""The gate: do two models look at the same evidence? And is what a method shows of one of them any good?"""

from .comparison import Comparison
from .evaluation import Evaluation, evaluate
from .run import compare

__all__ = ["Comparison", "Evaluation", "compare", "evaluate"]
