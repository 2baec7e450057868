"""Explain what an ONNX model looked at."""
