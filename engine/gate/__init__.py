"""The gate: do two models look at the same evidence?"""

from .comparison import Comparison
from .run import compare

__all__ = ["Comparison", "compare"]
