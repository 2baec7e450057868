"""Metrics of attribution maps and outputs."""
