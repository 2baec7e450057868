"""Programs that compare onnxray with others; `python -m benchmarks` times its calls, the other files are scripts."""
