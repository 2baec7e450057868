"""Differentiation rules, a file per family of operators."""
