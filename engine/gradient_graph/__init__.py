"""Derivatives as ONNX models of standard operators: vector-Jacobian, Jacobian-vector and Hessian-vector products."""

from .tangents import TangentGraph, hvp, jvp
from .vector_jacobian import GradientGraph, differentiate

__all__ = ["GradientGraph", "TangentGraph", "differentiate", "hvp", "jvp"]
