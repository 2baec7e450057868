"""The reverse pass: ONNX in, ONNX with gradients out."""
