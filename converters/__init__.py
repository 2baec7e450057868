"""Framework models to ONNX, with the layer names that their users know."""
