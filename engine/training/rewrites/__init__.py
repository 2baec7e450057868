"""Rewrites, a file each, without which onnxruntime-training builds no gradient or a wrong one."""
